/* A node's cores and memory, and who drives what of it.
 *
 * Facts are gathered once per node (node.c, limits.c), made into a decision by a pure function (choose.c),
 * and carried out by every rank (bind.c).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_DEVICE_NODE_H
#define MOTLEY_DEVICE_NODE_H

#include <hwloc.h>
#include <stdint.h>

#include "device/device.h"

enum {
    MOTLEY__CORE_CPUS = 8,              /* hardware threads of one core, at most */
    MOTLEY__CPUS = 4096                 /* of a node, as the system numbers them */
};

/* A set of processors as the system numbers them; the layout of sched_getaffinity. */
struct motley__cpus {
    unsigned long words[MOTLEY__CPUS / (8 * sizeof(unsigned long))];
};

struct motley__core {
    int domain;                         /* NUMA domain, in hwloc's order */
    int count;                          /* its hardware threads */
    int cpus[MOTLEY__CORE_CPUS];
};

/* What the node has.  A value but for the two arrays. */
struct motley__node {
    int cores;
    struct motley__core *core;          /* [cores] owned; in hwloc's order, so a domain's cores are neighbours */
    int devices;
    int *domain;                        /* [devices] owned; the domain a device is near to, -1: unknown */
    uint64_t memory_bytes;              /* of the machine or of the control group, whichever is less */
    double quota;                       /* cores' worth of time that the control group allows; 0: no limit */
};

/* What one rank brings. */
struct motley__claim {
    const unsigned char *accepts;       /* [devices] borrowed; 1: it sees the device and its options allow it */
    const unsigned char *mask;          /* [cores] borrowed; 1: it was given that core */
    int threads;                        /* options->threads */
    int share_gpus;                     /* options->share_gpus */
};

/* Devices: each rank in turn takes the first free accelerator that it accepts, else (share_gpus) the one with
 * the fewest ranks, else the CPU.  Cores: where there are CPU ranks, every accelerator rank keeps one core,
 * near its device if it can; CPU ranks that were given the same cores split the others of them, by NUMA domain
 * first; ranks that were given different cores stay on theirs.  More ranks than cores: one thread each, spread evenly.
 *
 * found     [devices] borrowed
 * claims    [ranks] borrowed
 * bindings  [ranks] written
 * masks     [ranks, cores] written, 1 where the rank shall run
 *
 * Pure.  Errors: MOTLEY_E_INVALID (a GPU would be shared), MOTLEY_E_MEMORY. */
int motley__bind_choose(const struct motley__node *node, const struct motley__found *found,
                        const struct motley__claim *claims, int ranks, struct motley__binding *bindings,
                        unsigned char *masks, struct motley_error *error);

/* Does `list` ("gpu", "cpu", or a comma list of these and parts of names; NULL or "": all) allow the device? */
int motley__bind_accepts(const char *list, const struct motley__found *found);

/* The facts of this machine.  found [devices] borrowed. */
int motley__node_create(const struct motley__found *found, int devices, struct motley__node *node,
                        struct motley_error *error);
/* Cores, domains and the machine's memory of a loaded topology. */
int motley__node_from_topology(hwloc_topology_t topology, const struct motley__found *found, int devices,
                               struct motley__node *node, struct motley_error *error);
void motley__node_destroy(struct motley__node *node);

/* The processors this process was given.  *wider: the same, but where mpirun bound a job of one or two ranks to a core
 * each though nobody asked for it, those that mpirun itself was given. */
int motley__cpus_given(struct motley__cpus *cpus, struct motley__cpus *wider, struct motley_error *error);
int motley__cpus_has(const struct motley__cpus *cpus, int cpu);
void motley__cpus_add(struct motley__cpus *cpus, int cpu);

/* motley__discover in a child process, which then ends: this one has still made no OpenCL call (child.c).  The ids
 * in the list mean nothing here. */
int motley__discover_in_child(struct motley__found **found, int *count, struct motley_error *error);

/* limits.c: what the control groups of this process allow; 0 where nothing is limited.  `root` is "" (a made-up
 * file tree in tests). */
uint64_t motley__limit_memory(const char *root);
double motley__limit_cores(const char *root);

#endif
