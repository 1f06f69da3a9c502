/* Who serves a pair, where experts have replicas.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "allocate/serve.h"

/* A group that has the expert, and what it could still serve, as a part of the expert's rows. */
struct holder {
    int group;
    double left;
};

/* The parts of all tokens that ranks are expected to bring: [R]. */
static void weigh_ranks(const struct motley__serving *w, double *weight)
{
    double all = 0;
    for (int r = 0; r < w->R; r++)
        all += w->tokens[r];
    for (int r = 0; r < w->R; r++)
        weight[r] = all > 0 ? w->tokens[r] / all : 1.0 / w->R;
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
static void serve_expert(const struct motley__serving *w, const double *weight, int rank, int e,
                         struct holder *holder, int holders, int *kept, int *server)
{
    for (int r = 0; r < w->R; r++) {
        kept[r] = 0;
        for (int i = 0; i < holders; i++)
            if (holder[i].group == w->group_of[r])
                kept[r] = keep_lots(&holder[i], weight[r] / MOTLEY__LOTS);
        for (int s = 0; s < kept[r] && r == rank; s++)
            server[(size_t)s * (size_t)w->E + (size_t)e] = w->group_of[r];
    }
    for (int r = 0; r < w->R; r++)
        for (int s = kept[r]; s < MOTLEY__LOTS; s++) {
            struct holder *to = roomiest(holder, holders);
            to->left -= weight[r] / MOTLEY__LOTS;
            if (r == rank)
                server[(size_t)s * (size_t)w->E + (size_t)e] = to->group;
        }
}

/* The experts that have replicas. */
static void serve_replicated(const struct motley__serving *w, const double *weight, int rank, struct holder *holder,
                             int *kept, int *server)
{
    for (int i = 0, holders; i < w->replicas; i += holders - 1) {
        const int e = w->replica[i].expert;
        holders = 1;
        holder[0] = (struct holder){w->owner[e], 1};
        for (int j = i; j < w->replicas && w->replica[j].expert == e; j++) {
            const struct motley__replica *replica = &w->replica[j];
            holder[holders++] = (struct holder){w->group_of[replica->rank], replica->part};
            holder[0].left -= replica->part;
        }
        serve_expert(w, weight, rank, e, holder, holders, kept, server);
    }
}

int motley__serve(const struct motley__serving *w, int rank, int *server, struct motley_error *error)
{
    double *weight = malloc((size_t)w->R * sizeof *weight);
    int *kept = malloc((size_t)w->R * sizeof *kept);
    struct holder *holder = malloc(((size_t)w->replicas + 1) * sizeof *holder);
    const int missing = !weight || !kept || !holder;
    for (int i = 0; i < MOTLEY__LOTS * w->E; i++)
        server[i] = w->owner[i % w->E];
    if (!missing) {
        weigh_ranks(w, weight);
        serve_replicated(w, weight, rank, holder, kept, server);
    }
    free(weight);
    free(kept);
    free(holder);
    return missing ? motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to share out replicas' rows") : 0;
}
