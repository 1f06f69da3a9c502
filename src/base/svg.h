/* Pictures of lines over two axes, as SVG: frame, ticks, lines, dots, legend.
 *
 *   begin ... lines, dots, levels ... end
 *
 * Each axis is linear or logarithmic; what lies outside the frame is cut off.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_SVG_H
#define MOTLEY_BASE_SVG_H

#include <stdio.h>

struct motley__svg_axis {
    const char *label;
    double low, high;                /* low < high; of a logarithmic axis both positive */
    int logarithmic;                 /* 1: ticks at powers of two where there are few, else of ten */
    int whole;                       /* 1: ticks at whole numbers only */
    int ticks;                       /* at most, about */
};

struct motley__svg {
    FILE *stream;                    /* borrowed */
    struct motley__svg_axis x, y;
};

/* One line of the legend: a sample of the line, its name, and a value at the right end (NULL: none). */
struct motley__svg_sample {
    const char *name, *colour, *dash; /* dash: "none", "7 4" */
    const char *value;
};

/* The distance between ticks: 1, 2 or 5 times a power of ten, at most `most` of them in `range`. */
double motley__svg_tick(double range, int most);

/* Everything behind the lines.  heading: large; caption: a line below; what: for those who cannot see it. */
void motley__svg_begin(const struct motley__svg *svg, const char *what, const char *heading, const char *caption);
/* The end of the picture, with a legend over the lines in the upper right corner, or (left 1) the left one; the stream
 * stays open. */
void motley__svg_end(const struct motley__svg *svg, const struct motley__svg_sample *sample, int count, int width,
                     int left);

/* A line through points, all finite, which come between its begin and its end. */
void motley__svg_line_begin(const struct motley__svg *svg, const char *colour, double width);
void motley__svg_line_point(const struct motley__svg *svg, double x, double y);
void motley__svg_line_end(const struct motley__svg *svg);

/* A dashed line across the frame. */
void motley__svg_level(const struct motley__svg *svg, double y, const char *colour);
void motley__svg_dot(const struct motley__svg *svg, double x, double y, const char *colour, double radius);

#endif
