/* Laying out rows for the exchange (encode) and finding them on arrival (place): equal to the twins.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "routing.h"

#include "layer/encode.h"
#include "layer/ref.h"

static void check_encode(struct motley__device *device, int T, int K, int D, int own_begin, int own_end, int weighted,
                         uint64_t seed)
{
    const int N = T * K, rows = N - (own_end - own_begin);
    float *x = random_floats(seed, 1, (size_t)T * (size_t)D), *weights = random_floats(seed, 2, (size_t)N);
    int *order = random_permutation(seed, 3, N);
    struct motley__buffer *x_there = to_device(device, x, (size_t)T * (size_t)D * 4);
    struct motley__buffer *weights_there = to_device(device, weights, (size_t)N * 4);
    struct motley__buffer *order_there = to_device(device, order, (size_t)N * 4);
    struct motley__encode encode = {
        .D = D, .K = K, .rows = rows, .own_begin = own_begin, .own_end = own_end, .x = x_there,
        .weights = weighted ? weights_there : NULL, .order = order_there,
        .send = unwritten(device, (size_t)rows * (size_t)D * 4),
        .send_weights = weighted ? unwritten(device, (size_t)rows * 4) : NULL,
    };
    SUCCEED(motley__encode(device, &encode, &error));

    float *send = ARRAY(float, (size_t)rows * (size_t)D), *send_weights = ARRAY(float, rows);
    motley__ref_encode(D, K, rows, own_begin, own_end, x, weighted ? weights : NULL, order, send, send_weights);
    float *send_there = take_back(encode.send);
    assert_memory_equal(send_there, send, (size_t)rows * (size_t)D * 4);
    free(send_there);
    if (weighted) {
        float *there = take_back(encode.send_weights);
        assert_memory_equal(there, send_weights, (size_t)rows * 4);
        free(there);
    }
    motley__buffer_destroy(x_there);
    motley__buffer_destroy(weights_there);
    motley__buffer_destroy(order_there);
    free(x);
    free(weights);
    free(order);
    free(send);
    free(send_weights);
}

static void encode_equals_twin_on(struct motley__device *device)
{
    static const int widths[] = {1, 20, 33, 64, 272};
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int weighted = 0; weighted < 2; weighted++) {
            check_encode(device, 37, 3, widths[i], 20, 71, weighted, seed);
            check_encode(device, 37, 3, widths[i], 0, 0, weighted, seed);     /* nothing is own */
            check_encode(device, 37, 3, widths[i], 60, 60, weighted, seed);
            check_encode(device, 37, 3, widths[i], 0, 111, weighted, seed);   /* all is */
            check_encode(device, 37, 3, widths[i], 0, 110, weighted, seed);
            check_encode(device, 37, 3, widths[i], 1, 111, weighted, seed);
        }
    check_encode(device, 0, 2, 16, 0, 0, 1, seed);
}

static void encode_equals_twin(void **state)
{
    on_both_maps(*state, encode_equals_twin_on);
}

/* Segments as R sources send them to rank `own`, `counts[s][e]` rows each; returns P.  own_begin pairs precede the
 * own ones in the sorted order. */
static int make_segments(int R, int E, int own, int own_begin, const int *counts, struct motley__segment *segment)
{
    int pair = 0;
    for (int e = 0; e < E; e++)
        for (int s = 0; s < R; s++) {
            int from = s == own ? own_begin : 0;
            for (int before = 0; s != own && before < s; before++)
                for (int f = 0; f < E; f++)
                    from += before == own ? 0 : counts[before * E + f];
            for (int f = 0; f < e; f++)
                from += counts[s * E + f];
            segment[e * R + s] = (struct motley__segment){pair, counts[s * E + e], from, s == own};
            pair += counts[s * E + e];
        }
    return pair;
}

static int own_pairs(int E, int own, const int *counts)
{
    int sum = 0;
    for (int e = 0; e < E; e++)
        sum += counts[own * E + e];
    return sum;
}

