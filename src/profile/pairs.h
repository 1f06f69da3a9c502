/* Lines of the profile: pairs like name=3 and name="a text", in any order.
 *
 * A reader wants the pairs it knows and passes over the others.  Each returns 1 and writes the value when the line has
 * a pair of that name whose value is what it must be, else 0.  words end with NULL.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PROFILE_PAIRS_H
#define MOTLEY_PROFILE_PAIRS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MOTLEY__VALUE = 160 };        /* characters of the longest value, its end included */

/* Each writes a space before the pair; a number in the shortest digits that read back as the same one. */
void motley__put_text(FILE *stream, const char *name, const char *value);
void motley__put_number(FILE *stream, const char *name, double value);

int motley__get_text(const char *line, const char *wanted, char *value, size_t size);
int motley__get_integer(const char *line, const char *wanted, int low, int *value);
int motley__get_number(const char *line, const char *wanted, double *value);   /* finite and not negative */
int motley__get_word(const char *line, const char *wanted, const char *const *words, int *value);
int motley__get_unsigned(const char *line, const char *wanted, int base, uint64_t *value);

#endif
