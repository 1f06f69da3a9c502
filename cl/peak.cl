/* What a device can do at most: multiply-adds that touch registers alone, and reads that touch memory alone.
 *
 *   peak_fma    a <- a m + c, CHAINS independent chains of VECTOR, loops times: 2 CHAINS LANES loops flops an item
 *   peak_read   the sum of `count` vectors from number `first` on: 4 LANES bytes each; memory decides
 *
 *   LANES    floats of a vector (-D, default 1): the native width on a CPU, where an item is a group of its own
 *   CHAINS   a multiply-add's latency is hidden when there are more chains than it has cycles times units
 *   STRIDED  neighbouring items read neighbouring vectors (GPUs); else each item reads a run of its own (CPUs)
 *
 * Every item writes what it has, so nothing may be left out.
 *
 * SPDX-License-Identifier: BSD-3-Clause */

#ifndef LANES
#define LANES 1
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if LANES == 1
typedef float vector;
#else
typedef JOIN(float, LANES) vector;
#endif
#define CHAINS 12
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)

static inline float total(vector v)
{
#if LANES == 1
    return v;
#else
    float part[LANES], sum = 0.0f;
    JOIN(vstore, LANES)(v, 0, part);
    for (int i = 0; i < LANES; i++)
        sum += part[i];
    return sum;
#endif
}

#define BEGIN(i) vector a##i = (vector)(start + 0.01f * i);
#define STEP(i) a##i = fma(a##i, m, c);
#define ADD(i) sum += a##i;

/* loops is a multiple of 4. */
__kernel void peak_fma(const int loops, const float factor, const float term, __global float *restrict out)
{
    const float start = 0.001f * (float)get_global_id(0);
    const vector m = (vector)factor, c = (vector)term;
    EACH(BEGIN)
    for (int i = 0; i < loops; i += 4) {
        EACH(STEP)
        EACH(STEP)
        EACH(STEP)
        EACH(STEP)
    }
    vector sum = (vector)0.0f;
    EACH(ADD)
    out[get_global_id(0)] = total(sum);
}

/* count is a multiple of 8 times the number of items. */
__kernel void peak_read(const ulong first, const ulong count, __global const vector *restrict x,
                        __global float *restrict out)
{
    const size_t items = get_global_size(0), item = get_global_id(0), each = count / items;
#ifdef STRIDED
    const size_t begin = first + item, step = items;
#else
    const size_t begin = first + item * each, step = 1;
#endif
    vector s0 = (vector)0.0f, s1 = s0, s2 = s0, s3 = s0;
    for (size_t i = 0; i < each; i += 8) {
        __global const vector *at = x + begin + i * step;
        s0 += at[0] + at[4 * step];
        s1 += at[step] + at[5 * step];
        s2 += at[2 * step] + at[6 * step];
        s3 += at[3 * step] + at[7 * step];
    }
    out[item] = total(s0 + s1 + s2 + s3);
}
