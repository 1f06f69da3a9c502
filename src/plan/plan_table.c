/* A plan as people read it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <string.h>

#include "base/table.h"
#include "cost/cost.h"
#include "plan/plan.h"
#include "profile/names.h"

/* "0-3" for a run of experts, "0,2,5" otherwise, cut short where it grows long; "none". */
static void name_experts(const int *expert, int n, char *text, size_t size)
{
    size_t used = 0;
    if (n == 0)
        snprintf(text, size, "none");
    else if (n > 2 && expert[n - 1] - expert[0] == n - 1)
        snprintf(text, size, "%d (%d-%d)", n, expert[0], expert[n - 1]);
    else {
        used = (size_t)snprintf(text, size, "%d (", n);
        for (int i = 0; i < n && used + 24 < size; i++)
            used += (size_t)snprintf(text + used, size - used, "%s%d", i ? "," : "", expert[i]);
        snprintf(text + used, size - used, used + 24 < size ? ")" : ",...)");
    }
}

/* What is stored, and in brackets replicas: "3 (0-2) [2 (5,7)]". */
static void name_holding(const struct motley__holding *computed, int stored, char *text, size_t size)
{
    const int replicas = computed->experts - computed->stored;
    size_t used;
    name_experts(computed->expert, stored, text, size);
    used = strlen(text);
    if (replicas && used + 8 < size) {
        char more[48];
        name_experts(computed->expert + stored, replicas, more, sizeof more);
        snprintf(text + used, size - used, " [%s]", more);
    }
}

/* Hidden rows of each of them. */
static void name_slice(const struct motley__holding *rank, char *text, size_t size)
{
    if (rank->experts)
        snprintf(text, size, "%d-%d", rank->begin, rank->end - 1);
    else
        snprintf(text, size, "-");
}

/* A number with a unit fit for it, "-" for one that is not known. */
static void name_number(double value, int digits, char *text, size_t size)
{
    if (value > 0)
        snprintf(text, size, "%.*f", digits, value);
    else
        snprintf(text, size, "-");
}

/* Phases of both directions; "-" where nothing is known. */
static void name_phases(const struct motley__prediction *p, char text[5][24])
{
    const struct motley__phases *f = &p->forward, *b = &p->backward;
    const double seconds[5] = {f->gate + b->gate, f->dispatch + b->dispatch, f->experts + b->experts,
                               f->combine + b->combine, f->weights + b->weights};
    for (int i = 0; i < 5; i++)
        name_number(p->known ? 1e3 * seconds[i] : 0, 3, text[i], 24);
}

/* What was considered, side by side. */
static void print_alternatives(const motley_plan *plan, FILE *stream)
{
    struct motley__table *table = motley__table_create(
        "mode|>step ms|>gate|>dispatch|>experts|>combine|>weights|>MB moved|>fullest MiB|");
    for (int i = 0; table && i < plan->alternatives; i++) {
        const struct motley__alternative *alternative = &plan->alternative[i];
        const struct motley__prediction *p = &alternative->predicted;
        char mode[32], step[24], phases[5][24], moved[24];
        motley__mode_text(alternative->mode, alternative->group, mode, sizeof mode);
        if (!alternative->fits) {
            motley__table_row(table, "%s|-|-|-|-|-|-|-|-|does not fit", mode);
            continue;
        }
        name_phases(p, phases);
        name_number(p->known ? 1e3 * (p->forward_seconds + p->backward_seconds) : 0, 3, step, sizeof step);
        name_number(1e-6 * p->moved, 2, moved, sizeof moved);
        motley__table_row(table, "%s|%s|%s|%s|%s|%s|%s|%s|%.1f|%s", mode, step, phases[0], phases[1], phases[2],
                          phases[3], phases[4], moved, (double)p->bytes / (1 << 20),
                          i == plan->chosen ? "chosen" : "");
    }
    if (table) {
        motley__table_print(table, stream);
        fputc('\n', stream);
    }
    motley__table_destroy(table);
}

/* Which experts each rank has of a layer, "0,3; 1,5"; cut short where it grows long. */
static void name_homes(const motley_plan *plan, char *text, size_t size)
{
    size_t used = 0;
    for (int r = 0; r < plan->R && used + 16 < size; r++) {
        const struct motley__holding *holding = &plan->stored.rank[r];
        for (int i = 0; i < holding->experts && used + 16 < size; i++)
            used += (size_t)snprintf(text + used, size - used, "%s%d", i ? "," : "", holding->expert[i]);
        used += (size_t)snprintf(text + used, size - used, "%s%s", holding->experts ? "" : "-",
                                 used + 16 >= size ? "..." : r + 1 < plan->R ? "; " : "");
    }
}

