/* loss.csv: one line per step, and the same numbers in memory for the plot.
 *
 *   step,tokens,train_loss,held_out_loss,held_out_bits,bigram_bits,trigram_bits,learning_rate,gradient_norm,
 *   tokens_per_second,seconds
 *
 * Losses are nats per byte, bits are bits per byte; the held-out columns and their baselines are empty on steps
 * without an evaluation.  A run that continues from a checkpoint drops the lines behind it, so it leaves the lines an
 * uninterrupted one would.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_HISTORY_H
#define MOTLEY_TRAIN_HISTORY_H

#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

struct motley__record {
    int64_t step, tokens;
    double train_loss, held_out_loss;       /* nats per byte; held_out_loss NaN: not evaluated */
    double learning_rate, gradient_norm, tokens_per_second, seconds;
};

struct motley__history {
    FILE *stream;
    char *path;                             /* owned */
    struct motley__record *record;          /* [count] owned */
    int64_t count, room;
    double bigram_bits, trigram_bits;       /* per byte, on the held-out windows */
};

/* Keeps the lines of steps up to `last` of a file that is there (0: none), and opens it for more. */
int motley__history_open(const char *path, int64_t last, double bigram_bits, double trigram_bits,
                        struct motley__history *history, struct motley_error *error);
void motley__history_close(struct motley__history *history); /* accepts a zeroed one */

/* Add a line; it has left this process when the call returns. */
int motley__history_add(struct motley__history *history, const struct motley__record *record,
                        struct motley_error *error);

#endif
