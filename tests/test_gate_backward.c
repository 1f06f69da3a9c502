/* The gate's gradient: against the twin, and the twin against finite differences.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "gate.h"

static struct motley__buffer *zeroed(struct motley__device *device, size_t bytes)
{
    void *zeros = host_array(bytes, 1);
    struct motley__buffer *buffer = to_device(device, zeros, bytes);
    free(zeros);
    return buffer;
}

/* What gate_backward differentiates, of one token: sum_k c_k g_k + sum_e balance_e p_e + z lse^2. */
static double objective(struct sizes s, const double *logits, int sigmoid, const int *indices, const float *c,
                        const float *balance, float z)
{
    double sum = 0, chosen = 0, value = 0, *p = ARRAY(double, s.E);
    for (int e = 0; e < s.E; e++)
        sum += exp(logits[e]);
    for (int e = 0; e < s.E; e++)
        p[e] = sigmoid ? 1 / (1 + exp(-logits[e])) : exp(logits[e]) / sum;
    for (int k = 0; k < s.K; k++)
        chosen += p[indices[k]];
    for (int k = 0; k < s.K; k++)
        value += c[k] * p[indices[k]] / (s.normalize ? chosen : 1);
    for (int e = 0; e < s.E; e++)
        value += balance[e] * p[e];
    free(p);
    return value + z * log(sum) * log(sum);
}

/* The gradient of one random gate by kernel, by twin and by central differences. */
static void check_gradient(struct motley__device *device, struct sizes s, int single, int forced, int sigmoid,
                           uint64_t seed)
{
    const int pairs = s.T * s.K;
    const float z = sigmoid ? 0 : 0.3f;
    float *logits = random_floats(seed, 1, (size_t)s.T * (size_t)s.E); /* as x, with the unit matrix as gate */
    float *unit = ARRAY(float, s.E * s.E), *c = random_floats(seed, 2, (size_t)pairs);
    float *balance = random_floats(seed, 3, (size_t)s.E);
    int *given = ARRAY(int, pairs);
    for (int e = 0; e < s.E; e++)
        unit[e * s.E + e] = 1;
    for (int n = 0; n < pairs; n++)
        given[n] = n % 3 == 1 && n % s.K ? given[n - 1] : random_int(seed, 4, (size_t)n, s.E);
    s.D = s.E;
    const struct problem problem = {s, logits, unit, sigmoid ? balance : NULL};
    struct result r = forward(device, &problem, single, forced ? given : NULL);

    struct motley__gate_backward gate = {
        .T = s.T, .E = s.E, .K = s.K, .normalize = s.normalize, .sigmoid = sigmoid, .single = single,
        .p = to_device(device, r.p, (size_t)s.T * (size_t)s.E * 4), .lse = to_device(device, r.lse, (size_t)s.T * 4),
        .indices = to_device(device, r.indices, (size_t)pairs * 4),
        .weights = to_device(device, r.weights, (size_t)pairs * 4), .dweights = to_device(device, c, (size_t)pairs * 4),
        .balance = to_device(device, balance, (size_t)s.E * 4), .z = z,
        .dlogits = unwritten(device, (size_t)s.T * (size_t)s.E * 4),
    };
    SUCCEED(motley__gate_backward(device, &gate, &error));
    float *dlogits = take_back(gate.dlogits);
    double *expected = ARRAY(double, s.T * s.E), *row = ARRAY(double, s.E);
    motley__ref_gate_backward(s.T, s.E, s.K, s.normalize, sigmoid, r.p, r.lse, r.indices, r.weights, c, balance, z,
                              expected);

    for (int t = 0; t < s.T; t++) {
        double largest = 0;
        for (int e = 0; e < s.E; e++)
            largest = fmax(largest, fabs(expected[t * s.E + e]));
        for (int e = 0; e < s.E; e++) {
            double side[2];
            for (int i = 0; i < 2; i++) {
                for (int j = 0; j < s.E; j++)
                    row[j] = logits[t * s.E + j] + (j == e ? (i ? -1e-5 : 1e-5) : 0);
                side[i] = objective(s, row, sigmoid, r.indices + t * s.K, c + t * s.K, balance, z);
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
            for (int kind = 0; kind < 4; kind++) {
                const int single = kind % 2, sigmoid = kind / 2;
                check_gradient(device, (struct sizes){9, 0, 7, 3, normalize, 1}, single, forced, sigmoid, seed);
                check_gradient(device, (struct sizes){3, 0, 70, 70, normalize, 1}, single, forced, sigmoid, seed);
                check_gradient(device, (struct sizes){5, 0, 1, 1, normalize, 1}, single, forced, sigmoid, seed);
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

static void no_tokens(void **state)
{
    struct motley__gate_backward gate = {.T = 0, .E = 4, .K = 2};
    SUCCEED(motley__gate_backward(*state, &gate, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient),
        cmocka_unit_test(gradient_of_nothing),
        cmocka_unit_test(no_tokens),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
