/* The profile among ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/collective.h"
#include "base/file.h"
#include "measure/tune.h"
#include "product/variant.h"
#include "profile/record.h"

void motley__record_key(const motley_context *context, enum motley_dtype dtype, struct motley__profile_key *key)
{
    const struct motley_device_info *info = &context->info[context->rank];
    const struct motley__variant *variant = motley__variant(context->device, dtype);
    memset(key, 0, sizeof *key);
    strcpy(key->host, info->host);
    strcpy(key->name, info->name);
    strcpy(key->driver, info->driver);
    snprintf(key->family, sizeof key->family, "%s", variant->family);
    snprintf(key->variant, sizeof key->variant, "%s", variant->name);
    key->kernels = motley__kernels_hash();
    key->cores = info->cores;
    key->memory_bytes = info->memory_bytes;
    key->place = context->node_rank;
    key->places = context->node_size;
}

int motley__record_path(const motley_context *context, char **path, struct motley_error *error)
{
    char *folder;
    if (context->profile_path)
        return motley__format(path, error, "%s", context->profile_path);
    int status = motley__cache_directory(&folder, error);
    if (status)
        return status;
    status = motley__format(path, error, "%s/profile", folder);
    free(folder);
    return status;
}

/* The file as it is; *text NULL where there is none, or none that can be read. */
static void read_file(const motley_context *context, int warns, char **text, size_t *bytes)
{
    struct motley_error why = {0};
    char *path = NULL;
    int status = motley__record_path(context, &path, &why);
    if (!status && !access(path, F_OK))
        status = motley__file_read(path, text, bytes, &why);
    if (status && warns)
        motley__warn(&context->log, "%s; measuring anew", why.text);
    free(path);
}

/* The file's text on every rank of the node; "" where there is none.  *text owned by the caller. */
static int read_on_node(motley_context *context, int warns, char **text, struct motley_error *error)
{
    char *read = NULL;
    size_t bytes = 0;
    if (context->node_rank == 0)
        read_file(context, warns, &read, &bytes);
    int length = bytes < INT_MAX ? (int)bytes : 0;
    int status = motley__broadcast(context->node, context->time_limit, 0, &length, 1, MPI_INT, error);
    if (!status && context->node_rank > 0)
        read = malloc((size_t)length + 1);
    else if (!status && !read)
        read = calloc(1, 1);
    if (!status && !read)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profile of %d bytes", length);
    status = motley__context_agree(context, status, error);
    if (!status)
        status = motley__broadcast(context->node, context->time_limit, 0, read, length, MPI_CHAR, error);
    if (status) {
        free(read);
        return status;
    }
    read[length] = 0;
    *text = read;
    return 0;
}

/* warns: of what cannot be read. */
static int load(motley_context *context, enum motley_dtype dtype, int warns, struct motley__profile *profile,
                struct motley__profile_entry **entry, struct motley_error *error)
{
    struct motley__profile_key key;
    struct motley__profile_entry *own = NULL;
    char *text = NULL;
    motley__record_key(context, dtype, &key);
    int status = read_on_node(context, warns, &text, error);
    if (status)
        return status;
    status = motley__profile_parse(text, context->profile_path ? context->profile_path : "the profile",
                                   context->node_rank == 0 && warns ? &context->log : NULL, profile, error);
    free(text);
    if (!status && !(own = motley__profile_add(profile, &key)))
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profile");
    if (own)
        own->panel = motley__esmm_panel(context->device, dtype);
    status = motley__context_agree(context, status, error);
    if (!status)
        *entry = own;
    return status;
}

int motley__record_load(motley_context *context, enum motley_dtype dtype, struct motley__profile *profile,
                        struct motley__profile_entry **entry, struct motley_error *error)
{
    return load(context, dtype, 1, profile, entry, error);
}

int motley__record_tune(motley_context *context, enum motley_dtype dtype, struct motley_error *error)
{
    struct motley__profile profile = {0};
    struct motley__profile_entry *entry;
    int status = load(context, dtype, 0, &profile, &entry, error); /* whoever plans is warned then */
    if (!status)
        status = motley__context_agree(context, motley__tune_set(context->device, dtype, entry, &context->log, error),
                               error);
    motley__profile_clear(&profile);
    return status;
}

static int entry_text(const struct motley__profile_entry *entry, char **text, struct motley_error *error)
{
    struct motley__profile_entry copy = *entry;
    struct motley__profile one = {.entries = 1, .entry = &copy};
    return motley__profile_text(&one, text, error);
}

/* All ranks' texts on all ranks of comm (root < 0) or on one: *texts holds them behind one another, each with its final
 * 0, starting at (*start)[r].  Both owned by the caller; NULL where they do not arrive.  Not agreed: MPI errors
 * only. */
