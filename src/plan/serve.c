/* Who serves a pair, where experts have replicas.
 *
 * A source's tokens are dealt into lots, token t into lot t % S, so that every lot is like every other; a lot's
 * pairs of one expert go to one group.  Lots are given out so that a group that has the expert keeps as much of what
 * its own ranks bring as its part allows: these rows do not travel.  The rest goes to whoever has most room left.
 * Rows follow the parts as far as lots allow: to half a lot of a rank's tokens.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "plan/plan.h"

/* A group that has the expert, and what it could still serve, as a part of the expert's rows. */
struct holder {
    int group;
    double left;
};

int motley__plan_lots(const motley_plan *plan)
{
    return plan->replicas ? MOTLEY__LOTS : 1;
}

/* The parts of all tokens that ranks are expected to bring: [R]. */
static void weigh_ranks(const motley_plan *plan, double *weight)
{
    double all = 0;
    for (int r = 0; r < plan->R; r++)
        all += (double)plan->rank[r].tokens;
    for (int r = 0; r < plan->R; r++)
        weight[r] = all > 0 ? (double)plan->rank[r].tokens / all : 1.0 / plan->R;
}

static struct holder *roomiest(struct holder *holder, int holders)
{
    struct holder *most = holder;
    for (int i = 1; i < holders; i++)
        if (holder[i].left > most->left)
            most = &holder[i];
    return most;
}

/* Lots that a rank of this holder's group keeps: those for more than half of which there is room. */
static int keep_lots(struct holder *holder, double lot)
{
    int kept = 0;
    for (; kept < MOTLEY__LOTS && holder->left > lot / 2; kept++)
        holder->left -= lot;
    return kept;
}

/* server [S,E] of one expert: column e.  weight [R] part of all tokens, kept [R] scratch. */
static void serve_expert(const motley_plan *plan, int rank, int e, struct holder *holder, int holders,
                         const double *weight, int *kept, int *server)
{
    for (int r = 0; r < plan->R; r++) {
        kept[r] = 0;
        for (int i = 0; i < holders; i++)
            if (holder[i].group == plan->group_of[r])
                kept[r] = keep_lots(&holder[i], weight[r] / MOTLEY__LOTS);
        for (int s = 0; s < kept[r] && r == rank; s++)
            server[(size_t)s * (size_t)plan->shape.E + (size_t)e] = plan->group_of[r];
    }
    for (int r = 0; r < plan->R; r++)
        for (int s = kept[r]; s < MOTLEY__LOTS; s++) {
            struct holder *to = roomiest(holder, holders);
            to->left -= weight[r] / MOTLEY__LOTS;
            if (r == rank)
                server[(size_t)s * (size_t)plan->shape.E + (size_t)e] = to->group;
        }
}

int motley__plan_serve(const motley_plan *plan, int rank, int *server, struct motley_error *error)
{
    const int E = plan->shape.E, S = motley__plan_lots(plan);
    for (int i = 0; i < S * E; i++)
        server[i] = plan->server[i % E];
    if (S == 1)
        return 0;
    double *weight = malloc((size_t)plan->R * sizeof *weight);
    int *kept = malloc((size_t)plan->R * sizeof *kept);
    struct holder *holder = malloc(((size_t)plan->replicas + 1) * sizeof *holder);
    const int missing = !weight || !kept || !holder;
    if (!missing)
        weigh_ranks(plan, weight);
    for (int i = 0, holders; i < plan->replicas && !missing; i += holders - 1) {
        const int e = plan->replica[i].expert;
        holders = 1;
        holder[0] = (struct holder){plan->server[e], 1};
        for (int j = i; j < plan->replicas && plan->replica[j].expert == e; j++) {
            const struct motley__replica *replica = &plan->replica[j];
            holder[holders++] = (struct holder){plan->group_of[replica->rank], replica->part};
            holder[0].left -= replica->part;
        }
        serve_expert(plan, rank, e, holder, holders, weight, kept, server);
    }
    free(weight);
    free(kept);
    free(holder);
    return missing ? motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to share out replicas' rows") : 0;
}

double motley__plan_part(const motley_plan *plan, int group)
{
    const int E = plan->shape.E;
    const double *load = plan->load;
    double sum = 0, part = 0;
    for (int e = 0; e < E; e++) {
        const double here = load ? load[e] : 1;
        sum += here;
        part += plan->server[e] == group ? here : 0;
    }
    for (int i = 0; i < plan->replicas; i++) {
        const struct motley__replica *replica = &plan->replica[i];
        const double here = (load ? load[replica->expert] : 1) * replica->part;
        part += plan->group_of[replica->rank] == group ? here : 0;
        part -= plan->server[replica->expert] == group ? here : 0;
    }
    return sum > 0 ? part / sum : 0;
}
