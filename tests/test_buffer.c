/* Device memory and its account, on the zero-copy and on the staged path.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "device.h"
#include "device/queue.h"
#include "device/tensor.h"

static struct motley__device *device;
static struct motley_error error;

static int set_up(void **state)
{
    (void)state;
    memset(&error, 0, sizeof error);
    device->peak_bytes = device->used_bytes;
    return device->used_bytes != 0; /* the test before gave everything back */
}

static void fill(unsigned char *bytes, size_t count, uint64_t stream)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)motley__random_bits(1, stream, i);
}

static void bytes_come_back(void **state)
{
    (void)state;
    struct motley__buffer *a, *b;
    unsigned char in[1000], out[1000], later[1000];
    fill(in, sizeof in, 0);
    assert_int_equal(motley__buffer_create(device, sizeof in, &a, &error), 0);
    assert_int_equal(motley__buffer_create(device, sizeof in, &b, &error), 0);
    assert_int_equal(device->zero_copy, a->host != NULL);
    assert_int_equal(motley__buffer_write(a, 0, in, sizeof in, &error), 0);
    assert_int_equal(motley__buffer_copy(a, 100, b, 200, 800, &error), 0);
    assert_int_equal(motley__buffer_write_later(b, 0, in + 500, 200, &error), 0);
    assert_int_equal(motley__buffer_read_later(b, 0, later, sizeof later, &error), 0);
    assert_int_equal(motley__buffer_read(b, 0, out, sizeof out, &error), 0);
    assert_memory_equal(out, in + 500, 200);
    assert_memory_equal(out + 200, in + 100, 800);
    assert_memory_equal(later, out, sizeof out);
    assert_int_equal(motley__buffer_read(b, 300, out, 7, &error), 0);
    assert_memory_equal(out, in + 200, 7);
    motley__buffer_destroy(a);
    motley__buffer_destroy(b);
}

/* Also where only narrow patterns divide the range. */
static void zeros_and_nothing_else(void **state)
{
    (void)state;
    const size_t ranges[][2] = {{0, 1024}, {16, 64}, {4, 12}, {3, 5}, {1023, 1}, {8, 0}};
    struct motley__buffer *a;
    unsigned char in[1024], out[1024];
    fill(in, sizeof in, 1);
    assert_int_equal(motley__buffer_create(device, sizeof in, &a, &error), 0);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        size_t offset = ranges[i][0], bytes = ranges[i][1];
        unsigned char expected[1024];
        memcpy(expected, in, sizeof in);
        memset(expected + offset, 0, bytes);
        assert_int_equal(motley__buffer_write(a, 0, in, sizeof in, &error), 0);
        assert_int_equal(motley__buffer_zero(a, offset, bytes, &error), 0);
        assert_int_equal(motley__buffer_read(a, 0, out, sizeof out, &error), 0);
        assert_memory_equal(out, expected, sizeof out);
    }
    motley__buffer_destroy(a);
}

static void views_are_the_parents_bytes(void **state)
{
    (void)state;
    struct motley__buffer *a, *view;
    unsigned char in[300], out[300];
    size_t offset = motley__align(device, 1);
    assert_int_equal(offset, device->align_bytes);
    assert_int_equal(motley__align(device, 0), 0);
    assert_int_equal(motley__align(device, offset), offset);
    fill(in, sizeof in, 2);
    assert_int_equal(motley__buffer_create(device, offset + sizeof in, &a, &error), 0);
    uint64_t used = device->used_bytes;
    assert_int_equal(motley__buffer_view(a, offset, sizeof in, &view, &error), 0);
    assert_int_equal(device->used_bytes, used);
    assert_int_equal(motley__buffer_write(view, 0, in, sizeof in, &error), 0);
    assert_int_equal(motley__buffer_read(a, offset, out, sizeof out, &error), 0);
    assert_memory_equal(out, in, sizeof in);
    motley__buffer_destroy(view);
    assert_int_equal(motley__buffer_view(a, 0, 0, &view, &error), 0);
    motley__buffer_destroy(view);
    motley__buffer_destroy(a);
}

