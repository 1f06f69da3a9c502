/* Each rank takes its device and its cores, all of a node together.
 *
 *   every rank      sees devices (in a child process), was given cores, has options
 *   all of the node  one list of devices, one set of facts, one decision (choose.c)
 *   every rank      sets its CPU mask and thread count, then makes its first OpenCL call
 *
 * Ranks of a node need not see the same devices: a launcher may show each rank only its own GPU.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/node.h"

/* A device that a rank sees, as it tells the others. */
struct seen {
    struct motley__found found;
    int like;                           /* how many of the same platform and name come before it in the rank's list */
    int accepted;
};

/* What every rank tells beside its devices. */
struct told {
    struct motley__cpus cpus, wider;    /* motley__cpus_given */
    int devices, threads, share_gpus;
};

/* All that the decision is made from and made into. */
struct table {
    MPI_Comm comm;
    int rank, ranks;
    struct told *told;                  /* [ranks] */
    struct seen *seen;                  /* all ranks' devices, in order of rank */
    int total;
    struct motley__found *found;        /* [devices] every device once */
    int *like, devices;
    struct motley__node node;
    unsigned char *accepts;             /* [ranks, devices] */
    unsigned char *given, *masks;       /* [ranks, cores] */
    struct motley__claim *claims;       /* [ranks] */
    struct motley__binding *bindings;   /* [ranks] */
};

static int same_device(const struct motley__found *a, int like_a, const struct motley__found *b, int like_b)
{
    if (a->is_cpu || b->is_cpu)
        return a->is_cpu && b->is_cpu;
    if (a->locality[0] && b->locality[0])
        return !strcmp(a->locality, b->locality);
    return !strcmp(a->platform_name, b->platform_name) && !strcmp(a->name, b->name) && like_a == like_b;
}

static int count_like(const struct motley__found *found, int index)
{
    int count = 0;
    for (int i = 0; i < index; i++)
        count += !strcmp(found[i].platform_name, found[index].platform_name) &&
                 !strcmp(found[i].name, found[index].name);
    return count;
}

static int out_of_memory(struct motley_error *error)
{
    return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory while binding ranks to devices");
}

/* This rank's devices as it will tell them; at least one must be allowed. */
static int look(const struct table *t, const struct motley_context_options *options, struct seen **seen, int *count,
                struct motley_error *error)
{
    struct motley__found *found;
    const char *list = options ? options->devices : NULL;
    int accepted = 0;
    int status = (t->ranks > 1 ? motley__discover_in_child : motley__discover)(&found, count, error);
    if (status)
        return status;
    *seen = calloc((size_t)*count, sizeof **seen);
    for (int i = 0; i < *count && *seen; i++) {
        struct seen *s = &(*seen)[i];
        s->found = found[i];
        s->like = count_like(found, i);
        s->accepted = motley__bind_accepts(list, &found[i]);
        accepted += s->accepted;
    }
    if (!*seen)
        status = out_of_memory(error);
    else if (accepted == 0)
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "--devices %s matches none of this node's %d device(s), the first of which is \"%s\"; "
                              "say gpu, cpu or a part of a name that `motley devices` lists", list, *count,
                              found[0].name);
    free(found);
    return status;
}

static int gather(struct table *t, const struct seen *seen, struct motley_error *error)
{
    int *bytes = calloc(2 * (size_t)t->ranks, sizeof *bytes), *starts = bytes ? bytes + t->ranks : NULL;
    int mine = (int)sizeof *seen * t->told[t->rank].devices, status = 0;
    t->total = 0;
    for (int r = 0; r < t->ranks && bytes; r++) {
        starts[r] = (int)sizeof *seen * t->total;
        bytes[r] = (int)sizeof *seen * t->told[r].devices;
        t->total += t->told[r].devices;
    }
    t->seen = calloc((size_t)t->total, sizeof *t->seen);
    t->found = calloc((size_t)t->total, sizeof *t->found);
    t->like = calloc((size_t)t->total, sizeof *t->like);
    t->accepts = calloc((size_t)t->ranks * (size_t)t->total, 1);
    if (!bytes || !t->seen || !t->found || !t->like || !t->accepts)
        status = out_of_memory(error);
    status = motley__agree(t->comm, status, error);
    if (!status)
        status = motley__fail_mpi(error, MPI_Allgatherv(seen, mine, MPI_BYTE, t->seen, bytes, starts, MPI_BYTE,
                                                        t->comm), "MPI_Allgatherv");
    free(bytes);
    return status;
}

