/* The plan as the library sees it.  Immutable after motley_plan_create or _parse.
 *
 *   discover -> measure -> profile -> cost -> allocate -> plan
 *
 *   device/             which devices there are
 *   measure/            the ranks time the real operator together, and links; settings of kernels by contests
 *   profile/            what was measured, kept in a file and told to all ranks; what moving bytes costs (link.c)
 *   cost.c              seconds and bytes of a set of experts       pure
 *   predict.c           seconds of a step                           pure   (phases.c of its phases)
 *   allocate.c          the integer optimum                         pure
 *   divide.c            experts, slices, tokens in a given mode     pure   (group.c which ranks form a group)
 *   refine.c            experts moved for the sake of the step      pure   (refine_loaded.c with their loads known)
 *   hierarchy.c         rows that cross between nodes once          pure
 *   tokens.c            who brings how many of the tokens           pure
 *   pipeline.c          chunks that rows travel in                  pure
 *   mode.c              every mode, and the fastest of them         pure
 *   audition.c          modes and ways predicted nearly alike are tried   (rivals.c which, room.c memory for it,
 *                                                                    drawn.c tokens by loads)
 *   spread.c            experts with unequal numbers of rows        pure   (replicate.c hot ones on several groups)
 *   placement.c         which rank holds which part of the experts  pure
 *   collocate.c         experts chosen together on one group        pure   (place.c the search; with replicas
 *                                                                    replica_homes.c, settle.c)
 *   serve.c             which group serves a pair                   pure
 *   plan.c              the value that comes of it                  (plan_make.c pure, plan_layers.c each layer's,
 *                                                                    plan_text.c JSON, plan_parse.c from it,
 *                                                                    plan_table.c)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PLAN_PLAN_H
#define MOTLEY_PLAN_PLAN_H

#include <jansson.h>

#include <motley/plan.h>
#include "allocate/mode.h"

struct motley__plan_entry {
    char host[64], device[128];              /* who the rank was when the plan was made */
    char family[16], variant[16];            /* of its kernels for the shape's storage type */
    int dense;                               /* enum motley__dense: the path of its dense matrices */
    int64_t tokens;                          /* it is expected to bring to a step */
    double gflops, seconds, dense_gflops;    /* measured at the planned rows; predicted expert phase; dense speed */
    struct motley__phases forward, backward; /* predicted seconds */
    uint64_t bytes;
};

/* Ranks form groups.  Those of one group hold the same experts, and slices that together are their hidden dimension: a
 * token goes to every rank of every group that serves one of its experts, and what comes back adds up.  In data mode
 * every rank is a group of its own that serves all experts to its own tokens. */
struct motley_plan {
    struct motley_layer_shape shape;
    struct motley_plan_options options;      /* what was asked for; tokens_of is the plan's own */
    int R;
    enum motley_mode mode;                   /* never MOTLEY_MODE_AUTO */
    enum motley_exchange exchange;           /* never MOTLEY_EXCHANGE_AUTO */
    int pipeline;                            /* chunks of a step; 1 where no rows travel */
    int alternatives, chosen;                /* what was considered, and which of it the plan is */
    struct motley__alternative *alternative; /* [alternatives] owned */
    struct motley__plan_entry *rank;         /* [R] owned */
    struct motley__placement stored;         /* where weights, gradients and moments live: a partition */
    struct motley__placement computed;       /* what each rank multiplies with: the same and behind it its replicas, but
                                              * everything in data mode */
    double *load;                            /* [E] what options.load is; owned, NULL: even */
    int replicas;
    struct motley__replica *replica;         /* [replicas] by expert, then by rank; owned */

    uint64_t coactivation;                   /* hash of the record by which experts lie together; 0: there was none */
    double copies, copies_before;            /* ranks that a token's experts are on, mean, by that record: so, and with
                                              * experts in ascending blocks; 0: not known */
    int layers;                              /* that have a plan of their own, with other experts in the same places */
    motley_plan **layer;                     /* [layers] owned */

