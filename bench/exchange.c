/* `motley bench exchange`: rows between ranks, ours and rivals in turn.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/wait.h"
#include "bench/alternate.h"
#include "bench/carry.h"
#include "bench/exchange.h"
#include "device/storage.h"

enum { ROUNDS = 9, TAG = 200, TAG_COUNTS = 202 };

static const char COLUMNS[] =
    "ranks,nodes,E,K,T,D,dtype,rows,bytes,seconds,gbytes_per_s,alltoallv_seconds,alltoallv_gbytes_per_s,goodput,"
    "padded_bytes,padded_seconds,speedup_over_padded,counted_seconds,counted_goodput,device_gbytes_per_s,"
    "fraction_of_device";

static void close_cell(struct motley__cell *cell)
{
    motley__transfer_destroy(cell->transfer);
    motley__counts_destroy(cell->counted);
    motley__pinned_release(cell->context->device, &cell->pinned);
    motley__buffer_destroy(cell->send);
    motley__buffer_destroy(cell->received);
    if (cell->row_type != MPI_DATATYPE_NULL)
        MPI_Type_free(&cell->row_type);
    if (cell->block_type != MPI_DATATYPE_NULL)
        MPI_Type_free(&cell->block_type);
    free(cell->out.rows);
    free(cell->out.first);
    free(cell->in.rows);
    free(cell->in.first);
    free(cell->out_first);
    free(cell->in_first);
    free(cell->others);
    free(cell->counts);
    free(cell->out_host);
    free(cell->in_host);
}

static int per_rank(const struct motley__cell *cell)
{
    return (cell->shape.E + cell->context->size - 1) / cell->context->size;
}

/* Expert k of token t: the k-th of a walk over all that begins at random and has a random step without a common factor
 * with E, so that no two are the same. */
static int choose(const struct motley__cell *cell, uint64_t token, int k)
{
    const uint64_t E = (uint64_t)cell->shape.E, stream = (uint64_t)cell->context->rank;
    uint64_t step = E > 1 ? 1 + motley__random_bits(2, stream, token) % (E - 1) : 1, a = step, b = E;

    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    if (a > 1)
        step = 1;
    return (int)((motley__random_bits(1, stream, token) + (uint64_t)k * step) % E);
}

/* Rows for each rank, and the fullest expert of this rank's tokens. */
static int count_rows(struct motley__cell *cell, struct motley_error *error)
{
    const int R = cell->context->size, E = cell->shape.E;
    int *last = calloc((size_t)R, sizeof *last), *load = calloc((size_t)E, sizeof *load);
    int status = last && load ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d experts", E);

    for (int t = 0; t < cell->T && !status; t++)
        for (int k = 0; k < cell->shape.K; k++) {
            const int e = choose(cell, (uint64_t)t, k), to = e / per_rank(cell);

            if (++load[e] > cell->capacity)
                cell->capacity = load[e];
            if (last[to] != t + 1 && to != cell->context->rank)
                cell->out.rows[to]++;
            last[to] = t + 1;
        }
    free(last);
    free(load);
    return status;
}

static int lay_out(struct motley__spans *span, int *first, int R, struct motley_error *error)
{
    for (int r = 0; r < R; r++) {
        span->first[r] = first[r] = (int)span->end;
        span->end += span->rows[r];
        if (span->end > INT_MAX)
            return motley__fail(error, MOTLEY_E_UNSUPPORTED, "more than %d rows of one rank; take fewer tokens",
                                INT_MAX);
    }
    return 0;
}

static int alloc_spans(struct motley__cell *cell, struct motley_error *error)
{
    const size_t R = (size_t)cell->context->size;

    cell->out.rows = calloc(R, sizeof(int));
    cell->in.rows = calloc(R, sizeof(int));
    cell->out.first = calloc(R, sizeof(int64_t));
    cell->in.first = calloc(R, sizeof(int64_t));
    cell->out_first = calloc(R, sizeof(int));
    cell->in_first = calloc(R, sizeof(int));
    cell->others = calloc(R, sizeof(int));
    cell->counts = calloc(R, sizeof(int));
    if (!cell->out.rows || !cell->in.rows || !cell->out.first || !cell->in.first || !cell->out_first ||
        !cell->in_first || !cell->others || !cell->counts)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu ranks", R);
    for (int r = 0; r < cell->context->size; r++)
        cell->others[r] = r != cell->context->rank;
    return 0;
}

