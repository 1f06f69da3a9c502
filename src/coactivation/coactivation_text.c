/* Which experts tokens chose together, as files (include/motley/coactivation.h).  Nothing in a file is believed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/wait.h"
#include "coactivation/coactivation.h"
#include "context.h"

static const int64_t LARGEST_COUNT = INT64_C(1) << 53; /* sums of layers stay exact in a double for as many tokens */
enum { LARGEST_EXPERTS = 1 << 14, LARGEST_LAYERS = 1 << 20 };

/* A text under way. */
struct reader {
    const char *name;                /* of the file */
    char *at;                        /* the rest; NULL: nothing is left */
    int line;                        /* number of the last line taken */
    struct motley_error *error;
};

/* The next line, cut off the text; NULL behind the last. */
static char *next_line(struct reader *r)
{
    char *line = r->at, *end = line ? strpbrk(line, "\r\n") : NULL;
    if (!line || !*line)
        return NULL;
    r->at = NULL;
    if (end) {
        r->at = end + 1 + (end[0] == '\r' && end[1] == '\n');
        *end = 0;
    }
    r->line++;
    return line;
}

/* The next field of a line, cut off it; NULL behind the last. */
static char *next_field(char **rest)
{
    char *field = *rest, *comma = field ? strchr(field, ',') : NULL;
    *rest = comma ? comma + 1 : NULL;
    if (comma)
        *comma = 0;
    return field;
}

/* The next field as a number low..high.  what: for the message. */
static int take(struct reader *r, char **rest, const char *what, int64_t low, int64_t high, int64_t *value)
{
    char *field = next_field(rest), *end = field;
    errno = 0;
    *value = field ? strtoll(field, &end, 10) : 0;
    if (!field || end == field || *end || errno || *value < low || *value > high)
        return motley__fail(r->error, MOTLEY_E_FORMAT, "%s:%d: %s: expected a number from %" PRId64 " to %" PRId64
                            ", found %s%.40s%s", r->name, r->line, what, low, high, field ? "'" : "",
                            field ? field : "the end of the line", field ? "'" : "");
    return 0;
}

static int no_more(struct reader *r, char *rest, int columns)
{
    if (!rest)
        return 0;
    return motley__fail(r->error, MOTLEY_E_FORMAT, "%s:%d: expected %d columns as in line 1, found more", r->name,
                        r->line, columns);
}

/* The first line: `first` words and then prefix0, prefix1, ...; *count of those. */
static int read_heading(struct reader *r, const char *words, const char *prefix, int *count)
{
    char *rest = next_line(r), expected[64];
    const size_t length = strlen(words);
    *count = 0;
    if (rest && !strncmp(rest, words, length)) {
        rest += length;
        for (char *field; (field = next_field(&rest)) != NULL; ++*count) {
            snprintf(expected, sizeof expected, "%s%d", prefix, *count);
            if (strcmp(field, expected) != 0 || *count == LARGEST_EXPERTS)
                return motley__fail(r->error, MOTLEY_E_FORMAT, "%s:1: expected the column %s, at most %d of them, "
                                    "found '%.40s'", r->name, expected, LARGEST_EXPERTS, field);
        }
    }
    if (*count == 0)
        return motley__fail(r->error, MOTLEY_E_FORMAT, "%s:1: expected the heading %s%s0,%s1,...", r->name, words,
                            prefix, prefix);
    return 0;
}

static int count_lines(const char *text)
{
    int64_t lines = 0;
    for (; text && *text; lines++) {
        text += strcspn(text, "\r\n");
        text += text[0] == '\r' && text[1] == '\n' ? 2 : *text != 0;
    }
    return lines < INT_MAX ? (int)lines : INT_MAX;
}

/* Of expert e of layer l. */
static int read_row(struct reader *r, int l, int e, motley_coactivation *c)
{
    const size_t E = (size_t)c->E;
    int64_t *row = c->together + ((size_t)l * E + (size_t)e) * E, number;
    char *rest = next_line(r), what[48];
    int status = take(r, &rest, "layer", l, l, &number);
    if (!status)
        status = take(r, &rest, "expert", e, e, &number);
    for (int j = 0; j < c->E && !status; j++) {
        snprintf(what, sizeof what, "with_%d", j);
        status = take(r, &rest, what, 0, j == e ? 0 : LARGEST_COUNT, &row[j]);
        const int64_t mirrored = j < e ? c->together[((size_t)l * E + (size_t)j) * E + (size_t)e] : row[j];
        if (!status && mirrored != row[j])
            status = motley__fail(r->error, MOTLEY_E_FORMAT, "%s:%d: with_%d: expected %" PRId64 ", as expert %d says "
                                  "of expert %d, found %" PRId64, r->name, r->line, j, mirrored, j, e, row[j]);
    }
    return status ? status : no_more(r, rest, 2 + c->E);
}

