/* One layer, divided in every way: the results agree, the times do not.
 *
 *   mpirun -n 2 examples/04_modes
 *
 * The fourth lesson: a plan's mode says what travels.
 *
 *   expert     ranks have whole experts; tokens travel to them
 *   model      every rank has a slice of each expert; tokens travel to all
 *   hybrid:r   groups of r ranks: slices inside a group, whole experts among groups (needs more than two ranks)
 *   data       experts are stored in parts; tokens stay, and weights travel
 *
 * Left alone (MOTLEY_MODE_AUTO), a plan takes the way that is predicted fastest on these devices and links.  The table
 * says for each what the slowest rank's experts were predicted to take and took, and what a step took with everything
 * that travels.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <motley/motley.h>

enum { D = 256, F = 512, E = 8, K = 2, T = 256, STEPS = 5 };

struct way {
    const char *name;
    enum motley_mode mode;
    int group;
};

/* What a rank brings, and what came out in the first mode. */
struct problem {
    motley_context *context;
    motley_tensor *x, *y;
    float *host, *first;
};

static void check(int status, const struct motley_error *error)
{
    if (status == 0)
        return;
    fprintf(stderr, "04_modes: %s\n", error->text);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static float *numbers(long count)
{
    float *values = (float *)calloc((size_t)count, sizeof(float));
    if (!values)
        MPI_Abort(MPI_COMM_WORLD, 1);
    return values;
}

static void fill(float *values, long count, float scale, unsigned seed)
{
    unsigned state = seed * 2654435761u + 12345u;
    for (long i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = scale * ((float)(state >> 8) / 8388608.0f - 1.0f);
    }
}

/* Whole matrices are given, whatever part of them a rank stores: the same program serves every mode. */
static void set_weights(motley_layer *layer, const motley_plan *plan, int rank)
{
    static const enum motley_weight matrices[] = {MOTLEY_W1, MOTLEY_W2, MOTLEY_W3};
    struct motley_error error = {0};
    struct motley_plan_rank own = motley_plan_rank(plan, rank);
    float *values = numbers((long)F * D);
    fill(values, (long)E * D, 0.1f, 1);
    check(motley_layer_set(layer, MOTLEY_GATE, 0, values, &error), &error);
    for (int i = 0; i < own.experts; i++)
        for (int m = 0; m < 3; m++) {
            fill(values, (long)F * D, 0.1f, 10u * (unsigned)own.expert[i] + 2u + (unsigned)m);
            check(motley_layer_set(layer, matrices[m], own.expert[i], values, &error), &error);
        }
    free(values);
}

static double largest(double value)
{
    MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return value;
}

/* How far this mode's result is from the first one's, of the largest number there. */
static double difference(struct problem *p, int first)
{
    struct motley_error error = {0};
    double apart = 0, size = 0;
    check(motley_tensor_read(p->y, first ? p->first : p->host, &error), &error);
    for (long i = 0; i < (long)T * D; i++) {
        size = fmax(size, fabs(p->first[i]));
        apart = first ? 0 : fmax(apart, fabs((double)p->host[i] - p->first[i]));
    }
    return largest(apart) / largest(size);
}

/* One line of the table.  Returns how far the result is from the first mode's. */
static double run(struct problem *p, const struct way *way, int first)
{
    struct motley_error error = {0};
    motley_plan *plan = NULL;
    motley_layer *layer = NULL;
    int rank = motley_context_rank(p->context), R = motley_context_size(p->context);
    struct motley_layer_shape shape = {0};
    struct motley_plan_options options = {0};
    double predicted = 0, experts = INFINITY, step = INFINITY, apart;

    shape.D = D;
    shape.F = F;
    shape.E = E;
    shape.K = K;
    shape.activation = MOTLEY_SWIGLU;
    options.tokens = (long)T * R;
    options.mode = way->mode;
    options.group = way->group;
    check(motley_plan_create(p->context, &shape, &options, &plan, &error), &error);
    check(motley_layer_create(p->context, plan, &layer, &error), &error);
    set_weights(layer, plan, rank);
    for (int i = 0; i < STEPS; i++) { /* the first compiles kernels and makes buffers */
        check(motley_layer_forward(layer, p->x, NULL, p->y, &error), &error);
        struct motley_layer_times times = motley_layer_forward_times(layer);
        experts = fmin(experts, largest(times.experts));
        step = fmin(step, largest(times.step));
    }
    apart = difference(p, first);
    for (int r = 0; r < R; r++)
        predicted = fmax(predicted, motley_plan_rank(plan, r).seconds);
    if (rank == 0)
        printf("%-8s  %12.2f  %12.2f  %9.2f  %10.1e\n", way->name, 1e3 * predicted, 1e3 * experts, 1e3 * step, apart);
    motley_layer_destroy(layer);
    motley_plan_destroy(plan);
    return apart;
}

int main(int argc, char **argv)
{
    static const struct way ways[] = {
        {"expert", MOTLEY_MODE_EXPERT, 0}, {"model", MOTLEY_MODE_MODEL, 0}, {"data", MOTLEY_MODE_DATA, 0},
        {"auto", MOTLEY_MODE_AUTO, 0}, {"hybrid:2", MOTLEY_MODE_HYBRID, 2},
    };
    struct motley_error error = {0};
    struct problem p = {0};
    int wrong = 0;

    MPI_Init(&argc, &argv);
    check(motley_context_create(MPI_COMM_WORLD, NULL, &p.context, &error), &error);
    check(motley_tensor_create(p.context, MOTLEY_F32, T, D, &p.x, &error), &error);
    check(motley_tensor_create(p.context, MOTLEY_F32, T, D, &p.y, &error), &error);
    p.host = numbers((long)T * D);
    p.first = numbers((long)T * D);
    fill(p.host, (long)T * D, 1.0f, 1000 + (unsigned)motley_context_rank(p.context));
    check(motley_tensor_write(p.x, p.host, &error), &error);

    if (motley_context_rank(p.context) == 0)
        printf("mode      predicted ms    experts ms    step ms  difference\n");
    int count = motley_context_size(p.context) > 2 ? 5 : 4; /* a group has not all of the ranks */
    for (int i = 0; i < count; i++)
        wrong |= run(&p, &ways[i], i == 0) > 1e-5;

    free(p.first);
    free(p.host);
    motley_tensor_destroy(p.y);
    motley_tensor_destroy(p.x);
    motley_context_destroy(p.context);
    MPI_Finalize();
    return wrong;
}
