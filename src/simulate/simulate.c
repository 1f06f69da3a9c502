/* What a layer's step would take on a described cluster.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "simulate/simulate.h"

int motley__simulate(const struct motley__cluster *cluster, const struct motley_layer_shape *shape,
                     const struct motley_plan_options *options, int R, struct motley__simulation *simulation,
                     struct motley_error *error)
{
    struct motley__cluster_job job = {0};
    struct motley__task task = {.shape = *shape, .options = *options, .R = R};
    struct motley__division division = {0};
    struct motley__rank_cost *cost = NULL;
    struct motley_error why = {0};
    int status = motley__cluster_job(cluster, shape, options->backward, R, &job, error);

    memset(simulation, 0, sizeof *simulation);
    if (!status) {
        task.entry = job.entry;
        task.links = &job.links;
        status = motley__task_open(&task, error);
        cost = malloc((size_t)R * sizeof *cost);
    }
    if (!status && !cost)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to simulate %d ranks", R);
    if (!status) {
        *simulation = (struct motley__simulation){.R = R, .nodes = job.links.nodes, .tokens = options->tokens};
        status = motley__mode_choose(&task, simulation->alternative, &simulation->alternatives, &simulation->chosen,
                                     &division, cost, &why);
        if (status == MOTLEY_E_DEVICE_MEMORY) {  /* that is an answer, too */
            simulation->chosen = -1;
            status = 0;
        }
        if (status)
            motley__fail(error, status, "%s", why.text);
    }
    free(cost);
    motley__division_clear(&division);
    motley__task_close(&task);
    motley__cluster_job_clear(&job);
    return status;
}

double motley__step_seconds(const struct motley__prediction *predicted)
{
    return predicted->forward_seconds + predicted->backward_seconds;
}

double motley__rows_seconds(const struct motley__prediction *predicted)
{
    return predicted->forward.dispatch + predicted->forward.combine + predicted->backward.dispatch +
           predicted->backward.combine;
}

double motley__experts_seconds(const struct motley__prediction *predicted)
{
    return predicted->forward.experts + predicted->backward.experts;
}

const struct motley__alternative *motley__simulation_best(const struct motley__simulation *simulation,
                                                          enum motley_mode mode)
{
    const struct motley__alternative *best = NULL;

    for (int i = 0; i < simulation->alternatives; i++) {
        const struct motley__alternative *found = &simulation->alternative[i];
        if (found->mode == mode && found->fits && found->predicted.known &&
            (!best || motley__step_seconds(&found->predicted) < motley__step_seconds(&best->predicted)))
            best = found;
    }
    return best;
}

void motley__simulation_csv(const struct motley__simulation *simulation, int count, FILE *stream)
{
    fputs("ranks,nodes,tokens,mode,chosen,step_seconds,gate_seconds,rows_seconds,experts_seconds,weights_seconds,"
          "moved_bytes,node_bytes,memory_bytes\n", stream);
    for (int s = 0; s < count; s++)
        for (int i = 0; i < simulation[s].alternatives; i++) {
            const struct motley__alternative *found = &simulation[s].alternative[i];
            const struct motley__prediction *p = &found->predicted;
            char mode[32];
            motley__mode_text(found->mode, found->group, mode, sizeof mode);
            fprintf(stream, "%d,%d,%lld,%s,%d,", simulation[s].R, simulation[s].nodes, (long long)simulation[s].tokens,
                    mode, i == simulation[s].chosen);
            if (found->fits)
                fprintf(stream, "%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%llu\n", motley__step_seconds(p),
                        p->forward.gate + p->backward.gate, motley__rows_seconds(p), motley__experts_seconds(p),
                        p->forward.weights + p->backward.weights, p->moved, p->node_moved,
                        (unsigned long long)p->bytes);
            else
                fputs(",,,,,,,\n", stream);
        }
}
