/* loss.svg: the losses of a run as a picture.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>

#include "base/file.h"
#include "base/svg.h"
#include "train/plot.h"

enum { BINS = 320, RECENT = 20 };

static const char TRAIN[] = "#8fa3b5", HELD_OUT[] = "#0b5cad", BIGRAM[] = "#b8620a", TRIGRAM[] = "#7b3294";

static double bits_of(double nats)
{
    return nats / log(2);
}

/* From a little under the lowest line to half again the bigram's, where the first steps leave the picture. */
static void choose_axes(const struct motley__history *history, int64_t steps, struct motley__svg *svg)
{
    double low = fmin(history->bigram_bits, history->trigram_bits), high = 1.5 * history->bigram_bits, last = 0;
    for (int64_t i = 0; i < history->count; i++) {
        last = bits_of(isnan(history->record[i].held_out_loss) ? history->record[i].train_loss
                                                               : history->record[i].held_out_loss);
        low = fmin(low, last);
    }
    high = fmax(high, 1.1 * last);
    double step = motley__svg_tick(high - 0.9 * low, 8);
    svg->x = (struct motley__svg_axis){.label = "step", .high = (double)(steps > 0 ? steps : 1), .whole = 1,
                                       .ticks = 10};
    svg->y = (struct motley__svg_axis){.label = "bits per byte", .low = floor(0.9 * low / step) * step,
                                       .high = ceil(high / step) * step, .ticks = 8};
}

/* One point for each of at most BINS equal stretches of steps: the mean of what lies there. */
static void write_train(const struct motley__svg *svg, const struct motley__history *history)
{
    double per_bin = fmax(1, svg->x.high / BINS), sum = 0, step = 0;
    int64_t bin = -1, count = 0;
    motley__svg_line_begin(svg, TRAIN, 1.4);
    for (int64_t i = 0; i <= history->count; i++) {
        int64_t here = i < history->count ? (int64_t)((double)history->record[i].step / per_bin) : -1;
        if (here != bin && count > 0) {
            motley__svg_line_point(svg, step / (double)count, bits_of(sum / (double)count));
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
    motley__svg_line_end(svg);
}

static void write_held_out(const struct motley__svg *svg, const struct motley__history *history)
{
    motley__svg_line_begin(svg, HELD_OUT, 2.2);
    for (int dots = 0; dots < 2; dots++) {
        for (int64_t i = 0; i < history->count; i++) {
            const struct motley__record *record = &history->record[i];
            if (isnan(record->held_out_loss))
                continue;
            if (dots)
                motley__svg_dot(svg, (double)record->step, bits_of(record->held_out_loss), HELD_OUT, 2.8);
            else
                motley__svg_line_point(svg, (double)record->step, bits_of(record->held_out_loss));
        }
        if (!dots)
            motley__svg_line_end(svg);
    }
}

static void end_with_legend(const struct motley__svg *svg, const struct motley__history *history)
{
    double train = 0, held_out = NAN;
    const int64_t recent = history->count < RECENT ? history->count : RECENT;
    for (int64_t i = 0; i < history->count; i++) {
        if (i >= history->count - recent) /* one step's loss alone is noise */
            train += bits_of(history->record[i].train_loss) / (double)recent;
        if (!isnan(history->record[i].held_out_loss))
            held_out = bits_of(history->record[i].held_out_loss);
    }
    enum { LINES = 4 };
    const double bits[LINES] = {history->bigram_bits, history->trigram_bits, recent ? train : NAN, held_out};
    char value[LINES][32];
    struct motley__svg_sample sample[LINES] = {{"bigram counts", BIGRAM, "7 4", NULL},
                                               {"Witten-Bell trigram", TRIGRAM, "7 4", NULL},
                                               {"training", TRAIN, "none", NULL}, {"held out", HELD_OUT, "none", NULL}};
    for (int i = 0; i < LINES; i++) {
        snprintf(value[i], sizeof value[i], "%.3f", bits[i]);
        sample[i].value = isnan(bits[i]) ? NULL : value[i];
    }
    motley__svg_end(svg, sample, LINES, 230, 0);
}

int motley__plot_write(const char *path, const struct motley__history *history, int64_t steps, const char *caption,
                       struct motley_error *error)
{
    struct motley__new_file file;
    int status = motley__new_file_open(path, &file, error);
    if (status)
        return status;
    struct motley__svg svg = {.stream = file.stream};
    choose_axes(history, steps, &svg);
    motley__svg_begin(&svg, "Loss of a Motley training run, in bits per byte over steps", "Training loss", caption);
    write_train(&svg, history);
    motley__svg_level(&svg, history->bigram_bits, BIGRAM);
    motley__svg_level(&svg, history->trigram_bits, TRIGRAM);
    write_held_out(&svg, history);
    end_with_legend(&svg, history);
    return motley__new_file_commit(&file, error);
}
