/* Another plan for the same model: its layers are made anew, block by block.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "model/state.h"

enum { EXPERT_MATRICES = 3 };

/* The weights of a block's gate, canonical, one behind the other: from the layer, or where `set` to it. */
static int copy_gate(const struct motley__dense_weight *gate, int parts, int set, float *values,
                     struct motley_error *error)
{
    int status = 0;
    for (int k = 0; k < parts && !status; k++) {
        status = set ? motley__matrix_set(gate[k].w, 0, values, error)
                     : motley__matrix_get(gate[k].w, 0, values, error);
        values += (size_t)gate[k].O * (size_t)gate[k].I;
    }
    return status;
}

/* A layer by the plan, with the gate of the one before. */
static int replace_layer(struct motley__decoder *d, int block, const motley_plan *plan, struct motley_error *error)
{
    const struct motley__dense_weight *gate = &d->block[block].weight[MOTLEY__GATE];
    const int parts = d->weights->per_block - MOTLEY__GATE;
    size_t numbers = 0;
    for (int k = 0; k < parts; k++)
        numbers += (size_t)gate[k].O * (size_t)gate[k].I;
    float *values = malloc(numbers * sizeof *values);
    int status = values ? copy_gate(gate, parts, 0, values, error)
                        : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a gate");
    status = motley__context_agree(d->context, status, error);
    if (!status)
        status = motley__decoder_make_layer(d, block, plan, error);
    if (!status) {
        status = copy_gate(gate, parts, 1, values, error);
        status = motley__context_agree(d->context, status, error);
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
    *of_experts = 1 + block * (d->weights->per_block + EXPERT_MATRICES) + d->weights->per_block;
    *gate = *of_experts - d->weights->per_block + MOTLEY__GATE;
    for (int i = *gate; i < *of_experts; i++) {
        d->parameter[i].w = d->block[block].weight[MOTLEY__GATE + i - *gate].w;
        d->parameter[i].dw = d->block[block].weight[MOTLEY__GATE + i - *gate].dw;
    }
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
