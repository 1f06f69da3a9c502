/* The gate: choice, weights, ties, forced experts, and its gradient against finite differences.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "routing.h"

#include "layer/gate.h"
#include "layer/ref.h"

struct sizes {
    int T, D, E, K, normalize, panel;
};

struct result {
    float *p, *lse, *weights;
    int *indices;
};

static void release(struct result *r)
{
    free(r->p);
    free(r->lse);
    free(r->weights);
    free(r->indices);
}

static struct motley__buffer *zeroed(struct motley__device *device, size_t bytes)
{
    void *zeros = host_array(bytes, 1);
    struct motley__buffer *buffer = to_device(device, zeros, bytes);
    free(zeros);
    return buffer;
}

static struct result forward(struct motley__device *device, struct sizes s, int single, const float *x, const float *w,
                             const int *forced)
{
    const size_t pairs = (size_t)s.T * (size_t)s.K * 4, experts = (size_t)s.T * (size_t)s.E * 4;
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, 1, s.E, s.D, s.panel, NULL, &matrix, &error));
    SUCCEED(motley__matrix_set(matrix, 0, w, &error));
    struct motley__buffer *xs = to_device(device, x, (size_t)s.T * (size_t)s.D * 4);
    struct motley__buffer *given = forced ? to_device(device, forced, pairs) : NULL;
    struct motley__gate_forward gate = {
        .T = s.T, .D = s.D, .E = s.E, .K = s.K, .normalize = s.normalize, .single = single, .x = xs, .w = matrix,
        .forced = given, .logits = unwritten(device, motley__gate_scratch_bytes(device, s.T, s.E)),
        .p = unwritten(device, experts), .lse = unwritten(device, (size_t)s.T * 4),
        .indices = unwritten(device, pairs), .weights = unwritten(device, pairs),
    };
    SUCCEED(motley__gate_forward(device, &gate, &error));
    struct result r = {
        .p = take_back(gate.p), .lse = take_back(gate.lse), .weights = take_back(gate.weights),
        .indices = take_back(gate.indices),
    };
    motley__buffer_destroy(gate.logits);
    motley__buffer_destroy(xs);
    motley__buffer_destroy(given);
    motley__matrix_destroy(matrix);
    return r;
}

static double *reference(struct sizes s, const float *x, const float *w, const int *forced, struct result *r)
{
    double *logits = ARRAY(double, (size_t)s.T * (size_t)s.E);
    r->p = ARRAY(float, (size_t)s.T * (size_t)s.E);
    r->lse = ARRAY(float, s.T);
    r->weights = ARRAY(float, (size_t)s.T * (size_t)s.K);
    r->indices = ARRAY(int, (size_t)s.T * (size_t)s.K);
    motley__ref_gate_forward(s.T, s.D, s.E, s.K, s.normalize, x, w, forced, logits, r->p, r->lse, r->indices,
                             r->weights);
    return logits;
}

static void compare(struct sizes s, const struct result *r, const struct result *expected)
{
    const size_t pairs = (size_t)s.T * (size_t)s.K;
    assert_memory_equal(r->indices, expected->indices, pairs * 4);
    assert_close(r->weights, expected->weights, pairs, 1e-6, 1e-30);
    assert_close(r->p, expected->p, (size_t)s.T * (size_t)s.E, 1e-6, 1e-30);
    assert_close(r->lse, expected->lse, (size_t)s.T, 1e-6, 1e-6);
}

/* Panels are powers of two, as those of all families. */
static const struct sizes all_sizes[] = {
    {1, 1, 1, 1, 0, 1},        {37, 19, 5, 2, 0, 1},   {65, 130, 66, 8, 1, 16},  {33, 257, 128, 1, 1, 4},
    {40, 64, 512, 512, 1, 16}, {70, 40, 17, 17, 0, 4}, {300, 33, 100, 3, 1, 16}, {2, 2048, 128, 8, 0, 16},
    {96, 48, 8, 2, 1, 16},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

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
        float *x = random_floats(seed, 2 * i, (size_t)s.T * (size_t)s.D);
        float *w = random_floats(seed, 2 * i + 1, (size_t)s.E * (size_t)s.D);
        for (int j = 0; j < s.E * s.D; j++)
            w[j] /= sqrtf((float)s.D);
        struct result expected, r = forward(device, s, 0, x, w, NULL);
        free(reference(s, x, w, NULL, &expected));
        compare(s, &r, &expected);
        struct result again = forward(device, s, 0, x, w, NULL);
        assert_memory_equal(again.p, r.p, (size_t)s.T * (size_t)s.E * 4);
        assert_memory_equal(again.weights, r.weights, (size_t)s.T * (size_t)s.K * 4);
        release(&again);
        release(&r);
        release(&expected);
        free(x);
        free(w);
    }
}

