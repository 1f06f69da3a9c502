/* Laying out what leaves for other ranks; the contract is encode.h, the kernels cl/encode.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <limits.h>

#include "cl/types.h"
#include "layer/encode.h"
#include "layer/mover.h"

int motley__heads(struct motley__device *device, const struct motley__heads *heads, struct motley_error *error)
{
    assert(heads->N >= 0 && heads->K > 0 && heads->sent >= 0);
    if (heads->N == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "encode.cl", "-DV=1", "heads", &kernel, error);
    if (status)
        return status;
    const struct motley__heads_args args = {
        .N = heads->N, .K = heads->K, .groups = heads->groups, .sent = heads->sent, .chunks = heads->chunks,
        .every = heads->every,
    };
    return motley__launch(device, kernel, motley__mover_items(device, heads->N), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(heads->indices), MOTLEY__BUFFER(heads->server), MOTLEY__BUFFER(heads->slots),
                          MOTLEY__BUFFER(heads->heads));
}

int motley__choices(struct motley__device *device, const struct motley__choices *choices, struct motley_error *error)
{
    assert(choices->N >= 0 && choices->K > 0 && choices->lots > 1);
    if (choices->N == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "encode.cl", "-DV=1", "choices", &kernel, error);
    if (status)
        return status;
    const struct motley__choices_args args = {
        .N = choices->N, .K = choices->K, .E = choices->E, .lots = choices->lots,
    };
    return motley__launch(device, kernel, motley__mover_items(device, choices->N), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(choices->indices), MOTLEY__BUFFER(choices->choices));
}

int motley__encode(struct motley__device *device, const struct motley__encode *encode, struct motley_error *error)
{
    assert(encode->first >= 0 && encode->rows >= 0);
    if (encode->rows == 0)
        return 0;
    struct motley__mover mover;
    int status = motley__mover(device, "encode.cl", "encode",
                               (struct motley__row_types){encode->dtype, encode->wire, encode->dtype}, encode->rows,
                               encode->D, &mover, error);
    if (status)
        return status;
    const struct motley__encode_args args = {
        .D = encode->D, .K = encode->K, .first = encode->first, .rows = encode->rows, .per_item = mover.per_item,
        .own = encode->rest ? encode->T : INT_MAX,
    };
    return motley__launch(device, mover.kernel, mover.range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(encode->x),
                          MOTLEY__BUFFER(encode->rest), MOTLEY__BUFFER(encode->order), MOTLEY__BUFFER(encode->send));
}

int motley__widen(struct motley__device *device, const struct motley__widen *widen, struct motley_error *error)
{
    assert(widen->first >= 0 && widen->rows >= 0);
    if (widen->rows == 0)
        return 0;
    struct motley__mover mover;
    int status = motley__mover(device, "encode.cl", "widen",
                               (struct motley__row_types){widen->dtype, widen->wire, widen->dtype}, widen->rows,
                               widen->D, &mover, error);
    if (status)
        return status;
    const struct motley__widen_args args = {
        .D = widen->D, .first = widen->first, .rows = widen->rows, .per_item = mover.per_item,
    };
    return motley__launch(device, mover.kernel, mover.range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(widen->arrived),
                          MOTLEY__BUFFER(widen->x));
}

int motley__encode_pairs(struct motley__device *device, const struct motley__encode_pairs *encode,
                         struct motley_error *error)
{
    assert(encode->pairs >= 0);
    if (encode->pairs == 0)
        return 0;
    cl_kernel kernel;
    int status = motley__kernel(device, "encode.cl", "-DV=1", "encode_pairs", &kernel, error);
    if (status)
        return status;
    const struct motley__encode_pairs_args args = {.pairs = encode->pairs};
    return motley__launch(device, kernel, motley__mover_items(device, encode->pairs), error, MOTLEY__VALUE(args),
                          MOTLEY__BUFFER(encode->indices), MOTLEY__BUFFER(encode->name),
                          MOTLEY__BUFFER(encode->weights),
                          MOTLEY__BUFFER(encode->slots), MOTLEY__BUFFER(encode->order),
                          MOTLEY__BUFFER(encode->pair_offsets), MOTLEY__BUFFER(encode->row),
                          MOTLEY__BUFFER(encode->row_offsets), MOTLEY__BUFFER(encode->list));
}
