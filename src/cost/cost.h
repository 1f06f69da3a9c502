/* What a set of experts, or slices of them, costs a rank: predicted seconds, and bytes.  Pure functions of
 * measurements.
 *
 * A measured curve has noise, and noise only ever adds; what a curve says at some rows is therefore bounded by what it
 * says at more rows.  Between points time is linear in the rows, which is exact for "overhead + rows * time".
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COST_COST_H
#define MOTLEY_COST_COST_H

#include "profile/profile.h"

/* Seconds of one expert with `rows` rows: 0 without rows, never falling as rows grow; below the first point its
 * seconds, beyond the last the slope of the last two (of the only one: in proportion).  A curve has at least one
 * point. */
double motley__cost_curve(const struct motley__curve *curve, double rows);

/* Seconds of one expert in a step of the shape on the device of `entry`, backward too when asked for.
 * 0 when the profile does not say. */
double motley__cost_expert(const struct motley__profile_entry *entry, const struct motley_layer_shape *shape,
                           double rows, int backward);

/* Seconds of one expert, with a number of rows, as a function of its width: the hidden rows of a slice of it.  Every
 * width of the profile counts that has all directions asked for.  Between widths time is linear; below the first it
 * goes on as it fell, but never faster than in proportion; with one width alone it goes in proportion. */
enum { MOTLEY__WIDTHS = 8 };
struct motley__widths {
    int points;                      /* 0: the profile does not say */
    int width[MOTLEY__WIDTHS];       /* ascending */
    double seconds[MOTLEY__WIDTHS];  /* not falling */
};
void motley__cost_widths(const struct motley__profile_entry *entry, const struct motley_layer_shape *shape, double rows,
                         int backward, struct motley__widths *widths);

/* 0 for no width at all, never falling as it grows.  widths->points is at least 1. */
double motley__cost_width(const struct motley__widths *widths, int width);

/* Rows of an expert when `tokens` tokens spread evenly. */
double motley__cost_rows(const struct motley_layer_shape *shape, int64_t tokens);

/* The part of all pairs that an expert keeps to which such a share of them is routed: its rows, drawn token by token,
 * come to more than options->capacity in some steps, and what is beyond is dropped.  Without capacity the share. */
double motley__cost_kept(const struct motley_layer_shape *shape, const struct motley_plan_options *options,
                         double share);

/* The part of the experts that have rows when so many tokens choose at random: 1 but for few tokens. */
double motley__cost_busy(const struct motley_layer_shape *shape, double tokens);

/* The part of the tokens that choose any of `experts` experts, when they choose at random: 1 - C(E-n,K) / C(E,K).
 * So many rows go to a rank that serves these experts.  Concave in the experts, which may be an average. */
double motley__cost_reach(const struct motley_layer_shape *shape, double experts);

/* The same of `count` experts that get such shares, of all experts' that sum up to `whole`: each is chosen, when those
 * before it were not, with the chance that its share of what is left gives it.  For equal shares the function above. */
double motley__cost_reach_of(const struct motley_layer_shape *shape, const double *share, int count, double whole);

/* The curves of whole experts of a shape, found once.  Borrowed from the profile; NULL: none. */
struct motley__whole {
    const struct motley__curve *forward, *backward;
};
struct motley__whole motley__cost_whole(const struct motley__profile_entry *entry,
                                        const struct motley_layer_shape *shape);

/* Seconds of all E experts on one device that has so many tokens for them, of whose pairs such a part is kept; 0 when
 * the profile does not say. */
double motley__cost_all(const struct motley__whole *whole, const struct motley_layer_shape *shape, double tokens,
                        double kept, int backward);

/* What a rank has to do in a step: expected numbers, for tokens that choose at random. */
struct motley__duty {
    int experts, width;              /* stored: so wide a slice of so many experts */
    int replicas, lots;             /* and of so many that others store; lots of tokens (plan.h), 0 is 1 */
    int named;                      /* experts and all replicas of the plan, where there are any */
    int caches;                      /* 1: it computes with all experts in full, gathered into a cache (data mode) */
    double tokens;                   /* of its own */
    double pairs;                    /* rows of its experts, counted once for each expert */
    double gathered, sent, received; /* rows in its send buffer; to other ranks; from them */
    double crossing, guests;         /* with the hierarchical exchange rows to other nodes, and from them; then those
                                      * before are those inside the node */
    int sets;                        /* other nodes; 0: rows go directly */
    double reach, part;              /* of the tokens of other groups those that come here; of all pairs those of its
                                      * experts here */
};

/* Device bytes of a rank of R: motley__layer_memory_bytes (the layer's closed formula) of these rows, and the caches.
 * panel: of its family.  x and y of the layer are the caller's and not counted. */
uint64_t motley__cost_bytes(const struct motley_layer_shape *shape, const struct motley_plan_options *options, int R,
                            const struct motley__duty *duty, int panel);

#endif
