/* Transfers and counts between ranks: uneven rows, empty ranks, both parts, many in a row.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "exchange/exchange.h"
#include "plan/known.h"
#include "tests/device.h"

static motley_context *context;
static int far; /* 1: every rank counts as a node of its own */
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

/* Rows that rank `from` sends to rank `to` where all others get the same: of a number that has no rank in it. */
static int rows_for_all(int trial, int from, int to)
{
    return from == to ? 0 : (int)(motley__random_bits(SEED + 2, (uint64_t)trial, (uint64_t)from) % 30);
}

/* What a trial sends: rows for each rank, or the same rows for all. */
struct trial {
    int number, same;
};

static int rows_of(struct trial trial, int from, int to)
{
    return trial.same ? rows_for_all(trial.number, from, to) : rows_between(trial.number, from, to);
}

static struct motley__spans spans_create(void)
{
    const size_t R = (size_t)context->size;
    return (struct motley__spans){.rows = calloc(R, sizeof(int)), .first = calloc(R, sizeof(int64_t))};
}

static void spans_destroy(struct motley__spans *spans)
{
    free(spans->rows);
    free(spans->first);
}

/* Rows one rank's behind the other's, with a row of nobody before each. */
static struct motley__spans spans_in(struct trial trial)
{
    struct motley__spans in = spans_create();
    for (int r = 0; r < context->size; r++) {
        in.rows[r] = rows_of(trial, r, context->rank);
        in.first[r] = ++in.end;
        in.end += in.rows[r];
    }
    return in;
}

static struct motley__spans spans_out(struct trial trial)
{
    struct motley__spans out = spans_create();
    for (int r = 0; r < context->size; r++) {
        out.rows[r] = rows_of(trial, context->rank, r);
        out.first[r] = trial.same ? 0 : out.end;
        out.end = out.first[r] + out.rows[r] > out.end ? out.first[r] + out.rows[r] : out.end;
    }
    return out;
}

/* The receiver in the number of a row: none where all get the same. */
static int to_of(struct trial trial, int to)
{
    return trial.same ? 0 : to;
}

/* Fill a device buffer with what goes out. */
static void fill(struct motley__buffer **buffer, struct trial trial, const struct motley__spans *out, int width,
                 int first_column)
{
    size_t bytes = (size_t)out->end * (size_t)width * sizeof(float);
    float *host = malloc(bytes + 1);

    for (int to = 0; to < context->size; to++)
        for (int i = 0; i < out->rows[to]; i++)
            for (int c = 0; c < width; c++)
                host[(out->first[to] + i) * width + c] =
                    number(trial.number, context->rank, to_of(trial, to), i, first_column + c);
    assert_int_equal(motley__buffer_reserve(context->device, buffer, bytes, NULL), 0);
    if (bytes)
        assert_int_equal(motley__buffer_write(*buffer, 0, host, bytes, NULL), 0);
    free(host);
}

static void check(const struct motley__buffer *buffer, struct trial trial, const struct motley__spans *in, int width,
                  int first_column)
{
    size_t bytes = (size_t)in->end * (size_t)width * sizeof(float);
    float *host = malloc(bytes + 1);

    if (bytes)
        assert_int_equal(motley__buffer_read(buffer, 0, host, bytes, NULL), 0);
    for (int from = 0; from < context->size; from++)
        for (int i = 0; i < in->rows[from]; i++)
            for (int c = 0; c < width; c++)
                assert_true(host[(in->first[from] + i) * width + c] ==
                            number(trial.number, from, to_of(trial, context->rank), i, first_column + c));
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

/* Part 1 carries what trial + 1000 does, so that the parts' rows differ in number. */
static void one_trial(struct motley__transfer *transfer, struct trial trial, int parts, const int *widths)
{
    struct motley__buffer *send[MOTLEY__PARTS] = {NULL}, *received[MOTLEY__PARTS] = {NULL};
    struct motley__part part[MOTLEY__PARTS] = {0};
    struct motley__spans out[MOTLEY__PARTS], in[MOTLEY__PARTS];
    int64_t bytes, nodes, expected = 0;

    for (int i = 0; i < parts; i++) {
        struct trial own = {trial.number + 1000 * i, trial.same};

        out[i] = spans_out(own);
        in[i] = spans_in(own);
        fill(&send[i], own, &out[i], widths[i], i * 256);
        assert_int_equal(motley__buffer_reserve(context->device, &received[i],
                                                (size_t)in[i].end * (size_t)widths[i] * sizeof(float), NULL), 0);
        part[i] = (struct motley__part){send[i], &out[i], received[i], &in[i]};
        for (int r = 0; r < context->size; r++)
            expected += (int64_t)sizeof(float) * widths[i] * out[i].rows[r];
    }
    assert_int_equal(motley__transfer_begin(transfer, part, NULL), 0);
    finish(transfer, motley__transfer_test);
    motley__transfer_bytes(transfer, &bytes, &nodes);
    assert_true(bytes == expected);
    assert_true(nodes == (far ? expected : 0));
    for (int i = 0; i < parts; i++) {
        check(received[i], (struct trial){trial.number + 1000 * i, trial.same}, &in[i], widths[i], i * 256);
        motley__buffer_destroy(send[i]);
        motley__buffer_destroy(received[i]);
        spans_destroy(&out[i]);
        spans_destroy(&in[i]);
    }
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
                one_trial(transfer, (struct trial){(int)w * 20 + trial, trial % 4 == 3}, parts, widths[w]);
            motley__transfer_destroy(transfer);
        }
}

