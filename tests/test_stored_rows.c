/* Rows in bf16 and f16 between tokens and experts, or between ranks alone: encode moves their bits or rounds them,
 * widen takes them as the numbers that they are, combine and decode round where they say, the gate reads them likewise.
 * Everything is exact.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer/decode.h"
#include "layer/encode.h"
#include "layer/gate.h"
#include "layer/ref.h"
#include "product.h"

static const int WIDTHS[] = {1, 20, 33, 64, 272};
enum { T = 19, K = 3, N = T * K, ROWS = 38 };

/* Storage of tokens, and between ranks. */
static const enum motley_dtype TYPES[][2] = {{MOTLEY_BF16, MOTLEY_BF16}, {MOTLEY_F16, MOTLEY_F16},
                                             {MOTLEY_F32, MOTLEY_BF16}, {MOTLEY_F32, MOTLEY_F16}};

static float rounded(enum motley_dtype dtype, float x)
{
    float stored, back;
    motley__store(dtype, &x, 1, &stored);
    motley__load(dtype, &stored, 1, &back);
    return back;
}

/* Some of the rows that arrived. */
static void check_widen(struct motley__device *device, enum motley_dtype dtype, enum motley_dtype wire, int D,
                        const struct motley__buffer *arrived, const float *expected)
{
    enum { FIRST = 3, SOME = 17 };
    struct motley__widen widen = {
        .dtype = dtype, .wire = wire, .D = D, .first = FIRST, .rows = SOME, .arrived = arrived,
        .x = unwritten(device, (size_t)((FIRST + SOME) * D) * motley__storage_bytes(dtype)),
    };
    SUCCEED(motley__widen(device, &widen, &error));
    float *x = take_back_as(dtype, widen.x);
    assert_memory_equal(x + FIRST * D, expected + FIRST * D, sizeof(float) * (size_t)(SOME * D));
    free(x);
}

static void check_encode(struct motley__device *device, enum motley_dtype dtype, enum motley_dtype wire, int D)
{
    const uint64_t seed = test_seed();
    float *x = random_stored(dtype, seed, 1, (size_t)(T * D)), *expected = ARRAY(float, ROWS * D);
    int *order = random_permutation(seed, 2, N);
    x[0] = wire == MOTLEY_F16 && dtype != wire ? INFINITY : NAN; /* f16 knows many that are not numbers */
    struct motley__buffer *x_there = to_device_as(device, dtype, x, (size_t)(T * D));
    struct motley__buffer *order_there = to_device(device, order, sizeof(int) * N);
    struct motley__encode encode = {
        .dtype = dtype, .wire = wire, .D = D, .K = K, .rows = ROWS, .x = x_there, .order = order_there,
        .send = unwritten(device, (size_t)(ROWS * D) * motley__storage_bytes(wire)),
    };
    SUCCEED(motley__encode(device, &encode, &error));
    for (int i = 0; i < ROWS * D; i++)
        expected[i] = rounded(wire, x[order[i / D] / K * D + i % D]);
    check_widen(device, dtype, wire, D, encode.send, expected);
    float *send = take_back_as(wire, encode.send);
    assert_memory_equal(send, expected, sizeof(float) * (size_t)(ROWS * D));
    motley__buffer_destroy(x_there);
    motley__buffer_destroy(order_there);
    free(x);
    free(expected);
    free(order);
    free(send);
}

/* Rows of one or two pairs: each sum is rounded once. */
static void check_combine(struct motley__device *device, enum motley_dtype dtype, enum motley_dtype wire, int D)
{
    const uint64_t seed = test_seed();
    float *o = random_stored(dtype, seed, 1, (size_t)(N * D)), *weight = random_floats(seed, 2, N);
    float *expected = ARRAY(float, ROWS * D);
    int *pair = random_permutation(seed, 3, N), begin[ROWS + 1];
    for (int j = 0; j <= ROWS; j++)
        begin[j] = j + j / 2;
    struct motley__buffer *there[] = {to_device_as(device, dtype, o, (size_t)(N * D)),
                                      to_device(device, pair, sizeof(int) * N),
                                      to_device(device, weight, sizeof(float) * N),
                                      to_device(device, begin, sizeof begin)};
    struct motley__combine combine = {
        .dtype = dtype, .wire = wire, .rows = ROWS, .D = D, .o = there[0], .begin = there[3], .where = there[1],
        .weight = there[2], .returned = unwritten(device, (size_t)(ROWS * D) * motley__storage_bytes(wire)),
    };
    SUCCEED(motley__combine(device, &combine, &error));
    motley__ref_combine(ROWS, D, 0, o, begin, pair, weight, expected);
    for (int i = 0; i < ROWS * D; i++)
        expected[i] = rounded(wire, expected[i]);
    float *returned = take_back_as(wire, combine.returned);
    assert_memory_equal(returned, expected, sizeof(float) * (size_t)(ROWS * D));
    for (int i = 0; i < 4; i++)
        motley__buffer_destroy(there[i]);
    free(o);
    free(weight);
    free(expected);
    free(pair);
    free(returned);
}

