/* Costs: a curve is exact where time is linear, never falls, and bytes grow with everything that takes room.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/random.h"
#include "layer/gate.h"
#include "layer/route.h"
#include "layer/state.h"
#include "plan/cost.h"
#include "plan_fixture.h"

enum { SEED = 99 };

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-12 * fabs(expected)))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

static void linear_time_is_met_exactly(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(4, 2);
    const struct motley__curve curve = fixture_curve(&shape, 0, 3e-4, 2e-5);
    static const double rows[] = {1, 2.5, 4, 10, 16, 63.9, 64, 100, 256, 257, 5000};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_near(motley__cost_curve(&curve, rows[i]), 3e-4 + 2e-5 * rows[i]);
    assert_true(motley__cost_curve(&curve, 0) == 0);
    assert_near(motley__cost_curve(&curve, 0.25), motley__cost_curve(&curve, 1));
}

static void one_point_goes_in_proportion(void **state)
{
    (void)state;
    struct motley__curve curve = {.points = 1, .point = {{16, 0.5, 0, 3}}};
    assert_near(motley__cost_curve(&curve, 1), 0.5);
    assert_near(motley__cost_curve(&curve, 16), 0.5);
    assert_near(motley__cost_curve(&curve, 64), 2.0);
}

/* Whatever noise a measurement had. */
static void time_never_falls_with_rows(void **state)
{
    (void)state;
    print_message("seed %d\n", SEED);
    for (uint64_t trial = 0; trial < 2000; trial++) {
        struct motley__curve curve = {0};
        int points = 1 + (int)(motley__random_bits(SEED, 0, trial) % MOTLEY__POINTS);
        for (int p = 0; p < points; p++) {
            struct motley__point point = {1 + (int)(motley__random_bits(SEED, 1, trial * 100 + (uint64_t)p) % 300),
                                          1e-6 + motley__random_uniform(SEED, 2, trial * 100 + (uint64_t)p), 0, 1};
            motley__curve_set(&curve, &point);
        }
        double before = 0;
        for (double rows = 0; rows < 700; rows += 3.7) {
            double seconds = motley__cost_curve(&curve, rows);
            assert_true(seconds >= before);
            before = seconds;
        }
    }
}

/* One slow outlier among small points does not raise what larger points say. */
static void noise_only_adds(void **state)
{
    (void)state;
    struct motley__curve curve = {.points = 3, .point = {{1, 9, 0, 1}, {4, 2, 0, 1}, {16, 3, 0, 1}}};
    assert_near(motley__cost_curve(&curve, 1), 2);
    assert_near(motley__cost_curve(&curve, 4), 2);
    assert_near(motley__cost_curve(&curve, 10), 2.5);
}

static void an_expert_needs_all_its_directions(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(4, 2);
    struct motley__curve curves[2] = {fixture_curve(&shape, 0, 1, 1), fixture_curve(&shape, 1, 2, 2)};
    struct motley__profile_entry entry = {.curves = 2, .curve = curves};
    assert_near(motley__cost_expert(&entry, &shape, 16, 0), 17);
    assert_near(motley__cost_expert(&entry, &shape, 16, 1), 51);
    entry.curves = 1;
    assert_near(motley__cost_expert(&entry, &shape, 16, 0), 17);
    assert_true(motley__cost_expert(&entry, &shape, 16, 1) == 0);
}

/* Two ranks of which one owns 3 of 8 experts: of the 40 pairs of its own 20 tokens 15 stay, and 15 arrive. */
static void bytes_are_the_layers_formula(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    const struct motley_plan_options options = {.tokens = 40, .backward = 1};
    const struct motley__layer_memory memory = {
        .shape = shape, .E_local = 3, .ranks = 2, .panel = 16, .trained = 1, .backward = 1, .losses = 1,
        .gate_scratch = motley__gate_scratch_bytes(NULL, 20, 8), .route_scratch = motley__route_scratch_bytes(20, 2, 8),
        .gate_bytes = 4 * 16 * 64, .rows = {.T = 20, .N = 40, .S = 25, .M = 15, .P = 30},
    };
    assert_int_equal(motley__cost_bytes(&shape, &options, 2, 3, 16), motley__layer_memory_bytes(&memory));
}

static void bytes_grow_with_what_takes_room(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    const struct motley_plan_options few = {.tokens = 40}, many = {.tokens = 400},
                                     trained = {.tokens = 40, .backward = 1};
    const uint64_t bytes = motley__cost_bytes(&shape, &few, 2, 3, 16);
    assert_true(motley__cost_bytes(&shape, &few, 2, 4, 16) > bytes);
    assert_true(motley__cost_bytes(&shape, &many, 2, 3, 16) > bytes);
    assert_true(motley__cost_bytes(&shape, &trained, 2, 3, 16) > 2 * motley__experts_bytes(&shape, 3, 16, 0, 0));
    /* An optimizer keeps two moments of each f32 weight and, where it is stored otherwise, an f32 master. */
    struct motley_plan_options optimized = trained;
    optimized.moments = 2;
    for (int dtype = MOTLEY_F32; dtype <= MOTLEY_BF16; dtype++) {
        struct motley_layer_shape stored = shape;
        stored.dtype = (enum motley_dtype)dtype;
        const uint64_t weights = UINT64_C(3) * 3 * (uint64_t)shape.D * (uint64_t)shape.F; /* of 3 swiglu experts */
        const uint64_t gate = (uint64_t)shape.D * (uint64_t)shape.E;
        const uint64_t with = motley__cost_bytes(&stored, &optimized, 2, 3, 1),
            without = motley__cost_bytes(&stored, &trained, 2, 3, 1);
        assert_int_equal(with - without, 4 * (weights * (dtype == MOTLEY_F32 ? 2 : 3) + 2 * gate));
    }
    /* Beyond 32 bits: 1024 experts of 4096 x 14336. */
    const struct motley_layer_shape large = {.D = 4096, .F = 14336, .E = 1024, .K = 8, .activation = MOTLEY_SWIGLU};
    assert_true(motley__cost_bytes(&large, &few, 2, 1024, 1) > UINT64_C(4) * 1024 * 3 * 4096 * 14336);
}

static void most_experts_is_the_largest_that_fits(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(37, 3);
    const struct motley_plan_options options = {.tokens = 60, .backward = 1};
    for (int n = 0; n <= 37; n++) {
        uint64_t bytes = motley__cost_bytes(&shape, &options, 3, n, 1);
        assert_int_equal(motley__cost_most_experts(&shape, &options, 3, 1, bytes), n);
        if (n > 0)
            assert_int_equal(motley__cost_most_experts(&shape, &options, 3, 1, bytes - 1), n - 1);
    }
    assert_int_equal(motley__cost_most_experts(&shape, &options, 3, 1, UINT64_MAX), 37);
    assert_int_equal(motley__cost_most_experts(&shape, &options, 3, 1, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_time_is_met_exactly),
        cmocka_unit_test(one_point_goes_in_proportion),
        cmocka_unit_test(time_never_falls_with_rows),
        cmocka_unit_test(noise_only_adds),
        cmocka_unit_test(an_expert_needs_all_its_directions),
        cmocka_unit_test(bytes_are_the_layers_formula),
        cmocka_unit_test(bytes_grow_with_what_takes_room),
        cmocka_unit_test(most_experts_is_the_largest_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
