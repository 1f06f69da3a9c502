/* Training data: bytes on every rank, divided into a part to learn from and a held-out part.
 *
 * The corpus is cut into 20 x n blocks of at most 64 KiB; every 20th is held out, so that both parts come from all
 * over it.  Each part is one run of bytes:
 *
 *   corpus    |0|1|2| ... |19|20| ... |39|40| ...            block = 64 KiB, or a 20th of a small corpus
 *   train     |0|1|2| ... |18|20| ... |38|40| ...
 *   held-out  |19|39| ...
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_DATA_H
#define MOTLEY_TRAIN_DATA_H

#include "train/corpus.h"

struct motley__data {
    uint8_t *bytes;                     /* owned; train and held_out point into it */
    const uint8_t *train, *held_out;
    size_t train_bytes, held_out_bytes;
    uint64_t hash;                      /* of the corpus: its identity */
    int files, skipped;
};

/* Divide a corpus; takes its bytes over, also on failure.  Pure arithmetic: the same corpus gives the same parts. */
int motley__data_split(struct motley__corpus *corpus, struct motley__data *data, struct motley_error *error);

/* Rank 0 reads the files and every rank gets the bytes: no shared filesystem is assumed.
 * S: sequence length; a part that does not hold S+1 bytes is refused.  Collective. */
int motley__data_create(MPI_Comm comm, double time_limit, const char *const *paths, int count, uint64_t limit, int S,
                        struct motley__data *data, struct motley_error *error);
void motley__data_destroy(struct motley__data *data); /* accepts a zeroed one */

/* Sequence i of a step: S+1 bytes from a place that depends on (seed, step, i) alone, whatever the ranks. */
void motley__data_draw(const struct motley__data *data, uint64_t seed, uint64_t step, uint64_t i, int S,
                       uint8_t *sequence);

/* Held-out text is judged on windows of S+1 bytes, the first of which is only context: as many as fit without
 * overlap of predicted bytes, or `most` spread evenly. */
int64_t motley__data_windows(const struct motley__data *data, int S, int64_t most);
void motley__data_window(const struct motley__data *data, int S, int64_t windows, int64_t i, uint8_t *sequence);

#endif
