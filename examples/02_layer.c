/* A mixture-of-experts layer across all ranks, forward and backward.
 *
 *   mpirun -n 2 examples/02_layer
 *
 * The second lesson: a shape becomes a plan, a plan becomes a layer, a layer maps tokens to tokens.
 *
 *   y[t] = sum over the K experts e that the gate chooses for token t of  weight[t,e] * expert_e(x[t])
 *
 * Every rank brings its own tokens, here rank 0 more than the others.  The plan says who owns which expert; it is made
 * from what each device was measured to do.  At the end one number of the gradient is checked against a finite
 * difference, which needs the whole machine to have worked: all ranks, both directions.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <motley/motley.h>

enum { D = 64, F = 128, E = 8, K = 2 };

/* One failing call ends the job; a library reports, a program decides. */
static void check(int status, const struct motley_error *error)
{
    if (status == 0)
        return;
    fprintf(stderr, "02_layer: %s\n", error->text);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* Numbers in [-scale, scale) that depend on `seed` alone, so that they are the same however experts are shared out. */
static void fill(float *values, int count, float scale, unsigned seed)
{
    unsigned state = seed * 2654435761u + 12345u;
    for (int i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = scale * ((float)(state >> 8) / 8388608.0f - 1.0f);
    }
}

static float *numbers(long count)
{
    float *values = (float *)calloc(count > 0 ? (size_t)count : 1, sizeof(float));
    if (!values)
        MPI_Abort(MPI_COMM_WORLD, 1);
    return values;
}

/* The gate is on every rank; of the experts a rank sets those that the plan gives it. */
static void set_weights(motley_layer *layer, const motley_plan *plan, int rank)
{
    struct motley_error error = {0};
    struct motley_plan_rank own = motley_plan_rank(plan, rank);
    float *matrix = numbers((long)F * D > (long)E * D ? (long)F * D : (long)E * D);
    fill(matrix, E * D, 0.3f, 1);
    check(motley_layer_set(layer, MOTLEY_GATE, 0, matrix, &error), &error);
    for (int i = 0; i < own.experts; i++) {
        int e = own.expert[i];
        fill(matrix, F * D, 0.2f, 100 + (unsigned)e);
        check(motley_layer_set(layer, MOTLEY_W1, e, matrix, &error), &error);
        fill(matrix, F * D, 0.2f, 300 + (unsigned)e);
        check(motley_layer_set(layer, MOTLEY_W3, e, matrix, &error), &error);
        fill(matrix, D * F, 0.2f, 200 + (unsigned)e);
        check(motley_layer_set(layer, MOTLEY_W2, e, matrix, &error), &error);
    }
    free(matrix);
}

/* sum(y*dy) over the tokens of all ranks: the loss whose gradient backward finds. */
static double loss(const float *y, const float *dy, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (double)y[i] * dy[i];
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return sum;
}

int main(int argc, char **argv)
{
    struct motley_error error = {0};
    motley_context *context = NULL;
    motley_plan *plan = NULL;
    motley_layer *layer = NULL;
    motley_tensor *x = NULL, *y = NULL, *dy = NULL, *dx = NULL;

    MPI_Init(&argc, &argv);
    check(motley_context_create(MPI_COMM_WORLD, NULL, &context, &error), &error);
    int rank = motley_context_rank(context), R = motley_context_size(context);

    /* The shape of the layer.  A struct of zeros means defaults everywhere. */
    struct motley_layer_shape shape = {0};
    shape.D = D;
    shape.F = F;
    shape.E = E;
    shape.K = K;
    shape.activation = MOTLEY_SWIGLU;
    shape.normalize = 1;

    /* The plan: measures what is not yet known of the devices, then shares the experts out. */
    int T = rank == 0 ? 96 : 32;
    struct motley_plan_options options = {0};
    options.tokens = 96 + 32 * (R - 1);
    options.backward = 1;
    check(motley_plan_create(context, &shape, &options, &plan, &error), &error);
    if (rank == 0)
        motley_plan_print(plan, stdout);

    /* Tensors on the device hold this rank's tokens; then the layer itself. */
    check(motley_tensor_create(context, MOTLEY_F32, T, D, &x, &error), &error);
    check(motley_tensor_create(context, MOTLEY_F32, T, D, &y, &error), &error);
    check(motley_tensor_create(context, MOTLEY_F32, T, D, &dy, &error), &error);
    check(motley_tensor_create(context, MOTLEY_F32, T, D, &dx, &error), &error);
    check(motley_layer_create(context, plan, &layer, &error), &error);
    set_weights(layer, plan, rank);

    float *host_x = numbers((long)T * D), *host_y = numbers((long)T * D), *host_dy = numbers((long)T * D),
          *host_dx = numbers((long)T * D);
    fill(host_x, T * D, 1.0f, 1000 + (unsigned)rank);
    fill(host_dy, T * D, 1.0f, 2000 + (unsigned)rank);
    check(motley_tensor_write(x, host_x, &error), &error);
    check(motley_tensor_write(dy, host_dy, &error), &error);

    /* Forward and backward, collective: rows travel to the experts' ranks and back.  The first step takes longer: it
     * compiles kernels and makes its buffers; after it nothing is allocated any more. */
    check(motley_layer_forward(layer, x, NULL, y, &error), &error);
    check(motley_layer_backward(layer, dy, dx, &error), &error);
    check(motley_tensor_read(dx, host_dx, &error), &error);

    struct motley_layer_traffic traffic = {0};
    check(motley_layer_traffic(layer, &traffic, &error), &error);
    printf("rank %d: %d tokens, %lld rows to other ranks, first forward %.2f ms, backward %.2f ms\n", rank, T,
           (long long)traffic.rows_sent, 1e3 * motley_layer_forward_times(layer).step,
           1e3 * motley_layer_backward_times(layer).step);

    /* d loss / d x[0,0] of rank 0 by moving that one number both ways. */
    float step = 0.01f, kept = host_x[0];
    double side[2];
    for (int i = 0; i < 2; i++) {
        host_x[0] = rank == 0 ? kept + (i ? step : -step) : kept;
        check(motley_tensor_write(x, host_x, &error), &error);
        check(motley_layer_forward(layer, x, NULL, y, &error), &error);
        check(motley_tensor_read(y, host_y, &error), &error);
        side[i] = loss(host_y, host_dy, T * D);
    }
    double expected = (side[1] - side[0]) / (2 * step);
    int wrong = rank == 0 && fabs(host_dx[0] - expected) > 0.02 * (fabs(expected) + 0.1);
    if (rank == 0)
        printf("d loss / d x[0,0]: backward says %.4f, a finite difference %.4f%s\n", host_dx[0], expected,
               wrong ? ": they differ" : "");

    free(host_dx);
    free(host_dy);
    free(host_y);
    free(host_x);
    motley_layer_destroy(layer);
    motley_tensor_destroy(dx);
    motley_tensor_destroy(dy);
    motley_tensor_destroy(y);
    motley_tensor_destroy(x);
    motley_plan_destroy(plan);
    motley_context_destroy(context);
    MPI_Finalize();
    return wrong;
}
