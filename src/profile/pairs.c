/* Pairs of a name and a value.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profile/pairs.h"

void motley__put_text(FILE *stream, const char *name, const char *value)
{
    fprintf(stream, " %s=\"", name);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            fputc('\\', stream);
        fputc((unsigned char)*value < ' ' ? '?' : *value, stream);
    }
    fputc('"', stream);
}

/* The shortest digits that read back as the same number. */
void motley__put_number(FILE *stream, const char *name, double value)
{
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    fprintf(stream, " %s=%s", name, digits);
}

/* The next name=value of a line; *at moves behind it.  0 at the line's end and at what is no such pair. */
static int next_pair(const char **at, char name[MOTLEY__VALUE], char value[MOTLEY__VALUE])
{
    const char *c = *at + strspn(*at, " \t");
    size_t length = strcspn(c, "= \t\n");
    if (length == 0 || length >= MOTLEY__VALUE || c[length] != '=')
        return 0;
    memcpy(name, c, length);
    name[length] = 0;
    c += length + 1;
    int quoted = *c == '"';
    c += quoted;
    for (length = 0; *c && *c != '\n' && *c != (quoted ? '"' : ' '); c++) {
        if (quoted && *c == '\\' && c[1] && c[1] != '\n')
            c++;
        if (length == MOTLEY__VALUE - 1)
            return 0;
        value[length++] = *c;
    }
    value[length] = 0;
    if (quoted && *c++ != '"')
        return 0;
    *at = c;
    return 1;
}

int motley__get_text(const char *line, const char *wanted, char *value, size_t size)
{
    char name[MOTLEY__VALUE], found[MOTLEY__VALUE];
    while (next_pair(&line, name, found)) {
        if (strcmp(name, wanted))
            continue;
        if (strlen(found) >= size)
            return 0;
        strcpy(value, found);
        return 1;
    }
    return 0;
}

int motley__get_integer(const char *line, const char *wanted, int low, int *value)
{
    char text[MOTLEY__VALUE], *end;
    if (!motley__get_text(line, wanted, text, sizeof text))
        return 0;
    long number = strtol(text, &end, 10);
    if (end == text || *end || number < low || number > INT_MAX)
        return 0;
    *value = (int)number;
    return 1;
}

/* Finite and not negative. */
int motley__get_number(const char *line, const char *wanted, double *value)
{
    char text[MOTLEY__VALUE], *end;
    if (!motley__get_text(line, wanted, text, sizeof text))
        return 0;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number) || number < 0)
        return 0;
    *value = number;
    return 1;
}

int motley__get_word(const char *line, const char *wanted, const char *const *words, int *value)
{
    char text[MOTLEY__VALUE];
    if (!motley__get_text(line, wanted, text, sizeof text))
        return 0;
    for (int i = 0; words[i]; i++)
        if (!strcmp(text, words[i])) {
            *value = i;
            return 1;
        }
    return 0;
}

int motley__get_unsigned(const char *line, const char *wanted, int base, uint64_t *value)
{
    char text[MOTLEY__VALUE], *end;
    if (!motley__get_text(line, wanted, text, sizeof text) || !strchr("0123456789abcdef", text[0]))
        return 0;
    *value = strtoull(text, &end, base);
    return end != text && !*end;
}
