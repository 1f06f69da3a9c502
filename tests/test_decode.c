/* From experts' outputs back to tokens: combine and decode equal their twins, bit for bit.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "travel.h"

#include "layer/decode.h"

static const int widths[] = {1, 20, 33, 64, 272};
enum { WIDTHS = sizeof widths / sizeof *widths };

/* `rows` received rows of 0 to 3 pairs each, behind `first` own pairs; P sorted positions. */
static void check_combine(struct motley__device *device, int rows, int first, int D, int weighted, uint64_t seed)
{
    int *begin = ARRAY(int, rows + 1);
    for (int j = 0; j < rows; j++)
        begin[j + 1] = begin[j] + random_int(seed, 3, (size_t)j, 4);
    const int pairs = begin[rows], P = first + pairs, half = rows / 2;
    float *o = random_floats(seed, 1, (size_t)(P * D)), *weight = random_floats(seed, 2, (size_t)P);
    int *where = random_permutation(seed, 4, P);
    struct motley__buffer *there[] = {
        to_device(device, o, (size_t)(P * D) * 4), to_device(device, weight, (size_t)P * 4),
        ints_there(device, begin, rows + 1), ints_there(device, where, P),
    };
    struct motley__combine combine = {
        .rows = half, .D = D, .first = first, .o = there[0], .begin = there[2], .where = there[3],
        .weight = weighted ? there[1] : NULL, .returned = unwritten(device, (size_t)(rows * D) * 4),
    };
    struct motley__buffer *scalars = unwritten(device, (size_t)pairs * 4);
    SUCCEED(motley__combine(device, &combine, &error)); /* in two parts */
    SUCCEED(motley__combine_scalars(device, 0, begin[half], first, there[1], there[3], scalars, &error));
    combine.row = half;
    combine.rows = rows - half;
    SUCCEED(motley__combine(device, &combine, &error));
    SUCCEED(motley__combine_scalars(device, begin[half], pairs - begin[half], first, there[1], there[3], scalars,
                                    &error));

    float *expected = ARRAY(float, rows * D), *expected_scalars = ARRAY(float, pairs);
    motley__ref_combine(rows, D, first, o, begin, where, weighted ? weight : NULL, expected);
    for (int q = 0; q < pairs; q++)
        expected_scalars[q] = weight[where[first + q]];
    expect_bytes(combine.returned, expected, (size_t)(rows * D) * 4);
    expect_bytes(scalars, expected_scalars, (size_t)pairs * 4);
    destroy_all(there, sizeof there / sizeof *there);
    void *host[] = {begin, o, weight, where, expected, expected_scalars};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static void combine_equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int i = 0; i < WIDTHS; i++)
        for (int weighted = 0; weighted < 2; weighted++) {
            check_combine(device, 55, 31, widths[i], weighted, seed);
            check_combine(device, 40, 0, widths[i], weighted, seed);
            check_combine(device, 0, 3, widths[i], weighted, seed);
        }
}

static void combine_equals_twin(void **state)
{
    on_both_maps(*state, combine_equals_twin_on);
}

/* The table of streams[g] streams for each group of a rank's tokens, back to back. */
static int *make_table(const struct routed *r, const int *streams, int *count, int *rows, int *pairs)
{
    const int chunks = r->chunks.count;
    *count = *rows = *pairs = 0;
    for (int g = 0; g < r->G; g++)
        *count += streams[g];
    int *table = ARRAY(int, r->G + 1 + 2 * chunks * *count), *base = table + r->G + 1, s = 0;
    for (int g = 0; g < r->G; g++) {
        table[g] = s;
        for (int i = 0; i < streams[g]; i++, s++)
            for (int c = 0; c < chunks; c++) {
                const int slot = motley__chunks_slot(chunks, r->G, r->sent, c, g);
                base[c * *count + s] = *rows - r->row_offsets[slot];
                base[(chunks + c) * *count + s] = *pairs - r->pair_offsets[slot];
                *rows += r->row_offsets[slot + 1] - r->row_offsets[slot];
                *pairs += r->pair_offsets[slot + 1] - r->pair_offsets[slot];
            }
    }
    table[r->G] = s;
    return table;
}

