/* AdamW against its formula in double precision, over several steps, every layout and storage type, and the learning
 * rate's course.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "parameters.h"
#include "train/adamw.h"
#include "train/schedule.h"

enum { STEPS = 5 };

/* One number's way through STEPS steps. */
static double follow(double w, int i, int e, int j, int decays, double scale)
{
    double m = 0, v = 0;
    for (int step = 1; step <= STEPS; step++) {
        const double g = scale * number(step, i, e, j), rate = 0.01 * step;
        m = 0.9 * m + 0.1 * g;
        v = 0.95 * v + 0.05 * g * g;
        if (decays)
            w -= rate * 0.1 * w;
        w -= rate * (m / (1 - pow(0.9, step))) / (sqrt(v / (1 - pow(0.95, step))) + 1e-8);
    }
    return w;
}

/* The masters are what the formula says, and what the model computes with is the nearest to them that it can store. */
static void check_parameter(const struct parameters *p, const struct motley__adamw *adamw, int i, double scale)
{
    const struct motley__parameter *parameter = &p->list[i];
    const enum motley_dtype dtype = parameter->w->dtype;
    const int n = size_of(parameter->w);
    for (int e = 0; e < parameter->w->E; e++) {
        float start[128], found[128], expected[128], stored[128];
        const int global = parameter->placement ? parameter->mine->expert[e] : 0;
        uint16_t rounded[128];
        for (int j = 0; j < n; j++)
            start[j] = number(0, i, global, j);
        if (dtype != MOTLEY_F32) { /* the run began with rounded weights */
            motley__store(dtype, start, (size_t)n, rounded);
            motley__load(dtype, rounded, (size_t)n, start);
        }
        for (int j = 0; j < n; j++)
            expected[j] = (float)follow(start[j], i, global, j, parameter->decay, scale);
        SUCCEED(motley__matrix_get(adamw->master[i], e, found, &error));
        assert_close(found, expected, (size_t)n, 2e-6, 2e-7);
        SUCCEED(motley__matrix_get(parameter->w, e, stored, &error));
        if (dtype != MOTLEY_F32) {
            motley__store(dtype, found, (size_t)n, rounded);
            motley__load(dtype, rounded, (size_t)n, found);
        }
        assert_memory_equal(stored, found, (size_t)n * sizeof *found);
    }
}

static void check(struct motley__device *device, enum motley_dtype dtype, int panel)
{
    struct parameters p;
    struct motley__adamw *adamw;
    const double scale = 0.37;
    make_stored_parameters(device, dtype, 0, 2, panel, 0, &p);
    for (int i = 0; i < PARAMETERS; i++)
        fill(&p.list[i], p.list[i].w, 0, i, 1);
    const uint64_t used = device->used_bytes;
    SUCCEED(motley__adamw_create(device, p.list, PARAMETERS, &adamw, &error));
    assert_int_equal(device->used_bytes - used, motley__adamw_bytes(p.list, PARAMETERS));
    for (int step = 1; step <= STEPS; step++) {
        for (int i = 0; i < PARAMETERS; i++)
            fill(&p.list[i], p.list[i].dw, step, i, 1);
        SUCCEED(motley__adamw_step(adamw, step, 0.01 * step, scale, &error));
    }
    for (int i = 0; i < PARAMETERS; i++) {
        assert_true((adamw->master[i] == p.list[i].w) == (p.list[i].w->dtype == MOTLEY_F32));
        check_parameter(&p, adamw, i, scale);
    }
    motley__adamw_destroy(adamw);
    free_parameters(&p);
}

static void test_five_steps_follow_the_formula(void **state)
{
    for (int dtype = MOTLEY_F32; dtype <= MOTLEY_F16; dtype++) {
        check(*state, (enum motley_dtype)dtype, 1);
        check(*state, (enum motley_dtype)dtype, 16);
    }
}

/* A buffer of two f32 experts holds four of two bytes: segments of weight and master end at different experts. */
static void test_segments_of_unequal_length(void **state)
{
    struct motley__device *device = *state;
    const uint64_t limit = device->max_buffer_bytes;
    const size_t expert = motley__matrix_numbers(6, 9, 16) * sizeof(float);
    struct parameters p;
    make_stored_parameters(device, MOTLEY_BF16, 0, 1, 16, 0, &p);
    assert_int_equal(p.list[2].w->segments, 1);
    free_parameters(&p);
    for (int experts = 1; experts <= 3; experts++) {
        device->max_buffer_bytes = (size_t)experts * expert + expert / 2; /* 1 and 3, 2 and 5, 3 and 7 experts */
        check(device, MOTLEY_BF16, 16);
        make_stored_parameters(device, MOTLEY_BF16, 0, 1, 16, 0, &p);
        assert_int_equal(p.list[2].dw->per_segment, experts);
        assert_int_equal(p.list[2].w->per_segment, 2 * experts + 1 < EXPERTS ? 2 * experts + 1 : EXPERTS);
        free_parameters(&p);
    }
    device->max_buffer_bytes = limit;
}

