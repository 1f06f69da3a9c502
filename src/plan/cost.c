/* What a set of experts costs a rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <limits.h>
#include <math.h>

#include "layer/gate.h"
#include "layer/route.h"
#include "layer/state.h"
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
    double part = (rows - point[i - 1].rows) / (point[i].rows - point[i - 1].rows), seconds = low + (high - low) * part;
    return part <= 1 ? fmin(seconds, high) : fmax(seconds, high); /* rounding must not make it fall */
}

double motley__cost_expert(const struct motley__profile_entry *entry, const struct motley_layer_shape *shape,
                           double rows, int backward)
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

/* The rows of a rank when everything is even: of its N pairs those of its own experts stay, and every rank sends it as
 * many.  Beyond what int can count they are cut off, at 2^31 pairs; no device holds so many. */
static struct motley__row_numbers even_rows(const struct motley_layer_shape *shape,
                                            const struct motley_plan_options *options, int R, int experts)
{
    const double tokens = ceil((double)options->tokens / R), pairs = tokens * shape->K;
    const double stay = floor(pairs * experts / shape->E),
                 arrive = R > 1 ? ceil(pairs * experts / shape->E * (R - 1)) : 0;
    const double largest = INT_MAX;
    return (struct motley__row_numbers){
        .T = (int)fmin(tokens, largest), .N = (int)fmin(pairs, largest),
        .S = (int)fmin(R > 1 ? pairs - stay : 0, largest), .M = (int)fmin(arrive, largest),
        .P = (int)fmin(stay + arrive, largest),
    };
}

uint64_t motley__cost_bytes(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                            int experts, int panel)
{
    const struct motley__row_numbers rows = even_rows(shape, options, R, experts);
    return motley__layer_memory_bytes(&(struct motley__layer_memory){
        .shape = *shape, .E_local = experts, .ranks = R, .panel = panel, .trained = options->backward,
        .backward = options->backward, .losses = options->backward, .layers = options->layers,
        .moments = options->moments, .gate_scratch = motley__gate_scratch_bytes(NULL, rows.T, shape->E),
        .route_scratch = motley__route_scratch_bytes(rows.T, shape->K, shape->E),
        .gate_bytes = sizeof(float) * motley__matrix_numbers(shape->E, shape->D, shape->dtype ? 1 : panel),
        .rows = rows,
    });
}

int motley__cost_most_experts(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                              int panel, uint64_t memory_bytes)
{
    int low = 0, high = shape->E; /* low always fits (nothing is asked of 0), above high nothing does */
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (motley__cost_bytes(shape, options, R, middle, panel) <= memory_bytes)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}
