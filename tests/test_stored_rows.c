/* Rows in bf16 and f16 between tokens and experts: encode moves their bits, combine and decode round where they say,
 * the gate reads them as the numbers that they are.  Everything is exact.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/decode.h"
#include "layer/encode.h"
#include "layer/gate.h"
#include "product.h"

static const int WIDTHS[] = {1, 20, 33, 64, 272};
enum { T = 19, K = 3, N = T * K, OWN_BEGIN = 11, OWN_END = 30, ROWS = N - (OWN_END - OWN_BEGIN) };

static float rounded(enum motley_dtype dtype, float x)
{
    float stored, back;
    motley__store(dtype, &x, 1, &stored);
    motley__load(dtype, &stored, 1, &back);
    return back;
}

/* The sorted position of send row j; encode.h. */
static int position(int j)
{
    return j < OWN_BEGIN ? j : j + OWN_END - OWN_BEGIN;
}

static void check_encode(struct motley__device *device, enum motley_dtype dtype, int D)
{
    const uint64_t seed = test_seed();
    float *x = random_stored(dtype, seed, 1, (size_t)(T * D)), *expected = ARRAY(float, ROWS * D);
    int *order = random_permutation(seed, 2, N);
    x[0] = NAN;
    struct motley__buffer *x_there = to_device_as(device, dtype, x, (size_t)(T * D));
    struct motley__buffer *order_there = to_device(device, order, sizeof(int) * N);
    struct motley__encode encode = {
        .dtype = dtype, .D = D, .K = K, .rows = ROWS, .own_begin = OWN_BEGIN, .own_end = OWN_END, .x = x_there,
        .order = order_there, .send = unwritten(device, (size_t)(ROWS * D) * motley__storage_bytes(dtype)),
    };
    SUCCEED(motley__encode(device, &encode, &error));
    for (int i = 0; i < ROWS * D; i++)
        expected[i] = x[order[position(i / D)] / K * D + i % D];
    float *send = take_back_as(dtype, encode.send);
    assert_memory_equal(send, expected, sizeof(float) * (size_t)(ROWS * D));
    motley__buffer_destroy(x_there);
    motley__buffer_destroy(order_there);
    free(x);
    free(expected);
    free(order);
    free(send);
}

static void check_combine(struct motley__device *device, enum motley_dtype dtype, int D)
{
    const uint64_t seed = test_seed();
    float *o = random_stored(dtype, seed, 1, (size_t)(N * D)), *weight = random_floats(seed, 2, N);
    float *expected = ARRAY(float, ROWS * D);
    int *pair = random_permutation(seed, 3, N);
    struct motley__buffer *there[] = {to_device_as(device, dtype, o, (size_t)(N * D)),
                                      to_device(device, pair, sizeof(int) * N),
                                      to_device(device, weight, sizeof(float) * N)};
    struct motley__combine combine = {
        .dtype = dtype, .rows = ROWS, .D = D, .o = there[0], .pair_received = there[1], .weight = there[2],
        .returned = unwritten(device, (size_t)(ROWS * D) * motley__storage_bytes(dtype)),
    };
    SUCCEED(motley__combine(device, &combine, &error));
    for (int i = 0; i < ROWS * D; i++)
        expected[i] = rounded(dtype, weight[pair[i / D]] * o[pair[i / D] * D + i % D]);
    float *returned = take_back_as(dtype, combine.returned);
    assert_memory_equal(returned, expected, sizeof(float) * (size_t)(ROWS * D));
    for (int i = 0; i < 3; i++)
        motley__buffer_destroy(there[i]);
    free(o);
    free(weight);
    free(expected);
    free(pair);
    free(returned);
}

/* One number of y: k ascending, own products rounded as those that came back were. */
static float expected_sum(enum motley_dtype dtype, const int *where, const float *o, const float *weights,
                          const float *returned, int t, int d, int D)
{
    float sum = 0;
    for (int n = t * K; n < (t + 1) * K; n++) {
        const int i = where[n];
        if (i >= OWN_BEGIN && i < OWN_END)
            sum += rounded(dtype, weights[n] * o[(i - OWN_BEGIN) * D + d]);
        else
            sum += returned[(i < OWN_BEGIN ? i : i - (OWN_END - OWN_BEGIN)) * D + d];
    }
    return sum;
}

