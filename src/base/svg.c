/* Pictures of lines over two axes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "base/svg.h"

enum { WIDTH = 760, HEIGHT = 460, LEFT = 64, RIGHT = 24, TOP = 64, BOTTOM = 52, ROW = 20, EDGE = 6 };

double motley__svg_tick(double range, int most)
{
    double power = pow(10, floor(log10(range / most)));
    double part = range / most / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

/* Where a value lies on its axis, 0 to 1. */
static double part_of(const struct motley__svg_axis *axis, double value)
{
    return axis->logarithmic ? log(value / axis->low) / log(axis->high / axis->low)
                             : (value - axis->low) / (axis->high - axis->low);
}

static double x_of(const struct motley__svg *svg, double x)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * part_of(&svg->x, x);
}

static double y_of(const struct motley__svg *svg, double y)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part_of(&svg->y, y);
}

/* Tick n of an axis; the last is the last that is within it. */
static double tick_at(const struct motley__svg_axis *axis, int n)
{
    if (axis->logarithmic) {
        const double base = log2(axis->high / axis->low) <= axis->ticks ? 2 : 10;
        return pow(base, ceil(log(axis->low) / log(base) - 1e-9) + n);
    }
    const double step = motley__svg_tick(axis->high - axis->low, axis->ticks);
    return axis->low + n * (axis->whole ? fmax(1, step) : step);
}

static int is_within(const struct motley__svg_axis *axis, double tick)
{
    return axis->logarithmic ? tick <= axis->high * 1.0001 : tick <= axis->high + 1e-4 * (axis->high - axis->low);
}

static void put_text(const struct motley__svg *svg, const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c == '<' || *c == '&')
            fputs(*c == '<' ? "&lt;" : "&amp;", svg->stream);
        else
            fputc(*c, svg->stream);
}

static void put_axes(const struct motley__svg *svg)
{
    for (int n = 0; is_within(&svg->y, tick_at(&svg->y, n)); n++) {
        const double tick = tick_at(&svg->y, n);
        fprintf(svg->stream,
                "<path d=\"M%d %.1fH%d\" stroke=\"#e4e4e4\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                LEFT, y_of(svg, tick), WIDTH - RIGHT, LEFT - 8, y_of(svg, tick) + 4.5, round(tick * 1e6) / 1e6);
    }
    for (int n = 0; is_within(&svg->x, tick_at(&svg->x, n)); n++) {
        const double tick = tick_at(&svg->x, n);
        fprintf(svg->stream, "<path d=\"M%.1f %dv5\" stroke=\"#444444\"/><text x=\"%.1f\" y=\"%d\" "
                "text-anchor=\"middle\">%.0f</text>\n", x_of(svg, tick), HEIGHT - BOTTOM, x_of(svg, tick),
                HEIGHT - BOTTOM + 20, tick);
    }
    fprintf(svg->stream,
            "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#444444\"/>\n"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
            "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n</g>\n",
            LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, svg->x.label,
            (TOP + HEIGHT - BOTTOM) / 2, svg->y.label);
}

void motley__svg_begin(const struct motley__svg *svg, const char *what, const char *heading, const char *caption)
{
    fprintf(svg->stream,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\">\n"
            "<title>%s</title>\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n"
            "<clipPath id=\"inside\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n"
            "<text x=\"%d\" y=\"26\" font-size=\"17\" font-weight=\"bold\" fill=\"#1a1a1a\">%s</text>\n"
            "<text x=\"%d\" y=\"47\" fill=\"#555555\">",
            WIDTH, HEIGHT, WIDTH, HEIGHT, what, WIDTH, HEIGHT, LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM,
            LEFT, heading, LEFT);
    put_text(svg, caption);
    fputs("</text>\n<g fill=\"#444444\" stroke=\"none\">\n", svg->stream);
    put_axes(svg);
    fputs("<g clip-path=\"url(#inside)\">\n", svg->stream);
}

void motley__svg_line_begin(const struct motley__svg *svg, const char *colour, double width)
{
    fprintf(svg->stream, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" points=\"", colour, width);
}

void motley__svg_line_point(const struct motley__svg *svg, double x, double y)
{
    fprintf(svg->stream, "%.1f,%.1f ", x_of(svg, x), y_of(svg, y));
}

void motley__svg_line_end(const struct motley__svg *svg)
{
    fputs("\"/>\n", svg->stream);
}

void motley__svg_level(const struct motley__svg *svg, double y, const char *colour)
{
    fprintf(svg->stream, "<path d=\"M%d %.1fH%d\" stroke=\"%s\" stroke-width=\"1.6\" stroke-dasharray=\"7 4\"/>\n",
            LEFT, y_of(svg, y), WIDTH - RIGHT, colour);
}

void motley__svg_dot(const struct motley__svg *svg, double x, double y, const char *colour, double radius)
{
    fprintf(svg->stream, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", x_of(svg, x),
            y_of(svg, y), radius, colour);
}

void motley__svg_end(const struct motley__svg *svg, const struct motley__svg_sample *sample, int count, int width,
                     int left)
{
    const int height = ROW * count + 10, x = left ? LEFT + EDGE : WIDTH - RIGHT - EDGE - width, y = TOP + EDGE;

    fputs("</g>\n", svg->stream);
    if (count)
        fprintf(svg->stream, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#ffffff\" "
                "fill-opacity=\"0.88\" stroke=\"#cccccc\"/>\n", x, y, width, height);
    for (int i = 0; i < count; i++) {
        fprintf(svg->stream, "<path d=\"M%d %dh30\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>"
                "<text x=\"%d\" y=\"%d\" fill=\"#1a1a1a\">%s</text>", x + 10, y + 15 + ROW * i, sample[i].colour,
                sample[i].dash, x + 48, y + 19 + ROW * i, sample[i].name);
        if (sample[i].value)
            fprintf(svg->stream, "<text x=\"%d\" y=\"%d\" fill=\"#1a1a1a\" text-anchor=\"end\">%s</text>",
                    x + width - 8, y + 19 + ROW * i, sample[i].value);
        fputc('\n', svg->stream);
    }
    fputs("</svg>\n", svg->stream);
}
