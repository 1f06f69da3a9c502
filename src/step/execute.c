/* The executor: one loop that begins what may begin, and polls what is under way.
 *
 * Polling is what makes MPI progress while a kernel runs.  While only kernels are under way it sleeps on the oldest
 * one; while messages are, it yields the core between polls (spinning, or napping 50 us, was measured to halve the
 * overlap on a core shared with the kernel; yielding keeps 94% of it), and naps only when a peer keeps it waiting.  A
 * core that nobody else needs it keeps for the first moments, which is as long as short messages take.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "base/clock.h"
#include "base/wait.h"
#include "step/step.h"

/* A poll that takes longer has moved a part of some message. */
static const double WORK_SECONDS = 20e-6;

/* MPI takes several polls for what has come: with four ranks on two cores and a yield after each poll, 24 kB of each
 * took 34 us, with one after four polls 26. */
enum { POLLS = 4 };

struct run {
    const struct motley__executor *executor;
    const struct motley__step *step;
    struct motley__ops begun, done;
    int ended;                                     /* operators that are done */
    int next[2];                                   /* per stream: operator to begin next */
    cl_event before[MOTLEY__STEP_LIMIT], after[MOTLEY__STEP_LIMIT];   /* markers around a computation */
    double begin_at[MOTLEY__STEP_LIMIT], done_at[MOTLEY__STEP_LIMIT]; /* as this host saw it */
    double since;                                  /* when an operator began or ended last */
    double worked;                                 /* when a message was seen to move last */
    unsigned polls;                                /* for nothing */
};

static int next_of_stream(const struct run *run, enum motley__stream stream, int i)
{
    while (i < run->step->count && run->step->op[i].stream != stream)
        i++;
    return i;
}

/* The marker in front of computation i: the one behind `previous` when that was begun just before, for each takes the
 * host some microseconds. */
static int mark_before(struct run *run, int i, int previous, struct motley_error *error)
{
    if (previous < 0)
        return motley__queue_marker(run->executor->device, &run->before[i], error);
    cl_int code = clRetainEvent(run->after[previous]);
    if (code == CL_SUCCESS)
        run->before[i] = run->after[previous];
    return motley__fail_cl(error, code, "clRetainEvent");
}

static int begin(struct run *run, int i, int previous, struct motley_error *error)
{
    const struct motley__op *op = &run->step->op[i];
    struct motley__device *device = run->executor->device;
    int status = 0;

    run->begin_at[i] = motley__seconds();
    if (op->stream == MOTLEY__COMPUTATION)
        status = mark_before(run, i, previous, error);
    if (!status)
        status = op->begin(op->self, error);
    if (!status && op->stream == MOTLEY__COMPUTATION)
        status = motley__queue_marker(device, &run->after[i], error);
    motley__ops_add(&run->begun, i);
    return status;
}

/* Begin all that may begin in one stream; *moved says whether any did. */
static int begin_stream(struct run *run, enum motley__stream stream, int *moved, struct motley_error *error)
{
    int status = 0, previous = -1;

    while (!status && run->next[stream] < run->step->count) {
        int i = run->next[stream];

        if (!motley__ops_within(&run->step->op[i].after, &run->done))
            break;
        status = begin(run, i, previous, error);
        previous = i;
        run->next[stream] = next_of_stream(run, stream, i + 1);
        *moved = 1;
    }
    return status;
}

static int is_under_way(const struct run *run, int i)
{
    return motley__ops_has(&run->begun, i) && !motley__ops_has(&run->done, i);
}

static int test_all(struct run *run, int *moved, struct motley_error *error)
{
    int status = 0;

    for (int i = 0; !status && i < run->step->count; i++) {
        const struct motley__op *op = &run->step->op[i];
        int done = 0;

        if (!is_under_way(run, i))
            continue;
        if (op->stream == MOTLEY__COMPUTATION)
            status = motley__event_done(run->after[i], &done, error);
        else
            status = op->test(op->request, &done, error);
        if (!status && done) {
            motley__ops_add(&run->done, i);
            run->ended++;
            run->done_at[i] = motley__seconds();
            *moved = 1;
        }
    }
    return status;
}

/* The oldest operator under way in a stream, or -1. */
static int oldest(const struct run *run, enum motley__stream stream)
{
    for (int i = 0; i < run->step->count; i++)
        if (run->step->op[i].stream == stream && is_under_way(run, i))
            return i;
    return -1;
}

static int silent_peer(const struct run *run, int i, double waited, struct motley_error *error)
{
    const struct motley__op *op = &run->step->op[i];
    char who[256] = "";

    if (op->missing)
        op->missing(op->request, who, sizeof who);
    return motley__fail(error, MOTLEY_E_COMM, "%s: nothing heard from %s for %.0f seconds; it failed, or it is slower "
                        "than --time-limit allows", op->name, who[0] ? who : "the other ranks", waited);
}

