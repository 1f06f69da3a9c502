/* Gathering the rows that leave for other ranks; the contract is encode.h, the kernel cl/encode.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>

#include "layer/encode.h"
#include "layer/mover.h"

int motley__encode(struct motley__device *device, const struct motley__encode *encode, struct motley_error *error)
{
    assert(encode->rows >= 0 && encode->own_begin <= encode->own_end);
    if (encode->rows == 0)
        return 0;
    struct motley__mover mover;
    int status = motley__mover(device, "encode.cl", "encode", encode->dtype, encode->rows, encode->D, &mover, error);
    if (status)
        return status;
    const struct motley__encode_args args = {
        .D = encode->D, .K = encode->K, .rows = encode->rows, .per_item = mover.per_item,
        .own_begin = encode->own_begin, .own_end = encode->own_end,
    };
    const struct motley__buffer *send_weights = encode->weights ? encode->send_weights : NULL;
    return motley__launch(device, mover.kernel, mover.range, error, MOTLEY__VALUE(args), MOTLEY__BUFFER(encode->x),
                          MOTLEY__BUFFER(encode->weights), MOTLEY__BUFFER(encode->order),
                          MOTLEY__BUFFER(encode->send), MOTLEY__BUFFER(send_weights));
}
