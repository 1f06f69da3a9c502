/* What counting alone predicts: bigram and trigram models of bytes, to judge a trained model by.
 *
 *   bigram       p(c|b)  = (n(bc) + 1) / (n(b) + 256)                                      add-one
 *   trigram      p(c|ab) = (n(abc) + t(ab) p(c|b)) / (n(ab) + t(ab))                       Witten-Bell,
 *                p(c|b)  = (n(bc)  + t(b)  p(c))   / (n(b)  + t(b))                        interpolated
 *                p(c)    = (n(c)   + t     / 256)  / (n     + t)                           down to uniform
 *
 * n(h) counts the times the history h was followed by a byte, n(hc) by c, t(h) the distinct bytes that followed; a
 * history never seen leaves the shorter one's answer.  Source: Witten and Bell, "The zero-frequency problem", IEEE
 * Transactions on Information Theory 37(4), 1991.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_NGRAM_H
#define MOTLEY_TRAIN_NGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct motley__ngram; /* opaque; 64 MiB of counts */

int motley__ngram_create(const uint8_t *text, size_t bytes, struct motley__ngram **ngram, struct motley_error *error);
void motley__ngram_destroy(struct motley__ngram *ngram); /* accepts NULL */

/* Probability of byte c behind b, or behind a then b; a < 0: nothing is known before b. */
double motley__ngram_bigram(const struct motley__ngram *ngram, int b, int c);
double motley__ngram_trigram(const struct motley__ngram *ngram, int a, int b, int c);

/* Sums of bits for predicting sequence[1..S] from what precedes each in the sequence, added to both. */
void motley__ngram_bits(const struct motley__ngram *ngram, const uint8_t *sequence, int S, double *bigram,
                        double *trigram);

#endif
