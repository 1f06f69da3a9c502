/* What a set of experts costs a rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <limits.h>
#include <math.h>

#include "cost/cost.h"
#include "layer/capacity.h"
#include "layer/gate.h"
#include "layer/state.h"

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

/* Put in its place, unless it is there.  Where there are too many, the widest makes room for a wider one, or the
 * widest but one goes. */
static void add_width(struct motley__widths *widths, int width, double seconds)
{
    const int full = widths->points == MOTLEY__WIDTHS;
    int at = widths->points - full;
    for (int i = 0; i < widths->points; i++)
        if (widths->width[i] == width)
            return;
    if (!full)
        widths->points++;
    else if (width > widths->width[at])
        at = widths->points;
    else
        at--;
    for (; at > 0 && widths->width[at - 1] > width; at--) {
        widths->width[at] = widths->width[at - 1];
        widths->seconds[at] = widths->seconds[at - 1];
    }
    at -= at == MOTLEY__WIDTHS;
    widths->width[at] = width;
    widths->seconds[at] = seconds;
}

void motley__cost_widths(const struct motley__profile_entry *entry, const struct motley_layer_shape *shape, double rows,
                         int backward, struct motley__widths *widths)
{
    widths->points = 0;
    for (int c = 0; c < entry->curves; c++) {
        const struct motley__curve *curve = &entry->curve[c];
        struct motley_layer_shape slice = *shape;
        slice.F = curve->F;
        if (curve->backward || curve->D != shape->D || curve->F > shape->F ||
            curve->activation != (int)shape->activation || !curve->bias != !shape->bias ||
            curve->dtype != (int)shape->dtype)
            continue;
        const double seconds = motley__cost_expert(entry, &slice, rows, backward);
        if (seconds > 0)
            add_width(widths, curve->F, seconds);
    }
    for (int i = widths->points - 1; i > 0; i--) /* noise only adds: see seconds_at */
        widths->seconds[i - 1] = fmin(widths->seconds[i - 1], widths->seconds[i]);
}

double motley__cost_width(const struct motley__widths *widths, int width)
{
    const int *known = widths->width, last = widths->points - 1;
    const double *seconds = widths->seconds;
    int i = 1;
    assert(last >= 0);
    if (width <= 0)
        return 0;
    if (last == 0)
        return seconds[0] * width / known[0];
    while (i < last && known[i] < width)
        i++;
    const double slope = (seconds[i] - seconds[i - 1]) / (known[i] - known[i - 1]);
    const double line = seconds[i - 1] + slope * (width - known[i - 1]);
    return width < known[0] ? fmax(line, seconds[0] * width / known[0]) : line;
}

double motley__cost_rows(const struct motley_layer_shape *shape, int64_t tokens)
{
    return (double)tokens * shape->K / shape->E;
}

double motley__cost_kept(const struct motley_layer_shape *shape, const struct motley_plan_options *options,
                         double share)
{
    const double T = (double)options->tokens, K = shape->K, mean = T * K * share;
    const double chance = fmin(1, K * share), deviation = sqrt(T * chance * (1 - chance));
    if (options->capacity == 0 || !(T > 0))
        return share;
    const double over = mean - (double)motley__capacity_rows(options->capacity, options->tokens, shape->E, shape->K);
    if (!(deviation > 0))
        return (mean - fmax(0, over)) / (T * K);
    const double x = over / deviation, density = exp(-x * x / 2) / sqrt(2 * acos(-1)); /* of a normal number */
    const double dropped = over * erfc(-x / sqrt(2)) / 2 + deviation * density;
    return fmax(0, mean - fmax(0, dropped)) / (T * K);
}

double motley__cost_busy(const struct motley_layer_shape *shape, double tokens)
{
    const double missed = shape->K < shape->E ? pow(1 - (double)shape->K / shape->E, fmax(1, tokens)) : 0;
    return 1 - missed;
}

double motley__cost_reach(const struct motley_layer_shape *shape, double experts)
{
    double missed = 1;
    for (int k = 0; k < shape->K && missed > 0; k++)
        missed *= fmax(0, (shape->E - experts - k) / (shape->E - k));
    return 1 - missed;
}

double motley__cost_reach_of(const struct motley_layer_shape *shape, const double *share, int count, double whole)
{
    double missed = 1, left = whole;
    for (int i = 0; i < count && missed > 0; i++) {
        missed *= left > 0 ? fmax(0, 1 - shape->K * share[i] / left) : 0;
        left -= share[i];
    }
    return 1 - missed;
}

struct motley__whole motley__cost_whole(const struct motley__profile_entry *entry,
                                        const struct motley_layer_shape *shape)
{
    return (struct motley__whole){motley__curve_find(entry, shape, 0), motley__curve_find(entry, shape, 1)};
}

