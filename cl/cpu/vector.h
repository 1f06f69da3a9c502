/* Vectors of a CPU: LANES floats, 4, 8 or 16 (-D), and what products do with whole vectors.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_VECTOR_H
#define MOTLEY_CL_CPU_VECTOR_H

#ifndef LANES
#define LANES 8
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(float, LANES)
#define LOAD(offset, address) JOIN(vload, LANES)((offset), (address))
#define STORE(value, offset, address) JOIN(vstore, LANES)((value), (offset), (address))

/* A vector at any address. */
typedef VECTOR ANYWHERE __attribute__((aligned(4)));

/* Ask for the cache line at an address, of any space: for the second cache, or (NEAR) for the first at once.
 * NO_FETCH (-D) leaves it out, for simulators that do not know it. */
#ifdef __has_builtin
#if __has_builtin(__builtin_prefetch) && !defined NO_FETCH
#define FETCH(address) __builtin_prefetch((const void *)(size_t)(address), 0, 2)
#define FETCH_NEAR(address) __builtin_prefetch((const void *)(size_t)(address), 0, 3)
#endif
#endif
#ifndef FETCH
#define FETCH(address)
#define FETCH_NEAR(address)
#endif

/* Vector i from an aligned address on, written past the caches: for what is written once and read much later.  The line
 * is then not read first. */
#ifdef __has_builtin
#if __has_builtin(__builtin_nontemporal_store)
#define STREAM(value, i, address) __builtin_nontemporal_store((value), (__global VECTOR *)(address) + (i))
#endif
#endif
#ifndef STREAM
#define STREAM(value, i, address) STORE((value), (i), (address))
#endif

/* M(0) M(1) .. : an array indexed by these constants alone stays in registers. */
#define EACH_1(M) M(0)
#define EACH_2(M) M(0) M(1)
#define EACH_4(M) EACH_2(M) M(2) M(3)
#define EACH_6(M) EACH_4(M) M(4) M(5)
#define EACH_8(M) EACH_6(M) M(6) M(7)
#define EACH_12(M) EACH_8(M) M(8) M(9) M(10) M(11)
#define EACH_16(M) EACH_12(M) M(12) M(13) M(14) M(15)
#define EACH_LANE(M) JOIN(EACH_, LANES)(M)

/* Two vectors dealt out alternately, a0 b0 a1 b1 ..: the lower and the upper half of that.  Written out because
 * compilers turn these, and not the assignments of .even and .odd, into one instruction. */
#if LANES == 16
#define EACH_HALF(M) EACH_8(M)
#define DEAL_LOW(a, b)                                                                                             \
    (float16)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7)
#define DEAL_HIGH(a, b)                                                                                            \
    (float16)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se, b.se, a.sf, b.sf)
#elif LANES == 8
#define EACH_HALF(M) EACH_4(M)
#define DEAL_LOW(a, b) (float8)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3)
#define DEAL_HIGH(a, b) (float8)(a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7)
#else
#define EACH_HALF(M) EACH_2(M)
#define DEAL_LOW(a, b) (float4)(a.s0, b.s0, a.s1, b.s1)
#define DEAL_HIGH(a, b) (float4)(a.s2, b.s2, a.s3, b.s3)
#endif
#define VECTOR_DEAL(i)                                                                                             \
    to[2 * i] = DEAL_LOW(from[i], from[i + LANES / 2]);                                                            \
    to[2 * i + 1] = DEAL_HIGH(from[i], from[i + LANES / 2]);
#define VECTOR_COPY(i) v[i] = dealt[i];

static inline void vector_deal(const VECTOR from[LANES], VECTOR to[LANES])
{
    EACH_HALF(VECTOR_DEAL)
}

/* A square of LANES x LANES numbers transposed: each round deals its first and second half of rows out. */
static inline void vector_transpose(VECTOR v[LANES])
{
    VECTOR dealt[LANES];
    vector_deal(v, dealt);
    vector_deal(dealt, v);
#if LANES >= 8
    vector_deal(v, dealt);
#endif
#if LANES == 16
    vector_deal(dealt, v);
#elif LANES == 8
    EACH_LANE(VECTOR_COPY)
#endif
}

#define VECTOR_FOLD_8(i) v[i] = DEAL_LOW(v[i], v[i + 8]) + DEAL_HIGH(v[i], v[i + 8]);
#define VECTOR_FOLD_4(i) v[i] = DEAL_LOW(v[i], v[i + 4]) + DEAL_HIGH(v[i], v[i + 4]);
#define VECTOR_FOLD_2(i) v[i] = DEAL_LOW(v[i], v[i + 2]) + DEAL_HIGH(v[i], v[i + 2]);
#define VECTOR_FOLD_1(i) v[i] = DEAL_LOW(v[i], v[i + 1]) + DEAL_HIGH(v[i], v[i + 1]);

/* Lane i of the result is the sum of v[i]'s lanes: the transposition above, its halves added in each round. */
static inline VECTOR vector_sums(VECTOR v[LANES])
{
#if LANES == 16
    EACH_8(VECTOR_FOLD_8)
#endif
#if LANES >= 8
    EACH_4(VECTOR_FOLD_4)
#endif
    EACH_2(VECTOR_FOLD_2)
    VECTOR_FOLD_1(0)
    return v[0];
}

/* Up to LANES numbers; those beyond `count` come as zero and are not touched in memory. */
static inline VECTOR vector_read(__global const float *from, int count)
{
    if (count >= LANES)
        return LOAD(0, from);
    float part[LANES];
    for (int i = 0; i < LANES; i++)
        part[i] = i < count ? from[i] : 0.0f;
    return LOAD(0, part);
}

static inline void vector_write(VECTOR value, __global float *to, int count)
{
    if (count >= LANES) {
        STORE(value, 0, to);
        return;
    }
    float part[LANES];
    STORE(value, 0, part);
    for (int i = 0; i < count; i++)
        to[i] = part[i];
}

/* The lanes' sum, in ascending order. */
static inline float vector_sum(VECTOR v)
{
    float part[LANES], sum = 0.0f;
    STORE(v, 0, part);
    for (int i = 0; i < LANES; i++)
        sum += part[i];
    return sum;
}

#endif
