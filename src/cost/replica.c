/* What replicas make travel; the contract is replica.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "cost/replica.h"
#include "layer/expert.h"

enum { PIECE = 1 << 20 };        /* bytes of a message */

static const struct motley__link *link_of(const struct motley__links *links, int a, int b)
{
    const int ka = links->kind[links->node[a]], kb = links->kind[links->node[b]];
    return links->node[a] == links->node[b] ? &links->inside[ka] : &links->between[ka * links->kinds + kb];
}

/* So many bytes from rank a to rank b: out of the device and its memory, over the link, and in. */
static double move_seconds(const struct motley__task *task, int a, int b, double bytes)
{
    double seconds = 0;
    for (int end = 0; end < 2; end++) {
        const struct motley__profile_entry *entry = task->entry[end ? b : a];
        const double copy = end ? entry->copy.in : entry->copy.out;
        seconds += entry->move.bandwidth > 0 ? 2 * bytes / entry->move.bandwidth : 0;
        seconds += copy > 0 ? bytes / copy : 0;
    }
    if (task->links) {
        const struct motley__link *link = link_of(task->links, a, b);
        seconds += link->latency + ceil(bytes / PIECE) * link->message;
        seconds += link->bandwidth > 0 ? bytes / link->bandwidth : 0;
    }
    return seconds;
}

struct motley__replica_moves motley__replica_moves(const struct motley__task *task,
                                                   const struct motley__division *division, int owner, int rank)
{
    const struct motley_layer_shape *shape = &task->shape;
    const double weights = (double)motley__experts_bytes(shape, 1, 0, 1, 0, 0);
    const double gradients = (double)motley__experts_bytes(shape, 1, 0, 1, 1, 0) - weights;
    const int g = division->group_of[rank];
    struct motley__replica_moves moves = {0};
    int from = 0;
    while (division->group_of[from] != owner)
        from++;
    for (int r = rank; r < division->R && task->options.backward; r++) {
        const double part = (double)division->width[r] / shape->F;
        if (division->group_of[r] != g)
            continue;
        moves.there = fmax(moves.there, move_seconds(task, from, r, part * weights));
        moves.back = fmax(moves.back, move_seconds(task, r, from, part * gradients));
        moves.bytes += part * (weights + gradients);
    }
    moves.nodes = task->links && task->links->node[from] != task->links->node[rank];
    return moves;
}
