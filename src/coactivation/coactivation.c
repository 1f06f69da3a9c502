/* What follows from which experts tokens chose together.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "coactivation/coactivation.h"

int motley__coactivation_alloc(int layers, int E, motley_coactivation **coactivation, struct motley_error *error)
{
    motley_coactivation *made = calloc(1, sizeof *made);
    if (made) {
        *made = (motley_coactivation){.layers = layers, .E = E};
        made->together = calloc((size_t)layers * (size_t)E, (size_t)E * sizeof *made->together);
        made->first = calloc((size_t)layers + 1, sizeof *made->first);
    }
    if (!made || !made->together || !made->first) {
        motley_coactivation_destroy(made);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the co-activation of %d layers of %d "
                            "experts", layers, E);
    }
    *coactivation = made;
    return 0;
}

int motley__coactivation_alloc_sets(motley_coactivation *c, int K, int sets, struct motley_error *error)
{
    free(c->set);
    c->K = K;
    c->set = calloc((size_t)sets + 1, (size_t)K * sizeof *c->set);
    if (!c->set)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d sets of experts", sets);
    return 0;
}

void motley_coactivation_destroy(motley_coactivation *coactivation)
{
    if (!coactivation)
        return;
    free(coactivation->together);
    free(coactivation->first);
    free(coactivation->set);
    free(coactivation);
}

int motley_coactivation_layers(const motley_coactivation *coactivation)
{
    return coactivation->layers;
}

int motley_coactivation_experts(const motley_coactivation *coactivation)
{
    return coactivation->E;
}

uint64_t motley__coactivation_hash(const motley_coactivation *c)
{
    const int sizes[3] = {c->layers, c->E, c->K};
    const size_t experts = (size_t)c->E, layers = (size_t)c->layers;
    uint64_t hash = motley__hash_bytes(MOTLEY__HASH_START, sizes, sizeof sizes);
    hash = motley__hash_bytes(hash, c->together, layers * experts * experts * sizeof *c->together);
    hash = motley__hash_bytes(hash, c->first, (layers + 1) * sizeof *c->first);
    return c->set ? motley__hash_bytes(hash, c->set, (size_t)c->first[layers] * (size_t)c->K * sizeof *c->set) : hash;
}

/* Tokens of the layer that chose both; a double, for the sum of all layers. */
static double together(const motley_coactivation *c, int layer, int i, int j)
{
    const size_t E = (size_t)c->E, at = (size_t)i * E + (size_t)j;
    double sum = 0;
    if (layer >= 0)
        return (double)c->together[(size_t)layer * E * E + at];
    for (int l = 0; l < c->layers; l++)
        sum += (double)c->together[(size_t)l * E * E + at];
    return sum;
}

static int make_room(struct motley__choices *choices, size_t sets, int E, struct motley_error *error)
{
    choices->set = malloc((sets + 1) * (size_t)choices->K * sizeof *choices->set);
    choices->weight = malloc((sets + 1) * sizeof *choices->weight);
    choices->chosen = calloc((size_t)E, sizeof *choices->chosen);
    if (!choices->set || !choices->weight || !choices->chosen)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu sets of experts", sets);
    return 0;
}

/* Every pair that a token chose. */
static int take_pairs(const motley_coactivation *c, int layer, struct motley__choices *choices,
                      struct motley_error *error)
{
    double tokens = 0;
    int status = make_room(choices, (size_t)c->E * (size_t)(c->E - 1) / 2, c->E, error);
    for (int i = 0; i < c->E && !status; i++)
        for (int j = i + 1; j < c->E; j++) {
            const double count = together(c, layer, i, j);
            if (count <= 0)
                continue;
            choices->set[2 * choices->sets] = i;
            choices->set[2 * choices->sets + 1] = j;
            choices->weight[choices->sets++] = count;
            tokens += count;
        }
    for (int s = 0; s < choices->sets; s++)
        choices->weight[s] /= tokens;
    return status;
}

