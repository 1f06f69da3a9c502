/* Notes and warnings, one line each, on stderr.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

/* One write per line, so that the lines of several ranks do not mix. */
static void say(const struct motley__log *log, const char *kind, const char *format, va_list arguments)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, arguments);
    fprintf(stderr, "motley[%d]: %s%s\n", log->rank, kind, text);
}

void motley__warn(const struct motley__log *log, const char *format, ...)
{
    if (log->verbose < 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    say(log, "warning: ", format, arguments);
    va_end(arguments);
}

void motley__note(const struct motley__log *log, const char *format, ...)
{
    if (log->verbose < 1 || log->rank != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    say(log, "", format, arguments);
    va_end(arguments);
}

void motley__detail(const struct motley__log *log, const char *format, ...)
{
    if (log->verbose < 2)
        return;
    va_list arguments;
    va_start(arguments, format);
    say(log, "", format, arguments);
    va_end(arguments);
}