/* Through staging memory, as on a device whose memory is not the host's: on all ranks, or on every second one, which
 * then cut what they send each other alike.  Rows in one stretch and in two. */
static void rows_are_staged_where_memory_is_not_shared(void **state)
{
    static const int widths[][MOTLEY__PARTS] = {{33, 1}, {16000, 16001}};
    const int zero_copy = context->device->zero_copy;

    (void)state;
    for (int some = 0; some < 2; some++)
        for (int w = 0; w < 2; w++) {
            struct motley__transfer *transfer;

            context->device->zero_copy = some && context->rank % 2 ? zero_copy : 0;
            assert_int_equal(motley__transfer_create(context, "test", 20, 2, row_bytes(widths[w]), &transfer, NULL), 0);
            for (int trial = 100; trial < (w ? 104 : 120); trial++)
                one_trial(transfer, (struct trial){trial + 20 * some, trial % 2}, 2, widths[w]);
            motley__transfer_destroy(transfer);
        }
    context->device->zero_copy = zero_copy;
}

/* Between nodes rows go in parts: several to a part, one, and rows larger than a part; staged, too. */
static void rows_between_nodes_go_in_parts(void **state)
{
    static const int widths[][MOTLEY__PARTS] = {{4000, 1}, {9000, 3}, {16000, 1}};
    int *const node_of = context->node_of, *apart = calloc((size_t)context->size, sizeof *apart);
    const int zero_copy = context->device->zero_copy;

    (void)state;
    for (int r = 0; r < context->size; r++)
        apart[r] = r;
    context->node_of = apart;
    far = 1;
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        struct motley__transfer *transfer;

        assert_int_equal(motley__transfer_create(context, "test", 50, 2, row_bytes(widths[w]), &transfer, NULL), 0);
        for (int trial = 0; trial < 4; trial++) {
            context->device->zero_copy = trial % 2 ? 0 : zero_copy;
            one_trial(transfer, (struct trial){200 + (int)w * 4 + trial, trial == 2}, 2, widths[w]);
        }
        motley__transfer_destroy(transfer);
    }
    context->device->zero_copy = zero_copy;
    far = 0;
    context->node_of = node_of;
    free(apart);
}

static int window_of(const motley_context *where)
{
    struct motley__window window;
    motley__window_open(where, &window);
    assert_int_equal(window.flying, 0);
    return window.most;
}

/* One flow from a node has no window; several have one that the slowest link carries in 10 ms. */
static void flows_of_a_node_share_a_window(void **state)
{
    static int node_of[4] = {0, 0, 1, 1};
    struct motley__known known = {0};
    motley_context nodes = {.size = 4, .node_size = 2, .node_of = node_of};

    (void)state;
    assert_in_range(window_of(&nodes), 1, MOTLEY__WINDOW_MOST - 1); /* links are not known */
    nodes.known = &known;
    assert_int_equal(motley__links_alloc(4, 2, 2, &known.links, NULL), 0);
    memcpy(known.links.node, node_of, sizeof node_of);
    known.links.kind[1] = 1;
    for (double bandwidth = 1e6; bandwidth < 1e12; bandwidth *= 3) {
        known.links.between[1] = known.links.between[2] = (struct motley__link){.bandwidth = bandwidth};
        const double held = window_of(&nodes) * 2.0 * MOTLEY__MESSAGE_BYTES;
        if (window_of(&nodes) < MOTLEY__WINDOW_MOST)
            assert_true(held <= 0.01 * bandwidth || held <= 4.0 * MOTLEY__MESSAGE_BYTES);
        else
            assert_true(0.01 * bandwidth >= MOTLEY__WINDOW_MOST * 2.0 * MOTLEY__MESSAGE_BYTES);
    }
    nodes.size = 2;
    nodes.node_size = 1;
    node_of[1] = 1;
    assert_int_equal(window_of(&nodes), MOTLEY__WINDOW_MOST);
    node_of[1] = 0;
    motley__links_clear(&known.links);
}

