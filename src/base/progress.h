/* How far long work has come, with the time that remains.
 *
 * On a terminal one line redrawn in place at most ten times a second; elsewhere one line at most
 * every ten seconds.  Only for the rank that was told to show it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_PROGRESS_H
#define MOTLEY_BASE_PROGRESS_H

#include <stdio.h>

struct motley__progress {
    FILE *stream;        /* NULL: shows nothing */
    const char *what;    /* "measuring", borrowed */
    double total, started, shown;
    int terminal, drawn;
};

/* total: units of work; stream NULL shows nothing. */
void motley__progress_start(struct motley__progress *progress, FILE *stream, const char *what, double total);

/* done of total units; `format` adds words behind the bar ("loss 2.31"). */
void motley__progress_show(struct motley__progress *progress, double done, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Ends the line, if one was begun. */
void motley__progress_end(struct motley__progress *progress);

#endif
