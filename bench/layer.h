/* A whole layer under the clock: rows in token order in, weighted rows in token order out, on one rank.
 *
 * It is the library's own layer with its own lists of operators, but for the router: experts and weights are given.
 *
 *   forward    route, place, experts, decode           (no activations kept, as in inference)
 *   backward   experts backward, decode dx             (a forward that keeps activations comes before it, not timed)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_LAYER_H
#define MOTLEY_BENCH_LAYER_H

#include "bench/operator.h"

struct motley__bench_layer; /* opaque */
void motley__bench_layer_destroy(struct motley__bench_layer *layer); /* accepts NULL */

#endif
