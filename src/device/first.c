/* The first launch of a kernel, on a runtime that compiles at launches (PoCL: once for each local size).
 *
 * Ranks of one node start together and would all compile the same kernels at the same time on the same cores.  So the
 * first launch of each kernel and local size is made under a lock of the node and finished before the lock is let go:
 * one rank compiles, the others then find what the runtime cached.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/program.h"
#include "device/queue.h"

struct motley__launched {
    cl_kernel kernel;
    size_t local[3];
    struct motley__launched *next;
};

static int is_known(const struct motley__device *device, cl_kernel kernel, const size_t *local)
{
    for (const struct motley__launched *l = device->launched; l; l = l->next)
        if (l->kernel == kernel && memcmp(l->local, local, sizeof l->local) == 0)
            return 1;
    return 0;
}

int motley__first_launch(struct motley__device *device, cl_kernel kernel, const size_t *local, int *lock)
{
    char name[128] = "?", *key;
    struct motley__launched *launched;

    *lock = -1;
    if (!device->compiles_at_launch || is_known(device, kernel, local))
        return 0;
    launched = malloc(sizeof *launched);
    if (!launched)
        return 0;
    *launched = (struct motley__launched){kernel, {local[0], local[1], local[2]}, device->launched};
    device->launched = launched;
    clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
    if (motley__format(&key, NULL, "launch %s %zu %zu %zu", name, local[0], local[1], local[2]))
        return 0;
    *lock = motley__cache_lock(device, key);
    free(key);
    return 1;
}

void motley__launched_release(struct motley__device *device)
{
    while (device->launched) {
        struct motley__launched *l = device->launched;

        device->launched = l->next;
        free(l);
    }
}
