/* The transposed product of few rows, as dot products: weights are read once, as they lie, and never turned around.
 *
 *     dots[i][r][lane] += g[r][lane] w[i][lane] + g[r][LANES + lane] w[i][LANES + lane]     for each panel of outputs
 *     y[r][i] = sum over the lanes of dots[i][r]                                            once, at the end
 *
 * A panel of outputs is a run of neighbouring memory for a block of inputs, so the weights come as a stream; the rows
 * meet them in chunks of 4, 2 and 1, whose parts of g stay in registers.
 *
 * Where there are registers for it two panels share each read and write of the dots, or four.
 *
 *     FEW_ROWS     rows of a tile up to which this beats broadcast weights (across.h)
 *     FEW_PASS     rows that meet the weights together, a multiple of 4; further passes find them in the second cache
 *     FEW_AWAY     inputs that up to four rows of f32 fetch ahead, where LANES is 16; else as many bytes
 *     FEW_DOTS     dots of a block, rows times inputs, that the first cache holds; likewise
 *
 * Measured on two Zen 4 cores, D = 2048, F = 1408, 64 experts: 0.9 of the memory's speed at one row each; 160 of 232
 * GFLOP/s at 10, in bf16 190 at 24.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_CPU_FEW_H
#define MOTLEY_CL_CPU_FEW_H

#include "ragged.h"
#include "cpu/stored.h"

#ifndef FEW_ROWS
#define FEW_ROWS (STORAGE == 0 ? 12 : STORAGE == 1 ? 40 : 8)
#endif
#ifndef FEW_PASS
#define FEW_PASS 16
#endif
#ifndef FEW_DOTS
#define FEW_DOTS 384
#endif
#ifndef FEW_AWAY
#define FEW_AWAY 16
#endif

#define FEW_READ(r, p, v0, v1)                                                                                     \
    VECTOR g##r##_##v0, g##r##_##v1;                                                                               \
    panel_read(row[r] + o + p * PANEL, O - o - p * PANEL, &g##r##_##v0, &g##r##_##v1);
#define FEW_READ_1(r) FEW_READ(r, 0, 0, 1)
#define FEW_READ_2(r) FEW_READ_1(r) FEW_READ(r, 1, 2, 3)
#define FEW_READ_4(r) FEW_READ_2(r) FEW_READ(r, 2, 4, 5) FEW_READ(r, 3, 6, 7)
/* One sum after the other, each with its product: a sum of products would take an instruction more. */
#define FEW_ADD(r, v0, v1)                                                                                         \
    dot += g##r##_##v0 * w##v0;                                                                                    \
    dot += g##r##_##v1 * w##v1;
#define FEW_STEP_1(r) FEW_ADD(r, 0, 1)
#define FEW_STEP_2(r) FEW_STEP_1(r) FEW_ADD(r, 2, 3)
#define FEW_STEP_4(r) FEW_STEP_2(r) FEW_ADD(r, 4, 5) FEW_ADD(r, 6, 7)
#define FEW_LOAD(p, v0, v1)                                                                                        \
    FETCH(ahead + p * stride);                                                                                     \
    FETCH(ahead + p * stride + LANES);                                                                             \
    PANEL_LOAD(w##v0, w##v1, w + p * stride + i * PANEL);
#define FEW_LOAD_1 FEW_LOAD(0, 0, 1)
#define FEW_LOAD_2 FEW_LOAD_1 FEW_LOAD(1, 2, 3)
#define FEW_LOAD_4 FEW_LOAD_2 FEW_LOAD(2, 4, 5) FEW_LOAD(3, 6, 7)

/* One panel of outputs, o .. o+PANEL-1, two or four, `stride` apart, times `inputs` inputs from w on; `next` is what
 * comes after.  What is fetched is the same place there; for so few rows of f32 that they go through faster
 * than that arrives, the near future. */
#define FEW_DOT(r, panels)                                                                                         \
    {                                                                                                              \
        VECTOR dot = dots[r];                                                                                      \
        FEW_STEP_##panels(r)                                                                                       \
        dots[r] = dot;                                                                                             \
    }
#define FEW_DOT_1(r) FEW_DOT(r, 1)
#define FEW_DOT_2(r) FEW_DOT(r, 2)
#define FEW_DOT_4(r) FEW_DOT(r, 4)
#define FEW(rows, panels)                                                                                          \
    static inline void few_##rows##_##panels(__global const STORED *const *row, int o, int O, int inputs,          \
                                             __global const STORED *w, size_t stride,                              \
                                             __global const STORED *next, VECTOR *dots)                            \
    {                                                                                                              \
        const int away = STORAGE == 0 && (rows == 1 || panels == 4) ? FEW_AWAY * 16 / LANES : inputs;              \
        EACH_##rows(FEW_READ_##panels)                                                                             \
        for (int i = 0; i < inputs; i++, dots += rows) {                                                           \
            __global const STORED *ahead = (i + away < inputs ? w : next - inputs * PANEL) + (i + away) * PANEL;   \
            FEW_LOAD_##panels                                                                                      \
            EACH_##rows(FEW_DOT_##panels)                                                                          \
        }                                                                                                          \
    }
