/* The cosine gate around its products: against the twin, and the twin against finite differences.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/cosine.h"
#include "layer/gate.h"
#include "layer/ref.h"
#include "routing.h"

struct sizes {
    int T, D, P, E;
    float temperature;
};

static const struct sizes all_sizes[] = {
    {1, 1, 1, 1, 0.5f}, {37, 19, 5, 7, 0.6931f}, {16, 64, 256, 33, 4.7f}, {50, 40, 17, 16, -1}, {0, 8, 4, 4, 1}};

/* A gate and gradients of its logits, on the host; owned. */
struct problem {
    struct motley__ref_cosine c;
    float *x, *projection, *bias, *matrix, *dlogits, *dx; /* dx: what is there before */
};

static struct problem random_problem(struct sizes s, enum motley_dtype dtype, uint64_t seed)
{
    const size_t T = (size_t)s.T, D = (size_t)s.D, P = (size_t)s.P, E = (size_t)s.E;
    struct problem p = {
        .x = random_stored(dtype, seed, 1, T * D), .projection = random_floats(seed, 2, P * D),
        .bias = random_floats(seed, 3, P), .matrix = random_floats(seed, 4, E * P),
        .dlogits = random_floats(seed, 5, T * E), .dx = random_stored(dtype, seed, 6, T * D)};
    p.c = (struct motley__ref_cosine){s.T, s.D, s.P, s.E, p.x, p.projection, p.bias, p.matrix, s.temperature};
    return p;
}

static void free_problem(struct problem *p)
{
    float *all[] = {p->x, p->projection, p->bias, p->matrix, p->dlogits, p->dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* What the twin makes of it; owned. */
struct answer {
    double *unit, *length, *logits;
    struct motley__ref_cosine_gradient g;
};

static struct answer answer_of(const struct problem *p)
{
    const struct motley__ref_cosine *c = &p->c;
    struct answer a = {
        ARRAY(double, c->T * c->P), ARRAY(double, c->T), ARRAY(double, c->T * c->E),
        {ARRAY(double, c->T * c->D), ARRAY(double, c->P * c->D), ARRAY(double, c->P), ARRAY(double, c->E * c->P), 0}};
    double *wide = ARRAY(double, c->T * c->E), *scratch = ARRAY(double, c->P);
    for (int i = 0; i < c->T * c->E; i++)
        wide[i] = p->dlogits[i];
    for (int i = 0; i < c->T * c->D; i++)
        a.g.x[i] = p->dx[i];
    motley__ref_cosine_forward(c, a.unit, a.length, a.logits);
    motley__ref_cosine_backward(c, a.unit, a.length, wide, &a.g, scratch);
    free(scratch);
    free(wide);
    return a;
}

static void free_answer(struct answer *a)
{
    double *all[] = {a->unit, a->length, a->logits, a->g.x, a->g.projection, a->g.bias, a->g.matrix};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* Every element, against the largest of all. */
static void expect(const char *what, const float *got, const double *wanted, size_t count, double limit)
{
    double largest = 1e-30;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(wanted[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[i] - wanted[i]) <= limit * largest))
            fail_msg("%s[%zu] is %.9g, expected %.9g of at most %.9g", what, i, got[i], wanted[i], largest);
}

static void expect_matrix(const char *what, const struct motley__matrix *matrix, const double *wanted, double limit)
{
    const size_t count = (size_t)matrix->O * (size_t)matrix->I;
    float *got = ARRAY(float, count);
    SUCCEED(motley__matrix_get(matrix, 0, got, &error));
    expect(what, got, wanted, count, limit);
    free(got);
}

/* The layer's part: logits from the unit rows and the scaled matrix. */
static void expect_logits(struct motley__device *device, const struct motley__cosine *cosine,
                          const struct motley__cosine_step *step, const struct problem *p, const struct answer *a)
{
    const struct motley__ref_cosine *c = &p->c;
    float *unit = ARRAY(float, c->T * c->P), *scaled = ARRAY(float, c->E * c->P), *got = ARRAY(float, c->T * c->E);
    double *logits = ARRAY(double, c->T * c->E);
    (void)device;
    if (c->T)
        SUCCEED(motley__buffer_read(step->unit, 0, unit, (size_t)(c->T * c->P) * 4, &error));
    SUCCEED(motley__matrix_get(cosine->scaled->w, 0, scaled, &error));
    motley__ref_gate_logits(c->T, c->P, c->E, unit, scaled, logits);
    for (int i = 0; i < c->T * c->E; i++)
        got[i] = (float)logits[i];
    expect("logits", got, a->logits, (size_t)(c->T * c->E), 1e-6); /* both factors are rounded to f32 */
    free(logits);
    free(got);
    free(scaled);
    free(unit);
}

static void expect_gradients(const struct motley__cosine *cosine, const struct motley__cosine_step *step,
                             const struct problem *p, const struct answer *a, enum motley_dtype dtype)
{
    const double limit = 1e-5; /* f32 sums */
    float *dx = take_back_as(dtype, step->dx);
    expect("dx", dx, a->g.x, (size_t)(p->c.T * p->c.D), limit + rounding(dtype));
    free(dx);
    expect_matrix("dgate", cosine->matrix->dw, a->g.matrix, limit);
    expect_matrix("dcos_proj", cosine->projection->dw, a->g.projection, limit);
    expect_matrix("dcos_bias", cosine->dbias, a->g.bias, limit);
    float temperature;
    SUCCEED(motley__matrix_get(cosine->dtemperature, 0, &temperature, &error));
    if (p->c.temperature > log(100))
        assert_true(temperature == 0);
    double size = 0; /* of the terms that dtemperature sums */
    for (int i = 0; i < p->c.T * p->c.E; i++)
        size += fabs(p->dlogits[i] * a->logits[i]);
    assert_true(fabs(temperature - a->g.temperature) <= limit * size);
}

static void check(struct motley__device *device, struct sizes s, enum motley_dtype dtype, enum motley__dense path,
                  int single, uint64_t seed)
{
    const size_t T = (size_t)s.T, D = (size_t)s.D, P = (size_t)s.P, E = (size_t)s.E;
    struct problem p = random_problem(s, dtype, seed);
    struct answer a = answer_of(&p);
    struct motley__linear *matrix;
    struct motley__cosine *cosine;
    SUCCEED(motley__linear_create(device, path, MOTLEY_F32, MOTLEY_F32, s.E, s.P, 1, NULL, NULL, &matrix, &error));
    SUCCEED(motley__cosine_create(device, path, dtype, s.D, 1, matrix, NULL, &cosine, &error));
    SUCCEED(motley__matrix_set(matrix->w, 0, p.matrix, &error));
    SUCCEED(motley__matrix_set(cosine->projection->w, 0, p.projection, &error));
    SUCCEED(motley__matrix_set(cosine->bias, 0, p.bias, &error));
    SUCCEED(motley__matrix_set(cosine->temperature, 0, &s.temperature, &error));
    struct motley__buffer *x = to_device_as(device, dtype, p.x, T * D);
    struct motley__buffer *dlogits = to_device(device, p.dlogits, T * E * 4);
    const struct motley__cosine_step step = {
        .T = s.T, .single = single, .x = x, .scratch = unwritten(device, motley__gate_scratch_bytes(device, s.T, s.P)),
        .unit = unwritten(device, T * P * 4), .length = unwritten(device, T * 4), .dlogits = dlogits,
        .dunit = unwritten(device, T * P * 4), .dx = to_device_as(device, dtype, p.dx, T * D)};
    SUCCEED(motley__cosine_forward(cosine, &step, &error));
    expect_logits(device, cosine, &step, &p, &a);
    SUCCEED(motley__cosine_backward(cosine, &step, &error));
    expect_gradients(cosine, &step, &p, &a, dtype);
    struct motley__buffer *used[] = {x, dlogits, step.scratch, step.unit, step.length, step.dunit};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        motley__buffer_destroy(used[i]);
    motley__cosine_destroy(cosine);
    motley__linear_destroy(matrix);
    free_answer(&a);
    free_problem(&p);
}

static void equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof all_sizes / sizeof *all_sizes; i++) {
        const struct sizes s = all_sizes[i];
        if (!affordable((double)s.T * s.P * (s.D + s.E)))
            continue;
        check(device, s, MOTLEY_F32, MOTLEY__DENSE_ESMM, 0, seed + i);
        check(device, s, i % 2 ? MOTLEY_BF16 : MOTLEY_F16, MOTLEY__DENSE_ESMM, 0, seed + i);
        check(device, s, MOTLEY_F32, MOTLEY__DENSE_ESMM, 1, seed + i);
    }
}

