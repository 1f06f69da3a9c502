/* Seconds, and the median of some.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_CLOCK_H
#define MOTLEY_BASE_CLOCK_H

/* Monotonic seconds since an arbitrary start. */
double motley__seconds(void);

void motley__sleep(double seconds);

/* Sorts `values`; the middle one, or the mean of the two middle ones; 0 when n is 0. */
double motley__median(double *values, int n);

#endif
