/* ESS on a CPU.
 *
 *   db[e,:] (+)= sum over p with e(p)=e of s[p] a[row p,:]              a [*,O], db [E,O]
 *
 * Work-groups of one item: dimension 0 counts experts, dimension 1 strips of `strip` outputs.  Sums of a strip stay in
 * the first cache while rows go by, eight at a time and the last ones four and one: neighbouring rows are read as one
 * run where the strip is all of a row, and the next ones are fetched meanwhile.
 * a is stored as STORAGE, db as f32.  Reads a once: bound by memory.
 *
 * Measured on two Zen 4 cores, O = 1408: 0.8 of the memory's speed with 192 rows an expert (strips of 64 outputs in
 * registers: 0.35).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"
#include "ragged.h"
#include "cpu/stored.h"

#ifndef STRIP
#define STRIP 2048 /* outputs of a work-group at most, a multiple of LANES; src/product/cpu.c says the same */
#endif

#define ESS_FIND(i)                                                                                                \
    row[i] = ragged_row(p + i, index, own, received, args.own_rows, args.O) + o;                                   \
    next[i] = ragged_row(min(p + i + height, end - 1), index, own, received, args.own_rows, args.O) + o;           \
    s[i] = scale ? scale[p + i] : 1.0f;
#define ESS_ADD(i)                                                                                                 \
    FETCH(next[i] + j * LANES);                                                                                    \
    sum += (VECTOR)s[i] * stored_read(row[i] + j * LANES, count - j * LANES);
#define ESS(rows)                                                                                                  \
    for (const int height = rows; p + height <= end; p += height) {                                                \
        __global const STORED *row[rows], *next[rows];                                                             \
        float s[rows];                                                                                             \
        EACH_##rows(ESS_FIND)                                                                                      \
        for (int j = 0; j * LANES < count; j++) {                                                                  \
            VECTOR sum = sums[j];                                                                                  \
            EACH_##rows(ESS_ADD)                                                                                   \
            sums[j] = sum;                                                                                         \
        }                                                                                                          \
    }

__kernel void ess(struct motley__product_args args, __global const int *offsets,
                  __global const int *index, __global const STORED *own, __global const STORED *received,
                  __global const float *scale, __global float *db)
{
    VECTOR sums[STRIP / LANES];
    struct ragged_tile rows = ragged_rows(args, offsets, args.first + get_group_id(0));
    int strips = get_num_groups(1), strip = ((args.O + strips - 1) / strips + LANES - 1) / LANES * LANES;
    int o = get_group_id(1) * strip, count = min(strip, args.O - o), p = rows.first, end = p + rows.rows;

    db += (size_t)rows.expert * args.O + o;
    for (int j = 0; j * LANES < count; j++)
        sums[j] = args.accumulate ? vector_read(db + j * LANES, count - j * LANES) : (VECTOR)0.0f;
    ESS(8)
    ESS(4)
    ESS(1)
    for (int j = 0; j * LANES < count; j++)
        vector_write(sums[j], db + j * LANES, count - j * LANES);
}