static void equals_twin(void **state)
{
    on_both_maps(*state, equals_twin_on);
}

/* sum of dlogits * logits, with one number of one array moved by `by`. */
static double objective(const struct problem *p, float *moved, double by)
{
    const struct motley__ref_cosine *c = &p->c;
    double *unit = ARRAY(double, c->T * c->P), *length = ARRAY(double, c->T), *logits = ARRAY(double, c->T * c->E);
    double value = 0;
    const float before = *moved;
    *moved = (float)(before + by);
    motley__ref_cosine_forward(c, unit, length, logits);
    *moved = before;
    for (int i = 0; i < c->T * c->E; i++)
        value += p->dlogits[i] * logits[i];
    free(logits);
    free(length);
    free(unit);
    return value;
}

static void expect_slope(const struct problem *p, float *moved, double gradient)
{
    const double step = 1.0 / 256; /* and all numbers are multiples of 2^-16: no step is rounded */
    const double slope = (8 * (objective(p, moved, step) - objective(p, moved, -step)) -
                          (objective(p, moved, 2 * step) - objective(p, moved, -2 * step))) / (12 * step);
    if (!(fabs(slope - gradient) <= 1e-5 * (1 + fabs(slope))))
        fail_msg("the gradient is %.9g, the slope %.9g", gradient, slope);
}

static void round_all(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(round(values[i] * 65536.0) / 65536.0);
}

static void twin_is_the_slope(void **state)
{
    const struct sizes s = {3, 5, 4, 6, 0.75f};
    struct problem p = random_problem(s, MOTLEY_F32, test_seed());
    const struct { float *values; size_t count; } arrays[] = {
        {p.x, 15}, {p.projection, 20}, {p.bias, 4}, {p.matrix, 24}, {&p.c.temperature, 1}};
    (void)state;
    for (size_t i = 0; i < 5; i++)
        round_all(arrays[i].values, arrays[i].count);
    memset(p.dx, 0, 15 * sizeof *p.dx);
    struct answer a = answer_of(&p);
    const double *const gradient[] = {a.g.x, a.g.projection, a.g.bias, a.g.matrix, &a.g.temperature};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < arrays[i].count; j++)
            expect_slope(&p, arrays[i].values + j, gradient[i][j]);
    free_answer(&a);
    free_problem(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equals_twin), cmocka_unit_test(twin_is_the_slope)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