/* What arrives, and the largest capacity. */
static int exchange_counts(struct motley__cell *cell, struct motley_error *error)
{
    const motley_context *context = cell->context;
    MPI_Request request;
    int status = motley__fail_mpi(error, MPI_Ialltoall(cell->out.rows, 1, MPI_INT, cell->in.rows, 1, MPI_INT,
                                                       context->comm, &request), "MPI_Ialltoall");

    if (!status)
        status = motley__wait(&request, context->time_limit, "counts", error);
    if (!status)
        status = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, &cell->capacity, 1, MPI_INT, MPI_MAX,
                                                        context->comm, &request), "MPI_Iallreduce");
    return status ? status : motley__wait(&request, context->time_limit, "capacities", error);
}

static size_t padded_bytes(const struct motley__cell *cell)
{
    return (size_t)cell->context->size * (size_t)per_rank(cell) * (size_t)cell->capacity * cell->row;
}

static int make_types(struct motley__cell *cell, struct motley_error *error)
{
    int status = motley__fail_mpi(error, MPI_Type_contiguous((int)cell->row, MPI_BYTE, &cell->row_type),
                                  "MPI_Type_contiguous");

    if (!status)
        status = motley__fail_mpi(error, MPI_Type_commit(&cell->row_type), "MPI_Type_commit");
    if (!status)
        status = motley__fail_mpi(error, MPI_Type_contiguous(per_rank(cell) * cell->capacity, cell->row_type,
                                                             &cell->block_type), "MPI_Type_contiguous");
    return status ? status : motley__fail_mpi(error, MPI_Type_commit(&cell->block_type), "MPI_Type_commit");
}

/* Rows of numbers that tell sender and place. */
static int fill(struct motley__cell *cell, struct motley_error *error)
{
    const size_t sent = (size_t)cell->out.end * cell->row, arrives = (size_t)cell->in.end * cell->row;
    const size_t padded = padded_bytes(cell);
    struct motley__device *device = cell->context->device;
    int status = 0;

    cell->out_host = calloc(1, (sent > padded ? sent : padded) + 8);
    cell->in_host = calloc(1, (arrives > padded ? arrives : padded) + 8);
    if (!cell->out_host || !cell->in_host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu bytes of rows", 2 * padded);
    for (size_t i = 0; i < sent / 2; i++)
        ((uint16_t *)(void *)cell->out_host)[i] = (uint16_t)(i * 40503u + (unsigned)cell->context->rank);
    status = motley__buffer_create(device, sent, &cell->send, error);
    if (!status)
        status = motley__buffer_create(device, arrives, &cell->received, error);
    if (!status && sent)
        status = motley__buffer_write(cell->send, 0, cell->out_host, sent, error);
    if (!status && !device->zero_copy)
        status = motley__pinned_reserve(device, &cell->pinned, sent > arrives ? sent : arrives, error);
    return status;
}

static int open_cell(struct motley__cell *cell, struct motley_error *error)
{
    motley_context *context = cell->context;
    int status = alloc_spans(cell, error);

    if (!status)
        status = count_rows(cell, error);
    status = motley__agree(context->comm, status, error);
    if (!status)
        status = exchange_counts(cell, error);
    if (status)
        return status;
    status = lay_out(&cell->out, cell->out_first, context->size, error);
    if (!status)
        status = lay_out(&cell->in, cell->in_first, context->size, error);
    if (!status)
        status = make_types(cell, error);
    if (!status)
        status = fill(cell, error);
    if (!status)
        status = motley__transfer_create(context, "bench", TAG, 1, &cell->row, &cell->transfer, error);
    if (!status)
        status = motley__counts_create(context, cell->others, cell->others, 1, TAG_COUNTS, &cell->counted, error);
    return motley__agree(context->comm, status, error);
}

/* All ranks begin together; the seconds of the slowest. */
static int time_one(struct motley__cell *cell, enum motley__carrier carrier, double *seconds,
                    struct motley_error *error)
{
    const motley_context *context = cell->context;
    MPI_Request request;
    int status = motley__fail_mpi(error, MPI_Ibarrier(context->comm, &request), "MPI_Ibarrier");
    double begin;

    if (!status)
        status = motley__wait(&request, context->time_limit, "bench", error);
    begin = motley__seconds();
    if (!status)
        status = motley__carry(cell, carrier, error);
    *seconds = motley__seconds() - begin;
    if (!status)
        status = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, seconds, 1, MPI_DOUBLE, MPI_MAX, context->comm,
                                                        &request), "MPI_Iallreduce");
    return status ? status : motley__wait(&request, context->time_limit, "bench", error);
}

