/* From experts' outputs back to tokens; the contract is decode.h, the kernels cl/decode.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "cl/types.h"
#include "layer/decode.h"
#include "layer/mover.h"

int motley__combine(struct motley__device *device, const struct motley__combine *combine, struct motley_error *error)
{
    assert(combine->rows >= 0);
    if (combine->rows == 0)
        return 0;
    struct motley__mover mover;
    int status = motley__mover(device, "decode.cl", "combine", combine->dtype, combine->rows, combine->D, &mover,
                               error);
    if (status)
        return status;
    const struct motley__combine_args args = {.D = combine->D, .rows = combine->rows, .per_item = mover.per_item};
    return motley__launch(device, mover.kernel, mover.range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(combine->o),
                          MOTLEY__BUFFER(combine->pair_received), MOTLEY__BUFFER(combine->weight),
                          MOTLEY__BUFFER(combine->returned));
}

static struct motley__decode_args decode_args(const struct motley__decode *decode)
{
    assert(decode->T >= 0 && decode->K > 0 && decode->own_begin <= decode->own_end);
    return (struct motley__decode_args){
        .D = decode->D, .K = decode->K, .T = decode->T, .own_begin = decode->own_begin, .own_end = decode->own_end,
        .accumulate = decode->accumulate,
    };
}

int motley__decode(struct motley__device *device, const struct motley__decode *decode, struct motley_error *error)
{
    struct motley__decode_args args = decode_args(decode);
    if (decode->T == 0)
        return 0;
    struct motley__mover mover;
    int status = motley__mover(device, "decode.cl", "decode", decode->dtype, decode->T, decode->D, &mover, error);
    if (status)
        return status;
    args.per_item = mover.per_item;
    return motley__launch(device, mover.kernel, mover.range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(decode->where),
                          MOTLEY__BUFFER(decode->pair_own), MOTLEY__BUFFER(decode->o),
                          MOTLEY__BUFFER(decode->weights), MOTLEY__BUFFER(decode->returned),
                          MOTLEY__BUFFER(decode->y));
}

/* One work-item per number. */
static struct motley__range scalar_range(const struct motley__device *device, int count)
{
    return (struct motley__range){{(size_t)count}, {device->info.is_gpu ? 128 : 64}};
}

int motley__combine_scalars(struct motley__device *device, int rows, const struct motley__buffer *s,
                            const struct motley__buffer *pair_received, struct motley__buffer *returned,
                            struct motley_error *error)
{
    assert(rows >= 0);
    if (rows == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "decode.cl", "-DV=1", "combine_scalars", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, scalar_range(device, rows), error, MOTLEY__VALUE(rows), MOTLEY__BUFFER(s),
                          MOTLEY__BUFFER(pair_received), MOTLEY__BUFFER(returned));
}

int motley__decode_scalars(struct motley__device *device, const struct motley__decode *decode,
                           const struct motley__buffer *s, const struct motley__buffer *returned,
                           struct motley__buffer *out, struct motley_error *error)
{
    const struct motley__decode_args args = decode_args(decode);
    if (decode->T == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "decode.cl", "-DV=1", "decode_scalars", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, scalar_range(device, args.T * args.K), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(decode->where), MOTLEY__BUFFER(decode->pair_own), MOTLEY__BUFFER(s),
                          MOTLEY__BUFFER(returned), MOTLEY__BUFFER(out));
}