/* The sampled sets of the layer; of all layers together as many as of one. */
static int take_sets(const motley_coactivation *c, int layer, struct motley__choices *choices,
                     struct motley_error *error)
{
    const int step = layer >= 0 ? 1 : c->layers;
    const int begin = layer >= 0 ? c->first[layer] : 0, end = layer >= 0 ? c->first[layer + 1] : c->first[c->layers];
    const size_t K = (size_t)c->K;
    int status = make_room(choices, (size_t)(end - begin) / (size_t)step + 1, c->E, error);
    for (int i = begin; i < end && !status; i += step)
        memcpy(choices->set + (size_t)choices->sets++ * K, c->set + (size_t)i * K, K * sizeof *c->set);
    for (int s = 0; s < choices->sets; s++)
        choices->weight[s] = 1.0 / choices->sets;
    return status;
}

/* Each expert's part: by the counts, in which each of its tokens is there once for each of the others; without any, by
 * the sets. */
static void count_chosen(const motley_coactivation *c, int layer, struct motley__choices *choices)
{
    double all = 0;
    for (int i = 0; i < c->E && choices->K > 1; i++)
        for (int j = 0; j < c->E; j++)
            choices->chosen[i] += together(c, layer, i, j);
    for (int i = 0; i < c->E; i++)
        all += choices->chosen[i];
    for (int i = 0; i < c->E && all > 0; i++)
        choices->chosen[i] *= choices->K / all;
    for (int i = 0; i < choices->sets * choices->K && all == 0; i++)
        if (choices->set[i] >= 0)
            choices->chosen[choices->set[i]] += choices->weight[i / choices->K];
}

int motley__choices_make(const motley_coactivation *c, int layer, int K, struct motley__choices *choices,
                         struct motley_error *error)
{
    int status;
    assert(layer < c->layers);
    *choices = (struct motley__choices){.K = K};
    if (K != 2 && !c->K)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "the co-activation has no sets of experts (FILE.sets), and pairs alone do not say where "
                            "tokens with %d experts go: record it anew, which writes both", K);
    if (K != 2 && c->K != K)
        return motley__fail(error, MOTLEY_E_INVALID, "the co-activation has sets of %d experts, but a token has %d: "
                            "record it for that many", c->K, K);
    status = K == 2 ? take_pairs(c, layer, choices, error) : take_sets(c, layer, choices, error);
    if (status)
        motley__choices_clear(choices);
    else
        count_chosen(c, layer, choices);
    return status;
}

void motley__choices_clear(struct motley__choices *choices)
{
    free(choices->set);
    free(choices->weight);
    free(choices->chosen);
    *choices = (struct motley__choices){0};
}

/* The chance of an expert's choice at a level, 0 .. K-1, to be kept: all first choices are before all second ones. */
static double kept_at(const double *kept, int K, int e, int level)
{
    return e < 0 ? 0 : fmin(1, fmax(0, K * kept[e] - level));
}

/* Each pair becomes four: none kept, one of them, both; either may be the first choice. */
static int keep_pairs(struct motley__choices *choices, const double *kept, struct motley_error *error)
{
    const size_t sets = (size_t)choices->sets;
    int *set = malloc((8 * sets + 1) * sizeof *set);
    double *weight = malloc((4 * sets + 1) * sizeof *weight);
    if (!set || !weight) {
        free(set);
        free(weight);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu sets of experts", 4 * sets);
    }
    for (size_t i = 0; i < sets; i++) {
        const int *pair = choices->set + 2 * i;
        double part[4] = {0};
        for (int first = 0; first < 2; first++) { /* late tokens lose: both are kept by the tokens that keep either */
            const double a = kept_at(kept, 2, pair[0], first), b = kept_at(kept, 2, pair[1], 1 - first);
            part[0] += (1 - fmax(a, b)) / 2;
            part[1] += fmax(0, a - b) / 2;
            part[2] += fmax(0, b - a) / 2;
            part[3] += fmin(a, b) / 2;
        }
        for (size_t j = 0; j < 4; j++) {
            weight[4 * i + j] = choices->weight[i] * part[j];
            set[8 * i + 2 * j] = j & 1 ? pair[0] : -1;
            set[8 * i + 2 * j + 1] = j & 2 ? pair[1] : -1;
        }
    }
    free(choices->set);
    free(choices->weight);
    choices->set = set;
    choices->weight = weight;
    choices->sets *= 4;
    return 0;
}

