/* Counting which experts tokens choose together.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/wait.h"
#include "coactivation/tally.h"

enum { SEED = 8192 }; /* of the lottery */

/* A token in the lottery: the lower lot first. */
struct lot {
    uint64_t lot, token;
};

/* The sample of a layer: a heap, the last of the lottery on top, so that it goes first. */
struct sample {
    int count;
    struct lot *lot;                 /* [MOTLEY__SETS] borrowed from the tally, as is the next */
    int32_t *set;                    /* [MOTLEY__SETS,K] */
};

struct motley__tally {
    int layers, E, K;
    int64_t *together;               /* [layers,E,E] the half above the diagonal; owned, and so are the next four */
    struct sample *sample;           /* [layers] */
    struct lot *lots;
    int32_t *sets;
    int32_t *distinct;               /* [K] scratch */
};

int motley__tally_create(int layers, int E, int K, struct motley__tally **tally, struct motley_error *error)
{
    const size_t kept = (size_t)layers * MOTLEY__SETS;
    struct motley__tally *made = calloc(1, sizeof *made);
    if (made) {
        *made = (struct motley__tally){.layers = layers, .E = E, .K = K};
        made->together = calloc((size_t)layers * (size_t)E, (size_t)E * sizeof *made->together);
        made->sample = calloc((size_t)layers, sizeof *made->sample);
        made->lots = malloc(kept * sizeof *made->lots);
        made->sets = malloc(kept * (size_t)K * sizeof *made->sets);
        made->distinct = malloc((size_t)K * sizeof *made->distinct);
    }
    if (!made || !made->together || !made->sample || !made->lots || !made->sets || !made->distinct) {
        motley__tally_destroy(made);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to count the co-activation of %d layers of %d "
                            "experts", layers, E);
    }
    for (size_t l = 0; l < (size_t)layers; l++) {
        made->sample[l].lot = made->lots + l * MOTLEY__SETS;
        made->sample[l].set = made->sets + l * MOTLEY__SETS * (size_t)K;
    }
    *tally = made;
    return 0;
}

void motley__tally_destroy(struct motley__tally *tally)
{
    if (!tally)
        return;
    free(tally->together);
    free(tally->sample);
    free(tally->lots);
    free(tally->sets);
    free(tally->distinct);
    free(tally);
}

/* Is a behind b in the lottery? */
static int behind(const struct lot *a, const struct lot *b)
{
    return a->lot != b->lot ? a->lot > b->lot : a->token > b->token;
}

static void copy_set(struct sample *sample, int to, const int32_t *set, int K)
{
    memcpy(sample->set + (size_t)to * (size_t)K, set, (size_t)K * sizeof *set);
}

/* Put a lot in where `hole` is, or above or below it. */
static void settle(struct sample *sample, int hole, struct lot lot, const int32_t *set, int K)
{
    for (; hole > 0 && behind(&lot, &sample->lot[(hole - 1) / 2]); hole = (hole - 1) / 2) {
        sample->lot[hole] = sample->lot[(hole - 1) / 2];
        copy_set(sample, hole, sample->set + (size_t)(hole - 1) / 2 * (size_t)K, K);
    }
    for (int child; (child = 2 * hole + 1) < sample->count; hole = child) {
        if (child + 1 < sample->count && behind(&sample->lot[child + 1], &sample->lot[child]))
            child++;
        if (!behind(&sample->lot[child], &lot))
            break;
        sample->lot[hole] = sample->lot[child];
        copy_set(sample, hole, sample->set + (size_t)child * (size_t)K, K);
    }
    sample->lot[hole] = lot;
    copy_set(sample, hole, set, K);
}

/* The token takes part in the lottery of its layer. */
static void draw(struct sample *sample, struct lot lot, const int32_t *set, int K)
{
    if (sample->count < MOTLEY__SETS) {
        sample->lot[sample->count] = lot;
        settle(sample, sample->count++, lot, set, K);
    } else if (behind(&sample->lot[0], &lot)) {
        settle(sample, 0, lot, set, K);
    }
}

/* The token's experts, each once; -1 in the places that are left. */
static void find_distinct(const int32_t *chosen, int K, int32_t *distinct)
{
    int count = 0;
    for (int k = 0; k < K; k++) {
        int seen = chosen[k] < 0;
        for (int i = 0; i < count && !seen; i++)
            seen = distinct[i] == chosen[k];
        if (!seen)
            distinct[count++] = chosen[k];
    }
    while (count < K)
        distinct[count++] = -1;
}

void motley__tally_add(struct motley__tally *tally, int layer, uint64_t first, int T, const int32_t *indices)
{
    const int K = tally->K;
    const size_t E = (size_t)tally->E;
    int64_t *together = tally->together + (size_t)layer * E * E;
    int32_t *set = tally->distinct;
    for (int t = 0; t < T; t++, indices += K) {
        const uint64_t token = first + (uint64_t)t;
        find_distinct(indices, K, set);
        for (int a = 0; a < K && set[a] >= 0; a++)
            for (int b = a + 1; b < K && set[b] >= 0; b++)
                together[set[a] < set[b] ? (size_t)set[a] * E + (size_t)set[b] : (size_t)set[b] * E + (size_t)set[a]]++;
        draw(&tally->sample[layer], (struct lot){motley__random_bits(SEED, (uint64_t)layer, token), token}, set, K);
    }
}