struct decode_case {
    int T, K, D, E, G, sent, streams[4], weighted, accumulate, dropped, chunks;
};

/* What came back is added to rows and scalars that are there, where no expert is an own one. */
static void check_added(struct motley__device *device, const struct motley__decode *decode, const float *y,
                        const float *scalars, const struct motley__ref_returned *back)
{
    const int numbers = decode->T * decode->D, N = decode->T * decode->K;
    int *where = ARRAY(int, N);
    float *sums = ARRAY(float, numbers), *added = ARRAY(float, N);
    struct motley__decode add = *decode;
    add.where = add.o = add.weight = NULL;
    add.accumulate = 1;
    add.y = to_device(device, y, (size_t)numbers * 4);
    struct motley__buffer *out = to_device(device, scalars, (size_t)N * 4);
    SUCCEED(motley__decode(device, &add, &error));
    SUCCEED(motley__decode_scalars(device, &add, NULL, out, &error));
    memcpy(sums, y, (size_t)numbers * 4);
    for (int n = 0; n < N; n++)
        where[n] = -1;
    motley__ref_decode(decode->T, decode->K, decode->D, where, NULL, NULL, back, 1, sums);
    for (int n = 0; n < N; n++) { /* each scalar by itself onto what is there */
        const int g = back->streams && back->pair[n] >= 0 ? back->server[back->indices[n]] : -1;
        const int *base = back->table + back->groups + 1 +
                          (back->chunks.count + motley__chunks_at(&back->chunks, n / decode->K)) * back->streams;
        added[n] = scalars[n];
        for (int i = g < 0 ? 0 : back->table[g]; g >= 0 && i < back->table[g + 1]; i++)
            added[n] += back->scalars[base[i] + back->pair[n]];
    }
    expect_bytes(add.y, sums, (size_t)numbers * 4);
    expect_bytes(out, added, (size_t)N * 4);
    free(where);
    free(sums);
    free(added);
}

