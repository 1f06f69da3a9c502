/* The transposed product of few rows, as dot products: weights are read once, as they lie, and never turned around.
 *
 *     dots[i][r][lane] += g[r][lane] w[i][lane] + g[r][LANES + lane] w[i][LANES + lane]     for each panel of outputs
 *     y[r][i] = sum over the lanes of dots[i][r]                                            once, at the end
 *
 * A panel of outputs is a run of neighbouring memory for a block of inputs, so the weights come as a stream; the rows
 * meet them in chunks of 4, 2 and 1, whose parts of g stay in registers.
 *
 *     FEW_ROWS     rows of a tile up to which this beats turning the weights around
 *     FEW_DOTS     dots of a block: rows times inputs that the first cache holds
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_FEW_H
#define MOTLEY_CL_CPU_FEW_H

#include "ragged.h"
#include "cpu/stored.h"

#ifndef FEW_ROWS
#define FEW_ROWS 16
#endif
#ifndef FEW_DOTS
#define FEW_DOTS 512
#endif

#define FEW_G(r)                                                                                                   \
    const VECTOR g##r##_0 = stored_read(row[r] + o, O - o), g##r##_1 = stored_read(row[r] + o + LANES, O - o - LANES);
#define FEW_STEP(r) dots[r] += g##r##_0 * w0 + g##r##_1 * w1;

/* One panel of outputs, o .. o+PANEL-1, times `inputs` inputs from w on; `next` is what comes after. */
#define FEW(rows)                                                                                                  \
    static inline void few_##rows(__global const STORED *const *row, int o, int O, int inputs,                      \
                                  __global const STORED *w, __global const STORED *next, VECTOR *dots)             \
    {                                                                                                              \
        EACH_##rows(FEW_G)                                                                                         \
        for (int i = 0; i < inputs; i++, w += PANEL, next += PANEL, dots += rows) {                                \
            FETCH(next);                                                                                           \
            FETCH(next + LANES);                                                                                   \
            const VECTOR w0 = STORED_LOAD(0, w), w1 = STORED_LOAD(1, w);                                           \
            EACH_##rows(FEW_STEP)                                                                                  \
        }                                                                                                          \
    }

FEW(4)
FEW(2)
FEW(1)

static inline int few_height(int left)
{
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* All outputs for inputs i0 .. i0+inputs-1 of one expert's matrix w [panels of O][I][PANEL].  dots [inputs * rows]. */
static inline void few_multiply(int rows, __global const STORED *const *row, int O, int I, int i0, int inputs,
                                __global const STORED *w, VECTOR *dots)
{
    const size_t stride = (size_t)I * PANEL;
    for (int i = 0; i < inputs * rows; i++)
        dots[i] = (VECTOR)0.0f;
    w += (size_t)i0 * PANEL;
    for (int o = 0; o < O; o += PANEL, w += stride) {
        __global const STORED *next = o + PANEL < O ? w + stride : w + (size_t)inputs * PANEL;
        for (int r = 0; r < rows; r += few_height(rows - r)) {
            VECTOR *to = dots + (size_t)r * inputs;
            switch (few_height(rows - r)) {
            case 4: few_4(row + r, o, O, inputs, w, next, to); break;
            case 2: few_2(row + r, o, O, inputs, w, next, to); break;
            default: few_1(row + r, o, O, inputs, w, next, to);
            }
        }
    }
}

#define FEW_GATHER(i) part[i] = dots[min(i, inputs - 1) * height];

/* y[i0 + i] (+)= the sums of row r's dots, in a chunk of `height` rows. */
static inline void few_store(int inputs, int height, const VECTOR *dots, int accumulate, __global STORED *y)
{
    for (; inputs > 0; inputs -= LANES, dots += LANES * height, y += LANES) {
        VECTOR part[LANES];
        EACH_LANE(FEW_GATHER)
        VECTOR result = vector_sums(part);
        if (accumulate)
            result += stored_read(y, inputs);
        stored_write(result, y, inputs);
    }
}

#endif
