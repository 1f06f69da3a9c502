/* loss.svg: the losses of a run as a picture.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_PLOT_H
#define MOTLEY_TRAIN_PLOT_H

#include "train/history.h"

/* Bits per byte over steps: training (averaged where steps lie closer than pixels), held-out, bigram and trigram.
 * caption: one line below the title, borrowed.  Written whole or not at all. */
int motley__plot_write(const char *path, const struct motley__history *history, int64_t steps, const char *caption,
                       struct motley_error *error);

#endif
