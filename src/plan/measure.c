/* What each device really does: which points are missing, and timing them together.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/progress.h"
#include "device/gemm.h"
#include "plan/copy.h"
#include "plan/cost.h"
#include "plan/measure.h"
#include "plan/timing.h"
#include "plan/trial.h"

static const double BUDGET_SECONDS = 9;         /* for the curves of a shape */
static const double FORWARD_PART = 0.4;         /* of it, when both directions are measured */
static const double WINDOW_SECONDS = 0.08;      /* the shortest window: 24 periods of a rank with 1 ms slices at 30% */
static const double LONG_SECONDS = 0.4;         /* a pass of that length is its own average: few are enough */
static const double SAMPLE_SECONDS = 0.01;      /* the shortest sample: quick passes are timed in bundles */
static const double NAP_SECONDS = 0.0002;       /* between looks at a barrier: waiting ranks leave the cores alone */
static const double TOLERANCE = 0.10;           /* of a point timed again */

enum {
    SAMPLES = 64,                               /* in one window, at most */
    PASSES = 5,                                 /* of the slowest rank in one window, where they are quick */
    TRIES = 3,                                  /* of a point timed again */
    DENSE_T = 256, DENSE_O = 512, DENSE_I = 512,
    COPY_BYTES = 1 << 24, NO_BYTES = 64, LARGE_COPY = 4,
    SLICE_GRAIN = 32                            /* widths that all kernels can cut */
};

/* One call of motley__measure. */
struct work {
    motley_context *context;                    /* borrowed, and so are the next three */
    const struct motley_layer_shape *shape;
    const struct motley__measure *what;
    struct motley__profile_entry *entry;
    int grid[MOTLEY__GRID], count;              /* the points */
    int E;                                      /* experts on trial: 2, or 1 or 0 when memory is short */
    uint64_t room;                              /* bytes for the trial */
    struct motley__trial *trial;                /* owned; NULL when E is 0 */
    struct motley__progress progress;
    int done;                                   /* points of the progress */
    struct motley_error *error;
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

int motley__measure_slice(int F)
{
    const int quarter = (F / 4 + SLICE_GRAIN - 1) / SLICE_GRAIN * SLICE_GRAIN;
    return quarter > 0 && quarter < F ? quarter : F;
}

/* What the profile has for the shape and its slice. */
static void forget(struct work *w)
{
    struct motley_layer_shape slice = *w->shape;
    slice.F = motley__measure_slice(slice.F);
    motley__curve_forget(w->entry, w->shape);
    motley__curve_forget(w->entry, &slice);
}

/* All ranks are here.  An MPI barrier would spin, on cores that others still compute on. */
static int meet(struct work *w)
{
    MPI_Request request;
    int there = 0, status = motley__fail_mpi(w->error, MPI_Ibarrier(w->context->comm, &request), "MPI_Ibarrier");
    while (!status && !there) {
        status = motley__fail_mpi(w->error, MPI_Test(&request, &there, MPI_STATUS_IGNORE), "MPI_Test");
        if (!status && !there)
            motley__sleep(NAP_SECONDS);
    }
    return status;
}

/* The first failure of any rank, else every rank's largest value. */
static int agree(struct work *w, int failed, double *value)
{
    int status = meet(w);
    if (!status)
        status = motley__agree(w->context->comm, failed, w->error);
    if (!status)
        status = motley__fail_mpi(w->error, MPI_Allreduce(MPI_IN_PLACE, value, 1, MPI_DOUBLE, MPI_MAX,
                                                          w->context->comm), "MPI_Allreduce");
    return status;
}

/* The bits that any rank has set. */
static int agree_bits(struct work *w, int *bits)
{
    return motley__fail_mpi(w->error, MPI_Allreduce(MPI_IN_PLACE, bits, 1, MPI_INT, MPI_BOR, w->context->comm),
                            "MPI_Allreduce");
}

/* A window is long enough for several passes of the slowest rank, unless they are long themselves. */
static double window_seconds(double pass_seconds)
{
    return fmax(WINDOW_SECONDS, fmin(PASSES * pass_seconds, LONG_SECONDS));
}

static int fewest_samples(double pass_seconds)
{
    return pass_seconds < LONG_SECONDS ? 3 : 1;
}

/* Repeat the pass for a window, all ranks from the same moment on; the point gets what came of it.  A pass takes about
 * own_seconds here and slowest_seconds on the slowest rank.  trial NULL: the others work.  Not agreed. */
static int run_window(struct work *w, struct motley__trial *trial, int backward, double own_seconds,
                      double slowest_seconds, struct motley__point *point)
{
    double seconds[SAMPLES];
    const double bundle = ceil(SAMPLE_SECONDS / fmax(own_seconds, 1e-5)), length = window_seconds(slowest_seconds);
    const int repeats = bundle > 1 ? (int)bundle : 1, fewest = fewest_samples(slowest_seconds);
    int status = meet(w), n = 0;
    double begin = motley__seconds();
    while (!status && trial && (n < fewest || motley__seconds() - begin < length)) {
        status = motley__trial_pass(trial, backward, repeats, &seconds[n % SAMPLES], w->error); /* keeps the latest */
        n++;
    }
    if (!status && n > 0)
        motley__timing(seconds, n < SAMPLES ? n : SAMPLES, &point->seconds, &point->spread, &point->samples);
    return status;
}

/* Bytes tell whether the trial's experts can have so many rows. */
static int fits(const struct work *w, int E, int rows)
{
    return motley__trial_bytes(w->shape, E, rows, w->entry->panel, w->what->backward) <= w->room;
}

/* Set the rows and let the runtime build its kernels; *pass_seconds of the slowest rank.  foretold: what a pass should
 * take, 0: unknown; one that took much longer was building, and is repeated.  Agreed. */
static int warm_up(struct work *w, struct motley__trial *trial, int backward, int rows, double foretold,
                   double *own_seconds, double *pass_seconds)
{
    double seconds = 0;
    int status = trial ? motley__trial_rows(trial, rows, w->error) : 0;
    for (int i = 0; i < 2 && trial && !status; i++)
        if (i == 0 || foretold == 0 || seconds * w->E > 2 * foretold)
            status = motley__trial_pass(trial, backward, 1, &seconds, w->error);
    *own_seconds = *pass_seconds = seconds * w->E;
    return agree(w, status, pass_seconds);
}

/* One point by all ranks; *left shrinks by the seconds it took.  foretold as in warm_up.  The point has no samples
 * where this rank cannot hold the rows.  Agreed. */
static int time_point(struct work *w, int backward, int rows, double foretold, double *left,
                      struct motley__point *point)
{
    struct motley__trial *trial = w->E && fits(w, w->E, rows) ? w->trial : NULL;
    double own, pass_seconds;
    int status = warm_up(w, trial, backward, rows, foretold, &own, &pass_seconds);
    if (status)
        return status;
    double begin = motley__seconds(), spent;
    status = run_window(w, trial, backward, own, pass_seconds, point);
    spent = motley__seconds() - begin;
    status = agree(w, status, &spent);
    *left -= spent + pass_seconds;
    return status;
}

/* Seconds of one expert beyond what is measured.  Backward takes twice the operations of forward and something that
 * depends little on the rows (the weights' gradients are written); known from fewer rows, that is the rest. */
static double draw_on(const struct work *w, const struct motley__curve *curve, int rows)
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
static int measure_curve(struct work *w, int backward, int missing, int own, double seconds)
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
        double foretold = w->E * expected;
        status = agree(w, 0, &foretold);
        if (!status && (!timed || foretold * (1 + fewest_samples(foretold)) <= seconds))
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
    return motley__agree(w->context->comm, status, w->error);
}

