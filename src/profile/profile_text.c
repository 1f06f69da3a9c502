/* The profile's text: one line for each device, dense product, curve and point; written and read back exactly.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/storage.h"
#include "profile/names.h"
#include "profile/pairs.h"
#include "profile/profile.h"


/* Numbers have a point in the file whatever the program's locale says.  Returns what put_locale_back wants. */
static locale_t use_plain_numbers(void)
{
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    return plain ? uselocale(plain) : (locale_t)0;
}

static void put_locale_back(locale_t before)
{
    if (before)
        freelocale(uselocale(before));
}

/* Writing. */

static void put_choice(FILE *stream, const struct motley__choice *choice)
{
    fprintf(stream, "  tuned product=%s rows=%s weights=%s dtype=%s", motley__product_names[choice->shape.product],
            motley__rows_names[choice->shape.rows], motley__weights_names[choice->shape.weights],
            motley__storage_names[choice->dtype]);
    motley__put_number(stream, "gain", choice->gain);
    motley__put_text(stream, "settings", choice->settings);
    motley__put_text(stream, "default", choice->usual);
    fputc('\n', stream);
}

static void put_curve(FILE *stream, const struct motley__curve *curve)
{
    fprintf(stream, "  curve direction=%s D=%d F=%d activation=%s bias=%d dtype=%s\n",
            motley__direction_names[!!curve->backward], curve->D, curve->F, motley__activation_names[curve->activation],
            !!curve->bias, motley__storage_names[curve->dtype]);
    for (int p = 0; p < curve->points; p++) {
        const struct motley__point *point = &curve->point[p];
        fprintf(stream, "    point rows=%d", point->rows);
        motley__put_number(stream, "seconds", point->seconds);
        motley__put_number(stream, "spread", point->spread);
        fprintf(stream, " samples=%d\n", point->samples);
    }
}

static void put_entry(FILE *stream, const struct motley__profile_entry *entry)
{
    const struct motley__profile_key *key = &entry->key;
    fputs("\ndevice", stream);
    motley__put_text(stream, "host", key->host);
    motley__put_text(stream, "name", key->name);
    motley__put_text(stream, "driver", key->driver);
    motley__put_text(stream, "family", key->family);
    motley__put_text(stream, "variant", key->variant);
    fprintf(stream, " panel=%d kernels=%016" PRIx64 " cores=%d memory=%" PRIu64 " place=%d/%d\n", entry->panel,
            key->kernels, key->cores, key->memory_bytes, key->place, key->places);
    const struct motley__dense_time *dense = &entry->dense;
    if (dense->seconds > 0) {
        fprintf(stream, "  dense T=%d O=%d I=%d path=%s", dense->T, dense->O, dense->I,
                motley__dense_names[dense->path]);
        motley__put_number(stream, "seconds", dense->seconds);
        motley__put_number(stream, "esmm", dense->esmm);
        motley__put_number(stream, "clblast", dense->clblast);
        fputc('\n', stream);
    }
    if (entry->copy.out > 0) {
        fputs("  copy", stream);
        motley__put_number(stream, "out", entry->copy.out);
        motley__put_number(stream, "in", entry->copy.in);
        fputc('\n', stream);
    }
    if (entry->move.bandwidth > 0) {
        fputs("  move", stream);
        motley__put_number(stream, "bandwidth", entry->move.bandwidth);
        motley__put_number(stream, "launch", entry->move.launch);
        fputc('\n', stream);
    }
    for (int c = 0; c < entry->choices; c++)
        put_choice(stream, &entry->choice[c]);
    for (int c = 0; c < entry->curves; c++)
        put_curve(stream, &entry->curve[c]);
}

static void put_link(FILE *stream, const struct motley__link_line *line)
{
    fputs("\nlink", stream);
    motley__put_text(stream, "from", line->host[0]);
    motley__put_text(stream, "to", line->host[1]);
    fprintf(stream, " ranks=%d/%d", line->ranks[0], line->ranks[1]);
    motley__put_number(stream, "latency", line->link.latency);
    motley__put_number(stream, "message", line->link.message);
    motley__put_number(stream, "bandwidth", line->link.bandwidth);
    motley__put_number(stream, "spread", line->spread);
    fprintf(stream, " samples=%d", line->samples);
}

int motley__profile_text(const struct motley__profile *profile, char **text, struct motley_error *error)
{
    size_t bytes;
    char *written = NULL;
    FILE *stream = open_memstream(&written, &bytes);
    if (!stream)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profile's text");
    locale_t before = use_plain_numbers();
    fputs("# motley profile 1\n"
          "#\n"
          "# What each rank's device was measured to do: seconds of one expert (point) as a function of its rows, and\n"
          "# of a dense product, by kernels with the settings that were best on it (tuned); of copies\n"
          "# (move: bytes per second, and seconds of any kernel); and what links do:\n"
          "# seconds of an exchange (latency) and of each message in it, bytes per second; and what steps took in\n"
          "# modes that were foretold nearly alike (outcome).  Plans are made from it;\n"
          "# `motley measure` refreshes it; any line may be removed.\n",
          stream);
    for (int i = 0; i < profile->links; i++)
        put_link(stream, &profile->link[i]);
    for (int i = 0; i < profile->outcomes; i++) {
        fputs("\noutcome", stream);
        motley__outcome_write(stream, &profile->outcome[i]);
    }
    if (profile->links || profile->outcomes)
        fputc('\n', stream);
    for (int i = 0; i < profile->entries; i++)
        put_entry(stream, &profile->entry[i]);
    put_locale_back(before);
    int lost = ferror(stream);
    if (fclose(stream) || lost) {
        free(written);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profile's text");
    }
    *text = written;
    return 0;
}

