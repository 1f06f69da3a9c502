/* A step: a list of operators, and the one executor that runs lists.
 *
 * An operator belongs to a stream.  Computation operators enqueue kernels and return; communication
 * operators start MPI requests and are tested until they are done.  Each stream begins its operators in
 * list order; `after` names the operators that must be *done* before this one may begin.  Within the
 * computation stream the device's in-order queue keeps the order, so there only what comes from the
 * communication stream, or host reads of device results, needs naming.
 *
 * Plain layers, chunked pipelines, overlap and prefetch are different lists, never different engines.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_STEP_STEP_H
#define MOTLEY_STEP_STEP_H

#include <stdint.h>

#include "base/trace.h"
#include "device/queue.h"

enum motley__stream { MOTLEY__COMPUTATION, MOTLEY__COMMUNICATION };
enum motley__phase {
    MOTLEY__PHASE_GATE,
    MOTLEY__PHASE_DISPATCH,
    MOTLEY__PHASE_EXPERTS,
    MOTLEY__PHASE_COMBINE,
    MOTLEY__PHASES
};

enum { MOTLEY__STEP_LIMIT = 256, MOTLEY__OPS_WORDS = MOTLEY__STEP_LIMIT / 64 };

/* A set of operators of one list.  Zero: none. */
struct motley__ops {
    uint64_t word[MOTLEY__OPS_WORDS];    /* bit i % 64 of word i / 64: operator i */
};

static inline int motley__ops_has(const struct motley__ops *ops, int i)
{
    return (int)(ops->word[i / 64] >> (i % 64) & 1);
}

static inline void motley__ops_add(struct motley__ops *ops, int i)
{
    ops->word[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Those of the one and of the other. */
static inline struct motley__ops motley__ops_both(struct motley__ops a, struct motley__ops b)
{
    for (int w = 0; w < MOTLEY__OPS_WORDS; w++)
        a.word[w] |= b.word[w];
    return a;
}

/* All of `ops` are in `others`. */
static inline int motley__ops_within(const struct motley__ops *ops, const struct motley__ops *others)
{
    uint64_t missing = 0;

    for (int w = 0; w < MOTLEY__OPS_WORDS; w++)
        missing |= ops->word[w] & ~others->word[w];
    return missing == 0;
}

struct motley__op {
    const char *name;                    /* constant: shown in traces and errors */
    enum motley__stream stream;
    enum motley__phase phase;
    struct motley__ops after;            /* those of the list that are done */
    int (*begin)(void *self, struct motley_error *error);
    void *self;
    /* Communication only. */
    int (*test)(void *request, int *done, struct motley_error *error);
    void (*missing)(const void *request, char *text, int size);      /* waits for whom: "rank 3, rank 5"; or NULL */
    void *request;
};

struct motley__step {
    struct motley__op op[MOTLEY__STEP_LIMIT];
    int count;                           /* beyond the limit: of what was wanted; the rest is lost */
};

/* Append; returns the operator alone, for `after` of those behind it.  A list that grew beyond the limit is refused
 * when it is to run. */
struct motley__ops motley__step_add(struct motley__step *step, struct motley__op op);

/* Where the time of one run of a list went, seconds. */
struct motley__step_times {
    double phase[MOTLEY__PHASES];        /* computation: on the device's clock; communication: begin to done */
    double step;                         /* first begin to last done */
    double comm, comm_hidden;            /* communication in flight; of it while computation was under way */
};

/* What an executor needs of its rank.  Borrowed. */
struct motley__executor {
    struct motley__device *device;
    struct motley__trace *trace;         /* or NULL */
    double time_limit;                   /* seconds in which no operator begins or ends while communication is open */
};

/* Run the list to its end: all operators done, the queue drained.  On failure of this rank it waits for the device,
 * leaves MPI requests to the caller (motley__exchange_cancel) and returns the code.
 * Errors: MOTLEY_E_COMM (a peer silent beyond the limit), MOTLEY_E_UNSUPPORTED (a list too long: nothing has
 * begun then), and whatever operators report. */
int motley__execute(const struct motley__executor *executor, const struct motley__step *step,
                    struct motley__step_times *times, struct motley_error *error);

#endif
