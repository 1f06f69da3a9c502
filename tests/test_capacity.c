/* Capacity on several ranks played by one: who is dropped, against one list of all choices sorted as they count.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/capacity.h"
#include "layer/route.h"
#include "routing.h"

enum { MOST_RANKS = 4 };

struct sizes {
    int T[MOST_RANKS], E, K;
    double factor;
    int levels;                         /* different scores; 0: any */
    int one_expert;                     /* all go there first */
};

static const struct sizes all_sizes[] = {
    {{300, 1, 0, 77}, 5, 2, 0.8, 0, 0}, {{300, 1, 0, 77}, 5, 2, -0.8, 3, 0}, {{0, 0, 0, 0}, 3, 2, 1, 0, 0},
    {{50, 60, 70, 80}, 4, 4, 0.5, 1, 0}, {{50, 0, 600, 30}, 33, 3, 1.1, 0, 1}, {{40, 40, 40, 40}, 8, 2, 0.01, 0, 0},
    {{9, 9, 9, 9}, 6, 1, 50, 0, 0}, {{1, 0, 0, 0}, 1, 1, 1, 0, 0}, {{200, 100, 0, 1}, 7, 7, 0.9, 2, 1},
};

/* One rank's pairs on the device, and its arithmetic. */
struct rank {
    int T, *indices;
    float *score;
    struct motley__capacity *capacity;
    struct motley__capacity_pairs pairs;
    struct motley__buffer *where, *histogram, *limits, *order, *offsets, *scores;
};

static void choose(struct rank *r, const struct sizes *s, uint64_t seed, int number)
{
    r->T = s->T[number];
    r->indices = ARRAY(int, r->T * s->K);
    r->score = ARRAY(float, r->T);
    for (int t = 0; t < r->T; t++) {
        int *row = random_permutation(seed + (uint64_t)number, (uint64_t)t, s->E);
        for (int k = 0; k < s->K; k++)
            r->indices[t * s->K + k] = k == 0 && s->one_expert ? s->E - 1 : row[k];
        const double score = motley__random_uniform(seed, 1000 + (uint64_t)number, (uint64_t)t);
        r->score[t] = (float)(s->levels ? ceil(score * s->levels) / s->levels : score);
        free(row);
    }
}

static void rank_create(struct motley__device *device, struct rank *r, const struct sizes *s, int prioritised)
{
    const int N = r->T * s->K;
    float *weights = random_floats(1, 1, (size_t)N);
    r->order = unwritten(device, (size_t)N * 4);
    r->where = unwritten(device, (size_t)N * 4);
    r->offsets = unwritten(device, (size_t)(s->E + 1) * 4);
    r->histogram = unwritten(device, motley__route_scratch_bytes(N, s->E));
    r->limits = unwritten(device, (size_t)(3 * s->E) * 4);
    r->scores = prioritised ? to_device(device, r->score, (size_t)r->T * 4) : NULL;
    r->pairs = (struct motley__capacity_pairs){.E = s->E, .K = s->K, .order = r->order, .offsets = r->offsets,
        .score = r->scores, .limits = r->limits, .counts = unwritten(device, (size_t)(s->E * s->K) * 4),
        .bins = unwritten(device, (size_t)(s->E * MOTLEY__CAPACITY_BINS) * 4),
        .indices = to_device(device, r->indices, (size_t)N * 4), .weights = to_device(device, weights, (size_t)N * 4)};
    SUCCEED(motley__capacity_create(s->E, s->K, s->factor, prioritised, &r->capacity, &error));
    SUCCEED(motley__route(device, &(struct motley__route){.N = N, .E = s->E, .slots = s->E,
        .indices = r->pairs.indices, .histogram = r->histogram, .order = r->order, .where = r->where,
        .offsets = r->offsets}, &error));
    free(weights);
}

static void rank_destroy(struct rank *r)
{
    struct motley__buffer *all[] = {r->where, r->histogram, r->limits, r->order, r->offsets, r->scores,
                                    r->pairs.counts, r->pairs.bins};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        motley__buffer_destroy(all[i]);
    motley__capacity_destroy(r->capacity);
    free(r->indices);
    free(r->score);
}

/* What a sum over ranks, or a scan, does to an array of each. */
static void add_up(struct rank *rank, int64_t *(*array)(struct motley__capacity *), int count, int scan)
{
    for (int i = 0; i < count; i++) {
        int64_t sum = 0;
        for (int r = 0; r < MOST_RANKS; r++) {
            int64_t *number = array(rank[r].capacity) + i, own = *number;
            *number = sum;
            sum += own;
        }
        for (int r = 0; r < MOST_RANKS && !scan; r++)
            array(rank[r].capacity)[i] = sum;
    }
}

static int64_t *totals_of(struct motley__capacity *c) { return c->totals; }
static int64_t *sums_of(struct motley__capacity *c) { return c->sums; }

static void write_limits(struct rank *r)
{
    SUCCEED(motley__buffer_write(r->limits, 0, r->capacity->limits, (size_t)(3 * r->capacity->E) * 4, &error));
}