/* Reading.  Every reader returns 1 when the line holds what it must. */

static int get_device(const char *line, struct motley__profile_key *key, int *panel)
{
    char place[MOTLEY__VALUE];
    int end = 0;
    memset(key, 0, sizeof *key);
    if (!motley__get_text(line, "variant", key->variant, sizeof key->variant))
        key->variant[0] = 0; /* a file from before variants had names */
    return motley__get_text(line, "host", key->host, sizeof key->host) &&
           motley__get_text(line, "name", key->name, sizeof key->name) &&
           motley__get_text(line, "driver", key->driver, sizeof key->driver) &&
           motley__get_text(line, "family", key->family, sizeof key->family) &&
           motley__get_integer(line, "panel", 1, panel) && motley__get_unsigned(line, "kernels", 16, &key->kernels) &&
           motley__get_integer(line, "cores", 0, &key->cores) &&
           motley__get_unsigned(line, "memory", 10, &key->memory_bytes) &&
           motley__get_text(line, "place", place, sizeof place) &&
           sscanf(place, "%9d/%9d%n", &key->place, &key->places, &end) == 2 && !place[end] && key->place >= 0 &&
           key->place < key->places;
}

static int get_dense(const char *line, struct motley__dense_time *dense)
{
    int path;
    struct motley__dense_time read = {0};
    if (!motley__get_integer(line, "T", 1, &read.T) || !motley__get_integer(line, "O", 1, &read.O) ||
        !motley__get_integer(line, "I", 1, &read.I) ||
        !motley__get_word(line, "path", motley__dense_names, &path) ||
        !motley__get_number(line, "seconds", &read.seconds) || read.seconds <= 0 ||
        !motley__get_number(line, "esmm", &read.esmm) || !motley__get_number(line, "clblast", &read.clblast))
        return 0;
    read.path = (enum motley__dense)path;
    *dense = read;
    return 1;
}

static int get_copy(const char *line, struct motley__copy *copy)
{
    struct motley__copy read;
    if (!motley__get_number(line, "out", &read.out) || read.out <= 0 || !motley__get_number(line, "in", &read.in) ||
        read.in <= 0)
        return 0;
    *copy = read;
    return 1;
}

static int get_move(const char *line, struct motley__move *move)
{
    struct motley__move read = {0};
    if (!motley__get_number(line, "bandwidth", &read.bandwidth) || read.bandwidth <= 0 ||
        !motley__get_number(line, "launch", &read.launch))
        return 0;
    *move = read;
    return 1;
}

static int get_choice(const char *line, struct motley__choice *choice)
{
    int product, rows, weights;
    struct motley__choice read = {0};
    if (!motley__get_word(line, "product", motley__product_names, &product) ||
        !motley__get_word(line, "rows", motley__rows_names, &rows) ||
        !motley__get_word(line, "weights", motley__weights_names, &weights) ||
        !motley__get_word(line, "dtype", motley__storage_names, &read.dtype) ||
        !motley__get_number(line, "gain", &read.gain) ||
        read.gain <= 0 || !motley__get_text(line, "settings", read.settings, sizeof read.settings) ||
        !motley__get_text(line, "default", read.usual, sizeof read.usual))
        return 0;
    read.shape = (struct motley__shape_class){(enum motley__product)product, (enum motley__rows_class)rows,
                                              (enum motley__weights_class)weights};
    *choice = read;
    return 1;
}

static int get_curve(const char *line, struct motley__curve *curve)
{
    memset(curve, 0, sizeof *curve);
    return motley__get_word(line, "direction", motley__direction_names, &curve->backward) &&
           motley__get_integer(line, "D", 1, &curve->D) && motley__get_integer(line, "F", 1, &curve->F) &&
           motley__get_word(line, "activation", motley__activation_names, &curve->activation) &&
           motley__get_integer(line, "bias", 0, &curve->bias) && curve->bias <= 1 &&
           motley__get_word(line, "dtype", motley__storage_names, &curve->dtype);
}

static int get_point(const char *line, struct motley__point *point)
{
    return motley__get_integer(line, "rows", 1, &point->rows) && motley__get_number(line, "seconds", &point->seconds) &&
           point->seconds > 0 && motley__get_number(line, "spread", &point->spread) &&
           motley__get_integer(line, "samples", 0, &point->samples);
}

