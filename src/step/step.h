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

struct motley__op {
    const char *name;                    /* constant: shown in traces and errors */
    enum motley__stream stream;
    enum motley__phase phase;
    uint64_t after;                      /* bit i: operator i of the list is done */
    int (*begin)(void *self, struct motley_error *error);
    void *self;
    /* Communication only. */
    int (*test)(void *request, int *done, struct motley_error *error);
    void (*missing)(const void *request, char *text, int size);      /* waits for whom: "rank 3, rank 5"; or NULL */
    void *request;
};

enum { MOTLEY__STEP_LIMIT = 64 };        /* bits of `after` */

struct motley__step {
    struct motley__op op[MOTLEY__STEP_LIMIT];
    int count;                           /* beyond the limit: of what was wanted; the rest is lost */
};

/* Append; returns the operator's bit, for `after` of those behind it.  A list that grew beyond the limit is refused
 * when it is to run. */
uint64_t motley__step_add(struct motley__step *step, struct motley__op op);

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
