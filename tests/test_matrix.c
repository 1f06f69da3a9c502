/* Panels: where each element lies, there and back, in one or several buffers.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "product.h"

static void element_lies_where_documented(void **state)
{
    (void)state;
    enum { O = 37, I = 5, PANEL = 16 };
    float canonical[O * I], packed[48 * I];
    for (int i = 0; i < O * I; i++)
        canonical[i] = (float)(i + 1);
    assert_int_equal(motley__matrix_numbers(O, I, PANEL), 48 * I);
    motley__matrix_pack(O, I, PANEL, canonical, packed);
    for (int o = 0; o < 48; o++)
        for (int i = 0; i < I; i++)
            assert_true(packed[((o / PANEL) * I + i) * PANEL + o % PANEL] == (o < O ? canonical[o * I + i] : 0));
}

static void unpack_is_the_inverse(void **state)
{
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {1, 1, 16}, {16, 7, 16}, {33, 9, 32}, {5, 300, 8}, {100, 3, 1}};
    const uint64_t seed = test_seed();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int O = sizes[s][0], I = sizes[s][1], panel = sizes[s][2];
        const size_t count = (size_t)O * I;
        float *canonical = random_floats(seed, s, count), *back = ARRAY(float, count);
        float *packed = ARRAY(float, motley__matrix_numbers(O, I, panel));
        motley__matrix_pack(O, I, panel, canonical, packed);
        motley__matrix_unpack(O, I, panel, packed, back);
        assert_memory_equal(back, canonical, count * sizeof(float));
        free(canonical);
        free(packed);
        free(back);
    }
}

static void begins_as_zero(void **state)
{
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(*state, MOTLEY_F32, 2, 17, 9, 8, NULL, &matrix, &error));
    float *w = matrix_back(matrix);
    for (int i = 0; i < 2 * 17 * 9; i++)
        assert_true(w[i] == 0);
    free(w);
    motley__matrix_destroy(matrix);
}

static void set_and_get_over_segments(void **state)
{
    enum { E = 5, O = 19, I = 11 };
    struct motley__device *device = *state;
    const uint64_t seed = test_seed(), limit = device->max_buffer_bytes;
    float *w = random_floats(seed, 0, E * O * I);
    device->max_buffer_bytes = 2 * motley__matrix_numbers(O, I, 16) * sizeof(float) + 4;
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, E, O, I, 16, NULL, &matrix, &error));
    assert_int_equal(matrix->segments, 3);
    assert_int_equal(matrix->per_segment, 2);
    for (int e = E - 1; e >= 0; e--)
        SUCCEED(motley__matrix_set(matrix, e, w + e * O * I, &error));
    float *back = matrix_back(matrix);
    assert_memory_equal(back, w, sizeof(float) * E * O * I);
    device->max_buffer_bytes = limit;
    motley__matrix_destroy(matrix);
    free(back);
    free(w);
}

static void expert_beyond_one_buffer_is_refused(void **state)
{
    struct motley__device *device = *state;
    const uint64_t limit = device->max_buffer_bytes, used = device->used_bytes;
    struct motley__matrix *matrix = NULL;
    struct motley_error error = {0};
    device->max_buffer_bytes = 100;
    assert_int_equal(motley__matrix_create(device, MOTLEY_F32, 1, 10, 10, 1, NULL, &matrix, &error),
                     MOTLEY_E_UNSUPPORTED);
    device->max_buffer_bytes = limit;
    assert_null(matrix);
    assert_non_null(strstr(error.text, "[10,10]"));
    assert_int_equal(device->used_bytes, used);
}

static void storage_is_borrowed(void **state)
{
    struct motley__device *device = *state;
    struct motley__buffer *storage = unwritten(device, 2 * motley__matrix_numbers(9, 4, 8) * sizeof(float));
    const uint64_t used = device->used_bytes;
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(device, MOTLEY_F32, 2, 9, 4, 8, storage, &matrix, &error));
    assert_ptr_equal(matrix->segment[0], storage);
    assert_int_equal(device->used_bytes, used);
    motley__matrix_destroy(matrix);
    float *zero = take_back(storage);
    for (size_t i = 0; i < 2 * motley__matrix_numbers(9, 4, 8); i++)
        assert_true(zero[i] == 0);
    free(zero);
}

static void no_experts(void **state)
{
    struct motley__matrix *matrix;
    SUCCEED(motley__matrix_create(*state, MOTLEY_F32, 0, 9, 4, 8, NULL, &matrix, &error));
    assert_int_equal(matrix->segments, 0);
    motley__matrix_destroy(matrix);
    motley__matrix_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(element_lies_where_documented), cmocka_unit_test(unpack_is_the_inverse),
        cmocka_unit_test(begins_as_zero),                cmocka_unit_test(set_and_get_over_segments),
        cmocka_unit_test(expert_beyond_one_buffer_is_refused), cmocka_unit_test(storage_is_borrowed),
        cmocka_unit_test(no_experts),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
