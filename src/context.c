/* A context's life: communicators, the device this rank drives, what the others drive.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/collective.h"
#include "base/file.h"
#include "base/random.h"
#include "context.h"
#include "device/tensor.h"
#include "plan/known.h"
#include "product/admit.h"
#include "profile/record.h"

static const double TIME_LIMIT_SECONDS = 600;

int motley__context_agree(const motley_context *context, int code, struct motley_error *error)
{
    return motley__agree_within(context->comm, context->time_limit, code, error);
}

static int split_communicators(motley_context *context, MPI_Comm comm, struct motley_error *error)
{
    int initialised = 0, status;

    MPI_Initialized(&initialised);
    if (!initialised)
        return motley__fail(error, MOTLEY_E_COMM, "MPI is not initialised: call MPI_Init before motley_context_create");
    status = motley__fail_mpi(error, MPI_Comm_dup(comm, &context->comm), "MPI_Comm_dup");
    if (!status)
        status = motley__fail_mpi(error, MPI_Comm_set_errhandler(context->comm, MPI_ERRORS_RETURN),
                                  "MPI_Comm_set_errhandler");
    if (!status)
        status = motley__fail_mpi(error, MPI_Comm_split_type(context->comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL,
                                                             &context->node), "MPI_Comm_split_type");
    if (status)
        return status;
    MPI_Comm_rank(context->comm, &context->rank);
    MPI_Comm_size(context->comm, &context->size);
    MPI_Comm_rank(context->node, &context->node_rank);
    MPI_Comm_size(context->node, &context->node_size);
    return 0;
}

/* Ranks that speak different versions or were given different options would fail later and less clearly. */
static int check_alike(const motley_context *context, const struct motley_context_options *options,
                       struct motley_error *error)
{
    uint64_t hash = motley__hash_text(motley_version()), bounds[2]; /* the least and, inverted, the greatest */
    int status;

    hash = motley__hash_bytes(hash, &options->share_gpus, sizeof options->share_gpus);
    hash = motley__hash_bytes(hash, &context->time_limit, sizeof context->time_limit);
    hash = motley__hash_bytes(hash, &(int){options->trace != NULL}, sizeof(int));
    bounds[0] = hash;
    bounds[1] = ~hash;
    status = motley__reduce(context->comm, context->time_limit, bounds, 2, MPI_UINT64_T, MPI_MIN, error);
    if (!status && bounds[0] != ~bounds[1])
        status = motley__fail(error, MOTLEY_E_MISMATCH,
                              "rank %d runs version %s with other options or another version than "
                              "other ranks; start every rank with the same command and the same installation",
                              context->rank, motley_version());
    return status;
}

/* Nodes are numbered in the order of their first ranks. */
static int number_nodes(motley_context *context, struct motley_error *error)
{
    int leader = context->rank, nodes = 0, status;

    context->node_of = calloc((size_t)context->size, sizeof *context->node_of);
    if (!context->node_of)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for %d ranks", context->size);
    status = motley__broadcast(context->node, context->time_limit, 0, &leader, 1, MPI_INT, error);
    if (!status)
        status = motley__share(context->comm, context->time_limit, &leader, 1, MPI_INT, context->node_of, error);
    for (int r = 0; !status && r < context->size; r++)   /* a leader comes before the rest of its node */
        context->node_of[r] = context->node_of[r] == r ? nodes++ : context->node_of[context->node_of[r]];
    return status;
}

static int open_device(motley_context *context, const struct motley_context_options *options,
                       struct motley_error *error)
{
    struct motley__binding binding;
    struct motley__found *found = NULL;
    int count = 0, status;

    status = motley__bind(context->node, options, &found, &count, &binding, error);
    if (!status)
        status = motley__device_open(&found[binding.device], &binding, options, &context->log, &context->device, error);
    free(found);
    return status;
}

/* One rank of a node builds the kernels, the others then find them in the cache. */
static int admit(motley_context *context, enum motley_dtype dtype, struct motley_error *error)
{
    int status = 0;

    if (context->node_rank == 0)
        status = motley__admit_dtype(context->device, dtype, error);
    status = motley__agree_within(context->node, context->time_limit, status, error);
    if (!status && context->node_rank != 0)
        status = motley__admit_dtype(context->device, dtype, error);
    return status;
}

