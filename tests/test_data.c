/* Training data: how a corpus is divided, what is drawn from it, and that rank 0's files reach every rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <mpi.h>
#include <unistd.h>

#include "routing.h"
#include "base/file.h"
#include "train/data.h"

static int rank;

static struct motley__corpus numbered(size_t size)
{
    struct motley__corpus corpus = {.bytes = host_array(size, 1), .size = size};
    for (size_t i = 0; i < size; i++)
        corpus.bytes[i] = (uint8_t)(motley__random_bits(1, 2, i) | 1);
    return corpus;
}

static void check_split(size_t size)
{
    struct motley__corpus corpus = numbered(size), copy = numbered(size);
    struct motley__data data;
    SUCCEED(motley__data_split(&corpus, &data, &error));
    const size_t block = size / 20 < 65536 ? size / 20 : 65536;
    assert_int_equal(data.train_bytes + data.held_out_bytes, size);
    assert_true(data.held_out_bytes > 0);
    size_t train = 0, held_out = 0;
    for (size_t i = 0; i < size; i++) { /* byte i lies in block i / block; a last part of one is trained on */
        const int apart = i / block % 20 == 19 && (i / block + 1) * block <= size;
        assert_int_equal(copy.bytes[i], apart ? data.held_out[held_out] : data.train[train]);
        train += !apart;
        held_out += apart;
    }
    assert_int_equal(train, data.train_bytes);
    motley__data_destroy(&data);
    free(copy.bytes);
}

static void every_twentieth_block_is_held_out(void **state)
{
    (void)state;
    check_split(20);
    check_split(1000);
    check_split(1019);
    check_split(20 * 65536);
    check_split(43 * 65536 + 5);
    struct motley__corpus small = numbered(19);
    struct motley__data data;
    assert_int_equal(motley__data_split(&small, &data, NULL), MOTLEY_E_INVALID);
}

static void draws_depend_on_their_place_alone(void **state)
{
    (void)state;
    enum { S = 16 };
    struct motley__corpus corpus = numbered(4000);
    struct motley__data data;
    uint8_t one[S + 1], two[S + 1];
    SUCCEED(motley__data_split(&corpus, &data, &error));
    int differ = 0;
    for (uint64_t step = 1; step < 50; step++)
        for (uint64_t i = 0; i < 4; i++) {
            motley__data_draw(&data, 7, step, i, S, one);
            motley__data_draw(&data, 7, step, i, S, two);
            assert_memory_equal(one, two, S + 1);
            assert_non_null(memmem(data.train, data.train_bytes, one, S + 1));
            motley__data_draw(&data, 7, step + 1, i, S, two);
            differ += memcmp(one, two, S + 1) != 0;
            motley__data_draw(&data, 8, step, i, S, two);
            differ += memcmp(one, two, S + 1) != 0;
            motley__data_draw(&data, 7, step, i + 1, S, two);
            differ += memcmp(one, two, S + 1) != 0;
        }
    assert_true(differ > 3 * 49 * 4 - 20);
    motley__data_destroy(&data);
}

static void windows_cover_held_out_text_without_overlap(void **state)
{
    (void)state;
    enum { S = 9 };
    struct motley__corpus corpus = numbered(4000); /* 200 bytes held out */
    struct motley__data data;
    uint8_t window[S + 1];
    SUCCEED(motley__data_split(&corpus, &data, &error));
    assert_int_equal(motley__data_windows(&data, S, 0), 22);
    assert_int_equal(motley__data_windows(&data, S, 100), 22);
    assert_int_equal(motley__data_windows(&data, S, 5), 5);
    for (int64_t i = 0; i < 22; i++) {
        motley__data_window(&data, S, 22, i, window);
        assert_memory_equal(window, data.held_out + i * S, S + 1);
    }
    for (int64_t i = 0; i < 5; i++) {
        motley__data_window(&data, S, 5, i, window);
        assert_memory_equal(window, data.held_out + i * 22 / 5 * S, S + 1);
    }
    motley__data_destroy(&data);
}

static void only_rank_0_needs_the_files(void **state)
{
    (void)state;
    char path[] = "/tmp/motley-data-XXXXXX";
    const char *paths[] = {rank == 0 ? path : "/nowhere"};
    struct motley__corpus corpus = numbered(3000);
    struct motley__data here, expected;
    if (rank == 0) {
        assert_true(close(mkstemp(path)) == 0);
        SUCCEED(motley__file_write(path, corpus.bytes, corpus.size, &error));
    }
    SUCCEED(motley__data_create(MPI_COMM_WORLD, 0, paths, 1, 0, 32, &here, &error));
    SUCCEED(motley__data_split(&corpus, &expected, &error));
    assert_int_equal(here.train_bytes, expected.train_bytes);
    assert_memory_equal(here.bytes, expected.bytes, 3000);
    assert_true(here.hash == expected.hash);
    assert_int_equal(here.files, 1);
    motley__data_destroy(&here);
    motley__data_destroy(&expected);

    struct motley_error error = {0}; /* 150 bytes are held out */
    assert_int_equal(motley__data_create(MPI_COMM_WORLD, 0, paths, 1, 0, 150, &here, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "3000 bytes"));
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        unlink(path);
}

static void what_rank_0_cannot_read_fails_everywhere(void **state)
{
    (void)state;
    const char *paths[] = {"/nowhere/at all"};
    struct motley__data data;
    struct motley_error error = {0};
    assert_int_equal(motley__data_create(MPI_COMM_WORLD, 0, paths, 1, 0, 32, &data, &error), MOTLEY_E_IO);
    assert_non_null(strstr(error.text, "/nowhere/at all"));
    assert_int_equal(error.rank, 0);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_twentieth_block_is_held_out), cmocka_unit_test(draws_depend_on_their_place_alone),
        cmocka_unit_test(windows_cover_held_out_text_without_overlap), cmocka_unit_test(only_rank_0_needs_the_files),
        cmocka_unit_test(what_rank_0_cannot_read_fails_everywhere),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return status;
}
