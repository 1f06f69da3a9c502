/* The context as the library sees it: one rank, its communicators and its device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CONTEXT_INTERNAL_H
#define MOTLEY_CONTEXT_INTERNAL_H

#include <mpi.h>

#include <motley/context.h>
#include <motley/tensor.h>
#include "base/log.h"
#include "base/trace.h"
#include "device/device.h"

struct motley_context {
    MPI_Comm comm;                      /* ours: duplicated, errors return */
    MPI_Comm node;                      /* the ranks of this node, in rank order */
    int rank, size, node_rank, node_size;
    int *node_of;                       /* [size] node number of each rank, 0.. in order of first rank; owned */
    struct motley_device_info *info;    /* [size] what every rank drives; owned */
    struct motley__device *device;      /* owned */
    struct motley__log log;
    struct motley__trace *trace;        /* owned; NULL when none was asked for */
    char *trace_path, *profile_path;    /* owned */
    double time_limit;                  /* seconds a peer may stay silent */
    struct motley__known *known;        /* what planning knows since the start (plan/known.h); NULL: nothing; owned */
    int tuned[MOTLEY__DTYPES];          /* 1: the device is set to what the profile says for the storage type */
};

/* motley__agree_within the time that a peer may stay silent. */
int motley__context_agree(const motley_context *context, int code, struct motley_error *error);

/* The device's kernel variant for a storage type is ready, tuned as the profile says; for f32 it is from the start on.
 * Collective; agreed.  Errors: MOTLEY_E_BUILD, MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__context_admit(motley_context *context, enum motley_dtype dtype, struct motley_error *error);

#endif
