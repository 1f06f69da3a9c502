/* A table of text, columns as wide as their widest cell.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"

struct motley__table {
    int columns, rows;      /* row 0 holds the headings */
    char *right;            /* [columns] 1: right-aligned */
    char **cells;           /* [rows, columns], owned */
    int lost;               /* 1: memory ran out, a row is missing */
};

/* The k-th cell of a line whose cells '|' separates; a missing one is empty. */
static char *cell(const char *line, int k)
{
    for (; k > 0 && line; k--) {
        line = strchr(line, '|');
        line = line ? line + 1 : NULL;
    }
    return line ? strndup(line, strcspn(line, "|")) : strdup("");
}

/* Characters, not bytes: UTF-8 continuation bytes take no room. */
static int width(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void append(struct motley__table *table, const char *line)
{
    size_t columns = (size_t)table->columns, rows = (size_t)table->rows;
    char **cells = realloc(table->cells, (rows + 1) * columns * sizeof *cells);
    if (!cells) {
        table->lost = 1;
        return;
    }
    table->cells = cells;
    for (size_t c = 0; c < columns; c++) {
        cells[rows * columns + c] = cell(line, (int)c);
        if (!cells[rows * columns + c]) {
            while (c > 0)
                free(cells[rows * columns + --c]);
            table->lost = 1;
            return;
        }
    }
    table->rows++;
}

struct motley__table *motley__table_create(const char *headings)
{
    struct motley__table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->columns = 1;
    for (const char *at = headings; *at; at++)
        table->columns += *at == '|';
    table->right = calloc((size_t)table->columns, 1);
    if (table->right)
        append(table, headings);
    if (!table->right || table->lost) {
        motley__table_destroy(table);
        return NULL;
    }
    for (int c = 0; c < table->columns; c++) {
        char *heading = table->cells[c];
        if (heading[0] == '>') {
            table->right[c] = 1;
            memmove(heading, heading + 1, strlen(heading));
        }
    }
    return table;
}

void motley__table_row(struct motley__table *table, const char *format, ...)
{
    char *line;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&line, format, arguments);
    va_end(arguments);
    if (length < 0) {
        table->lost = 1;
        return;
    }
    append(table, line);
    free(line);
}

void motley__table_print(const struct motley__table *table, FILE *stream)
{
    for (int r = 0; r < table->rows; r++) {
        for (int c = 0; c < table->columns; c++) {
            int widest = 0;
            for (int i = 0; i < table->rows; i++) {
                int w = width(table->cells[i * table->columns + c]);
                widest = w > widest ? w : widest;
            }
            const char *text = table->cells[r * table->columns + c];
            int blanks = widest - width(text), last = c + 1 == table->columns;
            if (table->right[c])
                fprintf(stream, "%*s%s%s", blanks, "", text, last ? "" : "  ");
            else
                fprintf(stream, "%s%*s%s", text, last ? 0 : blanks, "", last ? "" : "  ");
        }
        fputc('\n', stream);
    }
    if (table->lost)
        fputs("(rows are missing: out of host memory)\n", stream);
}

void motley__table_destroy(struct motley__table *table)
{
    if (!table)
        return;
    for (int i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->right);
    free(table);
}