/* Once each to warm up: both bring the same rows. */
static int check(struct motley__cell *cell, struct motley_error *error)
{
    const size_t bytes = (size_t)cell->in.end * cell->row;
    char *ours = malloc(bytes + 1);
    double unused;
    int status = ours ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu bytes of rows", bytes);

    status = motley__agree(cell->context->comm, status, error);
    for (int i = MOTLEY__CARRIERS - 1; i >= 0 && !status; i--) /* the padded one overwrites what arrived */
        status = time_one(cell, (enum motley__carrier)i, &unused, error);
    if (!status && bytes)
        status = motley__buffer_read(cell->received, 0, ours, bytes, error);
    if (!status && memcmp(ours, cell->in_host, bytes))
        status = motley__fail(error, MOTLEY_E_BUILD, "rows arrived otherwise than by MPI_Alltoallv: what is wrong is "
                              "not timed");
    free(ours);
    return motley__agree(cell->context->comm, status, error);
}

/* Medians.  Who finds its rows in the cache depends on who was before: in seven rounds (seven is prime) every carrier
 * has come behind every other one, and first. */
static int time_all(struct motley__cell *cell, int rounds, double *median, struct motley_error *error)
{
    enum { CARRIERS = MOTLEY__CARRIERS }; /* seven */
    double seconds[CARRIERS][MOTLEY__ROUNDS];
    int status = 0;

    for (int i = 0; i < rounds && !status; i++)
        for (int j = 0; j < CARRIERS && !status; j++) {
            const int carrier = (i + j * (1 + i % (CARRIERS - 1))) % CARRIERS;

            status = time_one(cell, (enum motley__carrier)carrier, &seconds[carrier][i], error);
        }
    for (int j = 0; j < CARRIERS && !status; j++)
        median[j] = motley__median(seconds[j], rounds);
    return status;
}

static int count_nodes(const motley_context *context)
{
    int most = 0;

    for (int r = 0; r < context->size; r++)
        most = context->node_of[r] > most ? context->node_of[r] : most;
    return most + 1;
}

/* Bytes a second that the slower way between device and host takes, 0 where there is none to take. */
static double device_link(const struct motley__cell *cell, double bytes, const double *seconds)
{
    const double slower = seconds[MOTLEY__TO_HOST] > seconds[MOTLEY__FROM_HOST] ? seconds[MOTLEY__TO_HOST]
                                                                              : seconds[MOTLEY__FROM_HOST];
    return motley__carries(cell, MOTLEY__TO_HOST) && slower > 0 ? bytes / slower : 0;
}

