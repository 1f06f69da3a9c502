/* What each device really does: which points of experts' curves are missing, and timing them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cost/cost.h"
#include "measure/measuring.h"
#include "measure/timing.h"

static const double BUDGET_SECONDS = 9;         /* for the curves of a shape */
static const double FORWARD_PART = 0.4;         /* of it, when both directions are measured */
static const double TOLERANCE = 0.10;           /* of a point timed again */

enum {
    TRIES = 3,                                  /* of a point timed again */
    FEW_ROWS = 64,                              /* up to which the weights' way through the caches counts most */
    CACHES = 2                                  /* that the weights of a step are taken to fill */
};

int motley__measure_grid(double rows, int grid[MOTLEY__GRID])
{
    static const int all[] = {1, 4, 16, 64, 256, 1024};
    const int last = (int)(sizeof all / sizeof *all) - 1;
    int top = 1, count = 0; /* a slope needs two points */
    while (top < last && all[top] < rows)
        top++;
    for (int i = top > 2 ? top - 2 : 0; i <= top; i++)
        grid[count++] = all[i];
    return count;
}

/* What the profile has for the shape and its slice. */
static void forget(struct motley__measuring *w)
{
    struct motley_layer_shape slice = *w->shape;
    slice.F = motley__curve_slice(slice.F);
    motley__curve_forget(w->entry, w->shape);
    motley__curve_forget(w->entry, &slice);
}

/* Bytes tell whether the trial's experts can have so many rows. */
static int fits(const struct motley__measuring *w, int E, int rows)
{
    return motley__trial_bytes(w->shape, E, rows, w->entry->panel, w->what->backward) <= w->room;
}

/* The experts that are timed with so many rows; none where they do not fit. */
static struct motley__pool pool_for(const struct motley__measuring *w, int rows)
{
    const struct motley__pool *pool = w->few.E && (rows <= FEW_ROWS || !w->many.E) ? &w->few : &w->many;
    return pool->E && fits(w, pool->E, rows) ? *pool : (struct motley__pool){0};
}

/* Set the rows and let the runtime build its kernels; *pass_seconds of the slowest rank.  foretold: what a pass should
 * take, 0: unknown; one that took much longer was building, and is repeated.  Agreed. */
static int warm_up(struct motley__measuring *w, const struct motley__pool *pool, int backward, int rows,
                   double foretold, double *own_seconds, double *pass_seconds)
{
    double seconds = 0;
    int status = pool->trial ? motley__trial_rows(pool->trial, rows, w->error) : 0;
    for (int i = 0; i < 2 && pool->trial && !status; i++)
        if (i == 0 || foretold == 0 || seconds * pool->E > 2 * foretold)
            status = motley__trial_pass(pool->trial, backward, 1, &seconds, w->error);
    *own_seconds = *pass_seconds = seconds * pool->E;
    return motley__measuring_agree(w, status, pass_seconds);
}

/* One point by all ranks; *left shrinks by the seconds it took.  foretold as in warm_up.  The point has no samples
 * where this rank cannot hold the rows.  Agreed. */
static int time_point(struct motley__measuring *w, int backward, int rows, double foretold, double *left,
                      struct motley__point *point)
{
    const struct motley__pool pool = pool_for(w, rows);
    double own, pass_seconds;
    int status = warm_up(w, &pool, backward, rows, foretold, &own, &pass_seconds);
    if (status)
        return status;
    double begin = motley__seconds(), spent;
    status = motley__measuring_window(w, pool.trial, backward, own, pass_seconds, point);
    spent = motley__seconds() - begin;
    status = motley__measuring_agree(w, status, &spent);
    *left -= spent + pass_seconds;
    return status;
}

/* Seconds of one expert beyond what is measured.  Backward takes twice the operations of forward and something that
 * depends little on the rows (the weights' gradients are written); known from fewer rows, that is the rest. */
static double draw_on(const struct motley__measuring *w, const struct motley__curve *curve, int rows)
{
    const struct motley__curve *forward = curve->backward ? motley__curve_find(w->entry, w->shape, 0) : NULL;
    if (curve->points == 0)
        return 0;
    const struct motley__point *last = &curve->point[curve->points - 1];
    if (!forward || last->rows >= rows)
        return motley__cost_curve(curve, rows);
    return last->seconds + 2 * (motley__cost_curve(forward, rows) - motley__cost_curve(forward, last->rows));
}

