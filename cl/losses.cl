/* The sums of the gate's auxiliary losses over this rank's tokens.
 *
 *   sums[e] = sum_t p[t,e];  sums[E+e] = tokens whose indices[t,0] is e;  sums[2E] = sum_t lse[t]^2;  sums[2E+1] = T
 *
 * and for the importance and load loss, with c the logits without noise and lse theirs:
 *
 *   sums[e] = sum_t exp(c[t,e] - lse[t]);  sums[E+e] = sum_t Phi((c[t,e] - last[t]) / sigma), Phi the distribution
 *                                                  of a normal number
 *
 * p, c [T,E], lse, last [T], indices [T,K].  A group has X x Y items, each COLUMNS neighbouring experts and every Yth
 * token; items add 64 tokens at a time to their totals, then the Y totals are added in order.  The group after
 * the last expert's sums lse.  Bytes 4 T (E + groups + 1), 2 T E additions.
 * Measured at T = 2048, E = 128: 0.10 ms on 2 cores, 0.02 ms on an H200 (0.13 ms at T = 65536, E = 8: one tall group).
 *
 *   IMPORTANCE      1: the second pair of sums (default 0)
 *   X, Y, COLUMNS   1, 1, 16 on CPUs (default); up to 32, X * Y = 1024 where the device allows it, 1 on GPUs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "real.h"

#ifndef X
#define X 1
#endif
#ifndef Y
#define Y 1
#endif
#ifndef COLUMNS
#define COLUMNS 16
#endif
#ifndef IMPORTANCE
#define IMPORTANCE 0
#endif
#define BLOCK 64

#if MOTLEY__DOUBLE
#define ROOT_HALF 0.7071067811865476
#else
#define ROOT_HALF 0.7071067811865476f
#endif

/* What the sums are taken of. */
struct numbers {
    __global const float *p, *lse;      /* p: c when IMPORTANCE */
#if IMPORTANCE
    __global const float *last;
#else
    __global const int *indices;
#endif
};

/* One token's parts of sums e and E + e. */
static void parts_of(const struct motley__losses_args a, const struct numbers from, int t, int e, real *first,
                     real *second)
{
    const real value = from.p[(size_t)t * a.E + e];
#if IMPORTANCE
    *first = exp(value - from.lse[t]);
    *second = erfc((from.last[t] - value) * a.inverse * ROOT_HALF) / 2;
#else
    *first = value;
    *second = from.indices[(size_t)t * a.K] == e;
#endif
}

/* total[c] += ..., share[c] += ... over up to BLOCK tokens t, t + Y, ... */
static void add_block(const struct motley__losses_args a, const struct numbers from, int e, int t, real *total,
                      real *share)
{
    real sum[COLUMNS] = {0}, count[COLUMNS] = {0};
    for (int i = 0; i < BLOCK && t < a.T; i++, t += Y)
        for (int c = 0; c < COLUMNS; c++)
            if (e + c < a.E) {
                real first, second;
                parts_of(a, from, t, e + c, &first, &second);
                sum[c] += first;
                count[c] += second;
            }
    for (int c = 0; c < COLUMNS; c++) {
        total[c] += sum[c];
        share[c] += count[c];
    }
}

static void sum_experts(const struct motley__losses_args a, const struct numbers from, __global float *sums,
                        __local real *part)
{
    const int x = get_local_id(0), y = get_local_id(1);
    const int e = (get_group_id(0) * X + x) * COLUMNS;
    real total[COLUMNS] = {0}, share[COLUMNS] = {0};
    for (int t = y; t < a.T; t += Y * BLOCK)
        add_block(a, from, e, t, total, share);
    for (int c = 0; c < COLUMNS; c++) {
        part[2 * ((y * X + x) * COLUMNS + c)] = total[c];
        part[2 * ((y * X + x) * COLUMNS + c) + 1] = share[c];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int c = 0; y == 0 && c < COLUMNS && e + c < a.E; c++) {
        real sum = 0, count = 0;
        for (int i = 0; i < Y; i++) {
            sum += part[2 * ((i * X + x) * COLUMNS + c)];
            count += part[2 * ((i * X + x) * COLUMNS + c) + 1];
        }
        sums[e + c] = sum;
        sums[a.E + e + c] = count;
    }
}

static void sum_lse(const struct motley__losses_args a, __global const float *lse, __global float *sums,
                    __local real *part)
{
    const int item = get_local_id(1) * X + get_local_id(0);
    real total = 0;
    for (int t = item; t < a.T; t += X * Y * BLOCK) {
        real sum = 0;
        for (int i = 0; i < BLOCK && t + i * X * Y < a.T; i++)
            sum += (real)lse[t + i * X * Y] * lse[t + i * X * Y];
        total += sum;
    }
    part[item] = total;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item == 0) {
        total = 0;
        for (int i = 0; i < X * Y; i++)
            total += part[i];
        sums[2 * a.E] = total;
        sums[2 * a.E + 1] = a.T;
    }
}

__kernel __attribute__((reqd_work_group_size(X, Y, 1)))
#if IMPORTANCE
void importance_sums(const struct motley__losses_args a, __global const float *restrict p,
                     __global const float *restrict lse, __global const float *restrict last,
                     __global float *restrict sums)
{
    const struct numbers from = {p, lse, last};
#else
void losses_sums(const struct motley__losses_args a, __global const float *restrict p,
                 __global const float *restrict lse, __global const int *restrict indices,
                 __global float *restrict sums)
{
    const struct numbers from = {p, lse, indices};
#endif
    __local real part[2 * X * Y * COLUMNS];
    if (get_group_id(0) + 1 < get_num_groups(0))
        sum_experts(a, from, sums, part);
    else
        sum_lse(a, lse, sums, part);
}
