/* Hopper's asynchronous copies into local memory, as inline PTX (sm_90).
 *
 * A stage of the pipeline is filled by the producer's work-items with cp.async and read by the tensor cores.  Two
 * barriers a stage: `full` completes a phase when all producers have said that their part has arrived, `empty` when all
 * consuming warps have read it.
 *
 * Matrices lie in blocks of 128-byte rows, 16-byte chunks exchanged by the row's number so that neither the writes nor
 * the tensor cores' reads meet in one bank (the hardware's 128-byte swizzle):
 *
 *     chunk c of row r lies at r * 128 + ((c ^ (r & 7)) << 4)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_ASYNC_H
#define MOTLEY_CL_NVIDIA_ASYNC_H

#include "nvidia/copy.h"

#define SWIZZLED(row, chunk) (((row) << 7) + (((chunk) ^ ((row)&7)) << 4))

/* What this work-item wrote to local memory, or saw there behind a barrier, comes before what the tensor cores read
 * from now on. */
static inline void publish(void)
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

static inline void phase_create(uint barrier, int arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

static inline void phase_arrive(uint barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/* The same as soon as all copies that this work-item has issued have arrived. */
static inline void phase_arrive_copied(uint barrier)
{
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

/* Until the phase of the given parity is complete. */
static inline void phase_wait(uint barrier, uint parity)
{
    asm volatile("{\n.reg .pred done;\nAGAIN:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                 "@done bra READY;\nbra AGAIN;\nREADY:\n}" ::"r"(barrier), "r"(parity) : "memory");
}

#endif
