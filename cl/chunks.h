/* The chunk of a token (src/layer/chunks.h).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CHUNKS_H
#define MOTLEY_CL_CHUNKS_H

#include "types.h"

static inline int chunk_of(const struct motley__chunks chunks, int token)
{
    int chunk = 0;
    if (token < chunks.own)
        return (uint)token / (uint)chunks.tokens;
#pragma unroll
    for (int c = 1; c < MOTLEY__CHUNKS_MOST; c++)
        chunk += token - chunks.own >= chunks.guests[c];
    return chunk;
}

#endif