int motley__choices_keep(struct motley__choices *choices, int E, const double *kept, struct motley_error *error)
{
    const uint64_t SEED = 11;
    const int K = choices->K;
    for (int e = 0; e < E && choices->sets; e++)
        choices->chosen[e] *= kept[e];
    if (K == 2)
        return keep_pairs(choices, kept, error);
    for (int i = 0; i < choices->sets; i++) {
        int *set = choices->set + (size_t)i * (size_t)K;
        const double late = motley__random_uniform(SEED, 0, (uint64_t)i);
        const int first = (int)(motley__random_bits(SEED, 1, (uint64_t)i) % (uint64_t)K);
        for (int k = 0; k < K; k++)
            set[k] = late < kept_at(kept, K, set[k], (k + first) % K) ? set[k] : -1;
    }
    return 0;
}

/* Does any of a set's first experts serve its tokens from this group, too? */
static int is_before(const int *set, int experts, const int *group, int g)
{
    int found = 0;
    for (int k = 0; k < experts && !found; k++)
        found = set[k] >= 0 && group[set[k]] == g;
    return found;
}

/* A group is one place. */
static void reach_groups(const struct motley__choices *choices, const int *group, double *reach)
{
    for (int s = 0; s < choices->sets; s++) {
        const int *set = choices->set + (size_t)s * (size_t)choices->K;
        for (int k = 0; k < choices->K; k++)
            if (set[k] >= 0 && !is_before(set, k, group, group[set[k]]))
                reach[group[set[k]]] += choices->weight[s];
    }
}

/* The same for groups that are in several. */
static void reach_places(const struct motley__choices *choices, const int *group, const uint8_t *has, int places,
                         double *reach)
{
    for (int s = 0; s < choices->sets; s++) {
        const int *set = choices->set + (size_t)s * (size_t)choices->K;
        for (int place = 0; place < places; place++) {
            int needed = 0;
            for (int k = 0; k < choices->K && !needed; k++)
                needed = set[k] >= 0 && has[(size_t)group[set[k]] * (size_t)places + (size_t)place];
            reach[place] += needed ? choices->weight[s] : 0;
        }
    }
}

void motley__choices_reach(const struct motley__choices *choices, const int *group, const uint8_t *has, int places,
                           double *reach)
{
    for (int place = 0; place < places; place++)
        reach[place] = 0;
    if (has)
        reach_places(choices, group, has, places, reach);
    else
        reach_groups(choices, group, reach);
}

/* The first of `sets` at which the ascending sums are above x; the last if none is. */
static int find_above(const double *sum, int sets, double x)
{
    int low = 0, high = sets - 1;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (sum[middle] > x)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

int motley__choices_draw(const struct motley__choices *choices, uint64_t seed, uint64_t stream, int64_t T,
                         int32_t *experts, struct motley_error *error)
{
    double *sum = malloc((size_t)choices->sets * sizeof *sum), all = 0;
    if (!sum)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to draw from %d sets of experts",
                            choices->sets);
    for (int s = 0; s < choices->sets; s++)
        sum[s] = all += choices->weight[s];
    for (int64_t t = 0; t < T; t++) {
        const int s = find_above(sum, choices->sets, all * motley__random_uniform(seed, stream, (uint64_t)t));
        for (int k = 0; k < choices->K; k++)
            experts[t * choices->K + k] = choices->set[(size_t)s * (size_t)choices->K + (size_t)k];
    }
    free(sum);
    return 0;
}

/* The expert with the highest of count [E], of equal ones the lower number; -1 when all are negative. */
static int most_chosen(const double *count, int E)
{
    int best = -1;
    for (int e = 0; e < E; e++)
        if (count[e] >= 0 && (best < 0 || count[e] > count[best]))
            best = e;
    return best;
}

int motley__coactivation_mask(const motley_coactivation *c, int layer, int most, uint32_t *mask,
                              struct motley_error *error)
{
    const int E = c->E;
    const size_t words = ((size_t)E + 31) / 32;
    double *count = malloc((size_t)E * sizeof *count);
    if (!count)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the collaborators of %d experts", E);
    memset(mask, 0, (size_t)E * words * sizeof *mask);
    for (int i = 0; i < E; i++) {
        for (int j = 0; j < E; j++)
            count[j] = together(c, layer, i, j);
        for (int next = i, taken = 0; next >= 0 && taken <= most; next = most_chosen(count, E), taken++) {
            mask[(size_t)i * words + (size_t)next / 32] |= UINT32_C(1) << next % 32;
            count[next] = -1;
        }
    }
    free(count);
    return 0;
}
