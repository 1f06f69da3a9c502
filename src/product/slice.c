/* Slices of experts' matrices, on the host and on the device; the kernel is cl/slice.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "device/program.h"
#include "device/queue.h"
#include "product/slice.h"

enum { LINES = 16, CPU_COLUMNS = 1024, GPU_ITEMS = 64 }; /* of a work-group, see the kernel */

struct motley__part_shape motley__part_of(enum motley__hidden hidden, int begin, int end, int O, int I)
{
    switch (hidden) {
    case MOTLEY__HIDDEN_ROWS: return (struct motley__part_shape){begin, 0, end - begin, I};
    case MOTLEY__HIDDEN_COLUMNS: return (struct motley__part_shape){0, begin, O, end - begin};
    case MOTLEY__HIDDEN_NONE: break;
    }
    return (struct motley__part_shape){0, 0, O, I};
}

void motley__part_cut(const struct motley__part_shape *part, int I, const float *whole, float *cut)
{
    for (int o = 0; o < part->O; o++)
        memcpy(cut + (size_t)o * (size_t)part->I, whole + (size_t)(part->row + o) * (size_t)I + part->column,
               (size_t)part->I * sizeof *cut);
}

void motley__part_paste(const struct motley__part_shape *part, int I, const float *cut, float *whole)
{
    for (int o = 0; o < part->O; o++)
        memcpy(whole + (size_t)(part->row + o) * (size_t)I + part->column, cut + (size_t)o * (size_t)part->I,
               (size_t)part->I * sizeof *cut);
}

/* The number of expert i on one side. */
static int number_of(const struct motley__slice_side *side, const int *expert, int i)
{
    return side->list < 0 ? i : expert[side->list + i];
}

/* The side's buffer and the rest of its place, for expert i and those behind it; returns the first expert that lies in
 * another buffer, at most `last` + 1. */
static int locate(const struct motley__slice_end *end, const int *expert, int i, int last,
                  struct motley__slice_side *side, const struct motley__buffer **buffer)
{
    const struct motley__matrix *m = end->matrix;
    if (!m) {
        *buffer = end->buffer;
        return last + 1;
    }
    const int segment = number_of(side, expert, i) / m->per_segment;
    const size_t numbers = motley__matrix_numbers(m->O, m->I, m->panel);
    assert(numbers <= INT_MAX);
    side->numbers = (int)numbers;
    side->first = segment * m->per_segment;
    *buffer = m->segment[segment];
    while (i <= last && number_of(side, expert, i) / m->per_segment == segment)
        i++;
    return i;
}

/* A wire begins with the launch's first line. */
static void begin_wire(const struct motley__slice_args *args, struct motley__slice_side *side)
{
    assert((size_t)args->lines * (size_t)args->width <= INT_MAX);
    *side = (struct motley__slice_side){.list = -1, .numbers = args->lines * args->width, .panel = 1, .I = args->width,
                                        .start = args->first};
}

static int get_kernel(struct motley__device *device, enum motley_dtype dtype, int add, cl_kernel *kernel,
                      struct motley_error *error)
{
    char options[96];
    assert(!add || dtype == MOTLEY_F32);
    snprintf(options, sizeof options, "-DNUMBER=%s%s", add ? "float -DADD" : dtype == MOTLEY_F32 ? "uint" : "ushort",
             device->info.is_gpu ? " -DW=64 -DCOLUMNS=64" : "");
    return motley__kernel(device, "slice.cl", options, "slice", kernel, error);
}

int motley__slice_move(struct motley__device *device, enum motley_dtype dtype, int add,
                       const struct motley__slice_args *args, const struct motley__buffer *expert,
                       const int *host_expert, struct motley__slice_end from, struct motley__slice_end to,
                       struct motley_error *error)
{
    const size_t items = device->info.is_gpu ? GPU_ITEMS : 1, columns = device->info.is_gpu ? GPU_ITEMS : CPU_COLUMNS;
    const int end = args->first + args->count, last = (end - 1) / args->lines;
    struct motley__slice_args a = *args;
    cl_kernel kernel;
    int status = get_kernel(device, dtype, add, &kernel, error);
    if (!from.matrix)
        begin_wire(args, &a.from);
    if (!to.matrix)
        begin_wire(args, &a.to);
    while (!status && a.first < end) {
        const struct motley__buffer *source, *target;
        const int i = a.first / a.lines, source_end = locate(&from, host_expert, i, last, &a.from, &source);
        const int target_end = locate(&to, host_expert, i, last, &a.to, &target);
        const int next = (source_end < target_end ? source_end : target_end) * a.lines;
        a.count = (next < end ? next : end) - a.first;
        const struct motley__range range = {{((size_t)a.width + columns - 1) / columns * items,
                                             ((size_t)a.count + LINES - 1) / LINES}, {items, 1}};
        status = motley__launch_beside(device, kernel, range, error, MOTLEY__VALUE(a), MOTLEY__BUFFER(expert),
                                       MOTLEY__BUFFER(source), MOTLEY__BUFFER(target));
        a.first += a.count;
    }
    return status;
}
