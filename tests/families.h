/* Tokens that choose experts in families, and the rows that plans foretell for them.  Include after cmocka.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_FAMILIES_H
#define MOTLEY_TESTS_FAMILIES_H

#include "base/random.h"
#include "plan_cluster.h"

enum { E = 12, K = 3, FAMILY = 4, SETS = 3000, TOKENS = 20000, LAYERS = 3 };

static inline int random_below(uint64_t stream, uint64_t at, int most)
{
    return (int)(motley__random_bits(17, stream, at) % (uint64_t)most);
}

/* The experts of a token of a layer: of one family, which are e, e + E/FAMILY, .. (so that blocks tear them), the first
 * family twice as often as others; each sixth token takes one expert from anywhere. */
static inline void choose(int layer, uint64_t token, int set[K])
{
    const uint64_t stream = (uint64_t)layer, at = 64 * token;
    const int families = E / FAMILY, drawn = random_below(stream, at, families + 1);
    const int family = drawn < families ? drawn : layer;
    const int left_out = random_below(stream, at + 1, FAMILY), stray = random_below(stream, at + 2, 6) == 0;
    for (int i = 0, k = 0; i < FAMILY; i++)
        if (i != left_out)
            set[k++] = family + i * families;
    for (uint64_t next = at + 3; stray && set[0] % families == family; next++)
        set[0] = random_below(stream, next, E);
}

/* Ranks in turn on so many nodes. */
static inline struct motley__links plain_links(int R, int nodes)
{
    struct motley__links links;
    assert_int_equal(motley__links_alloc(R, nodes, 1, &links, NULL), 0);
    for (int r = 0; r < R; r++)
        links.node[r] = r % nodes;
    links.inside[0] = (struct motley__link){1e-6, 1e-6, 1e9};
    links.between[0] = (struct motley__link){1e-5, 1e-6, 1e7};
    return links;
}

/* Rows sent in a forward step of a layer, by the bytes that are foretold to move. */
static inline double foretold(const motley_plan *plan)
{
    const double row = 4.0 * plan->shape.D; /* there with 8 bytes, and 6 for each pair; and back */
    double pairs = 0;
    for (int r = 0; r < plan->R; r++)
        pairs += K * (double)(plan->options.tokens - plan->rank[r].tokens) * motley__plan_part(plan, plan->group_of[r]);
    return (plan->alternative[plan->chosen].predicted.moved - 6 * pairs) / (2 * row + 8);
}

/* By the bytes that are foretold to cross; half of all pairs are for the experts of the other node. */
static inline double foretold_crossing(const motley_plan *plan)
{
    return (plan->alternative[plan->chosen].predicted.node_moved - 6.0 * K * TOKENS / 2) / (8.0 * plan->shape.D + 8);
}

#endif