double motley__cost_all(const struct motley__whole *whole, const struct motley_layer_shape *shape, double tokens,
                        double kept, int backward)
{
    const double busy = motley__cost_busy(shape, tokens), rows = kept * tokens * shape->K / shape->E / busy;
    if (!whole->forward || (backward && !whole->backward))
        return 0;
    return shape->E * busy * (motley__cost_curve(whole->forward, rows) +
                              (backward ? motley__cost_curve(whole->backward, rows) : 0));
}

/* Beyond what int can count rows are cut off, at 2^31 pairs; no device holds so many. */
static int whole(double rows)
{
    return (int)fmin(ceil(rows), INT_MAX);
}

/* Of pieces of weights on their way (exchange/redistribution.h): both ways, gradients too when trained. */
static uint64_t pieces_bytes(const struct motley_layer_shape *shape, const struct motley__duty *duty, int R,
                             int trained)
{
    const int even = (shape->F + R - 1) / R, width = duty->width > even ? duty->width : even;
    const uint64_t experts = (uint64_t)(duty->caches ? shape->E : 1);
    const uint64_t flow = experts * (uint64_t)width * (uint64_t)shape->D * sizeof(float); /* of one projection */
    const uint64_t piece = flow < MOTLEY__PIECE_BYTES ? flow : MOTLEY__PIECE_BYTES;
    return R > 1 && (duty->caches || duty->lots > 1)
               ? (trained ? 2 : 1) * 2 * MOTLEY__REDISTRIBUTION_SLOTS * piece : 0;
}

/* What crosses between nodes; each row may have all of its pairs. */
static struct motley__far_numbers far_rows(const struct motley_layer_shape *shape, const struct motley__duty *duty)
{
    const int pairs = whole(duty->crossing * shape->K);
    return (struct motley__far_numbers){.S = whole(duty->crossing), .B = whole(duty->crossing), .S_pairs = pairs,
                                        .B_pairs = pairs, .M = whole(duty->guests),
                                        .M_pairs = whole(duty->guests * shape->K)};
}

uint64_t motley__cost_bytes(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                            const struct motley__duty *duty, int panel)
{
    const double own = duty->tokens * shape->K, stay = own + duty->guests * shape->K; /* at most those of its experts */
    struct motley__layer_memory memory = {
        .shape = *shape, .E_local = duty->experts + duty->replicas, .replicas = duty->replicas, .lots = duty->lots,
        .cache_scratch = pieces_bytes(shape, duty, R, options->backward), .hidden_end = shape->F,
        .ranks = duty->caches ? 1 : R, .groups = R,
        .streams = R - 1, .panel = panel, .wire = options->wire,
        .trained = options->backward, .backward = options->backward, .losses = options->backward,
        .layers = options->layers, .moments = options->moments, .capacity = options->capacity != 0,
        .gate_scratch = motley__gate_scratch_bytes(NULL, whole(duty->tokens), motley__gate_widest(shape)),
        .gate_bytes = sizeof(float) * motley__matrix_numbers(shape->E, motley__gate_inputs(shape),
                                                             shape->dtype ? 1 : panel),
        .projection_bytes = sizeof(float) * motley__matrix_numbers(shape->gate_width, shape->D,
                                                                   shape->dtype ? 1 : panel),
        .far_groups = duty->sets ? duty->sets + 1 : 0, .far_streams = duty->sets, .named = duty->sets ? duty->named : 0,
        .rows = {.T = whole(duty->tokens), .N = whole(own), .tokens = whole(duty->tokens + duty->guests),
                 .pairs = whole(stay), .far = far_rows(shape, duty), .S = whole(duty->gathered),
                 .S_pairs = whole(fmin(duty->gathered * shape->K, stay)), .B = whole(duty->sent),
                 .B_pairs = whole(duty->sent * shape->K), .M = whole(duty->received),
                 .M_pairs = whole(fmin(duty->received * shape->K, duty->pairs)), .P = whole(duty->pairs)},
    };
    struct motley_layer_shape slice = *shape;
    slice.F = duty->width;
    if (!duty->caches) {
        memory.hidden_end = duty->width;
        return motley__layer_memory_bytes(&memory);
    }
    const int copies = (options->backward ? 1 : 0) + options->moments;
    const int masters = options->moments > 0 && shape->dtype != MOTLEY_F32;
    const uint64_t layers = options->layers > 1 ? (uint64_t)options->layers : 1;
    const uint64_t full = motley__experts_bytes(shape, shape->E, 0, panel, options->backward ? 1 : 0, 0);
    memory.E_local = 0; /* what is stored differs from what is computed with */
    return motley__layer_memory_bytes(&memory) + full +
           layers * motley__experts_bytes(&slice, duty->experts, 0, panel, copies, masters);
}