static void equals_twin(void **state)
{
    on_both_maps(*state, equals_twin_on);
}

/* Compensated float: the chosen logits are the reference's up to float's rounding, the weights too. */
static void single_is_close_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < COUNT(all_sizes); i++) {
        const struct sizes s = all_sizes[i];
        if (!affordable((double)s.T * s.E * s.D))
            continue;
        float *x = random_floats(seed, 2 * i, (size_t)s.T * (size_t)s.D);
        float *w = random_floats(seed, 2 * i + 1, (size_t)s.E * (size_t)s.D);
        for (int j = 0; j < s.E * s.D; j++)
            w[j] /= sqrtf((float)s.D);
        struct result expected, r = forward(device, s, 1, x, w, NULL);
        double *logits = reference(s, x, w, NULL, &expected);
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
        free(x);
        free(w);
    }
}

static void single_is_close(void **state)
{
    on_both_maps(*state, single_is_close_on);
}

/* Large terms that cancel: plain float sums would be off by more than the logits themselves. */
static void single_is_compensated_on(struct motley__device *device)
{
    const struct sizes s = affordable_sizes((struct sizes){3, 1000, 20, 4, 0, 16});
    const uint64_t seed = test_seed();
    float *x = random_floats(seed, 1, (size_t)s.T * (size_t)s.D);
    float *w = random_floats(seed, 2, (size_t)s.E * (size_t)s.D);
    for (int t = 0; t < s.T; t++)
        for (int i = 0; i < s.D; i += 2) {
            const float large = 3000.0f * x[t * s.D + i];
            x[t * s.D + i] = large; /* w of a pair of inputs differs little, x not at all */
            x[t * s.D + i + 1] = -large;
        }
    for (int e = 0; e < s.E; e++)
        for (int i = e * s.D; i < (e + 1) * s.D; i += 2)
            w[i + 1] = w[i] * (1.0f + 1e-5f * (float)(random_int(seed, 3, (size_t)i, 3) - 1));
    struct result expected, r = forward(device, s, 1, x, w, NULL);
    free(reference(s, x, w, NULL, &expected));
    assert_memory_equal(r.indices, expected.indices, (size_t)s.T * (size_t)s.K * 4);
    assert_close(r.weights, expected.weights, (size_t)s.T * (size_t)s.K, 1e-5, 0);
    release(&r);
    release(&expected);
    free(x);
    free(w);
}

static void single_is_compensated(void **state)
{
    on_both_maps(*state, single_is_compensated_on);
}

/* Equal rows have equal logits wherever they lie in the panels; the lower one is listed first. */
static void equal_rows_tie_on(struct motley__device *device)
{
    static const int panels[] = {1, 4, 16};
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < COUNT(panels); i++)
        for (int single = 0; single < 2; single++) {
            const struct sizes s = affordable_sizes((struct sizes){67, 515, 70, 70, i % 2, panels[i]});
            float *x = random_floats(seed, 1, (size_t)s.T * (size_t)s.D);
            float *w = random_floats(seed, 2, (size_t)s.E * (size_t)s.D);
            for (int e = 7; e < s.E; e++) /* only 7 different rows */
                memcpy(w + e * s.D, w + e % 7 * s.D, (size_t)s.D * 4);
            struct result r = forward(device, s, single, x, w, NULL);
            for (int t = 0; t < s.T; t++) {
                for (int e = 7; e < s.E; e++)
                    assert_true(r.p[t * s.E + e] == r.p[t * s.E + e % 7]);
                for (int k = 1; k < s.K; k++) /* 10 of each, ascending */
                    assert_true(k % 10 == 0 || r.indices[t * s.K + k] == r.indices[t * s.K + k - 1] + 7);
            }
            release(&r);
            free(x);
            free(w);
        }
}

static void equal_rows_tie(void **state)
{
    on_both_maps(*state, equal_rows_tie_on);
}

/* Rows that differ by one unit in the last place of one weight: only (nearly) exact sums order them as the twin. */
static void near_ties_fall_right_on(struct motley__device *device)
{
    const struct sizes s = affordable_sizes((struct sizes){50, 1024, 70, 70, 0, 16});
    const uint64_t seed = test_seed();
    float *x = random_floats(seed, 1, (size_t)s.T * (size_t)s.D);
    float *w = random_floats(seed, 2, (size_t)s.E * (size_t)s.D);
    for (int e = 1; e < s.E; e++) {
        memcpy(w + e * s.D, w, (size_t)s.D * 4);
        const int i = random_int(seed, 3, (size_t)e, s.D);
        w[e * s.D + i] = nextafterf(w[e * s.D + i], e % 2 ? 9 : -9);
    }
    struct result expected, r = forward(device, s, 0, x, w, NULL);
    free(reference(s, x, w, NULL, &expected));
    compare(s, &r, &expected);
    release(&r);
    release(&expected);
    free(x);
    free(w);
}