/* Memory of which only what is touched is there; NULL where the machine does not give so much even so. */
static void *reserve_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* The first number of row i of what `from` sends. */
static int beyond(int from, int to, int i)
{
    return from * 1000 + to * 10 + i;
}

/* Every rank sends every other one `rows` rows of `bytes` of which only the first number travels: rank r's, and those
 * from rank r, begin at row `first` + r * rows. */
static void rows_of_large_buffers(size_t bytes, int rows, int64_t first)
{
    const int R = context->size, me = context->rank;
    const size_t whole = (size_t)(first + R * rows) * bytes;
    char *memory[2] = {reserve_memory(whole), reserve_memory(whole)};
    struct motley__buffer send = {.device = context->device, .host = memory[0], .bytes = whole}, received = send;
    struct motley__spans out = spans_create(), in = spans_create();
    struct motley__transfer *transfer;
    MPI_Datatype number;
    int64_t sent, nodes;
    int given = memory[0] && memory[1];

    MPI_Allreduce(MPI_IN_PLACE, &given, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    received.host = memory[1];
    out.begin = in.begin = first;
    out.end = in.end = first + R * rows;
    for (int r = 0; r < R; r++) {
        out.rows[r] = in.rows[r] = r == me ? 0 : rows;
        out.first[r] = in.first[r] = first + r * rows;
        for (int i = 0; i < rows && given; i++)
            *(int *)(void *)(memory[0] + (size_t)(out.first[r] + i) * bytes) = beyond(me, r, i);
    }
    assert_int_equal(motley__transfer_create(context, "test", 60, 1, &bytes, &transfer, NULL), 0);
    MPI_Type_free(&transfer->row[0]);
    MPI_Type_create_resized(MPI_INT, 0, (MPI_Aint)bytes, &number);
    transfer->row[0] = number;
    MPI_Type_commit(&transfer->row[0]);
    if (given) {
        assert_int_equal(motley__transfer_begin(transfer, &(struct motley__part){&send, &out, &received, &in}, NULL),
                         0);
        finish(transfer, motley__transfer_test);
        motley__transfer_bytes(transfer, &sent, &nodes);
        assert_true(sent == (int64_t)bytes * rows * (R - 1));
        for (int r = 0; r < R; r++)
            for (int i = 0; i < in.rows[r]; i++)
                assert_int_equal(*(int *)(void *)(memory[1] + (size_t)(in.first[r] + i) * bytes), beyond(r, me, i));
    }
    motley__transfer_destroy(transfer);
    for (int i = 0; i < 2; i++)
        if (memory[i])
            munmap(memory[i], whole);
    spans_destroy(&out);
    spans_destroy(&in);
    if (!given)
        skip();
}

/* Places and bytes beyond 2^31, in memory that is only reserved. */
static void rows_lie_beyond_2_gib(void **state)
{
    (void)state;
    if (!context->device->zero_copy)
        skip();
    rows_of_large_buffers(4096, 700, INT64_C(1) << 20);      /* begin at 4 GiB */
    rows_of_large_buffers(4096, 700, (INT64_C(1) << 19) - 350); /* begin below 2 GiB, end above */
    rows_of_large_buffers((size_t)1 << 30, 3, 2);             /* 3 GiB for each rank */
}

/* Counts that no int holds are refused before anything is sent. */
static void more_than_an_int_counts_is_refused(void **state)
{
    const size_t row = (size_t)INT_MAX + 1;
    struct motley__stretches list = {0};
    struct motley__transfer *transfer = NULL;
    struct motley_error error = {0}, other = {0};

    (void)state;
    assert_int_equal(motley__transfer_create(context, "test", 60, 1, &row, &transfer, &error), MOTLEY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "2147483648 bytes"));
    assert_int_equal(motley__stretches_cut(&list, 0, 1, INT64_C(1) << 40, INT_MAX, INT_MAX - 1, NULL), 0);
    assert_int_equal(list.count, 2);
    assert_true(list.stretch[1].first == (INT64_C(1) << 40) + INT_MAX - 1);
    assert_int_equal(list.stretch[1].rows, 1);
    assert_int_equal(motley__stretches_cut(&list, 0, 2, 0, INT_MAX, 1, &other), MOTLEY_E_UNSUPPORTED);
    assert_non_null(strstr(other.text, "smaller batches"));
    assert_int_equal(list.count, 2);
    free(list.stretch);
}

