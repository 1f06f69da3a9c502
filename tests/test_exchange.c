/* Transfers and counts between ranks: uneven rows, empty ranks, both parts, many in a row.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "exchange/exchange.h"
#include "tests/device.h"

static motley_context *context;
static const uint64_t SEED = 20260901;

/* Rows that rank `from` sends to rank `to` in trial `trial`: often none. */
static int rows_between(int trial, int from, int to)
{
    uint64_t bits = motley__random_bits(SEED, (uint64_t)trial, (uint64_t)(from * 64 + to));

    return from == to || bits % 3 == 0 ? 0 : (int)(bits % 41);
}

/* The number at column c of row i of what `from` sends `to`. */
static float number(int trial, int from, int to, int i, int c)
{
    return (float)(motley__random_bits(SEED + 1, (uint64_t)(trial * 4096 + from * 64 + to), (uint64_t)(i * 512 + c)) %
                   100003);
}

static int64_t total(const int *rows)
{
    return motley__group_first(rows, context->size);
}

/* Fill a device buffer with what goes out. */
static void fill(struct motley__buffer **buffer, int trial, const int *rows, int width, int first_column)
{
    size_t bytes = (size_t)total(rows) * (size_t)width * sizeof(float);
    float *host = malloc(bytes + 1), *next = host;

    for (int to = 0; to < context->size; to++)
        for (int i = 0; i < rows[to]; i++)
            for (int c = 0; c < width; c++)
                *next++ = number(trial, context->rank, to, i, first_column + c);
    assert_int_equal(motley__buffer_reserve(context->device, buffer, bytes, NULL), 0);
    if (bytes)
        assert_int_equal(motley__buffer_write(*buffer, 0, host, bytes, NULL), 0);
    free(host);
}

static void check(const struct motley__buffer *buffer, int trial, const int *rows, int width, int first_column)
{
    size_t bytes = (size_t)total(rows) * (size_t)width * sizeof(float);
    float *host = malloc(bytes + 1), *next = host;

    if (bytes)
        assert_int_equal(motley__buffer_read(buffer, 0, host, bytes, NULL), 0);
    for (int from = 0; from < context->size; from++)
        for (int i = 0; i < rows[from]; i++)
            for (int c = 0; c < width; c++)
                assert_true(*next++ == number(trial, from, context->rank, i, first_column + c));
    free(host);
}

static void finish(void *request, int (*test)(void *, int *, struct motley_error *))
{
    struct motley_error error = {0};
    int done = 0;

    while (!done) {
        assert_int_equal(test(request, &done, &error), 0);
        if (!done)
            motley__sleep(20e-6);
    }
}

/* Of rows of floats; in one array that the next call overwrites. */
static const size_t *row_bytes(const int widths[MOTLEY__PARTS])
{
    static size_t bytes[MOTLEY__PARTS];
    for (int i = 0; i < MOTLEY__PARTS; i++)
        bytes[i] = sizeof(float) * (size_t)widths[i];
    return bytes;
}

static void one_trial(struct motley__transfer *transfer, int trial, int parts, const int *widths)
{
    struct motley__buffer *send[MOTLEY__PARTS] = {NULL}, *received[MOTLEY__PARTS] = {NULL};
    struct motley__part part[MOTLEY__PARTS] = {0};
    int *out = calloc((size_t)context->size, sizeof *out), *in = calloc((size_t)context->size, sizeof *in);
    int64_t bytes, nodes;

    for (int r = 0; r < context->size; r++) {
        out[r] = rows_between(trial, context->rank, r);
        in[r] = rows_between(trial, r, context->rank);
    }
    for (int i = 0; i < parts; i++) {
        fill(&send[i], trial, out, widths[i], i * 256);
        assert_int_equal(motley__buffer_reserve(context->device, &received[i],
                                                (size_t)total(in) * (size_t)widths[i] * sizeof(float), NULL), 0);
        part[i] = (struct motley__part){send[i], received[i]};
    }
    assert_int_equal(motley__transfer_begin(transfer, part, out, in, NULL), 0);
    finish(transfer, motley__transfer_test);
    for (int i = 0; i < parts; i++) {
        check(received[i], trial, in, widths[i], i * 256);
        motley__buffer_destroy(send[i]);
        motley__buffer_destroy(received[i]);
    }
    motley__transfer_bytes(transfer, out, &bytes, &nodes);
    assert_true(bytes == total(out) * (int64_t)sizeof(float) * (widths[0] + (parts > 1 ? widths[1] : 0)));
    assert_true(nodes == 0); /* all ranks of a test share one node */
    free(out);
    free(in);
}