int motley__coactivation_parse(const char *name, char *text, motley_coactivation **coactivation,
                               struct motley_error *error)
{
    struct reader r = {name, text, 0, error};
    motley_coactivation *made = NULL;
    int E, status = read_heading(&r, "layer,expert,", "with_", &E);
    if (status)
        return status;
    const int lines = count_lines(r.at), layers = lines / E;
    if (lines % E || !layers || layers > LARGEST_LAYERS)
        return motley__fail(error, MOTLEY_E_FORMAT, "%s: expected %d lines for each layer behind the heading, found %d",
                            name, E, lines);
    status = motley__coactivation_alloc(layers, E, &made, error);
    for (int l = 0; l < layers && !status; l++)
        for (int e = 0; e < E && !status; e++)
            status = read_row(&r, l, e, made);
    if (status) {
        motley_coactivation_destroy(made);
        return status;
    }
    *coactivation = made;
    return 0;
}

static int read_set(struct reader *r, int64_t *layer, motley_coactivation *c, int *set)
{
    char *rest = next_line(r), what[48];
    int status = take(r, &rest, "layer", *layer, c->layers - 1, layer);
    for (int k = 0; k < c->K && !status; k++) {
        int64_t expert;
        snprintf(what, sizeof what, "e%d", k);
        status = take(r, &rest, what, -1, c->E - 1, &expert);
        set[k] = (int)expert;
        for (int before = 0; before < k && !status; before++)
            if (set[k] >= 0 && set[before] == set[k])
                status = motley__fail(r->error, MOTLEY_E_FORMAT, "%s:%d: expected different experts, found %d twice",
                                      r->name, r->line, set[k]);
    }
    return status ? status : no_more(r, rest, 1 + c->K);
}

int motley__coactivation_parse_sets(const char *name, char *text, motley_coactivation *c, struct motley_error *error)
{
    struct reader r = {name, text, 0, error};
    int64_t layer = 0;
    int K, status = read_heading(&r, "layer,", "e", &K);
    if (!status && K > c->E)
        status = motley__fail(error, MOTLEY_E_FORMAT, "%s:1: expected at most %d experts in a set, found %d", name,
                              c->E, K);
    if (status)
        return status;
    const int sets = count_lines(r.at);
    if (sets > INT_MAX / K)
        return motley__fail(error, MOTLEY_E_FORMAT, "%s: expected at most %d sets, found %d", name, INT_MAX / K, sets);
    status = motley__coactivation_alloc_sets(c, K, sets, error);
    for (int i = 0; i < sets && !status; i++) {
        status = read_set(&r, &layer, c, c->set + (size_t)i * (size_t)K);
        for (int64_t l = layer; l < c->layers && !status; l++)
            c->first[l + 1] = i + 1;
    }
    return status;
}

static void write_counts(const motley_coactivation *c, FILE *stream)
{
    const size_t E = (size_t)c->E;
    fprintf(stream, "layer,expert");
    for (int j = 0; j < c->E; j++)
        fprintf(stream, ",with_%d", j);
    for (int l = 0; l < c->layers; l++)
        for (int i = 0; i < c->E; i++) {
            fprintf(stream, "\n%d,%d", l, i);
            for (int j = 0; j < c->E; j++)
                fprintf(stream, ",%" PRId64, c->together[((size_t)l * E + (size_t)i) * E + (size_t)j]);
        }
    fputc('\n', stream);
}

static void write_sets(const motley_coactivation *c, FILE *stream)
{
    fprintf(stream, "layer");
    for (int k = 0; k < c->K; k++)
        fprintf(stream, ",e%d", k);
    for (int l = 0; l < c->layers; l++)
        for (int i = c->first[l]; i < c->first[l + 1]; i++) {
            fprintf(stream, "\n%d", l);
            for (int k = 0; k < c->K; k++)
                fprintf(stream, ",%d", c->set[(size_t)i * (size_t)c->K + (size_t)k]);
        }
    fputc('\n', stream);
}

static int write_file(const motley_coactivation *c, const char *path,
                      void (*write)(const motley_coactivation *, FILE *), struct motley_error *error)
{
    struct motley__new_file file;
    int status = motley__new_file_open(path, &file, error);
    if (status)
        return status;
    write(c, file.stream);
    return motley__new_file_commit(&file, error);
}

