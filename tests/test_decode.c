/* From experts' outputs back to tokens: combine and decode equal their twins, and the whole way out and back,
 * over several simulated ranks, gives every token the weighted sum of itself.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "routing.h"

#include "layer/decode.h"
#include "layer/encode.h"
#include "layer/ref.h"
#include "layer/route.h"

static void check_combine(struct motley__device *device, int rows, int P, int D, int weighted, uint64_t seed)
{
    float *o = random_floats(seed, 1, (size_t)P * (size_t)D), *weight = random_floats(seed, 2, (size_t)P);
    int *pair = random_permutation(seed, 3, P);
    struct motley__buffer *o_there = to_device(device, o, (size_t)P * (size_t)D * 4);
    struct motley__buffer *weight_there = to_device(device, weight, (size_t)P * 4);
    struct motley__buffer *pair_there = to_device(device, pair, (size_t)rows * 4);
    struct motley__combine combine = {
        .rows = rows, .D = D, .o = o_there, .pair_received = pair_there, .weight = weighted ? weight_there : NULL,
        .returned = unwritten(device, (size_t)rows * (size_t)D * 4),
    };
    struct motley__buffer *scalars = unwritten(device, (size_t)rows * 4);
    SUCCEED(motley__combine(device, &combine, &error));
    SUCCEED(motley__combine_scalars(device, rows, weight_there, pair_there, scalars, &error));

    float *expected = ARRAY(float, (size_t)rows * (size_t)D), *expected_scalars = ARRAY(float, rows);
    motley__ref_combine(rows, D, o, pair, weighted ? weight : NULL, expected);
    motley__ref_combine(rows, 1, weight, pair, NULL, expected_scalars);
    float *returned = take_back(combine.returned), *scalars_here = take_back(scalars);
    assert_memory_equal(returned, expected, (size_t)rows * (size_t)D * 4);
    assert_memory_equal(scalars_here, expected_scalars, (size_t)rows * 4);
    motley__buffer_destroy(o_there);
    motley__buffer_destroy(weight_there);
    motley__buffer_destroy(pair_there);
    void *host[] = {o, weight, pair, expected, expected_scalars, returned, scalars_here};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static const int widths[] = {1, 20, 33, 64, 272};
enum { WIDTHS = sizeof widths / sizeof *widths };

static void combine_equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int i = 0; i < WIDTHS; i++)
        for (int weighted = 0; weighted < 2; weighted++) {
            check_combine(device, 55, 90, widths[i], weighted, seed);
            check_combine(device, 0, 3, widths[i], weighted, seed);
        }
}

static void combine_equals_twin(void **state)
{
    on_both_maps(*state, combine_equals_twin_on);
}

struct decode_case {
    int T, K, D, own_begin, own_end, weighted, accumulate, dropped;
};

static void check_decode(struct motley__device *device, struct decode_case c, uint64_t seed)
{
    const int N = c.T * c.K, own = c.own_end - c.own_begin, rows = N - own;
    const size_t width = (size_t)c.D * 4;
    int *where = random_permutation(seed, 1, N), *pair_own = random_permutation(seed, 2, own);
    for (int n = 0; n < c.dropped; n++)
        where[random_int(seed, 3, (size_t)n, N)] = -1;
    float *o = random_floats(seed, 4, (size_t)(own * c.D)), *weights = random_floats(seed, 5, (size_t)N);
    float *returned = random_floats(seed, 6, (size_t)(rows * c.D)), *y = random_floats(seed, 7, (size_t)(c.T * c.D));
    struct motley__buffer *there[] = {
        to_device(device, where, (size_t)N * 4), to_device(device, pair_own, (size_t)own * 4),
        to_device(device, o, (size_t)own * width), to_device(device, weights, (size_t)N * 4),
        to_device(device, returned, (size_t)rows * width),
    };
    struct motley__decode decode = {
        .T = c.T, .K = c.K, .D = c.D, .own_begin = c.own_begin, .own_end = c.own_end, .where = there[0],
        .pair_own = there[1], .o = there[2], .weights = c.weighted ? there[3] : NULL,
        .returned = rows ? there[4] : NULL, .accumulate = c.accumulate, .y = to_device(device, y, (size_t)c.T * width),
    };
    struct motley__buffer *scalars = unwritten(device, (size_t)N * 4);
    SUCCEED(motley__decode(device, &decode, &error));
    SUCCEED(motley__decode_scalars(device, &decode, there[2], decode.returned, scalars, &error));

    float *y_there = take_back(decode.y), *scalars_there = take_back(scalars), *expected = ARRAY(float, N);
    motley__ref_decode(c.T, c.K, c.D, c.own_begin, c.own_end, where, pair_own, o, c.weighted ? weights : NULL, returned,
                       c.accumulate, y);
    motley__ref_decode_scalars(N, c.own_begin, c.own_end, where, pair_own, o, returned, expected);
    assert_memory_equal(y_there, y, (size_t)c.T * width);
    assert_memory_equal(scalars_there, expected, (size_t)N * 4);
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        motley__buffer_destroy(there[i]);
    void *host[] = {where, pair_own, o, weights, returned, y, y_there, scalars_there, expected};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static void decode_equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int i = 0; i < WIDTHS; i++)
        for (int weighted = 0; weighted < 2; weighted++) {
            const int D = widths[i];
            check_decode(device, (struct decode_case){35, 3, D, 11, 60, weighted, 0, 0}, seed);
            check_decode(device, (struct decode_case){35, 3, D, 11, 60, weighted, 1, 7}, seed);
            check_decode(device, (struct decode_case){35, 3, D, 0, 105, weighted, 0, 0}, seed); /* all are own */
            check_decode(device, (struct decode_case){35, 3, D, 30, 30, weighted, 0, 0}, seed); /* none is */
            check_decode(device, (struct decode_case){0, 3, D, 0, 0, weighted, 0, 0}, seed);
        }
    check_decode(device, (struct decode_case){9, 128, 48, 100, 700, 1, 0, 0}, seed);
}