/* Once for each storage type. */
static int tune(motley_context *context, enum motley_dtype dtype, struct motley_error *error)
{
    int status = context->tuned[dtype] ? 0 : motley__record_tune(context, dtype, error);

    context->tuned[dtype] = !status;
    return status;
}

int motley__context_admit(motley_context *context, enum motley_dtype dtype, struct motley_error *error)
{
    int status = 0;

    if (dtype != MOTLEY_F32)
        status = motley__context_agree(context, admit(context, dtype, error), error);
    return status ? status : tune(context, dtype, error);
}

static int share_device_info(motley_context *context, struct motley_error *error)
{
    const int bytes = (int)sizeof(struct motley_device_info);

    context->info = calloc((size_t)context->size, sizeof *context->info);
    if (!context->info)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for %d ranks", context->size);
    return motley__share(context->comm, context->time_limit, &context->device->info, bytes, MPI_BYTE, context->info,
                         error);
}

static int copy_text(char **copy, const char *text, struct motley_error *error)
{
    return text ? motley__format(copy, error, "%s", text) : 0;
}

static int set_options(motley_context *context, const struct motley_context_options *options,
                       struct motley_error *error)
{
    int status = copy_text(&context->trace_path, options->trace, error);

    if (!status)
        status = copy_text(&context->profile_path, options->profile, error);
    context->log = (struct motley__log){context->rank, options->verbose};
    context->time_limit = options->time_limit_seconds > 0 ? options->time_limit_seconds : TIME_LIMIT_SECONDS;
    return status;
}

/* Each stage is agreed before the next, so that no rank waits in a stage that another never enters. */
static int create_stages(motley_context *context, const struct motley_context_options *options,
                         struct motley_error *error)
{
    int status = set_options(context, options, error);

    if (!(status = motley__context_agree(context, status, error)))
        status = motley__context_agree(context, check_alike(context, options, error), error);
    if (!status)
        status = motley__context_agree(context, number_nodes(context, error), error);
    if (!status)
        status = motley__context_agree(context, open_device(context, options, error), error);
    if (!status)
        status = motley__context_agree(context, admit(context, MOTLEY_F32, error), error);
    if (!status)
        status = motley__context_agree(context, share_device_info(context, error), error);
    if (!status)
        status = tune(context, MOTLEY_F32, error);
    if (!status && context->trace_path)
        status = motley__context_agree(context,
                               motley__trace_create(context->comm, context->time_limit, context->trace_path,
                                                    &context->trace, error), error);
    return status;
}

int motley_context_create(MPI_Comm comm, const struct motley_context_options *options, motley_context **context,
                          struct motley_error *error)
{
    static const struct motley_context_options defaults;
    motley_context *c = calloc(1, sizeof *c);
    int status;

    if (!c)
        return motley__fail(error, MOTLEY_E_MEMORY, "no host memory for a context");
    c->comm = c->node = MPI_COMM_NULL;
    status = split_communicators(c, comm, error);
    if (!status)
        status = create_stages(c, options ? options : &defaults, error);
    if (status) {
        motley_context_destroy(c);
        return status;
    }
    *context = c;
    return 0;
}

void motley_context_destroy(motley_context *context)
{
    struct motley_error error = {0};

    if (!context)
        return;
    if (context->trace && motley__trace_write(context->trace, &error) && context->rank == 0)
        motley__warn(&context->log, "no trace was written: %s", error.text);
    motley__known_destroy(context->known);
    motley__trace_destroy(context->trace);
    motley__device_close(context->device);
    if (context->node != MPI_COMM_NULL)
        MPI_Comm_free(&context->node);
    if (context->comm != MPI_COMM_NULL)
        MPI_Comm_free(&context->comm);
    free(context->node_of);
    free(context->info);
    free(context->trace_path);
    free(context->profile_path);
    free(context);
}

int motley_context_rank(const motley_context *context)
{
    return context->rank;
}

int motley_context_size(const motley_context *context)
{
    return context->size;
}

const struct motley_device_info *motley_context_device(const motley_context *context, int rank)
{
    return rank < 0 || rank >= context->size ? NULL : &context->info[rank];
}

struct motley__device *motley__context_device_of(motley_context *context)
{
    return context->device;
}
