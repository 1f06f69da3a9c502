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

int motley__block_alloc(struct motley__block *block, int experts, struct motley_error *error)
{
    free(block->expert);
    block->expert = malloc((size_t)(experts > 0 ? experts : 1) * sizeof *block->expert);
    block->experts = block->expert ? experts : 0;
    if (!block->expert)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to place %d experts on a rank", experts);
    return 0;
}

int motley__placement_everything(int R, int E, int F, struct motley__placement *placement, struct motley_error *error)
{
    int status = motley__placement_alloc(R, E, F, placement, error);
    for (int r = 0; r < R && !status; r++) {
        struct motley__block *block = &placement->rank[r];
        status = motley__block_alloc(block, E, error);
        for (int e = 0; e < E && !status; e++)
            block->expert[e] = e;
        block->end = F;
    }
    return status;
}

int motley__placement_copy(const struct motley__placement *from, struct motley__placement *to,
                           struct motley_error *error)
{
    int status = motley__placement_alloc(from->R, from->E, from->F, to, error);
    for (int r = 0; r < from->R && !status; r++) {
        const struct motley__block *source = &from->rank[r];
        struct motley__block *block = &to->rank[r];
        status = motley__block_alloc(block, source->experts, error);
        if (!status && source->experts)
            memcpy(block->expert, source->expert, (size_t)source->experts * sizeof *block->expert);
        block->begin = source->begin;
        block->end = source->end;
    }
    return status;
}

/* Blocks without experts are equal whatever their slices. */
static int same_block(const struct motley__block *a, const struct motley__block *b)
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
        same = same_block(&a->rank[r], &b->rank[r]);
    return same;
}

int motley__block_find(const struct motley__block *block, int expert)
{
    int low = 0, high = block->experts;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (block->expert[middle] < expert)
            low = middle + 1;
        else
            high = middle;
    }
    return low < block->experts && block->expert[low] == expert ? low : -1;
}

void motley__block_overlap(const struct motley__block *a, const struct motley__block *b, int *begin, int *end)
{
    *begin = a->begin > b->begin ? a->begin : b->begin;
    *end = a->end < b->end ? a->end : b->end;
    if (*end < *begin)
        *end = *begin;
}

static int check_block(const struct motley__placement *p, int r, struct motley_error *error)
{
    const struct motley__block *block = &p->rank[r];
    if (block->experts && (block->begin < 0 || block->end > p->F || block->begin >= block->end))
        return motley__fail(error, MOTLEY_E_INVALID, "rank %d holds hidden rows %d to %d, expected some of 0 to %d", r,
                            block->begin, block->end, p->F);
    for (int i = 0; i < block->experts; i++)
        if (block->expert[i] < 0 || block->expert[i] >= p->E || (i && block->expert[i] <= block->expert[i - 1]))
            return motley__fail(error, MOTLEY_E_INVALID,
                                "rank %d holds expert %d after %d, expected ascending numbers of 0 to %d", r,
                                block->expert[i], i ? block->expert[i - 1] : -1, p->E - 1);
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
        status = check_block(placement, r, error);
        count += (size_t)placement->rank[r].experts;
    }
    if (status)
        return status;
    struct slice *slice = malloc((count + 1) * sizeof *slice);
    if (!slice)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to check a placement");
    for (int r = 0; r < placement->R; r++) {
        const struct motley__block *block = &placement->rank[r];
        for (int i = 0; i < block->experts; i++)
            slice[at++] = (struct slice){block->expert[i], block->begin, block->end};
    }
    qsort(slice, count, sizeof *slice, by_place);
    status = check_cover(slice, count, placement->E, placement->F, error);
    free(slice);
    return status;
}