static void the_account_is_kept(void **state)
{
    (void)state;
    struct motley__buffer *a, *b, *none;
    uint64_t kept = device->memory_bytes;
    device->memory_bytes = 5000;
    assert_int_equal(motley__buffer_create(device, 3000, &a, &error), 0);
    assert_int_equal(motley__buffer_create(device, 0, &none, &error), 0);
    assert_null(none->mem);
    assert_int_equal(motley__buffer_create(device, 2001, &b, &error), MOTLEY_E_DEVICE_MEMORY);
    assert_non_null(strstr(error.text, "MiB are in use"));
    assert_int_equal(motley__buffer_create(device, 2000, &b, &error), 0);
    assert_int_equal(device->used_bytes, 5000);
    motley__buffer_destroy(b);
    motley__buffer_destroy(a);
    motley__buffer_destroy(none);
    motley__buffer_destroy(NULL);
    assert_int_equal(device->used_bytes, 0);
    assert_int_equal(device->peak_bytes, 5000);
    device->memory_bytes = kept;
}

static void one_buffer_has_its_limit(void **state)
{
    (void)state;
    struct motley__buffer *a;
    uint64_t kept = device->memory_bytes;
    device->memory_bytes = UINT64_MAX;
    assert_int_equal(motley__buffer_create(device, device->max_buffer_bytes + 1, &a, &error), MOTLEY_E_DEVICE_MEMORY);
    assert_non_null(strstr(error.text, "one buffer of this device holds at most"));
    device->memory_bytes = kept;
}

static void reserve_grows_by_a_quarter(void **state)
{
    (void)state;
    struct motley__buffer *a = NULL;
    uint64_t kept = device->memory_bytes;
    assert_int_equal(motley__buffer_reserve(device, &a, 1000, &error), 0);
    assert_int_equal(a->bytes, 1000);
    struct motley__buffer *same = a;
    assert_int_equal(motley__buffer_reserve(device, &a, 999, &error), 0);
    assert_ptr_equal(a, same);
    assert_int_equal(motley__buffer_reserve(device, &a, 2000, &error), 0);
    assert_int_equal(a->bytes, 2500);
    device->memory_bytes = 4000; /* where the quarter does not fit, exactly what was asked */
    assert_int_equal(motley__buffer_reserve(device, &a, 3999, &error), 0);
    assert_int_equal(a->bytes, 3999);
    assert_int_equal(motley__buffer_reserve(device, &a, 4001, &error), MOTLEY_E_DEVICE_MEMORY);
    assert_null(a);
    device->memory_bytes = kept;
}

static void tensors_are_buffers_of_floats(void **state)
{
    (void)state;
    motley_tensor *tensor;
    float in[6] = {1, 2, 3, 4, 5, 6}, out[6];
    assert_int_equal(motley__tensor_create(device, MOTLEY_F32, 2, 3, &tensor, &error), 0);
    assert_int_equal(motley_tensor_rows(tensor), 2);
    assert_int_equal(motley_tensor_width(tensor), 3);
    assert_int_equal(motley_tensor_write(tensor, in, &error), 0);
    assert_int_equal(motley_tensor_read(tensor, out, &error), 0);
    assert_memory_equal(out, in, sizeof in);
    motley_tensor_destroy(tensor);
    assert_int_equal(motley__tensor_create(device, MOTLEY_F32, 0, 3, &tensor, &error), 0);
    assert_int_equal(motley_tensor_write(tensor, in, &error), 0);
    motley_tensor_destroy(tensor);
    motley_tensor_destroy(NULL);
    assert_int_equal(motley__tensor_create(device, MOTLEY_F32, -1, 3, &tensor, &error), MOTLEY_E_INVALID);
    memset(&error, 0, sizeof error);
    assert_int_equal(motley__tensor_create(device, MOTLEY_F32, INT64_MAX, INT64_MAX, &tensor, &error),
                     MOTLEY_E_INVALID);
}

#define EACH(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
    if (motley__test_device(&device))
        return 1;
    const struct CMUnitTest tests[] = {
        EACH(bytes_come_back),      EACH(zeros_and_nothing_else),     EACH(views_are_the_parents_bytes),
        EACH(the_account_is_kept),  EACH(one_buffer_has_its_limit),   EACH(reserve_grows_by_a_quarter),
        EACH(tensors_are_buffers_of_floats),
    };
    int failed = cmocka_run_group_tests_name("own path", tests, NULL, NULL);
    if (device->zero_copy) {
        device->zero_copy = 0;
        failed += cmocka_run_group_tests_name("staged path", tests, NULL, NULL);
    }
    motley__device_close(device);
    return failed;
}
