/* The devices of a node, each once, in the order in which ranks take them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "device/device.h"

/* Layers over other drivers; where a vendor's own platform shows the device too, that one is better. */
static int is_layer(const struct motley__found *found)
{
    static const char *const layers[] = {"Portable Computing Language", "rusticl", "Clover", "clvk", "OpenCLOn12"};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (strstr(found->platform_name, layers[i]))
            return 1;
    return 0;
}

static int is_pocl(const struct motley__found *found)
{
    return strstr(found->platform_name, "Portable Computing Language") != NULL;
}

/* Is `b` the device `a` shown again by another platform?  By its place when both know it, else by
 * name: the k-th of that name on one platform is the k-th on the other. */
static int same_device(const struct motley__found *list, int a, int b)
{
    const struct motley__found *x = &list[a], *y = &list[b];
    if (x->is_cpu || y->is_cpu || x->is_gpu != y->is_gpu || x->platform == y->platform)
        return 0;
    if (x->locality[0] && y->locality[0])
        return !strcmp(x->locality, y->locality);
    if (strcmp(x->name, y->name))
        return 0;
    int before_x = 0, before_y = 0;
    for (int i = 0; i < a; i++)
        before_x += list[i].platform == x->platform && !strcmp(list[i].name, x->name);
    for (int i = 0; i < b; i++)
        before_y += list[i].platform == y->platform && !strcmp(list[i].name, y->name);
    return before_x == before_y;
}

/* Should `b`, the same device as `a`, be kept instead of it? */
static int better(const struct motley__found *a, const struct motley__found *b)
{
    return is_layer(a) && !is_layer(b);
}

static int kind(const struct motley__found *found)
{
    return found->is_gpu ? 0 : found->is_cpu ? 2 : 1;
}

/* GPUs, accelerators, the CPU; by PCI place, those without one behind, else as the platforms list them. */
static int order(const struct motley__found *a, const struct motley__found *b)
{
    if (kind(a) != kind(b))
        return kind(a) - kind(b);
    if (!a->locality[0] != !b->locality[0])
        return !a->locality[0] - !b->locality[0];
    return strcmp(a->locality, b->locality);
}

int motley__found_tidy(struct motley__found *list, int count)
{
    char *dropped = calloc((size_t)count + 1, 1);
    if (!dropped)
        return 0;
    int cpu = -1;
    for (int b = 0; b < count; b++) {
        /* One CPU: PoCL before others, for its threads can be told where to run. */
        if (list[b].is_cpu) {
            int keep = cpu < 0 || (is_pocl(&list[b]) && !is_pocl(&list[cpu]));
            if (keep && cpu >= 0)
                dropped[cpu] = 1;
            if (keep)
                cpu = b;
            else
                dropped[b] = 1;
            continue;
        }
        for (int a = 0; a < b; a++)
            if (!dropped[a] && same_device(list, a, b)) {
                dropped[better(&list[a], &list[b]) ? a : b] = 1;
                break;
            }
    }
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (!dropped[i]) {
            struct motley__found one = list[i];
            int at = kept++;
            for (; at > 0 && order(&list[at - 1], &one) > 0; at--) /* stable insertion */
                list[at] = list[at - 1];
            list[at] = one;
        }
    free(dropped);
    return kept;
}
