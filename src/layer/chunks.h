/* A step in chunks, so that rows travel while others are computed.
 *
 * A rank's tokens are cut by number into chunks.  What goes to other ranks and what comes from them lies chunk by chunk
 * in every buffer, and each chunk travels by itself.  Experts compute in batches: with one chunk there is one batch of
 * all pairs; with more, own pairs, which wait for nobody, fill the time until the first chunk is there and while the
 * last one goes back:
 *
 *   batch        0                         1 .. chunks           chunks + 1
 *   its pairs    own, of the first half    received, a chunk     own, of the other half
 *
 * Guests, tokens of other nodes that are spread in this one (gateway.h), are of the chunk in which they came and lie
 * chunk by chunk behind the own tokens; those of their pairs that stay on the rank are computed with what was received
 * of that chunk.
 *
 * Pairs that leave are sorted by slot, a chunk's for a group: groups that are sent to come first, chunk by chunk, so
 * that the send buffer has no gaps.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_CHUNKS_H
#define MOTLEY_LAYER_CHUNKS_H

#include <limits.h>

#include "cl/types.h"

enum { MOTLEY__BATCHES_MOST = MOTLEY__CHUNKS_MOST + 2 };

/* Of T tokens, without guests. */
static inline struct motley__chunks motley__chunks_of(int T, int count)
{
    const int tokens = T / count + (T % count > 0);
    struct motley__chunks chunks = {.count = count, .tokens = tokens > 0 ? tokens : 1, .own = INT_MAX};

    for (int c = 1; c < MOTLEY__CHUNKS_MOST; c++)
        chunks.guests[c] = INT_MAX;
    return chunks;
}

/* The chunk of a token. */
static inline int motley__chunks_at(const struct motley__chunks *chunks, int token)
{
    int c = 0;

    if (token < chunks->own)
        return token / chunks->tokens;
    while (c + 1 < chunks->count && token - chunks->own >= chunks->guests[c + 1])
        c++;
    return c;
}

static inline int motley__chunks_batches(int count)
{
    return count == 1 ? 1 : count + 2;
}

/* The slot of a chunk's pairs for a group, of which `sent` are sent to. */
static inline int motley__chunks_slot(int count, int groups, int sent, int chunk, int group)
{
    return group < sent ? chunk * sent + group : count * sent + chunk * (groups - sent) + group - sent;
}

#endif
