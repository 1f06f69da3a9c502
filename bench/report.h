/* What a benchmark says: one row for each cell and peer, as a table for people, as CSV or as JSON, and a summary.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_REPORT_H
#define MOTLEY_BENCH_REPORT_H

#include <stdio.h>

#include "bench/problem.h"

struct motley__row {
    const char *operator, *family, *variant, *peer;     /* borrowed; peer "none": no peer */
    struct motley__bench_shape shape;
    int T, backward;
    enum motley__routing routing;
    double seconds, flops, bytes, peak_flops, peak_bytes, limit_seconds, peer_seconds;
};

enum motley__format { MOTLEY__FORMAT_TABLE, MOTLEY__FORMAT_CSV, MOTLEY__FORMAT_JSON };

struct motley__report {
    FILE *stream;
    enum motley__format format;
    int rows;
    struct motley__tally *tally; /* owned list: what the summary needs of each operator, direction and peer */
};

/* Rows come out as they are measured. */
void motley__report_begin(struct motley__report *report, FILE *stream, enum motley__format format);
int motley__report_row(struct motley__report *report, const struct motley__row *row, struct motley_error *error);
/* The end of the rows; of a table also the geometric mean of the ratios, and of the fractions of the limit. */
void motley__report_end(struct motley__report *report);

#endif