static void decode_equals_twin(void **state)
{
    on_both_maps(*state, decode_equals_twin_on);
}

/* The round trip.  R ranks, one after the other on one device; the exchange is memcpy. */

enum { MOST_RANKS = 4, K = 3, D = 20 };

struct rank {
    int T, first, experts;              /* tokens; slots first .. first+experts-1 are its own */
    float *x, *weights, *y;
    int *indices, *order, *where, *offsets;
    struct motley__buffer *order_there, *where_there, *weights_there;
    float *send, *send_weights, *back;  /* [send rows, ...] */
    float *scalars_back;
};

static int own_begin(const struct rank *r)
{
    return r->offsets[r->first];
}

static int own_end(const struct rank *r)
{
    return r->offsets[r->first + r->experts];
}

/* Send rows of the pairs for slot s, another rank's, begin at row send_row(r, s), and end where the next begin. */
static int send_row(const struct rank *r, int s)
{
    return s <= r->first ? r->offsets[s] : r->offsets[s] - (own_end(r) - own_begin(r));
}

/* Tokens, weights, experts; route and encode. */
static void dispatch(struct motley__device *device, struct rank *r, int E, const int *slot, uint64_t seed, uint64_t id)
{
    const int N = r->T * K;
    r->x = random_floats(seed, 10 * id, (size_t)(r->T * D));
    r->weights = random_floats(seed, 10 * id + 1, (size_t)N);
    r->indices = ARRAY(int, N);
    for (int n = 0; n < N; n++)
        r->indices[n] = random_int(seed, 10 * id + 2, (size_t)n, E);
    struct motley__buffer *indices = to_device(device, r->indices, (size_t)N * 4);
    struct motley__buffer *slot_there = to_device(device, slot, (size_t)E * 4);
    struct motley__buffer *x = to_device(device, r->x, (size_t)(r->T * D) * 4);
    r->order_there = unwritten(device, (size_t)N * 4);
    r->where_there = unwritten(device, (size_t)N * 4);
    r->weights_there = to_device(device, r->weights, (size_t)N * 4);
    struct motley__route route = {
        .T = r->T, .K = K, .E = E, .indices = indices, .slot = slot_there,
        .histogram = unwritten(device, motley__route_scratch_bytes(r->T, K, E)), .order = r->order_there,
        .where = r->where_there, .offsets = unwritten(device, ((size_t)E + 1) * 4),
    };
    SUCCEED(motley__route(device, &route, &error));
    r->offsets = take_back(route.offsets);
    const int rows = N - (own_end(r) - own_begin(r));
    struct motley__encode encode = {
        .D = D, .K = K, .rows = rows, .own_begin = own_begin(r), .own_end = own_end(r), .x = x,
        .weights = r->weights_there, .order = r->order_there, .send = unwritten(device, (size_t)(rows * D) * 4),
        .send_weights = unwritten(device, (size_t)rows * 4),
    };
    SUCCEED(motley__encode(device, &encode, &error));
    r->send = take_back(encode.send);
    r->send_weights = take_back(encode.send_weights);
    r->back = ARRAY(float, rows * D);
    r->scalars_back = ARRAY(float, rows);
    motley__buffer_destroy(route.histogram);
    motley__buffer_destroy(indices);
    motley__buffer_destroy(slot_there);
    motley__buffer_destroy(x);
}

