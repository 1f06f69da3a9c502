/* A table of text, columns as wide as their widest cell.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_TABLE_H
#define MOTLEY_BASE_TABLE_H

#include <stdio.h>

struct motley__table; /* opaque */

/* headings: "rank|host|device|>GFLOP/s"; a leading '>' right-aligns the column.  NULL when memory is out. */
struct motley__table *motley__table_create(const char *headings);
/* One row, cells separated by '|'. */
void motley__table_row(struct motley__table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void motley__table_print(const struct motley__table *table, FILE *stream);
void motley__table_destroy(struct motley__table *table); /* accepts NULL */

#endif
