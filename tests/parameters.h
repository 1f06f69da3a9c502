/* A list of parameters without a model: two dense ones, experts' matrices dealt out to the ranks or to groups of them,
 * their biases.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_PARAMETERS_H
#define MOTLEY_TESTS_PARAMETERS_H

#include <mpi.h>

#include "routing.h"

#include "model/parameter.h"

enum { PARAMETERS = 5, EXPERTS = 5, HIDDEN = 6 };

struct parameters {
    struct motley__parameter list[PARAMETERS];
    struct motley__buffer *arena;           /* of the dense gradients; NULL: each on its own */
    struct motley__buffer *view[2];
    struct motley__placement placement;
};

static inline struct motley__matrix *new_matrix(struct motley__device *device, enum motley_dtype dtype, int E, int O,
                                                int I, int panel, struct motley__buffer *storage)
{
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, dtype, E, O, I, panel, storage, &matrix, &error));
    return matrix;
}

/* Groups of so many ranks (the last may have fewer) share the hidden dimension of their experts, unevenly: all but the
 * last rank of a group have one number each.  The last expert is the first group's. */
static inline void place_parameters(int size, int group, struct motley__placement *placement)
{
    const int groups = (size + group - 1) / group;
    SUCCEED(motley__placement_alloc(size, EXPERTS, HIDDEN, placement, &error));
    for (int r = 0; r < size; r++) {
        struct motley__holding *h = &placement->rank[r];
        const int last = r == size - 1 || r % group == group - 1;
        SUCCEED(motley__holding_alloc(h, EXPERTS, &error));
        h->experts = 0;
        for (int e = 0; e < EXPERTS; e++)
            if ((EXPERTS - 1 - e) % groups == r / group)
                h->expert[h->experts++] = e;
        h->stored = h->experts;
        h->begin = r % group;
        h->end = last ? HIDDEN : h->begin + 1;
    }
}

/* What this rank has of a parameter. */
static inline struct motley__part_shape part_of(const struct motley__parameter *p)
{
    return p->placement ? motley__parameter_part(p, p->mine) : (struct motley__part_shape){0, 0, p->O, p->I};
}

/* Shapes: a vector [7], a matrix [10,7]; of experts [6,9], biases [6], [9,6].  dtype: of the matrices. */
static inline void make_placed_parameters(struct motley__device *device, enum motley_dtype dtype, int rank, int size,
                                          int group, int panel, int arena, struct parameters *p)
{
    const int O[PARAMETERS] = {1, 10, HIDDEN, 1, 9}, I[PARAMETERS] = {7, 7, 9, HIDDEN, HIDDEN};
    const int dims[PARAMETERS] = {1, 2, 2, 1, 2};
    const char *name[PARAMETERS] = {"norm.weight", "q.weight", "experts.%d.w1.weight", "experts.%d.w1.bias",
                                    "experts.%d.w2.weight"};
    const enum motley__hidden hidden[PARAMETERS] = {MOTLEY__HIDDEN_NONE, MOTLEY__HIDDEN_NONE, MOTLEY__HIDDEN_ROWS,
                                                    MOTLEY__HIDDEN_COLUMNS, MOTLEY__HIDDEN_COLUMNS};
    memset(p, 0, sizeof *p);
    place_parameters(size, group, &p->placement);
    if (arena) {
        const size_t bytes = motley__align(device, 1024);
        SUCCEED(motley__buffer_create(device, 2 * bytes, &p->arena, &error));
        SUCCEED(motley__buffer_zero(p->arena, 0, 2 * bytes, &error));
        for (int i = 0; i < 2; i++)
            SUCCEED(motley__buffer_view(p->arena, (size_t)i * bytes, bytes, &p->view[i], &error));
    }
    for (int i = 0; i < PARAMETERS; i++) {
        const int experts = i >= 2, own_panel = dims[i] == 1 ? 1 : panel;
        struct motley__parameter *made = &p->list[i];
        *made = (struct motley__parameter){.dims = dims[i], .O = O[i], .I = I[i], .hidden = hidden[i],
                                           .decay = dims[i] == 2};
        if (experts) {
            made->placement = &p->placement;
            made->mine = &p->placement.rank[rank];
        }
        const struct motley__part_shape part = part_of(made);
        const int E = experts ? made->mine->experts : 1;
        made->w = new_matrix(device, dims[i] == 2 ? dtype : MOTLEY_F32, E, part.O, part.I, own_panel, NULL);
        made->dw = new_matrix(device, MOTLEY_F32, E, part.O, part.I, own_panel, experts ? NULL : p->view[i]);
        snprintf(made->name, sizeof made->name, "%s", name[i]);
    }
}

/* Whole experts on single ranks. */
static inline void make_stored_parameters(struct motley__device *device, enum motley_dtype dtype, int rank, int size,
                                          int panel, int arena, struct parameters *p)
{
    make_placed_parameters(device, dtype, rank, size, 1, panel, arena, p);
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
    motley__placement_clear(&p->placement);
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

/* Number j of what this rank holds of its expert e (of the matrix, when dense). */
static inline float part_number(const struct motley__parameter *p, int stream, int i, int e, int j)
{
    const struct motley__part_shape part = part_of(p);
    return number(stream, i, p->placement ? p->mine->expert[e] : 0,
                  (part.row + j / part.I) * p->I + part.column + j % part.I);
}

/* Give this rank's part of matrix `m` of parameter i its numbers, times factor. */
static inline void fill(const struct motley__parameter *p, struct motley__matrix *m, int stream, int i, float factor)
{
    float values[128];
    for (int e = 0; e < m->E; e++) {
        for (int j = 0; j < size_of(m); j++)
            values[j] = factor * part_number(p, stream, i, e, j);
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
            expected[j] = factor * part_number(p, stream, i, e, j);
        assert_close(values, expected, (size_t)size_of(m), tolerance, tolerance);
    }
}

#endif
