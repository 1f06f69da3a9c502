/* The gate: choice, weights, ties, forced experts, against the twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "gate.h"

/* What the twin makes of a problem; its logits too, in double. */
static double *reference_among(const struct problem *problem, const int *forced, const uint32_t *collaborators,
                               struct result *r)
{
    const struct sizes s = problem->s;
    double *logits = ARRAY(double, (size_t)s.T * (size_t)s.E);
    r->p = ARRAY(float, (size_t)s.T * (size_t)s.E);
    r->lse = ARRAY(float, s.T);
    r->weights = ARRAY(float, (size_t)s.T * (size_t)s.K);
    r->indices = ARRAY(int, (size_t)s.T * (size_t)s.K);
    motley__ref_gate_logits(s.T, s.D, s.E, problem->x, problem->w, logits);
    motley__ref_gate_select(s.T, s.E, s.K, s.normalize, logits, problem->correction, forced, collaborators, r->p,
                            r->lse, r->indices, r->weights);
    return logits;
}

static double *reference(const struct problem *problem, const int *forced, struct result *r)
{
    return reference_among(problem, forced, NULL, r);
}

/* Frees the problem. */
static void check_among(struct motley__device *device, struct problem *problem, const int *forced,
                        const uint32_t *collaborators)
{
    const struct sizes s = problem->s;
    const size_t pairs = (size_t)s.T * (size_t)s.K, experts = (size_t)s.T * (size_t)s.E;
    struct result expected, r = forward_among(device, problem, 0, forced, collaborators),
                  again = forward_among(device, problem, 0, forced, collaborators);
    free(reference_among(problem, forced, collaborators, &expected));
    assert_memory_equal(r.indices, expected.indices, pairs * sizeof(int));
    assert_close(r.weights, expected.weights, pairs, 1e-6, 1e-30);
    assert_close(r.p, expected.p, experts, 1e-6, 1e-30);
    assert_close(r.lse, expected.lse, (size_t)s.T, 1e-6, 1e-6);
    assert_memory_equal(again.p, r.p, experts * sizeof(float));
    assert_memory_equal(again.weights, r.weights, pairs * sizeof(float));
    release(&again);
    release(&r);
    release(&expected);
    free_problem(problem);
}

static void check(struct motley__device *device, struct problem *problem, const int *forced)
{
    check_among(device, problem, forced, NULL);
}

/* Panels are powers of two, as those of all families. */
static const struct sizes all_sizes[] = {
    {1, 1, 1, 1, 0, 1},        {37, 19, 5, 2, 0, 1},   {65, 130, 66, 8, 1, 16},  {33, 257, 128, 1, 1, 4},
    {40, 64, 512, 512, 1, 16}, {70, 40, 17, 17, 0, 4}, {300, 33, 100, 3, 1, 16}, {2, 2048, 128, 8, 0, 16},
    {96, 48, 8, 2, 1, 16},
};

/* Random, with logits of about 1. */
static struct problem random_gate(struct sizes s, uint64_t seed)
{
    struct problem problem = random_problem(s, seed);
    for (int j = 0; j < s.E * s.D; j++)
        problem.w[j] /= sqrtf((float)s.D);
    return problem;
}

/* The same with fewer tokens and inputs where a simulator runs the test. */
static struct sizes affordable_sizes(struct sizes s)
{
    while (!affordable((double)s.T * s.E * s.D)) {
        int *larger = s.T > s.D ? &s.T : &s.D;
        *larger /= 2;
    }
    return s;
}

static void equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < COUNT(all_sizes); i++) {
        const struct sizes s = all_sizes[i];
        if (!affordable((double)s.T * s.E * s.D))
            continue;
        struct problem problem = random_gate(s, seed + i), sigmoid = random_gate(s, seed + i);
        sigmoid.correction = random_floats(seed, 3, (size_t)s.E);
        check(device, &problem, NULL);
        check(device, &sigmoid, NULL);
    }
}

/* Compensated float: the chosen logits are the reference's up to float's rounding, the weights too. */
static void single_is_close_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < COUNT(all_sizes); i++) {
        const struct sizes s = all_sizes[i];
        if (!affordable((double)s.T * s.E * s.D))
            continue;
        struct problem problem = random_gate(s, seed + i);
        struct result expected, r = forward(device, &problem, 1, NULL);
        double *logits = reference(&problem, NULL, &expected);
        for (int n = 0; n < s.T * s.K; n++) {
            assert_in_range(r.indices[n], 0, s.E - 1);
            const double *row = logits + (size_t)(n / s.K) * (size_t)s.E;
            assert_true(fabs(row[r.indices[n]] - row[expected.indices[n]]) <= 1e-6);
        }
        assert_close(r.weights, expected.weights, (size_t)s.T * (size_t)s.K, 2e-6, 0);
        assert_close(r.p, expected.p, (size_t)s.T * (size_t)s.E, 2e-6, 0);
        release(&r);
        release(&expected);
        free(logits);
        free_problem(&problem);
    }
}

