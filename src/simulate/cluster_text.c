/* Reading the description of a cluster.  Nothing in it is believed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "simulate/cluster.h"

enum { LARGEST_KINDS = 256, LARGEST_PARTS = 256, WHERE = 96 };

static const double LARGEST_MICROSECONDS = 1e9, LARGEST_BANDWIDTH = 1e9; /* MB/s */

/* A place in the file: an object, and its name in messages: "nodes[1].devices[0]". */
struct place {
    const json_t *object;
    char where[WHERE];
    int top;                         /* 1: the whole file */
    const char *path;                /* of the file */
    struct motley_error *error;
};

/* An object at the place, with no other names than `known`, "a|b|c": what is misspelt would otherwise be ignored. */
static int check_names(const struct place *place, const char *known)
{
    const char *name;
    json_t *value, *object = (json_t *)place->object;   /* jansson's loop wants it so, and changes nothing */

    if (!json_is_object(object))
        return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s is no object; write {...} there", place->path,
                            place->where);
    json_object_foreach(object, name, value) {
        const size_t length = strlen(name);
        const char *at = known;
        while (at && (strncmp(at, name, length) != 0 || (at[length] != '|' && at[length] != 0)))
            at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL;
        if (!at || !length)
            return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s has an unknown \"%.40s\"; known are %s",
                                place->path, place->where, name, known);
    }
    return 0;
}

/* required 0: *value stays what it is when the name is absent. */
static int get_number(const struct place *place, const char *name, int required, double low, double high,
                      double *value)
{
    const json_t *found = json_object_get(place->object, name);

    if (!found && !required)
        return 0;
    if (!json_is_number(found))
        return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: \"%s\" is %s; give a number from %g to %g",
                            place->path, place->where, name, found ? "no number" : "missing", low, high);
    const double read = json_number_value(found);
    if (!(read >= low && read <= high))
        return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: \"%s\" is %g; give a number from %g to %g",
                            place->path, place->where, name, read, low, high);
    *value = read;
    return 0;
}

static int get_integer(const struct place *place, const char *name, int high, int *value)
{
    double read = *value;

    if (json_is_real(json_object_get(place->object, name)))
        return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: \"%s\" is no whole number; give one from 1 to %d",
                            place->path, place->where, name, high);
    int status = get_number(place, name, 0, 1, high, &read);
    *value = (int)read;
    return status;
}

static int get_text(const struct place *place, const char *name, int required, char *value, size_t size)
{
    const json_t *found = json_object_get(place->object, name);
    const char *text = json_string_value(found);

    if (!found && !required)
        return 0;
    if (!text || !*text || strlen(text) >= size)
        return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: \"%s\" is %s; give a text of 1 to %zu characters",
                            place->path, place->where, name, found ? "no such text" : "missing", size - 1);
    strcpy(value, text);
    return 0;
}

/* The list of a name, with 1 to `most` items. */
static int get_list(const struct place *place, const char *name, int most, const json_t **list)
{
    const json_t *found = json_object_get(place->object, name);

    if (!json_is_array(found) || json_array_size(found) < 1 || json_array_size(found) > (size_t)most)
        return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: \"%s\" is %s; give a list of 1 to %d",
                            place->path, place->where, name, found ? "no list of such a length" : "missing", most);
    *list = found;
    return 0;
}

static struct place inner(const struct place *outer, const json_t *object, const char *name, int number)
{
    struct place place = {.object = object, .path = outer->path, .error = outer->error};
    char item[32] = "";

    if (number >= 0)
        snprintf(item, sizeof item, "[%d]", number);
    snprintf(place.where, sizeof place.where, "%.50s%s%s%s", outer->top ? "" : outer->where, outer->top ? "" : ".",
             name, item);
    return place;
}

/* The numbers of a link at a place. */
static int get_link(const struct place *place, struct motley__link *link)
{
    double latency = 0, message = 0, bandwidth = 0;
    int status = get_number(place, "latency_us", 1, 0, LARGEST_MICROSECONDS, &latency);

    if (!status)
        status = get_number(place, "message_us", 0, 0, LARGEST_MICROSECONDS, &message);
    if (!status)
        status = get_number(place, "MB_per_second", 1, 1e-3, LARGEST_BANDWIDTH, &bandwidth);
    if (!status)
        *link = (struct motley__link){1e-6 * latency, 1e-6 * message, 1e6 * bandwidth};
    return status;
}

/* The link of a name in an object; needed 0: it may be absent.  why: it is needed. */
static int get_named_link(const struct place *outer, const char *name, int needed, const char *why,
                          struct motley__link *link)
{
    const json_t *found = json_object_get(outer->object, name);
    const struct place place = inner(outer, found, name, -1);

