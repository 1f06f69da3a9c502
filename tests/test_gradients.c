/* Gradients between ranks: sums of the dense ones in one piece and through canonical form, and the norm of all.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "parameters.h"
#include "context.h"
#include "train/gradients.h"
#include "tests/device.h"

static motley_context *context; /* of the whole program: a process binds its device once */

/* What the whole model's gradient is: dense numbers are added over ranks, where rank r brings (r + 1) times its own. */
static double expected_norm(const struct parameters *p, int size)
{
    const double factor = size * (size + 1) / 2.0;
    double sum = 0;
    for (int i = 0; i < PARAMETERS; i++)
        for (int e = 0; e < (p->list[i].placement ? EXPERTS : 1); e++)
            for (int j = 0; j < p->list[i].O * p->list[i].I; j++)
                sum += pow(number(3, i, e, j) * (p->list[i].placement ? 1 : factor), 2);
    return sqrt(sum);
}

static void check_placed(int group, int panel, int arena, int expect_arena)
{
    struct parameters p;
    struct motley__gradients *gradients;
    double norm, of_0;
    const int size = context->size;
    make_placed_parameters(context->device, MOTLEY_F32, context->rank, size, group, panel, arena, &p);
    SUCCEED(motley__gradients_create(context->comm, context->time_limit, context->device, p.list, PARAMETERS,
                                     &gradients, &error));
    assert_true((gradients->arena != NULL) == expect_arena);
    for (int i = 0; i < PARAMETERS; i++)
        fill(&p.list[i], p.list[i].dw, 3, i, p.list[i].placement ? 1 : (float)(context->rank + 1));
    SUCCEED(motley__gradients_sum(gradients, &error));
    for (int i = 0; i < PARAMETERS; i++)
        assert_filled(&p.list[i], p.list[i].dw, 3, i, p.list[i].placement ? 1 : (float)(size * (size + 1) / 2), 1e-6);
    SUCCEED(motley__gradients_norm(gradients, &norm, &error));
    assert_float_equal(norm / expected_norm(&p, size), 1, 1e-6);
    of_0 = norm;
    MPI_Bcast(&of_0, 1, MPI_DOUBLE, 0, context->comm);
    assert_true(norm == of_0);
    motley__gradients_destroy(gradients);
    free_parameters(&p);
}

static void check(int panel, int arena, int expect_arena)
{
    check_placed(1, panel, arena, expect_arena);
}

/* The norm counts every part of an expert once, whoever holds it. */
static void hidden_dimensions_may_be_divided(void **state)
{
    (void)state;
    for (int group = 2; group <= context->size; group++)
        check_placed(group, 4, 1, 1);
}

static void arenas_alike_are_summed_as_they_lie(void **state)
{
    (void)state;
    check(16, 1, 1);
    check(1, 1, 1);
}

static void matrices_of_their_own_pass_through_canonical_form(void **state)
{
    (void)state;
    check(16, 0, 0);
}

static void unlike_layouts_pass_through_canonical_form(void **state)
{
    (void)state;
    check(context->rank % 2 ? 16 : 8, 1, context->size == 1);
}

static void arenas_on_some_ranks_only_are_not_used(void **state)
{
    (void)state;
    check(16, context->rank == 0, context->size == 1);
}

/* A device with memory of its own stages the arena through host memory. */
static void arenas_in_device_memory_are_staged(void **state)
{
    (void)state;
    const int zero_copy = context->device->zero_copy;
    context->device->zero_copy = 0;
    check(16, 1, 1);
    context->device->zero_copy = zero_copy;
}

static void norm_says_when_a_number_is_not_finite(void **state)
{
    (void)state;
    struct parameters p;
    struct motley__gradients *gradients;
    double norm;
    make_parameters(context->device, context->rank, context->size, 16, 1, &p);
    SUCCEED(motley__gradients_create(context->comm, context->time_limit, context->device, p.list, PARAMETERS,
                                     &gradients, &error));
    const int place = motley__holding_find(p.list[2].mine, 2);
    if (place >= 0) {
        float values[128] = {0};
        values[53] = NAN;
        SUCCEED(motley__matrix_set(p.list[2].dw, place, values, &error));
    }
    SUCCEED(motley__gradients_norm(gradients, &norm, &error));
    assert_true(isnan(norm));
    motley__gradients_destroy(gradients);
    free_parameters(&p);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arenas_alike_are_summed_as_they_lie),
        cmocka_unit_test(matrices_of_their_own_pass_through_canonical_form),
        cmocka_unit_test(unlike_layouts_pass_through_canonical_form),
        cmocka_unit_test(arenas_on_some_ranks_only_are_not_used), cmocka_unit_test(arenas_in_device_memory_are_staged),
        cmocka_unit_test(hidden_dimensions_may_be_divided), cmocka_unit_test(norm_says_when_a_number_is_not_finite),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