/* To how many ranks a token goes, by what was recorded. */
static void print_copies(const motley_plan *plan, FILE *stream)
{
    struct motley__table *table =
        motley__table_create(">layer|>copies per token|>in ascending blocks|experts of each rank");
    double so = 0, before = 0;
    for (int l = 0; table && l < plan->layers; l++) {
        const motley_plan *layer = plan->layer[l];
        char homes[96];
        name_homes(layer, homes, sizeof homes);
        motley__table_row(table, "%d|%.4f|%.4f|%s", l, layer->copies, layer->copies_before, homes);
        so += layer->copies / plan->layers;
        before += layer->copies_before / plan->layers;
    }
    if (plan->copies > 0)
        fprintf(stream, "copies per token: %.4f%s, %.4f with experts in ascending blocks\n", plan->copies,
                plan->layers ? " with one placement for all layers" : "", plan->copies_before);
    if (table && plan->layers) {
        motley__table_print(table, stream);
        fprintf(stream, "mean of %d layers, each by itself: %.4f copies per token, %.4f in ascending blocks\n",
                plan->layers, so, before);
    }
    motley__table_destroy(table);
}

/* How rows travel; nothing where none do. */
static void name_exchange(const motley_plan *plan, char *text, size_t size)
{
    text[0] = 0;
    if (plan->R > 1 && plan->mode != MOTLEY_MODE_DATA)
        snprintf(text, size, ", %s exchange of %s%s in %d chunk%s", motley__exchange_names[plan->exchange],
                 motley__storage_name(motley__storage_narrower(plan->shape.dtype, plan->options.wire)),
                 plan->options.duplicate ? " duplicates" : "",
                 plan->pipeline, plan->pipeline > 1 ? "s" : "");
}

/* The ways that were open to rows, where there was more than one. */
static void print_ways(const motley_plan *plan, FILE *stream)
{
    const struct motley__prediction *p = plan->alternatives ? &plan->alternative[plan->chosen].predicted : NULL;
    if (!p || p->ways < 2 || !p->known)
        return;
    fprintf(stream, "ways of rows:");
    for (int i = 0; i < p->ways; i++)
        fprintf(stream, "%s %s in %d chunk%s %.3f ms", i ? "," : "", motley__exchange_names[p->way[i].exchange],
                p->way[i].chunks, p->way[i].chunks > 1 ? "s" : "", 1e3 * p->way[i].seconds);
    fprintf(stream, "\n\n");
}

void motley_plan_print(const motley_plan *plan, FILE *stream)
{
    const struct motley_layer_shape *shape = &plan->shape;
    struct motley__table *table =
        motley__table_create("rank|host|device|family|>GFLOP/s|>dense GFLOP/s|dense path|experts|hidden|>tokens|"
                             ">predicted ms|>MiB");
    double slowest = 0;
    char mode[32], exchange[80];
    motley__mode_text(plan->mode, motley__plan_group(plan), mode, sizeof mode);
    name_exchange(plan, exchange, sizeof exchange);
    fprintf(stream,
            "%d experts of D=%d F=%d %s%s%s%s, K=%d, %" PRId64 " tokens a step (%.0f rows an expert%s), %s, %s shares, "
            "mode %s%s\n",
            shape->E, shape->D, shape->F, motley__activation_names[shape->activation],
            shape->bias ? " with biases" : "", shape->dtype == MOTLEY_F32 ? "" : " in ",
            shape->dtype == MOTLEY_F32 ? "" : motley__storage_name(shape->dtype), shape->K,
            plan->options.tokens, motley__cost_rows(shape, plan->options.tokens), plan->load ? " on average" : "",
            plan->options.backward ? "forward and backward" : "forward",
            motley__shares_names[plan->options.shares], mode, exchange);
    if (plan->alternatives > 1)
        print_alternatives(plan, stream);
    print_ways(plan, stream);
    for (int r = 0; table && r < plan->R; r++) {
        const struct motley__plan_entry *rank = &plan->rank[r];
        char experts[96], hidden[32], gflops[32], dense[32], milliseconds[32];
        name_holding(&plan->computed.rank[r], plan->stored.rank[r].experts, experts, sizeof experts);
        name_slice(&plan->stored.rank[r], hidden, sizeof hidden);
        name_number(rank->gflops, 1, gflops, sizeof gflops);
        name_number(rank->dense_gflops, 1, dense, sizeof dense);
        name_number(1e3 * rank->seconds, 3, milliseconds, sizeof milliseconds);
        motley__table_row(table, "%d|%s|%s|%s|%s|%s|%s|%s|%s|%" PRId64 "|%s|%.1f", r, rank->host, rank->device,
                          rank->family, gflops, dense, motley__dense_names[rank->dense], experts, hidden, rank->tokens,
                          milliseconds, (double)rank->bytes / (1 << 20));
        slowest = rank->seconds > slowest ? rank->seconds : slowest;
    }
    if (table)
        motley__table_print(table, stream);
    motley__table_destroy(table);
    if (slowest > 0)
        fprintf(stream, "expert phase: %.3f ms predicted for the slowest rank\n", 1e3 * slowest);
    if (plan->coactivation)
        print_copies(plan, stream);
}