/* The points of one direction: `missing` bits are those that any rank lacks, `own` those that this rank lacks. */
static int measure_curve(struct motley__measuring *w, int backward, int missing, int own, double seconds)
{
    const struct motley__curve *known = motley__curve_find(w->entry, w->shape, backward);
    struct motley__curve curve = {.backward = backward, .D = w->shape->D, .F = w->shape->F,
                                  .activation = (int)w->shape->activation, .bias = w->shape->bias,
                                  .dtype = (int)w->shape->dtype};
    int status = 0, timed = 0;
    if (known)
        curve = *known;
    for (int i = 0; i < w->count && !status; i++) {
        if (!(missing & 1 << i))
            continue;
        const double expected = draw_on(w, &curve, w->grid[i]);
        struct motley__point point = {.rows = w->grid[i]};
        double foretold = pool_for(w, w->grid[i]).E * expected;
        status = motley__measuring_agree(w, 0, &foretold);
        if (!status && (!timed || foretold * (1 + motley__measuring_fewest(foretold)) <= seconds))
            status = time_point(w, backward, w->grid[i], foretold, &seconds, &point);
        timed = 1;
        if (point.samples == 0)
            point.seconds = motley__timing_round(expected);
        if (own & 1 << i && point.seconds > 0)
            motley__curve_set(&curve, &point);
        motley__progress_show(&w->progress, ++w->done, "%s, %d rows", backward ? "backward" : "forward", w->grid[i]);
    }
    if (!status && own && curve.points > 0)
        status = motley__curve_put(w->entry, &curve, w->error);
    return motley__context_agree(w->context, status, w->error);
}

/* Points that this rank has not; samples of 0 count as had. */
static int missing_points(const struct motley__measuring *w, int backward)
{
    const struct motley__curve *curve = motley__curve_find(w->entry, w->shape, backward);
    int missing = w->many.E || w->few.E ? (1 << w->count) - 1 : 0;
    for (int p = 0; curve && p < curve->points; p++)
        for (int i = 0; i < w->count; i++)
            if (curve->point[p].rows == w->grid[i])
                missing &= ~(1 << i);
    return missing;
}

/* The stored time of a number of rows; 0 when it was never timed. */
static double stored_seconds(const struct motley__curve *curve, int rows)
{
    for (int p = 0; curve && p < curve->points; p++)
        if (curve->point[p].rows == rows && curve->point[p].samples > 0)
            return curve->point[p].seconds;
    return 0;
}

/* A point that every rank with a curve has timed, rather below the planned rows than above: it is quicker.  *rows 0:
 * none. */
static int choose_check(struct motley__measuring *w, const struct motley__curve *curve, int *rows)
{
    const int order[MOTLEY__GRID] = {w->count - 2, w->count - 1, 0};
    int unfit = 0, checks = curve != NULL;
    for (int i = 0; i < w->count; i++)
        if (curve && stored_seconds(curve, w->grid[i]) == 0)
            unfit |= 1 << i;
    unfit |= checks << MOTLEY__GRID;
    int status = motley__measuring_agree_bits(w, &unfit);
    *rows = 0;
    for (int i = 0; i < MOTLEY__GRID && !*rows && unfit & 1 << MOTLEY__GRID; i++)
        if (!(unfit & 1 << order[i]))
            *rows = w->grid[order[i]];
    return status;
}

/* Is the device what it was?  Noise only adds up to some tries, a changed device differs in all. */
static int check_curves(struct motley__measuring *w)
{
    const int backward = w->what->backward;
    const int any = w->many.E || w->few.E;
    const struct motley__curve *curve = any ? motley__curve_find(w->entry, w->shape, backward) : NULL;
    double own, pass_seconds, off = 1;
    int rows, status = choose_check(w, curve, &rows);
    if (status || rows == 0)
        return status;
    const struct motley__pool pool = pool_for(w, rows);
    const double stored = stored_seconds(curve, rows);
    int mine = pool.trial && stored > 0; /* has a point to check, and no try agreed with it so far */
    status = warm_up(w, &pool, backward, rows, stored * pool.E, &own, &pass_seconds);
    for (int i = 0; i < TRIES && off > 0 && !status; i++) {
        struct motley__point point = {0};
        status = motley__measuring_window(w, pool.trial, backward, own, pass_seconds, &point);
        if (mine && fabs(point.seconds - stored) <= TOLERANCE * stored)
            mine = 0;
        off = mine;
        status = motley__measuring_agree(w, status, &off);
    }
    if (!status && mine) {
        motley__detail(&w->context->log, "a point of %d rows is more than 10%% off the profile: measuring anew", rows);
        forget(w);
        memset(&w->entry->dense, 0, sizeof w->entry->dense); /* the device is not what it was */
        memset(&w->entry->move, 0, sizeof w->entry->move);
    }
    return status;
}

/* E experts, fewer where they do not fit with these rows.  A device too full for any has none. */
static int make_pool(struct motley__measuring *w, int E, int rows, struct motley__pool *pool)
{
    struct motley_error why = {0};
    int status = 0;
    for (pool->E = E; pool->E > 0 && !fits(w, pool->E, rows); pool->E--)
        continue;
    if (pool->E)
        status = motley__trial_experts(w->context->device, w->shape, pool->E, w->what->backward, &pool->trial, &why);
    if (status == MOTLEY_E_DEVICE_MEMORY || status == MOTLEY_E_UNSUPPORTED) {
        motley__detail(&w->context->log, "no expert fits: %s", why.text);
        pool->E = status = 0;
    }
    return status ? motley__fail(w->error, status, "%s", why.text) : 0;
}

