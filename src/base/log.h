/* Notes and warnings, one line each, on stderr.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_LOG_H
#define MOTLEY_BASE_LOG_H

/* A value, zero is silence: warnings are printed at verbose >= 0 by the rank that has them,
 * notes at verbose >= 1 by rank 0 only, details at verbose >= 2 by every rank. */
struct motley__log {
    int rank;
    int verbose;
};

void motley__warn(const struct motley__log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void motley__note(const struct motley__log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void motley__detail(const struct motley__log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
