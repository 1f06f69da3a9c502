/* The profile as a value: finding, adding, merging, and its file.  The text is in profile_text.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "device/program.h"
#include "profile/profile.h"

enum { SLICE_GRAIN = 32 }; /* widths that all kernels can cut */

void motley__profile_clear(struct motley__profile *profile)
{
    if (!profile)
        return;
    for (int i = 0; i < profile->entries; i++) {
        free(profile->entry[i].curve);
        free(profile->entry[i].choice);
    }
    free(profile->entry);
    free(profile->link);
    free(profile->outcome);
    memset(profile, 0, sizeof *profile);
}

int motley__key_equal(const struct motley__profile_key *a, const struct motley__profile_key *b)
{
    return !strcmp(a->host, b->host) && !strcmp(a->name, b->name) && !strcmp(a->driver, b->driver) &&
           !strcmp(a->family, b->family) && !strcmp(a->variant, b->variant) &&
           a->kernels == b->kernels && a->cores == b->cores &&
           a->memory_bytes == b->memory_bytes && a->place == b->place && a->places == b->places;
}

uint64_t motley__kernels_hash(void)
{
    const char *folder = getenv("MOTLEY_CL_DIR");
    uint64_t hash = MOTLEY__HASH_START;
    for (int i = 0; i < motley__sources_count; i++) {
        const struct motley__source *source = &motley__sources[i];
        char *path = NULL, *text = NULL;
        size_t bytes = strlen(source->text);
        if (folder && !motley__format(&path, NULL, "%s/%s", folder, source->name))
            motley__file_read(path, &text, &bytes, NULL); /* absent: the embedded one serves, as it does for programs */
        hash = motley__hash_bytes(hash, source->name, strlen(source->name) + 1);
        hash = motley__hash_bytes(hash, text ? text : source->text, bytes);
        free(text);
        free(path);
    }
    return hash;
}

struct motley__profile_entry *motley__profile_find(const struct motley__profile *profile,
                                                   const struct motley__profile_key *key)
{
    for (int i = 0; i < profile->entries; i++)
        if (motley__key_equal(&profile->entry[i].key, key))
            return &profile->entry[i];
    return NULL;
}

struct motley__profile_entry *motley__profile_add(struct motley__profile *profile,
                                                  const struct motley__profile_key *key)
{
    struct motley__profile_entry *found = motley__profile_find(profile, key);
    if (found)
        return found;
    struct motley__profile_entry *larger =
        realloc(profile->entry, ((size_t)profile->entries + 1) * sizeof *larger);
    if (!larger)
        return NULL;
    profile->entry = larger;
    larger += profile->entries++;
    memset(larger, 0, sizeof *larger);
    larger->key = *key;
    larger->panel = 1;
    return larger;
}

/* An item in place `at` of a list, which is made longer for one behind its last.  Returns the list, which may have
 * moved; NULL: out of host memory, and the list is as it was. */
static void *put(void *list, int *count, int at, const void *item, size_t size, struct motley_error *error)
{
    char *larger = at < *count ? list : realloc(list, ((size_t)at + 1) * size);
    if (!larger) {
        motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profile");
        return NULL;
    }
    *count = at < *count ? *count : at + 1;
    memcpy(larger + (size_t)at * size, item, size);
    return larger;
}

static int same_curve(const struct motley__curve *a, const struct motley__curve *b)
{
    return !a->backward == !b->backward && a->D == b->D && a->F == b->F && a->activation == b->activation &&
           !a->bias == !b->bias && a->dtype == b->dtype;
}

const struct motley__curve *motley__curve_find(const struct motley__profile_entry *entry,
                                               const struct motley_layer_shape *shape, int backward)
{
    const struct motley__curve wanted = {.backward = backward, .D = shape->D, .F = shape->F,
                                         .activation = (int)shape->activation, .bias = shape->bias,
                                         .dtype = (int)shape->dtype};
    for (int i = 0; i < entry->curves; i++)
        if (same_curve(&entry->curve[i], &wanted))
            return &entry->curve[i];
    return NULL;
}