/* Pairs of group G-1 are of own experts. */
static void check_decode(struct motley__device *device, struct decode_case c, uint64_t seed)
{
    int *server = ARRAY(int, c.E), count, rows, scalars, P = 0;
    for (int e = 0; e < c.E; e++)
        server[e] = random_int(seed, 20, (size_t)e, c.G);
    struct routed r = routed_create_in(c.chunks, c.dropped, c.T, c.K, c.E, c.G, c.sent, server, c.dropped, seed);
    int *table = make_table(&r, c.streams, &count, &rows, &scalars), *where = ARRAY(int, r.N);
    for (int n = 0; n < r.N; n++)
        where[n] = r.indices[n] >= 0 && server[r.indices[n]] == c.G - 1 ? P++ : -1;
    float *o = random_floats(seed, 4, (size_t)(P * c.D)), *weight = random_floats(seed, 5, (size_t)P);
    float *returned = random_floats(seed, 6, (size_t)(rows * c.D)), *y = random_floats(seed, 7, (size_t)(c.T * c.D));
    float *s = random_floats(seed, 8, (size_t)scalars), *expected = ARRAY(float, r.N);
    struct motley__buffer *there[] = {
        ints_there(device, where, r.N), to_device(device, o, (size_t)(P * c.D) * 4),
        to_device(device, weight, (size_t)P * 4), ints_there(device, r.indices, r.N),
        ints_there(device, server, c.E), ints_there(device, r.send_row, r.N), ints_there(device, r.pair_place, r.N),
        ints_there(device, table, c.G + 1 + 2 * r.chunks.count * count),
        to_device(device, returned, (size_t)(rows * c.D) * 4),
        to_device(device, s, (size_t)scalars * 4),
    };
    struct motley__decode decode = {
        .T = c.T, .K = c.K, .D = c.D, .where = there[0], .o = there[1], .weight = c.weighted ? there[2] : NULL,
        .returned = {.groups = c.G, .streams = count, .chunks = r.chunks, .indices = there[3], .server = there[4],
                     .row = there[5], .pair = there[6], .table = there[7], .rows = there[8], .scalars = there[9]},
        .accumulate = c.accumulate, .y = to_device(device, y, (size_t)(c.T * c.D) * 4),
    };
    const struct motley__ref_returned back = {c.G, count, r.chunks, r.indices, server, r.send_row,
                                              r.pair_place, table, returned, s};
    struct motley__buffer *out = unwritten(device, (size_t)r.N * 4);
    struct motley__decode part = decode; /* the last tokens alone */
    part.first = c.T / 3;
    part.T = c.T - part.first;
    part.row = part.first;
    part.y = to_device(device, y, (size_t)(c.T * c.D) * 4);
    struct motley__decode head = decode;
    head.T = part.first;
    float *sums = random_floats(seed, 7, (size_t)(c.T * c.D)); /* as y is now */
    SUCCEED(motley__decode(device, &decode, &error));
    SUCCEED(motley__decode(device, &part, &error));
    SUCCEED(motley__decode_scalars(device, &head, there[2], out, &error));
    SUCCEED(motley__decode_scalars(device, &part, there[2], out, &error));
    motley__ref_decode(c.T, c.K, c.D, where, o, c.weighted ? weight : NULL, &back, c.accumulate, y);
    motley__ref_decode_scalars(c.T, c.K, where, weight, &back, expected);
    check_added(device, &decode, y, expected, &back);
    expect_bytes(decode.y, y, (size_t)(c.T * c.D) * 4);
    memcpy(sums + part.first * c.D, y + part.first * c.D, (size_t)(part.T * c.D) * 4);
    expect_bytes(part.y, sums, (size_t)(c.T * c.D) * 4);
    expect_bytes(out, expected, (size_t)r.N * 4);
    destroy_all(there, sizeof there / sizeof *there);
    routed_destroy(&r);
    void *host[] = {server, table, where, o, weight, returned, y, s, expected, sums};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static void decode_equals_twin_on(struct motley__device *device)
{
    const uint64_t seed = test_seed();
    for (int i = 0; i < WIDTHS; i++)
        for (int weighted = 0; weighted < 2; weighted++) {
            const int D = widths[i];
            check_decode(device, (struct decode_case){35, 3, D, 7, 3, 2, {1, 1}, weighted, 0, 0, 1}, seed);
            check_decode(device, (struct decode_case){35, 3, D, 7, 3, 2, {1, 1}, weighted, 1, 1, 1}, seed);
            check_decode(device, (struct decode_case){35, 3, D, 8, 3, 3, {2, 3, 1}, weighted, 0, 0, 1},
                         seed); /* slices */
            check_decode(device, (struct decode_case){35, 3, D, 8, 1, 1, {3}, weighted, 0, 0, 1}, seed);
            check_decode(device, (struct decode_case){35, 3, D, 8, 1, 0, {0}, weighted, 0, 0, 1}, seed); /* one rank */
            check_decode(device, (struct decode_case){0, 3, D, 8, 2, 1, {1}, weighted, 0, 0, 1}, seed);
        }
    for (int chunks = 2; chunks <= MOTLEY__CHUNKS_MOST; chunks *= 2) {
        check_decode(device, (struct decode_case){35, 3, 33, 8, 3, 3, {2, 3, 1}, 1, 0, 1, chunks}, seed);
        check_decode(device, (struct decode_case){35, 3, 64, 7, 3, 2, {1, 1}, 1, 1, 0, chunks}, seed);
        check_decode(device, (struct decode_case){3, 3, 20, 7, 3, 2, {1, 1}, 0, 0, 0, chunks}, seed);
    }
    check_decode(device, (struct decode_case){9, 128, 48, 129, 4, 4, {1, 0, 2, 1}, 1, 0, 0, 1}, seed);
}

static void decode_equals_twin(void **state)
{
    on_both_maps(*state, decode_equals_twin_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(combine_equals_twin),
        cmocka_unit_test(decode_equals_twin),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
