/* The tensors of a benchmark.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "bench/gate.h"
#include "bench/layer.h"
#include "bench/problem.h"
#include "device/storage.h"
#include "product/esmm.h"

enum { SEED = 7, STEP = 65537 }; /* a tensor's or expert's numbers begin so far behind the last one's */
static const size_t NOISE = (size_t)1 << 22;        /* numbers in the table */
static const size_t CHUNK = (size_t)1 << 20;        /* numbers written to the device at once */

/* The table, read on from `at` and round its end. */
static void read_noise(const float *noise, size_t at, size_t count, float *host)
{
    for (at %= NOISE; count > 0; at = 0) {
        const size_t n = count < NOISE - at ? count : NOISE - at;
        memcpy(host, noise + at, n * sizeof *host);
        host += n;
        count -= n;
    }
}

/* As the device will have them. */
static int round_table(enum motley_dtype dtype, float *table)
{
    void *stored = malloc(NOISE * motley__storage_bytes(dtype));
    if (!stored)
        return -1;
    motley__store(dtype, table, NOISE, stored);
    motley__load(dtype, stored, NOISE, table);
    free(stored);
    return 0;
}

int motley__bench_weights_create(motley_context *context, const struct motley__bench_shape *shape,
                                 struct motley__bench_weights **weights, struct motley_error *error)
{
    struct motley__bench_weights *made = calloc(1, sizeof *made);
    if (made) {
        made->noise = malloc(NOISE * sizeof *made->noise);
        made->small = malloc(NOISE * sizeof *made->small);
    }
    if (!made || !made->noise || !made->small) {
        motley__bench_weights_destroy(made);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a table of %zu numbers", NOISE);
    }
    made->context = context;
    made->device = context->device;
    made->shape = *shape;
    const float scale =
        (float)sqrt(3.0 / shape->D); /* products of rows and weights then have a variance of about 1/3 */
    for (size_t i = 0; i < NOISE; i++) {
        made->noise[i] = (float)(2 * motley__random_uniform(SEED, 0, i) - 1);
        made->small[i] = scale * made->noise[i];
    }
    if (shape->dtype != MOTLEY_F32 &&
        (round_table(shape->dtype, made->noise) || round_table(shape->dtype, made->small))) {
        motley__bench_weights_destroy(made);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a table of %zu numbers", NOISE);
    }
    *weights = made;
    return 0;
}

void motley__bench_weights_destroy(struct motley__bench_weights *weights)
{
    if (!weights)
        return;
    motley__bench_layer_destroy(weights->layer);
    for (int i = 0; i < MOTLEY__WEIGHTS; i++)
        motley__matrix_destroy(weights->matrix[i]);
    free(weights->noise);
    free(weights->small);
    free(weights);
}

/* Where an expert's numbers begin in the table. */
static size_t first_number(const struct motley__bench_weights *weights, enum motley__bench_weight which, int expert)
{
    return STEP * ((size_t)which * (size_t)weights->shape.E + (size_t)expert + MOTLEY__TENSORS);
}

void motley__bench_weights_numbers(const struct motley__bench_weights *weights, enum motley__bench_weight which,
                                   int expert, size_t first, size_t count, float *host)
{
    read_noise(weights->small, first_number(weights, which, expert) + first, count, host);
}

