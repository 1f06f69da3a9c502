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
#include "cost/cost.h"
#include "layer/gate.h"
#include "layer/route.h"
#include "layer/state.h"
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

/* Two widths: linear between and beyond, in proportion where that is more. */
static void width_is_interpolated(void **state)
{
    (void)state;
    struct motley_layer_shape shape = fixture_shape(4, 2), narrow = shape;
    narrow.F = 32;
    struct motley__curve curves[3] = {fixture_curve(&shape, 0, 0, 10), fixture_curve(&narrow, 0, 0, 4)};
    struct motley__profile_entry entry = {.curves = 2, .curve = curves};
    struct motley__widths widths;
    motley__cost_widths(&entry, &shape, 16, 0, &widths);
    assert_int_equal(widths.points, 2);
    assert_near(motley__cost_width(&widths, 128), 160);
    assert_near(motley__cost_width(&widths, 32), 64);
    assert_near(motley__cost_width(&widths, 80), 112);
    assert_near(motley__cost_width(&widths, 16), 48); /* 32 for nothing, 1 for each row of the hidden ones */
    assert_true(motley__cost_width(&widths, 0) == 0);
    curves[1] = fixture_curve(&narrow, 0, 0, 1); /* less than in proportion to its width: the line would pass below 0 */
    motley__cost_widths(&entry, &shape, 16, 0, &widths);
    assert_near(motley__cost_width(&widths, 8), 4);
    curves[1] = fixture_curve(&narrow, 0, 0, 20); /* slower than the whole: noise */
    motley__cost_widths(&entry, &shape, 16, 0, &widths);
    assert_near(motley__cost_width(&widths, 32), 160);
    entry.curves = 1;
    motley__cost_widths(&entry, &shape, 16, 0, &widths);
    assert_near(motley__cost_width(&widths, 32), 40);
    motley__cost_widths(&entry, &shape, 16, 1, &widths);
    assert_int_equal(widths.points, 0); /* backward was never measured */
    curves[1] = fixture_curve(&shape, 1, 0, 20);
    curves[2] = fixture_curve(&narrow, 0, 0, 4); /* without its backward it does not count */
    entry.curves = 3;
    motley__cost_widths(&entry, &shape, 16, 1, &widths);
    assert_int_equal(widths.points, 1);
    assert_near(motley__cost_width(&widths, 128), 480);
}

static void the_full_width_is_never_left_out(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(4, 2);
    static const int order[] = {32, 128, 8, 16, 24, 40, 48, 56, 64, 4, 160};
    enum { CURVES = sizeof order / sizeof *order };
    struct motley__curve curves[CURVES];
    struct motley__profile_entry entry = {.curves = CURVES, .curve = curves};
    struct motley__widths widths;
    for (int first = 0; first < CURVES; first++) {
        for (int c = 0; c < CURVES; c++) {
            struct motley_layer_shape slice = shape;
            slice.F = order[(first + c) % CURVES];
            curves[c] = fixture_curve(&slice, 0, 0, slice.F);
        }
        motley__cost_widths(&entry, &shape, 1, 0, &widths);
        assert_int_equal(widths.points, MOTLEY__WIDTHS);
        assert_int_equal(widths.width[MOTLEY__WIDTHS - 1], 128);
        for (int i = 1; i < MOTLEY__WIDTHS; i++)
            assert_true(widths.width[i] > widths.width[i - 1]);
        for (int width = 4; width <= 128; width++)
            assert_near(motley__cost_width(&widths, width), width);
    }
}

static void width_never_falls(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 500; trial++) {
        struct motley__curve curves[6];
        struct motley__profile_entry entry = {.curves = 6, .curve = curves};
        struct motley__widths widths;
        const struct motley_layer_shape shape = fixture_shape(4, 2);
        for (uint64_t c = 0; c < 6; c++) {
            struct motley_layer_shape slice = shape;
            slice.F = 1 + (int)(motley__random_bits(SEED, 10, trial * 6 + c) % 128);
            curves[c] = fixture_curve(&slice, 0, motley__random_uniform(SEED, 11, trial * 6 + c),
                                      motley__random_uniform(SEED, 12, trial * 6 + c));
        }
        motley__cost_widths(&entry, &shape, 5, 0, &widths);
        for (int width = 1; width <= 128; width++)
            assert_true(motley__cost_width(&widths, width) >= motley__cost_width(&widths, width - 1) * (1 - 1e-12));
    }
}

/* Against counting every choice of K experts out of E. */
static void reach_counts_choices(void **state)
{
    (void)state;
    for (int E = 1; E <= 9; E++)
        for (int K = 1; K <= E; K++)
            for (int held = 0; held <= E; held++) {
                const struct motley_layer_shape shape = {.E = E, .K = K};
                int choices = 0, reached = 0;
                for (unsigned set = 0; set < 1u << E; set++) {
                    if (__builtin_popcount(set) != K)
                        continue;
                    choices++;
                    reached += (set & ((1u << held) - 1)) != 0;
                }
                const double found = motley__cost_reach(&shape, held), expected = (double)reached / choices;
                assert_true(fabs(found - expected) < 1e-12);
            }
}

static void few_tokens_leave_experts_idle(void **state)
{
    (void)state;
    struct motley_layer_shape shape = fixture_shape(8, 2);
    assert_near(motley__cost_busy(&shape, 1), 0.25);
    assert_near(motley__cost_busy(&shape, 2), 1 - 0.75 * 0.75);
    assert_near(motley__cost_busy(&shape, 1e6), 1);
    shape.K = 8;
    assert_near(motley__cost_busy(&shape, 1), 1);
}

