/* Milliseconds of a step over ranks, as a picture.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "base/file.h"
#include "base/svg.h"
#include "simulate/simulate.h"

static const struct {
    enum motley_mode mode;
    const char *name, *colour;
} LINES[] = {
    {MOTLEY_MODE_EXPERT, "expert", "#0b5cad"},
    {MOTLEY_MODE_DATA, "data", "#b8620a"},
    {MOTLEY_MODE_MODEL, "model", "#7b3294"},
    {MOTLEY_MODE_HYBRID, "hybrid, its best groups", "#2f8f4e"},
};
enum { COUNT = (int)(sizeof LINES / sizeof *LINES) };

static double milliseconds(const struct motley__alternative *alternative)
{
    return 1e3 * motley__step_seconds(&alternative->predicted);
}

/* Whole powers of two around the ranks and of two around the times; at least one apart. */
static void choose_axes(const struct motley__simulation *simulation, int count, struct motley__svg *svg)
{
    double least = INFINITY, most = 0, fewest = simulation[0].R, largest = simulation[0].R;
    for (int s = 0; s < count; s++) {
        fewest = fmin(fewest, simulation[s].R);
        largest = fmax(largest, simulation[s].R);
        for (int l = 0; l < COUNT; l++) {
            const struct motley__alternative *best = motley__simulation_best(&simulation[s], LINES[l].mode);
            if (best && milliseconds(best) > 0) {
                least = fmin(least, milliseconds(best));
                most = fmax(most, milliseconds(best));
            }
        }
    }
    if (most == 0)
        least = most = 1;
    svg->x = (struct motley__svg_axis){.label = "ranks", .low = fewest, .high = fmax(largest, 2 * fewest),
                                       .logarithmic = 1, .ticks = 13};
    svg->y = (struct motley__svg_axis){.label = "ms a step", .low = exp2(floor(log2(least) - 0.1)),
                                       .high = exp2(ceil(log2(most) + 0.1)), .logarithmic = 1, .ticks = 8};
}

/* The sizes at which a mode fits, joined. */
static void write_mode(const struct motley__svg *svg, const struct motley__simulation *simulation, int count, int l)
{
    motley__svg_line_begin(svg, LINES[l].colour, 2);
    for (int s = 0; s < count; s++) {
        const struct motley__alternative *best = motley__simulation_best(&simulation[s], LINES[l].mode);
        if (best && milliseconds(best) > 0)
            motley__svg_line_point(svg, simulation[s].R, milliseconds(best));
    }
    motley__svg_line_end(svg);
    for (int s = 0; s < count; s++) {
        const struct motley__alternative *chosen =
            simulation[s].chosen < 0 ? NULL : &simulation[s].alternative[simulation[s].chosen];
        if (chosen && chosen->mode == LINES[l].mode && chosen->predicted.known && milliseconds(chosen) > 0)
            motley__svg_dot(svg, simulation[s].R, milliseconds(chosen), LINES[l].colour, 4);
    }
}

/* Do the lines rise to the right, so that the left corner is free? */
static int rises(const struct motley__simulation *simulation, int count)
{
    double first = 0, last = 0;
    for (int l = 0; l < COUNT; l++) {
        const struct motley__alternative *low = motley__simulation_best(&simulation[0], LINES[l].mode),
                                         *high = motley__simulation_best(&simulation[count - 1], LINES[l].mode);
        first = low ? fmax(first, milliseconds(low)) : first;
        last = high ? fmax(last, milliseconds(high)) : last;
    }
    return last > first;
}

int motley__simulation_plot(const char *path, const struct motley__simulation *simulation, int count,
                            const char *caption, struct motley_error *error)
{
    struct motley__svg_sample sample[COUNT];
    struct motley__new_file file;
    int status = motley__new_file_open(path, &file, error);
    if (status)
        return status;
    struct motley__svg svg = {.stream = file.stream};
    choose_axes(simulation, count, &svg);
    motley__svg_begin(&svg, "Predicted milliseconds of a step over ranks, by mode; the chosen mode dotted",
                      "Predicted step by mode, the chosen one dotted", caption);
    for (int l = 0; l < COUNT; l++) {
        write_mode(&svg, simulation, count, l);
        sample[l] = (struct motley__svg_sample){LINES[l].name, LINES[l].colour, "none", NULL};
    }
    motley__svg_end(&svg, sample, COUNT, 220, rises(simulation, count));
    return motley__new_file_commit(&file, error);
}
