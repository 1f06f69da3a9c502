/* Choosing the next token from logits.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MODEL_GENERATE_H
#define MOTLEY_MODEL_GENERATE_H

#include <stdint.h>

#include "base/error.h"

struct motley__decoder;

/* A value. */
struct motley__sampling {
    double temperature;   /* 0: always the likeliest token */
    double top_p;         /* the fewest tokens, likeliest first, whose probabilities reach it; 0 or 1: all */
    int top_k;            /* only the so many likeliest; 0: all */
    uint64_t seed;
};

/* MOTLEY_E_INVALID names the number that makes no sense. */
int motley__sampling_check(const struct motley__sampling *sampling, struct motley_error *error);

/* The token at `position` of the text: depends on nothing but its arguments.  Ties go to the lower token.
 * vocabulary is at most 256. */
int motley__sample(const struct motley__sampling *sampling, int vocabulary, const float *logits, uint64_t position);

/* Continue a prompt.  rank 0 holds prompt [prompt_bytes] (1 at least) and writes text [count]; the other ranks' are
 * ignored.  At the model's last position the window moves on: the later half of what it saw is kept.
 * emit: called on rank 0 with each new byte, or NULL.  Collective; sampling and count are the same on every rank. */
int motley__generate(struct motley__decoder *decoder, const struct motley__sampling *sampling, const uint8_t *prompt,
                     int64_t prompt_bytes, int64_t count, uint8_t *text, void (*emit)(void *self, uint8_t byte),
                     void *self, struct motley_error *error);

#endif
