/* What a device does beside its experts: dense products, moving rows, copies to and from the host.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/gemm.h"
#include "measure/copy.h"
#include "measure/measuring.h"
#include "measure/timing.h"

enum {
    DENSE_T = 256, DENSE_O = 512, DENSE_I = 512,
    COPY_BYTES = 1 << 24, NO_BYTES = 64, LARGE_COPY = 4 /* times nothing */
};

/* CLBlast compiles for seconds and has never won on a CPU: there it is tried only when MOTLEY_DENSE=measure asks for
 * it. */
static int tries_clblast(const struct motley__measuring *w)
{
    const char *wish = getenv("MOTLEY_DENSE");
    return motley__gemm_available() && (!w->context->device->is_cpu || (wish && !strcmp(wish, "measure")));
}

int motley__measure_misses_dense(const struct motley__measuring *w)
{
    return w->entry->dense.seconds == 0 || (w->entry->dense.clblast == 0 && tries_clblast(w));
}

/* One point of a trial by all ranks; it ends the trial.  failed: what making it came to.  Agreed. */
static int time_trial(struct motley__measuring *w, struct motley__trial *trial, int failed, struct motley__point *point)
{
    double own = 0, pass_seconds;
    int status = failed;
    for (int i = 0; i < 2 && !status; i++)
        status = motley__trial_pass(trial, 0, 1, &own, w->error);
    pass_seconds = own;
    status = motley__measuring_agree(w, status, &pass_seconds);
    if (!status)
        status = motley__measuring_window(w, trial, 0, own, pass_seconds, point);
    motley__trial_destroy(trial);
    return motley__measuring_agree(w, status, &pass_seconds);
}

int motley__measure_dense(struct motley__measuring *w)
{
    struct motley__dense_time dense = {.T = DENSE_T, .O = DENSE_O, .I = DENSE_I};
    struct motley__trial *trial = NULL;
    struct motley__point point = {0};
    struct motley_error why = {0};
    if (tries_clblast(w) && motley__linear_choose(w->context->device, dense.T, dense.O, dense.I, &dense.path,
                                                  &dense.esmm, &dense.clblast, &why)) {
        dense.path = MOTLEY__DENSE_ESMM;
        motley__detail(&w->context->log, "CLBlast cannot be used: %s", why.text);
    }
    int status = motley__trial_dense(w->context->device, dense.path, dense.T, dense.O, dense.I, &trial, w->error);
    status = time_trial(w, trial, status, &point);
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
static int time_copy(struct motley__measuring *w, size_t bytes, double *seconds)
{
    struct motley__trial *trial = NULL;
    struct motley__point point = {0};
    int status = motley__trial_copy(w->context->device, bytes, &trial, w->error);
    status = time_trial(w, trial, status, &point);
    *seconds = point.seconds;
    return status;
}

static int copy_fits(const struct motley__measuring *w, size_t bytes)
{
    return 2 * bytes <= w->room && bytes <= w->context->device->max_buffer_bytes;
}

/* Rows move at the speed of a large copy, and nothing takes the time of a small one.  Large is what no cache holds and
 * takes several times as long as nothing: on a fast device more than elsewhere. */
int motley__measure_move(struct motley__measuring *w)
{
    double large = 0, small, again = 1;
    size_t bytes = (size_t)fmax(COPY_BYTES, 2.0 * (double)w->context->device->cache_bytes);
    while (bytes > 2 * NO_BYTES && !copy_fits(w, bytes))
        bytes /= 2;
    int status = time_copy(w, NO_BYTES, &small);
    while (again > 0 && !status) { /* all ranks once more when one has to */
        status = time_copy(w, bytes, &large);
        again = large < LARGE_COPY * small && copy_fits(w, 4 * bytes);
        bytes *= again > 0 ? 4 : 1;
        status = motley__measuring_agree(w, status, &again);
    }
    if (status)
        return status;
    w->entry->move = (struct motley__move){
        .bandwidth = motley__timing_round(2.0 * (double)bytes / fmax(large - small, 1e-9)), .launch = small};
    motley__progress_show(&w->progress, ++w->done, "copies");
    return 0;
}

/* Where memory is not the host's: the copies between, all ranks at the same time, for they may share a bus.  A device
 * too full for it stays without. */
int motley__measure_copies(struct motley__measuring *w, int *changed)
{
    struct motley__device *device = w->context->device;
    const int own = !device->zero_copy && w->entry->copy.out == 0;
    struct motley_error why = {0};
    double nothing = 0;
    int missing = own, status = motley__measuring_agree_bits(w, &missing);
    if (status || !missing)
        return status;
    status = motley__measuring_meet(w);
    if (!status && own) {
        status = motley__copy_measure(device, &w->entry->copy, &why);
        if (status == MOTLEY_E_DEVICE_MEMORY)
            status = 0;
        if (status)
            motley__fail(w->error, status, "%s", why.text);
    }
    *changed = 1;
    return motley__measuring_agree(w, status, &nothing);
}