static int fill_matrix(const struct motley__bench_weights *weights, enum motley__bench_weight which,
                       struct motley__matrix *matrix, struct motley_error *error)
{
    const size_t each = (size_t)matrix->O * (size_t)matrix->I;
    float *host = malloc(each * sizeof *host);
    if (!host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix of %zu numbers", each);
    int status = 0;
    for (int e = 0; e < matrix->E && !status; e++) {
        motley__bench_weights_numbers(weights, which, e, 0, each, host);
        status = motley__matrix_set(matrix, e, host, error);
    }
    free(host);
    return status;
}

int motley__bench_weights_there(struct motley__bench_weights *weights, enum motley__bench_weight which,
                                struct motley__matrix **matrix, struct motley_error *error)
{
    const struct motley__bench_shape *shape = &weights->shape;
    const int second = which == MOTLEY__W2 || which == MOTLEY__DW2;
    const int O = second ? shape->D : shape->F, I = second ? shape->F : shape->D;
    if (!weights->matrix[which]) {
        struct motley__matrix *made;
        int status = motley__matrix_create(weights->device, which < MOTLEY__DW1 ? shape->dtype : MOTLEY_F32, shape->E,
                                           O, I, motley__esmm_panel(weights->device, shape->dtype), NULL, &made, error);
        if (!status && which < MOTLEY__DW1 && (status = fill_matrix(weights, which, made, error)))
            motley__matrix_destroy(made);
        if (status)
            return status;
        weights->matrix[which] = made;
    }
    *matrix = weights->matrix[which];
    return 0;
}

/* Sizes by their letters. */
static const struct {
    char rows, width;
    int written, single;                /* single: f32 whatever the storage type */
} TENSORS[MOTLEY__TENSORS] = {
    [MOTLEY__X] = {'T', 'D', 0, 0},
    [MOTLEY__DY] = {'T', 'D', 0, 0},
    [MOTLEY__Y] = {'T', 'D', 1, 0},
    [MOTLEY__G] = {'P', 'F', 0, 0},
    [MOTLEY__H] = {'P', 'F', 1, 0},
    [MOTLEY__O] = {'P', 'D', 0, 0},
    [MOTLEY__DX] = {'P', 'D', 1, 0},
    [MOTLEY__PREACT] = {'P', 'F', 0, 0},
    [MOTLEY__PREACT3] = {'P', 'F', 1, 0},
    [MOTLEY__DH] = {'P', 'F', 1, 0},
    [MOTLEY__DWEIGHT] = {'P', '1', 1, 1},
    [MOTLEY__DB] = {'E', 'F', 1, 1},
    [MOTLEY__GATE] = {'E', 'D', 0, 1},
    [MOTLEY__PROBABILITY] = {'T', 'E', 1, 1},
};

static int size_of(const struct motley__problem *problem, char letter)
{
    switch (letter) {
    case 'T': return problem->T;
    case 'P': return problem->P;
    case 'E': return problem->shape.E;
    case 'D': return problem->shape.D;
    case 'F': return problem->shape.F;
    default: return 1;
    }
}

int motley__problem_rows(const struct motley__problem *problem, enum motley__tensor which)
{
    return size_of(problem, TENSORS[which].rows);
}

int motley__problem_width(const struct motley__problem *problem, enum motley__tensor which)
{
    return size_of(problem, TENSORS[which].width);
}

enum motley_dtype motley__problem_dtype(const struct motley__problem *problem, enum motley__tensor which)
{
    return TENSORS[which].single ? MOTLEY_F32 : problem->shape.dtype;
}

int motley__problem_written(enum motley__tensor which)
{
    return TENSORS[which].written;
}

double motley__problem_number(const struct motley__problem *problem, enum motley__tensor which, size_t at)
{
    return problem->weights->noise[(STEP * (size_t)which + at) % NOISE];
}

double motley__bench_weights_number(const struct motley__bench_weights *weights, enum motley__bench_weight which,
                                    int expert, size_t at)
{
    return weights->small[(first_number(weights, which, expert) + at) % NOISE];
}

void motley__problem_numbers(const struct motley__problem *problem, enum motley__tensor which, size_t first,
                             size_t count, float *host)
{
    assert(!motley__problem_written(which));
    read_noise(problem->weights->noise, STEP * (size_t)which + first, count, host);
}

static int fill_rows(const struct motley__problem *problem, enum motley__tensor which, size_t count,
                     struct motley__buffer *buffer, struct motley_error *error)
{
    const enum motley_dtype dtype = motley__problem_dtype(problem, which);
    const size_t each = motley__storage_bytes(dtype);
    float *host = malloc(CHUNK * (sizeof *host + each)); /* as numbers, and behind them as stored */
    if (!host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu numbers", CHUNK);
    int status = 0;
    for (size_t first = 0; first < count && !status; first += CHUNK) {
        const size_t n = count - first < CHUNK ? count - first : CHUNK;
        motley__problem_numbers(problem, which, first, n, host);
        motley__store(dtype, host, n, host + CHUNK);
        status = motley__buffer_write(buffer, first * each, host + CHUNK, n * each, error);
    }
    free(host);
    return status;
}

int motley__problem_there(struct motley__problem *problem, enum motley__tensor which, struct motley__buffer **buffer,
                          struct motley_error *error)
{
    if (!problem->tensor[which]) {
        const size_t count =
            (size_t)motley__problem_rows(problem, which) * (size_t)motley__problem_width(problem, which);
        struct motley__buffer *made;
        int status = motley__buffer_create(
            problem->device, count * motley__storage_bytes(motley__problem_dtype(problem, which)), &made, error);
        if (status)
            return status;
        status = motley__problem_written(which) ? motley__buffer_zero(made, 0, made->bytes, error)
                                   : fill_rows(problem, which, count, made, error);
        if (status) {
            motley__buffer_destroy(made);
            return status;
        }
        problem->tensor[which] = made;
    }
    *buffer = problem->tensor[which];
    return 0;
}

/* Counting sort of the pairs by expert. */
static void sort_pairs(struct motley__problem *p)
{
    const int E = p->shape.E, K = p->shape.K;
    for (int n = 0; n < p->P; n++)
        p->offsets[p->indices[n] + 1]++;
    for (int e = 0; e < E; e++) {
        p->hottest = p->offsets[e + 1] > p->hottest ? p->offsets[e + 1] : p->hottest;
        p->offsets[e + 1] += p->offsets[e];
    }
    for (int n = 0; n < p->P; n++) {
        const int at = p->offsets[p->indices[n]]++;
        p->order[at] = n;
        p->where[n] = at;
        p->token[at] = n / K;
    }
    for (int e = E; e > 0; e--)                  /* each had moved on to the next one's beginning */
        p->offsets[e] = p->offsets[e - 1];
    p->offsets[0] = 0;
}

static int make_host_side(struct motley__problem *p, struct motley_error *error)
{
    const size_t P = (size_t)p->P;
    p->indices = malloc(P * sizeof(int));
    p->order = malloc(P * sizeof(int));
    p->where = malloc(P * sizeof(int));
    p->token = malloc(P * sizeof(int));
    p->offsets = calloc((size_t)p->shape.E + 1, sizeof(int));
    p->weight = malloc(P * sizeof(float));
    if (!p->weight || !p->indices || !p->order || !p->where || !p->token || !p->offsets)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d routed rows", p->P);
    for (size_t i = 0; i < P; i++)
        p->weight[i] = (float)(0.1 + 0.9 * motley__random_uniform(SEED, 1, i));
    return 0;
}

static int upload(struct motley__device *device, const void *host, size_t count, struct motley__buffer **buffer,
                  struct motley_error *error)
{
    int status = motley__buffer_create(device, count * sizeof(int), buffer, error);
    return status ? status : motley__buffer_write(*buffer, 0, host, count * sizeof(int), error);
}

static int upload_lists(struct motley__problem *p, struct motley_error *error)
{
    const size_t P = (size_t)p->P;
    int *same = malloc((P + 1) * sizeof *same);
    float *pair_weight = malloc(P * sizeof *pair_weight);
    int status =
        same && pair_weight ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d routed rows", p->P);
    for (int i = 0; !status && i <= p->P; i++)
        same[i] = i;
    for (int i = 0; !status && i < p->P; i++)
        pair_weight[i] = p->weight[p->order[i]];
    const struct {
        const void *host;
        size_t count;
    } lists[MOTLEY__LISTS] = {
        [MOTLEY__OFFSETS] = {p->offsets, (size_t)p->shape.E + 1}, [MOTLEY__TOKEN] = {p->token, P},
        [MOTLEY__ORDER] = {p->order, P}, [MOTLEY__WHERE] = {p->where, P}, [MOTLEY__SAME] = {same, P + 1},
        [MOTLEY__PAIR_WEIGHT] = {pair_weight, P},
    };
    for (int i = 0; i < MOTLEY__LISTS && !status; i++)
        status = upload(p->device, lists[i].host, lists[i].count, &p->list[i], error);
    free(pair_weight);
    free(same);
    return status;
}

int motley__problem_create(struct motley__bench_weights *weights, int T, enum motley__routing routing, uint64_t seed,
                           struct motley__problem **problem, struct motley_error *error)
{
    struct motley__problem *p = calloc(1, sizeof *p);
    if (!p)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a benchmark");
    *p = (struct motley__problem){.device = weights->device, .weights = weights, .shape = weights->shape, .T = T,
        .P = T * weights->shape.K, .routing = routing};
    int status = make_host_side(p, error);
    if (!status)
        status = motley__routing_draw(routing, seed, T, p->shape.K, p->shape.E, p->indices, error);
    if (!status) {
        sort_pairs(p);
        status = upload_lists(p, error);
    }
    if (status) {
        motley__problem_destroy(p);
        return status;
    }
    *problem = p;
    return 0;
}

void motley__problem_destroy(struct motley__problem *problem)
{
    if (!problem)
        return;
    for (int i = 0; i < MOTLEY__TENSORS; i++)
        motley__buffer_destroy(problem->tensor[i]);
    for (int i = 0; i < MOTLEY__LISTS; i++)
        motley__buffer_destroy(problem->list[i]);
    motley__gate_case_destroy(problem->gate);
    free(problem->weight);
    free(problem->offsets);
    free(problem->token);
    free(problem->where);
    free(problem->order);
    free(problem->indices);
    free(problem);
}

struct motley__ragged motley__problem_ragged(const struct motley__problem *problem)
{
    return (struct motley__ragged){problem->shape.E, problem->P, problem->list[MOTLEY__OFFSETS], 0};
}

int motley__problem_expert(const struct motley__problem *problem, int p)
{
    int e = 0;
    while (problem->offsets[e + 1] <= p)
        e++;
    return e;
}
