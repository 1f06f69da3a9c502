/* How far long work has come, with the time that remains.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/progress.h"

enum { BAR = 24 }; /* characters of a full bar */

static const double TERMINAL_SECONDS = 0.1, FILE_SECONDS = 10; /* between two lines */

void motley__progress_start(struct motley__progress *progress, FILE *stream, const char *what, double total)
{
    memset(progress, 0, sizeof *progress);
    progress->stream = stream;
    progress->what = what;
    progress->total = total > 0 ? total : 1;
    progress->started = motley__seconds();
    progress->shown = progress->started;
    progress->terminal = stream && isatty(fileno(stream));
}

/* "2:05" or "1:02:05". */
static void write_time(char *text, size_t size, double seconds)
{
    long s = seconds > 0 && seconds < 1e9 ? (long)(seconds + 0.5) : 0;
    if (s < 3600)
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

void motley__progress_show(struct motley__progress *progress, double done, const char *format, ...)
{
    double now = motley__seconds(), part = done / progress->total;
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    int last = part >= 1;
    if (!progress->stream)
        return;
    /* The end is worth a line only where a line was shown before; quick work stays silent in a file. */
    if (now - progress->shown < (progress->terminal ? TERMINAL_SECONDS : FILE_SECONDS) &&
        !(last && progress->drawn))
        return;

    char words[256] = "", bar[BAR + 1], left[32];
    va_list arguments;
    va_start(arguments, format);
    if (format)
        vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)(part * BAR));
    bar[BAR] = 0;
    double elapsed = now - progress->started;
    write_time(left, sizeof left, last ? elapsed : part > 0 ? elapsed * (1 - part) / part : 0);
    fprintf(progress->stream, "%s%s [%s] %3.0f%% %s %s%s%s%s", progress->terminal ? "\r" : "", progress->what, bar,
            100 * part, left, last ? "in all" : part > 0 ? "left" : "", words[0] ? "  " : "", words,
            progress->terminal ? "\033[K" : "\n");
    fflush(progress->stream);
    progress->shown = now;
    progress->drawn = 1;
}

void motley__progress_end(struct motley__progress *progress)
{
    if (progress->stream && progress->terminal && progress->drawn) {
        fputc('\n', progress->stream);
        fflush(progress->stream);
    }
    progress->stream = NULL;
}
