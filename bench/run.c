/* The loop over cells: shape by shape, so that weights are made once; every result is compared before it is timed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "bench/alternate.h"
#include "bench/bench.h"
#include "bench/clblast.h"
#include "bench/compare.h"
#include "bench/openblas.h"
#include "bench/peak.h"
#include "device/gemm.h"
#include "device/storage.h"
#include "product/admit.h"
#include "product/variant.h"

/* Of a normalised error, by storage type: a few roundings of each number. */
static const double LIMIT[] = {[MOTLEY_F32] = 2e-5, [MOTLEY_BF16] = 1e-2, [MOTLEY_F16] = 1.5e-3};
static const double CELL_SECONDS = 0.6;         /* for the rounds of one cell and peer, when not said otherwise */
static const double SLOW_SECONDS = 5;           /* then three of them are enough */
/* What foretelling adds to the limits: reading and computing between the runs; making and comparing tensors. */
static const double ROUND_SECONDS = 0.007, CHECK_SECONDS = 0.2;
enum { LEAST_ROUNDS = 5, MOST_ROUNDS = 51 };

struct run {
    motley_context *context;                    /* borrowed */
    const struct motley__bench_request *request;
    struct motley__device *device;              /* borrowed */
    struct motley__selection selection;
    struct motley__rounds rounds;
    struct motley__peak peak;
    struct motley__blas blas;
    struct motley__team *team;
    struct motley__openblas openblas;
    struct motley__clblast clblast;
    struct motley__peer peer[MOTLEY__PEER_NONE];/* by kind */
    struct motley__report report;
    struct motley__progress progress;
    int cells;                                  /* that were asked for */
    double expected, done;                      /* of the progress: seconds */
    struct motley__bench_weights *weights;            /* of the present shape */
    struct motley__problem *problem;            /* of the present rows */
    struct motley_error *error;
};

/* One cell against one peer, or none. */
struct cell {
    struct run *run;
    const struct motley__operator *op;
    const struct motley__peer *peer;            /* NULL: none */
};

static void label_of(const struct motley__operator *op, const struct motley__bench_shape *s, int T,
                     enum motley__routing routing, char *label, size_t room)
{
    snprintf(label, room, "%s %s E%d K%d T%d D%d F%d %s %s", op->name, op->backward ? "backward" : "forward", s->E,
             s->K, T, s->D, s->F, motley__routing_name(routing), motley__storage_name(s->dtype));
}

static int run_ours(void *self, struct motley_error *error)
{
    const struct cell *cell = self;
    return cell->op->run(cell->run->problem, error);
}

static int prepare_ours(void *self, struct motley_error *error)
{
    const struct cell *cell = self;
    return cell->op->prepare ? cell->op->prepare(cell->run->problem, error) : 0;
}

static int run_read(void *self, struct motley_error *error)
{
    return motley__peak_read(self, error);
}

static int run_sums(void *self, struct motley_error *error)
{
    const struct cell *cell = self;
    return motley__peak_sums(&cell->run->peak, cell->run->problem->shape.dtype, error);
}

static int judge(const struct cell *cell, const char *whom, double difference)
{
    const double limit = LIMIT[cell->run->problem->shape.dtype];
    if (difference <= limit)
        return 0;
    return motley__fail(cell->run->error, MOTLEY_E_BUILD,
                        "%s differs from %s by %.1e of its size, at most %.0e is right: what is "
                        "wrong is not timed",
                        cell->op->name, whom, difference, limit);
}