/* The counts of all ranks on rank 0, in `sum` [layers,E,E] there. */
static int sum_counts(const struct motley__tally *tally, MPI_Comm comm, double limit, int64_t *sum,
                      struct motley_error *error)
{
    const size_t E = (size_t)tally->E;
    int status = 0;
    for (size_t at = 0; at < (size_t)tally->layers * E && !status; at++) { /* row by row: counts of MPI are int */
        MPI_Request request;
        status = motley__fail_mpi(error, MPI_Ireduce(tally->together + at * E, sum ? sum + at * E : NULL, tally->E,
                                                     MPI_INT64_T, MPI_SUM, 0, comm, &request), "MPI_Ireduce");
        if (!status)
            status = motley__wait(&request, limit, "the co-activation", error);
    }
    for (size_t l = 0; l < (size_t)tally->layers && sum; l++)
        for (size_t i = 0; i < E; i++)
            for (size_t j = 0; j < i; j++)
                sum[(l * E + i) * E + j] = sum[(l * E + j) * E + i];
    return status;
}

/* Rank 0's room for the samples of all ranks; on the others nothing. */
struct gathered {
    int R, *count, *items, *begin;   /* [R] each; owned, and so are the next three */
    struct lot *lot;                 /* [R * MOTLEY__SETS] */
    int32_t *set;                    /* [R * MOTLEY__SETS, K] */
    struct entry *entry;             /* [R * MOTLEY__SETS] */
};

/* One of them. */
struct entry {
    struct lot lot;
    const int32_t *set;
};

static void gathered_close(struct gathered *all)
{
    free(all->count);
    free(all->lot);
    free(all->set);
    free(all->entry);
}

static int gathered_open(int R, int K, struct gathered *all, struct motley_error *error)
{
    const size_t ranks = (size_t)R, kept = ranks * MOTLEY__SETS;
    *all = (struct gathered){.R = R, .count = calloc(3 * ranks, sizeof *all->count),
                             .lot = malloc(kept * sizeof *all->lot),
                             .set = malloc(kept * (size_t)K * sizeof *all->set),
                             .entry = malloc(kept * sizeof *all->entry)};
    if (!all->count || !all->lot || !all->set || !all->entry)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the sampled sets of %d ranks", R);
    all->items = all->count + ranks;
    all->begin = all->items + ranks;
    return 0;
}

/* From every rank its `count` times `width` items, behind each other in `to` on rank 0. */
static int gather(MPI_Comm comm, double limit, const void *mine, int count, int width, MPI_Datatype type,
                  struct gathered *all, void *to, struct motley_error *error)
{
    MPI_Request request;
    for (int r = 0, before = 0; r < all->R; before += all->items[r++]) {
        all->items[r] = all->count[r] * width;
        all->begin[r] = before;
    }
    int status = motley__fail_mpi(error, MPI_Igatherv(mine, count * width, type, to, all->items, all->begin, type, 0,
                                                      comm, &request), "MPI_Igatherv");
    return status ? status : motley__wait(&request, limit, "sampled sets", error);
}

static int gather_sample(const struct motley__tally *tally, int l, MPI_Comm comm, double limit, struct gathered *all,
                         struct motley_error *error)
{
    const struct sample *own = &tally->sample[l];
    MPI_Request request;
    int status = motley__fail_mpi(error, MPI_Igather(&own->count, 1, MPI_INT, all->count, 1, MPI_INT, 0, comm,
                                                     &request), "MPI_Igather");
    if (!status)
        status = motley__wait(&request, limit, "sampled sets", error);
    if (!status)
        status = gather(comm, limit, own->lot, own->count, 2, MPI_UINT64_T, all, all->lot, error);
    return status ? status : gather(comm, limit, own->set, own->count, tally->K, MPI_INT32_T, all, all->set, error);
}

static int in_order(const void *first, const void *second)
{
    const struct lot *a = &((const struct entry *)first)->lot, *b = &((const struct entry *)second)->lot;
    return behind(a, b) - behind(b, a);
}

/* The first of the lottery among all ranks' tokens become the layer's sets. */
static void merge(const struct gathered *all, int l, motley_coactivation *c)
{
    const size_t K = (size_t)c->K;
    size_t count = 0;
    for (int r = 0; r < all->R; r++)
        count += (size_t)all->count[r];
    for (size_t i = 0; i < count; i++)
        all->entry[i] = (struct entry){all->lot[i], all->set + i * K};
    qsort(all->entry, count, sizeof *all->entry, in_order);
    c->first[l + 1] = c->first[l];
    for (size_t i = 0; i < count && i < MOTLEY__SETS; i++)
        memcpy(c->set + (size_t)c->first[l + 1]++ * K, all->entry[i].set, K * sizeof *c->set);
}

int motley__tally_sum(const struct motley__tally *tally, MPI_Comm comm, double time_limit,
                      motley_coactivation **coactivation, struct motley_error *error)
{
    motley_coactivation *sum = NULL;
    struct gathered all = {0};
    int rank, R, status = 0;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &R);
    if (rank == 0)
        status = motley__coactivation_alloc(tally->layers, tally->E, &sum, error);
    if (!status && rank == 0)
        status = motley__coactivation_alloc_sets(sum, tally->K, tally->layers * MOTLEY__SETS, error);
    if (!status && rank == 0)
        status = gathered_open(R, tally->K, &all, error);
    status = motley__agree_within(comm, time_limit, status, error);
    if (!status)
        status = sum_counts(tally, comm, time_limit, sum ? sum->together : NULL, error);
    for (int l = 0; l < tally->layers && !status; l++) {
        status = gather_sample(tally, l, comm, time_limit, &all, error);
        if (!status && sum)
            merge(&all, l, sum);
    }
    gathered_close(&all);
    if (status) {
        motley_coactivation_destroy(sum);
        return status;
    }
    *coactivation = sum;
    return 0;
}
