/* Two ranks of unlike speed: the measured plan against even shares, timed alternately.  Run by check-uneven.sh on a
 * cluster of tests/cluster; its first argument is the largest ratio that passes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "job.h"

enum { D = 512, F = 1024, E = 8, K = 2, TOKENS = 1024, REPEATS = 9 };

static motley_layer *make_layer(motley_context *context, const motley_plan *plan)
{
    struct motley_error error = {0};
    struct motley_plan_rank own = motley_plan_rank(plan, motley_context_rank(context));
    float *matrix = malloc(sizeof *matrix * D * F);
    motley_layer *layer;

    check(motley_layer_create(context, plan, &layer, &error), &error);
    fill(matrix, E * D, 0.05, 1);
    check(motley_layer_set(layer, MOTLEY_GATE, 0, matrix, &error), &error);
    for (int i = 0; i < own.experts; i++)
        for (int w = MOTLEY_W1; w <= MOTLEY_W3; w++) {
            fill(matrix, D * F, 0.04, (uint64_t)(100 * w + own.expert[i]));
            check(motley_layer_set(layer, (enum motley_weight)w, own.expert[i], matrix, &error), &error);
        }
    free(matrix);
    return layer;
}

/* Seconds of the expert phase of one step: mine, and the slowest rank's. */
static double expert_phase(motley_layer *layer, motley_tensor *x, motley_tensor *y, double *slowest)
{
    struct motley_error error = {0};
    double mine;

    check(motley_layer_forward(layer, x, NULL, y, &error), &error);
    check(motley_layer_backward(layer, x, y, &error), &error);
    mine = expert_seconds(layer, 1);
    MPI_Allreduce(&mine, slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return mine;
}

/* The number of experts for rank 0 that makes the slower rank fastest, when one costs seconds[r] on rank r. */
static int best_share(const double *seconds)
{
    int best = 0;
    double least = E * seconds[1];

    for (int n = 1; n <= E; n++) {
        double one = n * seconds[0], other = (E - n) * seconds[1], slower = one > other ? one : other;

        if (slower < least) {
            least = slower;
            best = n;
        }
    }
    return best;
}

int main(int argc, char **argv)
{
    const struct motley_layer_shape shape = {
        .D = D, .F = F, .E = E, .K = K, .activation = MOTLEY_SWIGLU, .normalize = 1};
    const double limit = argc > 1 ? atof(argv[1]) : 0.55;
    double slowest[2][REPEATS], even[REPEATS], one, seconds[2];
    struct motley_error error = {0};
    motley_context *context;
    motley_plan *plan[2];
    motley_layer *layer[2];
    motley_tensor *x, *y;
    int rank, failed = 0;

    MPI_Init(&argc, &argv);
    check(motley_context_create(MPI_COMM_WORLD, NULL, &context, &error), &error);
    rank = motley_context_rank(context);
    check(motley_tensor_create(context, MOTLEY_F32, TOKENS / 2, D, &x, &error), &error);
    check(motley_tensor_create(context, MOTLEY_F32, TOKENS / 2, D, &y, &error), &error);
    float *tokens = malloc(sizeof *tokens * D * TOKENS / 2);
    fill(tokens, D * TOKENS / 2, 1, (uint64_t)(10 + rank));
    check(motley_tensor_write(x, tokens, &error), &error);
    for (int s = 0; s < 2; s++) {
        const struct motley_plan_options options = {.tokens = TOKENS, .backward = 1,
                                                    .shares = s ? MOTLEY_SHARES_EVEN : MOTLEY_SHARES_MEASURED,
                                                    .mode = MOTLEY_MODE_EXPERT};
        check(motley_plan_create(context, &shape, &options, &plan[s], &error), &error);
        layer[s] = make_layer(context, plan[s]);
        expert_phase(layer[s], x, y, &one); /* compiles and makes room */
    }
    for (int i = 0; i < REPEATS; i++) {
        expert_phase(layer[0], x, y, &slowest[0][i]);
        even[i] = expert_phase(layer[1], x, y, &slowest[1][i]) / motley_plan_rank(plan[1], rank).experts;
    }
    one = motley__median(even, REPEATS);
    MPI_Allgather(&one, 1, MPI_DOUBLE, seconds, 1, MPI_DOUBLE, MPI_COMM_WORLD);
    if (rank == 0) {
        const double measured = motley__median(slowest[0], REPEATS), alike = motley__median(slowest[1], REPEATS);
        const int share = motley_plan_rank(plan[0], 0).experts, best = best_share(seconds);

        motley_plan_print(plan[0], stdout);
        printf("one expert takes %.1f and %.1f ms: rank 0 should have %d of %d, and has %d\n", 1e3 * seconds[0],
               1e3 * seconds[1], best, E, share);
        printf("expert phase: %.1f ms with measured shares, %.1f ms with even ones, ratio %.3f (limit %.2f)\n",
               1e3 * measured, 1e3 * alike, measured / alike, limit);
        failed = abs(share - best) > 1 || measured / alike > limit;
    }
    MPI_Bcast(&failed, 1, MPI_INT, 0, MPI_COMM_WORLD);
    for (int s = 0; s < 2; s++) {
        motley_layer_destroy(layer[s]);
        motley_plan_destroy(plan[s]);
    }
    motley_tensor_destroy(x);
    motley_tensor_destroy(y);
    free(tokens);
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