/* Ours and the peer's once each: do they agree?  Without a peer: ours with its twin. */
static int check(struct cell *cell, const struct motley__side *ours, const struct motley__side *peer)
{
    struct run *run = cell->run;
    struct motley__result result[MOTLEY__RESULTS];
    double unused, difference = 0;
    int status = motley__side_time(ours, &unused, run->error);
    if (!status && !peer) {
        status = motley__compare_twin(cell->op, run->problem, &difference, run->error);
        return status ? status : judge(cell, "its definition", difference);
    }
    if (!status)
        status = motley__side_time(peer, &unused, run->error);
    const int results = status ? 0 : cell->op->results(run->problem, result);
    for (int j = 0; j < results && !status; j++) {
        const float *expected;
        status = cell->peer->result(cell->peer->self, &result[j], j, &expected, run->error);
        if (!status)
            status = motley__compare(&result[j], expected, &difference, run->error);
        if (!status)
            status = judge(cell, cell->peer->name, difference);
    }
    return status;
}

/* Ours, the device's peaks and the peer in turn. */
static int time_sides(struct cell *cell, const struct motley__side *ours, const struct motley__side *peer,
                      struct motley__row *row)
{
    struct run *run = cell->run;
    struct motley__peak *peak = &run->peak;
    const struct motley__side sums = {.self = cell, .run = run_sums, .device = run->device};
    const struct motley__side read = {.self = peak, .run = run_read, .device = run->device};
    const struct motley__side sides[] = {*ours, sums, peer ? *peer : sums};
    double seconds[MOTLEY__SIDES], read_seconds;
    int status = motley__alternate(sides, peer ? 3 : 2, &read, &run->rounds, seconds, &read_seconds, run->error);
    if (status)
        return status;
    row->seconds = seconds[0];
    row->peer_seconds = peer ? seconds[2] : 0;
    row->peak_flops = peak->sums[run->problem->shape.dtype].flops / seconds[1];
    row->peak_bytes = peak->read_bytes / read_seconds;
    row->limit_seconds = motley__operator_limit(cell->op, run->problem, row->peak_flops, row->peak_bytes);
    return 0;
}

static int time_cell(struct cell *cell)
{
    struct run *run = cell->run;
    struct motley__problem *problem = run->problem;
    const struct motley__side ours = {.self = cell, .prepare = prepare_ours, .run = run_ours, .device = run->device};
    const struct motley__side theirs = cell->peer ? (struct motley__side){cell->peer->self, cell->peer->prepare,
                                                                         cell->peer->run, cell->peer->device}
                                                  : (struct motley__side){0};
    const struct motley__side *peer = cell->peer ? &theirs : NULL;
    const struct motley__work work = motley__operator_work(cell->op, problem);
    const struct motley__variant *variant = motley__variant(run->device, problem->shape.dtype);
    struct motley__row row = {
        .operator= cell->op->name,
        .family = variant->family,
        .variant = variant->name,
        .peer = cell->peer ? cell->peer->name : motley__peer_name(MOTLEY__PEER_NONE),
        .shape = problem->shape,
        .T = problem->T,
        .backward = cell->op->backward,
        .routing = problem->routing,
        .flops = work.flops,
        .bytes = work.bytes,
    };
    int status = check(cell, &ours, peer);
    if (!status)
        status = time_sides(cell, &ours, peer, &row);
    if (!status)
        status = motley__report_row(&run->report, &row, run->error);
    return status;
}

