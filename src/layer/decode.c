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
    assert(combine->row >= 0 && combine->rows >= 0 && combine->first >= 0);
    if (combine->rows == 0)
        return 0;
    struct motley__mover mover;
    int status = motley__mover(device, "decode.cl", "combine",
                               (struct motley__row_types){combine->dtype, combine->wire, combine->dtype}, combine->rows,
                               combine->D, &mover, error);
    if (status)
        return status;
    const struct motley__combine_args args = {
        .D = combine->D, .row = combine->row, .rows = combine->rows, .per_item = mover.per_item,
        .first = combine->first,
    };
    return motley__launch(device, mover.kernel, mover.range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(combine->o),
                          MOTLEY__BUFFER(combine->begin), MOTLEY__BUFFER(combine->where),
                          MOTLEY__BUFFER(combine->weight), MOTLEY__BUFFER(combine->returned));
}

static struct motley__decode_args decode_args(const struct motley__decode *decode)
{
    const struct motley__returned *back = &decode->returned;
    assert(decode->T >= 0 && decode->K > 0 && back->streams >= 0 && (!back->streams || back->chunks.tokens > 0));
    return (struct motley__decode_args){
        .D = decode->D, .K = decode->K, .first = decode->first, .T = decode->T, .groups = back->groups,
        .streams = back->streams, .chunks = back->chunks, .row = decode->row, .accumulate = decode->accumulate,
    };
}

int motley__decode(struct motley__device *device, const struct motley__decode *decode, struct motley_error *error)
{
    const struct motley__returned *back = &decode->returned;
    struct motley__decode_args args = decode_args(decode);
    if (decode->T == 0)
        return 0;
    struct motley__mover mover;
    int status = motley__mover(device, "decode.cl", "decode",
                               (struct motley__row_types){decode->dtype, back->wire, decode->out}, decode->T, decode->D,
                               &mover, error);
    if (status)
        return status;
    args.per_item = mover.per_item;
    return motley__launch(device, mover.kernel, mover.range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(decode->where),
                          MOTLEY__BUFFER(decode->o), MOTLEY__BUFFER(decode->weight), MOTLEY__BUFFER(back->indices),
                          MOTLEY__BUFFER(back->server), MOTLEY__BUFFER(back->row), MOTLEY__BUFFER(back->table),
                          MOTLEY__BUFFER(back->rows), MOTLEY__BUFFER(decode->y));
}

int motley__combine_scalars(struct motley__device *device, int pair, int pairs, int first,
                            const struct motley__buffer *s, const struct motley__buffer *where,
                            struct motley__buffer *returned, struct motley_error *error)
{
    assert(pair >= 0 && pairs >= 0 && first >= 0);
    if (pairs == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "decode.cl", "-DV=1", "combine_scalars", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, motley__mover_items(device, pairs), error, MOTLEY__VALUE(pair),
                          MOTLEY__VALUE(pairs), MOTLEY__VALUE(first), MOTLEY__BUFFER(s), MOTLEY__BUFFER(where),
                          MOTLEY__BUFFER(returned));
}

int motley__decode_scalars(struct motley__device *device, const struct motley__decode *decode,
                           const struct motley__buffer *s, struct motley__buffer *out, struct motley_error *error)
{
    const struct motley__returned *back = &decode->returned;
    const struct motley__decode_args args = decode_args(decode);
    if (decode->T == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "decode.cl", "-DV=1", "decode_scalars", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, motley__mover_items(device, args.T * args.K), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(decode->where), MOTLEY__BUFFER(s), MOTLEY__BUFFER(back->indices),
                          MOTLEY__BUFFER(back->server), MOTLEY__BUFFER(back->pair), MOTLEY__BUFFER(back->table),
                          MOTLEY__BUFFER(back->scalars), MOTLEY__BUFFER(out));
}
