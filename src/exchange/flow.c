/* Flows between two placements, cut into pieces and put in order.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "exchange/flow.h"

/* What flows are made of. */
struct plan {
    const struct motley__placement *from, *to;
    const struct motley__projection *projection;
    const int *panel;
    int projections, me, sum;
};

/* Where the part that begins at hidden number `begin` lies in a holding's matrix. */
static struct motley__slice_side side_of(const struct motley__holding *holding, const struct motley__projection *p,
                                         int begin, int panel, int list)
{
    const struct motley__part_shape whole = motley__part_of(p->hidden, holding->begin, holding->end, p->O, p->I);
    struct motley__slice_side side = {.list = list, .panel = panel, .I = whole.I};
    if (p->hidden == MOTLEY__HIDDEN_ROWS)
        side.row = begin - holding->begin;
    if (p->hidden == MOTLEY__HIDDEN_COLUMNS)
        side.column = begin - holding->begin;
    return side;
}

/* Panels as lines: [rows, I] in panels of P outputs is [rows/P, I*P] in panels of one. */
static void flatten(struct motley__slice_side *side, int panel)
{
    side->row /= panel;
    side->I *= panel;
    side->column *= panel;
    side->panel = 1;
}

static void take_panels(struct motley__slice_args *args)
{
    const int panel = args->from.panel, longest = args->from.I > args->to.I ? args->from.I : args->to.I;
    if ((int64_t)longest * panel > INT_MAX)
        return;
    if (panel != args->to.panel || args->lines % panel || args->from.row % panel || args->to.row % panel)
        return;
    args->lines /= panel;
    args->width *= panel;
    flatten(&args->from, panel);
    flatten(&args->to, panel);
}

/* Experts that both hold; their local numbers are written to both lists unless NULL. */
static int common_experts(const struct motley__holding *a, const struct motley__holding *b, int *in_a, int *in_b)
{
    int count = 0;
    for (int i = 0; i < a->experts; i++) {
        const int j = motley__holding_find(b, a->expert[i]);
        if (j < 0)
            continue;
        if (in_a)
            in_a[count] = i, in_b[count] = j;
        count++;
    }
    return count;
}

/* The flows from rank q to rank r; their lists are appended. */
static void add_flows(const struct plan *plan, int q, int r, struct motley__flows *flows)
{
    const struct motley__holding *a = &plan->from->rank[q], *b = &plan->to->rank[r];
    const int in_a = flows->experts, experts = common_experts(a, b, NULL, NULL);
    int begin, end;
    motley__holding_overlap(a, b, &begin, &end);
    if (!experts || begin == end)
        return;
    common_experts(a, b, flows->expert + in_a, flows->expert + in_a + experts);
    flows->experts += 2 * experts;
    for (int i = 0; i < plan->projections; i++) {
        const struct motley__projection *p = &plan->projection[i];
        const struct motley__part_shape part = motley__part_of(p->hidden, begin, end, p->O, p->I);
        if (p->hidden == MOTLEY__HIDDEN_NONE && (a->begin || b->begin))
            continue;
        struct motley__flow *flow = &flows->flow[flows->flows++];
        *flow = (struct motley__flow){.from = q, .to = r, .projection = i, .experts = experts};
        flow->args = (struct motley__slice_args){.lines = part.O, .width = part.I};
        flow->args.from = side_of(a, p, begin, plan->panel[q * plan->projections + i], in_a);
        flow->args.to = side_of(b, p, begin, plan->panel[r * plan->projections + i], in_a + experts);
        take_panels(&flow->args);
    }
}

/* Lines are numbered, and pieces counted and sent, in ints. */
static int check_sizes(const struct plan *plan, const struct motley__flows *flows, size_t piece_bytes,
                       struct motley_error *error)
{
    int64_t pieces = 0;
    for (int f = 0; f < flows->flows; f++) {
        const struct motley__flow *flow = &flows->flow[f];
        const enum motley_dtype dtype = plan->projection[flow->projection].dtype;
        const int64_t lines = flow->args.lines, width = flow->args.width;
        const int64_t line = width * (int64_t)motley__storage_bytes(dtype), fit = (int64_t)piece_bytes / line;
        if (flow->experts * lines > INT_MAX || line > INT_MAX || lines * width > INT_MAX)
            return motley__fail(error, MOTLEY_E_UNSUPPORTED, "%d experts of %lld lines of %lld bytes between two "
                                "ranks: lines, bytes of one and numbers of an expert can be at most %d; divide the "
                                "hidden dimension among more ranks", flow->experts, (long long)lines, (long long)line,
                                INT_MAX);
        pieces += fit > 0 ? flow->experts * lines / fit + 1 : flow->experts * lines;
    }
    if (pieces <= INT_MAX && piece_bytes <= INT_MAX)
        return 0;
    return motley__fail(error, MOTLEY_E_UNSUPPORTED, "experts of one rank move in %lld pieces of at most %zu bytes, "
                        "both can be at most %d", (long long)pieces, piece_bytes, INT_MAX);
}

/* The pieces of flows first .. end-1; with pieces NULL they are only counted.  *largest grows to the bytes of the
 * largest. */
static int cut(const struct plan *plan, const struct motley__flows *flows, int first, int end, size_t piece_bytes,
               struct motley__piece *pieces, size_t *largest)
{
    int count = 0, round = 0;
    for (int f = first; f < end; f++) {
        const struct motley__flow *flow = &flows->flow[f];
        const size_t line = (size_t)flow->args.width *
                            motley__storage_bytes(plan->projection[flow->projection].dtype);
        const int lines = flow->experts * flow->args.lines;
        const size_t fit = piece_bytes / line ? piece_bytes / line : 1;
        if (f > first && (flow->from != flow[-1].from || flow->to != flow[-1].to))
            round = 0;
        for (int at = 0, most; at < lines; at += most) {
            most = fit < (size_t)(lines - at) ? (int)fit : lines - at;
            if (pieces)
                pieces[count] = (struct motley__piece){.flow = f, .first = at, .count = most, .round = round};
            if ((size_t)most * line > *largest)
                *largest = (size_t)most * line;
            count++, round++;
        }
    }
    return count;
}

