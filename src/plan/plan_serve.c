/* Who serves an expert, as a plan says.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "allocate/serve.h"
#include "plan/plan.h"

int motley__plan_lots(const motley_plan *plan)
{
    return plan->replicas ? MOTLEY__LOTS : 1;
}

int motley__plan_serve(const motley_plan *plan, int rank, int *server, struct motley_error *error)
{
    struct motley__serving serving = {.R = plan->R, .E = plan->shape.E, .group_of = plan->group_of,
                                      .owner = plan->server, .replicas = plan->replicas, .replica = plan->replica};
    if (motley__plan_lots(plan) == 1) {
        memcpy(server, plan->server, (size_t)plan->shape.E * sizeof *server);
        return 0;
    }
    double *tokens = malloc((size_t)plan->R * sizeof *tokens);
    if (!tokens)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to share out replicas' rows");
    for (int r = 0; r < plan->R; r++)
        tokens[r] = (double)plan->rank[r].tokens;
    serving.tokens = tokens;
    int status = motley__serve(&serving, rank, server, error);
    free(tokens);
    return status;
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
