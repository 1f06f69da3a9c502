/* The gate as it is measured.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "bench/gate.h"
#include "layer/gate.h"
#include "product/esmm.h"

struct motley__gate_case {
    struct motley__matrix *w;                               /* [E,D]; owned */
    struct motley__buffer *logits, *lse, *indices, *weights;/* owned */
};

void motley__gate_case_destroy(struct motley__gate_case *gate)
{
    if (!gate)
        return;
    motley__matrix_destroy(gate->w);
    motley__buffer_destroy(gate->logits);
    motley__buffer_destroy(gate->lse);
    motley__buffer_destroy(gate->indices);
    motley__buffer_destroy(gate->weights);
    free(gate);
}

static int make(struct motley__problem *p, struct motley_error *error)
{
    const size_t E = (size_t)p->shape.E, D = (size_t)p->shape.D;
    struct motley__device *device = p->device;
    float *rows = malloc(E * D * sizeof *rows);
    struct motley__gate_case *gate = p->gate = calloc(1, sizeof *p->gate);
    int status = rows && gate ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a gate");
    if (!status)
        status = motley__matrix_create(device, MOTLEY_F32, 1, p->shape.E, p->shape.D,
                                       motley__esmm_panel(device, MOTLEY_F32), NULL,
                                       &gate->w, error);
    if (!status) {
        motley__problem_numbers(p, MOTLEY__GATE, 0, E * D, rows);
        status = motley__matrix_set(gate->w, 0, rows, error);
    }
    if (!status)
        status =
            motley__buffer_create(device, motley__gate_scratch_bytes(device, p->T, p->shape.E), &gate->logits, error);
    if (!status)
        status = motley__buffer_create(device, (size_t)p->T * sizeof(float), &gate->lse, error);
    if (!status)
        status = motley__buffer_create(device, (size_t)p->P * sizeof(int), &gate->indices, error);
    if (!status)
        status = motley__buffer_create(device, (size_t)p->P * sizeof(float), &gate->weights, error);
    free(rows);
    return status;
}

static int open_gate(struct motley__problem *p, struct motley_error *error)
{
    static const enum motley__tensor tensors[] = {MOTLEY__X, MOTLEY__PROBABILITY};
    int status = motley__operator_tensors(p, tensors, 2, error);
    return status || p->gate ? status : make(p, error);
}

static int run_gate(struct motley__problem *p, struct motley_error *error)
{
    struct motley__gate_case *gate = p->gate;
    return motley__gate_forward(p->device, &(struct motley__gate_forward){.dtype = p->shape.dtype, .T = p->T,
        .D = p->shape.D, .E = p->shape.E, .K = p->shape.K, .x = p->tensor[MOTLEY__X], .w = gate->w,
        .logits = gate->logits, .p = p->tensor[MOTLEY__PROBABILITY], .lse = gate->lse, .indices = gate->indices,
        .weights = gate->weights}, error);
}

static int results_gate(struct motley__problem *p, struct motley__result result[MOTLEY__RESULTS])
{
    result[0] = motley__operator_rows(p, MOTLEY__PROBABILITY);
    return 1;
}

static double logit(const struct motley__problem *p, int t, size_t e)
{
    const size_t D = (size_t)p->shape.D;
    double sum = 0;
    for (size_t i = 0; i < D; i++)
        sum += motley__problem_number(p, MOTLEY__X, (size_t)t * D + i) *
               motley__problem_number(p, MOTLEY__GATE, e * D + i);
    return sum;
}

static double twin_gate(const struct motley__problem *p, int j, int t, size_t e)
{
    const double own = logit(p, t, e);
    double sum = 0;
    (void)j;
    for (size_t other = 0; other < (size_t)p->shape.E; other++)
        sum += exp(logit(p, t, other) - own);
    return 1 / sum;
}

/* x and the gate's rows read, probabilities, experts and weights written. */
static struct motley__work work_gate(const struct motley__problem *p, int e)
{
    const double T = e == 0 ? p->T : 0, E = p->shape.E, D = p->shape.D;
    const double bytes = sizeof(float) * (E * D + T * (E + 1 + 2 * p->shape.K)) + motley__operator_bytes(p) * T * D;
    return (struct motley__work){2 * T * E * D, e == 0 ? bytes : 0};
}

const struct motley__operator motley__operator_gate = {
    .name = "gate", .open = open_gate, .run = run_gate, .results = results_gate, .twin = twin_gate, .work = work_gate,
};
