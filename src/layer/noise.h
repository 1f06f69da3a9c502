/* Gate noise: normal numbers of standard deviation sigma are added to logits before anything is chosen.
 *
 * Number (token, expert) is a hash of seed, the token's number among those of all ranks, and the expert: the same
 * however tokens lie on ranks.  Source: Flex (arXiv 2206.03382), where sigma is 1 / E in training.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_NOISE_H
#define MOTLEY_LAYER_NOISE_H

#include <stdint.h>

#include "device/buffer.h"

struct motley__noise {
    double sigma;                           /* above 0 */
    uint64_t seed;
    int64_t first;                          /* number of the first token */
    /* What the importance and load loss needs (losses.h); all three or none. */
    struct motley__buffer *clean;           /* [T,E] written: logits without noise */
    struct motley__buffer *lse;             /* [T] written: log sum exp of these */
    struct motley__buffer *last;            /* [T] written by the choice: the noisy logit of the last one */
};

/* logits as the gate has them (gate.h): motley__gate_stride numbers of T tokens.  single: as there. */
int motley__noise_add(struct motley__device *device, const struct motley__noise *noise, int T, int E, int single,
                      struct motley__buffer *logits, struct motley_error *error);

#endif
