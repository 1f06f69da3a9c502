/* How far a run has come: the trainer.json of a checkpoint.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_JOURNAL_H
#define MOTLEY_TRAIN_JOURNAL_H

#include "train/data.h"
#include "train/settings.h"

struct motley__journal {
    int64_t step, tokens;           /* steps done; bytes learnt from */
    double seconds;                 /* of all runs together */
    double loss, held_out_loss;     /* the last ones, nats per byte; NaN: none yet */
    uint64_t text_bytes, text_hash; /* identity of the corpus */
};

/* *text owned by the caller: free() it. */
int motley__journal_text(const struct motley__journal *journal, const struct motley__settings *settings, char **text,
                         struct motley_error *error);

/* *options: the saved options, for motley__settings_make; json_decref() it. */
int motley__journal_parse(const char *text, struct motley__journal *journal, json_t **options,
                          struct motley_error *error);

#endif
