/* Giving n equal items to R ranks so that the slowest is as fast as can be.
 *
 * One item after the other goes to the rank that would have it done first.  That is optimal: let M be the best
 * possible largest time, and suppose an item were given to a rank whose time v with it exceeds M.  That rank was the
 * one that would be done first, so every rank with room would need at least v > M for one item more.  Times do not fall
 * as items grow; so every rank already holds as many items as it can finish within M or has room for, and
 * together that is at least n, for the optimum fits n items into M.  But then no item was left to give.
 *
 * Where there are many more items than ranks, most of them are given at once: for any time M, if all that the ranks
 * have done within M is at most n items, then one after the other would have given them just so.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "allocate/allocate.h"

/* A rank with room, and its time with one item more.  A heap with the next to serve on top. */
struct bid {
    double seconds;
    int rank;
};

static int before(const struct bid *a, const struct bid *b)
{
    return a->seconds < b->seconds || (a->seconds == b->seconds && a->rank < b->rank);
}

static void sink(struct bid *heap, int count, int at)
{
    for (;;) {
        int child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &heap[at]))
            return;
        struct bid moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

/* The most items, at most `most`, that a rank has done within `limit`; sought in growing steps from `guess` on. */
static int done_within(motley__allocate_seconds *seconds, const void *data, int rank, int most, int guess, double limit)
{
    int low = 0, high = most, step = 1; /* low are done; so are more than high not */
    for (int at = guess < most ? guess : most; low < high; step *= 2) {
        const int done = at == 0 || seconds(data, rank, at) <= limit;
        if (done)
            low = at;
        else
            high = at - 1;
        if (done ? step >= high - at : step >= at - low)
            break;
        at += done ? step : -step;
    }
    while (low < high) {
        const int middle = low + (high - low + 1) / 2;
        if (seconds(data, rank, middle) <= limit)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Shares as if time were proportional to them, and a time within which a little less is done.  Infinite: no guess. */
static double guess_limit(int n, int R, motley__allocate_seconds *seconds, const void *data, const int *most,
                          int *share)
{
    const int sample = n / R;
    double speed = 0, limit = INFINITY;
    for (int r = 0; r < R; r++) {
        const double spent = seconds(data, r, sample);
        if (!(spent > 0))
            return INFINITY;
        if (!most || most[r] > 0)
            speed += 1 / spent;
    }
    for (int r = 0; r < R && speed > 0; r++) {
        share[r] = (int)fmin(n, n / seconds(data, r, sample) / speed);
        if (share[r] > 0 && (!most || share[r] <= most[r]))
            limit = fmin(limit, seconds(data, r, share[r]));
    }
    return limit;
}

/* What is given at once; returns how many items that is. */
static int give_at_once(int n, int R, motley__allocate_seconds *seconds, const void *data, const int *most, int *share)
{
    const double limit = n / R >= 8 ? guess_limit(n, R, seconds, data, most, share) : INFINITY;
    int64_t given = 0;
    for (int r = 0; r < R && isfinite(limit) && given <= n; r++)
        given += share[r] = done_within(seconds, data, r, most ? most[r] : n, share[r], limit);
    if (given > 0 && given <= n)
        return (int)given;
    memset(share, 0, (size_t)R * sizeof *share);
    return 0;
}

static int fail_room(int n, int R, const int *most, int64_t room, const char *what, struct motley_error *error)
{
    char ranks[256] = "";
    size_t used = 0;
    for (int r = 0; r < R && used + 40 < sizeof ranks; r++)
        used += (size_t)snprintf(ranks + used, sizeof ranks - used, "%srank %d holds %d", r ? ", " : "", r, most[r]);
    return motley__fail(error, MOTLEY_E_DEVICE_MEMORY,
                        "%d %s are to be placed but the devices have memory for %lld (%s%s): use more ranks, fewer "
                        "tokens per step, or a higher --memory-limit",
                        n, what, (long long)room, ranks, R > 1 && used + 40 >= sizeof ranks ? ", ..." : "");
}

int motley__allocate(int n, int R, motley__allocate_seconds *seconds, const void *data, const int *most,
                     const char *what, int *share, struct motley_error *error)
{
    assert(n >= 0 && R > 0);
    int64_t room = 0;
    for (int r = 0; r < R; r++)
        room += most ? most[r] : n;
    if (room < n)
        return fail_room(n, R, most, room, what, error);
    struct bid *heap = malloc((size_t)R * sizeof *heap);
    if (!heap)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to share %s out to %d ranks", what, R);
    int count = 0, given = give_at_once(n, R, seconds, data, most, share);
    for (int r = 0; r < R; r++)
        if (given < n && (!most || share[r] < most[r]))
            heap[count++] = (struct bid){seconds(data, r, share[r] + 1), r};
    for (int i = count / 2 - 1; i >= 0; i--)
        sink(heap, count, i);
    for (int item = given; item < n; item++) {
        const int r = heap[0].rank;
        share[r]++;
        if (most && share[r] == most[r])
            heap[0] = heap[--count];
        else if (item + 1 < n)
            heap[0].seconds = seconds(data, r, share[r] + 1);
        sink(heap, count, 0);
    }
    free(heap);
    return 0;
}

void motley__allocate_even(int n, int R, int *share)
{
    for (int r = 0; r < R; r++)
        share[r] = n / R + (r < n % R);
}
