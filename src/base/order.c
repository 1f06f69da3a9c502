/* Numbers in descending order.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "base/order.h"

struct placed {
    double value;
    int place;
};

static int largest_first(const void *first, const void *second)
{
    const struct placed *a = first, *b = second;
    return a->value != b->value ? (a->value < b->value) - (a->value > b->value) : a->place - b->place;
}

int motley__order(const double *value, int n, int *order, struct motley_error *error)
{
    struct placed *sorted = malloc((size_t)n * sizeof *sorted + 1);
    if (!sorted)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to sort %d numbers", n);
    for (int i = 0; i < n; i++)
        sorted[i] = (struct placed){value[i], i};
    qsort(sorted, (size_t)n, sizeof *sorted, largest_first);
    for (int i = 0; i < n; i++)
        order[i] = sorted[i].place;
    free(sorted);
    return 0;
}
