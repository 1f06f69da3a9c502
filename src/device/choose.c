/* Who drives what of a node, on which cores: a pure function of what the node has and its ranks bring.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device/node.h"

/* Of the memory for CPU ranks: the system, MPI and our own host memory need the rest. */
static const double CPU_MEMORY_PART = 0.8;

/* The question and the answer under construction. */
struct choice {
    const struct motley__node *node;
    const struct motley__found *found;
    const struct motley__claim *claims;
    int ranks, cpu_ranks;
    struct motley__binding *bindings;   /* [ranks] */
    unsigned char *masks;               /* [ranks, cores] */
    unsigned char *kept;                /* [cores] 1: kept for an accelerator's rank */
    int *pool, *members;                /* [cores], [ranks]: cores being split among ranks */
    int *sizes, *seats;                 /* [cores]: of each domain in the pool, its cores and its ranks */
};

int motley__bind_accepts(const char *list, const struct motley__found *found)
{
    if (!list || !list[0])
        return 1;
    while (*list) {
        size_t length = strcspn(list, ",");
        char word[128] = "";
        if (length > 0 && length < sizeof word) {
            memcpy(word, list, length);
            if (!strcasecmp(word, "gpu") ? found->is_gpu
                : !strcasecmp(word, "cpu") ? found->is_cpu : strcasestr(found->name, word) != NULL)
                return 1;
        }
        list += length + (list[length] == ',');
    }
    return 0;
}

static int users(const struct choice *c, int ranks, int device)
{
    int count = 0;
    for (int r = 0; r < ranks; r++)
        count += c->bindings[r].device == device;
    return count;
}

static int drives_cpu(const struct choice *c, int rank)
{
    return c->found[c->bindings[rank].device].is_cpu;
}

static int choose_device(struct choice *c, int rank, struct motley_error *error)
{
    const struct motley__claim *claim = &c->claims[rank];
    int cpu = -1, least = -1, accelerators = 0;
    for (int d = c->node->devices - 1; d >= 0; d--) { /* downwards, so that ties go to the first */
        if (!claim->accepts[d])
            continue;
        if (c->found[d].is_cpu) {
            cpu = d;
            continue;
        }
        accelerators++;
        if (least < 0 || users(c, rank, d) <= users(c, rank, least))
            least = d;
    }
    int free_one = least >= 0 && users(c, rank, least) == 0;
    int device = free_one || (least >= 0 && claim->share_gpus) ? least : cpu;
    if (device < 0)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "%d ranks on this node, but only %d of its devices may be used and each is driven by one "
                            "rank: start %d here, allow the CPU too, or let ranks share with --share-gpus",
                            c->ranks, accelerators, accelerators);
    c->bindings[rank].device = device;
    return 0;
}

/* May a core be taken from every CPU rank that was given it, with one left for each? */
static int can_keep(const struct choice *c, int core)
{
    for (int r = 0; r < c->ranks; r++) {
        int left = 0;
        if (!drives_cpu(c, r) || !c->claims[r].mask[core])
            continue;
        for (int i = 0; i < c->node->cores; i++)
            left += c->claims[r].mask[i] && !c->kept[i] && i != core;
        if (left == 0)
            return 0;
    }
    return 1;
}

/* The core of an accelerator's rank; without CPU ranks nobody disturbs it, and it keeps all it was given. */
static void keep_core(struct choice *c, int rank)
{
    int cores = c->node->cores, domain = c->node->domain[c->bindings[rank].device], chosen = -1;
    unsigned char *mask = &c->masks[(size_t)rank * (size_t)cores];
    memcpy(mask, c->claims[rank].mask, (size_t)cores);
    if (c->cpu_ranks == 0)
        return;
    for (int i = 0; i < cores; i++) {
        if (!c->claims[rank].mask[i] || c->kept[i] || !can_keep(c, i))
            continue;
        if (chosen < 0 || (c->node->core[i].domain == domain && c->node->core[chosen].domain != domain))
            chosen = i;
    }
    if (chosen < 0)
        return;
    c->kept[chosen] = 1;
    memset(mask, 0, (size_t)cores);
    mask[chosen] = 1;
}

static void give(struct choice *c, int member, int first, int end)
{
    unsigned char *mask = &c->masks[(size_t)c->members[member] * (size_t)c->node->cores];
    for (int i = first; i < end; i++)
        mask[c->pool[i]] = 1;
}

/* End of the run of pool cores that share a domain with pool[first]. */
static int domain_end(const struct choice *c, int first, int pool)
{
    int end = first + 1;
    while (end < pool && c->node->core[c->pool[end]].domain == c->node->core[c->pool[first]].domain)
        end++;
    return end;
}

/* Give the domains of the pool their numbers of ranks, c->seats.  Each gets one; each further rank goes where most
 * cores come on one rank, ties to the earlier domain. */
