/* Safetensors: what is written is read back, every dtype and byte offset is understood, and no header is believed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "model/safetensors.h"

/* One folder for all files of this program. */
struct folder {
    char path[64];
    char file[96];
};

static int setup(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    if (!folder)
        return -1;
    strcpy(folder->path, "/tmp/motley-safetensors-XXXXXX");
    if (!mkdtemp(folder->path))
        return -1;
    snprintf(folder->file, sizeof folder->file, "%s/t.safetensors", folder->path);
    *state = folder;
    return 0;
}

static int teardown(void **state)
{
    struct folder *folder = *state;
    int status = motley__directory_remove(folder->path, NULL);
    free(folder);
    return status;
}

/* A file of the given header text and data, whatever they say. */
static void write_raw(const struct folder *folder, uint64_t length, const char *header, const void *data, size_t bytes)
{
    FILE *stream = fopen(folder->file, "wb");
    assert_non_null(stream);
    for (int i = 0; i < 8; i++)
        fputc((int)(length >> 8 * i & 255), stream);
    fwrite(header, 1, strlen(header), stream);
    fwrite(data, 1, bytes, stream);
    assert_int_equal(fclose(stream), 0);
}

static void write_header(const struct folder *folder, const char *header, const void *data, size_t bytes)
{
    write_raw(folder, strlen(header), header, data, bytes);
}

/* Opening must fail with this code, in one line that names the file and contains `word`. */
static void assert_refused(const struct folder *folder, int code, const char *word)
{
    struct motley__safetensors *file = NULL;
    struct motley_error error = {0};
    assert_int_equal(motley__safetensors_open(folder->file, &file, &error), code);
    assert_null(file);
    assert_non_null(strstr(error.text, folder->file));
    if (!strstr(error.text, word))
        fail_msg("expected \"%s\" in: %s", word, error.text);
}

