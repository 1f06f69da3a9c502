/* Laying out what leaves for other ranks: heads, rows and lists of pairs equal the twins.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "travel.h"

#include "layer/encode.h"

static void check_encode(struct motley__device *device, int T, int K, int D, int first, int rows, uint64_t seed)
{
    const int N = T * K;
    float *x = random_floats(seed, 1, (size_t)T * (size_t)D), *send = ARRAY(float, (first + rows) * D);
    int *order = random_permutation(seed, 3, N);
    struct motley__buffer *there[] = {to_device(device, x, (size_t)(T * D) * 4), ints_there(device, order, N)};
    struct motley__encode encode = {
        .D = D, .K = K, .rows = first, .x = there[0], .order = there[1],
        .send = unwritten(device, (size_t)((first + rows) * D) * 4),
    };
    SUCCEED(motley__encode(device, &encode, &error)); /* in two parts */
    encode.first = first;
    encode.rows = rows;
    SUCCEED(motley__encode(device, &encode, &error));
    motley__ref_encode(D, K, first + rows, x, order, send);
    struct motley__buffer *halves[] = {to_device(device, x, (size_t)(T / 2 * D) * 4),
                                       to_device(device, x + T / 2 * D, (size_t)((T - T / 2) * D) * 4)};
    struct motley__encode apart = encode; /* tokens in two places, rows in one part */
    apart.first = 0;
    apart.rows = first + rows;
    apart.x = halves[0];
    apart.rest = halves[1];
    apart.T = T / 2;
    apart.send = unwritten(device, (size_t)((first + rows) * D) * 4);
    SUCCEED(motley__encode(device, &apart, &error));
    expect_bytes(encode.send, send, (size_t)((first + rows) * D) * 4);
    expect_bytes(apart.send, send, (size_t)((first + rows) * D) * 4);
    destroy_all(there, 2);
    destroy_all(halves, 2);
    free(x);
    free(order);
    free(send);
}

static void rows_equal_twin_on(struct motley__device *device)
{
    static const int widths[] = {1, 20, 33, 64, 272};
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        check_encode(device, 37, 3, widths[i], 0, 60, seed);
        check_encode(device, 37, 3, widths[i], 50, 61, seed);
        check_encode(device, 37, 3, widths[i], 3, 1, seed);
        check_encode(device, 37, 3, widths[i], 0, 0, seed);
    }
    check_encode(device, 0, 2, 16, 0, 0, seed);
}

static void rows_equal_twin(void **state)
{
    on_both_maps(*state, rows_equal_twin_on);
}

/* Heads and the list, of tokens routed to G groups. */
static void check_pairs(struct motley__device *device, int chunks, int every, int T, int K, int E, int G, int sent,
                        int dropped, uint64_t seed)
{
    int *server = ARRAY(int, E);
    for (int e = 0; e < E; e++)
        server[e] = random_int(seed, 20, (size_t)e, G);
    struct routed r = routed_create_in(chunks, every, T, K, E, G, sent, server, dropped, seed);
    const size_t list_bytes = (size_t)motley__list_units(r.S, r.S_pairs) * MOTLEY__LIST_UNIT;
    struct motley__buffer *there[] = {
        ints_there(device, r.indices, r.N), ints_there(device, r.server, E), ints_there(device, r.pair_order, r.N),
        ints_there(device, r.pair_offsets, r.slots + 1), ints_there(device, r.send_row, r.N),
        ints_there(device, r.row_offsets, r.slots + 1), to_device(device, r.weights, (size_t)r.N * 4),
        ints_there(device, r.slot, r.N), r.name ? ints_there(device, r.name, E) : NULL,
    };
    struct motley__heads heads = {.N = r.N, .K = K, .groups = G, .sent = sent, .every = every, .chunks = r.chunks,
                                  .indices = there[0], .server = there[1],
                                  .slots = unwritten(device, (size_t)r.N * 4),
                                  .heads = unwritten(device, (size_t)r.N * 4)};
    struct motley__encode_pairs pairs = {
        .pairs = r.S_pairs, .indices = there[0], .name = there[8], .weights = there[6], .slots = there[7],
        .order = there[2], .pair_offsets = there[3], .row = there[4], .row_offsets = there[5],
        .list = unwritten(device, list_bytes),
    };
    SUCCEED(motley__heads(device, &heads, &error));
    SUCCEED(motley__encode_pairs(device, &pairs, &error));
    expect_bytes(heads.slots, r.slot, (size_t)r.N * 4);
    expect_bytes(heads.heads, r.heads, (size_t)r.N * 4);
    expect_bytes(pairs.list, r.list, list_bytes);
    destroy_all(there, sizeof there / sizeof *there);
    routed_destroy(&r);
    free(server);
}

static void pairs_equal_twin_on(struct motley__device *device)
{
    static const struct { int T, K, E, G, sent, dropped; } cases[] = {
        {37, 3, 7, 3, 3, 0}, {37, 3, 7, 3, 2, 0}, {37, 3, 7, 3, 3, 1}, {50, 1, 9, 4, 3, 0}, {21, 8, 8, 2, 1, 0},
        {21, 8, 8, 1, 1, 0}, {21, 8, 8, 1, 0, 0}, {1, 2, 2, 2, 2, 0},  {0, 2, 4, 2, 2, 0},  {400, 4, 65535, 5, 4, 1},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int chunks = 1; chunks <= MOTLEY__CHUNKS_MOST; chunks *= 2)
            check_pairs(device, chunks, i % 2 && chunks % 4, cases[i].T, cases[i].K, cases[i].E, cases[i].G,
                        cases[i].sent, cases[i].dropped, seed + i);
}

static void pairs_equal_twin(void **state)
{
    on_both_maps(*state, pairs_equal_twin_on);
}

/* A token goes once to each group, with all its pairs there. */
static void a_token_goes_once(void **state)
{
    enum { T = 60, K = 4, E = 10, G = 3, SENT = 2 };
    static const int server[E] = {0, 0, 0, 1, 1, 1, 1, 2, 2, 2};
    struct routed r = routed_create(T, K, E, G, SENT, server, 0, test_seed());
    int rows = 0, pairs = 0;
    (void)state;
    for (int t = 0; t < T; t++)
        for (int g = 0; g < SENT; g++) {
            int there = 0;
            for (int k = 0; k < K; k++)
                there += server[r.indices[t * K + k]] == g;
            rows += there > 0;
            pairs += there;
        }
    assert_int_equal(r.S, rows);
    assert_int_equal(r.S_pairs, pairs);
    routed_destroy(&r);
}

/* In the plain form every pair goes by itself. */
static void every_pair_goes(void **state)
{
    enum { T = 60, K = 4, E = 10, G = 3, SENT = 2 };
    static const int server[E] = {0, 0, 0, 1, 1, 1, 1, 2, 2, 2};
    struct routed r = routed_create_in(2, 1, T, K, E, G, SENT, server, 1, test_seed());
    int pairs = 0;
    (void)state;
    for (int n = 0; n < T * K; n++)
        pairs += r.indices[n] >= 0 && server[r.indices[n]] < SENT;
    assert_int_equal(r.S, pairs);
    assert_int_equal(r.S_pairs, pairs);
    routed_destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_equal_twin),
        cmocka_unit_test(pairs_equal_twin),
        cmocka_unit_test(a_token_goes_once),
        cmocka_unit_test(every_pair_goes),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