/* Nothing could be begun and nothing ended. */
static int wait_a_little(struct run *run, struct motley_error *error)
{
    const int computing = oldest(run, MOTLEY__COMPUTATION), communicating = oldest(run, MOTLEY__COMMUNICATION);
    const struct motley__device *device = run->executor->device;
    const double now = motley__seconds(), waited = now - run->since;

    if (communicating < 0) {
        cl_int code = computing < 0 ? CL_SUCCESS : clWaitForEvents(1, &run->after[computing]);
        return motley__fail_cl(error, code, "clWaitForEvents");
    }
    if (computing < 0 && waited > run->executor->time_limit)
        return silent_peer(run, communicating, waited, error);
    /* Kernels of a CPU need its core, and copies where it has memory of its own. */
    const int needed = device->crowded || (device->is_cpu && (computing >= 0 || !device->zero_copy));
    if (++run->polls % POLLS == 0)
        motley__idle(now - run->worked, !needed);
    return 0;
}

/* Seconds a computation kept the device, on its own clock; by the host's where the driver does not time markers. */
static double device_seconds(const struct run *run, int i)
{
    cl_ulong from, to;

    if (clGetEventProfilingInfo(run->before[i], CL_PROFILING_COMMAND_END, sizeof from, &from, NULL) == CL_SUCCESS &&
        clGetEventProfilingInfo(run->after[i], CL_PROFILING_COMMAND_END, sizeof to, &to, NULL) == CL_SUCCESS &&
        from && to >= from)
        return (double)(to - from) * 1e-9;
    return run->done_at[i] - run->begin_at[i];
}

/* Part of [from, to] in which some computation was under way.  Computations are in list order, one after the other. */
static double hidden_part(const struct run *run, double from, double to)
{
    double hidden = 0, end = 0;

    for (int i = 0; i < run->step->count; i++) {
        double a, b;

        if (run->step->op[i].stream != MOTLEY__COMPUTATION)
            continue;
        a = run->begin_at[i] > end ? run->begin_at[i] : end;
        b = end = run->done_at[i];
        a = a > from ? a : from;
        b = b < to ? b : to;
        hidden += b > a ? b - a : 0;
    }
    return hidden;
}

static void account(const struct run *run, struct motley__step_times *times)
{
    double first = 0, last = 0, open_until = 0;

    memset(times, 0, sizeof *times);
    for (int i = 0; i < run->step->count; i++) {
        const struct motley__op *op = &run->step->op[i];
        double from = run->begin_at[i], to = run->done_at[i];

        if (i == 0 || from < first)
            first = from;
        if (to > last)
            last = to;
        motley__trace_span(run->executor->trace, op->stream == MOTLEY__COMMUNICATION, op->name, from, to);
        if (op->stream == MOTLEY__COMPUTATION) {
            times->phase[op->phase] += device_seconds(run, i);
            continue;
        }
        times->phase[op->phase] += to - from;
        from = from > open_until ? from : open_until;   /* overlapping messages count once */
        if (to > from) {
            times->comm += to - from;
            times->comm_hidden += hidden_part(run, from, to);
            open_until = to;
        }
    }
    times->step = last - first;
}

int motley__execute(const struct motley__executor *executor, const struct motley__step *step,
                    struct motley__step_times *times, struct motley_error *error)
{
    struct run run = {.executor = executor, .step = step};
    int status = 0;

    if (step->count > MOTLEY__STEP_LIMIT)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "a step of %d operators where at most %d are possible; take "
                            "fewer chunks (--pipeline)", step->count, MOTLEY__STEP_LIMIT);
    run.since = run.worked = motley__seconds();
    run.next[MOTLEY__COMPUTATION] = next_of_stream(&run, MOTLEY__COMPUTATION, 0);
    run.next[MOTLEY__COMMUNICATION] = next_of_stream(&run, MOTLEY__COMMUNICATION, 0);
    while (!status && run.ended < step->count) {
        const double begun = motley__seconds();
        int moved = 0;

        status = begin_stream(&run, MOTLEY__COMMUNICATION, &moved, error);
        if (!status)
            status = begin_stream(&run, MOTLEY__COMPUTATION, &moved, error);
        if (!status)
            status = test_all(&run, &moved, error);
        if (moved || motley__seconds() - begun > WORK_SECONDS)
            run.worked = motley__seconds();
        if (moved)
            run.since = run.worked;
        else if (!status)
            status = wait_a_little(&run, error);
    }
    if (status)
        clFinish(executor->device->compute);
    else
        account(&run, times);
    for (int i = 0; i < step->count; i++) {
        if (run.before[i])
            clReleaseEvent(run.before[i]);
        if (run.after[i])
            clReleaseEvent(run.after[i]);
    }
    return status;
}
