/* Which nodes measure their links with each other, and when.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "measure/link_rounds.h"

/* Node number i of a kind, counted from its first; -1: it has not so many. */
static int node_of_kind(int nodes, const int *kind, int wanted, int i)
{
    for (int n = 0; n < nodes; n++)
        if (kind[n] == wanted && i-- == 0)
            return n;
    return -1;
}

static int count_of_kind(int nodes, const int *kind, int wanted)
{
    int count = 0;

    for (int n = 0; n < nodes; n++)
        count += kind[n] == wanted;
    return count;
}

/* The pairs of kinds a and b: neighbours in the list of nodes may share a switch, so a kind's first meets its last. */
static int add_pairs(int nodes, const int *kind, int a, int b, struct motley__meeting *meeting)
{
    const int as = count_of_kind(nodes, kind, a), bs = count_of_kind(nodes, kind, b);
    int pairs = a == b ? as / 2 : as && bs ? as > bs ? as : bs : 0;

    pairs = pairs < MOTLEY__MEETINGS ? pairs : MOTLEY__MEETINGS;
    for (int i = 0; i < pairs; i++) {
        const int one = node_of_kind(nodes, kind, a, i % as), other = node_of_kind(nodes, kind, b, bs - 1 - i % bs);
        meeting[i].node[0] = one < other ? one : other;
        meeting[i].node[1] = one < other ? other : one;
    }
    return pairs;
}

static int shares_node(const struct motley__meeting *a, const struct motley__meeting *b)
{
    return a->node[0] == b->node[0] || a->node[0] == b->node[1] || a->node[1] == b->node[0] ||
           a->node[1] == b->node[1];
}

int motley__link_rounds(int nodes, const int *kind, int kinds, struct motley__meeting **meeting, int *count,
                        int *rounds, struct motley_error *error)
{
    const size_t most = (size_t)kinds * ((size_t)kinds + 1) / 2 * MOTLEY__MEETINGS;
    struct motley__meeting *made = calloc(most ? most : 1, sizeof *made);
    int n = 0, last = 0;

    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the links of %d nodes", nodes);
    for (int a = 0; a < kinds; a++)
        for (int b = a; b < kinds; b++)
            n += add_pairs(nodes, kind, a, b, made + n);
    for (int i = 0; i < n; i++) {            /* each into the first round in which both its nodes are free */
        for (int j = 0; j < i; j++)
            if (made[j].round == made[i].round && shares_node(&made[i], &made[j])) {
                made[i].round++;
                j = -1;
            }
        last = made[i].round >= last ? made[i].round + 1 : last;
    }
    *meeting = made;
    *count = n;
    *rounds = last;
    return 0;
}