    if (!found && needed)
        return motley__fail(outer->error, MOTLEY_E_FORMAT, "%s: %s is missing, and %s; give it as {\"latency_us\": 20, "
                            "\"MB_per_second\": 1000}", outer->path, place.where, why);
    if (!found)
        return 0;
    int status = check_names(&place, "latency_us|message_us|MB_per_second");
    return status ? status : get_link(&place, link);
}

/* The number of a profile, read when it is new.  name: relative to the cluster's file. */
static int open_profile(const struct place *place, struct motley__cluster *cluster, const char *name, int *number)
{
    const char *slash = strrchr(cluster->path, '/');
    const int folder = slash && name[0] != '/' ? (int)(slash - cluster->path) + 1 : 0;
    char *path = NULL, *text = NULL;
    size_t bytes;
    int status = motley__format(&path, place->error, "%.*s%s", folder, cluster->path, name);

    for (*number = 0; !status && *number < cluster->profiles; ++*number)
        if (!strcmp(cluster->profile_path[*number], path)) {
            free(path);
            return 0;
        }
    if (!status && motley__file_read(path, &text, &bytes, place->error))
        status = motley__fail_in(place->error, MOTLEY_E_IO, "%s: %s", place->path, place->where);
    if (!status) {
        struct motley__profile *read = &cluster->profile[cluster->profiles];
        cluster->profile_path[cluster->profiles++] = path;
        status = motley__profile_parse(text, path, NULL, read, place->error);
        if (!status && read->entries == 0)
            status = motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: %s is no profile of any device; give one "
                                  "that motley measure wrote", place->path, place->where, path);
    } else {
        free(path);
    }
    free(text);
    return status;
}

/* The profile has the device, and no two of that name. */
static int check_device(const struct place *place, const struct motley__cluster *cluster,
                        const struct motley__cluster_part *part)
{
    const struct motley__profile *profile = &cluster->profile[part->profile];
    const char *path = cluster->profile_path[part->profile], *name = NULL;

    for (int i = 0; i < profile->entries; i++) {
        const struct motley__profile_key *key = &profile->entry[i].key;
        if (!strstr(key->name, part->device) || (part->host[0] && strcmp(part->host, key->host) != 0))
            continue;
        if (name && strcmp(name, key->name) != 0)
            return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: \"device\" \"%s\" is both \"%s\" and \"%s\" in "
                                "%s; give more of the name", place->path, place->where, part->device, name, key->name,
                                path);
        name = key->name;
    }
    if (!name)
        return motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: %s has no device with \"%s\" in its name%s%s; it "
                            "has \"%s\"", place->path, place->where, path, part->device,
                            part->host[0] ? " on host " : "", part->host, profile->entry[0].key.name);
    return 0;
}

static int get_part(const struct place *place, struct motley__cluster *cluster, struct motley__cluster_part *part)
{
    char name[4096];
    double gibibytes = 0;
    int status = check_names(place, "profile|device|host|ranks|memory_GiB");

    part->ranks = 1;
    if (!status)
        status = get_text(place, "profile", 1, name, sizeof name);
    if (!status)
        status = get_text(place, "device", 1, part->device, sizeof part->device);
    if (!status)
        status = get_text(place, "host", 0, part->host, sizeof part->host);
    if (!status)
        status = get_integer(place, "ranks", MOTLEY__LARGEST_CLUSTER, &part->ranks);
    if (!status)
        status = get_number(place, "memory_GiB", 0, 1e-3, 1e9, &gibibytes);
    part->memory_bytes = (uint64_t)(gibibytes * 1024 * 1024 * 1024);
    if (!status)
        status = open_profile(place, cluster, name, &part->profile);
    return status ? status : check_device(place, cluster, part);
}

static int out_of_memory(const struct place *place)
{
    return motley__fail(place->error, MOTLEY_E_MEMORY, "out of host memory for %s", place->path);
}

static int get_kind(const struct place *place, struct motley__cluster *cluster, struct motley__cluster_kind *kind)
{
    const json_t *devices;
    int status = check_names(place, "name|count|devices|inside");

    kind->count = 1;
    if (!status)
        status = get_text(place, "name", 1, kind->name, sizeof kind->name);
    for (const struct motley__cluster_kind *other = cluster->kind; !status && other < kind; other++)
        if (!strcmp(other->name, kind->name))
            status = motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: \"%s\" is the name of other nodes, too; "
                                  "give each kind its own", place->path, place->where, kind->name);
    if (!status)
        status = get_integer(place, "count", MOTLEY__LARGEST_CLUSTER, &kind->count);
    if (!status)
        status = get_list(place, "devices", LARGEST_PARTS, &devices);
    if (status)
        return status;
    const size_t parts = json_array_size(devices), all = (size_t)cluster->profiles + parts;
    struct motley__profile *profile = realloc(cluster->profile, all * sizeof *profile);
    if (profile)
        cluster->profile = profile;
    char **profile_path = realloc(cluster->profile_path, all * sizeof *profile_path);
    if (profile_path)
        cluster->profile_path = profile_path;
    kind->part = calloc(parts, sizeof *kind->part);
    if (!profile || !profile_path || !kind->part)
        return out_of_memory(place);
    memset(profile + cluster->profiles, 0, parts * sizeof *profile);
    for (size_t i = 0; i < parts && !status; i++) {
        const struct place device = inner(place, json_array_get(devices, i), "devices", (int)i);
        status = get_part(&device, cluster, &kind->part[i]);
        kind->parts++;
        kind->ranks += kind->part[i].ranks;
    }
    if (status)
        return status;
    return get_named_link(place, "inside", kind->ranks > 1, "the node has several ranks", &kind->inside);
}