static void print_row(const struct motley__cell *cell, double rows, const double *seconds, enum motley__format format,
                      int first)
{
    const struct motley__bench_shape *s = &cell->shape;
    const int R = cell->context->size;
    const double bytes = rows * (double)cell->row, padded = (double)padded_bytes(cell) * (R - 1) / R;
    const double ours = seconds[MOTLEY__OURS], rate = 1e-9 * bytes / ours, theirs = seconds[MOTLEY__ALLTOALLV];
    const double counted = seconds[MOTLEY__COUNTED], copied = 1e-9 * device_link(cell, bytes, seconds);
    static const char *const FORMATS[] = {
        [MOTLEY__FORMAT_TABLE] = "%s%d ranks on %d nodes, E%d K%d T%d D%d %s: %.0f rows, %.0f bytes in %.3g s, "
                                 "%.3f GB/s a rank; MPI_Alltoallv %.3g s, %.3f GB/s, goodput %.3f; padded copies %.0f "
                                 "bytes, %.3g s, %.2f times as long; with counts %.3g s, goodput %.3f; device to host "
                                 "%.3f GB/s, of it %.3f\n",
        [MOTLEY__FORMAT_CSV] = "%s%d,%d,%d,%d,%d,%d,%s,%.1f,%.0f,%.6g,%.4f,%.6g,%.4f,%.4f,%.0f,%.6g,%.4f,%.6g,%.4f,"
                               "%.4f,%.4f\n",
        [MOTLEY__FORMAT_JSON] = "%s{\"ranks\": %d, \"nodes\": %d, \"E\": %d, \"K\": %d, \"T\": %d, \"D\": %d, "
                                "\"dtype\": \"%s\", \"rows\": %.1f, \"bytes\": %.0f, \"seconds\": %.6g, "
                                "\"gbytes_per_s\": %.4f, \"alltoallv_seconds\": %.6g, \"alltoallv_gbytes_per_s\": "
                                "%.4f, \"goodput\": %.4f, \"padded_bytes\": %.0f, \"padded_seconds\": %.6g, "
                                "\"speedup_over_padded\": %.4f, \"counted_seconds\": %.6g, \"counted_goodput\": "
                                "%.4f, \"device_gbytes_per_s\": %.4f, \"fraction_of_device\": %.4f}"};

    printf(FORMATS[format], format == MOTLEY__FORMAT_JSON && !first ? ",\n" : "", R, count_nodes(cell->context), s->E,
           s->K, cell->T, s->D, motley__storage_name(s->dtype), rows, bytes, ours, rate, theirs, 1e-9 * bytes / theirs,
           theirs / ours, padded, seconds[MOTLEY__PADDED], seconds[MOTLEY__PADDED] / ours, counted,
           seconds[MOTLEY__COUNTED_ALLTOALLV] / counted, copied, copied > 0 ? rate / copied : 0);
    fflush(stdout);
}

static int measure(struct motley__cell *cell, const struct motley__bench_request *request, int first,
                   struct motley_error *error)
{
    const motley_context *context = cell->context;
    double median[MOTLEY__CARRIERS] = {0}, rows;
    MPI_Request sum;
    int status = open_cell(cell, error);

    if (!status)
        status = check(cell, error);
    if (!status)
        status = time_all(cell, request->rounds ? (int)request->rounds : ROUNDS, median, error);
    rows = (double)cell->out.end;
    if (!status)
        status = motley__fail_mpi(error, MPI_Iallreduce(MPI_IN_PLACE, &rows, 1, MPI_DOUBLE, MPI_SUM, context->comm,
                                                        &sum), "MPI_Iallreduce");
    if (!status)
        status = motley__wait(&sum, context->time_limit, "bench", error);
    if (!status && context->rank == 0)
        print_row(cell, rows / context->size, median, request->format, first);
    return status;
}

int motley__bench_exchange(motley_context *context, const struct motley__bench_request *request,
                           struct motley_error *error)
{
    struct motley__bench_request chosen = *request;
    struct motley__selection s;
    const int prints = context->rank == 0;
    int status, cells = 0;

    if (!chosen.shapes)
        chosen.shapes = "64x6x1024x1024";
    if (!chosen.tokens)
        chosen.tokens = "16,256,4096";
    status = motley__select(&chosen, context->device->info.is_gpu, &s, error);
    if (!status && context->size == 1)
        status = motley__fail(error, MOTLEY_E_INVALID, "an exchange has several ranks: run it under mpirun");
    if (!status && prints && chosen.format != MOTLEY__FORMAT_TABLE)
        printf("%s\n", chosen.format == MOTLEY__FORMAT_CSV ? COLUMNS : "[");
    for (int i = 0; i < s.shapes * s.dtypes * s.tokens && !status; i++) {
        struct motley__cell cell = {.context = context, .shape = s.shape[i / s.tokens / s.dtypes],
                                    .T = s.T[i % s.tokens],
                                    .row_type = MPI_DATATYPE_NULL, .block_type = MPI_DATATYPE_NULL};

        cell.shape.dtype = s.dtype[i / s.tokens % s.dtypes];
        cell.row = (size_t)cell.shape.D * motley__storage_bytes(cell.shape.dtype);
        status = measure(&cell, &chosen, cells++ == 0, error);
        close_cell(&cell);
    }
    if (prints && chosen.format == MOTLEY__FORMAT_JSON)
        printf("\n]\n");
    return status;
}
