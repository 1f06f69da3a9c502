/* One rank, one device.
 *
 * A context binds the calling rank to one OpenCL device of its node, chosen by the rule of
 * the README ("on each node ranks take GPUs first; all remaining ranks share the CPU"), builds
 * the kernel family that the device admits and duplicates the communicator.  Every other object of
 * the library lives inside a context: context > tensors > plan > layer.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CONTEXT_H
#define MOTLEY_CONTEXT_H

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>

#include <motley/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct motley_context motley_context;

/* Zero means default, everywhere. */
struct motley_context_options {
    const char *devices;         /* restrict the choice: "gpu", "cpu", or a comma list of name parts; NULL: all */
    int share_gpus;              /* 1: several ranks may drive one GPU */
    int threads;                 /* CPU ranks: compute threads; 0: the rank's share of the node's cores */
    uint64_t memory_limit;       /* bytes this rank may use on its device; 0: what the device and the node allow */
    const char *profile;         /* the measurements' file; NULL: $XDG_CACHE_HOME/motley/profile */
    const char *trace;           /* write a Chrome/Perfetto trace here; NULL: none */
    double time_limit_seconds;   /* a peer silent for longer is an error; 0: 600 */
    int verbose;                 /* 1: progress and notes on stderr from rank 0; 2: from every rank */
};

/* What one rank drives.  A value; strings are never empty ("unknown" instead). */
struct motley_device_info {
    char host[64];
    char platform[128];
    char name[128];
    char driver[128];
    char family[16];             /* the kernel family admitted on it: "cpu", "generic", ... */
    char why[256];               /* why that family, and why not the ones before it */
    uint64_t memory_bytes;       /* what this rank may use */
    int is_gpu;
    int cores;                   /* compute units of a GPU; cores of this rank's share of a CPU */
};

/* Create the context of this rank.
 *
 * comm     any communicator; duplicated, the caller keeps its own; MPI must be initialised
 *          (MPI_THREAD_FUNNELED is enough)
 * options  borrowed for the call; NULL for all defaults
 *
 * Collective.  All ranks succeed or all fail with the same error.
 * Must come before any other OpenCL call of the process when the rank is to drive a CPU device:
 * the CPU runtime takes its thread count from the environment at its first use.  Started without mpirun, Open MPI's
 * MPI_Init may make such a call through hwloc: set HWLOC_COMPONENTS=-opencl before it, as the motley command does.
 * Errors: MOTLEY_E_NO_DEVICE, MOTLEY_E_DEVICE, MOTLEY_E_BUILD, MOTLEY_E_MISMATCH, MOTLEY_E_COMM. */
int motley_context_create(MPI_Comm comm, const struct motley_context_options *options,
                          motley_context **context, struct motley_error *error);

/* Accepts NULL.  Collective. */
void motley_context_destroy(motley_context *context);

int motley_context_rank(const motley_context *context);
int motley_context_size(const motley_context *context);

/* What `rank` drives; borrowed until the context is destroyed.  Local. */
const struct motley_device_info *motley_context_device(const motley_context *context, int rank);

#ifdef __cplusplus
}
#endif
#endif