/* Experts that fill the caches, as those of a step do: with few rows that is what their time depends on. */
static int cold_experts(const struct motley__measuring *w)
{
    const struct motley_layer_shape *shape = w->shape;
    const uint64_t bytes = motley__experts_bytes(shape, 1, 0, w->entry->panel, w->what->backward, 0);
    const uint64_t wanted = CACHES * w->context->device->cache_bytes / (bytes + 1) + 1;
    const int most = shape->E < MOTLEY__TRIAL_EXPERTS ? shape->E : MOTLEY__TRIAL_EXPERTS;
    return wanted < (uint64_t)most ? (int)wanted : most;
}

/* Two experts for the points of many rows, for they stay in no cache with so many; more for those of few.  Agreed. */
static int make_pools(struct motley__measuring *w)
{
    const struct motley__device *device = w->context->device;
    const int top = w->grid[w->count - 1], cold = cold_experts(w);
    const uint64_t room = device->memory_bytes > device->used_bytes ? device->memory_bytes - device->used_bytes : 0;
    double nothing = 0;
    int status = 0;
    w->room = room / 4; /* of both pools together there is enough then */
    if (w->grid[0] <= FEW_ROWS && cold > 2)
        status = make_pool(w, cold, top < FEW_ROWS ? top : FEW_ROWS, &w->few);
    w->room = w->few.E ? room - w->room : room;
    if (!status && (top > FEW_ROWS || !w->few.E))
        status = make_pool(w, 2, top, &w->many);
    if (!status && !w->few.E && !w->many.E)
        status = make_pool(w, 1, w->grid[0], &w->many);
    return motley__measuring_agree(w, status, &nothing);
}

static void drop_pools(struct motley__measuring *w)
{
    motley__trial_destroy(w->few.trial);
    motley__trial_destroy(w->many.trial);
    w->few = w->many = (struct motley__pool){0};
}

static int count_bits(int bits)
{
    int count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* What is missing anywhere, in the order of the line. */
static int measure_missing(struct motley__measuring *w, int *changed)
{
    const int both = w->what->backward != 0;
    const double seconds = w->what->seconds > 0 ? w->what->seconds : BUDGET_SECONDS;
    const int own[2] = {missing_points(w, 0), both ? missing_points(w, 1) : 0};
    int bits = own[0] | own[1] << MOTLEY__GRID | motley__measure_misses_dense(w) << 2 * MOTLEY__GRID |
               (w->entry->move.bandwidth == 0) << (2 * MOTLEY__GRID + 1);
    int status = motley__measuring_agree_bits(w, &bits);
    if (status)
        return status;
    const int all = (1 << MOTLEY__GRID) - 1, missing[2] = {bits & all, bits >> MOTLEY__GRID & all};
    const int show = w->context->rank == 0 && w->context->log.verbose > 0;
    motley__progress_start(&w->progress, show && bits ? stderr : NULL, "measuring", count_bits(bits));
    if (missing[0])
        status = measure_curve(w, 0, missing[0], own[0], both ? FORWARD_PART * seconds : seconds);
    if (missing[1] && !status)
        status = measure_curve(w, 1, missing[1], own[1], missing[0] ? (1 - FORWARD_PART) * seconds : seconds);
    drop_pools(w);
    if (bits >> 2 * MOTLEY__GRID & 1 && !status)
        status = motley__measure_dense(w);
    if (bits >> 2 * MOTLEY__GRID & 2 && !status)
        status = motley__measure_move(w);
    motley__progress_end(&w->progress);
    *changed = bits != 0;
    return status;
}

int motley__measure(motley_context *context, const struct motley_layer_shape *shape, const struct motley__measure *what,
                    struct motley__profile_entry *entry, int *changed, struct motley_error *error)
{
    struct motley__measuring w = {.context = context, .shape = shape, .what = what, .entry = entry, .error = error};
    w.count = motley__measure_grid(what->rows, w.grid);
    if (what->anew) {
        forget(&w);
        memset(&entry->dense, 0, sizeof entry->dense);
        memset(&entry->copy, 0, sizeof entry->copy);
        memset(&entry->move, 0, sizeof entry->move);
    }
    int status = make_pools(&w);
    if (!status && !what->anew && !what->unchecked)
        status = check_curves(&w);
    if (!status)
        status = measure_missing(&w, changed);
    if (!status)
        status = motley__measure_copies(&w, changed);
    drop_pools(&w);
    return status;
}
