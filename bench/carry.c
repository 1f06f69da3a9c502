/* What carries the rows of a dispatch; the contract is carry.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "bench/carry.h"
#include "step/step.h"

static int begin_counts(void *self, struct motley_error *error)
{
    struct motley__cell *cell = self;

    for (int r = 0; r < cell->context->size; r++)
        cell->counted->mine[r] = (struct motley__count){.rows = cell->out.rows[r]};
    return motley__counts_begin(cell->counted, error);
}

static int begin_rows(void *self, struct motley_error *error)
{
    struct motley__cell *cell = self;

    return motley__transfer_begin(cell->transfer, &(struct motley__part){cell->send, &cell->out, cell->received,
                                                                         &cell->in}, error);
}

static int carry_ours(struct motley__cell *cell, int counted, struct motley_error *error)
{
    const struct motley__executor executor = {cell->context->device, NULL, cell->context->time_limit};
    struct motley__step step = {.count = 0};
    struct motley__step_times times;
    struct motley__ops known = {{0}};

    if (counted)
        known = motley__step_add(&step, (struct motley__op){
            .name = "counts", .stream = MOTLEY__COMMUNICATION, .phase = MOTLEY__PHASE_DISPATCH, .begin = begin_counts,
            .self = cell, .test = motley__counts_test, .missing = motley__counts_missing, .request = cell->counted});
    motley__step_add(&step, (struct motley__op){
        .name = "rows", .stream = MOTLEY__COMMUNICATION, .phase = MOTLEY__PHASE_DISPATCH, .after = known,
        .begin = begin_rows, .self = cell, .test = motley__transfer_test, .missing = motley__transfer_missing,
        .request = cell->transfer});
    return motley__execute(&executor, &step, &times, error);
}

/* The rivals wait inside MPI. */
static int carry_counts(struct motley__cell *cell, struct motley_error *error)
{
    return motley__fail_mpi(error, MPI_Alltoall(cell->out.rows, 1, MPI_INT, cell->counts, 1, MPI_INT,
                                                cell->context->comm), "MPI_Alltoall");
}

static int carry_alltoallv(struct motley__cell *cell, struct motley_error *error)
{
    return motley__fail_mpi(error, MPI_Alltoallv(cell->out_host, cell->out.rows, cell->out_first, cell->row_type,
                                                 cell->in_host, cell->in.rows, cell->in_first, cell->row_type,
                                                 cell->context->comm), "MPI_Alltoallv");
}

static int carry_padded(struct motley__cell *cell, struct motley_error *error)
{
    return motley__fail_mpi(error, MPI_Alltoall(cell->out_host, 1, cell->block_type, cell->in_host, 1,
                                                cell->block_type, cell->context->comm), "MPI_Alltoall");
}

static int copy_out(struct motley__cell *cell, struct motley_error *error)
{
    return motley__fail_cl(error, clEnqueueReadBuffer(cell->context->device->transfer, cell->send->mem, CL_TRUE, 0,
                                                      (size_t)cell->out.end * cell->row, cell->pinned.host, 0, NULL,
                                                      NULL), "clEnqueueReadBuffer");
}

static int copy_in(struct motley__cell *cell, struct motley_error *error)
{
    return motley__fail_cl(error, clEnqueueWriteBuffer(cell->context->device->arrival, cell->received->mem, CL_TRUE, 0,
                                                       (size_t)cell->in.end * cell->row, cell->pinned.host, 0, NULL,
                                                       NULL), "clEnqueueWriteBuffer");
}

int motley__carries(const struct motley__cell *cell, enum motley__carrier carrier)
{
    if (carrier == MOTLEY__TO_HOST)
        return !cell->context->device->zero_copy && cell->out.end > 0;
    if (carrier == MOTLEY__FROM_HOST)
        return !cell->context->device->zero_copy && cell->in.end > 0;
    return 1;
}

int motley__carry(struct motley__cell *cell, enum motley__carrier carrier, struct motley_error *error)
{
    int status;

    if (!motley__carries(cell, carrier))
        return 0;
    switch (carrier) {
    case MOTLEY__ALLTOALLV:
        return carry_alltoallv(cell, error);
    case MOTLEY__COUNTED_ALLTOALLV:
        status = carry_counts(cell, error);
        return status ? status : carry_alltoallv(cell, error);
    case MOTLEY__PADDED:
        return carry_padded(cell, error);
    case MOTLEY__TO_HOST:
        return copy_out(cell, error);
    case MOTLEY__FROM_HOST:
        return copy_in(cell, error);
    default:
        return carry_ours(cell, carrier == MOTLEY__COUNTED, error);
    }
}