static void rows_arrive_where_they_belong(void **state)
{
    const int widths[][MOTLEY__PARTS] = {{1, 1}, {7, 1}, {64, 1}, {129, 3}};

    (void)state;
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int parts = 1; parts <= MOTLEY__PARTS; parts++) {
            struct motley__transfer *transfer;

            assert_int_equal(motley__transfer_create(context, "test", 10, parts, row_bytes(widths[w]), &transfer, NULL),
                             0);
            for (int trial = 0; trial < 20; trial++)
                one_trial(transfer, (int)w * 20 + trial, parts, widths[w]);
            motley__transfer_destroy(transfer);
        }
}

/* Through staging memory, as on a device whose memory is not the host's. */
static void rows_are_staged_where_memory_is_not_shared(void **state)
{
    const int widths[] = {33, 1}, zero_copy = context->device->zero_copy;
    struct motley__transfer *transfer;

    (void)state;
    context->device->zero_copy = 0;
    assert_int_equal(motley__transfer_create(context, "test", 20, 2, row_bytes(widths), &transfer, NULL), 0);
    for (int trial = 100; trial < 120; trial++)
        one_trial(transfer, trial, 2, widths);
    motley__transfer_destroy(transfer);
    context->device->zero_copy = zero_copy;
}

/* Ranks own r, r-1, ... experts: also none. */
static void counts_arrive_by_source_and_expert(void **state)
{
    const int R = context->size, me = context->rank;
    int *first = calloc((size_t)R + 1, sizeof *first), local;
    struct motley__counts *counts;
    int64_t nodes;

    (void)state;
    for (int r = 0; r < R; r++)
        first[r + 1] = first[r] + R - 1 - r + (R == 1);
    local = first[me + 1] - first[me];
    assert_int_equal(motley__counts_create(context, first, 30, &counts, NULL), 0);
    for (int trial = 0; trial < 10; trial++) {
        for (int s = 0; s < first[R]; s++)
            counts->mine[s] = me * 10000 + trial * 100 + s;
        assert_int_equal(motley__counts_begin(counts, NULL), 0);
        finish(counts, motley__counts_test);
        for (int r = 0; r < R; r++)
            for (int e = 0; e < local; e++)
                assert_int_equal(counts->theirs[r * local + e], r * 10000 + trial * 100 + first[me] + e);
    }
    assert_int_equal(motley__counts_bytes(counts, &nodes), (first[R] - local) * (int)sizeof(int));
    assert_int_equal(nodes, 0);
    motley__counts_destroy(counts);
    free(first);
}

/* What is under way and never ends names its peer, and can be destroyed. */
static void the_missing_peer_is_named(void **state)
{
    const int widths[MOTLEY__PARTS] = {4}, R = context->size, next = (context->rank + 1) % R;
    int *out = calloc((size_t)R, sizeof *out), *in = calloc((size_t)R, sizeof *in), done;
    struct motley__buffer *received = NULL;
    struct motley__transfer *transfer;
    char text[64], expected[64];

    (void)state;
    if (R > 1) {
        assert_int_equal(motley__buffer_create(context->device, 16, &received, NULL), 0);
        assert_int_equal(motley__transfer_create(context, "test", 40, 1, row_bytes(widths), &transfer, NULL), 0);
        in[next] = 1;
        assert_int_equal(motley__transfer_begin(transfer, &(struct motley__part){NULL, received}, out, in, NULL), 0);
        assert_int_equal(motley__transfer_test(transfer, &done, NULL), 0);
        assert_int_equal(done, 0);
        motley__transfer_missing(transfer, text, sizeof text);
        snprintf(expected, sizeof expected, "rank %d", next);
        assert_string_equal(text, expected);
        motley__transfer_destroy(transfer);
        motley__buffer_destroy(received);
    }
    free(out);
    free(in);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    printf("seed %llu\n", (unsigned long long)SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_arrive_where_they_belong),
        cmocka_unit_test(rows_are_staged_where_memory_is_not_shared),
        cmocka_unit_test(counts_arrive_by_source_and_expert),
        cmocka_unit_test(the_missing_peer_is_named),
    };

    int status = cmocka_run_group_tests(tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