    /* What motley__plan_index makes of these; owned. */
    int G;
    int *group_of;                           /* [R] */
    int *first_member, *member;              /* [G+1], [R]: ranks of group g are member[first_member[g]] ..
                                              * member[first_member[g+1]-1], by the place of their slices */
    int *server;                             /* [E] group that stores each expert; -1 in data mode */
};

/* Lots into which the tokens of a rank are dealt: 1 without replicas. */
int motley__plan_lots(const motley_plan *plan);

/* The group that serves each expert to the tokens of each lot of a rank: server [S,E] written.
 * Errors: MOTLEY_E_MEMORY. */
int motley__plan_serve(const motley_plan *plan, int rank, int *server, struct motley_error *error);

/* The part of all pairs that a group is expected to serve; not in data mode.  O(E). */
double motley__plan_part(const motley_plan *plan, int group);

/* Is this a layer?  Local.  Errors: MOTLEY_E_INVALID. */
int motley__plan_check(const struct motley_layer_shape *shape, const struct motley_plan_options *options,
                       struct motley_error *error);

/* The same, and can R ranks work in the mode asked for?  Errors: MOTLEY_E_INVALID. */
int motley__plan_possible(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                          struct motley_error *error);

/* motley_plan_create that looks at everything again, with so many seconds for the curves of whole experts, kernel
 * builds not counted.  0: it believes what the job has looked at before.  tries: what is predicted nearly alike may be
 * tried, which takes seconds and memory. */
int motley__plan_create(motley_context *context, const struct motley_layer_shape *shape,
                        const struct motley_plan_options *options, double seconds, int tries, motley_plan **plan,
                        struct motley_error *error);

/* The plan of R ranks from what was measured on them.  entry [R] borrowed: the device of each rank; curves may be
 * missing, then the rank gets no expert (with even shares: no prediction).  links borrowed, NULL: moving rows costs
 * nothing.  Experts lie in ascending blocks by group.
 *
 * Pure: the same entries give the same plan, so clusters can be planned from recorded profiles.
 * Errors: those of motley__plan_possible, MOTLEY_E_DEVICE_MEMORY, MOTLEY_E_MEMORY. */
int motley__plan_make(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                      const struct motley__profile_entry *const *entry, const struct motley__links *links,
                      motley_plan **plan, struct motley_error *error);

/* A plan in mode expert whose entries, holdings (plan->stored) and replicas are still to be filled; then
 * motley__plan_index makes the rest from them and the mode.  index errors: MOTLEY_E_INVALID (stored is no partition;
 * ranks share one expert but not another; a replica is of no expert, on no group, beside itself or too much),
 * MOTLEY_E_MEMORY. */
int motley__plan_alloc(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                       motley_plan **plan, struct motley_error *error);
int motley__plan_index(motley_plan *plan, struct motley_error *error);

/* The plan of one layer of a model: its own, or the plan itself. */
const motley_plan *motley__plan_of_layer(const motley_plan *plan, int layer);

/* plan_layers.c.  The plan of a collocated division gets plans of its layers, each with its experts in other places, by
 * task->options.coactivation; what the division reaches becomes the mean over them.  The plan's stored is written, and
 * still to be indexed.  Pure.  Errors: those of motley__collocate. */
int motley__plan_collocate(motley_plan *plan, const struct motley__task *task, struct motley__division *division,
                           struct motley_error *error);
void motley__plan_layers_clear(motley_plan *plan);

enum { MOTLEY__PLAN_TEXT = 1 }; /* the version of a plan's text */

/* The plan's "coactivation" as JSON and back; read: of an indexed plan.  Errors: MOTLEY_E_FORMAT, MOTLEY_E_MEMORY. */
json_t *motley__plan_layers_json(const motley_plan *plan);
int motley__plan_layers_read(const json_t *object, motley_plan *plan, struct motley_error *error);

/* In hybrid the ranks of a group: the most that any has; else 0. */
int motley__plan_group(const motley_plan *plan);

#endif