static void check_decode(struct motley__device *device, enum motley_dtype dtype, int D, int accumulate)
{
    enum { OWN = OWN_END - OWN_BEGIN };
    const uint64_t seed = test_seed();
    float *o = random_stored(dtype, seed, 1, (size_t)(OWN * D)), *weights = random_floats(seed, 2, N);
    float *returned = random_stored(dtype, seed, 3, (size_t)(ROWS * D));
    float *y = random_stored(dtype, seed, 4, (size_t)(T * D));
    int *where = random_permutation(seed, 5, N), *pair_own = ARRAY(int, OWN);
    for (int i = 0; i < OWN; i++)
        pair_own[i] = i;
    struct motley__buffer *there[] = {
        to_device_as(device, dtype, o, (size_t)(OWN * D)), to_device_as(device, dtype, returned, (size_t)(ROWS * D)),
        to_device(device, where, sizeof(int) * N), to_device(device, pair_own, sizeof(int) * OWN),
        to_device(device, weights, sizeof(float) * N),
    };
    struct motley__decode decode = {
        .dtype = dtype, .T = T, .K = K, .D = D, .own_begin = OWN_BEGIN, .own_end = OWN_END, .where = there[2],
        .pair_own = there[3], .o = there[0], .weights = there[4], .returned = there[1], .accumulate = accumulate,
        .y = to_device_as(device, dtype, y, (size_t)(T * D)),
    };
    SUCCEED(motley__decode(device, &decode, &error));
    for (int i = 0; i < T * D; i++) {
        const float sum = expected_sum(dtype, where, o, weights, returned, i / D, i % D, D);
        y[i] = rounded(dtype, accumulate ? y[i] + sum : sum);
    }
    float *got = take_back_as(dtype, decode.y);
    assert_memory_equal(got, y, sizeof(float) * (size_t)(T * D));
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        motley__buffer_destroy(there[i]);
    void *host[] = {o, weights, returned, y, where, pair_own, got};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

/* The gate on stored tokens and on the same numbers as f32. */
static void check_gate(struct motley__device *device, enum motley_dtype dtype, int D)
{
    enum { E = 11 };
    const uint64_t seed = test_seed();
    float *x = random_stored(dtype, seed, 1, (size_t)(T * D)), *w = random_floats(seed, 2, (size_t)(E * D));
    float *p[2];
    int *indices[2];
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, 1, E, D, 1, NULL, &matrix, &error));
    SUCCEED(motley__matrix_set(matrix, 0, w, &error));
    for (int i = 0; i < 2; i++) {
        const enum motley_dtype type = i ? dtype : MOTLEY_F32;
        struct motley__buffer *x_there = to_device_as(device, type, x, (size_t)(T * D));
        struct motley__gate_forward gate = {
            .dtype = type, .T = T, .D = D, .E = E, .K = K, .x = x_there, .w = matrix,
            .logits = unwritten(device, motley__gate_scratch_bytes(device, T, E)),
            .p = unwritten(device, sizeof(float) * T * E), .lse = unwritten(device, sizeof(float) * T),
            .indices = unwritten(device, sizeof(int) * N), .weights = unwritten(device, sizeof(float) * N),
        };
        SUCCEED(motley__gate_forward(device, &gate, &error));
        p[i] = take_back(gate.p);
        indices[i] = take_back(gate.indices);
        motley__buffer_destroy(x_there);
        motley__buffer_destroy(gate.logits);
        motley__buffer_destroy(gate.lse);
        motley__buffer_destroy(gate.weights);
    }
    assert_memory_equal(p[0], p[1], sizeof(float) * T * E);
    assert_memory_equal(indices[0], indices[1], sizeof(int) * N);
    motley__matrix_destroy(matrix);
    for (int i = 0; i < 2; i++) {
        free(p[i]);
        free(indices[i]);
    }
    free(x);
    free(w);
}

static void rows_are_exact_on(struct motley__device *device)
{
    for (int dtype = MOTLEY_BF16; dtype <= MOTLEY_F16; dtype++)
        for (size_t i = 0; i < sizeof WIDTHS / sizeof *WIDTHS; i++) {
            check_encode(device, (enum motley_dtype)dtype, WIDTHS[i]);
            check_combine(device, (enum motley_dtype)dtype, WIDTHS[i]);
            check_decode(device, (enum motley_dtype)dtype, WIDTHS[i], 0);
            check_decode(device, (enum motley_dtype)dtype, WIDTHS[i], 1);
            check_gate(device, (enum motley_dtype)dtype, WIDTHS[i]);
        }
}

static void rows_are_exact(void **state)
{
    on_both_maps(*state, rows_are_exact_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_exact),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
