/* The text of a kernel file, its includes resolved.
 *
 * OpenCL compilers find no files here: every #include "name" of a source that cl/ has is replaced by that
 * file's text, with #line directives so that messages name the file and line a person can open.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/program.h"

enum { DEPTH = 16 }; /* of includes within includes */

static int compare_names(const void *key, const void *element)
{
    return strcmp(key, ((const struct motley__source *)element)->name);
}

/* The text of cl/<name>, owned by the caller; *text stays NULL when there is none. */
static int load(const char *name, char **text, struct motley_error *error)
{
    const char *folder = getenv("MOTLEY_CL_DIR");
    char *path = NULL;
    size_t bytes;
    *text = NULL;
    if (folder && folder[0]) {
        int status = motley__format(&path, error, "%s/%s", folder, name);
        if (status)
            return status;
        if (motley__file_read(path, text, &bytes, NULL))
            *text = NULL;
        free(path);
        return 0;
    }
    const struct motley__source *source = bsearch(name, motley__sources, (size_t)motley__sources_count,
                                                  sizeof *motley__sources, compare_names);
    return source ? motley__format(text, error, "%s", source->text) : 0;
}

/* The name between the quotes of an #include line, owned by the caller; NULL for any other line. */
static char *included_name(const char *line, size_t length)
{
    const char *at = line, *end = line + length;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    if (at == end || *at++ != '#')
        return NULL;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    if (end - at < 7 || strncmp(at, "include", 7))
        return NULL;
    at += 7;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    if (at == end || *at++ != '"')
        return NULL;
    const char *quote = memchr(at, '"', (size_t)(end - at));
    return quote ? strndup(at, (size_t)(quote - at)) : NULL;
}

static int emit(FILE *out, const char *name, const char *text, int depth, struct motley_error *error);

/* Write the included file in place of line `number`; *found = 0 when cl/ has none of that name. */
static int emit_include(FILE *out, const char *name, const char *wanted, int number, int depth, int *found,
                        struct motley_error *error)
{
    char *text;
    *found = 0;
    if (depth >= DEPTH)
        return motley__fail(error, MOTLEY_E_BUILD, "cl/%s: line %d: includes nest deeper than %d", name, number, DEPTH);
    int status = load(wanted, &text, error);
    if (status || !text)
        return status;
    *found = 1;
    status = emit(out, wanted, text, depth + 1, error);
    fprintf(out, "#line %d \"cl/%s\"\n", number + 1, name);
    free(text);
    return status;
}

static int emit(FILE *out, const char *name, const char *text, int depth, struct motley_error *error)
{
    int status = 0;
    fprintf(out, "#line 1 \"cl/%s\"\n", name);
    for (int number = 1; *text && !status; number++) {
        size_t length = strcspn(text, "\n");
        char *wanted = included_name(text, length);
        int found = 0;
        if (wanted)
            status = emit_include(out, name, wanted, number, depth, &found, error);
        if (!found) {
            fwrite(text, 1, length, out);
            fputc('\n', out);
        }
        free(wanted);
        text += length + (text[length] == '\n');
    }
    return status;
}

int motley__source_text(const char *name, char **text, struct motley_error *error)
{
    char *raw = NULL, *whole = NULL;
    size_t bytes;
    int status = load(name, &raw, error);
    if (status)
        return status;
    if (!raw)
        return motley__fail(error, MOTLEY_E_BUILD, "no kernel file cl/%s %s", name,
                            getenv("MOTLEY_CL_DIR") ? "in MOTLEY_CL_DIR" : "is part of this library");
    FILE *out = open_memstream(&whole, &bytes);
    if (out) {
        status = emit(out, name, raw, 0, error);
        int broken = ferror(out);
        if ((fclose(out) || broken) && !status)
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the text of cl/%s", name);
    } else {
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the text of cl/%s", name);
    }
    free(raw);
    if (status) {
        free(whole);
        return status;
    }
    *text = whole;
    return 0;
}
