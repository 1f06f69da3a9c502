/* `motley devices`: what each rank drives.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "base/collective.h"
#include "base/table.h"
#include "cli/cli.h"
#include "context.h"
#include "product/variant.h"

/* The kernels of one rank for a storage type; a value that travels as bytes between equal programs. */
struct kernels {
    char family[16], variant[16], why[256];
    char tuned[1024];                       /* "" where everything has its default */
};

/* *kernels [size] on every rank, owned by the caller.  Collective. */
static int gather_kernels(motley_context *context, enum motley_dtype dtype, struct kernels **kernels,
                          struct motley_error *error)
{
    struct kernels own, *all = NULL;
    int status = motley__context_admit(context, dtype, error);
    if (status)
        return status;
    const struct motley__variant *variant = motley__variant(context->device, dtype);
    memset(&own, 0, sizeof own);
    snprintf(own.family, sizeof own.family, "%s", variant->family);
    snprintf(own.variant, sizeof own.variant, "%s", variant->name);
    snprintf(own.why, sizeof own.why, "%s", context->device->why[dtype]);
    motley__tuning_list(context->device, dtype, own.tuned, sizeof own.tuned);
    all = calloc((size_t)context->size, sizeof *all);
    if (!all)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d ranks", context->size);
    status = motley__context_agree(context, status, error);
    if (!status)
        status = motley__share(context->comm, context->time_limit, &own, sizeof own, MPI_BYTE, all, error);
    if (status) {
        free(all);
        return status;
    }
    *kernels = all;
    return 0;
}

static int print_table(const motley_context *context, const struct kernels *kernels, struct motley_error *error)
{
    struct motley__table *table = motley__table_create(">rank|host|device|platform|driver|>cores|>GiB|family");
    if (!table)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a table");
    for (int r = 0; r < motley_context_size(context); r++) {
        const struct motley_device_info *info = motley_context_device(context, r);
        motley__table_row(table, "%d|%s|%s|%s|%s|%d|%.1f|%s", r, info->host, info->name, info->platform, info->driver,
                          info->cores, (double)info->memory_bytes / (1 << 30), kernels[r].family);
    }
    motley__table_print(table, stdout);
    motley__table_destroy(table);

    /* Why that family and how it is tuned: once for all ranks of which the same is true. */
    putchar('\n');
    for (int r = 0; r < motley_context_size(context); r++) {
        const struct motley_device_info *info = motley_context_device(context, r);
        int told = 0;
        for (int before = 0; before < r && !told; before++)
            told = !strcmp(kernels[before].why, kernels[r].why) && !strcmp(kernels[before].tuned, kernels[r].tuned) &&
                   !strcmp(motley_context_device(context, before)->name, info->name);
        if (!told)
            printf("%s: %s%s%s\n", info->name, kernels[r].why, kernels[r].tuned[0] ? "; tuned: " : "",
                   kernels[r].tuned);
    }
    return 0;
}

static int print_json(const motley_context *context, enum motley_dtype dtype, const struct kernels *kernels,
                      struct motley_error *error)
{
    json_t *ranks = json_array();
    for (int r = 0; r < motley_context_size(context); r++) {
        const struct motley_device_info *info = motley_context_device(context, r);
        json_array_append_new(ranks, json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:i}",
                                               "rank", r, "host", info->host, "platform", info->platform, "device",
                                               info->name, "driver", info->driver, "dtype",
                                               motley__storage_name(dtype), "family", kernels[r].family, "variant",
                                               kernels[r].variant, "why", kernels[r].why, "tuned", kernels[r].tuned,
                                               "memory_bytes", (json_int_t)info->memory_bytes, "gpu", info->is_gpu,
                                               "cores", info->cores));
    }
    json_t *root = json_pack("{s:o}", "ranks", ranks);
    int status = 0;
    if (!root || (int)json_array_size(ranks) != motley_context_size(context))
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for JSON");
    else if (json_dumpf(root, stdout, JSON_INDENT(2)))
        status = motley__fail(error, MOTLEY_E_IO, "standard output cannot be written");
    else
        putchar('\n');
    json_decref(root);
    return status;
}

int motley__command_devices(int argc, char **argv, struct motley__globals *globals)
{
    int dtype = MOTLEY_F32;
    const struct motley__option options[] = {
        {"--dtype", MOTLEY__CHOICE, &dtype, 0, 0, "f32|bf16|f16", "the kernels for this storage type (f32)", 0},
        {0},
    };
    struct motley_error error = {0};
    motley_context *context = NULL;
    struct kernels *kernels = NULL;
    int outcome = motley__options_parse(argc, argv, "devices", "[OPTIONS]", options, globals);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    int status = motley_context_create(MPI_COMM_WORLD, &globals->context, &context, &error);
    if (!status)
        status = gather_kernels(context, (enum motley_dtype)dtype, &kernels, &error);
    if (!status) {
        if (motley_context_rank(context) == 0)
            status = globals->json ? print_json(context, (enum motley_dtype)dtype, kernels, &error)
                                   : print_table(context, kernels, &error);
        status = motley__context_agree(context, status, &error);
    }
    if (status)
        outcome = motley__command_failed("devices", &error);
    free(kernels);
    motley_context_destroy(context);
    return outcome;
}