/* What arrives at rank `own` from all others: rows by source, then slot.  Returns M. */
static int receive(const struct rank *ranks, int R, int own, float *rows, float *weights)
{
    const struct rank *me = &ranks[own];
    int M = 0;
    for (int s = 0; s < R; s++) {
        const int from = s == own ? 0 : send_row(&ranks[s], me->first);
        const int count = s == own ? 0 : send_row(&ranks[s], me->first + me->experts) - from;
        memcpy(rows + M * D, ranks[s].send + from * D, (size_t)(count * D) * 4);
        memcpy(weights + M, ranks[s].send_weights + from, (size_t)count * 4);
        M += count;
    }
    return M;
}

/* The same rows the other way. */
static void give_back(struct rank *ranks, int R, int own, const float *rows, const float *scalars)
{
    const struct rank *me = &ranks[own];
    int M = 0;
    for (int s = 0; s < R; s++) {
        if (s == own)
            continue;
        const int from = send_row(&ranks[s], me->first);
        const int count = send_row(&ranks[s], me->first + me->experts) - from;
        memcpy(ranks[s].back + from * D, rows + M * D, (size_t)(count * D) * 4);
        memcpy(ranks[s].scalars_back + from, scalars + M, (size_t)count * 4);
        M += count;
    }
}

/* Segments of rank `own`, by expert then source; returns P. */
static int segments_of(const struct rank *ranks, int R, int own, struct motley__segment *segment)
{
    const struct rank *me = &ranks[own];
    int pair = 0;
    for (int e = 0; e < me->experts; e++) {
        int received = 0;
        for (int s = 0; s < R; s++, segment++) {
            const int *offsets = ranks[s].offsets + me->first;
            const int from = s == own ? offsets[e] : received + offsets[e] - offsets[0];
            *segment = (struct motley__segment){pair, offsets[e + 1] - offsets[e], from, s == own};
            pair += segment->count;
            received += s == own ? 0 : offsets[me->experts] - offsets[0];
        }
    }
    return pair;
}

struct arrival {
    struct motley__buffer *o, *pair_own, *scalars; /* of the experts: o [P,D], pair_own, one number a pair */
};

/* place, identity experts (whose scalar is 1000 times their input's first element), combine. */
static struct arrival experts(struct motley__device *device, struct rank *ranks, int R, int own)
{
    struct rank *me = &ranks[own];
    struct motley__segment *segment = ARRAY(struct motley__segment, R * me->experts);
    const int P = segments_of(ranks, R, own, segment);
    float *received = ARRAY(float, (P + 1) * D), *received_weights = ARRAY(float, P + 1);
    const int M = receive(ranks, R, own, received, received_weights), pairs_own = own_end(me) - own_begin(me);
    assert_int_equal(M + pairs_own, P);
    struct motley__buffer *segment_there = to_device(device, segment, (size_t)(R * me->experts) * sizeof *segment);
    struct motley__buffer *weights_there = to_device(device, received_weights, (size_t)M * 4);
    struct motley__place place = {
        .K = K, .segments = R * me->experts, .own_rows = me->T, .own_begin = own_begin(me), .segment = segment_there,
        .order = me->order_there, .weights = me->weights_there, .received_weights = weights_there,
        .index = unwritten(device, (size_t)P * 4), .weight = unwritten(device, (size_t)P * 4),
        .pair_own = unwritten(device, (size_t)pairs_own * 4), .pair_received = unwritten(device, (size_t)M * 4),
    };
    SUCCEED(motley__place(device, &place, &error));

