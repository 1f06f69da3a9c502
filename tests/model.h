/* What the tests of the model's operators share beside routing.h: arrays in double for the scalar twins.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_MODEL_H
#define MOTLEY_TESTS_MODEL_H

#include <math.h>

#include "routing.h"

/* Owned by the caller. */
static inline double *doubles_of(const float *x, size_t count)
{
    double *y = ARRAY(double, count);
    for (size_t i = 0; i < count; i++)
        y[i] = x[i];
    return y;
}

/* |x - y| / |y|, Euclidean; |x| when y is 0. */
static inline double relative_error(const float *x, const double *y, size_t count)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        difference += (x[i] - y[i]) * (x[i] - y[i]);
        size += y[i] * y[i];
    }
    return sqrt(difference) / (size > 0 ? sqrt(size) : 1);
}

#define ASSERT_NEAR(x, y, count, limit)                                                            \
    do {                                                                                           \
        const double found_ = relative_error(x, y, count);                                         \
        if (!(found_ <= (limit)))                                                                  \
            fail_msg("%s differs from %s by %.3g, more than %.3g", #x, #y, found_, (double)(limit)); \
    } while (0)

/* Derivative of f at *x by central differences of the third order's error. */
static inline double slope(double (*f)(void *self), void *self, double *x, double step)
{
    const double at = *x;
    double value[4];
    for (int i = 0; i < 4; i++) {
        *x = at + (i < 2 ? i - 2 : i - 1) * step;
        value[i] = f(self);
    }
    *x = at;
    return (8 * (value[2] - value[1]) - (value[3] - value[0])) / (12 * step);
}

#endif