/* Large terms that cancel: plain float sums would be off by more than the logits themselves. */
static void single_is_compensated_on(struct motley__device *device)
{
    const struct sizes s = affordable_sizes((struct sizes){3, 1000, 20, 4, 0, 16});
    const uint64_t seed = test_seed();
    struct problem problem = random_problem(s, seed);
    float *x = problem.x, *w = problem.w;
    for (int t = 0; t < s.T; t++)
        for (int i = 0; i < s.D; i += 2) {
            const float large = 3000.0f * x[t * s.D + i];
            x[t * s.D + i] = large; /* w of a pair of inputs differs little, x not at all */
            x[t * s.D + i + 1] = -large;
        }
    for (int e = 0; e < s.E; e++)
        for (int i = e * s.D; i < (e + 1) * s.D; i += 2)
            w[i + 1] = w[i] * (1.0f + 1e-5f * (float)(random_int(seed, 3, (size_t)i, 3) - 1));
    struct result expected, r = forward(device, &problem, 1, NULL);
    free(reference(&problem, NULL, &expected));
    assert_memory_equal(r.indices, expected.indices, (size_t)s.T * (size_t)s.K * 4);
    assert_close(r.weights, expected.weights, (size_t)s.T * (size_t)s.K, 1e-5, 0);
    release(&r);
    release(&expected);
    free_problem(&problem);
}

/* Equal rows have equal logits wherever they lie in the panels; the lower one is listed first. */
static void equal_rows_tie_on(struct motley__device *device)
{
    static const int panels[] = {1, 4, 16};
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < COUNT(panels); i++)
        for (int single = 0; single < 2; single++) {
            const struct sizes s = affordable_sizes((struct sizes){67, 515, 70, 70, i % 2, panels[i]});
            struct problem problem = random_problem(s, seed);
            for (int e = 7; e < s.E; e++) /* only 7 different rows */
                memcpy(problem.w + e * s.D, problem.w + e % 7 * s.D, (size_t)s.D * 4);
            struct result r = forward(device, &problem, single, NULL);
            for (int t = 0; t < s.T; t++) {
                for (int e = 7; e < s.E; e++)
                    assert_true(r.p[t * s.E + e] == r.p[t * s.E + e % 7]);
                for (int k = 1; k < s.K; k++) /* 10 of each, ascending */
                    assert_true(k % 10 == 0 || r.indices[t * s.K + k] == r.indices[t * s.K + k - 1] + 7);
            }
            release(&r);
            free_problem(&problem);
        }
}

/* Rows that differ by one unit in the last place of one weight: only (nearly) exact sums order them as the twin. */
static void near_ties_fall_right_on(struct motley__device *device)
{
    const struct sizes s = affordable_sizes((struct sizes){50, 1024, 70, 70, 0, 16});
    const uint64_t seed = test_seed();
    struct problem problem = random_problem(s, seed);
    for (int e = 1; e < s.E; e++) {
        float *row = problem.w + e * s.D;
        memcpy(row, problem.w, (size_t)s.D * 4);
        const int i = random_int(seed, 3, (size_t)e, s.D);
        row[i] = nextafterf(row[i], e % 2 ? 9 : -9);
    }
    check(device, &problem, NULL);
}

/* One expert named twice: both pairs are there, with its weight each. */
static void forced_experts_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int normalize = 0; normalize < 2; normalize++) {
        const struct sizes s = {41, 30, 12, 3, normalize, 16};
        struct problem problem = random_problem(s, seed);
        int *forced = ARRAY(int, s.T * s.K);
        for (int n = 0; n < s.T * s.K; n++)
            forced[n] = n % s.K == 2 && n / s.K % 2 ? forced[n - 1] : random_int(seed, 3, (size_t)n, s.E);
        struct result r = forward(device, &problem, 0, forced);
        assert_memory_equal(r.indices, forced, (size_t)s.T * (size_t)s.K * 4);
        release(&r);
        check(device, &problem, forced);
        free(forced);
    }
}

/* Beside each expert K-1 to E-1 others, drawn; owned. */
static uint32_t *random_mask(int E, int K, uint64_t seed)
{
    const int words = motley__gate_mask_words(E);
    uint32_t *mask = calloc((size_t)E * (size_t)words, sizeof *mask);
    for (int i = 0; i < E; i++) {
        uint32_t *row = mask + i * words;
        int set = 1, most = K + random_int(seed, 4, (size_t)i, E - K + 1);
        row[i / 32] |= UINT32_C(1) << i % 32;
        for (size_t draw = 0; set < most; draw++) {
            const int e = random_int(seed, 5 + (uint64_t)i, draw, E);
            set += !(row[e / 32] >> e % 32 & 1);
            row[e / 32] |= UINT32_C(1) << e % 32;
        }
    }
    return mask;
}