static void drop_all(struct motley__device *device, struct rank *rank, const struct sizes *s, int prioritised)
{
    struct motley__capacity *first = rank[0].capacity;
    for (struct rank *r = rank; r < rank + MOST_RANKS; r++) {
        SUCCEED(motley__capacity_count(device, &r->pairs, &error));
        SUCCEED(motley__buffer_read(r->pairs.counts, 0, r->capacity->counts, (size_t)(s->E * s->K) * 4, &error));
        motley__capacity_pack(r->capacity, r->T);
    }
    add_up(rank, totals_of, s->E * s->K + 1, 0);
    for (struct rank *r = rank; r < rank + MOST_RANKS; r++)
        motley__capacity_summed(r->capacity);
    for (int i = 0; i < MOTLEY__CAPACITY_DIGITS && prioritised && first->dropping; i++) {
        for (struct rank *r = rank; r < rank + MOST_RANKS; r++) {
            write_limits(r);
            r->pairs.shift = r->capacity->shift;
            SUCCEED(motley__capacity_digits(device, &r->pairs, &error));
            SUCCEED(motley__buffer_read(r->pairs.bins, 0, r->capacity->bins,
                                        (size_t)(s->E * MOTLEY__CAPACITY_BINS) * 4, &error));
            motley__capacity_pack_digits(r->capacity);
        }
        add_up(rank, sums_of, first->dropping * MOTLEY__CAPACITY_BINS, 0);
        for (struct rank *r = rank; r < rank + MOST_RANKS; r++)
            motley__capacity_digits_summed(r->capacity);
    }
    for (struct rank *r = rank; r < rank + MOST_RANKS && first->dropping; r++)
        motley__capacity_pack_ties(r->capacity);
    add_up(rank, sums_of, first->dropping, 1);
    for (struct rank *r = rank; r < rank + MOST_RANKS && first->dropping; r++) {
        motley__capacity_scanned(r->capacity);
        write_limits(r);
        SUCCEED(motley__capacity_drop(device, &r->pairs, &error));
    }
}

/* 1 where token t of rank r counts before token u of rank q. */
static int counts_before(const struct rank *rank, int r, int t, int q, int u, int prioritised)
{
    if (prioritised && rank[r].score[t] != rank[q].score[u])
        return rank[r].score[t] > rank[q].score[u];
    return r < q || (r == q && t < u);
}

/* Choices of the same expert that count before choice k of token t of rank r. */
static int64_t place_of(const struct rank *rank, const struct sizes *s, int r, int t, int k, int prioritised)
{
    const int e = rank[r].indices[t * s->K + k];
    int64_t before = 0;
    for (int q = 0; q < MOST_RANKS; q++)
        for (int u = 0; u < rank[q].T; u++)
            for (int j = 0; j <= k; j++)
                before += rank[q].indices[u * s->K + j] == e &&
                          (j < k || counts_before(rank, q, u, r, t, prioritised));
    return before;
}

static void check(struct motley__device *device, const struct sizes *s, int prioritised, uint64_t seed)
{
    struct rank rank[MOST_RANKS] = {{0}};
    int64_t tokens = 0;
    for (int r = 0; r < MOST_RANKS; r++) {
        choose(&rank[r], s, seed, r);
        rank_create(device, &rank[r], s, prioritised);
        tokens += s->T[r];
    }
    drop_all(device, rank, s, prioritised);
    const int64_t rows = s->K * (int64_t)(fabs(s->factor) * (double)((tokens + s->E - 1) / s->E));
    for (int r = 0; r < MOST_RANKS; r++) {
        int *found = take_back(rank[r].pairs.indices);
        float *weights = take_back(rank[r].pairs.weights);
        int64_t kept = 0;
        for (int n = 0; n < rank[r].T * s->K; n++) {
            const int keep = place_of(rank, s, r, n / s->K, n % s->K, prioritised) < rows;
            assert_int_equal(found[n], keep ? rank[r].indices[n] : -1);
            assert_true(keep || weights[n] == 0);
            kept += keep;
        }
        assert_int_equal(rank[r].capacity->kept, kept);
        free(found);
        free(weights);
    }
    for (int r = 0; r < MOST_RANKS; r++)
        rank_destroy(&rank[r]);
}

static void the_right_ones_are_dropped_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof all_sizes / sizeof *all_sizes; i++)
        for (int prioritised = 0; prioritised < 2; prioritised++)
            check(device, &all_sizes[i], prioritised, seed + i);
}

static void the_right_ones_are_dropped(void **state)
{
    on_both_maps(*state, the_right_ones_are_dropped_on);
}

/* K int(|f| ceil(T / E)), at most all; beyond what int counts, too. */
static void rows_of_an_expert(void **state)
{
    (void)state;
    assert_int_equal(motley__capacity_rows(1, 10, 4, 2), 6);
    assert_int_equal(motley__capacity_rows(-1.5, 10, 4, 2), 8);
    assert_int_equal(motley__capacity_rows(0.3, 10, 4, 2), 0);
    assert_int_equal(motley__capacity_rows(1e300, 10, 4, 2), 20);
    assert_int_equal(motley__capacity_rows(2, 0, 4, 2), 0);
    assert_int_equal(motley__capacity_rows(1, INT64_C(1) << 40, 16, 8), INT64_C(1) << 39);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_ones_are_dropped),
        cmocka_unit_test(rows_of_an_expert),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
