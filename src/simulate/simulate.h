/* What a layer's step would take on a described cluster, in every mode: the planner's own functions on its devices and
 * links, at any number of ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_SIMULATE_SIMULATE_H
#define MOTLEY_SIMULATE_SIMULATE_H

#include "allocate/mode.h"
#include "simulate/cluster.h"

/* One size of the cluster. */
struct motley__simulation {
    int R, nodes;
    int64_t tokens;                  /* of all ranks in a step */
    int alternatives, chosen;        /* chosen -1: no mode fits the memory */
    struct motley__alternative alternative[MOTLEY__ALTERNATIVES];
};

/* Of the cluster grown or shrunk to R ranks.  options: tokens are of all ranks.
 * Errors: MOTLEY_E_INVALID (a device was never measured with the shape), MOTLEY_E_MEMORY. */
int motley__simulate(const struct motley__cluster *cluster, const struct motley_layer_shape *shape,
                     const struct motley_plan_options *options, int R, struct motley__simulation *simulation,
                     struct motley_error *error);

/* Seconds of a predicted step; of the rows' ways in it (dispatch and combine); and of the experts. */
double motley__step_seconds(const struct motley__prediction *predicted);
double motley__rows_seconds(const struct motley__prediction *predicted);
double motley__experts_seconds(const struct motley__prediction *predicted);

/* The fastest alternative of a mode (of hybrid: of all its groups) that fits; NULL: none does. */
const struct motley__alternative *motley__simulation_best(const struct motley__simulation *simulation,
                                                          enum motley_mode mode);

/* One line for each alternative of each of `count` simulations, a heading first. */
void motley__simulation_csv(const struct motley__simulation *simulation, int count, FILE *stream);

/* Milliseconds of a step over ranks, a line for each mode, the chosen one dotted.  caption: a line below the title.
 * Written whole or not at all. */
int motley__simulation_plot(const char *path, const struct motley__simulation *simulation, int count,
                            const char *caption, struct motley_error *error);

#endif