static void check_place(struct motley__device *device, int R, int E, int own, const int *counts, uint64_t seed)
{
    enum { K = 3, OWN_BEGIN = 5 };
    struct motley__segment *segment = ARRAY(struct motley__segment, R * E);
    const int P = make_segments(R, E, own, OWN_BEGIN, counts, segment), pairs_own = own_pairs(E, own, counts);
    const int M = P - pairs_own, T = (pairs_own + OWN_BEGIN + 7) / K + 1, N = T * K;
    int *order = random_permutation(seed, 1, N);
    float *weights = random_floats(seed, 2, (size_t)N), *received = random_floats(seed, 3, (size_t)M);

    struct motley__buffer *there[] = {
        to_device(device, segment, (size_t)(R * E) * sizeof *segment), to_device(device, order, (size_t)N * 4),
        to_device(device, weights, (size_t)N * 4), to_device(device, received, (size_t)M * 4),
    };
    struct motley__place place = {
        .K = K, .segments = R * E, .own_rows = T, .own_begin = OWN_BEGIN, .segment = there[0], .order = there[1],
        .weights = there[2], .received_weights = M ? there[3] : NULL, .index = unwritten(device, (size_t)P * 4),
        .weight = unwritten(device, (size_t)P * 4), .pair_own = unwritten(device, (size_t)pairs_own * 4),
        .pair_received = M ? unwritten(device, (size_t)M * 4) : NULL,
    };
    SUCCEED(motley__place(device, &place, &error));

    int *index = ARRAY(int, P), *pair_own = ARRAY(int, pairs_own), *pair_received = ARRAY(int, M);
    float *weight = ARRAY(float, P);
    motley__ref_place(K, R * E, T, OWN_BEGIN, segment, order, weights, received, index, weight, pair_own,
                      pair_received);
    void *index_there = take_back(place.index), *weight_there = take_back(place.weight);
    void *own_there = take_back(place.pair_own), *received_there = M ? take_back(place.pair_received) : NULL;
    assert_memory_equal(index_there, index, (size_t)P * 4);
    assert_memory_equal(weight_there, weight, (size_t)P * 4);
    assert_memory_equal(own_there, pair_own, (size_t)pairs_own * 4);
    if (M)
        assert_memory_equal(received_there, pair_received, (size_t)M * 4);
    void *host[] = {index_there, weight_there, own_there, received_there, index,   weight,  pair_own,
                    pair_received, segment,    order,     weights,        received};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        motley__buffer_destroy(there[i]);
}

static void place_equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    int counts[5 * 40];
    for (int R = 1; R <= 5; R += 2)
        for (int E = 1; E <= 40; E += 13)
            for (int own = 0; own < R; own += 2) {
                for (int i = 0; i < R * E; i++) /* half of them empty */
                    counts[i] = random_int(seed, 1, (size_t)i, 2) * random_int(seed, 2, (size_t)i, 90);
                check_place(device, R, E, own, counts, seed);
                for (int e = 0; e < E; e++)
                    counts[own * E + e] = 0; /* no own pairs */
                check_place(device, R, E, own, counts, seed);
            }
    memset(counts, 0, sizeof counts);
    check_place(device, 3, 4, 1, counts, seed); /* no pairs at all */
    counts[5] = 20000;
    check_place(device, 3, 4, 1, counts, seed); /* one long segment, own */
    check_place(device, 3, 4, 0, counts, seed); /* received */
}

static void place_equals_twin(void **state)
{
    on_both_maps(*state, place_equals_twin_on);
}

/* A rank without experts places nothing. */
static void place_without_segments(void **state)
{
    struct motley__place place = {.K = 2};
    SUCCEED(motley__place(*state, &place, &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_equals_twin),
        cmocka_unit_test(place_equals_twin),
        cmocka_unit_test(place_without_segments),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
