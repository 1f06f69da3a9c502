/* A list of parameters without a model: two dense ones, experts dealt out to the ranks, their biases.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PARAMETERS_H
#define MOTLEY_TESTS_PARAMETERS_H

#include <mpi.h>

#include "routing.h"

#include "model/parameter.h"

enum { PARAMETERS = 4, EXPERTS = 5 };

struct parameters {
    struct motley__parameter list[PARAMETERS];
    struct motley__buffer *arena;           /* of the dense gradients; NULL: each on its own */
    struct motley__buffer *view[2];
    int owner[EXPERTS], expert[EXPERTS], experts;
};

static inline struct motley__matrix *new_matrix(struct motley__device *device, enum motley_dtype dtype, int E, int O,
                                                int I, int panel, struct motley__buffer *storage)
{
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, dtype, E, O, I, panel, storage, &matrix, &error));
    return matrix;
}

/* Shapes of the four: a vector [7], a matrix [10,7], experts [6,9], their biases [6].  dtype: of the matrices. */
static inline void make_stored_parameters(struct motley__device *device, enum motley_dtype dtype, int rank, int size,
                                          int panel, int arena, struct parameters *p)
{
    const int O[PARAMETERS] = {1, 10, 6, 1}, I[PARAMETERS] = {7, 7, 9, 6}, dims[PARAMETERS] = {1, 2, 2, 1};
    const char *name[PARAMETERS] = {"norm.weight", "q.weight", "experts.%d.w1.weight", "experts.%d.w1.bias"};
    memset(p, 0, sizeof *p);
    for (int e = 0; e < EXPERTS; e++) {
        p->owner[e] = (EXPERTS - 1 - e) % size; /* the last expert is rank 0's */
        if (p->owner[e] == rank)
            p->expert[p->experts++] = e;
    }
    if (arena) {
        const size_t bytes = motley__align(device, 1024);
        SUCCEED(motley__buffer_create(device, 2 * bytes, &p->arena, &error));
        SUCCEED(motley__buffer_zero(p->arena, 0, 2 * bytes, &error));
        for (int i = 0; i < 2; i++)
            SUCCEED(motley__buffer_view(p->arena, (size_t)i * bytes, bytes, &p->view[i], &error));
    }
    for (int i = 0; i < PARAMETERS; i++) {
        const int sharded = i >= 2, own_panel = dims[i] == 1 ? 1 : panel, E = sharded ? p->experts : 1;
        p->list[i] = (struct motley__parameter){
            .w = new_matrix(device, dims[i] == 2 ? dtype : MOTLEY_F32, E, O[i], I[i], own_panel, NULL),
            .dw = new_matrix(device, MOTLEY_F32, E, O[i], I[i], own_panel, sharded ? NULL : p->view[i]),
            .dims = dims[i], .sharded = sharded, .experts = sharded ? EXPERTS : 0, .expert = p->expert,
            .owner = p->owner, .decay = dims[i] == 2,
        };
        snprintf(p->list[i].name, sizeof p->list[i].name, "%s", name[i]);
    }
}

static inline void make_parameters(struct motley__device *device, int rank, int size, int panel, int arena,
                                   struct parameters *p)
{
    make_stored_parameters(device, MOTLEY_F32, rank, size, panel, arena, p);
}

static inline void free_parameters(struct parameters *p)
{
    for (int i = 0; i < PARAMETERS; i++) {
        motley__matrix_destroy(p->list[i].w);
        motley__matrix_destroy(p->list[i].dw);
    }
    for (int i = 0; i < 2; i++)
        motley__buffer_destroy(p->view[i]);
    motley__buffer_destroy(p->arena);
}

/* Number j of the whole model's parameter i, expert e (0 for dense ones): the same on whatever rank it lies. */
static inline float number(int stream, int i, int e, int j)
{
    return (float)motley__random_normal(17, (uint64_t)(stream * 1000 + i * 100 + e), (uint64_t)j);
}

static inline int size_of(const struct motley__matrix *matrix)
{
    return matrix->O * matrix->I;
}

/* Give this rank's part of matrix `m` of parameter i its numbers, times factor. */
static inline void fill(const struct motley__parameter *p, struct motley__matrix *m, int stream, int i, float factor)
{
    float values[128];
    for (int e = 0; e < m->E; e++) {
        for (int j = 0; j < size_of(m); j++)
            values[j] = factor * number(stream, i, p->sharded ? p->expert[e] : 0, j);
        SUCCEED(motley__matrix_set(m, e, values, &error));
    }
}

/* They are `expected(...)`, exactly when tolerance is 0. */
static inline void assert_filled(const struct motley__parameter *p, struct motley__matrix *m, int stream, int i,
                                 float factor, double tolerance)
{
    float values[128], expected[128];
    for (int e = 0; e < m->E; e++) {
        SUCCEED(motley__matrix_get(m, e, values, &error));
        for (int j = 0; j < size_of(m); j++)
            expected[j] = factor * number(stream, i, p->sharded ? p->expert[e] : 0, j);
        assert_close(values, expected, (size_t)size_of(m), tolerance, tolerance);
    }
}

#endif
