/* Steps of a layer in every mode, timed in turns: what each takes, what it was predicted to take, what `auto` chose.
 *
 *   mpirun ... modes [--rounds n] [--label TEXT] [--pipeline d] [--phases] CELL...
 *
 *   CELL: T,K,E,D,F,forward|backward
 *
 * One CSV line for each cell, mode and kind of shares.  A step begins on all ranks together and ends with the slowest.
 * efficiency: of the expert phase, as a part of what the ranks could do together: work shared so that all end at
 * once, each as fast per share as it was with even shares of the same mode in the same run.  --phases: on stderr, of
 * every rank, the phases of the last step, in brackets as predicted; what data mode waits for is its dispatch.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "job.h"
#include "plan/plan.h"

enum { MOST_ROUNDS = 101, CANDIDATES = 8, DEFAULT_ROUNDS = 9 };

struct cell {
    long tokens;
    int K, E, D, F, backward, pipeline;
};

/* One way to run a cell, and what was seen of it. */
struct candidate {
    enum motley_mode mode;
    int group;
    enum motley_shares shares;
    motley_plan *plan;
    motley_layer *layer;
    motley_tensor *x, *y;
    double step[MOST_ROUNDS];       /* seconds of the slowest rank, each round */
    double experts[MOST_ROUNDS];    /* seconds of this rank's expert phase */
};

static void open_candidate(motley_context *context, const struct cell *cell, struct candidate *c)
{
    const struct motley_layer_shape shape = {.D = cell->D, .F = cell->F, .E = cell->E, .K = cell->K,
                                             .activation = MOTLEY_SWIGLU, .normalize = 1};
    const struct motley_plan_options options = {.tokens = cell->tokens, .backward = cell->backward, .shares = c->shares,
                                                .mode = c->mode, .group = c->group, .pipeline = cell->pipeline};
    const int rank = motley_context_rank(context);
    struct motley_error error = {0};
    check(motley_plan_create(context, &shape, &options, &c->plan, &error), &error);
    check(motley_layer_create(context, c->plan, &c->layer, &error), &error);
    set_weights(c->plan, c->layer, rank);
    const int64_t T = motley_plan_rank(c->plan, rank).tokens;
    make_tokens(context, T, cell->D, &c->x, &c->y);
}

static void close_candidate(struct candidate *c)
{
    motley_tensor_destroy(c->x);
    motley_tensor_destroy(c->y);
    motley_layer_destroy(c->layer);
    motley_plan_destroy(c->plan);
}

static void step(const struct cell *cell, struct candidate *c, int round)
{
    time_step(c->layer, c->x, NULL, c->y, cell->backward, &c->step[round], &c->experts[round]);
}

