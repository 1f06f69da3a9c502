/* Which rank holds which part of the experts.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "plan/placement.h"

int motley__placement_alloc(int R, int E, int F, struct motley__placement *placement, struct motley_error *error)
{
    *placement = (struct motley__placement){.R = R, .E = E, .F = F, .rank = calloc((size_t)R, sizeof *placement->rank)};
    if (placement->rank)
        return 0;
    *placement = (struct motley__placement){0};
    return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a placement on %d ranks", R);
}

void motley__placement_clear(struct motley__placement *placement)
{
    for (int r = 0; r < placement->R; r++)
        free(placement->rank[r].expert);
    free(placement->rank);
    *placement = (struct motley__placement){0};
}

int motley__holding_alloc(struct motley__holding *holding, int experts, struct motley_error *error)
{
    free(holding->expert);
    holding->expert = malloc((size_t)(experts > 0 ? experts : 1) * sizeof *holding->expert);
    holding->experts = holding->stored = holding->expert ? experts : 0;
    if (!holding->expert)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to place %d experts on a rank", experts);
    return 0;
}

int motley__placement_everything(int R, int E, int F, struct motley__placement *placement, struct motley_error *error)
{
    int status = motley__placement_alloc(R, E, F, placement, error);
    for (int r = 0; r < R && !status; r++) {
        struct motley__holding *holding = &placement->rank[r];
        status = motley__holding_alloc(holding, E, error);
        for (int e = 0; e < E && !status; e++)
            holding->expert[e] = e;
        holding->end = F;
    }
    return status;
}

int motley__placement_copy(const struct motley__placement *from, struct motley__placement *to,
                           struct motley_error *error)
{
    int status = motley__placement_alloc(from->R, from->E, from->F, to, error);
    for (int r = 0; r < from->R && !status; r++) {
        const struct motley__holding *source = &from->rank[r];
        struct motley__holding *holding = &to->rank[r];
        status = motley__holding_alloc(holding, source->experts, error);
        if (!status && source->experts)
            memcpy(holding->expert, source->expert, (size_t)source->experts * sizeof *holding->expert);
        holding->stored = source->stored;
        holding->begin = source->begin;
        holding->end = source->end;
    }
    return status;
}

int motley__holding_equal(const struct motley__holding *a, const struct motley__holding *b)
{
    if (a->experts != b->experts)
        return 0;
    return !a->experts || (a->begin == b->begin && a->end == b->end &&
                           !memcmp(a->expert, b->expert, (size_t)a->experts * sizeof *a->expert));
}

int motley__placement_equal(const struct motley__placement *a, const struct motley__placement *b)
{
    int same = a->R == b->R && a->E == b->E && a->F == b->F;
    for (int r = 0; r < a->R && same; r++)
        same = motley__holding_equal(&a->rank[r], &b->rank[r]);
    return same;
}

/* Among the ascending experts low .. end-1. */
static int find_between(const struct motley__holding *holding, int low, int end, int expert)
{
    int high = end;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (holding->expert[middle] < expert)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && holding->expert[low] == expert ? low : -1;
}

int motley__holding_find(const struct motley__holding *holding, int expert)
{
    const int found = find_between(holding, 0, holding->stored, expert);
    return found < 0 ? find_between(holding, holding->stored, holding->experts, expert) : found;
}

void motley__holding_overlap(const struct motley__holding *a, const struct motley__holding *b, int *begin, int *end)
{
    *begin = a->begin > b->begin ? a->begin : b->begin;
    *end = a->end < b->end ? a->end : b->end;
    if (*end < *begin)
        *end = *begin;
}

static int check_holding(const struct motley__placement *p, int r, struct motley_error *error)
{
    const struct motley__holding *holding = &p->rank[r];
    if (holding->experts && (holding->begin < 0 || holding->end > p->F || holding->begin >= holding->end))
        return motley__fail(error, MOTLEY_E_INVALID, "rank %d holds hidden rows %d to %d, expected some of 0 to %d", r,
                            holding->begin, holding->end, p->F);
    for (int i = 0; i < holding->experts; i++)
        if (holding->expert[i] < 0 || holding->expert[i] >= p->E || (i && holding->expert[i] <= holding->expert[i - 1]))
            return motley__fail(error, MOTLEY_E_INVALID,
                                "rank %d holds expert %d after %d, expected ascending numbers of 0 to %d", r,
                                holding->expert[i], i ? holding->expert[i - 1] : -1, p->E - 1);
    return 0;
}

/* One slice of one expert. */
struct slice {
    int expert, begin, end;
};

static int by_place(const void *first, const void *second)
{
    const struct slice *a = first, *b = second;
    if (a->expert != b->expert)
        return a->expert < b->expert ? -1 : 1;
    return (a->begin > b->begin) - (a->begin < b->begin);
}

/* slices sorted by expert, then by where they begin: each goes on where the one before ends. */
static int check_cover(const struct slice *slice, size_t count, int E, int F, struct motley_error *error)
{
    size_t at = 0;
    for (int e = 0; e < E; e++) {
        int next = 0;
        for (; at < count && slice[at].expert == e; at++) {
            if (slice[at].begin != next)
                return motley__fail(error, MOTLEY_E_INVALID, "hidden row %d of expert %d is %s",
                                    slice[at].begin < next ? slice[at].begin : next, e,
                                    slice[at].begin < next ? "on two ranks" : "on no rank");
            next = slice[at].end;
        }
        if (next != F)
            return motley__fail(error, MOTLEY_E_INVALID, "hidden row %d of expert %d is on no rank", next, e);
    }
    return 0;
}

int motley__placement_partition(const struct motley__placement *placement, struct motley_error *error)
{
    size_t count = 0, at = 0;
    int status = 0;
    for (int r = 0; r < placement->R && !status; r++) {
        status = check_holding(placement, r, error);
        count += (size_t)placement->rank[r].experts;
    }
    if (status)
        return status;
    struct slice *slice = malloc((count + 1) * sizeof *slice);
    if (!slice)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to check a placement");
    for (int r = 0; r < placement->R; r++) {
        const struct motley__holding *holding = &placement->rank[r];
        for (int i = 0; i < holding->experts; i++)
            slice[at++] = (struct slice){holding->expert[i], holding->begin, holding->end};
    }
    qsort(slice, count, sizeof *slice, by_place);
    status = check_cover(slice, count, placement->E, placement->F, error);
    free(slice);
    return status;
}
