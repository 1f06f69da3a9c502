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
 * Pairs that leave are sorted by slot, a chunk's for a group: groups that are sent to come first, chunk by chunk, so
 * that the send buffer has no gaps.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_CHUNKS_H
#define MOTLEY_LAYER_CHUNKS_H

enum { MOTLEY__CHUNKS_MOST = 8, MOTLEY__BATCHES_MOST = MOTLEY__CHUNKS_MOST + 2 };

struct motley__chunks {
    int count;
    int tokens;                     /* of each; the last ones may have fewer, or none */
};

static inline struct motley__chunks motley__chunks_of(int T, int count)
{
    const int tokens = T / count + (T % count > 0);

    return (struct motley__chunks){count, tokens > 0 ? tokens : 1};
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