/* 1 when all ranks that bring anything have the same parts in the same panels: then what several ranks bring for an
 * element is in pieces of the same round. */
static int all_alike(const struct plan *plan)
{
    const struct motley__holding *rank = plan->from->rank, *first = NULL;
    const int *panel = NULL;
    for (int r = 0; r < plan->from->R; r++) {
        if (!rank[r].experts)
            continue;
        if (first && !motley__holding_equal(first, &rank[r]))
            return 0;
        for (int i = 0; i < plan->projections && panel; i++)
            if (panel[i] != plan->panel[r * plan->projections + i])
                return 0;
        first = &rank[r];
        panel = &plan->panel[r * plan->projections];
    }
    return 1;
}

/* A piece and its place in the order. */
struct placed {
    int major, minor, tie;
    struct motley__piece piece;
};

static int by_place(const void *first, const void *second)
{
    const struct placed *a = first, *b = second;
    if (a->major != b->major)
        return a->major < b->major ? -1 : 1;
    if (a->minor != b->minor)
        return a->minor < b->minor ? -1 : 1;
    return (a->tie > b->tie) - (a->tie < b->tie);
}

/* Gathered pieces go by (round, distance to the peer), which both ends see alike.  Summed ones go by (round, peer):
 * what q is given by r is behind all pieces of (round, sum of ranks) below its own.  Where an element's pieces may be
 * of several rounds, the peer goes before the round. */
static int put_in_order(const struct plan *plan, const struct motley__flows *flows, struct motley__piece *pieces,
                        int count, struct motley_error *error)
{
    const int R = plan->from->R, rounds_first = !plan->sum || all_alike(plan);
    struct placed *placed = malloc(((size_t)count + 1) * sizeof *placed);
    if (!placed)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d pieces of weights", count);
    for (int i = 0; i < count; i++) {
        const struct motley__flow *flow = &flows->flow[pieces[i].flow];
        const int peer = flow->from == plan->me ? flow->to : flow->from;
        const int turn = plan->sum ? peer : (flow->to - flow->from + R) % R;
        placed[i] = (struct placed){rounds_first ? pieces[i].round : turn, rounds_first ? turn : pieces[i].round, i,
                                    pieces[i]};
    }
    qsort(placed, (size_t)count, sizeof *placed, by_place);
    for (int i = 0; i < count; i++)
        pieces[i] = placed[i].piece;
    free(placed);
    return 0;
}

/* Room for the flows and lists between one rank and all others, both ways. */
static int allocate(const struct plan *plan, struct motley__flows *flows, struct motley_error *error)
{
    size_t experts = 0;
    for (int r = 0; r < plan->from->R; r++) {
        experts += (size_t)common_experts(&plan->from->rank[r], &plan->to->rank[plan->me], NULL, NULL);
        experts += (size_t)common_experts(&plan->from->rank[plan->me], &plan->to->rank[r], NULL, NULL);
    }
    flows->flow = calloc(2 * (size_t)plan->from->R * (size_t)plan->projections + 1, sizeof *flows->flow);
    flows->expert = calloc(2 * experts + 1, sizeof *flows->expert);
    if (!flows->flow || !flows->expert)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for weights between %d ranks", plan->from->R);
    return 0;
}

static int cut_both(const struct plan *plan, int received, size_t piece_bytes, struct motley__flows *flows,
                    struct motley_error *error)
{
    flows->receives = cut(plan, flows, 0, received, piece_bytes, NULL, &flows->largest);
    flows->sends = cut(plan, flows, received, flows->flows, piece_bytes, NULL, &flows->largest);
    flows->receive = calloc((size_t)flows->receives + 1, sizeof *flows->receive);
    flows->send = calloc((size_t)flows->sends + 1, sizeof *flows->send);
    if (!flows->receive || !flows->send)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for pieces of weights");
    cut(plan, flows, 0, received, piece_bytes, flows->receive, &flows->largest);
    cut(plan, flows, received, flows->flows, piece_bytes, flows->send, &flows->largest);
    int status = put_in_order(plan, flows, flows->receive, flows->receives, error);
    return status ? status : put_in_order(plan, flows, flows->send, flows->sends, error);
}

int motley__flows_make(const struct motley__placement *from, const struct motley__placement *to,
                       const struct motley__projection *projection, int projections, const int *panel, int me, int sum,
                       int apart, size_t piece_bytes, struct motley__flows *flows, struct motley_error *error)
{
    const struct plan plan = {from, to, projection, panel, projections, me, sum};
    assert(from->R == to->R && from->E == to->E && from->F == to->F);
    *flows = (struct motley__flows){0};
    int status = allocate(&plan, flows, error);
    if (!status) {
        for (int q = 0; q < from->R; q++)
            if (q != me || !apart)
                add_flows(&plan, q, me, flows);
        const int received = flows->flows;
        for (int r = 0; r < from->R; r++)
            if (r != me)
                add_flows(&plan, me, r, flows);
        status = check_sizes(&plan, flows, piece_bytes, error);
        if (!status)
            status = cut_both(&plan, received, piece_bytes, flows, error);
    }
    if (status)
        motley__flows_clear(flows);
    return status;
}

void motley__flows_clear(struct motley__flows *flows)
{
    free(flows->flow);
    free(flows->expert);
    free(flows->receive);
    free(flows->send);
    *flows = (struct motley__flows){0};
}
