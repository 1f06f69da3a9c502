/* Plans of the layer made by hand, for its tests: who holds which experts, and which slices of them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_LAYER_PARTS_H
#define MOTLEY_TESTS_LAYER_PARTS_H

#include "layer_step.h"
#include "plan_json.h"

/* What a rank holds in a plan made by hand: experts of group e % groups == group, and hidden rows. */
struct part {
    int group, begin, end;
};

/* The same plan with part[r] on rank r: expert e is of group e % groups. */
static inline motley_plan *with_parts(const motley_plan *plan, const char *mode, int groups, const struct part *part)
{
    motley_plan *moved = NULL;
    json_t *rank;
    size_t r;
    json_t *root = plan_json(plan);
    require(root != NULL, "the plan's text is no JSON");
    json_object_set_new(root, "mode", json_string(mode));
    json_array_foreach(json_object_get(root, "ranks"), r, rank) {
        json_t *experts = json_array();
        for (int e = 0; e < E; e++)
            if (e % groups == part[r].group)
                json_array_append_new(experts, json_integer(e));
        json_object_set_new(rank, "experts", experts);
        json_object_set_new(rank, "hidden", json_pack("[i, i]", part[r].begin, part[r].end));
    }
    SUCCEED(parse_plan(root, &moved, &error));
    return moved;
}

/* Ways to share hidden dimensions, by the number of ranks: [R-1][variant][rank]. */
enum { VARIANTS = 3 };
static const struct { const char *mode; int groups; struct part part[4]; } SLICES[4][VARIANTS] = {
    {{"expert", 1, {{0, 0, F}}}, {"model", 1, {{0, 0, F}}}, {"hybrid", 1, {{0, 0, F}}}},
    {{"model", 1, {{0, 0, 5}, {0, 5, F}}},
     {"model", 1, {{0, 20, F}, {0, 0, 20}}},                                /* the first rank has the last part */
     {"hybrid", 2, {{1, 0, F}, {0, 0, F}}}},
    {{"model", 1, {{0, 0, 16}, {0, 16, 17}, {0, 17, F}}},
     {"hybrid", 2, {{0, 8, F}, {1, 0, F}, {0, 0, 8}}},                      /* groups of two ranks and of one */
     {"model", 1, {{0, 0, 32}, {-1, 0, 0}, {0, 32, F}}}},                   /* a rank with nothing */
    {{"model", 1, {{0, 0, 8}, {0, 8, 16}, {0, 16, 24}, {0, 24, F}}},
     {"hybrid", 2, {{0, 0, 30}, {1, 10, F}, {1, 0, 10}, {0, 30, F}}},
     {"hybrid", 2, {{1, 0, F}, {0, 9, 20}, {0, 20, F}, {0, 0, 9}}}},        /* one rank and three */
};

/* One step under a plan took the memory that it promised. */
static inline void check_memory(const motley_plan *plan, enum split split)
{
    struct problem p = problem_create(motley_plan_shape(plan), T, GATE_SPREAD, SEED);
    struct held held = hold(&p, split); /* before the layer, which counts what it finds */
    motley_layer *layer = make_layer(plan, &p);
    char text[32];
    step(layer, plan, &p, &held);
    snprintf(text, sizeof text, "activation %d", (int)p.shape.activation);
    check_planned(layer, text);
    motley_layer_destroy(layer);
    let_go(&held);
    problem_destroy(&p);
}

#endif