/* Expert 0 is here, expert 1 on another rank: row t came back for the tokens that chose it.  out: of the sums. */
static void check_decode(struct motley__device *device, enum motley_dtype dtype, enum motley_dtype wire,
                         enum motley_dtype out, int D, int accumulate)
{
    static const int server[] = {1, 0}, table[] = {0, 1, 1, 0, 0}; /* group 0: one stream, group 1: none */
    const uint64_t seed = test_seed();
    float *o = random_stored(dtype, seed, 1, (size_t)(N * D)), *weight = random_floats(seed, 2, N);
    float *returned = random_stored(wire, seed, 3, (size_t)(T * D));
    float *y = random_stored(out, seed, 4, (size_t)(T * D));
    float *sum = ARRAY(float, T * D);
    int *where = random_permutation(seed, 5, N), indices[N] = {0}, row[N];
    for (int n = 0; n < N; n++)
        row[n] = -1;
    for (int t = 0; t < T; t += 2) {
        indices[t * K + t % K] = 1;
        row[t * K + t % K] = t;
        where[t * K + t % K] = -1;
    }
    struct motley__buffer *there[] = {
        to_device_as(device, dtype, o, (size_t)(N * D)), to_device_as(device, wire, returned, (size_t)(T * D)),
        to_device(device, where, sizeof(int) * N), to_device(device, weight, sizeof(float) * N),
        to_device(device, indices, sizeof indices), to_device(device, server, sizeof server),
        to_device(device, row, sizeof row), to_device(device, table, sizeof table),
    };
    struct motley__decode decode = {
        .dtype = dtype, .out = out, .T = T, .K = K, .D = D, .where = there[2], .o = there[0], .weight = there[3],
        .returned = {.groups = 2, .streams = 1, .chunks = motley__chunks_of(T, 1), .indices = there[4],
                     .server = there[5], .row = there[6], .table = there[7], .rows = there[1], .wire = wire},
        .accumulate = accumulate, .y = to_device_as(device, out, y, (size_t)(T * D)),
    };
    const struct motley__ref_returned back = {2, 1, motley__chunks_of(T, 1), indices, server, row, NULL, table,
                                              returned, NULL};
    SUCCEED(motley__decode(device, &decode, &error));
    motley__ref_decode(T, K, D, where, o, weight, &back, 0, sum);
    for (int i = 0; i < T * D; i++)
        y[i] = rounded(out, accumulate ? y[i] + sum[i] : sum[i]);
    float *got = take_back_as(out, decode.y);
    assert_memory_equal(got, y, sizeof(float) * (size_t)(T * D));
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        motley__buffer_destroy(there[i]);
    void *host[] = {o, weight, returned, y, sum, where, got};
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
    for (size_t k = 0; k < sizeof TYPES / sizeof *TYPES; k++)
        for (size_t i = 0; i < sizeof WIDTHS / sizeof *WIDTHS; i++) {
            const enum motley_dtype dtype = TYPES[k][0], wire = TYPES[k][1];

            check_encode(device, dtype, wire, WIDTHS[i]);
            check_combine(device, dtype, wire, WIDTHS[i]);
            check_decode(device, dtype, wire, dtype, WIDTHS[i], 0);
            check_decode(device, dtype, wire, dtype, WIDTHS[i], 1);
            if (wire != dtype)
                check_decode(device, dtype, wire, wire, WIDTHS[i], 0);
            else
                check_gate(device, dtype, WIDTHS[i]);
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
