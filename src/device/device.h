/* One OpenCL device as this rank uses it: the device itself, one in-order compute queue and
 * two queues for copies, its memory account and its built programs.
 *
 *   discover.c  which devices the node has, over all ICDs          (motley__discover)
 *   tidy.c      each device once, in order                          (motley__found_tidy)
 *   node.c      which cores and how much memory it has              (node.h)
 *   choose.c    who drives what, on which cores: a pure function     (node.h)
 *   limits.c    what control groups allow
 *   child.c     discovery that leaves this process untouched        (node.h)
 *   bind.c      doing so, together                                  (motley__bind)
 *   device.c    opening the chosen one                              (motley__device_open)
 *   vendor.c    what it has of its vendor's own                  (motley__vendor_ask)
 *   probe.c     does it share the host's memory                     (motley__probe_zero_copy)
 *   names.c     OpenCL's errors in words                            (motley__fail_cl)
 *   buffer.c    memory, and its account                             (buffer.h)
 *   queue.c     launching kernels, waiting                          (queue.h)
 *   source.c    the text of a kernel file, its includes resolved    (program.h)
 *   program.c   source -> built program, kernels by name            (program.h)
 *   retarget.c  NVIDIA's target sm_90a                              (program.h)
 *   cache.c     built programs on disk                              (program.h)
 *   storage.c   numbers into and out of the storage types       (storage.h)
 *   tensor.c    a matrix of the public interface                    (tensor.h)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_DEVICE_DEVICE_H
#define MOTLEY_DEVICE_DEVICE_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <stdint.h>

#include <motley/context.h>
#include "base/error.h"
#include "base/log.h"

enum { MOTLEY__DTYPES = 3 };              /* of enum motley_dtype */

/* Matrix instructions of a wave; WAVE of cl/wave/. */
enum motley__instruction { MOTLEY__NO_INSTRUCTION, MOTLEY__MFMA, MOTLEY__WMMA, MOTLEY__DPAS16, MOTLEY__DPAS8 };

struct motley__variant;
struct motley__tuning;
struct motley__program;
struct motley__launched;

struct motley__device {
    struct motley_device_info info;     /* family and why are filled by motley__admit (product/admit.h) */
    struct motley__log log;

    cl_platform_id platform;
    cl_device_id id;
    char platform_version[128];
    int is_cpu;
    int crowded;                        /* 1: other ranks may run on this rank's cores */
    cl_context context;
    cl_command_queue compute;           /* in order, profiling on */
    cl_command_queue transfer;          /* in order, profiling on: copies beside computation */
    cl_command_queue arrival;           /* in order: copies to the device beside those from it */

    /* What kernels must know. */
    int native_float;                   /* native vector width for float: 4, 8, 16; 1 on most GPUs */
    int compute_units;
    size_t max_group;                   /* work-items in one group */
    size_t local_bytes;
    uint64_t max_buffer_bytes;          /* one buffer holds no more: large tensors span several */
    uint64_t cache_bytes;               /* of its last cache; a guess where the runtime does not say */
    size_t align_bytes;                 /* of a sub-buffer's origin */
    int has_double;                     /* 1: computes in double; cl/real.h says what is done elsewhere */
    int zero_copy;                      /* 1: buffers live in host memory, at buffer->host */

    /* Of one vendor alone (vendor.c). */
    int nvidia_capability;              /* 10 major + minor of an NVIDIA GPU, 90 for Hopper; 0 for any other */
    enum motley__instruction instruction;       /* AMD's or Intel's */
    int emulated;                       /* 1: the instruction is computed by other means */

    /* Account of buffers (buffer.c). */
    uint64_t memory_bytes;              /* what this rank may use; == info.memory_bytes */
    uint64_t used_bytes, peak_bytes;

    /* Products of at most so many pairs stream the weights past them (product/few.h); 0: the variant's own way.  Set
     * for GPUs when opened, 0 again where motley__admit finds that it fails. */
    int few_pairs[MOTLEY__DTYPES];