static void test_round_trip(void **state)
{
    const struct folder *folder = *state;
    const float x[6] = {1, -2, 3.5f, 0, INFINITY, 1e-40f};
    const int32_t indices[4] = {0, -1, 7, INT32_MAX};
    const int64_t wide[2] = {INT64_MIN, 5};
    struct motley__tensor_info infos[4] = {
        {"x", MOTLEY__F32, 2, {2, 3}, 0, 0},
        {"indices", MOTLEY__I32, 1, {4}, 0, 0},
        {"wide", MOTLEY__I64, 1, {2}, 0, 0},
        {"empty", MOTLEY__F32, 2, {0, 5}, 0, 0},
    };
    struct motley__safetensors_writer *writer;
    struct motley_error error = {0};
    assert_int_equal(motley__safetensors_create(folder->file, infos, 4, &writer, &error), 0);
    assert_int_equal(motley__safetensors_write(writer, "wide", 0, 2, wide, &error), 0);
    assert_int_equal(motley__safetensors_write(writer, "x", 4, 2, x + 4, &error), 0); /* pieces in any order */
    assert_int_equal(motley__safetensors_write(writer, "x", 0, 4, x, &error), 0);
    assert_int_equal(motley__safetensors_write(writer, "indices", 0, 4, indices, &error), 0);
    assert_int_equal(motley__safetensors_commit(writer, &error), 0);

    struct motley__safetensors *file;
    assert_int_equal(motley__safetensors_open(folder->file, &file, &error), 0);
    assert_int_equal(motley__safetensors_count(file), 4);
    const int64_t shape[2] = {-1, 3};
    const struct motley__tensor_info *info;
    assert_int_equal(motley__safetensors_require(file, "x", 1, 2, shape, &info, &error), 0);
    assert_int_equal(info->shape[0], 2);
    assert_int_equal(motley__tensor_elements(info), 6);
    float y[6];
    assert_int_equal(motley__safetensors_read(file, info, 0, 6, y, &error), 0);
    assert_memory_equal(x, y, sizeof x);
    assert_int_equal(motley__safetensors_read(file, info, 5, 1, y, &error), 0);
    assert_memory_equal(x + 5, y, sizeof(float));
    int64_t integers[4];
    assert_int_equal(
        motley__safetensors_read_integers(file, motley__safetensors_find(file, "indices"), 0, 4, integers, &error), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(integers[i], indices[i]);
    assert_int_equal(
        motley__safetensors_read_integers(file, motley__safetensors_find(file, "wide"), 0, 2, integers, &error), 0);
    assert_memory_equal(integers, wide, sizeof wide);
    assert_int_equal(motley__tensor_elements(motley__safetensors_find(file, "empty")), 0);
    assert_null(motley__safetensors_find(file, "absent"));
    motley__safetensors_close(file);
}

static void test_half_types(void **state)
{
    const struct folder *folder = *state;
    const uint16_t data[10] = {0x3f80, 0xc049, 0x7f80, 0x3c00, 0xc000, 0x0001, 0x8400, 0x7bff, 0xfc00, 0x7e00};
    const float wanted[9] = {1, -3.140625f, INFINITY, 1, -2, 0x1p-24f, -0x1p-14f, 65504, -INFINITY};
    struct motley__safetensors *file;
    struct motley_error error = {0};
    float values[7];
    write_header(folder,
                 "{\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                 "\"h\":{\"dtype\":\"F16\",\"shape\":[7],\"data_offsets\":[6,20]}}",
                 data, sizeof data);
    assert_int_equal(motley__safetensors_open(folder->file, &file, &error), 0);
    assert_int_equal(motley__safetensors_read(file, motley__safetensors_find(file, "b"), 0, 3, values, &error), 0);
    assert_memory_equal(values, wanted, 3 * sizeof(float));
    assert_int_equal(motley__safetensors_read(file, motley__safetensors_find(file, "h"), 0, 7, values, &error), 0);
    assert_memory_equal(values, wanted + 3, 6 * sizeof(float));
    assert_true(isnan(values[6]));
    motley__safetensors_close(file);
}

/* More elements than one conversion piece holds, read from the middle. */
static void test_half_in_pieces(void **state)
{
    const struct folder *folder = *state;
    enum { COUNT = 40001 };
    uint16_t *data = malloc(COUNT * sizeof *data);
    float *values = malloc(COUNT * sizeof *values);
    struct motley__safetensors *file;
    struct motley_error error = {0};
    assert_non_null(data);
    assert_non_null(values);
    for (int i = 0; i < COUNT; i++)
        data[i] = (uint16_t)(0x3f80 + i % 100);
    write_header(folder, "{\"b\":{\"dtype\":\"BF16\",\"shape\":[40001],\"data_offsets\":[0,80002]}}", data,
                 COUNT * sizeof *data);
    assert_int_equal(motley__safetensors_open(folder->file, &file, &error), 0);
    assert_int_equal(motley__safetensors_read(file, motley__safetensors_at(file, 0), 1, COUNT - 1, values, &error), 0);
    for (int i = 1; i < COUNT; i++)
        assert_true(values[i - 1] == 1 + (i % 100) / 128.0f);
    motley__safetensors_close(file);
    free(values);
    free(data);
}

/* Header lengths and holes that put tensors at every offset from a multiple of 8. */
static void test_odd_offsets(void **state)
{
    const struct folder *folder = *state;
    const float x[2] = {1.25f, -8};
    const int64_t n = 123456789012345;
    for (int shift = 0; shift < 8; shift++) {
        char header[256], data[64] = "";
        snprintf(header, sizeof header,
                 "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%d,%d]},"
                 "\"n\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[%d,%d]}}%*s",
                 shift, shift + 8, shift + 8, shift + 16, shift, "");
        memcpy(data + shift, x, 8);
        memcpy(data + shift + 8, &n, 8);
        write_header(folder, header, data, (size_t)shift + 16);
        struct motley__safetensors *file;
        struct motley_error error = {0};
        float y[2];
        int64_t m;
        assert_int_equal(motley__safetensors_open(folder->file, &file, &error), 0);
        assert_int_equal(motley__safetensors_read(file, motley__safetensors_find(file, "x"), 0, 2, y, &error), 0);
        assert_int_equal(motley__safetensors_read_integers(file, motley__safetensors_find(file, "n"), 0, 1, &m, &error),
                         0);
        assert_memory_equal(x, y, 8);
        assert_int_equal(m, n);
        motley__safetensors_close(file);
    }
}

static void test_lying_headers(void **state)
{
    const struct folder *folder = *state;
    static const struct {
        const char *header, *word;
    } lies[] = {
        {"", "not JSON"},
        {"{\"x\":", "not JSON"},
        {"[]", "not a JSON object"},
        {"3", "not JSON"},
        {"{} {}", "not JSON"},
        {"{\"x\":3}", "dtype"},
        {"{\"x\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", "dtype"},
        {"{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", "shape"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", "shape"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "shape[0]"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", "shape[0]"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", "dimensions"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", "data_offsets"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8]}}", "data_offsets"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,16]}}", "data_offsets"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "tensor x"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", "tensor x"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}}", "truncated"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}", "truncated"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,99999999999999999999]}}", "not JSON"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "3 elements of 4 bytes"},
        {"{\"x\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,8]}}", "3 elements of 1 bytes"},
        /* products that wrap to the right size in 64 bits */
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", "2^63"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4611686018427387906],\"data_offsets\":[0,8]}}", "the header lies"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"y\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         "tensors x and y overlap"},
        {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
         "not JSON (duplicate"},
    };
    const char data[16] = "";
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        write_header(folder, lies[i].header, data, sizeof data);
        assert_refused(folder, MOTLEY_E_FORMAT, lies[i].word);
    }
}