/* The devices that any rank sees, each once, and who accepts them. */
static void unite(struct table *t)
{
    unsigned char *accepts = t->accepts;
    for (int r = 0, i = 0; r < t->ranks; r++) {
        for (int k = 0; k < t->told[r].devices; k++, i++) {
            const struct seen *s = &t->seen[i];
            int d = 0;
            while (d < t->devices && !same_device(&t->found[d], t->like[d], &s->found, s->like))
                d++;
            if (d == t->devices) {
                t->found[d] = s->found;
                t->like[d] = s->like;
                t->devices++;
            }
            accepts[(size_t)r * (size_t)t->total + (size_t)d] = (unsigned char)s->accepted;
        }
    }
}

/* The first rank reads the machine for all; the others get its facts. */
static int share_node(struct table *t, struct motley_error *error)
{
    struct motley__node *node = &t->node;
    int status = t->rank == 0 ? motley__node_create(t->found, t->devices, node, error) : 0;
    status = motley__agree(t->comm, status, error);
    if (status)
        return status;
    struct motley__node facts = *node;
    status = motley__fail_mpi(error, MPI_Bcast(&facts, (int)sizeof facts, MPI_BYTE, 0, t->comm), "MPI_Bcast");
    if (status)
        return status;
    if (t->rank != 0) {
        *node = facts;
        node->core = calloc((size_t)node->cores + 1, sizeof *node->core);
        node->domain = calloc((size_t)node->devices + 1, sizeof *node->domain);
    }
    status = motley__agree(t->comm, node->core && node->domain ? 0 : out_of_memory(error), error);
    if (!status)
        status = motley__fail_mpi(error, MPI_Bcast(node->core, (int)sizeof *node->core * node->cores, MPI_BYTE, 0,
                                                   t->comm), "MPI_Bcast");
    if (!status)
        status = motley__fail_mpi(error, MPI_Bcast(node->domain, node->devices, MPI_INT, 0, t->comm), "MPI_Bcast");
    return status;
}

/* Cores of the node in a set of processors; marks them where `given` is not NULL. */
static int count_cores(const struct motley__node *node, const struct motley__cpus *cpus, unsigned char *given)
{
    int count = 0;
    for (int i = 0; i < node->cores; i++) {
        int has = 0;
        for (int k = 0; k < node->core[i].count; k++)
            has |= motley__cpus_has(cpus, node->core[i].cpus[k]);
        if (given)
            given[i] = (unsigned char)has;
        count += has;
    }
    return count;
}

/* The processors that a rank may be bound to: more than one core that nobody chose for it. */
static const struct motley__cpus *given_to(const struct table *t, int rank)
{
    const struct told *told = &t->told[rank];
    return count_cores(&t->node, &told->cpus, NULL) > 1 ? &told->cpus : &told->wider;
}

static int decide(struct table *t, struct motley_error *error)
{
    size_t cores = (size_t)t->node.cores, ranks = (size_t)t->ranks;
    t->given = calloc(ranks * cores + 1, 1);
    t->masks = calloc(ranks * cores + 1, 1);
    t->claims = calloc(ranks, sizeof *t->claims);
    t->bindings = calloc(ranks, sizeof *t->bindings);
    if (!t->given || !t->masks || !t->claims || !t->bindings)
        return out_of_memory(error);
    for (size_t r = 0; r < ranks; r++) {
        count_cores(&t->node, given_to(t, (int)r), &t->given[r * cores]);
        t->claims[r] = (struct motley__claim){.accepts = &t->accepts[r * (size_t)t->total],
                                              .mask = &t->given[r * cores], .threads = t->told[r].threads,
                                              .share_gpus = t->told[r].share_gpus};
    }
    return motley__bind_choose(&t->node, t->found, t->claims, t->ranks, t->bindings, t->masks, error);
}

/* The mask on this process, the threads into the CPU runtime's environment. */
static int apply(const struct table *t, struct motley_error *error)
{
    const struct motley__cpus *given = given_to(t, t->rank);
    const unsigned char *mask = &t->masks[(size_t)t->rank * (size_t)t->node.cores];
    struct motley__cpus cpus = {{0}};
    int count = 0;
    for (int i = 0; i < t->node.cores; i++) {
        for (int k = 0; k < t->node.core[i].count && mask[i]; k++)
            if (motley__cpus_has(given, t->node.core[i].cpus[k])) {
                motley__cpus_add(&cpus, t->node.core[i].cpus[k]);
                count++;
            }
    }
    if (count > 0 && sched_setaffinity(0, sizeof cpus, (const cpu_set_t *)&cpus))
        return motley__fail(error, MOTLEY_E_UNSUPPORTED, "rank %d of this node cannot be bound to its %d processors: "
                            "%s", t->rank, count, strerror(errno));
    int threads = t->bindings[t->rank].threads;
    if (threads > 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", threads);
        setenv("POCL_MAX_PTHREAD_COUNT", text, 1); /* PoCL up to 3.1 */
        setenv("POCL_CPU_MAX_CU_COUNT", text, 1);  /* and later */
    }
    return 0;
}

