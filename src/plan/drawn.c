/* Tokens drawn by loads.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "plan/drawn.h"

/* The chance of each expert, K together: what one cannot have goes to the others, to the idle ones evenly when they are
 * all that is left. */
static void find_chances(int E, int K, const double *load, double *chance)
{
    double sum = 0;
    for (int e = 0; e < E; e++)
        sum += load[e];
    for (int e = 0; e < E; e++)
        chance[e] = K * load[e] / sum;
    for (int full = -1, before = -2; full != before;) {
        double open = 0;
        before = full;
        full = 0;
        for (int e = 0; e < E; e++) {
            full += chance[e] >= 1;
            open += chance[e] >= 1 ? 0 : chance[e];
        }
        for (int e = 0; e < E; e++)
            chance[e] = chance[e] >= 1 ? 1 : open > 0 ? chance[e] * (K - full) / open : (double)(K - full) / (E - full);
    }
}

/* One token's experts [K].  order [E]: some order of all; another one afterwards. */
static void draw_token(int E, int K, const double *chance, uint64_t seed, uint64_t stream, uint64_t token, int *order,
                       int32_t *experts)
{
    const uint64_t at = token * ((uint64_t)E + 1);
    double next = motley__random_uniform(seed, stream, at), end = 0;
    int taken = 0;
    for (int i = 0; i < E; i++) {
        const int left = E - i, j = i + (int)(motley__random_bits(seed, stream, at + 1 + (uint64_t)i) % (uint64_t)left);
        const int e = order[j];
        order[j] = order[i];
        order[i] = e;
        end += chance[e];
        if (taken < K && (end > next || left == K - taken)) { /* the latter: rounding left the line too short */
            experts[taken++] = e;
            next++;
        }
    }
}

int motley__drawn_experts(int E, int K, const double *load, uint64_t seed, uint64_t stream, int64_t T,
                          int32_t *experts, struct motley_error *error)
{
    double *chance = malloc((size_t)E * sizeof *chance);
    int *order = malloc((size_t)E * sizeof *order);
    const int missing = !chance || !order;
    if (!missing) {
        find_chances(E, K, load, chance);
        for (int e = 0; e < E; e++)
            order[e] = e;
    }
    for (int64_t t = 0; t < T && !missing; t++)
        draw_token(E, K, chance, seed, stream, (uint64_t)t, order, experts + t * K);
    free(chance);
    free(order);
    return missing ? motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to draw what tokens choose") : 0;
}
