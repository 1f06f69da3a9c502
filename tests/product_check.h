/* One operator on the device and by its scalar twin, on numbers of a storage type: the results must agree.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PRODUCT_CHECK_H
#define MOTLEY_TESTS_PRODUCT_CHECK_H

#include "product.h"
#include "product/activation.h"
#include "product/estmm.h"

/* Sums in f32, and results in a storage type: those are rounded once, which changes a number by 2^-8 of itself at most
 * (bf16; f16: 2^-11). */
static const double SUM_LIMIT = 2e-6;
static const double LIMIT[] = {2e-6, 0x1p-8, 0x1p-11};

/* A product's sizes, how its pairs fall on experts, split as make_rows has it; accumulate: added to what is there. */
struct product_case {
    int E, P, O, I;
    enum shape shape;
    int split, accumulate;
};

/* keep 1: pre, with swiglu pre3 too. */
struct forward_case {
    struct product_case product;
    int activation, bias, keep;
};

/* A result on the device, which is destroyed, against the twin's; NULL: not asked for. */
static inline void assert_result(const char *what, enum motley_dtype dtype, struct motley__buffer *result,
                                 const float *expected, size_t count)
{
    if (!result)
        return;
    float *got = take_back_as(dtype, result);
    assert_near(what, got, expected, count, LIMIT[dtype]);
    free(got);
}

static inline void free_all(void *const *host, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(host[i]);
}
#define FREE(...) free_all((void *[]){__VA_ARGS__}, sizeof((void *[]){__VA_ARGS__}) / sizeof(void *))

static inline void check_forward(struct motley__device *device, enum motley_dtype dtype, uint64_t seed,
                                 const struct forward_case *forward)
{
    const struct product_case *c = &forward->product;
    const size_t weights = (size_t)c->E * c->O * c->I, outputs = (size_t)c->P * c->O, biases = (size_t)c->E * c->O;
    const size_t bytes = outputs * motley__storage_bytes(dtype);
    const int swiglu = forward->activation == MOTLEY__ACT_SWIGLU;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem x = make_rows_as(device, dtype, seed, 10, c->P, c->I, c->split);
    float *w = random_stored(dtype, seed, 1, weights), *w3 = random_stored(dtype, seed, 2, weights);
    float *bias = random_floats(seed, 3, biases), *y = random_stored(dtype, seed, 4, outputs);
    float *pre = ARRAY(float, outputs), *pre3 = ARRAY(float, outputs);
    struct motley__esmm esmm = {
        .w = matrix_there_as(device, dtype, dtype, c->E, c->O, c->I, w),
        .w3 = swiglu ? matrix_there_as(device, dtype, dtype, c->E, c->O, c->I, w3) : NULL,
        .bias = forward->bias ? to_device(device, bias, sizeof(float) * biases) : NULL,
        .ragged = ragged.ragged, .x = x.rows, .dtype = dtype, .activation = forward->activation,
        .accumulate = c->accumulate, .pre = forward->keep ? unwritten(device, bytes) : NULL,
        .pre3 = forward->keep && swiglu ? unwritten(device, bytes) : NULL, .y = to_device_as(device, dtype, y, outputs),
    };
    struct motley__ref_esmm ref = {
        .E = c->E, .P = c->P, .O = c->O, .I = c->I, .offsets = ragged.offsets, .x = x.ref, .w = w, .w3 = w3,
        .bias = forward->bias ? bias : NULL, .activation = forward->activation, .accumulate = c->accumulate,
        .pre = pre, .pre3 = pre3, .y = y,
    };
    SUCCEED(motley__esmm(device, &esmm, &error));
    motley__ref_esmm(&ref);
    assert_result("y", dtype, esmm.y, y, outputs);
    assert_result("pre", dtype, esmm.pre, pre, outputs);
    assert_result("pre3", dtype, esmm.pre3, pre3, outputs);
    motley__buffer_destroy((struct motley__buffer *)esmm.bias);
    motley__matrix_destroy((struct motley__matrix *)esmm.w);
    motley__matrix_destroy((struct motley__matrix *)esmm.w3);
    free_rows(&x);
    free_ragged(&ragged);
    FREE(w, w3, bias, y, pre, pre3);
}

static inline void check_transposed(struct motley__device *device, enum motley_dtype dtype, uint64_t seed,
                                    const struct product_case *c)
{
    const size_t weights = (size_t)c->E * c->O * c->I, outputs = (size_t)c->P * c->I;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem g = make_rows_as(device, dtype, seed, 10, c->P, c->O, c->split);
    float *w = random_stored(dtype, seed, 1, weights), *y = random_stored(dtype, seed, 4, outputs);
    struct motley__esmm esmm = {
        .w = matrix_there_as(device, dtype, dtype, c->E, c->O, c->I, w), .ragged = ragged.ragged, .x = g.rows,
        .dtype = dtype, .activation = MOTLEY__ACT_NONE, .accumulate = c->accumulate,
        .y = to_device_as(device, dtype, y, outputs),
    };
    struct motley__ref_esmm ref = {.E = c->E, .P = c->P, .O = c->O, .I = c->I, .offsets = ragged.offsets, .x = g.ref,
                                   .w = w, .accumulate = c->accumulate, .y = y};
    SUCCEED(motley__esmm_transposed(device, &esmm, &error));
    motley__ref_esmm_transposed(&ref);
    assert_result("y", dtype, esmm.y, y, outputs);
    motley__matrix_destroy((struct motley__matrix *)esmm.w);
    free_rows(&g);
    free_ragged(&ragged);
    FREE(w, y);
}