int motley__curve_put(struct motley__profile_entry *entry, const struct motley__curve *curve,
                      struct motley_error *error)
{
    int at = 0;
    while (at < entry->curves && !same_curve(&entry->curve[at], curve))
        at++;
    struct motley__curve *list = put(entry->curve, &entry->curves, at, curve, sizeof *list, error);
    entry->curve = list ? list : entry->curve;
    return list ? 0 : MOTLEY_E_MEMORY;
}

void motley__curve_forget(struct motley__profile_entry *entry, const struct motley_layer_shape *shape)
{
    for (int backward = 0; backward < 2; backward++) {
        const struct motley__curve *found = motley__curve_find(entry, shape, backward);
        if (!found)
            continue;
        size_t at = (size_t)(found - entry->curve), behind = (size_t)--entry->curves - at;
        memmove(entry->curve + at, entry->curve + at + 1, behind * sizeof *entry->curve);
    }
}

int motley__curve_slice(int F)
{
    const int quarter = (F / 4 + SLICE_GRAIN - 1) / SLICE_GRAIN * SLICE_GRAIN;
    return quarter > 0 && quarter < F ? quarter : F;
}

void motley__curve_set(struct motley__curve *curve, const struct motley__point *point)
{
    int at = 0;
    while (at < curve->points && curve->point[at].rows < point->rows)
        at++;
    if (at == curve->points || curve->point[at].rows != point->rows) {
        if (curve->points == MOTLEY__POINTS)
            return;
        memmove(curve->point + at + 1, curve->point + at, (size_t)(curve->points - at) * sizeof *point);
        curve->points++;
    }
    curve->point[at] = *point;
}

const struct motley__choice *motley__choice_find(const struct motley__profile_entry *entry, enum motley_dtype dtype,
                                                 struct motley__shape_class shape)
{
    for (int i = 0; i < entry->choices; i++) {
        const struct motley__choice *choice = &entry->choice[i];
        if (choice->dtype == (int)dtype && choice->shape.product == shape.product && choice->shape.rows == shape.rows &&
            choice->shape.weights == shape.weights)
            return choice;
    }
    return NULL;
}

int motley__choice_put(struct motley__profile_entry *entry, const struct motley__choice *choice,
                       struct motley_error *error)
{
    const struct motley__choice *known = motley__choice_find(entry, (enum motley_dtype)choice->dtype, choice->shape);
    const int at = known ? (int)(known - entry->choice) : entry->choices;
    struct motley__choice *list = put(entry->choice, &entry->choices, at, choice, sizeof *list, error);
    entry->choice = list ? list : entry->choice;
    return list ? 0 : MOTLEY_E_MEMORY;
}

const struct motley__link_line *motley__link_find(const struct motley__profile *profile,
                                                  const struct motley__link_line *wanted)
{
    for (int i = 0; i < profile->links; i++) {
        const struct motley__link_line *line = &profile->link[i];
        if (!strcmp(line->host[0], wanted->host[0]) && !strcmp(line->host[1], wanted->host[1]) &&
            line->ranks[0] == wanted->ranks[0] && line->ranks[1] == wanted->ranks[1])
            return line;
    }
    return NULL;
}

int motley__link_put(struct motley__profile *profile, const struct motley__link_line *line, struct motley_error *error)
{
    const struct motley__link_line *known = motley__link_find(profile, line);
    const int at = known ? (int)(known - profile->link) : profile->links;
    struct motley__link_line *list = put(profile->link, &profile->links, at, line, sizeof *list, error);
    profile->link = list ? list : profile->link;
    return list ? 0 : MOTLEY_E_MEMORY;
}

const struct motley__outcome *motley__outcome_find(const struct motley__profile *profile,
                                                   const struct motley__outcome *wanted)
{
    for (int i = 0; i < profile->outcomes; i++)
        if (motley__outcome_same(&profile->outcome[i], wanted))
            return &profile->outcome[i];
    return NULL;
}

