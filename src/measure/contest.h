/* Is another value faster than the default?  Timed alternately, chosen only beyond the noise of the same minutes.
 *
 * A round times the default, every value still in the race, and the default again, so whatever else the machine does
 * slows both.  A few rounds pick the best value; a second series, it against the default alone, must confirm it.
 * Two measurements of an undecided machine then both end at the default.  The default should be built before.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_CONTEST_H
#define MOTLEY_MEASURE_CONTEST_H

enum { MOTLEY__CONTEST_VALUES = 8 };            /* on trial at most, the default among them */

struct motley__contest {
    int values;                                 /* on trial: number 0 is the default, 1 .. values-1 the others */
    /* One sample of a value, *seconds written.  Not 0: that value is out; for number 0 the contest is over. */
    int (*sample)(void *user, int value, double *seconds);
    double (*clock)(void *user);                /* seconds since any start */
    void *user;
    double build_seconds;                       /* for the first sample of each value, one more or less */
    double seconds;                             /* for all others, one round more or less */
};

/* Run it: the number of the value to take, 0 unless another is better.  *gain: how many times as fast, 1 for the
 * default. */
int motley__contest(const struct motley__contest *contest, double *gain);

/* The rule.  n rounds of one value between two samples of the default: 1 when in the middle it is better by at least 2%
 * and by more than twice the typical difference of the default's own samples, in seven of eight rounds it is better
 * at all, its best sample beats the default's best by 2% too (another program on the same cores slows many samples, but
 * not all), and n is at least 5.
 * *gain: the median of the default's time over the value's, written when n > 0. */
int motley__contest_better(int n, const double *before, const double *value, const double *after, double *gain);

#endif
