/* loss.svg: the losses of a run as a picture.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>

#include "base/file.h"
#include "train/plot.h"

enum { WIDTH = 760, HEIGHT = 460, LEFT = 64, RIGHT = 24, TOP = 64, BOTTOM = 52, BINS = 320, RECENT = 20 };

static const char TRAIN[] = "#8fa3b5", HELD_OUT[] = "#0b5cad", BIGRAM[] = "#b8620a", TRIGRAM[] = "#7b3294";

/* What is where: step s at x, b bits at y. */
struct axes {
    double steps, low, high;
};

static double x_of(const struct axes *axes, double step)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * step / axes->steps;
}

static double y_of(const struct axes *axes, double bits)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (bits - axes->low) / (axes->high - axes->low);
}

static double bits_of(double nats)
{
    return nats / log(2);
}

/* The distance between ticks: 1, 2 or 5 times a power of ten, at most `most` of them in `range`. */
static double tick(double range, int most)
{
    double power = pow(10, floor(log10(range / most)));
    double part = range / most / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

/* From a little under the lowest line to half again the bigram's, where the first steps leave the picture. */
static struct axes choose_axes(const struct motley__history *history, int64_t steps)
{
    double low = fmin(history->bigram_bits, history->trigram_bits), high = 1.5 * history->bigram_bits, last = 0;
    for (int64_t i = 0; i < history->count; i++) {
        last = bits_of(isnan(history->record[i].held_out_loss) ? history->record[i].train_loss
                                                               : history->record[i].held_out_loss);
        low = fmin(low, last);
    }
    high = fmax(high, 1.1 * last);
    double step = tick(high - 0.9 * low, 8);
    return (struct axes){(double)(steps > 0 ? steps : 1), floor(0.9 * low / step) * step, ceil(high / step) * step};
}

static void write_frame(FILE *stream, const struct axes *axes, const char *caption)
{
    fprintf(stream,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\">\n"
            "<title>Loss of a Motley training run, in bits per byte over steps</title>\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n"
            "<clipPath id=\"inside\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n"
            "<text x=\"%d\" y=\"26\" font-size=\"17\" font-weight=\"bold\" fill=\"#1a1a1a\">Training loss</text>\n"
            "<text x=\"%d\" y=\"47\" fill=\"#555555\">",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM, LEFT,
            LEFT);
    for (const char *c = caption; *c; c++)
        if (*c == '<' || *c == '&')
            fputs(*c == '<' ? "&lt;" : "&amp;", stream);
        else
            fputc(*c, stream);
    fputs("</text>\n<g fill=\"#444444\" stroke=\"none\">\n", stream);
    double step = tick(axes->high - axes->low, 8);
    for (double bits = axes->low; bits <= axes->high + step / 2; bits += step)
        fprintf(stream,
                "<path d=\"M%d %.1fH%d\" stroke=\"#e4e4e4\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                LEFT, y_of(axes, bits), WIDTH - RIGHT, LEFT - 8, y_of(axes, bits) + 4.5, round(bits * 1e6) / 1e6);
    step = fmax(1, tick(axes->steps, 10));
    for (double at = 0; at <= axes->steps * 1.0001; at += step)
        fprintf(
            stream,
            "<path d=\"M%.1f %dv5\" stroke=\"#444444\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
            x_of(axes, at), HEIGHT - BOTTOM, x_of(axes, at), HEIGHT - BOTTOM + 20, at);
    fprintf(stream,
            "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#444444\"/>\n"
            "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n"
            "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">bits per byte</text>\n</g>\n",
            LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12,
            (TOP + HEIGHT - BOTTOM) / 2);
}

static void write_level(FILE *stream, const struct axes *axes, double bits, const char *colour)
{
    fprintf(stream, "<path d=\"M%d %.1fH%d\" stroke=\"%s\" stroke-width=\"1.6\" stroke-dasharray=\"7 4\"/>\n", LEFT,
            y_of(axes, bits), WIDTH - RIGHT, colour);
}

/* One point for each of at most BINS equal stretches of steps: the mean of what lies there. */
static void write_train(FILE *stream, const struct axes *axes, const struct motley__history *history)
{
    double per_bin = fmax(1, axes->steps / BINS), sum = 0, step = 0;
    int64_t bin = -1, count = 0;
    fprintf(stream, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.4\" points=\"", TRAIN);
    for (int64_t i = 0; i <= history->count; i++) {
        int64_t here = i < history->count ? (int64_t)((double)history->record[i].step / per_bin) : -1;
        if (here != bin && count > 0) {
            fprintf(stream, "%.1f,%.1f ", x_of(axes, step / (double)count), y_of(axes, bits_of(sum / (double)count)));
            sum = step = 0;
            count = 0;
        }
        bin = here;
        if (i < history->count) {
            sum += history->record[i].train_loss;
            step += (double)history->record[i].step;
            count++;
        }
    }
    fputs("\"/>\n", stream);
}

static void write_held_out(FILE *stream, const struct axes *axes, const struct motley__history *history)
{
    fprintf(stream, "<g fill=\"%s\"><polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.2\" points=\"", HELD_OUT,
            HELD_OUT);
    for (int dots = 0; dots < 2; dots++) {
        for (int64_t i = 0; i < history->count; i++) {
            const struct motley__record *record = &history->record[i];
            if (isnan(record->held_out_loss))
                continue;
            fprintf(stream, dots ? "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.8\"/>" : "%.1f,%.1f ",
                    x_of(axes, (double)record->step), y_of(axes, bits_of(record->held_out_loss)));
        }
        fputs(dots ? "</g>\n" : "\"/>\n", stream);
    }
}

static void write_legend(FILE *stream, const struct motley__history *history)
{
    double train = 0, held_out = NAN;
    const int64_t recent = history->count < RECENT ? history->count : RECENT;
    for (int64_t i = 0; i < history->count; i++) {
        if (i >= history->count - recent) /* one step's loss alone is noise */
            train += bits_of(history->record[i].train_loss) / (double)recent;
        if (!isnan(history->record[i].held_out_loss))
            held_out = bits_of(history->record[i].held_out_loss);
    }
    const struct {
        const char *name, *colour, *dash;
        double bits;
    } line[] = {{"bigram counts", BIGRAM, "7 4", history->bigram_bits},
                {"Witten-Bell trigram", TRIGRAM, "7 4", history->trigram_bits},
                {"training", TRAIN, "none", recent ? train : NAN},
                {"held out", HELD_OUT, "none", held_out}};
    const int x = WIDTH - RIGHT - 236, y = TOP + 6, count = (int)(sizeof line / sizeof line[0]);
    fprintf(stream, "<rect x=\"%d\" y=\"%d\" width=\"230\" height=\"%d\" fill=\"#ffffff\" fill-opacity=\"0.88\" "
            "stroke=\"#cccccc\"/>\n", x, y, 20 * count + 10);
    for (int i = 0; i < count; i++) {
        fprintf(stream, "<path d=\"M%d %dh30\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"%s\"/>"
                "<text x=\"%d\" y=\"%d\" fill=\"#1a1a1a\">%s</text>", x + 10, y + 15 + 20 * i, line[i].colour,
                line[i].dash, x + 48, y + 19 + 20 * i, line[i].name);
        if (!isnan(line[i].bits))
            fprintf(stream, "<text x=\"%d\" y=\"%d\" fill=\"#1a1a1a\" text-anchor=\"end\">%.3f</text>", x + 222,
                    y + 19 + 20 * i, line[i].bits);
        fputc('\n', stream);
    }
}

int motley__plot_write(const char *path, const struct motley__history *history, int64_t steps, const char *caption,
                       struct motley_error *error)
{
    struct motley__new_file file;
    struct axes axes = choose_axes(history, steps);
    int status = motley__new_file_open(path, &file, error);
    if (status)
        return status;
    write_frame(file.stream, &axes, caption);
    fputs("<g clip-path=\"url(#inside)\">\n", file.stream);
    write_train(file.stream, &axes, history);
    write_level(file.stream, &axes, history->bigram_bits, BIGRAM);
    write_level(file.stream, &axes, history->trigram_bits, TRIGRAM);
    write_held_out(file.stream, &axes, history);
    fputs("</g>\n", file.stream);
    write_legend(file.stream, history);
    fputs("</svg>\n", file.stream);
    return motley__new_file_commit(&file, error);
}
