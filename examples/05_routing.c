/* Routing that changes from call to call: experts per token, capacity, order, noise, losses.
 *
 *   mpirun -n 2 examples/05_routing
 *
 * The fifth lesson: a plan says who computes, a routing says which experts a token goes to.  Changing it plans nothing
 * anew and allocates nothing that was there before.
 *
 * Each line of the table is one forward over the same tokens, which like a few experts better than the others.  Kept:
 * the part of the choices that experts had room for; busiest: what the busiest expert got of them, 1 where all get as
 * many; balance: GShard's loss, which training would make smaller.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include <motley/motley.h>

enum { D = 64, F = 128, E = 8, MOST = 4, T = 200 };

static void check(int status, const struct motley_error *error)
{
    if (status == 0)
        return;
    fprintf(stderr, "05_routing: %s\n", error->text);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static float *random_numbers(long count, unsigned seed)
{
    float *values = (float *)malloc((size_t)count * sizeof(float));
    unsigned state = seed * 2654435761u + 12345u;
    if (!values)
        MPI_Abort(MPI_COMM_WORLD, 1);
    for (long i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    return values;
}

/* A gate that likes the first experts best: the tokens' mean is not 0, and its rows differ in what they make of it. */
static void set_gate(motley_layer *layer)
{
    struct motley_error error = {0};
    float *gate = random_numbers((long)E * D, 1);
    for (int e = 0; e < E; e++)
        for (int i = 0; i < D; i++)
            gate[e * D + i] = 0.3f * gate[e * D + i] + 0.02f * (float)(E - e);
    check(motley_layer_set(layer, MOTLEY_GATE, 0, gate, &error), &error);
    free(gate);
}

/* Counts of the last forward's choices over all ranks.  Returns those that were kept. */
static long count(motley_layer *layer, int K, long *busiest)
{
    static int32_t indices[T * MOST];
    static float weights[T * MOST];
    struct motley_error error = {0};
    long kept = 0, of[E] = {0};
    check(motley_layer_routing(layer, indices, weights, &error), &error);
    for (int n = 0; n < T * K; n++)
        if (indices[n] >= 0) /* -1: dropped */
            of[indices[n]]++;
    MPI_Allreduce(MPI_IN_PLACE, of, E, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    *busiest = 0;
    for (int e = 0; e < E; e++) {
        kept += of[e];
        *busiest = of[e] > *busiest ? of[e] : *busiest;
    }
    return kept;
}

/* One line of the table.  Returns 1 when experts took more than they have room for. */
static int run(motley_context *context, motley_layer *layer, const motley_tensor *x, motley_tensor *y,
               const char *name, const struct motley_routing *routing)
{
    struct motley_error error = {0};
    int ranks = motley_context_size(context);
    long busiest, kept, choices = (long)T * ranks * routing->K;
    check(motley_layer_set_routing(layer, routing, &error), &error);
    check(motley_layer_forward(layer, x, NULL, y, &error), &error);
    kept = count(layer, routing->K, &busiest);
    if (motley_context_rank(context) == 0)
        printf("%-34s  %3.0f%%  %7.2f  %7.3f\n", name, 100.0 * (double)kept / (double)choices,
               (double)busiest * E / (double)choices, motley_layer_losses(layer).balance);
    long room = (long)(routing->capacity * ((T * ranks + E - 1) / E)) * routing->K;
    return routing->capacity > 0 ? busiest > room : kept != choices;
}

int main(int argc, char **argv)
{
    struct motley_error error = {0};
    motley_context *context = NULL;
    motley_plan *plan = NULL;
    motley_layer *layer = NULL;
    motley_tensor *x = NULL, *y = NULL;
    struct motley_layer_shape shape = {0};
    struct motley_plan_options options = {0};
    struct motley_losses losses = {0};
    int wrong = 0;

    MPI_Init(&argc, &argv);
    check(motley_context_create(MPI_COMM_WORLD, NULL, &context, &error), &error);
    shape.D = D;
    shape.F = F;
    shape.E = E;
    shape.K = 2;
    shape.activation = MOTLEY_SWIGLU;
    options.tokens = (long)T * motley_context_size(context);
    check(motley_plan_create(context, &shape, &options, &plan, &error), &error);
    check(motley_layer_create(context, plan, &layer, &error), &error);
    set_gate(layer);
    losses.balance = 0.01; /* its coefficient in what backward would differentiate */
    check(motley_layer_set_losses(layer, &losses, &error), &error);

    float *tokens = random_numbers((long)T * D, 1000 + (unsigned)motley_context_rank(context));
    for (long i = 0; i < (long)T * D; i++)
        tokens[i] += 0.3f;
    check(motley_tensor_create(context, MOTLEY_F32, T, D, &x, &error), &error);
    check(motley_tensor_create(context, MOTLEY_F32, T, D, &y, &error), &error);
    check(motley_tensor_write(x, tokens, &error), &error);

    if (motley_context_rank(context) == 0)
        printf("%-34s  %4s  %7s  %7s\n", "routing", "kept", "busiest", "balance");
    struct motley_routing routing = {0};
    routing.K = 2;
    wrong |= run(context, layer, x, y, "2 experts a token", &routing);
    routing.K = MOST;
    wrong |= run(context, layer, x, y, "4 experts a token", &routing);
    routing.K = 2;
    routing.capacity = 1.25;
    wrong |= run(context, layer, x, y, "2, capacity 1.25", &routing);
    routing.prioritised = 1;
    wrong |= run(context, layer, x, y, "2, capacity 1.25, best first", &routing);
    routing.capacity = 0;
    routing.prioritised = 0;
    routing.noise = 4;
    routing.seed = 1;
    wrong |= run(context, layer, x, y, "2, noise", &routing);

    free(tokens);
    motley_tensor_destroy(y);
    motley_tensor_destroy(x);
    motley_layer_destroy(layer);
    motley_plan_destroy(plan);
    motley_context_destroy(context);
    MPI_Finalize();
    return wrong;
}