/* What a peer may take of the host's memory now, caches that can be dropped included; less than all of it. */
static uint64_t host_bytes(void)
{
    char line[128];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && !kib && fgets(line, sizeof line, file))
        sscanf(line, "MemAvailable: %llu", &kib);
    if (file)
        fclose(file);
    return kib ? kib * 1024 / 20 * 19 : (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A cell that the memory does not hold is left out, with a word. */
static int measure_cell(struct run *run, const struct motley__operator *op, const struct motley__peer *peer,
                        const char *label)
{
    struct cell cell = {run, op, peer};
    struct motley_error why = {0};
    int status = op->open(run->problem, &why);
    run->openblas.most_bytes = host_bytes();
    if (!status && peer)
        status = peer->open(peer->self, run->problem, op, &why);
    if (status == MOTLEY_E_DEVICE_MEMORY || status == MOTLEY_E_MEMORY) {
        fprintf(stderr, "\n%s%s%s is left out: %s\n", label, peer ? " against " : "", peer ? peer->name : "", why.text);
        return 0;
    }
    if (status)
        return motley__fail(run->error, status, "%s", why.text);
    status = time_cell(&cell);
    return status ? motley__fail_in(run->error, status, "%s", label) : 0;
}

static int wanted(const struct run *run, const char *label)
{
    return !run->request->cases || strstr(label, run->request->cases) != NULL;
}

/* About how long a cell takes, from peaks: ours near its limit, a peer half as fast, one round to compare them. */
static double foretell(const struct run *run, const struct motley__operator *op)
{
    const double flops = run->peak.sums[run->problem->shape.dtype].best;
    const double limit = motley__operator_limit(op, run->problem, flops, run->peak.bytes);
    const double round = 3.5 * limit * (op->prepare ? 1.5 : 1) + ROUND_SECONDS;
    int rounds = 0;
    while (!motley__rounds_enough(&run->rounds, rounds, rounds * round))
        rounds++;
    return CHECK_SECONDS + (rounds + 1) * round;
}

/* One operator on one number of rows and one routing, if it was asked for. */
static int visit_rows(struct run *run, const struct motley__operator *op, const struct motley__bench_shape *shape,
                      int T, enum motley__routing routing,
                      int (*visit)(struct run *run, const struct motley__operator *op, const char *label))
{
    char label[160];
    int status = 0;
    label_of(op, shape, T, routing, label, sizeof label);
    if (!wanted(run, label))
        return 0;
    if (!run->weights) {
        status = motley__admit_dtype(run->device, shape->dtype, run->error);
        if (!status)
            status = motley__peak_admit(&run->peak, shape->dtype, run->error);
        if (!status)
            status = motley__bench_weights_create(run->context, shape, &run->weights, run->error);
    }
    if (!status)
        status =
            motley__problem_create(run->weights, T, routing, (uint64_t)run->request->seed, &run->problem, run->error);
    if (!status)
        status = visit(run, op, label);
    for (int p = 0; p < MOTLEY__PEER_NONE; p++)
        run->peer[p].close(run->peer[p].self);
    motley__problem_destroy(run->problem);
    run->problem = NULL;
    return status;
}

static void release_weights(struct run *run)
{
    for (int p = 0; p < MOTLEY__PEER_NONE; p++)
        run->peer[p].release(run->peer[p].self);
    motley__bench_weights_destroy(run->weights);
    run->weights = NULL;
}

/* A walk over all cells: shape by shape, so that weights are made once, then by operator, as the rows are read. */
static int walk(struct run *run, int (*visit)(struct run *run, const struct motley__operator *op, const char *label))
{
    const struct motley__selection *s = &run->selection;
    int status = 0;
    for (int i = 0; i < s->shapes * s->dtypes && !status; i++) {
        struct motley__bench_shape shape = s->shape[i / s->dtypes];
        shape.dtype = s->dtype[i % s->dtypes];
        for (int o = 0; o < s->operators && !status; o++)
            for (int t = 0; t < s->tokens && !status; t++)
                for (int r = 0; r < s->routings && !status; r++)
                    status = visit_rows(run, s->operator[o], &shape, s->T[t], s->routing[r], visit);
        release_weights(run);
    }
    return status;
}

static int foretell_cell(struct run *run, const struct motley__operator *op, const char *label)
{
    (void)label;
    run->expected += run->selection.peers * foretell(run, op);
    run->cells++;
    return 0;
}

static int measure_one(struct run *run, const struct motley__operator *op, const struct motley__peer *peer,
                       const char *label)
{
    motley__progress_show(&run->progress, run->done, "%s", label);
    int status = measure_cell(run, op, peer, label);
    run->done += foretell(run, op);
    return status;
}

/* One row for each peer that knows the operator; where none does, one without. */
static int measure_peers(struct run *run, const struct motley__operator *op, const char *label)
{
    const struct motley__selection *s = &run->selection;
    int status = 0, rows = 0;
    for (int p = 0; p < s->peers && !status; p++) {
        const struct motley__peer *peer = s->peer[p] == MOTLEY__PEER_NONE ? NULL : &run->peer[s->peer[p]];
        if (peer && !peer->knows(peer->self, run->problem, op))
            continue;
        status = measure_one(run, op, peer, label);
        rows++;
    }
    return status || rows ? status : measure_one(run, op, NULL, label);
}

static int measure_all(struct run *run)
{
    int status = walk(run, foretell_cell);
    if (status)
        return status;
    if (run->cells == 0)
        return motley__fail(run->error, MOTLEY_E_INVALID, "no cell's name has '%s'; names are as 'estmm backward E8 "
                            "K2 T512 D1024 F2816 zipf f32'", run->request->cases);
    if (!run->request->quiet)
        fprintf(stderr, "%d cells, about %.0f minutes\n", run->cells, ceil(run->expected / 60));
    motley__progress_start(&run->progress, run->request->quiet ? NULL : stderr, "bench", run->expected);
    status = walk(run, measure_peers);
    motley__progress_end(&run->progress);
    return status;
}

static void say_peers(const struct run *run)
{
    if (run->request->quiet)
        return;
    fprintf(stderr, "%s: %.1f GFLOP/s of multiply-adds, %.1f GB/s of reads, at most\n", run->device->info.name,
            1e-9 * run->peak.sums[MOTLEY_F32].best, 1e-9 * run->peak.bytes);
    for (int p = 0; p < run->selection.peers; p++)
        if (run->selection.peer[p] == MOTLEY__PEER_OPENBLAS && run->blas.handle)
            fprintf(stderr, "openblas: %s, %d threads\n", run->blas.version, run->blas.threads);
        else if (run->selection.peer[p] == MOTLEY__PEER_CLBLAST && !motley__gemm_available())
            fprintf(stderr, "clblast: not in this build; rows go without it\n");
        else if (run->selection.peer[p] == MOTLEY__PEER_OPENBLAS)
            fprintf(stderr, "openblas: %s; rows go without a peer\n", run->blas.version);
}

int motley__bench(motley_context *context, const struct motley__bench_request *request, struct motley_error *error)
{
    struct run run = {.context = context, .request = request, .device = context->device, .error = error};
    const int threads = run.device->is_cpu ? run.device->info.cores : 0;
    run.rounds = (struct motley__rounds){
        .seconds = request->seconds > 0 ? request->seconds : CELL_SECONDS,
        .slow = request->rounds ? INFINITY : SLOW_SECONDS,
        .least = request->rounds ? (int)request->rounds : LEAST_ROUNDS,
        .most = request->rounds ? (int)request->rounds : MOST_ROUNDS,
    };
    int status = motley__select(request, run.device->info.is_gpu, &run.selection, error);
    if (!status)
        status = motley__peak_measure(run.device, run.rounds.seconds, &run.peak, error);
    if (!status)
        status = motley__peak_admit(&run.peak, MOTLEY_F32, error);
    motley__blas_open(&run.blas, threads);
    if (!status)
        status = motley__team_create(run.blas.threads > 0 ? run.blas.threads : 1, &run.team, error);
    run.openblas.blas = &run.blas;
    run.openblas.team = run.team;
    run.peer[MOTLEY__PEER_OPENBLAS] = motley__openblas_peer(&run.openblas);
    run.peer[MOTLEY__PEER_CLBLAST] = motley__clblast_peer(&run.clblast, run.device);
    if (!status) {
        say_peers(&run);
        motley__report_begin(&run.report, stdout, request->format);
        status = measure_all(&run);
        motley__report_end(&run.report);
    }
    motley__team_destroy(run.team);
    motley__blas_close(&run.blas);
    motley__peak_release(&run.peak);
    return status;
}
