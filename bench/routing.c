/* Seeded patterns of routing.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdlib.h>

#include "base/random.h"
#include "bench/routing.h"

enum { HOT = 4 };                       /* favoured experts of llepP */
enum { STREAM_ORDER, STREAM_DRAW };     /* of random numbers */

const char *motley__routing_name(enum motley__routing routing)
{
    static const char *const names[] = {"even", "zipf", "one", "llep30", "llep50", "llep80", "llep95"};
    assert(routing < MOTLEY__ROUTINGS);
    return names[routing];
}

/* order [E]: the experts from the most favoured on. */
static void shuffle(uint64_t seed, int E, int *order)
{
    for (int i = 0; i < E; i++) {
        const int j = (int)(motley__random_bits(seed, STREAM_ORDER, (uint64_t)i) % (uint64_t)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
}

/* Without replacement: an expert that the token has is passed over, its weight left out of the sum. */
static void draw_zipf(uint64_t seed, int t, int K, int E, const int *order, double *weight, int *indices)
{
    double sum = 0;
    for (int r = 0; r < E; r++)
        sum += weight[r] = 1.0 / (r + 1);
    for (int k = 0; k < K; k++) {
        double left = motley__random_uniform(seed, STREAM_DRAW, (uint64_t)t * (uint64_t)K + (uint64_t)k) * sum;
        int r = 0, last = 0;
        for (; r < E; r++) {
            if (weight[r] == 0)
                continue;
            last = r;
            left -= weight[r];
            if (left < 0)
                break;
        }
        indices[k] = order[last];
        sum -= weight[last];
        weight[last] = 0;
    }
}

/* One pair of llepP. */
static int draw_llep(uint64_t seed, uint64_t n, int percent, int E, const int *order)
{
    const int hot = E < HOT ? E : HOT, cold = E - hot;
    const double where = motley__random_uniform(seed, STREAM_DRAW, 2 * n),
                 which = motley__random_uniform(seed, STREAM_DRAW, 2 * n + 1);
    if (where * 100 < percent || cold == 0)
        return order[(int)(which * hot)];
    return order[hot + (int)(which * cold)];
}

int motley__routing_draw(enum motley__routing routing, uint64_t seed, int T, int K, int E, int *indices,
                         struct motley_error *error)
{
    static const int percent[MOTLEY__ROUTINGS] = {
        [MOTLEY__ROUTING_LLEP30] = 30,
        [MOTLEY__ROUTING_LLEP50] = 50,
        [MOTLEY__ROUTING_LLEP80] = 80,
        [MOTLEY__ROUTING_LLEP95] = 95,
    };
    int *order = malloc((size_t)E * sizeof *order);
    double *weight = malloc((size_t)E * sizeof *weight);
    assert(K <= E);
    if (!order || !weight) {
        free(order);
        free(weight);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the routing of %d experts", E);
    }
    shuffle(seed, E, order);
    for (int t = 0; t < T; t++) {
        if (routing == MOTLEY__ROUTING_ZIPF) {
            draw_zipf(seed, t, K, E, order, weight, indices + (size_t)t * K);
            continue;
        }
        for (int k = 0; k < K; k++) {
            const uint64_t n = (uint64_t)t * (uint64_t)K + (uint64_t)k;
            indices[n] = routing == MOTLEY__ROUTING_EVEN  ? order[n % (uint64_t)E]
                         : routing == MOTLEY__ROUTING_ONE ? order[0]
                                                          : draw_llep(seed, n, percent[routing], E, order);
        }
    }
    free(weight);
    free(order);
    return 0;
}