    int *index = take_back(place.index);
    float *o = ARRAY(float, P * D), *scalars = ARRAY(float, P);
    for (int p = 0; p < P; p++) {
        const float *row = index[p] < me->T ? me->x + index[p] * D : received + (index[p] - me->T) * D;
        memcpy(o + p * D, row, D * 4);
        scalars[p] = 1000 * row[0];
    }
    struct arrival arrival = {
        .o = to_device(device, o, (size_t)(P * D) * 4), .pair_own = place.pair_own,
        .scalars = to_device(device, scalars, (size_t)P * 4),
    };
    struct motley__combine combine = {
        .rows = M, .D = D, .o = arrival.o, .pair_received = place.pair_received, .weight = place.weight,
        .returned = unwritten(device, (size_t)(M * D) * 4),
    };
    struct motley__buffer *back = unwritten(device, (size_t)M * 4);
    SUCCEED(motley__combine(device, &combine, &error));
    SUCCEED(motley__combine_scalars(device, M, arrival.scalars, place.pair_received, back, &error));
    float *rows = take_back(combine.returned), *scalars_back = take_back(back);
    give_back(ranks, R, own, rows, scalars_back);
    motley__buffer_destroy(segment_there);
    motley__buffer_destroy(weights_there);
    motley__buffer_destroy(place.weight);
    motley__buffer_destroy(place.pair_received);
    void *host[] = {segment, received, received_weights, index, o, scalars, rows, scalars_back};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
    return arrival;
}

/* decode; y and the scalars are compared with what they must be, bit for bit. */
static void collect(struct motley__device *device, struct rank *r, struct arrival arrival)
{
    const int N = r->T * K, rows = N - (own_end(r) - own_begin(r));
    struct motley__buffer *returned = to_device(device, r->back, (size_t)(rows * D) * 4);
    struct motley__buffer *scalars_back = to_device(device, r->scalars_back, (size_t)rows * 4);
    struct motley__buffer *scalars = unwritten(device, (size_t)N * 4);
    struct motley__decode decode = {
        .T = r->T, .K = K, .D = D, .own_begin = own_begin(r), .own_end = own_end(r), .where = r->where_there,
        .pair_own = arrival.pair_own, .o = arrival.o, .weights = r->weights_there, .returned = returned,
        .y = unwritten(device, (size_t)(r->T * D) * 4),
    };
    SUCCEED(motley__decode(device, &decode, &error));
    SUCCEED(motley__decode_scalars(device, &decode, arrival.scalars, scalars_back, scalars, &error));
    float *y = take_back(decode.y), *out = take_back(scalars);
    for (int t = 0; t < r->T; t++) {
        for (int d = 0; d < D; d++) {
            float sum = 0;
            for (int k = 0; k < K; k++) {
                const volatile float product = r->weights[t * K + k] * r->x[t * D + d];
                sum += product;
            }
            assert_true(y[t * D + d] == sum);
        }
        for (int k = 0; k < K; k++)
            assert_true(out[t * K + k] == 1000 * r->x[t * D]);
    }
    free(y);
    free(out);
    motley__buffer_destroy(returned);
    motley__buffer_destroy(scalars_back);
}

static void release(struct rank *r, struct arrival arrival)
{
    motley__buffer_destroy(arrival.o);
    motley__buffer_destroy(arrival.pair_own);
    motley__buffer_destroy(arrival.scalars);
    motley__buffer_destroy(r->order_there);
    motley__buffer_destroy(r->where_there);
    motley__buffer_destroy(r->weights_there);
    void *host[] = {r->x, r->weights, r->indices, r->offsets, r->send, r->send_weights, r->back, r->scalars_back};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static void round_trip_on(struct motley__device *device)
{
    static const struct { int R, E, T[MOST_RANKS], experts[MOST_RANKS]; } cases[] = {
        {1, 5, {70}, {5}},
        {2, 7, {40, 33}, {2, 5}},
        {2, 1, {9, 31}, {0, 1}},                /* a rank without experts */
        {3, 8, {50, 0, 21}, {3, 1, 4}},         /* a rank without tokens */
        {4, 30, {3, 90, 1, 17}, {20, 0, 9, 1}},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rank ranks[MOST_RANKS] = {{0}};
        struct arrival arrivals[MOST_RANKS];
        const int R = cases[i].R, E = cases[i].E;
        int *slot = random_permutation(seed, i, E), first = 0;
        for (int r = 0; r < R; r++) {
            ranks[r].T = cases[i].T[r];
            ranks[r].first = first;
            ranks[r].experts = cases[i].experts[r];
            first += ranks[r].experts;
            dispatch(device, &ranks[r], E, slot, seed, (uint64_t)r);
        }
        for (int r = 0; r < R; r++)
            arrivals[r] = experts(device, ranks, R, r);
        for (int r = 0; r < R; r++)
            collect(device, &ranks[r], arrivals[r]);
        for (int r = 0; r < R; r++)
            release(&ranks[r], arrivals[r]);
        free(slot);
    }
}

static void round_trip(void **state)
{
    on_both_maps(*state, round_trip_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(combine_equals_twin),
        cmocka_unit_test(decode_equals_twin),
        cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
