/* What arrives becomes pairs for the local experts: taking lists apart, and finding rows, equal the twins.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "travel.h"

#include "layer/encode.h"
#include "layer/guests.h"
#include "layer/place.h"

enum { K = 3, E = 11, MOST = 5 };

/* Lists of `sources` ranks with T[s] tokens in each chunk, sent to one group that serves some of the experts. */
struct arrival {
    int N, sources, sections, M, M_pairs;
    int *indices, source[2 * (MOST * MOTLEY__CHUNKS_MOST + 1)];
    uint16_t *list;
};

static struct arrival arrive_from(int N, int chunks, int sources, const int *T, const int *server, uint64_t seed)
{
    struct arrival a = {.N = N, .sources = sources, .sections = chunks * sources, .indices = ARRAY(int, N),
                        .list = ARRAY(uint16_t, 1)};
    int *pairs = a.source + a.sections + 1;
    size_t units = 0;
    for (int n = 0; n < N; n++)
        a.indices[n] = random_int(seed, 1, (size_t)n, E + 1) - 1;
    for (int s = 0; s < a.sections; s++) {
        struct routed r = routed_create(T[s % sources], K, E, 2, 1, server, s % 2, seed + (uint64_t)s);
        const size_t more = (size_t)motley__list_units(r.S, r.S_pairs);
        a.list = realloc(a.list, (units + more + 1) * sizeof *a.list);
        assert_non_null(a.list);
        memcpy(a.list + units, r.list, more * sizeof *a.list);
        units += more;
        a.source[s + 1] = a.M += r.S;
        pairs[s + 1] = a.M_pairs += r.S_pairs;
        routed_destroy(&r);
    }
    return a;
}

static void check_arrive(struct motley__device *device, int N, int chunks, int sources, const int *T,
                         const int *server, int guests, uint64_t seed)
{
    struct arrival a = arrive_from(N, chunks, sources, T, server, seed);
    const struct motley__chunks own = guests ? chunks_with_guests(N / K, chunks) : motley__chunks_of(N / K, chunks);
    const struct motley__arrive_args args = {.N = N, .K = K, .E = E, .M = a.M, .sources = sources, .chunks = own};
    const size_t pairs = (size_t)a.M_pairs * 4;
    int *expert = ARRAY(int, N + a.M_pairs), *begin = ARRAY(int, a.M + 1), *row = ARRAY(int, a.M_pairs);
    float *received = ARRAY(float, a.M_pairs);
    struct motley__buffer *there[] = {
        ints_there(device, a.indices, N), ints_there(device, a.source, 2 * (a.sections + 1)),
        to_device(device, a.list, (size_t)motley__list_units(a.M, a.M_pairs) * MOTLEY__LIST_UNIT),
    };
    struct motley__arrive arrive = {
        .N = N, .K = K, .E = E, .M = a.M, .sources = sources, .chunks = own, .indices = there[0],
        .source = there[1], .list = there[2],
        .expert = unwritten(device, (size_t)N * 4 + pairs), .begin = unwritten(device, (size_t)(a.M + 1) * 4),
        .row = unwritten(device, pairs), .received = unwritten(device, pairs),
    };
    SUCCEED(motley__arrive(device, &arrive, &error));
    motley__ref_arrive(&args, a.indices, a.source, a.list, expert, begin, row, received);
    expect_bytes(arrive.expert, expert, (size_t)N * 4 + pairs);
    expect_bytes(arrive.row, row, pairs);
    expect_bytes(arrive.received, received, pairs);
    if (a.M)
        expect_bytes(arrive.begin, begin, (size_t)(a.M + 1) * 4);
    else
        motley__buffer_destroy(arrive.begin);
    destroy_all(there, sizeof there / sizeof *there);
    void *host[] = {expert, begin, row, received, a.indices, a.list};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static void arrive_equals_twin_on(struct motley__device *device)
{
    static const int some[E] = {0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1}, one[E] = {1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1},
                     all[E] = {0}, none[E] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int even[MOST] = {30, 30, 30, 30, 30}, uneven[MOST] = {0, 900, 1, 0, 7}, empty[MOST] = {0};
    const int *const servers[] = {some, one, all, none}, *const tokens[] = {even, uneven, empty};
    const uint64_t seed = test_seed();
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            for (int chunks = 1; chunks <= MOTLEY__CHUNKS_MOST; chunks *= 2) {
                check_arrive(device, 57, chunks, MOST, tokens[j], servers[i], j % 2, seed);
                check_arrive(device, 0, chunks, 2, tokens[j], servers[i], j % 2, seed);
            }
}

static void arrive_equals_twin(void **state)
{
    on_both_maps(*state, arrive_equals_twin_on);
}

/* The same lists as guests behind own tokens. */
static void check_guests(struct motley__device *device, int N, int chunks, int sources, const int *T,
                         const int *server, uint64_t seed)
{
    struct arrival a = arrive_from(N, chunks, sources, T, server, seed);
    const struct motley__guests_args args = {.N = N, .K = K, .M = a.M, .first = 7, .sections = a.sections};
    const size_t places = (size_t)(N + a.M * K) * 4;
    int *indices = ARRAY(int, N + a.M * K), *at = ARRAY(int, a.M_pairs);
    float *own = random_floats(seed, 5, (size_t)N), *weights = ARRAY(float, N + a.M * K);
    struct motley__buffer *there[] = {
        ints_there(device, a.indices, N), to_device(device, own, (size_t)N * 4),
        ints_there(device, a.source, 2 * (a.sections + 1)),
        to_device(device, a.list, (size_t)motley__list_units(a.M, a.M_pairs) * MOTLEY__LIST_UNIT),
    };
    const struct motley__guests guests = {
        .N = N, .K = K, .M = a.M, .first = 7, .sections = a.sections, .own_indices = there[0], .own_weights = there[1],
        .source = there[2], .list = there[3], .indices = unwritten(device, places),
        .weights = unwritten(device, places), .at = unwritten(device, (size_t)a.M_pairs * 4),
    };
    SUCCEED(motley__guests(device, &guests, &error));
    motley__ref_guests(&args, a.indices, own, a.source, a.list, indices, weights, at);
    expect_bytes(guests.indices, indices, places);
    expect_bytes(guests.weights, weights, places);
    expect_bytes(guests.at, at, (size_t)a.M_pairs * 4);
    destroy_all(there, sizeof there / sizeof *there);
    void *host[] = {indices, at, own, weights, a.indices, a.list};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static void guests_equal_twin_on(struct motley__device *device)
{
    static const int some[E] = {0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1}, none[E] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int uneven[MOST] = {0, 900, 1, 0, 7}, empty[MOST] = {0};
    const int *const servers[] = {some, none}, *const tokens[] = {uneven, empty};
    const uint64_t seed = test_seed();
    for (int i = 0; i < 4; i++) {
        check_guests(device, 57, 1 + i, MOST, tokens[i % 2], servers[i / 2], seed);
        check_guests(device, 0, 1, 2, tokens[i % 2], servers[i / 2], seed);
    }
}

static void guests_equal_twin(void **state)
{
    on_both_maps(*state, guests_equal_twin_on);
}

/* Pairs that stay, own tokens' and guests', where the own group is sent to and where not. */
static void check_staying(struct motley__device *device, int chunks, int sent, int T, uint64_t seed)
{
    enum { G = 3 };
    static const int server[E] = {0, 2, 1, 2, 2, 1, 0, 2, 0, 0, 2};
    struct routed r = routed_create_in(chunks, 0, T, K, E, G, sent, server, 1, seed);
    const int first = motley__chunks_slot(chunks, G, sent, 0, G - 1);
    const struct motley__staying_args args = {.N = r.chunks.own * K, .first = first,
        .step = motley__chunks_slot(chunks, G, sent, 1, G - 1) - first, .chunks = chunks};
    struct motley__buffer *there[] = {ints_there(device, r.pair_order, r.N),
                                      ints_there(device, r.pair_offsets, r.slots + 1)};
    const struct motley__staying staying = {
        .N = args.N, .chunks = chunks, .first = first, .step = args.step, .order = there[0], .offsets = there[1],
        .own = unwritten(device, (size_t)chunks * 4),
    };
    int own[MOTLEY__CHUNKS_MOST], all = 0;
    SUCCEED(motley__staying(device, &staying, &error));
    motley__ref_staying(&args, r.pair_order, r.pair_offsets, own);
    expect_bytes(staying.own, own, (size_t)chunks * 4);
    for (int n = 0; n < args.N; n++)
        all += r.indices[n] >= 0 && server[r.indices[n]] == G - 1;
    for (int c = 0; c < chunks; c++)
        all -= own[c];
    assert_int_equal(all, 0);
    destroy_all(there, sizeof there / sizeof *there);
    routed_destroy(&r);
}

static void staying_equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int chunks = 2; chunks <= MOTLEY__CHUNKS_MOST; chunks *= 2)
        for (int sent = 2; sent <= 3; sent++) {
            check_staying(device, chunks, sent, 100, seed);
            check_staying(device, chunks, sent, 3, seed);
            check_staying(device, chunks, sent, 0, seed);
        }
}