static void near_ties_fall_right(void **state)
{
    on_both_maps(*state, near_ties_fall_right_on);
}

/* Forced experts, one named twice: both pairs are there, with its weight each. */
static void forced_experts_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int normalize = 0; normalize < 2; normalize++) {
        const struct sizes s = {41, 30, 12, 3, normalize, 16};
        float *x = random_floats(seed, 1, (size_t)s.T * (size_t)s.D);
        float *w = random_floats(seed, 2, (size_t)s.E * (size_t)s.D);
        int *forced = ARRAY(int, s.T * s.K);
        for (int n = 0; n < s.T * s.K; n++)
            forced[n] = n % s.K == 2 && n / s.K % 2 ? forced[n - 1] : random_int(seed, 3, (size_t)n, s.E);
        struct result expected, r = forward(device, s, 0, x, w, forced);
        free(reference(s, x, w, forced, &expected));
        compare(s, &r, &expected);
        assert_memory_equal(r.indices, forced, (size_t)s.T * (size_t)s.K * 4);
        release(&r);
        release(&expected);
        free(forced);
        free(x);
        free(w);
    }
}

static void forced_experts(void **state)
{
    on_both_maps(*state, forced_experts_on);
}

/* NaN reaches the weights, and the indices are still K different experts. */
static void nan_propagates_on(struct motley__device *device)
{
    const struct sizes s = {3, 10, 20, 20, 0, 16};
    float *x = random_floats(test_seed(), 1, (size_t)s.T * (size_t)s.D);
    float *w = random_floats(test_seed(), 2, (size_t)s.E * (size_t)s.D);
    x[4] = NAN;              /* all logits of token 0 */
    w[3 * s.D + 2] = NAN;    /* expert 3's for every token */
    struct result r = forward(device, s, 0, x, w, NULL);
    for (int t = 0; t < s.T; t++) {
        int seen[20] = {0};
        for (int k = 0; k < s.K; k++) {
            assert_in_range(r.indices[t * s.K + k], 0, s.E - 1);
            assert_int_equal(seen[r.indices[t * s.K + k]]++, 0);
            assert_true(isnan(r.weights[t * s.K + k]));
        }
    }
    release(&r);
    free(x);
    free(w);
}

static void nan_propagates(void **state)
{
    on_both_maps(*state, nan_propagates_on);
}

static void no_tokens(void **state)
{
    const struct sizes s = {0, 10, 4, 2, 0, 16};
    float *w = random_floats(test_seed(), 1, (size_t)s.E * (size_t)s.D);
    struct result r = forward(*state, s, 0, w, w, NULL);
    release(&r);
    free(w);
    struct motley__gate_backward gate = {.T = 0, .E = 4, .K = 2};
    SUCCEED(motley__gate_backward(*state, &gate, &error));
}

/* What gate_backward differentiates, of one token: sum_k c_k g_k + sum_e balance_e p_e + z lse^2. */
static double objective(struct sizes s, const double *logits, const int *indices, const float *c, const float *balance,
                        float z)
{
    double sum = 0, chosen = 0, value = 0;
    for (int e = 0; e < s.E; e++)
        sum += exp(logits[e]);
    for (int k = 0; k < s.K; k++)
        chosen += exp(logits[indices[k]]);
    for (int k = 0; k < s.K; k++)
        value += c[k] * exp(logits[indices[k]]) / (s.normalize ? chosen : sum);
    for (int e = 0; e < s.E; e++)
        value += balance[e] * exp(logits[e]) / sum;
    return value + z * log(sum) * log(sum);
}

