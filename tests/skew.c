/* Steps of a layer whose tokens go to few experts, timed in turns: planned as if all experts got as many rows, and with
 * their loads known.
 *
 *   mpirun ... skew [--rounds n] CELL...      CELL: ROUTING,T,K,E,D,F,forward|backward   (bench/routing.h)
 *
 * One CSV line for each cell and plan, in mode expert.  A step begins on all ranks together and ends with the slowest;
 * experts_ms is the slowest rank's expert phase, fullest the part of all pairs that the fullest rank had.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/routing.h"
#include "job.h"
#include "layer/layer.h"
#include "plan/plan.h"

enum { MOST_ROUNDS = 101, DEFAULT_ROUNDS = 9, PLANS = 2 };

struct cell {
    enum motley__routing routing;
    long tokens;
    int K, E, D, F, backward;
};

/* One way to run a cell, and what was seen of it. */
struct candidate {
    const double *load;             /* NULL: not known */
    motley_plan *plan;
    motley_layer *layer;
    motley_tensor *x, *y;
    int32_t *forced;                /* [T,K] of this rank */
    double step[MOST_ROUNDS];       /* seconds of the slowest rank, each round */
    double experts[MOST_ROUNDS];    /* seconds of this rank's expert phase */
};

/* chosen [T,K] of all ranks. */
static void open_candidate(motley_context *context, const struct cell *cell, const int *chosen, struct candidate *c)
{
    const struct motley_layer_shape shape = {.D = cell->D, .F = cell->F, .E = cell->E, .K = cell->K,
                                             .activation = MOTLEY_SWIGLU, .normalize = 1, .gate = MOTLEY_GATE_FORCED};
    const struct motley_plan_options options = {.tokens = cell->tokens, .backward = cell->backward,
                                                .mode = MOTLEY_MODE_EXPERT, .load = c->load};
    const int rank = motley_context_rank(context);
    struct motley_error error = {0};
    int64_t first = 0;
    check(motley_plan_create(context, &shape, &options, &c->plan, &error), &error);
    check(motley_layer_create(context, c->plan, &c->layer, &error), &error);
    set_weights(c->plan, c->layer, rank);
    const int64_t T = motley_plan_rank(c->plan, rank).tokens;
    for (int r = 0; r < rank; r++)
        first += motley_plan_rank(c->plan, r).tokens;
    c->forced = malloc(sizeof *c->forced * (size_t)(T + 1) * (size_t)cell->K);
    for (int64_t n = 0; n < T * cell->K; n++)
        c->forced[n] = chosen[first * cell->K + n];
    make_tokens(context, T, cell->D, &c->x, &c->y);
}

static void close_candidate(struct candidate *c)
{
    motley_tensor_destroy(c->x);
    motley_tensor_destroy(c->y);
    motley_layer_destroy(c->layer);
    motley_plan_destroy(c->plan);
    free(c->forced);
}

static void step(const struct cell *cell, struct candidate *c, int round)
{
    time_step(c->layer, c->x, c->forced, c->y, cell->backward, &c->step[round], &c->experts[round]);
}

static void report(const struct cell *cell, struct candidate *c, int rounds, int rank)
{
    const struct motley__prediction *plan = &c->plan->alternative[c->plan->chosen].predicted;
    double most[2] = {motley__median(c->experts, rounds),
                      (double)motley__layer_pairs(c->layer) / (double)cell->tokens / cell->K};
    MPI_Allreduce(MPI_IN_PLACE, most, 2, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%s,%ld,%d,%d,%d,%d,%s,%s,%d,%.3f,%.3f,%.3f,%.3f\n", motley__routing_name(cell->routing), cell->tokens,
               cell->K, cell->E, cell->D, cell->F, cell->backward ? "backward" : "forward",
               c->load ? "known" : "unknown", c->plan->replicas, 1e3 * motley__median(c->step, rounds),
               1e3 * (plan->forward_seconds + plan->backward_seconds), 1e3 * most[0], most[1]);
    fflush(stdout);
}

static void run_cell(motley_context *context, const struct cell *cell, int rounds)
{
    const size_t pairs = (size_t)cell->tokens * (size_t)cell->K;
    int *chosen = malloc(sizeof *chosen * pairs);
    double *load = calloc((size_t)cell->E, sizeof *load);
    struct candidate c[PLANS] = {{.load = NULL}, {.load = load}};
    struct motley_error error = {0};
    check(motley__routing_draw(cell->routing, 1, (int)cell->tokens, cell->K, cell->E, chosen, &error), &error);
    for (size_t n = 0; n < pairs; n++)
        load[chosen[n]]++;
    for (int i = 0; i < PLANS; i++) {
        open_candidate(context, cell, chosen, &c[i]);
        step(cell, &c[i], 0); /* compiles and makes room */
    }
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < PLANS; i++)
            step(cell, &c[(round + i) % PLANS], round);
    for (int i = 0; i < PLANS; i++) {
        report(cell, &c[i], rounds, motley_context_rank(context));
        close_candidate(&c[i]);
    }
    free(load);
    free(chosen);
}

static int read_cell(const char *text, struct cell *cell)
{
    char routing[16], direction[16], end;
    if (sscanf(text, "%15[a-z0-9],%ld,%d,%d,%d,%d,%15[a-z]%c", routing, &cell->tokens, &cell->K, &cell->E, &cell->D,
               &cell->F, direction, &end) != 7)
        return 0;
    for (cell->routing = 0; cell->routing < MOTLEY__ROUTINGS; cell->routing++)
        if (!strcmp(routing, motley__routing_name(cell->routing)))
            break;
    cell->backward = !strcmp(direction, "backward");
    return cell->routing < MOTLEY__ROUTINGS && (cell->backward || !strcmp(direction, "forward"));
}

int main(int argc, char **argv)
{
    struct motley_error error = {0};
    int rounds = DEFAULT_ROUNDS, failed = 0;
    motley_context *context;

    MPI_Init(&argc, &argv);
    check(motley_context_create(MPI_COMM_WORLD, NULL, &context, &error), &error);
    if (motley_context_rank(context) == 0)
        printf("routing,T,K,E,D,F,direction,loads,replicas,step_ms,predicted_ms,experts_ms,fullest\n");
    for (int i = 1; i < argc && !failed; i++) {
        struct cell cell;
        if (!strcmp(argv[i], "--rounds") && i + 1 < argc) {
            rounds = atoi(argv[++i]);
            failed = rounds < 1 || rounds > MOST_ROUNDS;
        } else if (read_cell(argv[i], &cell)) {
            run_cell(context, &cell, rounds);
        } else {
            failed = 1;
        }
    }
    if (failed)
        fprintf(stderr, "usage: skew [--rounds 1..%d] ROUTING,T,K,E,D,F,forward|backward ...\n", MOST_ROUNDS);
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