static int sets_path(const char *path, char **sets, struct motley_error *error)
{
    return motley__format(sets, error, "%s.sets", path);
}

/* The sets first: counts that are there have theirs. */
int motley__coactivation_write(const motley_coactivation *c, const char *path, struct motley_error *error)
{
    char *sets;
    int status = sets_path(path, &sets, error);
    if (status)
        return status;
    if (c->K)
        status = write_file(c, sets, write_sets, error);
    else
        unlink(sets); /* of an earlier run */
    if (!status)
        status = write_file(c, path, write_counts, error);
    free(sets);
    return status;
}

/* Both texts; *sets NULL when there is no such file. */
static int read_texts(const char *path, char **counts, char **sets, struct motley_error *error)
{
    char *name = NULL;
    size_t bytes;
    int status = motley__file_read(path, counts, &bytes, error);
    if (!status)
        status = sets_path(path, &name, error);
    if (!status && access(name, F_OK) == 0)
        status = motley__file_read(name, sets, &bytes, error);
    free(name);
    return status;
}

static int parse_both(const char *path, char *counts, char *sets, motley_coactivation **c, struct motley_error *error)
{
    char *name = NULL;
    int status = motley__coactivation_parse(path, counts, c, error);
    if (status || !sets)
        return status;
    status = sets_path(path, &name, error);
    if (!status)
        status = motley__coactivation_parse_sets(name, sets, *c, error);
    free(name);
    return status;
}

static int broadcast(MPI_Comm comm, double limit, void *bytes, size_t count, struct motley_error *error)
{
    enum { PIECE = 1 << 28 };
    int status = 0;
    for (size_t at = 0; at < count && !status; at += PIECE) {
        MPI_Request request;
        const int piece = count - at < PIECE ? (int)(count - at) : PIECE;
        status = motley__fail_mpi(error, MPI_Ibcast((char *)bytes + at, piece, MPI_BYTE, 0, comm, &request),
                                  "MPI_Ibcast");
        if (!status)
            status = motley__wait(&request, limit, "the co-activation", error);
    }
    return status;
}

/* From rank 0, where it was read, to all. */
static int share(MPI_Comm comm, int rank, double limit, motley_coactivation **c, struct motley_error *error)
{
    int size[4] = {0}, status = 0;
    if (rank == 0) {
        size[0] = (*c)->layers, size[1] = (*c)->E, size[2] = (*c)->K;
        size[3] = (*c)->first[(*c)->layers];
    }
    status = broadcast(comm, limit, size, sizeof size, error);
    if (status)
        return status;
    if (rank != 0)
        status = motley__coactivation_alloc(size[0], size[1], c, error);
    if (rank != 0 && !status && size[2])
        status = motley__coactivation_alloc_sets(*c, size[2], size[3], error);
    status = motley__agree_within(comm, limit, status, error);
    const size_t layers = (size_t)size[0], E = (size_t)size[1];
    if (!status)
        status = broadcast(comm, limit, (*c)->together, layers * E * E * sizeof *(*c)->together, error);
    if (!status)
        status = broadcast(comm, limit, (*c)->first, (layers + 1) * sizeof *(*c)->first, error);
    if (!status && size[2])
        status = broadcast(comm, limit, (*c)->set, (size_t)size[3] * (size_t)size[2] * sizeof *(*c)->set, error);
    return status;
}

int motley__coactivation_read(MPI_Comm comm, double time_limit, const char *path, motley_coactivation **coactivation,
                              struct motley_error *error)
{
    motley_coactivation *made = NULL;
    char *counts = NULL, *sets = NULL;
    int rank, status = 0;
    MPI_Comm_rank(comm, &rank);
    if (rank == 0)
        status = read_texts(path, &counts, &sets, error);
    if (rank == 0 && !status)
        status = parse_both(path, counts, sets, &made, error);
    free(counts);
    free(sets);
    status = motley__agree_within(comm, time_limit, status, error);
    if (!status)
        status = share(comm, rank, time_limit, &made, error);
    if (status) {
        motley_coactivation_destroy(made);
        return status;
    }
    *coactivation = made;
    return 0;
}

int motley_coactivation_read(motley_context *context, const char *path, motley_coactivation **coactivation,
                             struct motley_error *error)
{
    return motley__coactivation_read(context->comm, context->time_limit, path, coactivation, error);
}
