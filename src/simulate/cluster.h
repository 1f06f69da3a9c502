/* A cluster described in a file: nodes, their devices with recorded profiles, and links.
 *
 *   {
 *     "nodes": [
 *       {"name": "gpu", "count": 4,
 *        "devices": [{"profile": "h200.profile", "device": "H200", "ranks": 8}],
 *        "inside": {"latency_us": 8, "message_us": 0.6, "MB_per_second": 20000}},
 *       {"name": "old", "count": 12,
 *        "devices": [{"profile": "cores2.profile", "device": "EPYC", "host": "vm", "memory_GiB": 12}]}
 *     ],
 *     "between": {"latency_us": 12, "message_us": 1.5, "MB_per_second": 12000},
 *     "links": [{"from": "gpu", "to": "old", "latency_us": 40, "MB_per_second": 1200}]
 *   }
 *
 * count nodes of that kind, each with so many ranks (1) of each device, whose measurements stand in a profile (relative
 * to the file) under a name that has "device" in it.  "inside" may be left out with one rank on a node, "between" with
 * one node; "links" say otherwise for two kinds of nodes, or for two nodes of one kind.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_SIMULATE_CLUSTER_H
#define MOTLEY_SIMULATE_CLUSTER_H

#include "profile/profile.h"

enum { MOTLEY__LARGEST_CLUSTER = 1 << 20 }; /* ranks */

/* Ranks of one device on a node. */
struct motley__cluster_part {
    int profile;                     /* number of its profile */
    char device[128], host[64];      /* part of its name; its host there, "": any */
    int ranks;
    uint64_t memory_bytes;           /* of each rank; 0: as recorded */
};

struct motley__cluster_kind {
    char name[64];
    int count, parts, ranks;         /* nodes; devices; ranks of a node */
    struct motley__cluster_part *part; /* owned */
    struct motley__link inside;
};

/* Zero is empty. */
struct motley__cluster {
    char *path;                      /* owned, and so is all below */
    int kinds;
    struct motley__cluster_kind *kind;
    struct motley__link *between;    /* [kinds, kinds] */
    int profiles;
    struct motley__profile *profile;
    char **profile_path;             /* [profiles] */
};

/* Read the file and its profiles.  cluster: zero before; cleared by the caller, also after a failure.  Local.
 * Errors: MOTLEY_E_IO, MOTLEY_E_FORMAT (names the file, the place in it and the mend), MOTLEY_E_MEMORY. */
int motley__cluster_read(const char *path, struct motley__cluster *cluster, struct motley_error *error);
void motley__cluster_clear(struct motley__cluster *cluster); /* accepts NULL */

/* Ranks of all its nodes, or of one kind's. */
int motley__cluster_ranks(const struct motley__cluster *cluster);

/* Some ranks of a cluster, as planning wants them.  Zero is empty. */
struct motley__cluster_job {
    int R;
    const struct motley__profile_entry **entry; /* [R] owned; what it points to is borrowed from the cluster or owned */
    struct motley__profile_entry *own;          /* of each rank of a node of each kind; curves are the cluster's */
    struct motley__links links;
};

/* The first R ranks of the cluster grown or shrunk in proportion: its kinds keep their parts as well as whole nodes
 * allow, and the last node may have some of its ranks only.  With its own number of ranks it is the cluster itself.
 * Each rank gets the measurements of its device that know the shape, best those of as many ranks on a node.
 *
 * job: zero before; cleared by the caller, also after a failure; not longer alive than the cluster.
 * Errors: MOTLEY_E_INVALID (a device was never measured with the shape; R), MOTLEY_E_MEMORY. */
int motley__cluster_job(const struct motley__cluster *cluster, const struct motley_layer_shape *shape, int backward,
                        int R, struct motley__cluster_job *job, struct motley_error *error);
void motley__cluster_job_clear(struct motley__cluster_job *job);

#endif