    /* Kernel variant of each storage type (product/variant.h); NULL until motley__admit. */
    const struct motley__variant *variant[MOTLEY__DTYPES];
    char why[MOTLEY__DTYPES][256];      /* that one, and why not those before it; "" until then */

    struct motley__tuning *tuning[MOTLEY__DTYPES];  /* owned: chosen for it (product/tuning.h); NULL: defaults */

    cl_mem tickets;                     /* owned: a counter that each kernel leaves at zero; NULL until one needs it
                                           (product/nvidia.c) */
    struct motley__program *programs;   /* owned list (program.c) */
    char *cache;                        /* owned: directory of built programs; NULL: no disk cache */
    int compiles_at_launch;             /* 1: compiling is put off until a launch; the runtime caches what it made */
    struct motley__launched *launched;  /* owned list (first.c) */
};

/* A device some platform shows.  Values; `id` stays valid for the process. */
struct motley__found {
    cl_platform_id platform;
    cl_device_id id;
    char platform_name[128], platform_version[128], name[128], driver[128];
    int is_gpu, is_cpu;                 /* neither: another accelerator, bound as GPUs are */
    char locality[32];                  /* PCI bus id "0000:65:00.0" when known, else ""; the same device on
                                           two platforms is found once */
};

/* All devices of all platforms, GPUs first in hwloc (PCI) order, then other accelerators, one CPU device.
 * *found owned by the caller, free() it.
 * Errors: MOTLEY_E_NO_DEVICE with the mend (no ICD file, no platform, no device). */
int motley__discover(struct motley__found **found, int *count, struct motley_error *error);

/* Sorts a list of everything that all platforms show and drops what they show twice; the number kept
 * (tidy.c). */
int motley__found_tidy(struct motley__found *list, int count);

/* What bind decides for one rank, before the first OpenCL call of a CPU rank. */
struct motley__binding {
    int device;                         /* index in the found list */
    int threads;                        /* CPU: compute threads */
    int cores;                          /* CPU: cores of this rank's mask */
    uint64_t memory_bytes;              /* CPU: hwloc and cgroup memory over the node's ranks */
    int sharers;                        /* ranks that drive this same device, this one included */
    int crowded;                        /* 1: a core of this rank's is another rank's, too */
};

/* Pick this rank's device and cores, design decision 1.  Sets the process's CPU mask, and
 * POCL_MAX_PTHREAD_COUNT and POCL_CPU_MAX_CU_COUNT for a CPU rank.  `node` holds the ranks of this
 * node.  Collective on node.
 * (Discovery itself makes OpenCL calls: bind therefore looks in a child process first.)
 * Errors: MOTLEY_E_NO_DEVICE, MOTLEY_E_INVALID (--devices matches nothing; a GPU would be shared). */
int motley__bind(MPI_Comm node, const struct motley_context_options *options, struct motley__found **found,
                 int *count, struct motley__binding *binding, struct motley_error *error);

/* Open: context, queues, limits, the zero-copy probe.  *device owned.
 * Errors: MOTLEY_E_DEVICE, MOTLEY_E_MEMORY. */
int motley__device_open(const struct motley__found *found, const struct motley__binding *binding,
                        const struct motley_context_options *options, const struct motley__log *log,
                        struct motley__device **device, struct motley_error *error);
void motley__device_close(struct motley__device *device); /* accepts NULL */

/* Fills what is one vendor's alone, from info and id (vendor.c). */
void motley__vendor_ask(struct motley__device *device);

/* *zero_copy = 1 when kernels and host see each other's writes in host memory given to OpenCL (probe.c). */
int motley__probe_zero_copy(struct motley__device *device, int *zero_copy, struct motley_error *error);

/* names.c.  "CL_OUT_OF_RESOURCES" for -5.  Never NULL. */
const char *motley__cl_name(cl_int status);
/* Record a failed OpenCL call as MOTLEY_E_DEVICE (MOTLEY_E_DEVICE_MEMORY for allocation failures);
 * 0 when status is CL_SUCCESS. */
int motley__fail_cl(struct motley_error *error, cl_int status, const char *call);

#endif