static int get_link(const char *line, struct motley__link_line *link)
{
    char ranks[MOTLEY__VALUE];
    int end = 0;
    memset(link, 0, sizeof *link);
    return motley__get_text(line, "from", link->host[0], sizeof link->host[0]) &&
           motley__get_text(line, "to", link->host[1], sizeof link->host[1]) &&
           strcmp(link->host[0], link->host[1]) <= 0 && motley__get_text(line, "ranks", ranks, sizeof ranks) &&
           sscanf(ranks, "%9d/%9d%n", &link->ranks[0], &link->ranks[1], &end) == 2 && !ranks[end] &&
           link->ranks[0] > 0 && link->ranks[1] > 0 && motley__get_number(line, "latency", &link->link.latency) &&
           motley__get_number(line, "message", &link->link.message) &&
           motley__get_number(line, "bandwidth", &link->link.bandwidth) && link->link.bandwidth > 0 &&
           motley__get_number(line, "spread", &link->spread) &&
           motley__get_integer(line, "samples", 1, &link->samples);
}

/* Where reading has come to. */
struct reader {
    struct motley__profile read;              /* owned */
    struct motley__profile_entry *entry;      /* of the device line above; NULL: dropped, and so are its lines */
    struct motley__curve curve;               /* being read; D 0: none */
    struct motley_error *error;
};

/* The curve so far goes to its device; one without a point is none. */
static int end_curve(struct reader *reader)
{
    int status = 0;
    if (reader->entry && reader->curve.D && reader->curve.points)
        status = motley__curve_put(reader->entry, &reader->curve, reader->error);
    reader->curve.D = 0;
    return status;
}

/* A line under a device that is no point: it ends the curve above. */
static int read_item(struct reader *reader, const char *kind, const char *line, int *dropped)
{
    struct motley__choice choice;
    int status = end_curve(reader);
    if (!strcmp(kind, "dense")) {
        *dropped = !get_dense(line, &reader->entry->dense);
    } else if (!strcmp(kind, "copy")) {
        *dropped = !get_copy(line, &reader->entry->copy);
    } else if (!strcmp(kind, "move")) {
        *dropped = !get_move(line, &reader->entry->move);
    } else if (!strcmp(kind, "tuned")) {
        *dropped = !get_choice(line, &choice);
        if (!*dropped && !status)
            status = motley__choice_put(reader->entry, &choice, reader->error);
    } else {
        *dropped = !get_curve(line, &reader->curve);
        if (*dropped)
            reader->curve.D = 0;
    }
    return status;
}

/* One line.  *dropped = 1 when it is of a known kind but cannot be read.  Fails when memory is out. */
static int read_line(struct reader *reader, const char *line, int *dropped)
{
    char kind[16] = "";
    int length = 0, status = 0, panel;
    *dropped = 0;
    sscanf(line, " %15[a-z]%n", kind, &length);
    line += length;
    if (!strcmp(kind, "device")) {
        struct motley__profile_key key;
        status = end_curve(reader);
        *dropped = !get_device(line, &key, &panel);
        reader->entry = *dropped ? NULL : motley__profile_add(&reader->read, &key);
        if (reader->entry)
            reader->entry->panel = panel;
        else if (!*dropped && !status)
            status = motley__fail(reader->error, MOTLEY_E_MEMORY, "out of host memory for the profile");
    } else if (!strcmp(kind, "link")) {
        struct motley__link_line link;
        *dropped = !get_link(line, &link);
        if (!*dropped)
            status = motley__link_put(&reader->read, &link, reader->error);
    } else if (!strcmp(kind, "outcome")) {
        struct motley__outcome outcome;
        *dropped = !motley__outcome_read(line, &outcome);
        if (!*dropped)
            status = motley__outcome_put(&reader->read, &outcome, reader->error);
    } else if ((!strcmp(kind, "dense") || !strcmp(kind, "copy") || !strcmp(kind, "move") ||
                !strcmp(kind, "tuned") || !strcmp(kind, "curve")) && reader->entry) {
        status = read_item(reader, kind, line, dropped);
    } else if (!strcmp(kind, "point") && reader->entry && reader->curve.D) {
        struct motley__point point;
        *dropped = !get_point(line, &point);
        if (!*dropped)
            motley__curve_set(&reader->curve, &point);
    }
    return status;
}

int motley__profile_parse(const char *text, const char *where, const struct motley__log *log,
                          struct motley__profile *profile, struct motley_error *error)
{
    struct reader reader = {.error = error};
    int status = 0, number = 0, first_dropped = 0;
    locale_t before = use_plain_numbers();
    while (!status && *text) {
        int dropped = 1; /* a last line without its end may have lost digits */
        const char *end = strchr(text, '\n');
        number++;
        if (end) {
            char *line = strndup(text, (size_t)(end - text));
            status = line ? read_line(&reader, line, &dropped)
                          : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profile");
            free(line);
        }
        if (dropped && !first_dropped)
            first_dropped = number;
        text = end ? end + 1 : text + strlen(text);
    }
    if (!status)
        status = end_curve(&reader);
    put_locale_back(before);
    if (!status)
        status = motley__profile_merge(profile, &reader.read, error);
    motley__profile_clear(&reader.read);
    if (!status && first_dropped && log)
        motley__warn(log, "%s: line %d cannot be read; what it told will be measured anew", where, first_dropped);
    return status;
}