static void test_lying_lengths(void **state)
{
    const struct folder *folder = *state;
    const char *header = "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    static const uint64_t lengths[] = {UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63, 100000001, 1000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        write_raw(folder, lengths[i], header, "1234", 4);
        assert_refused(folder, MOTLEY_E_FORMAT, "truncated");
    }
    write_raw(folder, 0, header, "1234", 4);
    assert_refused(folder, MOTLEY_E_FORMAT, "not JSON");
    write_raw(folder, strlen(header) + 4, header, "1234", 4);
    assert_refused(folder, MOTLEY_E_FORMAT, "not JSON");

    /* A header beyond the format's limit in a file that is long enough (sparse). */
    write_raw(folder, 100000001, header, "", 0);
    assert_int_equal(truncate(folder->file, 200000000), 0);
    assert_refused(folder, MOTLEY_E_FORMAT, "the format allows");
}

/* Cut anywhere, a file is refused at open. */
static void test_every_truncation(void **state)
{
    const struct folder *folder = *state;
    const char *header = "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    size_t whole = 8 + strlen(header) + 4;
    for (size_t length = 0; length < whole; length++) {
        write_header(folder, header, "1234", 4);
        assert_int_equal(truncate(folder->file, (off_t)length), 0);
        assert_refused(folder, MOTLEY_E_FORMAT, "truncated");
    }
}

/* A file cut after open is an error of the read, not a crash. */
static void test_cut_while_open(void **state)
{
    const struct folder *folder = *state;
    struct motley__safetensors *file;
    struct motley_error error = {0};
    float x[2];
    const char *header = "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    write_header(folder, header, "12345678", 8);
    assert_int_equal(motley__safetensors_open(folder->file, &file, &error), 0);
    assert_int_equal(truncate(folder->file, (off_t)(8 + strlen(header) + 7)), 0);
    assert_int_equal(motley__safetensors_read(file, motley__safetensors_at(file, 0), 0, 2, x, &error), MOTLEY_E_IO);
    motley__safetensors_close(file);
}

/* Random damage to a good header: opened or refused, never a crash, and whatever opens lies inside the file. */
static void test_random_damage(void **state)
{
    const struct folder *folder = *state;
    const char *good =
        "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
        "\"b\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[16,32]}}";
    const char data[32] = "", letters[] = "0123456789-{}[],:\"\\eE.\x80\x01 ";
    const uint64_t seed = 20240607;
    int opened = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 3000; round++) {
        char header[256];
        strcpy(header, good);
        uint64_t changes = 1 + motley__random_bits(seed, round, 0) % 4;
        for (uint64_t c = 1; c <= changes; c++)
            header[motley__random_bits(seed, round, 2 * c) % strlen(good)] =
                letters[motley__random_bits(seed, round, 2 * c + 1) % (sizeof letters - 1)];
        write_header(folder, header, data, sizeof data);
        struct motley__safetensors *file;
        struct motley_error error = {0};
        int status = motley__safetensors_open(folder->file, &file, &error);
        if (status) {
            assert_int_equal(status, MOTLEY_E_FORMAT);
            continue;
        }
        opened++;
        for (int i = 0; i < motley__safetensors_count(file); i++)
            assert_true(motley__safetensors_at(file, i)->begin + motley__safetensors_at(file, i)->bytes <= sizeof data);
        motley__safetensors_close(file);
    }
    assert_true(opened > 0);
}