/* Points that this rank has not; samples of 0 count as had. */
static int missing_points(const struct work *w, int backward)
{
    const struct motley__curve *curve = motley__curve_find(w->entry, w->shape, backward);
    int missing = w->E ? (1 << w->count) - 1 : 0;
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
static int choose_check(struct work *w, const struct motley__curve *curve, int *rows)
{
    const int order[MOTLEY__GRID] = {w->count - 2, w->count - 1, 0};
    int unfit = 0, checks = curve != NULL;
    for (int i = 0; i < w->count; i++)
        if (curve && stored_seconds(curve, w->grid[i]) == 0)
            unfit |= 1 << i;
    unfit |= checks << MOTLEY__GRID;
    int status = agree_bits(w, &unfit);
    *rows = 0;
    for (int i = 0; i < MOTLEY__GRID && !*rows && unfit & 1 << MOTLEY__GRID; i++)
        if (!(unfit & 1 << order[i]))
            *rows = w->grid[order[i]];
    return status;
}

/* Is the device what it was?  Noise only adds up to some tries, a changed device differs in all. */
static int check_curves(struct work *w)
{
    const int backward = w->what->backward;
    const struct motley__curve *curve = w->E ? motley__curve_find(w->entry, w->shape, backward) : NULL;
    double own, pass_seconds, off = 1;
    int rows, status = choose_check(w, curve, &rows);
    if (status || rows == 0)
        return status;
    struct motley__trial *trial = w->E && fits(w, w->E, rows) ? w->trial : NULL;
    const double stored = stored_seconds(curve, rows);
    int mine = trial && stored > 0; /* has a point to check, and no try agreed with it so far */
    status = warm_up(w, trial, backward, rows, stored * w->E, &own, &pass_seconds);
    for (int i = 0; i < TRIES && off > 0 && !status; i++) {
        struct motley__point point = {0};
        status = run_window(w, trial, backward, own, pass_seconds, &point);
        if (mine && fabs(point.seconds - stored) <= TOLERANCE * stored)
            mine = 0;
        off = mine;
        status = agree(w, status, &off);
    }
    if (!status && mine) {
        motley__detail(&w->context->log, "a point of %d rows is more than 10%% off the profile: measuring anew", rows);
        forget(w);
        memset(&w->entry->dense, 0, sizeof w->entry->dense); /* the device is not what it was */
        memset(&w->entry->move, 0, sizeof w->entry->move);
    }
    return status;
}

/* CLBlast compiles for seconds and has never won on a CPU: there it is tried only when MOTLEY_DENSE=measure asks for
 * it. */
static int tries_clblast(const struct work *w)
{
    const char *wish = getenv("MOTLEY_DENSE");
    return motley__gemm_available() && (!w->context->device->is_cpu || (wish && !strcmp(wish, "measure")));
}

static int missing_dense(const struct work *w)
{
    return w->entry->dense.seconds == 0 || (w->entry->dense.clblast == 0 && tries_clblast(w));
}

static int measure_dense(struct work *w)
{
    struct motley__dense_time dense = {.T = DENSE_T, .O = DENSE_O, .I = DENSE_I};
    struct motley__trial *trial = NULL;
    struct motley__point point = {0};
    struct motley_error why = {0};
    double own = 0, pass_seconds = 0;
    if (tries_clblast(w) && motley__linear_choose(w->context->device, dense.T, dense.O, dense.I, &dense.path,
                                                  &dense.esmm, &dense.clblast, &why)) {
        dense.path = MOTLEY__DENSE_ESMM;
        motley__detail(&w->context->log, "CLBlast cannot be used: %s", why.text);
    }
    int status = motley__trial_dense(w->context->device, dense.path, dense.T, dense.O, dense.I, &trial, w->error);
    for (int i = 0; i < 2 && !status; i++)
        status = motley__trial_pass(trial, 0, 1, &own, w->error);
    pass_seconds = own;
    status = agree(w, status, &pass_seconds);
    if (!status)
        status = run_window(w, trial, 0, own, pass_seconds, &point);
    motley__trial_destroy(trial);
    status = agree(w, status, &pass_seconds);
    if (status)
        return status;
    dense.seconds = point.seconds;
    if (dense.esmm == 0)
        dense.esmm = dense.seconds;
    w->entry->dense = dense;
    motley__progress_show(&w->progress, ++w->done, "dense");
    return 0;
}

/* Seconds of a copy of so many bytes by all ranks at the same time.  Agreed. */
static int time_copy(struct work *w, size_t bytes, double *seconds)
{
    struct motley__trial *trial = NULL;
    struct motley__point point = {0};
    double own = 0, pass_seconds;
    int status = motley__trial_copy(w->context->device, bytes, &trial, w->error);
    for (int i = 0; i < 2 && !status; i++)
        status = motley__trial_pass(trial, 0, 1, &own, w->error);
    pass_seconds = own;
    status = agree(w, status, &pass_seconds);
    if (!status)
        status = run_window(w, trial, 0, own, pass_seconds, &point);
    motley__trial_destroy(trial);
    *seconds = point.seconds;
    return agree(w, status, &pass_seconds);
}

static int copy_fits(const struct work *w, size_t bytes)
{
    return 2 * bytes <= w->room && bytes <= w->context->device->max_buffer_bytes;
}

/* Rows move at the speed of a large copy, and nothing takes the time of a small one.  Large is what takes several times
 * as long as nothing: on a fast device more than elsewhere. */
static int measure_move(struct work *w)
{
    double large = 0, small, again = 1;
    size_t bytes = COPY_BYTES;
    while (bytes > 2 * NO_BYTES && !copy_fits(w, bytes))
        bytes /= 2;
    int status = time_copy(w, NO_BYTES, &small);
    while (again > 0 && !status) { /* all ranks once more when one has to */
        status = time_copy(w, bytes, &large);
        again = large < LARGE_COPY * small && copy_fits(w, 4 * bytes);
        bytes *= again > 0 ? 4 : 1;
        status = agree(w, status, &again);
    }
    if (status)
        return status;
    w->entry->move = (struct motley__move){
        .bandwidth = motley__timing_round(2.0 * (double)bytes / fmax(large - small, 1e-9)), .launch = small};
    motley__progress_show(&w->progress, ++w->done, "copies");
    return 0;
}

/* Two experts, so that caches behave as in a step; fewer where they do not fit.  Agreed. */
static int make_trial(struct work *w)
{
    const struct motley__device *device = w->context->device;
    struct motley_error why = {0};
    double nothing = 0;
    int status = 0;
    w->room = device->memory_bytes > device->used_bytes ? device->memory_bytes - device->used_bytes : 0;
    for (w->E = 2; w->E > 0 && !fits(w, w->E, w->grid[w->E == 2 ? w->count - 1 : 0]); w->E--)
        continue;
    if (w->E)
        status = motley__trial_experts(w->context->device, w->shape, w->E, w->what->backward, &w->trial, &why);
    if (status == MOTLEY_E_DEVICE_MEMORY || status == MOTLEY_E_UNSUPPORTED) {
        motley__detail(&w->context->log, "no expert fits: %s", why.text);
        w->E = status = 0;
    }
    if (status)
        status = motley__fail(w->error, status, "%s", why.text);
    return agree(w, status, &nothing);
}

static int count_bits(int bits)
{
    int count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* What is missing anywhere, in the order of the line. */
static int measure_missing(struct work *w, int *changed)
{
    const int both = w->what->backward != 0;
    const double seconds = w->what->seconds > 0 ? w->what->seconds : BUDGET_SECONDS;
    const int own[2] = {missing_points(w, 0), both ? missing_points(w, 1) : 0};
    int bits = own[0] | own[1] << MOTLEY__GRID | missing_dense(w) << 2 * MOTLEY__GRID |
               (w->entry->move.bandwidth == 0) << (2 * MOTLEY__GRID + 1);
    int status = agree_bits(w, &bits);
    if (status)
        return status;
    const int all = (1 << MOTLEY__GRID) - 1, missing[2] = {bits & all, bits >> MOTLEY__GRID & all};
    const int show = w->context->rank == 0 && w->context->log.verbose > 0;
    motley__progress_start(&w->progress, show && bits ? stderr : NULL, "measuring", count_bits(bits));
    if (missing[0])
        status = measure_curve(w, 0, missing[0], own[0], both ? FORWARD_PART * seconds : seconds);
    if (missing[1] && !status)
        status = measure_curve(w, 1, missing[1], own[1], missing[0] ? (1 - FORWARD_PART) * seconds : seconds);
    motley__trial_destroy(w->trial);
    w->trial = NULL;
    if (bits >> 2 * MOTLEY__GRID & 1 && !status)
        status = measure_dense(w);
    if (bits >> 2 * MOTLEY__GRID & 2 && !status)
        status = measure_move(w);
    motley__progress_end(&w->progress);
    *changed = bits != 0;
    return status;
}

/* Where memory is not the host's: the copies between, all ranks at the same time, for they may share a bus.  A device
 * too full for it stays without. */
static int measure_copies(struct work *w, int *changed)
{
    struct motley__device *device = w->context->device;
    const int own = !device->zero_copy && w->entry->copy.out == 0;
    struct motley_error why = {0};
    double nothing = 0;
    int missing = own, status = agree_bits(w, &missing);
    if (status || !missing)
        return status;
    status = meet(w);
    if (!status && own) {
        status = motley__copy_measure(device, &w->entry->copy, &why);
        if (status == MOTLEY_E_DEVICE_MEMORY)
            status = 0;
        if (status)
            motley__fail(w->error, status, "%s", why.text);
    }
    *changed = 1;
    return agree(w, status, &nothing);
}

int motley__measure(motley_context *context, const struct motley_layer_shape *shape, const struct motley__measure *what,
                    struct motley__profile_entry *entry, int *changed, struct motley_error *error)
{
    struct work w = {.context = context, .shape = shape, .what = what, .entry = entry, .error = error};
    w.count = motley__measure_grid(what->rows, w.grid);
    if (what->anew) {
        forget(&w);
        memset(&entry->dense, 0, sizeof entry->dense);
        memset(&entry->copy, 0, sizeof entry->copy);
        memset(&entry->move, 0, sizeof entry->move);
    }
    int status = make_trial(&w);
    if (!status && !what->anew && !what->unchecked)
        status = check_curves(&w);
    if (!status)
        status = measure_missing(&w, changed);
    if (!status)
        status = measure_copies(&w, changed);
    motley__trial_destroy(w.trial);
    return status;
}
