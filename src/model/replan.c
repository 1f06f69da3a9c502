/* Another plan for the same model: its layers are made anew, block by block.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "model/state.h"

enum { EXPERT_MATRICES = 3, STRIDE = MOTLEY__BLOCK_WEIGHTS + EXPERT_MATRICES };

/* A layer by the plan, with the gate of the one before. */
static int replace_layer(struct motley__decoder *d, int block, const motley_plan *plan, struct motley_error *error)
{
    const struct motley__matrix *gate = motley__layer_gate(d->block[block].moe)->w;
    float *values = malloc((size_t)gate->O * (size_t)gate->I * sizeof *values);
    int status = values ? motley__matrix_get(gate, 0, values, error)
                        : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a gate");
    status = motley__agree_within(d->context->comm, d->context->time_limit, status, error);
    if (!status)
        status = motley__decoder_make_layer(d, block, plan, error);
    if (!status) {
        status = motley__matrix_set(motley__layer_gate(d->block[block].moe)->w, 0, values, error);
        status = motley__agree_within(d->context->comm, d->context->time_limit, status, error);
    }
    free(values);
    return status;
}

int motley__decoder_move_block(struct motley__decoder *d, int block, const motley_plan *plan, motley_layer **before,
                               int *gate, int *of_experts, struct motley_error *error)
{
    motley_layer *old = d->block[block].moe;
    int status = replace_layer(d, block, plan, error);
    if (d->block[block].moe != old)
        *before = old; /* also after a failure behind it */
    if (status)
        return status;
    const struct motley__experts *experts = motley__layer_experts(d->block[block].moe);
    struct motley__matrix *const w[] = {experts->w1, experts->w2, experts->w3};
    struct motley__matrix *const dw[] = {experts->dw1, experts->dw2, experts->dw3};
    *gate = 1 + block * STRIDE + MOTLEY__GATE;
    *of_experts = 1 + block * STRIDE + MOTLEY__BLOCK_WEIGHTS;
    d->parameter[*gate].w = motley__layer_gate(d->block[block].moe)->w;
    d->parameter[*gate].dw = motley__layer_gate(d->block[block].moe)->dw;
    for (int i = 0; i < EXPERT_MATRICES; i++) {
        struct motley__parameter *p = &d->parameter[*of_experts + i];
        p->w = w[i];
        p->dw = dw[i];
        p->placement = &motley__plan_of_layer(plan, block)->stored;
        p->mine = &p->placement->rank[d->context->rank];
    }
    return 0;
}

void motley__decoder_moved(struct motley__decoder *d, const motley_plan *plan)
{
    d->plan = plan;
    motley__decoder_link_layers(d);
}
