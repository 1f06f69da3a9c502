/* Asynchronous copies into local memory, as inline PTX (cp.async, sm_80).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_COPY_H
#define MOTLEY_CL_NVIDIA_COPY_H

/* Functions that are given arrays of registers must not become calls. */
#define INLINE __attribute__((always_inline))

/* The address of local memory as PTX counts it. */
#define LOCAL_ADDRESS(p) ((uint)(ulong)(p))

/* 16 bytes to local memory, of which the first `bytes` come from `from` and the rest is zero; nothing is read when
 * bytes is 0. */
static inline void copy_chunk(uint to, ulong from, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

/* The same for a whole chunk. */
static inline void copy_whole(uint to, __global const ushort *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"((ulong)from) : "memory");
}

static inline void copies_commit(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* All but the last `n` groups of copies have arrived. */
#define COPIES_WAIT(n) asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory")

static inline void copies_wait_all(void)
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

/* 8 numbers of a row to one chunk; `left` of the row are within the matrix.  Rows whose length is no multiple of 8
 * lie at odd addresses: their numbers are fetched one by one. */
static inline void fetch(__local uchar *memory, uint base, uint at, __global const ushort *from, int left, int whole)
{
    left = clamp(left, 0, 8);
    if (whole) {
        copy_chunk(base + at, (ulong)from, 2 * left);
        return;
    }
    uint4 chunk;
    ushort part[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        part[i] = i < left ? from[i] : (ushort)0;
    chunk.x = part[0] | (uint)part[1] << 16;
    chunk.y = part[2] | (uint)part[3] << 16;
    chunk.z = part[4] | (uint)part[5] << 16;
    chunk.w = part[6] | (uint)part[7] << 16;
    *(__local uint4 *)(memory + at) = chunk;
}

#endif
