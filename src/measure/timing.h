/* A number from repeated timings.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_MEASURE_TIMING_H
#define MOTLEY_MEASURE_TIMING_H

/* Median and interquartile range of seconds [n], n > 0, after dropping those that lie more than 1.5 interquartile
 * ranges outside the quartiles; *kept = how many were left.  Sorts `seconds`.  Results are rounded as below. */
void motley__timing(double *seconds, int n, double *median, double *spread, int *kept);

/* To 5 digits: nobody measures more, and files stay readable.  Not positive: 0. */
double motley__timing_round(double value);

#endif
