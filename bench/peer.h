/* What Motley is measured against: others' ways to the same results.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_PEER_H
#define MOTLEY_BENCH_PEER_H

#include "bench/operator.h"

/* Rows by pair that a peer works in. */
enum motley__scratch_rows {
    MOTLEY__GATHERED, MOTLEY__GATHERED_DY, MOTLEY__OUT,                     /* [P,D] */
    MOTLEY__PRE, MOTLEY__PRE3, MOTLEY__U, MOTLEY__DPRE3, MOTLEY__HIDDEN,    /* [P,F] */
    MOTLEY__SCRATCHES
};
#define MOTLEY__BIT(i) (1u << (i))      /* of a weight, a tensor or a scratch in a set of them */

/* One of them; all calls take its self. */
struct motley__peer {
    const char *name;
    void *self;                         /* borrowed */
    struct motley__device *device;      /* where its run enqueues; NULL: it blocks */
    /* 1: it has this operator for this problem. */
    int (*knows)(const void *self, const struct motley__problem *problem, const struct motley__operator *op);
    /* Ready to run it. */
    int (*open)(void *self, struct motley__problem *problem, const struct motley__operator *op,
                struct motley_error *error);
    int (*prepare)(void *self, struct motley_error *error);     /* before each run; may be NULL */
    int (*run)(void *self, struct motley_error *error);
    /* Result number j as operator.h lists them, [count, width] canonical; borrowed until the next call. */
    int (*result)(void *self, const struct motley__result *like, int j, const float **expected,
                  struct motley_error *error);
    void (*close)(void *self);          /* what belongs to the problem goes */
    void (*release)(void *self);        /* and what belongs to the weights */
};

#endif