#define FEW_CASE(rows, panels)                                                                                     \
    case rows: few_##rows##_##panels(row + r, o, O, inputs, w, stride, next, dots + (size_t)r * inputs); break;

FEW(4, 1)
FEW(2, 1)
FEW(1, 1)
FEW(2, 2)
FEW(1, 2)
FEW(1, 4)
#if LANES == 16 /* twice the registers of the others */
FEW(4, 2)
FEW(2, 4)
#define FEW_CASES_4 FEW_CASE(2, 4) FEW_CASE(1, 4)
#define FEW_CASES_2 FEW_CASE(4, 2) FEW_CASE(2, 2) FEW_CASE(1, 2)
enum { FEW_FOUR = 4, FEW_TWO = FEW_ROWS };      /* rows of a pass that take four panels at most; two */
#else
#define FEW_CASES_4 FEW_CASE(1, 4)
#define FEW_CASES_2 FEW_CASE(2, 2) FEW_CASE(1, 2)
enum { FEW_FOUR = 1, FEW_TWO = 3 };
#endif

/* The next chunk's rows, when so many of a pass's are left. */
static inline int few_height(int rows, int left)
{
    return left >= 4 && rows > FEW_FOUR ? 4 : left >= 2 ? 2 : 1;
}

/* All outputs for inputs i0 .. i0+inputs-1 of one expert's matrix w [panels of O][I][PANEL].  dots [inputs * rows]. */
static inline void few_multiply(int rows, __global const STORED *const *row, int O, int I, int i0, int inputs,
                                __global const STORED *w, VECTOR *dots)
{
    const size_t stride = (size_t)I * PANEL;
    for (int i = 0; i < inputs * rows; i++)
        dots[i] = (VECTOR)0.0f;
    w += (size_t)i0 * PANEL;
    int o = 0;
    for (; rows <= FEW_FOUR && o + 3 * PANEL < O; o += 4 * PANEL, w += 4 * stride) {
        __global const STORED *next = o + 7 * PANEL < O ? w + 4 * stride : w;
        for (int r = 0; r < rows; r += few_height(rows, rows - r))
            switch (few_height(rows, rows - r)) {
                FEW_CASES_4
            }
    }
    for (; rows <= FEW_TWO && o + PANEL < O; o += 2 * PANEL, w += 2 * stride) {
        __global const STORED *next = o + 3 * PANEL < O ? w + 2 * stride : w;
        for (int r = 0; r < rows; r += few_height(rows, rows - r))
            switch (few_height(rows, rows - r)) {
                FEW_CASES_2
            }
    }
    for (; o < O; o += PANEL, w += stride) {
        __global const STORED *next = o + PANEL < O ? w + stride : w;
        for (int r = 0; r < rows; r += few_height(rows, rows - r))
            switch (few_height(rows, rows - r)) {
                FEW_CASE(4, 1) FEW_CASE(2, 1) FEW_CASE(1, 1)
            }
    }
}

#define FEW_GATHER(i) part[i] = dots[min(i, inputs - 1) * height];

/* y[i] (+)= the sums of row r's dots, of `rows` rows in chunks. */
static inline void few_store(int rows, int r, int inputs, const VECTOR *dots, int accumulate, __global STORED *y)
{
    int first = 0, height = few_height(rows, rows);
    for (; first + height <= r; height = few_height(rows, rows - first))
        first += height;
    dots += (size_t)first * inputs + r - first;
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
