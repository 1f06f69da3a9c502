/* Giving n equal items to R ranks so that the slowest is as fast as can be.
 *
 * One item after the other goes to the rank that would have it done first.  That is optimal: let M be the best
 * possible largest time, and suppose an item were given to a rank whose time v with it exceeds M.  That rank was the
 * one that would be done first, so every rank with room would need at least v > M for one item more.  Times do not fall
 * as items grow; so every rank already holds as many items as it can finish within M or has room for, and
 * together that is at least n, for the optimum fits n items into M.  But then no item was left to give.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "plan/allocate.h"

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
    int count = 0;
    memset(share, 0, (size_t)R * sizeof *share);
    for (int r = 0; r < R; r++)
        if (!most || most[r] > 0)
            heap[count++] = (struct bid){seconds(data, r, 1), r};
    for (int i = count / 2 - 1; i >= 0; i--)
        sink(heap, count, i);
    for (int item = 0; item < n; item++) {
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
