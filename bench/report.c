/* Rows of a benchmark for people and for programs.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "device/storage.h"

struct motley__tally {
    char operator[32], peer[16];
    enum motley_dtype dtype;
    int backward, rows, ratios;
    double log_fraction, log_ratio, worst_fraction, worst_ratio;
    struct motley__tally *next;
};

static const char *direction(int backward)
{
    return backward ? "backward" : "forward";
}

void motley__report_begin(struct motley__report *report, FILE *stream, enum motley__format format)
{
    *report = (struct motley__report){.stream = stream, .format = format};
    if (format == MOTLEY__FORMAT_CSV)
        fputs("operator,family,variant,dtype,E,K,T,D,F,routing,direction,seconds,gflops,gbytes_per_s,peak_gflops,"
              "peak_gbytes_per_s,limit_seconds,fraction_of_limit,peer,peer_seconds,ratio\n", stream);
    else if (format == MOTLEY__FORMAT_TABLE)
        fprintf(stream, "%-16s %-5s %4s %2s %6s %5s %6s %-7s %-8s %11s %9s %7s %8s %-9s %11s %6s\n", "operator",
                "dtype", "E", "K", "T", "D", "F", "routing", "way", "ms", "GFLOP/s", "GB/s", "of limit", "peer",
                "its ms", "ratio");
    else
        fputs("[", stream);
    fflush(stream);
}

static struct motley__tally *tally_of(struct motley__report *report, const struct motley__row *row)
{
    struct motley__tally **at = &report->tally;
    for (; *at; at = &(*at)->next)
        if (!strcmp((*at)->operator, row->operator) && !strcmp((*at)->peer, row->peer) &&
            (*at)->backward == row->backward && (*at)->dtype == row->shape.dtype)
            return *at;
    *at = calloc(1, sizeof **at);
    if (*at) {
        snprintf((*at)->operator, sizeof (*at)->operator, "%s", row->operator);
        snprintf((*at)->peer, sizeof (*at)->peer, "%s", row->peer);
        (*at)->backward = row->backward;
        (*at)->dtype = row->shape.dtype;
        (*at)->worst_fraction = (*at)->worst_ratio = INFINITY;
    }
    return *at;
}

static int count(struct motley__report *report, const struct motley__row *row, double fraction, double ratio,
                 struct motley_error *error)
{
    struct motley__tally *tally = tally_of(report, row);
    if (!tally)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the summary");
    tally->rows++;
    tally->log_fraction += log(fraction);
    tally->worst_fraction = fmin(tally->worst_fraction, fraction);
    if (ratio > 0) {
        tally->ratios++;
        tally->log_ratio += log(ratio);
        tally->worst_ratio = fmin(tally->worst_ratio, ratio);
    }
    return 0;
}

static void print_csv(FILE *stream, const struct motley__row *row, double fraction, double ratio)
{
    const struct motley__bench_shape *s = &row->shape;
    fprintf(stream, "%s,%s,%s,%s,%d,%d,%d,%d,%d,%s,%s,%.6g,%.5g,%.5g,%.5g,%.5g,%.6g,%.4f,%s,", row->operator,
            row->family, row->variant, motley__storage_name(row->shape.dtype), s->E, s->K, row->T, s->D, s->F,
            motley__routing_name(row->routing), direction(row->backward), row->seconds,
            1e-9 * row->flops / row->seconds, 1e-9 * row->bytes / row->seconds, 1e-9 * row->peak_flops,
            1e-9 * row->peak_bytes, row->limit_seconds, fraction, row->peer);
    if (row->peer_seconds > 0)
        fprintf(stream, "%.6g,%.4f\n", row->peer_seconds, ratio);
    else
        fprintf(stream, ",\n");
}

static void print_json(FILE *stream, const struct motley__row *row, double fraction, double ratio, int first)
{
    const struct motley__bench_shape *s = &row->shape;
    fprintf(
        stream,
        "%s\n {\"operator\": \"%s\", \"family\": \"%s\", \"variant\": \"%s\", \"dtype\": \"%s\", \"E\": %d, \"K\": %d, "
        "\"T\": %d, \"D\": %d, \"F\": %d, \"routing\": \"%s\", \"direction\": \"%s\", \"seconds\": %.6g, \"gflops\": "
        "%.5g, "
        "\"gbytes_per_s\": %.5g, \"peak_gflops\": %.5g, \"peak_gbytes_per_s\": %.5g, \"limit_seconds\": %.6g, "
        "\"fraction_of_limit\": %.4f, \"peer\": \"%s\"",
        first ? "" : ",", row->operator, row->family, row->variant, motley__storage_name(row->shape.dtype), s->E, s->K,
        row->T, s->D, s->F, motley__routing_name(row->routing), direction(row->backward), row->seconds,
        1e-9 * row->flops / row->seconds, 1e-9 * row->bytes / row->seconds, 1e-9 * row->peak_flops,
        1e-9 * row->peak_bytes, row->limit_seconds, fraction, row->peer);
    if (row->peer_seconds > 0)
        fprintf(stream, ", \"peer_seconds\": %.6g, \"ratio\": %.4f", row->peer_seconds, ratio);
    fputs("}", stream);
}

static void print_line(FILE *stream, const struct motley__row *row, double fraction, double ratio)
{
    const struct motley__bench_shape *s = &row->shape;
    fprintf(stream, "%-16s %-5s %4d %2d %6d %5d %6d %-7s %-8s %11.4f %9.1f %7.1f %8.2f %-9s ", row->operator,
            motley__storage_name(row->shape.dtype), s->E, s->K, row->T, s->D, s->F, motley__routing_name(row->routing),
            direction(row->backward), 1e3 * row->seconds, 1e-9 * row->flops / row->seconds,
            1e-9 * row->bytes / row->seconds, fraction, row->peer);
    if (row->peer_seconds > 0)
        fprintf(stream, "%11.4f %6.2f\n", 1e3 * row->peer_seconds, ratio);
    else
        fprintf(stream, "%11s %6s\n", "-", "-");
}

int motley__report_row(struct motley__report *report, const struct motley__row *row, struct motley_error *error)
{
    const double fraction = row->limit_seconds / row->seconds, ratio = row->peer_seconds / row->seconds;
    switch (report->format) {
    case MOTLEY__FORMAT_CSV: print_csv(report->stream, row, fraction, ratio); break;
    case MOTLEY__FORMAT_JSON: print_json(report->stream, row, fraction, ratio, report->rows == 0); break;
    case MOTLEY__FORMAT_TABLE: print_line(report->stream, row, fraction, ratio); break;
    }
    fflush(report->stream);
    report->rows++;
    return count(report, row, fraction, ratio, error);
}

static void print_summary(const struct motley__report *report)
{
    fputs("\nover all rows: geometric mean, and the worst\n", report->stream);
    for (const struct motley__tally *t = report->tally; t; t = t->next) {
        fprintf(report->stream, "  %-16s %-8s %-4s %4d rows  %.2f of the limit, at least %.2f", t->operator,
                direction(t->backward), motley__storage_name(t->dtype), t->rows, exp(t->log_fraction / t->rows),
                t->worst_fraction);
        if (t->ratios)
            fprintf(report->stream, ";  %.2f times as fast as %s, at least %.2f", exp(t->log_ratio / t->ratios),
                    t->peer, t->worst_ratio);
        fputc('\n', report->stream);
    }
}

void motley__report_end(struct motley__report *report)
{
    if (report->format == MOTLEY__FORMAT_JSON)
        fputs("\n]\n", report->stream);
    if (report->format == MOTLEY__FORMAT_TABLE && report->rows)
        print_summary(report);
    fflush(report->stream);
    while (report->tally) {
        struct motley__tally *next = report->tally->next;
        free(report->tally);
        report->tally = next;
    }
}