static void staying_equals_twin(void **state)
{
    on_both_maps(*state, staying_equals_twin_on);
}

static void check_place(struct motley__device *device, int P, int N, int M, int pairs, uint64_t seed)
{
    int *order = random_permutation(seed, 1, N + pairs), *row = ARRAY(int, pairs), *index = ARRAY(int, P);
    float *weights = random_floats(seed, 2, (size_t)N), *received = random_floats(seed, 3, (size_t)pairs);
    float *weight = ARRAY(float, P);
    for (int q = 0; q < pairs; q++)
        row[q] = random_int(seed, 4, (size_t)q, M);
    struct motley__buffer *there[] = {
        ints_there(device, order, N + pairs), to_device(device, weights, (size_t)N * 4),
        ints_there(device, row, pairs), to_device(device, received, (size_t)pairs * 4),
    };
    struct motley__place place = {
        .P = P, .N = N, .K = K, .own_rows = N / K, .order = there[0], .weights = there[1],
        .row = pairs ? there[2] : NULL, .received = pairs ? there[3] : NULL,
        .index = unwritten(device, (size_t)P * 4), .weight = unwritten(device, (size_t)P * 4),
    };
    SUCCEED(motley__place(device, &place, &error));
    motley__ref_place(P, N, K, N / K, order, weights, row, received, index, weight);
    expect_bytes(place.index, index, (size_t)P * 4);
    expect_bytes(place.weight, weight, (size_t)P * 4);
    destroy_all(there, sizeof there / sizeof *there);
    void *host[] = {order, row, index, weights, received, weight};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static void place_equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    check_place(device, 1000, 600, 170, 900, seed);
    check_place(device, 300, 300, 1, 0, seed); /* as on one rank */
    check_place(device, 33, 0, 9, 40, seed);   /* no tokens here */
    check_place(device, 0, 30, 1, 0, seed);    /* no experts here */
}

static void place_equals_twin(void **state)
{
    on_both_maps(*state, place_equals_twin_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrive_equals_twin),
        cmocka_unit_test(guests_equal_twin),
        cmocka_unit_test(staying_equals_twin),
        cmocka_unit_test(place_equals_twin),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