static void test_require_says_what_is_wrong(void **state)
{
    const struct folder *folder = *state;
    struct motley__safetensors *file;
    const struct motley__tensor_info *info;
    const int64_t shape[2] = {-1, 3};
    struct motley_error error = {0};
    write_header(folder,
                 "{\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]},"
                 "\"i\":{\"dtype\":\"I32\",\"shape\":[0,3],\"data_offsets\":[16,16]}}",
                 "0123456789abcdef", 16);
    assert_int_equal(motley__safetensors_open(folder->file, &file, &error), 0);
    assert_int_equal(motley__safetensors_require(file, "w", 1, 2, shape, &info, &error), MOTLEY_E_FORMAT);
    assert_non_null(strstr(error.text, "t.safetensors: tensor w is missing"));
    error = (struct motley_error){0};
    assert_int_equal(motley__safetensors_require(file, "x", 1, 1, shape, &info, &error), MOTLEY_E_FORMAT);
    assert_non_null(strstr(error.text, "tensor x: expected F32, BF16 or F16 of shape [any], found F64 of shape [2]"));
    error = (struct motley_error){0};
    assert_int_equal(motley__safetensors_require(file, "i", 1, 2, shape, &info, &error), MOTLEY_E_FORMAT);
    error = (struct motley_error){0};
    assert_int_equal(motley__safetensors_require(file, "i", 0, 2, shape, &info, &error), 0);
    motley__safetensors_close(file);
}

static void test_unreadable(void **state)
{
    struct folder folder = *(const struct folder *)*state;
    snprintf(folder.file, sizeof folder.file, "%s/absent", folder.path);
    assert_refused(&folder, MOTLEY_E_IO, "No such file");
    snprintf(folder.file, sizeof folder.file, "%s", folder.path);
    assert_refused(&folder, MOTLEY_E_IO, "a directory");
    snprintf(folder.file, sizeof folder.file, "%s/pipe", folder.path);
    assert_int_equal(mkfifo(folder.file, 0600), 0);
    assert_refused(&folder, MOTLEY_E_IO, "not a plain file");
}

static int files_in(const char *path)
{
    char command[128];
    int count = -1;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", path);
    FILE *stream = popen(command, "r");
    assert_non_null(stream);
    assert_int_equal(fscanf(stream, "%d", &count), 1);
    pclose(stream);
    return count;
}

/* An output that was not finished leaves nothing, neither under its name nor under another. */
static void test_unfinished_output(void **state)
{
    const struct folder *folder = *state;
    struct motley__tensor_info infos[1] = {{"x", MOTLEY__F32, 1, {4}, 0, 0}};
    struct motley__safetensors_writer *writer;
    struct motley_error error = {0};
    const float x[4] = {1, 2, 3, 4};
    char path[96];
    snprintf(path, sizeof path, "%s/out.safetensors", folder->path);
    int before = files_in(folder->path);
    assert_int_equal(motley__safetensors_create(path, infos, 1, &writer, &error), 0);
    assert_int_equal(motley__safetensors_write(writer, "x", 0, 3, x, &error), 0);
    assert_int_equal(motley__safetensors_commit(writer, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "tensor x has 16 bytes, 12 were written"));
    assert_int_equal(files_in(folder->path), before);
    error = (struct motley_error){0};
    assert_int_equal(motley__safetensors_create(path, infos, 1, &writer, &error), 0);
    motley__safetensors_discard(writer);
    motley__safetensors_discard(NULL);
    assert_int_equal(files_in(folder->path), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_offsets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lying_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lying_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_truncation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_while_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_require_says_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unfinished_output, setup, teardown),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
