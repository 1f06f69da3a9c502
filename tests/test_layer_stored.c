/* The layer with rows and matrices stored in two bytes, on every number of ranks: against the reference in double
 * precision on the same rounded numbers, and with tokens that are not finite.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "layer_step.h"

/* Rows and matrices stored in two bytes. */
static void stored_in_two_bytes(void **state)
{
    (void)state;
    for (int dtype = MOTLEY_BF16; dtype <= MOTLEY_F16; dtype++)
        for (int activation = MOTLEY_RELU; activation <= MOTLEY_SWIGLU; activation++) {
            struct motley_layer_shape shape = shape_of((enum motley_activation)activation, activation % 3 + 1);
            shape.dtype = (enum motley_dtype)dtype;
            shape.bias = activation == MOTLEY_GELU || activation == MOTLEY_SILU;
            shape.normalize = activation == MOTLEY_SWIGLU;
            /* shares are measured once: that takes a while */
            motley_plan *plan = make_plan(&shape, dtype == MOTLEY_BF16 && activation == MOTLEY_SWIGLU
                                                      ? MOTLEY_SHARES_MEASURED : MOTLEY_SHARES_EVEN);
            /* all on one expert with K = 1 only: the weights of others would be too small for f16 */
            check_plan(plan, T, shape.K == 1 ? GATE_ONE_EXPERT : GATE_SPREAD, (enum split)(activation % 3));
            if (activation == MOTLEY_GELU)
                check_plan(plan, 0, GATE_SPREAD, SPLIT_EVEN);
            motley_plan_destroy(plan);
        }
}

/* A token that is not finite reaches its own output and no other. */
static void nonfinite_token_stays_alone(void **state)
{
    (void)state;
    for (int dtype = MOTLEY_F32; dtype <= MOTLEY_F16; dtype++) {
        struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, 2);
        shape.dtype = (enum motley_dtype)dtype;
        shape.gate = MOTLEY_GATE_FORCED;
        struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
        p.x[5 * D + 3] = NAN;
        p.x[30 * D] = INFINITY;
        motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
        struct held held = hold(&p, SPLIT_EVEN);
        motley_layer *layer = make_layer(plan, &p);
        SUCCEED(motley_layer_forward(layer, held.x, p.forced + held.first * 2, held.y, &error));
        SUCCEED(motley_tensor_read(held.y, held.got_y, &error));
        for (int i = 0; i < held.T * D; i++) {
            const int token = held.first + i / D;
            require(!isfinite(held.got_y[i]) == (token == 5 || token == 30), "a number that is not finite went astray");
        }
        motley_layer_destroy(layer);
        let_go(&held);
        motley_plan_destroy(plan);
        problem_destroy(&p);
    }
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    printf("seed %llu\n", (unsigned long long)SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_in_two_bytes),
        cmocka_unit_test(nonfinite_token_stays_alone),
    };
    int status = cmocka_run_group_tests_name("stored layer", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
