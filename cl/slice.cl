/* The same slice [lines, width] of each of some experts' matrices, from one layout to another.
 *
 *   line l = (i, o), expert i, output o:    to(i, o, c) = from(i, o, c)    or, with ADD, += (f32)
 *   element (o, c) of expert i lies at      i * numbers + ((o / panel) * I + c) * panel + o % panel
 *                                           with o counted from the slice's row, c from its column
 *
 * A wire has panel 1; between two panels of the same height the caller passes panels as lines (src/exchange/flow.h).  A
 * work-group moves 16 lines of one run of columns: line by line where both panels are 1, else by blocks of columns
 * that stay in the cache while all their lines, (mostly) of one panel, are moved.
 * Bytes 2 count width (ADD: 3), no flops.  Measured with messages and all: src/exchange/redistribution.h.
 *
 *   NUMBER    ushort or uint, whatever is stored (default uint); ADD: float
 *   COLUMNS   of a group's run
 *   W         work-items of a group: 1 on CPUs (default), 64 on GPUs
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "types.h"

#ifndef W
#define W 1
#endif
#ifndef COLUMNS
#define COLUMNS 1024
#endif
#ifndef NUMBER
#define NUMBER uint
#endif
#ifdef ADD
#define MOVE(to, from) ((to) += (from))
#else
#define MOVE(to, from) ((to) = (from))
#endif

enum { LINES = 16, BLOCK = W < 16 ? 16 : W };

/* Where column 0 of a line's slice lies. */
static size_t line_at(const struct motley__slice_side s, __global const int *expert, int i, int o)
{
    const int number = s.list < 0 ? i : expert[s.list + i], row = o + s.row;
    const size_t in_expert = ((size_t)(row / s.panel) * s.I + s.column) * s.panel + row % s.panel;
    return (size_t)(number - s.first) * s.numbers + in_expert - (size_t)s.start * s.I;
}

__kernel __attribute__((reqd_work_group_size(W, 1, 1)))
void slice(const struct motley__slice_args a, __global const int *restrict expert,
           __global const NUMBER *restrict from, __global NUMBER *restrict to)
{
    const int begin = get_group_id(0) * COLUMNS, end = min(begin + COLUMNS, a.width);
    const int done = get_group_id(1) * LINES, lines = min((int)LINES, a.count - done);
    const int item = get_local_id(0);
    size_t in[LINES], out[LINES];

    for (int k = 0; k < LINES; k++) {
        const uint l = a.first + done + min(k, lines - 1);
        in[k] = line_at(a.from, expert, l / (uint)a.lines, l % (uint)a.lines);
        out[k] = line_at(a.to, expert, l / (uint)a.lines, l % (uint)a.lines);
    }
    if (a.from.panel == 1 && a.to.panel == 1) {
        for (int k = 0; k < lines; k++)
            for (int c = begin + item; c < end; c += W)
                MOVE(to[out[k] + c], from[in[k] + c]);
        return;
    }
    for (int first = begin; first < end; first += BLOCK) {
        const int last = min((int)BLOCK, end - first);
        for (int k = 0; k < lines; k++) {
            __global const NUMBER *x = from + in[k] + (size_t)first * a.from.panel;
            __global NUMBER *y = to + out[k] + (size_t)first * a.to.panel;
            for (int c = item; c < last; c += W)
                MOVE(y[c * a.to.panel], x[c * a.from.panel]);
        }
    }
}