/* The first choice is anybody's, the others are those that may stand beside it; the twin says which. */
static void collaborators_bound_the_choice_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < COUNT(all_sizes); i++) {
        const struct sizes s = all_sizes[i];
        const int words = motley__gate_mask_words(s.E);
        if (!affordable((double)s.T * s.E * s.D))
            continue;
        struct problem problem = random_gate(s, seed + i);
        uint32_t *mask = random_mask(s.E, s.K, seed + i);
        struct result any = forward(device, &problem, 0, NULL), r = forward_among(device, &problem, 0, NULL, mask);
        for (int t = 0; t < s.T; t++) {
            const int *chosen = r.indices + t * s.K;
            assert_int_equal(chosen[0], any.indices[t * s.K]);
            for (int k = 0; k < s.K; k++)
                assert_true(mask[chosen[0] * words + chosen[k] / 32] >> chosen[k] % 32 & 1);
        }
        release(&any);
        release(&r);
        check_among(device, &problem, NULL, mask);
        free(mask);
    }
}

/* The correction decides who is chosen, and in which order, but not with what weight. */
static void correction_only_chooses_on(struct motley__device *device)
{
    const struct sizes s = {29, 20, 9, 4, 0, 16};
    struct problem problem = random_gate(s, test_seed());
    problem.correction = ARRAY(float, s.E);
    for (int e = 0; e < s.E; e++)
        problem.correction[e] = 2.0f * (float)(e % 4); /* scores are below 1: 3, 7, then the better two of 2 and 6 */
    struct result r = forward(device, &problem, 0, NULL);
    for (int t = 0; t < s.T; t++) {
        const int *chosen = r.indices + t * s.K;
        assert_true(chosen[0] % 4 == 3 && chosen[1] % 4 == 3 && chosen[2] % 4 == 2 && chosen[3] % 4 == 2);
        for (int k = 0; k < s.K; k++)
            assert_true(r.weights[t * s.K + k] == r.p[t * s.E + chosen[k]]);
        assert_true(r.weights[t * s.K] >= r.weights[t * s.K + 1]);
    }
    release(&r);
    free_problem(&problem);
}

/* NaN reaches the weights, and the indices are still K different experts. */
static void nan_propagates_on(struct motley__device *device)
{
    const struct sizes s = {3, 10, 20, 20, 0, 16};
    struct problem problem = random_problem(s, test_seed());
    problem.x[4] = NAN;              /* all logits of token 0 */
    problem.w[3 * s.D + 2] = NAN;    /* expert 3's for every token */
    struct result r = forward(device, &problem, 0, NULL);
    for (int t = 0; t < s.T; t++) {
        int seen[20] = {0};
        for (int k = 0; k < s.K; k++) {
            assert_in_range(r.indices[t * s.K + k], 0, s.E - 1);
            assert_int_equal(seen[r.indices[t * s.K + k]]++, 0);
            assert_true(isnan(r.weights[t * s.K + k]));
        }
    }
    release(&r);
    free_problem(&problem);
}

static void equals_twin(void **state) { on_both_maps(*state, equals_twin_on); }
static void single_is_close(void **state) { on_both_maps(*state, single_is_close_on); }
static void single_is_compensated(void **state) { on_both_maps(*state, single_is_compensated_on); }
static void equal_rows_tie(void **state) { on_both_maps(*state, equal_rows_tie_on); }
static void near_ties_fall_right(void **state) { on_both_maps(*state, near_ties_fall_right_on); }
static void forced_experts(void **state) { on_both_maps(*state, forced_experts_on); }
static void collaborators_bound_the_choice(void **state) { on_both_maps(*state, collaborators_bound_the_choice_on); }
static void nan_propagates(void **state) { on_both_maps(*state, nan_propagates_on); }

static void correction_only_chooses(void **state) { on_both_maps(*state, correction_only_chooses_on); }

static void no_tokens(void **state)
{
    struct problem problem = random_problem((struct sizes){0, 10, 4, 2, 0, 16}, test_seed());
    struct result r = forward(*state, &problem, 0, NULL);
    release(&r);
    free_problem(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_twin),          cmocka_unit_test(single_is_close),
        cmocka_unit_test(single_is_compensated), cmocka_unit_test(equal_rows_tie),
        cmocka_unit_test(near_ties_fall_right), cmocka_unit_test(forced_experts),
        cmocka_unit_test(nan_propagates),       cmocka_unit_test(correction_only_chooses),
        cmocka_unit_test(no_tokens),            cmocka_unit_test(collaborators_bound_the_choice),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