/* Updates far below what a bf16 weight can tell apart add up in the master until they show. */
static void test_small_updates_add_up(void **state)
{
    struct motley__device *device = *state;
    struct parameters p;
    struct motley__adamw *adamw;
    float one[70], value[70];
    for (int j = 0; j < 70; j++)
        one[j] = 1;
    make_stored_parameters(device, MOTLEY_BF16, 0, 1, 1, 0, &p);
    SUCCEED(motley__matrix_set(p.list[1].w, 0, one, &error));
    SUCCEED(motley__matrix_set(p.list[1].dw, 0, one, &error));
    SUCCEED(motley__adamw_create(device, p.list, PARAMETERS, &adamw, &error));
    adamw->decay = 0;
    for (int step = 1; step <= 64; step++) { /* each takes 2^-12 away, the spacing below 1 is 2^-8 */
        SUCCEED(motley__adamw_step(adamw, step, 0x1p-12, 1, &error));
        if (step == 7) {
            SUCCEED(motley__matrix_get(p.list[1].w, 0, value, &error));
            assert_true(value[0] == 1);
        }
    }
    SUCCEED(motley__matrix_get(p.list[1].w, 0, value, &error));
    assert_true(value[0] == 1 - 0x1p-6f && value[69] == value[0]);
    motley__adamw_destroy(adamw);
    free_parameters(&p);
}

/* What a family pads must never come alive: it would be multiplied into results. */
static void test_padding_stays_zero(void **state)
{
    struct parameters p;
    struct motley__adamw *adamw;
    float raw[16 * 7];
    make_parameters(*state, 0, 1, 16, 0, &p);
    SUCCEED(motley__adamw_create(*state, p.list, PARAMETERS, &adamw, &error));
    fill(&p.list[1], p.list[1].w, 0, 1, 1);
    fill(&p.list[1], p.list[1].dw, 1, 1, 1);
    SUCCEED(motley__adamw_step(adamw, 1, 0.1, 1, &error));
    SUCCEED(motley__buffer_read(p.list[1].w->segment[0], 0, raw, sizeof raw, &error));
    for (int i = 0; i < 7; i++)
        for (int o = 0; o < 16; o++)
            assert_true((raw[i * 16 + o] == 0) == (o >= 10));
    motley__adamw_destroy(adamw);
    free_parameters(&p);
}

static void test_rank_without_experts_has_nothing_to_do(void **state)
{
    struct parameters p;
    struct motley__adamw *adamw;
    make_parameters(*state, EXPERTS + 2, EXPERTS + 3, 16, 0, &p);
    assert_int_equal(p.list[2].mine->experts, 0);
    SUCCEED(motley__adamw_create(*state, p.list, PARAMETERS, &adamw, &error));
    SUCCEED(motley__adamw_step(adamw, 1, 0.1, 1, &error));
    motley__adamw_destroy(adamw);
    free_parameters(&p);
}

static void test_learning_rate_rises_then_falls_to_a_tenth(void **state)
{
    (void)state;
    assert_float_equal(motley__learning_rate(2, 10, 110, 1), 0.2, 1e-12);
    assert_float_equal(motley__learning_rate(2, 10, 110, 10), 2, 1e-12);
    assert_float_equal(motley__learning_rate(2, 10, 110, 60), 2 * 0.55, 1e-12);
    assert_float_equal(motley__learning_rate(2, 10, 110, 110), 0.2, 1e-12);
    assert_float_equal(motley__learning_rate(2, 10, 110, 1000), 0.2, 1e-12);
    assert_float_equal(motley__learning_rate(2, -1, 100, 50), 2 * 0.55, 1e-12);
    assert_float_equal(motley__learning_rate(2, 100, 50, 50), 1, 1e-12);
    for (int64_t step = 11; step <= 110; step++)
        assert_true(motley__learning_rate(2, 10, 110, step) < motley__learning_rate(2, 10, 110, step - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learning_rate_rises_then_falls_to_a_tenth),
        cmocka_unit_test(test_five_steps_follow_the_formula), cmocka_unit_test(test_segments_of_unequal_length),
        cmocka_unit_test(test_small_updates_add_up), cmocka_unit_test(test_padding_stays_zero),
        cmocka_unit_test(test_rank_without_experts_has_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
