/* What the tests of the gate share: a problem, and what the kernels make of it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_GATE_H
#define MOTLEY_TESTS_GATE_H

#include <math.h>

#include "layer/gate.h"
#include "layer/ref.h"
#include "routing.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct sizes {
    int T, D, E, K, normalize, panel;
};

/* Tokens and a gate; owned. */
struct problem {
    struct sizes s;
    float *x, *w;                   /* [T,D], [E,D] */
    float *correction;              /* [E] of a sigmoid gate, or NULL */
};

static inline struct problem random_problem(struct sizes s, uint64_t seed)
{
    return (struct problem){s, random_floats(seed, 1, (size_t)s.T * (size_t)s.D),
                            random_floats(seed, 2, (size_t)s.E * (size_t)s.D), NULL};
}

static inline void free_problem(struct problem *problem)
{
    free(problem->x);
    free(problem->w);
    free(problem->correction);
}

struct result {
    float *p, *lse, *weights;
    int *indices;
};

static inline void release(struct result *r)
{
    free(r->p);
    free(r->lse);
    free(r->weights);
    free(r->indices);
}

/* forced, collaborators: as in gate.h, NULL: none. */
static inline struct result forward_among(struct motley__device *device, const struct problem *problem, int single,
                                          const int *forced, const uint32_t *collaborators)
{
    const struct sizes s = problem->s;
    const size_t pairs = (size_t)s.T * (size_t)s.K * 4, experts = (size_t)s.T * (size_t)s.E * 4;
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, 1, s.E, s.D, s.panel, NULL, &matrix, &error));
    SUCCEED(motley__matrix_set(matrix, 0, problem->w, &error));
    struct motley__buffer *xs = to_device(device, problem->x, (size_t)s.T * (size_t)s.D * 4);
    struct motley__buffer *correction = problem->correction ? to_device(device, problem->correction, (size_t)s.E * 4)
                                                            : NULL;
    struct motley__buffer *given = forced ? to_device(device, forced, pairs) : NULL;
    struct motley__buffer *mask =
        collaborators ? to_device(device, collaborators, (size_t)s.E * (size_t)motley__gate_mask_words(s.E) * 4) : NULL;
    struct motley__gate_forward gate = {
        .T = s.T, .D = s.D, .E = s.E, .K = s.K, .normalize = s.normalize, .single = single, .x = xs, .w = matrix,
        .correction = correction, .forced = given, .collaborators = mask,
        .logits = unwritten(device, motley__gate_scratch_bytes(device, s.T, s.E)),
        .p = unwritten(device, experts), .lse = unwritten(device, (size_t)s.T * 4),
        .indices = unwritten(device, pairs), .weights = unwritten(device, pairs),
    };
    SUCCEED(motley__gate_forward(device, &gate, &error));
    struct result r = {
        .p = take_back(gate.p), .lse = take_back(gate.lse), .weights = take_back(gate.weights),
        .indices = take_back(gate.indices),
    };
    motley__buffer_destroy(gate.logits);
    motley__buffer_destroy(xs);
    motley__buffer_destroy(given);
    motley__buffer_destroy(mask);
    motley__buffer_destroy(correction);
    motley__matrix_destroy(matrix);
    return r;
}

static inline struct result forward(struct motley__device *device, const struct problem *problem, int single,
                                    const int *forced)
{
    return forward_among(device, problem, single, forced, NULL);
}

#endif
