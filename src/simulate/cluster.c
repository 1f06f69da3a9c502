/* A described cluster: as many of its ranks as are wanted, each with measurements.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "cost/cost.h"
#include "device/storage.h"
#include "simulate/cluster.h"

void motley__cluster_clear(struct motley__cluster *cluster)
{
    if (!cluster)
        return;
    for (int k = 0; k < cluster->kinds; k++)
        free(cluster->kind[k].part);
    for (int p = 0; p < cluster->profiles; p++) {
        motley__profile_clear(&cluster->profile[p]);
        free(cluster->profile_path[p]);
    }
    free(cluster->kind);
    free(cluster->between);
    free(cluster->profile);
    free(cluster->profile_path);
    free(cluster->path);
    memset(cluster, 0, sizeof *cluster);
}

int motley__cluster_ranks(const struct motley__cluster *cluster)
{
    int ranks = 0;

    for (int k = 0; k < cluster->kinds; k++)
        ranks += cluster->kind[k].count * cluster->kind[k].ranks;
    return ranks;
}

void motley__cluster_job_clear(struct motley__cluster_job *job)
{
    motley__links_clear(&job->links);
    free(job->entry);
    free(job->own);
    memset(job, 0, sizeof *job);
}

static int has_curves(const struct motley__profile_entry *entry, const struct motley_layer_shape *shape, int backward)
{
    struct motley__widths widths;

    motley__cost_widths(entry, shape, 1, backward, &widths);
    return widths.points > 0;
}

/* How much an entry is like rank `place` of `places` of a node. */
static int likeness(const struct motley__profile_entry *entry, int place, int places)
{
    return 2 * (entry->key.places == places) + (entry->key.place == place);
}

/* The measurements of rank `place` of a node of some kind: the first of the best that know the shape. */
static int find_entry(const struct motley__cluster *cluster, const struct motley__cluster_kind *kind,
                      const struct motley__cluster_part *part, const struct motley_layer_shape *shape, int backward,
                      int place, struct motley__profile_entry *entry, struct motley_error *error)
{
    const struct motley__profile *profile = &cluster->profile[part->profile];
    const struct motley__profile_entry *best = NULL;

    for (int i = 0; i < profile->entries; i++) {
        const struct motley__profile_entry *found = &profile->entry[i];
        if (!strstr(found->key.name, part->device) || (part->host[0] && strcmp(part->host, found->key.host) != 0) ||
            !has_curves(found, shape, backward))
            continue;
        if (!best || likeness(found, place, kind->ranks) > likeness(best, place, kind->ranks))
            best = found;
    }
    if (!best)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "%s: nodes \"%s\": %s does not know what \"%s\" does with D=%d in %s and these experts%s; "
                            "let motley measure --width %d --hidden %d --dtype %s write it there", cluster->path,
                            kind->name, cluster->profile_path[part->profile], part->device, shape->D,
                            motley__storage_name(shape->dtype), backward ? ", backward too" : "", shape->D, shape->F,
                            motley__storage_name(shape->dtype));
    *entry = *best;
    if (part->memory_bytes)
        entry->key.memory_bytes = part->memory_bytes;
    strcpy(entry->key.host, kind->name);
    return 0;
}

/* Every rank of a node of every kind: job->own by kind. */
static int find_entries(const struct motley__cluster *cluster, const struct motley_layer_shape *shape, int backward,
                        struct motley__cluster_job *job, struct motley_error *error)
{
    size_t all = 0;
    int status = 0, next = 0;

    for (int k = 0; k < cluster->kinds; k++)
        all += (size_t)cluster->kind[k].ranks;
    job->own = calloc(all, sizeof *job->own);
    if (!job->own)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a cluster of %d ranks", job->R);
    for (int k = 0; k < cluster->kinds; k++) {
        const struct motley__cluster_kind *kind = &cluster->kind[k];
        int place = 0;
        for (int p = 0; p < kind->parts; p++)
            for (int i = 0; i < kind->part[p].ranks && !status; i++)
                status = find_entry(cluster, kind, &kind->part[p], shape, backward, place++, &job->own[next++], error);
    }
    return status;
}

/* Nodes of each kind that together have R ranks or, by the last, more: one after the other to the kind that is
 * furthest behind its part (Webster's rule, which gives a whole cluster exactly its own counts).  Returns the kind of
 * the last. */
static int count_nodes(const struct motley__cluster *cluster, int R, int *count)
{
    int last = 0;

    for (int ranks = 0; ranks < R; ranks += cluster->kind[last].ranks) {
        last = 0;
        for (int k = 1; k < cluster->kinds; k++)
            if ((int64_t)cluster->kind[k].count * (2 * count[last] + 1) >
                (int64_t)cluster->kind[last].count * (2 * count[k] + 1))
                last = k;
        count[last]++;
    }
    return last;
}

static void fill_links(const struct motley__cluster *cluster, struct motley__links *links)
{
    const size_t kinds = (size_t)cluster->kinds;

    for (int k = 0; k < cluster->kinds; k++)
        links->inside[k] = cluster->kind[k].inside;
    memcpy(links->between, cluster->between, kinds * kinds * sizeof *links->between);
}

/* Nodes by kind, ranks by node; the last node of kind `cut` has only what R leaves it. */
static void fill_ranks(const struct motley__cluster *cluster, const int *count, int cut,
                       struct motley__cluster_job *job)
{
    const struct motley__profile_entry *own = job->own;
    int spare = -job->R, rank = 0, node = 0;

    for (int k = 0; k < cluster->kinds; k++)
        spare += count[k] * cluster->kind[k].ranks;
    for (int k = 0; k < cluster->kinds; own += cluster->kind[k++].ranks)
        for (int n = 0; n < count[k]; n++, node++) {
            const int ranks = cluster->kind[k].ranks - (k == cut && n == count[k] - 1 ? spare : 0);
            job->links.kind[node] = k;
            for (int i = 0; i < ranks; i++, rank++) {
                job->links.node[rank] = node;
                job->entry[rank] = &own[i];
            }
        }
}

int motley__cluster_job(const struct motley__cluster *cluster, const struct motley_layer_shape *shape, int backward,
                        int R, struct motley__cluster_job *job, struct motley_error *error)
{
    int *count = NULL, nodes = 0, cut = 0, status = 0;

    job->R = R;
    if (R < 1 || R > MOTLEY__LARGEST_CLUSTER)
        return motley__fail(error, MOTLEY_E_INVALID, "a cluster of %d ranks: give 1 to %d", R, MOTLEY__LARGEST_CLUSTER);
    job->entry = calloc((size_t)R, sizeof *job->entry);
    count = calloc((size_t)cluster->kinds, sizeof *count);
    if (!job->entry || !count)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a cluster of %d ranks", R);
    if (!status)
        status = find_entries(cluster, shape, backward, job, error);
    if (!status) {
        cut = count_nodes(cluster, R, count);
        for (int k = 0; k < cluster->kinds; k++)
            nodes += count[k];
        status = motley__links_alloc(R, nodes, cluster->kinds, &job->links, error);
    }
    if (!status) {
        fill_links(cluster, &job->links);
        fill_ranks(cluster, count, cut, job);
    }
    free(count);
    return status;
}
