/* What every rank of `motley layer` did, as JSON.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/mode.h"
#include "base/collective.h"
#include "base/file.h"
#include "cli/layer_job.h"
#include "device/storage.h"
#include "plan/plan.h"
#include "profile/names.h"

/* What rank 0 must be told by the others; a value that travels as bytes between equal programs. */
struct facts {
    struct motley__layer_seconds seconds;
    struct motley_layer_traffic traffic;
    uint64_t peak_bytes, planned_bytes;
};

static void set(json_t *object, const char *name, json_t *value, int *failed)
{
    if (json_object_set_new(object, name, value)) /* takes the value in every case; NULL fails */
        *failed = 1;
}

static json_t *rank_object(const struct motley__layer_job *job, int rank, const struct facts *facts, int *failed)
{
    const struct motley_device_info *device = motley_context_device(job->context, rank);
    struct motley_plan_rank plan = motley_plan_rank(job->plan, rank);
    const struct motley_layer_times *forward = &facts->seconds.forward, *backward = &facts->seconds.backward;
    const struct motley_layer_traffic *traffic = &facts->traffic;
    json_t *object = json_object(), *experts = json_array();
    for (int i = 0; i < plan.experts; i++)
        *failed |= json_array_append_new(experts, json_integer(plan.expert[i]));

    const struct {
        const char *name;
        json_t *value;
    } fields[] = {
        {"rank", json_integer(rank)},
        {"host", json_string(device->host)},
        {"device", json_string(device->name)},
        {"family", json_string(job->plan->rank[rank].family)},
        {"share", json_real(plan.share)},
        {"experts", experts},
        {"hidden", json_pack("[i, i]", plan.hidden_begin, plan.hidden_end)},
        {"gate_seconds", json_real(forward->gate)},
        {"dispatch_seconds", json_real(forward->dispatch)},
        {"experts_seconds", json_real(forward->experts)},
        {"combine_seconds", json_real(forward->combine)},
        {"step_seconds", json_real(forward->step)},
        {"backward_gate_seconds", json_real(backward->gate)},
        {"backward_dispatch_seconds", json_real(backward->dispatch)},
        {"backward_experts_seconds", json_real(backward->experts)},
        {"backward_combine_seconds", json_real(backward->combine)},
        {"backward_step_seconds", json_real(backward->step)},
        {"comm_seconds", json_real(forward->comm)},
        {"comm_hidden_seconds", json_real(forward->comm_hidden)},
        {"rows_sent", json_integer(traffic->rows_sent)},
        {"rows_returned", json_integer(traffic->rows_returned)},
        {"rows_sent_nodes", json_integer(traffic->rows_sent_nodes)},
        {"bytes_sent", json_integer(traffic->bytes_sent)},
        {"bytes_sent_nodes", json_integer(traffic->bytes_sent_nodes)},
        {"copies_per_token", json_real(traffic->copies_per_token)},
        {"peak_device_bytes", json_integer((json_int_t)facts->peak_bytes)},
        {"planned_device_bytes", json_integer((json_int_t)facts->planned_bytes)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        set(object, fields[i].name, fields[i].value, failed);
    return object;
}

/* Text owned by the caller; NULL when memory is out. */
static char *stats_text(const struct motley__layer_job *job, const struct facts *facts)
{
    const struct motley_losses losses = motley_layer_losses(job->layer), *wanted = &job->request.losses;
    const enum motley_dtype wire = motley__storage_narrower(job->plan->shape.dtype, job->plan->options.wire);
    char mode[32];
    int failed = 0;
    motley__mode_text(motley_plan_mode(job->plan), motley__plan_group(job->plan), mode, sizeof mode);
    json_t *ranks = json_array(), *root = json_object();
    for (int r = 0; r < job->R; r++)
        failed |= json_array_append_new(ranks, rank_object(job, r, &facts[r], &failed));
    set(root, "plan",
        json_pack("{s:s, s:s, s:b, s:i}", "mode", mode, "exchange",
                  motley__exchange_names[job->plan->exchange], "dedup",
                  !job->plan->options.duplicate, "pipeline", job->plan->pipeline), &failed);
    if (wire != job->plan->shape.dtype)
        set(json_object_get(root, "plan"), "wire", json_string(motley__storage_name(wire)), &failed);
    if (wanted->balance > 0 || wanted->z > 0 || wanted->importance > 0)
        set(root, "losses", json_pack("{s:f, s:f, s:f}", "balance", losses.balance, "z", losses.z, "importance",
                                      losses.importance), &failed);
    set(root, "ranks", ranks, &failed);
    char *text = failed ? NULL : json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9)), *line = NULL;
    json_decref(root);
    if (text && motley__format(&line, NULL, "%s\n", text))
        line = NULL;
    free(text);
    return line;
}

int motley__layer_stats_gather(struct motley__layer_job *job, char **text, struct motley_error *error)
{
    struct facts mine, *facts = calloc((size_t)job->R, sizeof *facts);
    memset(&mine, 0, sizeof mine); /* padding travels too */
    int status = motley_layer_traffic(job->layer, &mine.traffic, error);
    if (!status && !facts)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the stats of %d ranks", job->R);
    status = motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
    if (!status) {
        mine.seconds = job->seconds;
        mine.peak_bytes = motley_layer_peak_bytes(job->layer);
        mine.planned_bytes = motley_layer_planned_bytes(job->layer);
        status = motley__share(MPI_COMM_WORLD, job->time_limit, &mine, sizeof mine, MPI_BYTE, facts, error);
    }
    *text = NULL;
    if (!status && job->rank == 0 && !(*text = stats_text(job, facts)))
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the stats of %d ranks", job->R);
    free(facts);
    return motley__agree_within(MPI_COMM_WORLD, job->time_limit, status, error);
}