/* Every second rank takes none. */
static void counts_arrive_by_source(void **state)
{
    enum { CHUNKS = 4 };
    const int R = context->size, me = context->rank;
    int *to = calloc((size_t)R, sizeof *to), *from = calloc((size_t)R, sizeof *from), sent = 0;
    struct motley__counts *counts;
    int64_t nodes;

    (void)state;
    for (int r = 0; r < R; r++) {
        to[r] = r % 2 == 0 && r != me;
        from[r] = me % 2 == 0 && r != me;
        sent += to[r];
    }
    assert_int_equal(motley__counts_create(context, to, from, CHUNKS, 30, &counts, NULL), 0);
    for (int trial = 0; trial < 10; trial++) {
        for (int r = 0; r < R; r++)
            for (int c = 0; c < CHUNKS; c++)
                counts->mine[r * CHUNKS + c] = (struct motley__count){me * 10000 + trial * 100 + r + c, trial - r};
        assert_int_equal(motley__counts_begin(counts, NULL), 0);
        finish(counts, motley__counts_test);
        for (int r = 0; r < R; r++) {
            const int comes = from[r];

            for (int c = 0; c < CHUNKS; c++) {
                assert_int_equal(counts->theirs[r * CHUNKS + c].rows, comes ? r * 10000 + trial * 100 + me + c : 0);
                assert_int_equal(counts->theirs[r * CHUNKS + c].pairs, comes ? trial - me : 0);
            }
        }
    }
    assert_int_equal(motley__counts_bytes(counts, &nodes), sent * CHUNKS * (int)sizeof(struct motley__count));
    assert_int_equal(nodes, 0);
    motley__counts_destroy(counts);
    free(to);
    free(from);
}

/* What is under way and never ends names its peer, and can be destroyed. */
static void the_missing_peer_is_named(void **state)
{
    const int widths[MOTLEY__PARTS] = {4}, R = context->size, next = (context->rank + 1) % R;
    struct motley__spans out = spans_create(), in = spans_create();
    int done;
    struct motley__buffer *received = NULL;
    struct motley__transfer *transfer;
    char text[64], expected[64];

    (void)state;
    if (R > 1) {
        assert_int_equal(motley__buffer_create(context->device, 16, &received, NULL), 0);
        assert_int_equal(motley__transfer_create(context, "test", 40, 1, row_bytes(widths), &transfer, NULL), 0);
        in.rows[next] = 1;
        in.end = 1;
        assert_int_equal(motley__transfer_begin(transfer, &(struct motley__part){NULL, &out, received, &in}, NULL), 0);
        assert_int_equal(motley__transfer_test(transfer, &done, NULL), 0);
        assert_int_equal(done, 0);
        motley__transfer_missing(transfer, text, sizeof text);
        snprintf(expected, sizeof expected, "rank %d", next);
        assert_string_equal(text, expected);
        motley__transfer_destroy(transfer);
        motley__buffer_destroy(received);
    }
    spans_destroy(&out);
    spans_destroy(&in);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    printf("seed %llu\n", (unsigned long long)SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_arrive_where_they_belong),
        cmocka_unit_test(rows_are_staged_where_memory_is_not_shared),
        cmocka_unit_test(rows_between_nodes_go_in_parts),
        cmocka_unit_test(flows_of_a_node_share_a_window),
        cmocka_unit_test(rows_lie_beyond_2_gib),
        cmocka_unit_test(more_than_an_int_counts_is_refused),
        cmocka_unit_test(counts_arrive_by_source),
        cmocka_unit_test(the_missing_peer_is_named),
    };

    int status = cmocka_run_group_tests(tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
