/* A number from repeated timings.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>

#include "base/clock.h"
#include "measure/timing.h"

/* The value at `part` (0..1) of a sorted list, between neighbours in proportion. */
static double quantile(const double *sorted, int n, double part)
{
    double at = part * (n - 1);
    int below = (int)at;
    return below + 1 < n ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[n - 1];
}

double motley__timing_round(double value)
{
    if (!(value > 0))
        return 0;
    double digits = floor(log10(value)) - 4, scale = pow(10, fabs(digits)); /* a whole number: what it makes is exact */
    return digits > 0 ? round(value / scale) * scale : round(value * scale) / scale;
}

void motley__timing(double *seconds, int n, double *median, double *spread, int *kept)
{
    assert(n > 0);
    motley__median(seconds, n); /* sorts */
    double low = quantile(seconds, n, 0.25), high = quantile(seconds, n, 0.75), reach = 1.5 * (high - low);
    int first = 0, last = n;
    while (seconds[first] < low - reach)
        first++;
    while (seconds[last - 1] > high + reach)
        last--;
    seconds += first;
    n = last - first;
    *median = motley__timing_round(motley__median(seconds, n));
    *spread = motley__timing_round(quantile(seconds, n, 0.75) - quantile(seconds, n, 0.25));
    *kept = n;
}