static int gather_texts(MPI_Comm comm, double limit, int root, const char *text, char **texts, int **start,
                        struct motley_error *error)
{
    int rank, size, bytes = (int)strlen(text) + 1, status;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    int *counts = calloc(2 * (size_t)size, sizeof *counts);
    char *all = NULL;
    if (!counts)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profiles of %d ranks", size);
    status = motley__share(comm, limit, &bytes, 1, MPI_INT, counts, error);
    int *starts = counts + size;
    for (int r = 1; r < size; r++)
        starts[r] = starts[r - 1] + counts[r - 1];
    if (!status && (root < 0 || rank == root)) {
        all = malloc((size_t)starts[size - 1] + (size_t)counts[size - 1]);
        if (!all)
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the profiles of %d ranks", size);
    }
    status = motley__agree_within(comm, limit, status, error);
    if (!status)
        status = motley__share_unlike(comm, limit, root, text, bytes, MPI_CHAR, all, counts, starts, error);
    if (!status && all)
        memmove(counts, starts, (size_t)size * sizeof *counts);
    if (status || !all) {
        free(counts);
        free(all);
        return status;
    }
    *texts = all;
    *start = counts;
    return 0;
}

int motley__record_save(motley_context *context, const struct motley__profile_entry *entry, struct motley_error *error)
{
    struct motley__profile news = {0};
    char *text = NULL, *texts = NULL, *path = NULL;
    int *start = NULL;
    int status = motley__context_agree(context, entry_text(entry, &text, error), error);
    if (!status)
        status = gather_texts(context->node, context->time_limit, 0, text, &texts, &start, error);
    for (int r = 0; !status && texts && r < context->node_size; r++)
        status = motley__profile_parse(texts + start[r], "profile", &context->log, &news, error);
    if (!status && texts)
        status = motley__record_path(context, &path, error);
    if (path)
        status = motley__profile_update(path, &news, NULL, error); /* loading it has warned already */
    free(path);
    motley__profile_clear(&news);
    free(start);
    free(texts);
    free(text);
    return motley__context_agree(context, status, error);
}

int motley__record_save_common(motley_context *context, const struct motley__profile *profile,
                               struct motley_error *error)
{
    const struct motley__profile news = {.links = profile->links, .link = profile->link,
                                         .outcomes = profile->outcomes, .outcome = profile->outcome};
    char *path = NULL;
    int status = 0;

    if (context->node_rank == 0 && (profile->links > 0 || profile->outcomes > 0))
        status = motley__record_path(context, &path, error);
    if (path)
        status = motley__profile_update(path, &news, NULL, error);
    free(path);
    return motley__context_agree(context, status, error);
}

enum { CLASSES = MOTLEY__PRODUCTS * MOTLEY__ROWS_CLASSES, CURVES = 4 };

/* The entry with no other curves and choices than those of the shape and its slice; `curve` and `choice` give them
 * room. */
static struct motley__profile_entry only_shape(const struct motley__profile_entry *entry,
                                               const struct motley_layer_shape *shape,
                                               struct motley__curve curve[CURVES],
                                               struct motley__choice choice[CLASSES])
{
    const enum motley__weights_class weights = motley__weights_class_of(shape->D, shape->F);
    struct motley__profile_entry trimmed = *entry;
    trimmed.choices = 0;
    trimmed.choice = choice;
    for (int c = 0; c < entry->choices && trimmed.choices < CLASSES; c++)
        if (entry->choice[c].dtype == (int)shape->dtype && entry->choice[c].shape.weights == weights)
            choice[trimmed.choices++] = entry->choice[c];
    trimmed.curves = 0;
    trimmed.curve = curve;
    struct motley_layer_shape slice = *shape;
    slice.F = motley__curve_slice(shape->F);
    for (int c = 0; c < (slice.F < shape->F ? CURVES : CURVES / 2); c++) {
        const struct motley__curve *found = motley__curve_find(entry, c < 2 ? shape : &slice, c % 2);
        if (found)
            curve[trimmed.curves++] = *found;
    }
    return trimmed;
}

int motley__record_gather(motley_context *context, const struct motley__profile_entry *entry,
                          const struct motley_layer_shape *shape, struct motley__profile *profiles,
                          struct motley_error *error)
{
    struct motley__curve curve[CURVES];
    struct motley__choice choice[CLASSES];
    struct motley__profile_entry trimmed = only_shape(entry, shape, curve, choice);
    char *text = NULL, *texts = NULL;
    int *start = NULL;
    int status = motley__context_agree(context, entry_text(&trimmed, &text, error), error);
    if (!status)
        status = gather_texts(context->comm, context->time_limit, -1, text, &texts, &start, error);
    for (int r = 0; !status && r < context->size; r++) {
        status = motley__profile_parse(texts + start[r], "profile", &context->log, &profiles[r], error);
        if (!status && profiles[r].entries != 1)
            status = motley__fail(error, MOTLEY_E_MISMATCH,
                                  "rank %d's profile cannot be read here: run one version of Motley on all ranks", r);
    }
    free(start);
    free(texts);
    free(text);
    return motley__context_agree(context, status, error);
}
