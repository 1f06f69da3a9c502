/* AdamW against its formula in double precision, over several steps and every layout, and the learning rate's course.
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

static void check(struct motley__device *device, int panel)
{
    struct parameters p;
    struct motley__adamw *adamw;
    const double scale = 0.37;
    make_parameters(device, 0, 2, panel, 0, &p);
    SUCCEED(motley__adamw_create(device, p.list, PARAMETERS, &adamw, &error));
    for (int i = 0; i < PARAMETERS; i++)
        fill(&p.list[i], p.list[i].w, 0, i, 1);
    for (int step = 1; step <= STEPS; step++) {
        for (int i = 0; i < PARAMETERS; i++)
            fill(&p.list[i], p.list[i].dw, step, i, 1);
        SUCCEED(motley__adamw_step(adamw, step, 0.01 * step, scale, &error));
    }
    for (int i = 0; i < PARAMETERS; i++)
        for (int e = 0; e < p.list[i].w->E; e++) {
            float found[128], expected[128];
            const int global = p.list[i].sharded ? p.expert[e] : 0;
            for (int j = 0; j < size_of(p.list[i].w); j++)
                expected[j] = (float)follow(number(0, i, global, j), i, global, j, p.list[i].decay, scale);
            SUCCEED(motley__matrix_get(p.list[i].w, e, found, &error));
            assert_close(found, expected, (size_t)size_of(p.list[i].w), 2e-6, 2e-7);
        }
    motley__adamw_destroy(adamw);
    free_parameters(&p);
}

static void test_five_steps_follow_the_formula(void **state)
{
    check(*state, 1);
    check(*state, 16);
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
    assert_int_equal(p.experts, 0);
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
        cmocka_unit_test(test_five_steps_follow_the_formula), cmocka_unit_test(test_padding_stays_zero),
        cmocka_unit_test(test_rank_without_experts_has_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