/* A rank of two that stores 3 of 8 experts, a slice of each. */
static const struct motley__duty DUTY = {.experts = 3, .width = 128, .tokens = 20, .pairs = 29.5, .gathered = 18,
                                         .sent = 18.2, .received = 11.9};

static void bytes_are_the_layers_formula(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    const struct motley_plan_options options = {.tokens = 40, .backward = 1};
    struct motley__layer_memory memory = {
        .shape = shape, .E_local = 3, .hidden_end = shape.F, .ranks = 2, .groups = 2, .streams = 1, .panel = 16,
        .trained = 1, .backward = 1, .losses = 1, .gate_scratch = motley__gate_scratch_bytes(NULL, 20, 8),
        .gate_bytes = 4 * 16 * 64,
        .rows = {.T = 20, .N = 40, .S = 18, .S_pairs = 36, .B = 19, .B_pairs = 37, .M = 12, .M_pairs = 24, .P = 30},
    };
    assert_int_equal(motley__cost_bytes(&shape, &options, 2, &DUTY, 16), motley__layer_memory_bytes(&memory));
    struct motley__duty slice = DUTY;
    slice.width = memory.hidden_end = 48;
    assert_int_equal(motley__cost_bytes(&shape, &options, 2, &slice, 16), motley__layer_memory_bytes(&memory));
}

static void bytes_grow_with_what_takes_room(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    const struct motley_plan_options options = {.tokens = 40}, trained = {.tokens = 40, .backward = 1};
    const uint64_t bytes = motley__cost_bytes(&shape, &options, 2, &DUTY, 16);
    struct motley__duty more = DUTY;
    more.experts++;
    assert_true(motley__cost_bytes(&shape, &options, 2, &more, 16) > bytes);
    more = DUTY;
    more.received *= 10;
    assert_true(motley__cost_bytes(&shape, &options, 2, &more, 16) > bytes);
    assert_true(motley__cost_bytes(&shape, &trained, 2, &DUTY, 16) > 2 * motley__experts_bytes(&shape, 3, 0, 16, 0, 0));
    /* An optimizer keeps two moments of each f32 weight and, where it is stored otherwise, an f32 master. */
    struct motley_plan_options optimized = trained;
    optimized.moments = 2;
    for (int dtype = MOTLEY_F32; dtype <= MOTLEY_BF16; dtype++) {
        struct motley_layer_shape stored = shape;
        stored.dtype = (enum motley_dtype)dtype;
        const uint64_t weights = UINT64_C(3) * 3 * (uint64_t)shape.D * (uint64_t)shape.F; /* of 3 swiglu experts */
        const uint64_t gate = (uint64_t)shape.D * (uint64_t)shape.E;
        const uint64_t with = motley__cost_bytes(&stored, &optimized, 2, &DUTY, 1),
            without = motley__cost_bytes(&stored, &trained, 2, &DUTY, 1);
        assert_int_equal(with - without, 4 * (weights * (dtype == MOTLEY_F32 ? 2 : 3) + 2 * gate));
    }
    /* Beyond 32 bits: 1024 experts of 4096 x 14336. */
    const struct motley_layer_shape large = {.D = 4096, .F = 14336, .E = 1024, .K = 8, .activation = MOTLEY_SWIGLU};
    more = DUTY;
    more.experts = 1024;
    more.width = 14336;
    assert_true(motley__cost_bytes(&large, &options, 2, &more, 1) > UINT64_C(4) * 1024 * 3 * 4096 * 14336);
}

/* What all layers of a model share counts once, what each of them stores as often as there are layers. */
static void one_cache_serves_all_layers(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct motley_plan_options options = {.tokens = 40, .backward = 1, .layers = 1};
    const struct motley__duty stores = {.experts = 8, .width = 32, .tokens = 20, .pairs = 40},
        caches = {.experts = 8, .width = 32, .tokens = 20, .pairs = 40, .caches = 1};
    const uint64_t full = motley__experts_bytes(&shape, 8, 0, 1, 1, 0); /* weights and their gradients */
    uint64_t before = motley__cost_bytes(&shape, &options, 2, &caches, 1);
    assert_true(before > full + motley__cost_bytes(&shape, &options, 1, &stores, 1));
    struct motley_layer_shape slice = shape;
    slice.F = 32;
    options.layers = 9;
    const uint64_t nine = motley__cost_bytes(&shape, &options, 2, &caches, 1);
    options.layers = 10;
    const uint64_t ten = motley__cost_bytes(&shape, &options, 2, &caches, 1);
    assert_int_equal((nine - before) / 8, ten - nine);
    assert_true(ten - nine > motley__experts_bytes(&slice, 8, 0, 1, 1, 0) && ten - nine < full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_time_is_met_exactly),
        cmocka_unit_test(one_point_goes_in_proportion),
        cmocka_unit_test(time_never_falls_with_rows),
        cmocka_unit_test(noise_only_adds),
        cmocka_unit_test(an_expert_needs_all_its_directions),
        cmocka_unit_test(width_is_interpolated),
        cmocka_unit_test(the_full_width_is_never_left_out),
        cmocka_unit_test(width_never_falls),
        cmocka_unit_test(reach_counts_choices),
        cmocka_unit_test(few_tokens_leave_experts_idle),
        cmocka_unit_test(bytes_are_the_layers_formula),
        cmocka_unit_test(bytes_grow_with_what_takes_room),
        cmocka_unit_test(one_cache_serves_all_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