/* What dW holds before: noise, which only `accumulate` may let through; an expert without rows must get zeros. */
static inline void check_estmm(struct motley__device *device, enum motley_dtype dtype, uint64_t seed,
                               const struct product_case *c)
{
    const size_t weights = (size_t)c->E * c->O * c->I;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem a = make_rows_as(device, dtype, seed, 10, c->P, c->O, c->split);
    struct row_problem b = make_rows_as(device, dtype, seed, 20, c->P, c->I, c->split);
    float *dw = random_floats(seed, 1, weights);
    struct motley__estmm estmm = {.ragged = ragged.ragged, .a = a.rows, .b = b.rows, .accumulate = c->accumulate,
                                  .dw = matrix_there_as(device, dtype, MOTLEY_F32, c->E, c->O, c->I, dw)};
    SUCCEED(motley__estmm(device, &estmm, &error));
    motley__ref_estmm(c->E, c->P, c->O, c->I, ragged.offsets, &a.ref, &b.ref, c->accumulate, dw);
    float *got = matrix_back(estmm.dw);
    assert_near("dw", got, dw, weights, SUM_LIMIT);
    motley__matrix_destroy(estmm.dw);
    free_rows(&a);
    free_rows(&b);
    free_ragged(&ragged);
    FREE(got, dw);
}

static inline void check_ess(struct motley__device *device, enum motley_dtype dtype, uint64_t seed,
                             const struct product_case *c, int scaled)
{
    const size_t outputs = (size_t)c->E * c->O;
    struct ragged_problem ragged = make_ragged(device, seed, c->E, c->P, c->shape);
    struct row_problem a = make_rows_as(device, dtype, seed, 10, c->P, c->O, c->split);
    float *db = random_floats(seed, 1, outputs), *scale = random_floats(seed, 2, (size_t)c->P);
    struct motley__buffer *scale_there = scaled ? to_device(device, scale, sizeof(float) * (size_t)c->P) : NULL;
    struct motley__ess ess = {.ragged = ragged.ragged, .a = a.rows, .scale = scale_there, .O = c->O,
                              .accumulate = c->accumulate, .db = to_device(device, db, outputs * sizeof(float))};
    SUCCEED(motley__ess(device, &ess, &error));
    motley__ref_ess(c->E, c->P, c->O, ragged.offsets, &a.ref, scaled ? scale : NULL, c->accumulate, db);
    assert_result("db", MOTLEY_F32, ess.db, db, outputs);
    motley__buffer_destroy(scale_there);
    free_rows(&a);
    free_ragged(&ragged);
    FREE(db, scale);
}

static inline void check_activation(struct motley__device *device, enum motley_dtype dtype, uint64_t seed, int P, int F,
                                    int activation)
{
    const size_t count = (size_t)P * F;
    const int swiglu = activation == MOTLEY__ACT_SWIGLU;
    float *weight = random_floats(seed, 0, (size_t)P), *pre = random_stored(dtype, seed, 1, count);
    float *pre3 = random_stored(dtype, seed, 2, count), *u = random_stored(dtype, seed, 3, count);
    float *h = ARRAY(float, count), *dw = ARRAY(float, P);
    for (size_t i = 0; i < count; i++)
        pre[i] *= 4; /* into the tails, exactly in every storage type */
    struct motley__activation_backward a = {
        .P = P, .F = F, .activation = activation, .dtype = dtype,
        .weight = to_device(device, weight, sizeof(float) * (size_t)P), .pre = to_device_as(device, dtype, pre, count),
        .pre3 = swiglu ? to_device_as(device, dtype, pre3, count) : NULL, .u = to_device_as(device, dtype, u, count),
        .h = unwritten(device, count * motley__storage_bytes(dtype)),
        .dw = unwritten(device, sizeof(float) * (size_t)P),
    };
    SUCCEED(motley__activation_backward(device, &a, &error));
    motley__ref_activation_backward(P, F, activation, weight, pre, pre3, u, h, dw);
    assert_result("u", dtype, a.u, u, count);
    assert_result("h", dtype, a.h, h, count);
    assert_result("dw", MOTLEY_F32, a.dw, dw, (size_t)P);
    assert_result("pre3", dtype, a.pre3, pre3, count);
    motley__buffer_destroy((struct motley__buffer *)a.weight);
    motley__buffer_destroy((struct motley__buffer *)a.pre);
    FREE(weight, pre, pre3, u, h, dw);
}

static inline void check_dot_bias(struct motley__device *device, enum motley_dtype dtype, uint64_t seed, int E, int P,
                                  int D, enum shape shape)
{
    struct ragged_problem ragged = make_ragged(device, seed, E, P, shape);
    struct row_problem dy = make_rows_as(device, dtype, seed, 10, P, D, 1);
    float *b2 = random_floats(seed, 1, (size_t)E * D), *dw = random_floats(seed, 2, (size_t)P);
    struct motley__buffer *b2_there = to_device(device, b2, sizeof(float) * E * D);
    struct motley__buffer *dw_there = to_device(device, dw, sizeof(float) * (size_t)P);
    struct motley__dot_bias dot = {ragged.ragged, dy.rows, D, b2_there, dw_there};
    SUCCEED(motley__dot_bias(device, &dot, &error));
    motley__ref_dot_bias(E, P, D, ragged.offsets, &dy.ref, b2, dw);
    assert_result("dw", MOTLEY_F32, dw_there, dw, (size_t)P);
    motley__buffer_destroy(b2_there);
    free_rows(&dy);
    free_ragged(&ragged);
    FREE(b2, dw);
}

#endif
