/* Giving n equal items to R ranks so that the slowest is as fast as can be: the integer optimum.
 *
 * Used for experts and for a trainer's sequences.  Replaces the proportional rounding of HEXA-MoE (arXiv 2411.01288,
 * section 4.3), which is optimal only when time is proportional to the share.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_ALLOCATE_H
#define MOTLEY_ALLOCATE_ALLOCATE_H

#include "base/error.h"

/* Seconds of `rank` with `items` items; must not fall as items grow. */
typedef double motley__allocate_seconds(const void *data, int rank, int items);

/* share[r] items for each rank, their sum n, share[r] <= most[r], such that the largest seconds(r, share[r]) is
 * minimal.  Of equal choices the lower rank gets the item: the same input gives the same shares.
 *
 * most     [R] borrowed, none negative; NULL: no bound
 * what     the items in words, for the message: "experts"
 * share    [R] written
 *
 * O((n + R) log R); of many items for each rank O(R log n) and a few.
 * Errors: MOTLEY_E_DEVICE_MEMORY (the sum of most is below n), MOTLEY_E_MEMORY. */
int motley__allocate(int n, int R, motley__allocate_seconds *seconds, const void *data, const int *most,
                     const char *what, int *share, struct motley_error *error);

/* As even as can be, earlier ranks one more. */
void motley__allocate_even(int n, int R, int *share);

#endif
