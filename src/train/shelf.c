/* Which checkpoints a directory holds.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "model/safetensors.h"
#include "train/shelf.h"

static const char PREFIX[] = "checkpoint-";

int motley__shelf_path(const char *output, int64_t step, const char *suffix, char **path, struct motley_error *error)
{
    return motley__format(path, error, "%s/%s%" PRId64 "%s", output, PREFIX, step, suffix);
}

int motley__shelf_exists(const char *path)
{
    return !access(path, F_OK);
}

/* The step in "checkpoint-STEP" or "checkpoint-STEP.tmp"; -1 for other names. */
static int64_t parse_name(const char *name, const char *suffix)
{
    const char *digits = name + sizeof PREFIX - 1;
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) || *digits < '0' || *digits > '9')
        return -1;
    char *end;
    errno = 0;
    long long step = strtoll(digits, &end, 10);
    return errno || strcmp(end, suffix) ? -1 : step;
}

static int newest_first(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* The steps of all names with a suffix. */
static int list(const char *output, const char *suffix, int64_t **steps, int *count, struct motley_error *error)
{
    int64_t *made = NULL;
    int n = 0, status = 0;
    DIR *folder = opendir(output);
    if (!folder && errno != ENOENT)
        return motley__fail(error, MOTLEY_E_IO, "%s: cannot be read: %s", output, strerror(errno));
    for (struct dirent *entry; folder && !status && (entry = readdir(folder));) {
        int64_t step = parse_name(entry->d_name, suffix);
        if (step < 0)
            continue;
        int64_t *larger = realloc(made, (size_t)(n + 1) * sizeof *made);
        if (!larger) {
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a list of checkpoints");
        } else {
            made = larger;
            made[n++] = step;
        }
    }
    if (folder)
        closedir(folder);
    if (status) {
        free(made);
        return status;
    }
    if (n)
        qsort(made, (size_t)n, sizeof *made, newest_first);
    *steps = made;
    *count = n;
    return 0;
}

int motley__shelf_steps(const char *output, int64_t **steps, int *count, struct motley_error *error)
{
    return list(output, "", steps, count, error);
}

/* "loss.csv.tmp.123": a file that was being replaced. */
static int is_torn(const char *name)
{
    return !strncmp(name, "loss.", 5) && strstr(name, MOTLEY__UNFINISHED ".");
}

static int tidy_files(const char *output, struct motley_error *error)
{
    int status = 0;
    DIR *folder = opendir(output);
    if (!folder)
        return errno == ENOENT ? 0
                               : motley__fail(error, MOTLEY_E_IO, "%s: cannot be read: %s", output, strerror(errno));
    for (struct dirent *entry; !status && (entry = readdir(folder));)
        if (is_torn(entry->d_name) && unlinkat(dirfd(folder), entry->d_name, 0))
            status = motley__fail(error, MOTLEY_E_IO, "%s/%s: cannot be removed: %s", output, entry->d_name,
                                  strerror(errno));
    closedir(folder);
    return status;
}

int motley__shelf_tidy(const char *output, struct motley_error *error)
{
    int64_t *steps;
    int count, status = list(output, MOTLEY__UNFINISHED, &steps, &count, error);
    if (status)
        return status;
    for (int i = 0; i < count && !status; i++) {
        char *path = NULL;
        status = motley__shelf_path(output, steps[i], MOTLEY__UNFINISHED, &path, error);
        if (!status)
            status = motley__directory_remove(path, error);
        free(path);
    }
    free(steps);
    return status ? status : tidy_files(output, error);
}

static int check_json(const char *path, const char *name, struct motley_error *error)
{
    char *file = NULL, *text = NULL;
    size_t bytes;
    json_error_t reason;
    int status = motley__format(&file, error, "%s/%s", path, name);
    if (!status)
        status = motley__file_read(file, &text, &bytes, error);
    if (!status) {
        json_t *json = json_loads(text, 0, &reason);
        if (!json)
            status = motley__fail(error, MOTLEY_E_FORMAT, "%s: line %d: %s", file, reason.line, reason.text);
        json_decref(json);
    }
    free(text);
    free(file);
    return status;
}

static int check_tensors(const char *path, const char *name, struct motley_error *error)
{
    char *file = NULL;
    struct motley__safetensors *tensors = NULL;
    int status = motley__format(&file, error, "%s/%s", path, name);
    if (!status)
        status = motley__safetensors_open(file, &tensors, error);
    motley__safetensors_close(tensors);
    free(file);
    return status;
}

int motley__shelf_check(const char *path, struct motley_error *error)
{
    int status = check_json(path, "config.json", error);
    if (!status)
        status = check_json(path, "plan.json", error);
    if (!status)
        status = check_json(path, "trainer.json", error);
    if (!status)
        status = check_tensors(path, "model.safetensors", error);
    return status ? status : check_tensors(path, "optimizer.safetensors", error);
}
