/* An assignment of homes and parts under way (settle.h): what it costs, and what changes it.
 *
 * With all else fixed the rows that travel are linear in each q[e,g], so the state finds, for one expert at a time, the
 * tokens that come to a group for its sake alone; then every way to deal out its parts is priced at once.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_SETTLE_STATE_H
#define MOTLEY_ALLOCATE_SETTLE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "allocate/settle.h"

struct motley__settle_state {
    const struct motley__settle_problem *p;
    int *home, *part;                /* [E], [E,G] borrowed */
    double *known;                   /* [E,G,units+1] seconds asked for, else negative; owned, as is all below */
    double *q;                       /* [E,G] */
    double *load;                    /* [G] seconds, weights on their way included */
    double *only;                    /* [G] tokens that come for the sake of one expert alone, when its q is 1 */
    int *held;                       /* [G] experts, replicas included */
    int *first, *member;             /* [E+1], [sets*K]: the sets of each expert */
    int replicas;
    double rows;                     /* seconds of those that travel */
    int64_t work;                    /* factors multiplied so far */
};

/* The place of an expert and a group in [E,G]. */
static inline size_t motley__settle_at(const struct motley__settle_state *s, int e, int g)
{
    return (size_t)e * (size_t)s->p->G + (size_t)g;
}

/* Of home [E] and part [E,G], which stay the state's to change.  Errors: MOTLEY_E_MEMORY. */
int motley__settle_open(const struct motley__settle_problem *problem, int *home, int *part,
                        struct motley__settle_state *state, struct motley_error *error);
void motley__settle_close(struct motley__settle_state *state);

double motley__settle_slowest(const struct motley__settle_state *state);
struct motley__settle_cost motley__settle_cost_of(const struct motley__settle_state *state);

/* state->only, on all groups, of an expert; before its parts are shifted. */
void motley__settle_look(struct motley__settle_state *state, int e);

/* So many units of its rows go from one group to another, which has room for it. */
void motley__settle_shift(struct motley__settle_state *state, int e, int from, int to, int units);

/* Two experts of unlike homes change them, with what these served. */
void motley__settle_swap(struct motley__settle_state *state, int a, int b);

/* Where a search was. */
struct motley__settle_snapshot {
    int *home, *part, *held;         /* [E], [E,G], [G]; one array, owned, and so is the next */
    double *q, *load;                /* [E,G], [G] */
    double rows;
    int replicas;
};

/* Errors: MOTLEY_E_MEMORY; clear accepts what alloc left, and zero. */
int motley__settle_snapshot_alloc(const struct motley__settle_problem *problem, struct motley__settle_snapshot *shot,
                                  struct motley_error *error);
void motley__settle_snapshot_clear(struct motley__settle_snapshot *shot);
void motley__settle_save(struct motley__settle_state *state, struct motley__settle_snapshot *shot);
void motley__settle_restore(struct motley__settle_state *state, const struct motley__settle_snapshot *shot);

#endif
