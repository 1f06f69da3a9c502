/* The table of variants: which one a product runs.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "product_check.h"

enum { MOST = 3, P = 23, O = 9, I = 14 };

static void names_match_a_list(void **state)
{
    (void)state;
    const struct motley__variant *variant = &motley__variant_generic;
    assert_true(motley__variant_matches(variant, NULL));
    assert_true(motley__variant_matches(variant, "generic"));
    assert_true(motley__variant_matches(variant, "cpu,generic/tiles"));
    assert_false(motley__variant_matches(variant, "cpu,generic/other"));
    assert_false(motley__variant_matches(variant, "generic/tile"));
    assert_false(motley__variant_matches(variant, ""));
}

/* Generic's kernels are written for any device, so variants whose products it takes over must have its layout. */
static void limited_variants_have_canonical_matrices(void **state)
{
    for (int v = 0; v < motley__variants_count; v++)
        if (motley__variants[v]->most_experts > 0)
            assert_int_equal(motley__variants[v]->panel(*state), 1);
}

static void other_products_are_generic(void **state)
{
    struct motley__device device = *(struct motley__device *)*state;
    struct motley__variant few = motley__variant_generic;
    few.most_experts = MOST;
    device.variant[MOTLEY_BF16] = &few;
    assert_ptr_equal(motley__variant_of_product(&device, MOTLEY_BF16, MOTLEY_BF16, MOST), &few);
    assert_ptr_equal(motley__variant_of_product(&device, MOTLEY_BF16, MOTLEY_BF16, MOST + 1), &motley__variant_generic);
    assert_ptr_equal(motley__variant_of_product(&device, MOTLEY_BF16, MOTLEY_F32, MOST), &motley__variant_generic);
    few.most_experts = 0;
    assert_ptr_equal(motley__variant_of_product(&device, MOTLEY_BF16, MOTLEY_BF16, 1 << 20), &few);
}

static int refuse_esmm(struct motley__device *device, const struct motley__esmm *esmm, int segment,
                       struct motley_error *error)
{
    (void)device;
    (void)segment;
    return motley__fail(error, MOTLEY_E_UNSUPPORTED, "%d experts", esmm->w->E);
}

static int refuse_estmm(struct motley__device *device, const struct motley__estmm *estmm, int segment,
                        struct motley_error *error)
{
    (void)device;
    (void)segment;
    return motley__fail(error, MOTLEY_E_UNSUPPORTED, "%d experts", estmm->dw->E);
}

/* All three products of E experts, by a variant that refuses what it is given: what they return.  Those of generic
 * must be right. */
static void products_return(struct motley__device *device, int E, int expected)
{
    const uint64_t seed = test_seed();
    struct ragged_problem ragged = make_ragged(device, seed, E, P, SPREAD);
    struct row_problem x = make_rows(device, seed, 10, P, I, 1), g = make_rows(device, seed, 20, P, O, 1);
    float *w = random_floats(seed, 1, (size_t)(E * O * I)), *y = ARRAY(float, P * O), *dx = ARRAY(float, P * I);
    struct motley__matrix *there = matrix_there(device, E, O, I, w), *slope = matrix_there(device, E, O, I, w);
    struct motley__esmm forward = {.w = there, .ragged = ragged.ragged, .x = x.rows, .activation = MOTLEY__ACT_NONE,
                                   .y = unwritten(device, sizeof(float) * P * O)};
    struct motley__esmm backward = {.w = there, .ragged = ragged.ragged, .x = g.rows, .activation = MOTLEY__ACT_NONE,
                                    .y = unwritten(device, sizeof(float) * P * I)};
    const struct motley__estmm estmm = {.ragged = ragged.ragged, .a = g.rows, .b = x.rows, .dw = slope};
    struct motley__ref_esmm ref = {.E = E, .P = P, .O = O, .I = I, .offsets = ragged.offsets, .x = x.ref, .w = w,
                                   .activation = MOTLEY__ACT_NONE, .y = y};
    struct motley_error error = {0};
    assert_int_equal(motley__esmm(device, &forward, &error), expected);
    assert_int_equal(motley__esmm_transposed(device, &backward, &error), expected);
    assert_int_equal(motley__estmm(device, &estmm, &error), expected);
    float *got_y = take_back(forward.y), *got_dx = take_back(backward.y), *got_dw = matrix_back(slope);
    if (!expected) {
        motley__ref_esmm(&ref);
        assert_near("y", got_y, y, P * O, 2e-6);
        ref.x = g.ref;
        ref.y = dx;
        motley__ref_esmm_transposed(&ref);
        assert_near("dx", got_dx, dx, P * I, 2e-6);
        motley__ref_estmm(E, P, O, I, ragged.offsets, &g.ref, &x.ref, 0, w);
        assert_near("dw", got_dw, w, (size_t)(E * O * I), 2e-6);
    }
    FREE(w, y, dx, got_y, got_dx, got_dw);
    motley__matrix_destroy(there);
    motley__matrix_destroy(slope);
    free_rows(&x);
    free_rows(&g);
    free_ragged(&ragged);
}

static void more_experts_than_it_holds(void **state)
{
    struct motley__device *device = *state;
    const struct motley__variant *admitted = device->variant[MOTLEY_F32];
    struct motley__variant few = motley__variant_generic;
    few.most_experts = MOST;
    few.esmm = few.esmm_transposed = refuse_esmm;
    few.estmm = refuse_estmm;
    device->variant[MOTLEY_F32] = &few;
    products_return(device, MOST, MOTLEY_E_UNSUPPORTED);
    products_return(device, MOST + 1, 0);
    device->variant[MOTLEY_F32] = admitted;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_match_a_list),
        cmocka_unit_test(limited_variants_have_canonical_matrices),
        cmocka_unit_test(other_products_are_generic),
        cmocka_unit_test(more_experts_than_it_holds),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