static void seat_members(struct choice *c, int domains, int members)
{
    for (int d = 0; d < domains; d++)
        c->seats[d] = 1;
    for (int left = members - domains; left > 0; left--) {
        int best = 0;
        for (int d = 1; d < domains; d++)
            if ((long)c->sizes[d] * c->seats[best] > (long)c->sizes[best] * c->seats[d])
                best = d;
        c->seats[best]++;
    }
}

/* Split c->pool [pool] among c->members [members]. */
static void split(struct choice *c, int pool, int members)
{
    int domains = 0, member = 0;
    if (members >= pool) { /* a core each, neighbours on the same one */
        for (int m = 0; m < members && pool > 0; m++) {
            int core = (int)((long)m * pool / members);
            give(c, m, core, core + 1);
        }
        return;
    }
    for (int first = 0, end; first < pool; first = end) {
        end = domain_end(c, first, pool);
        c->sizes[domains++] = end - first;
    }
    seat_members(c, domains, members);
    for (int d = 0, first = 0; d < domains; first += c->sizes[d++]) {
        int size = c->sizes[d], seats = c->seats[d];
        if (members <= domains) { /* whole domains, as even as can be */
            give(c, (int)((long)d * members / domains), first, first + size);
            continue;
        }
        for (int s = 0; s < seats; s++)
            give(c, member + s, first + (int)((long)s * size / seats), first + (int)((long)(s + 1) * size / seats));
        member += seats;
    }
}

/* The CPU ranks that were given the same cores as `first` split those that no accelerator's rank keeps. */
static void split_group(struct choice *c, int first)
{
    int cores = c->node->cores, pool = 0, members = 0;
    const unsigned char *mask = c->claims[first].mask;
    for (int i = 0; i < cores; i++)
        if (mask[i] && !c->kept[i])
            c->pool[pool++] = i;
    for (int r = first; r < c->ranks; r++)
        if (drives_cpu(c, r) && !memcmp(mask, c->claims[r].mask, (size_t)cores))
            c->members[members++] = r;
    split(c, pool, members);
}

static int is_first_of_group(const struct choice *c, int rank)
{
    for (int r = 0; r < rank; r++)
        if (drives_cpu(c, r) && !memcmp(c->claims[r].mask, c->claims[rank].mask, (size_t)c->node->cores))
            return 0;
    return 1;
}

/* Numbers that follow from devices and masks. */
static void count_shares(struct choice *c)
{
    int cores = c->node->cores, cpu_cores = 0;
    for (int r = 0; r < c->ranks; r++) {
        struct motley__binding *binding = &c->bindings[r];
        for (int i = 0; i < cores; i++)
            binding->cores += c->masks[(size_t)r * (size_t)cores + (size_t)i];
        binding->sharers = users(c, c->ranks, binding->device);
        cpu_cores += drives_cpu(c, r) ? binding->cores : 0;
    }
    for (int r = 0; r < c->ranks; r++) {
        struct motley__binding *binding = &c->bindings[r];
        if (!drives_cpu(c, r))
            continue;
        binding->memory_bytes = (uint64_t)(CPU_MEMORY_PART * (double)c->node->memory_bytes / c->cpu_ranks);
        /* Threads beyond the time that the control group allows would only be stopped in turn. */
        double part = c->node->quota > 0 && cpu_cores > 0 ? c->node->quota / cpu_cores : 1;
        int allowed = part < 1 ? (int)ceil(part * binding->cores) : binding->cores;
        binding->threads = c->claims[r].threads > 0 ? c->claims[r].threads : allowed > 1 ? allowed : 1;
    }
}

int motley__bind_choose(const struct motley__node *node, const struct motley__found *found,
                        const struct motley__claim *claims, int ranks, struct motley__binding *bindings,
                        unsigned char *masks, struct motley_error *error)
{
    size_t cores = (size_t)node->cores;
    struct choice c = {.node = node, .found = found, .claims = claims, .ranks = ranks, .bindings = bindings,
                       .masks = masks, .kept = calloc(cores + 1, 1), .pool = calloc(cores + 1, sizeof *c.pool),
                       .members = calloc((size_t)ranks + 1, sizeof *c.members),
                       .sizes = calloc(cores + 1, sizeof *c.sizes), .seats = calloc(cores + 1, sizeof *c.seats)};
    int status = 0;
    memset(masks, 0, (size_t)ranks * cores);
    memset(bindings, 0, (size_t)ranks * sizeof *bindings);
    if (!c.kept || !c.pool || !c.members || !c.sizes || !c.seats)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the cores of %d ranks", ranks);
    for (int r = 0; r < ranks && !status; r++)
        status = choose_device(&c, r, error);
    if (!status) {
        for (int r = 0; r < ranks; r++)
            c.cpu_ranks += drives_cpu(&c, r);
        for (int r = 0; r < ranks; r++)
            if (!drives_cpu(&c, r))
                keep_core(&c, r);
        for (int r = 0; r < ranks; r++)
            if (drives_cpu(&c, r) && is_first_of_group(&c, r))
                split_group(&c, r);
        count_shares(&c);
    }
    free(c.kept);
    free(c.pool);
    free(c.members);
    free(c.sizes);
    free(c.seats);
    return status;
}
