/* Lets the leak detector name the library that each allocation belongs to, by its cheap unwinder, which
 * sees one caller and then follows frame pointers.  Preloaded by tests/run in builds with sanitizers.
 *
 *   dlclose    plug-ins stay loaded: an unloaded one has no name
 *   asprintf   allocates here, in frames that can be followed, not inside the C library
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int dlclose(void *handle);
int vasprintf(char **text, const char *format, va_list arguments);
int asprintf(char **text, const char *format, ...);
int __vasprintf_chk(char **text, int flag, const char *format, va_list arguments);
int __asprintf_chk(char **text, int flag, const char *format, ...);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}

int vasprintf(char **text, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        return -1;
    char *memory = malloc((size_t)length + 1);
    if (memory == NULL)
        return -1;
    *text = memory;
    return vsnprintf(memory, (size_t)length + 1, format, arguments);
}

int asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(text, format, arguments);
    va_end(arguments);
    return length;
}

/* What programs built with _FORTIFY_SOURCE call instead. */
int __vasprintf_chk(char **text, int flag, const char *format, va_list arguments)
{
    (void)flag;
    return vasprintf(text, format, arguments);
}

int __asprintf_chk(char **text, int flag, const char *format, ...)
{
    (void)flag;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(text, format, arguments);
    va_end(arguments);
    return length;
}
