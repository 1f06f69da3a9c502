/* Another plan in the middle of a run: experts move with all that training keeps of them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "device/queue.h"
#include "layer/layer.h"
#include "layer/weight_cache.h"
#include "product/esmm.h"
#include "train/trainer.h"

enum { MATRICES = 3, TAG_WEIGHTS = 12, TAG_NUMBERS = 13 };

/* How weights move, and how f32 numbers like them do; blocks that lie alike have the same ways. */
struct ways {
    const struct motley__placement *from, *to;
    struct motley__redistribution *weights, *numbers;
};

static int check(const struct motley_trainer *trainer, const motley_plan *plan, struct motley_error *error)
{
    const motley_plan *now = trainer->plan;
    if (plan->R == now->R && !memcmp(&plan->shape, &now->shape, sizeof plan->shape) &&
        plan->rank[trainer->context->rank].dense == now->rank[trainer->context->rank].dense)
        return 0;
    return motley__fail(error, MOTLEY_E_MISMATCH,
                        "a run cannot go on by a plan of another shape, other ranks or other paths of dense matrices");
}

static int open_way(const struct motley_trainer *trainer, const motley_plan *plan, int numbers, const struct ways *ways,
                    struct motley__redistribution **way, struct motley_error *error)
{
    const struct motley__redistribution_options options = {.name = numbers ? "move moments" : "move weights",
                                                           .tag = numbers ? TAG_NUMBERS : TAG_WEIGHTS};
    const int panel = motley__esmm_panel(trainer->context->device, plan->shape.dtype);
    struct motley__projection projection[MOTLEY__EXPERT_MATRICES];
    int panels[MOTLEY__EXPERT_MATRICES];
    const int count = motley__expert_projections(&plan->shape, panel, numbers, projection, panels);
    return motley__redistribution_create(trainer->context, ways->from, ways->to, projection, panels, count, &options,
                                         way, error);
}

static void close_ways(struct ways *ways)
{
    motley__redistribution_destroy(ways->weights);
    motley__redistribution_destroy(ways->numbers);
    *ways = (struct ways){0};
}

static int open_ways(const struct motley_trainer *trainer, const motley_plan *plan, int block, struct ways *ways,
                     struct motley_error *error)
{
    const struct motley__placement *from = &motley__plan_of_layer(trainer->plan, block)->stored;
    const struct motley__placement *to = &motley__plan_of_layer(plan, block)->stored;
    if (ways->from == from && ways->to == to)
        return 0;
    close_ways(ways);
    ways->from = from;
    ways->to = to;
    int status = open_way(trainer, plan, 0, ways, &ways->weights, error);
    return status ? status : open_way(trainer, plan, 1, ways, &ways->numbers, error);
}

static int move(struct motley__redistribution *way, struct motley__matrix *const *from,
                struct motley__matrix *const *to, struct motley_error *error)
{
    int status = motley__redistribution_begin(way, from, to, 0, error);
    return status ? status : motley__redistribution_wait(way, error);
}

/* Moments and masters of a block's three matrices, the first of them parameter `first`. */
static int move_state(struct motley_trainer *trainer, const struct ways *ways, int first, struct motley_error *error)
{
    struct motley__adamw *adamw = trainer->adamw;
    struct motley__matrix **const now[] = {adamw->m, adamw->v, adamw->master};
    struct motley__matrix *before[MATRICES][3] = {{NULL}};
    int status = 0;
    for (int i = 0; i < MATRICES && !status; i++)
        status = motley__adamw_renew(adamw, first + i, before[i], error);
    status = motley__context_agree(trainer->context, status, error);
    for (int kind = 0; kind < 3 && !status; kind++) {
        struct motley__matrix *const from[MATRICES] = {before[0][kind], before[1][kind], before[2][kind]};
        if (from[0]) /* no masters where weights are their own */
            status = move(ways->numbers, from, now[kind] + first, error);
    }
    for (int i = 0; i < MATRICES; i++)
        for (int kind = 0; kind < 3; kind++)
            motley__matrix_destroy(before[i][kind]);
    return status;
}

static int move_block(struct motley_trainer *trainer, const motley_plan *plan, const struct ways *ways, int block,
                      struct motley_error *error)
{
    motley_layer *before = NULL;
    int gate, experts;
    int status = motley__decoder_move_block(trainer->decoder, block, plan, &before, &gate, &experts, error);
    if (!status) {
        struct motley__matrix *from[MOTLEY__EXPERT_MATRICES], *to[MATRICES];
        motley__expert_matrices(motley__layer_experts(before), 0, from);
        for (int i = 0; i < MATRICES; i++)
            to[i] = trainer->parameter[experts + i].w;
        for (int i = gate; i < experts; i++)
            trainer->adamw->master[i] = trainer->parameter[i].w; /* f32: their own */
        status = move(ways->weights, from, to, error);
    }
    if (!status)
        status = move_state(trainer, ways, experts, error);
    motley_layer_destroy(before);
    return status;
}

int motley__trainer_move(struct motley_trainer *trainer, motley_plan *plan, struct motley_error *error)
{
    const motley_context *context = trainer->context;
    struct ways ways = {0};
    int status = check(trainer, plan, error);
    if (!status)
        status = motley__queue_wait(context->device, error);
    status = motley__context_agree(context, status, error);
    for (int i = 0; i < trainer->config.layers && !status; i++) {
        status = open_ways(trainer, plan, i, &ways, error);
        if (!status)
            status = move_block(trainer, plan, &ways, i, error);
    }
    close_ways(&ways);
    if (status)
        return status;
    motley__decoder_moved(trainer->decoder, plan);
    motley_plan_destroy(trainer->plan);
    trainer->plan = plan;
    return motley__trainer_share(trainer, error);
}