/* Over ranks: the slowest expert phase, and the sum of shares done in a second. */
static void expert_phase(const struct candidate *c, double mine, double *slowest, double *speed)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const double share = motley_plan_rank(c->plan, rank).share, own = mine > 0 ? share / mine : 0;
    MPI_Allreduce(&mine, slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    MPI_Allreduce(&own, speed, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

static void report(const char *label, const struct cell *cell, struct candidate *c, int count, int rounds, int rank)
{
    double slowest[CANDIDATES], speed[CANDIDATES];
    for (int i = 0; i < count; i++)
        expert_phase(&c[i], motley__median(c[i].experts, rounds), &slowest[i], &speed[i]);
    for (int i = 0; i < count && rank == 0; i++) {
        const struct motley__prediction *plan = &c[i].plan->alternative[c[i].plan->chosen].predicted;
        double efficiency = 0;
        char asked[16], ran[16];
        for (int j = 0; j < count; j++)
            if (c[j].shares == MOTLEY_SHARES_EVEN && c[j].mode == c[i].mode && c[j].group == c[i].group)
                efficiency = 1 / speed[j] / slowest[i];
        motley__mode_text(c[i].mode, c[i].group, asked, sizeof asked);
        motley__mode_text(motley_plan_mode(c[i].plan), c[i].group, ran, sizeof ran);
        printf("%s,%ld,%d,%d,%d,%d,%s,%s,%s,%s,%.3f,%.3f,%.3f,%.3f\n", label, cell->tokens, cell->K, cell->E, cell->D,
               cell->F, cell->backward ? "backward" : "forward", asked, ran,
               c[i].shares == MOTLEY_SHARES_EVEN ? "even" : "measured", 1e3 * motley__median(c[i].step, rounds),
               1e3 * (plan->forward_seconds + plan->backward_seconds), 1e3 * slowest[i], efficiency);
    }
    fflush(stdout);
}

static void print_direction(const char *name, const struct motley_layer_times *times, const struct motley__phases *plan)
{
    fprintf(stderr, "  %s gate %.2f (%.2f) dispatch %.2f (%.2f + %.2f) experts %.2f (%.2f) combine %.2f (%.2f)\n", name,
            1e3 * times->gate, 1e3 * plan->gate, 1e3 * times->dispatch, 1e3 * plan->dispatch, 1e3 * plan->weights,
            1e3 * times->experts, 1e3 * plan->experts, 1e3 * times->combine, 1e3 * plan->combine);
}

static void print_phases(const struct cell *cell, const struct candidate *c, int rank)
{
    const struct motley__plan_entry *entry = &c->plan->rank[rank];
    const struct motley_layer_times forward = motley_layer_forward_times(c->layer);
    const struct motley_layer_times backward = motley_layer_backward_times(c->layer);
    char mode[16];
    motley__mode_text(motley_plan_mode(c->plan), c->group, mode, sizeof mode);
    fprintf(stderr, "rank %d, %s, %s shares\n", rank, mode, c->shares == MOTLEY_SHARES_EVEN ? "even" : "measured");
    print_direction("forward ", &forward, &entry->forward);
    if (cell->backward)
        print_direction("backward", &backward, &entry->backward);
}

static void run_cell(motley_context *context, const char *label, const struct cell *cell, int rounds, int phases)
{
    struct candidate c[CANDIDATES] = {{.mode = MOTLEY_MODE_AUTO}, {.mode = MOTLEY_MODE_EXPERT},
        {.mode = MOTLEY_MODE_DATA}, {.mode = MOTLEY_MODE_MODEL},
        {.mode = MOTLEY_MODE_EXPERT, .shares = MOTLEY_SHARES_EVEN},
        {.mode = MOTLEY_MODE_DATA, .shares = MOTLEY_SHARES_EVEN},
        {.mode = MOTLEY_MODE_MODEL, .shares = MOTLEY_SHARES_EVEN}, {.mode = MOTLEY_MODE_HYBRID, .group = 2}};
    const int count = motley_context_size(context) > 2 ? CANDIDATES : CANDIDATES - 1;
    for (int i = 0; i < count; i++) {
        open_candidate(context, cell, &c[i]);
        step(cell, &c[i], 0); /* compiles and makes room */
    }
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++)
            step(cell, &c[(round + i) % count], round);
    report(label, cell, c, count, rounds, motley_context_rank(context));
    for (int i = 0; i < count; i++) {
        if (phases)
            print_phases(cell, &c[i], motley_context_rank(context));
        close_candidate(&c[i]);
    }
}

static int read_cell(const char *text, struct cell *cell)
{
    char direction[16], end;
    if (sscanf(text, "%ld,%d,%d,%d,%d,%15[a-z]%c", &cell->tokens, &cell->K, &cell->E, &cell->D, &cell->F, direction,
               &end) != 6)
        return 0;
    cell->backward = !strcmp(direction, "backward");
    return cell->backward || !strcmp(direction, "forward");
}

int main(int argc, char **argv)
{
    struct motley_error error = {0};
    const char *label = "";
    int rounds = DEFAULT_ROUNDS, pipeline = 0, phases = 0, failed = 0;
    motley_context *context;

    MPI_Init(&argc, &argv);
    check(motley_context_create(MPI_COMM_WORLD, NULL, &context, &error), &error);
    if (motley_context_rank(context) == 0)
        printf("label,T,K,E,D,F,direction,mode,ran,shares,step_ms,predicted_ms,experts_ms,efficiency\n");
    for (int i = 1; i < argc && !failed; i++) {
        struct cell cell = {.pipeline = pipeline};
        if (!strcmp(argv[i], "--rounds") && i + 1 < argc) {
            rounds = atoi(argv[++i]);
            failed = rounds < 1 || rounds > MOST_ROUNDS;
        } else if (!strcmp(argv[i], "--label") && i + 1 < argc) {
            label = argv[++i];
        } else if (!strcmp(argv[i], "--pipeline") && i + 1 < argc) {
            pipeline = atoi(argv[++i]);
        } else if (!strcmp(argv[i], "--phases")) {
            phases = 1;
        } else if (read_cell(argv[i], &cell)) {
            run_cell(context, label, &cell, rounds, phases);
        } else {
            failed = 1;
        }
    }
    if (failed)
        fprintf(stderr, "usage: modes [--rounds 1..%d] [--label TEXT] [--pipeline d] [--phases] "
                        "T,K,E,D,F,forward|backward ...\n", MOST_ROUNDS);
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