/* 1 when another rank of the node may run on a core of this one's. */
static int shares_cores(const struct table *t)
{
    const size_t cores = (size_t)t->node.cores;
    const unsigned char *mine = &t->masks[(size_t)t->rank * cores];
    for (int r = 0; r < t->ranks; r++)
        for (size_t i = 0; i < cores && r != t->rank; i++)
            if (mine[i] && t->masks[(size_t)r * cores + i])
                return 1;
    return 0;
}

/* The process's own, first discovery; the chosen device in it. */
static int find_chosen(const struct table *t, struct motley__found **found, int *count,
                       struct motley__binding *binding, struct motley_error *error)
{
    struct motley__found *list;
    int n, chosen = t->bindings[t->rank].device;
    int status = motley__discover(&list, &n, error);
    if (status)
        return status;
    for (int i = 0; i < n; i++)
        if (same_device(&t->found[chosen], t->like[chosen], &list[i], count_like(list, i))) {
            *binding = t->bindings[t->rank];
            binding->device = i;
            binding->crowded = shares_cores(t);
            *found = list;
            *count = n;
            return 0;
        }
    free(list);
    return motley__fail(error, MOTLEY_E_NO_DEVICE, "%s was there a moment ago and is gone", t->found[chosen].name);
}

static void forget(struct table *t)
{
    motley__node_destroy(&t->node);
    free(t->told);
    free(t->seen);
    free(t->found);
    free(t->like);
    free(t->accepts);
    free(t->given);
    free(t->masks);
    free(t->claims);
    free(t->bindings);
}

/* A lone rank needs no child: the cores and threads that it would have for the CPU do no harm to a GPU's. */
static int prepare_alone(struct told *told, struct motley_error *error)
{
    struct motley__found cpu = {.is_cpu = 1};
    unsigned char accepts = 1;
    struct table t = {.ranks = 1, .told = told, .found = &cpu, .total = 1, .devices = 1, .accepts = &accepts};
    int status = motley__node_create(&cpu, 1, &t.node, error);
    if (!status)
        status = decide(&t, error);
    if (!status)
        status = apply(&t, error);
    t.told = NULL; /* borrowed here */
    t.found = NULL;
    t.accepts = NULL;
    forget(&t);
    return status;
}

/* What this rank tells the others: told and *seen. */
static int prepare(const struct table *t, const struct motley_context_options *options, struct told *told,
                   struct seen **seen, struct motley_error *error)
{
    told->threads = options ? options->threads : 0;
    told->share_gpus = options ? options->share_gpus : 0;
    int status = motley__cpus_given(&told->cpus, &told->wider, error);
    if (!status && t->ranks == 1)
        status = prepare_alone(told, error);
    if (!status)
        status = look(t, options, seen, &told->devices, error);
    return status;
}

int motley__bind(MPI_Comm node, const struct motley_context_options *options, struct motley__found **found,
                 int *count, struct motley__binding *binding, struct motley_error *error)
{
    struct table t = {.comm = node};
    struct seen *seen = NULL;
    struct told told = {.devices = 0};
    MPI_Comm_rank(node, &t.rank);
    MPI_Comm_size(node, &t.ranks);
    t.told = calloc((size_t)t.ranks, sizeof *t.told);
    int status = t.told ? prepare(&t, options, &told, &seen, error) : out_of_memory(error);
    status = motley__agree(node, status, error);
    if (!status)
        status = motley__fail_mpi(error, MPI_Allgather(&told, (int)sizeof told, MPI_BYTE, t.told, (int)sizeof told,
                                                       MPI_BYTE, node), "MPI_Allgather");
    if (!status)
        status = gather(&t, seen, error);
    if (!status) {
        unite(&t);
        status = share_node(&t, error);
    }
    if (!status) {
        status = decide(&t, error);
        if (!status)
            status = apply(&t, error);
        if (!status)
            status = find_chosen(&t, found, count, binding, error);
        status = motley__agree(node, status, error);
    }
    free(seen);
    forget(&t);
    return status;
}