/* The gradient of one random gate by kernel, by twin and by central differences. */
static void check_gradient(struct motley__device *device, struct sizes s, int single, int forced, uint64_t seed)
{
    const int pairs = s.T * s.K;
    const float z = 0.3f;
    float *logits = random_floats(seed, 1, (size_t)s.T * (size_t)s.E); /* as x, with the unit matrix as gate */
    float *unit = ARRAY(float, s.E * s.E), *c = random_floats(seed, 2, (size_t)pairs);
    float *balance = random_floats(seed, 3, (size_t)s.E);
    int *given = ARRAY(int, pairs);
    for (int e = 0; e < s.E; e++)
        unit[e * s.E + e] = 1;
    for (int n = 0; n < pairs; n++)
        given[n] = n % 3 == 1 && n % s.K ? given[n - 1] : random_int(seed, 4, (size_t)n, s.E);
    s.D = s.E;
    struct result r = forward(device, s, single, logits, unit, forced ? given : NULL);

    struct motley__gate_backward gate = {
        .T = s.T, .E = s.E, .K = s.K, .normalize = s.normalize, .single = single,
        .p = to_device(device, r.p, (size_t)s.T * (size_t)s.E * 4), .lse = to_device(device, r.lse, (size_t)s.T * 4),
        .indices = to_device(device, r.indices, (size_t)pairs * 4),
        .weights = to_device(device, r.weights, (size_t)pairs * 4), .dweights = to_device(device, c, (size_t)pairs * 4),
        .balance = to_device(device, balance, (size_t)s.E * 4), .z = z,
        .dlogits = unwritten(device, (size_t)s.T * (size_t)s.E * 4),
    };
    SUCCEED(motley__gate_backward(device, &gate, &error));
    float *dlogits = take_back(gate.dlogits);
    double *expected = ARRAY(double, s.T * s.E), *row = ARRAY(double, s.E);
    motley__ref_gate_backward(s.T, s.E, s.K, s.normalize, r.p, r.lse, r.indices, r.weights, c, balance, z, expected);

    for (int t = 0; t < s.T; t++) {
        double largest = 0;
        for (int e = 0; e < s.E; e++)
            largest = fmax(largest, fabs(expected[t * s.E + e]));
        for (int e = 0; e < s.E; e++) {
            double side[2];
            for (int i = 0; i < 2; i++) {
                for (int j = 0; j < s.E; j++)
                    row[j] = logits[t * s.E + j] + (j == e ? (i ? -1e-5 : 1e-5) : 0);
                side[i] = objective(s, row, r.indices + t * s.K, c + t * s.K, balance, z);
            }
            assert_true(fabs(expected[t * s.E + e] - (side[0] - side[1]) / 2e-5) <= 1e-6 * largest);
            assert_true(fabs(dlogits[t * s.E + e] - expected[t * s.E + e]) <= (single ? 3e-6 : 1e-7) * largest);
        }
    }
    const struct motley__buffer *inputs[] = {gate.p, gate.lse, gate.indices, gate.weights, gate.dweights, gate.balance};
    for (size_t i = 0; i < COUNT(inputs); i++)
        motley__buffer_destroy((struct motley__buffer *)inputs[i]);
    release(&r);
    free(row);
    free(expected);
    free(dlogits);
    free(given);
    free(balance);
    free(c);
    free(unit);
    free(logits);
}

static void gradient_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int normalize = 0; normalize < 2; normalize++)
        for (int forced = 0; forced < 2; forced++)
            for (int single = 0; single < 2; single++) {
                check_gradient(device, (struct sizes){9, 0, 7, 3, normalize, 1}, single, forced, seed);
                check_gradient(device, (struct sizes){3, 0, 70, 70, normalize, 1}, single, forced, seed);
                check_gradient(device, (struct sizes){5, 0, 1, 1, normalize, 1}, single, forced, seed);
            }
}

static void gradient(void **state)
{
    on_both_maps(*state, gradient_on);
}

/* Without the auxiliary losses an expert that was not chosen pulls on no other. */
static void gradient_of_nothing(void **state)
{
    struct motley__device *device = *state;
    const float p[] = {0.25f, 0.5f, 0.25f}, lse[] = {1}, weights[] = {0.5f}, dweights[] = {0};
    const int indices[] = {1};
    struct motley__gate_backward gate = {
        .T = 1, .E = 3, .K = 1, .p = to_device(device, p, 12), .lse = to_device(device, lse, 4),
        .indices = to_device(device, indices, 4), .weights = to_device(device, weights, 4),
        .dweights = to_device(device, dweights, 4), .dlogits = zeroed(device, 12),
    };
    SUCCEED(motley__gate_backward(device, &gate, &error));
    float *dlogits = take_back(gate.dlogits);
    for (int e = 0; e < 3; e++)
        assert_true(dlogits[e] == 0);
    const struct motley__buffer *inputs[] = {gate.p, gate.lse, gate.indices, gate.weights, gate.dweights};
    for (size_t i = 0; i < COUNT(inputs); i++)
        motley__buffer_destroy((struct motley__buffer *)inputs[i]);
    free(dlogits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_twin),          cmocka_unit_test(single_is_close),
        cmocka_unit_test(single_is_compensated), cmocka_unit_test(equal_rows_tie),
        cmocka_unit_test(near_ties_fall_right), cmocka_unit_test(forced_experts),
        cmocka_unit_test(nan_propagates),       cmocka_unit_test(no_tokens),
        cmocka_unit_test(gradient),             cmocka_unit_test(gradient_of_nothing),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