int motley__outcome_put(struct motley__profile *profile, const struct motley__outcome *outcome,
                        struct motley_error *error)
{
    const struct motley__outcome *known = motley__outcome_find(profile, outcome);
    const int at = known ? (int)(known - profile->outcome) : profile->outcomes;
    struct motley__outcome *list = put(profile->outcome, &profile->outcomes, at, outcome, sizeof *list, error);
    profile->outcome = list ? list : profile->outcome;
    return list ? 0 : MOTLEY_E_MEMORY;
}

int motley__profile_merge(struct motley__profile *profile, const struct motley__profile *from,
                          struct motley_error *error)
{
    for (int i = 0; i < from->entries; i++) {
        const struct motley__profile_entry *news = &from->entry[i];
        struct motley__profile_entry *entry = motley__profile_add(profile, &news->key);
        if (!entry)
            return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profile");
        entry->panel = news->panel;
        if (news->dense.seconds > 0)
            entry->dense = news->dense;
        if (news->copy.out > 0)
            entry->copy = news->copy;
        if (news->move.bandwidth > 0)
            entry->move = news->move;
        int status = 0;
        for (int c = 0; c < news->choices && !status; c++)
            status = motley__choice_put(entry, &news->choice[c], error);
        for (int c = 0; c < news->curves && !status; c++)
            status = motley__curve_put(entry, &news->curve[c], error);
        if (status)
            return status;
    }
    for (int i = 0; i < from->links; i++) {
        int status = motley__link_put(profile, &from->link[i], error);
        if (status)
            return status;
    }
    for (int i = 0; i < from->outcomes; i++) {
        int status = motley__outcome_put(profile, &from->outcome[i], error);
        if (status)
            return status;
    }
    return 0;
}

/* The folder that a file is to lie in. */
static int make_parent(const char *path, struct motley_error *error)
{
    const char *slash = strrchr(path, '/');
    char *folder;
    if (!slash || slash == path)
        return 0;
    int status = motley__format(&folder, error, "%.*s", (int)(slash - path), path);
    if (!status)
        status = motley__directory_make(folder, error);
    free(folder);
    return status;
}

/* An exclusive lock on a file of its own, since the profile itself is replaced: *descriptor holds it until closed. */
static int take_lock(const char *path, int *descriptor, struct motley_error *error)
{
    char *name;
    int status = motley__format(&name, error, "%s.lock", path);
    if (status)
        return status;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    while (fd >= 0 && fcntl(fd, F_SETLKW, &lock)) {
        if (errno == EINTR)
            continue;
        if (errno == ENOLCK || errno == EINVAL || errno == EOPNOTSUPP)
            break; /* a filesystem without locks: the rename alone must do */
        int reason = errno;
        close(fd);
        errno = reason;
        fd = -1;
    }
    if (fd < 0)
        status = motley__fail(error, MOTLEY_E_IO, "%s: cannot be locked: %s; name another file with --profile", name,
                              strerror(errno));
    else
        *descriptor = fd;
    free(name);
    return status;
}

int motley__profile_update(const char *path, const struct motley__profile *news, const struct motley__log *log,
                           struct motley_error *error)
{
    struct motley__profile profile = {0};
    char *text = NULL;
    size_t bytes;
    int lock = -1;
    int status = make_parent(path, error);
    if (!status)
        status = take_lock(path, &lock, error);
    if (!status && !access(path, F_OK))
        status = motley__file_read(path, &text, &bytes, error);
    if (!status && text)
        status = motley__profile_parse(text, path, log, &profile, error);
    free(text);
    text = NULL;
    if (!status)
        status = motley__profile_merge(&profile, news, error);
    if (!status)
        status = motley__profile_text(&profile, &text, error);
    if (!status)
        status = motley__file_write(path, text, strlen(text), error);
    free(text);
    if (lock >= 0)
        close(lock);
    motley__profile_clear(&profile);
    return status;
}