static int find_kind(const struct place *place, const struct motley__cluster *cluster, const char *name, int *kind)
{
    char wanted[64];
    int status = get_text(place, name, 1, wanted, sizeof wanted);

    for (*kind = 0; !status && *kind < cluster->kinds; ++*kind)
        if (!strcmp(cluster->kind[*kind].name, wanted))
            return 0;
    return status ? status : motley__fail(place->error, MOTLEY_E_FORMAT, "%s: %s: \"%s\" is \"%s\", which no nodes are "
                                          "named; give a name of \"nodes\"", place->path, place->where, name, wanted);
}

/* "between" for all, then "links". */
static int get_links(const struct place *root, struct motley__cluster *cluster)
{
    const json_t *links = json_object_get(root->object, "links");
    const int several = cluster->kinds > 1 || cluster->kind[0].count > 1;
    struct motley__link all = {0};
    int status = get_named_link(root, "between", several, "there are several nodes", &all);

    for (int i = 0; i < cluster->kinds * cluster->kinds; i++)
        cluster->between[i] = all;
    if (!status && links && !json_is_array(links))
        status = motley__fail(root->error, MOTLEY_E_FORMAT, "%s: \"links\" is no list; write [...] there", root->path);
    for (size_t i = 0; !status && i < json_array_size(links); i++) {
        const struct place place = inner(root, json_array_get(links, i), "links", (int)i);
        struct motley__link link = {0};
        int from = 0, to = 0;
        status = check_names(&place, "from|to|latency_us|message_us|MB_per_second");
        if (!status)
            status = find_kind(&place, cluster, "from", &from);
        if (!status)
            status = find_kind(&place, cluster, "to", &to);
        if (!status)
            status = get_link(&place, &link);
        if (!status)
            cluster->between[from * cluster->kinds + to] = cluster->between[to * cluster->kinds + from] = link;
    }
    return status;
}

static int get_cluster(const struct place *root, struct motley__cluster *cluster)
{
    const json_t *nodes;
    int64_t ranks = 0;
    int status = check_names(root, "nodes|between|links");

    if (!status)
        status = get_list(root, "nodes", LARGEST_KINDS, &nodes);
    if (status)
        return status;
    const size_t kinds = json_array_size(nodes);
    cluster->kind = calloc(kinds, sizeof *cluster->kind);
    cluster->between = calloc(kinds * kinds, sizeof *cluster->between);
    if (!cluster->kind || !cluster->between)
        return out_of_memory(root);
    for (size_t i = 0; i < kinds && !status; i++) {
        const struct place place = inner(root, json_array_get(nodes, i), "nodes", (int)i);
        cluster->kinds++;
        status = get_kind(&place, cluster, &cluster->kind[i]);
        ranks += (int64_t)cluster->kind[i].count * cluster->kind[i].ranks;
        if (!status && ranks > MOTLEY__LARGEST_CLUSTER)
            status = motley__fail(root->error, MOTLEY_E_FORMAT, "%s: %s: the cluster has %lld ranks; give at most %d",
                                  root->path, place.where, (long long)ranks, MOTLEY__LARGEST_CLUSTER);
    }
    return status ? status : get_links(root, cluster);
}

int motley__cluster_read(const char *path, struct motley__cluster *cluster, struct motley_error *error)
{
    struct place root = {.where = "the file", .top = 1, .path = path, .error = error};
    json_error_t problem;
    char *text = NULL;
    size_t bytes;
    int status = motley__file_read(path, &text, &bytes, error);

    if (status)
        return status;
    json_t *read = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &problem);
    free(text);
    if (!read)
        return motley__fail(error, MOTLEY_E_FORMAT, "%s: line %d, column %d: %s; expected JSON", path, problem.line,
                            problem.column, problem.text);
    root.object = read;
    status = motley__format(&cluster->path, error, "%s", path);
    if (!status)
        status = get_cluster(&root, cluster);
    json_decref(read);
    return status;
}
