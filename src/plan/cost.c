/* What a set of experts costs a rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>

#include "layer/expert.h"
#include "plan/cost.h"

/* Point i as far as later points do not contradict it. */
static double seconds_at(const struct motley__curve *curve, int i)
{
    double least = curve->point[i].seconds;
    for (int j = i + 1; j < curve->points; j++)
        least = fmin(least, curve->point[j].seconds);
    return least;
}

double motley__cost_curve(const struct motley__curve *curve, double rows)
{
    const struct motley__point *point = curve->point;
    const int last = curve->points - 1;
    assert(last >= 0);
    if (rows <= 0)
        return 0;
    if (rows <= point[0].rows)
        return seconds_at(curve, 0);
    if (last == 0)
        return point[0].seconds * rows / point[0].rows;
    int i = 1;
    while (i < last && point[i].rows < rows)
        i++;
    double low = seconds_at(curve, i - 1), high = seconds_at(curve, i);
    return low + (high - low) * (rows - point[i - 1].rows) / (point[i].rows - point[i - 1].rows);
}

double motley__cost_expert(const struct motley__profile_entry *entry, const struct motley_layer_shape *shape, double rows,
                           int backward)
{
    double seconds = 0;
    for (int direction = 0; direction <= !!backward; direction++) {
        const struct motley__curve *curve = motley__curve_find(entry, shape, direction);
        if (!curve)
            return 0;
        seconds += motley__cost_curve(curve, rows);
    }
    return seconds;
}

double motley__cost_rows(const struct motley_layer_shape *shape, int64_t tokens)
{
    return (double)tokens * shape->K / shape->E;
}

uint64_t motley__cost_bytes(const struct motley_layer_shape *shape, int experts, int panel, int64_t tokens, int64_t rows,
                            int trained)
{
    const uint64_t D = (uint64_t)shape->D, F = (uint64_t)shape->F, E = (uint64_t)shape->E, K = (uint64_t)shape->K;
    const uint64_t hidden = !trained ? 1 : shape->activation == MOTLEY_SWIGLU ? 4 : 3;
    const uint64_t per_row = 2 * D + hidden * F + 3;
    const uint64_t per_token = E + K * (2 * D + 4);
    return motley__experts_bytes(shape, experts, panel, trained) + sizeof(float) * per_row * (uint64_t)rows +
           sizeof(float) * per_token * (uint64_t)tokens;
}

int motley__cost_most_experts(const struct motley_layer_shape *shape, int panel, int64_t tokens, double rows, int trained,
                              uint64_t memory_bytes)
{
    int low = 0, high = shape->E; /* low always fits (nothing is asked of 0), above high nothing does */
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        int64_t all = (int64_t)ceil(middle * rows);
        if (motley__cost_bytes(shape, middle, panel, tokens, all, trained) <= memory_bytes)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}
