/* The embedding on the device against its scalar twin, forward and backward.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "model.h"
#include "model/embedding.h"
#include "model/ref.h"

/* below: only so many tokens of the vocabulary occur. */
static void compare(struct motley__device *device, enum motley_dtype dtype, int T, int vocabulary, int below, int D,
                    uint64_t seed)
{
    const size_t rows = (size_t)T * (size_t)D, table = (size_t)vocabulary * (size_t)D;
    float *w = random_stored(dtype, seed, 1, table), *dx = random_stored(dtype, seed, 2, rows);
    double *wd = doubles_of(w, table), *dxd = doubles_of(dx, rows), *xd = ARRAY(double, rows),
        *dwd = ARRAY(double, table);
    int *token = ARRAY(int, T), *order = ARRAY(int, T), *offsets = ARRAY(int, vocabulary + 1);
    for (int t = 0; t < T; t++)
        token[t] = random_int(seed, 3, (size_t)t, below);
    motley__ref_embedding(T, D, token, wd, xd);
    motley__ref_embedding_backward(T, vocabulary, D, token, dxd, dwd);
    motley__embedding_sort(T, vocabulary, token, order, offsets);

    struct motley__buffer *bt = to_device(device, token, sizeof(int) * (size_t)T),
        *bw = to_device_as(device, dtype, w, table);
    struct motley__buffer *bo = to_device(device, order, sizeof(int) * (size_t)T),
        *bdx = to_device_as(device, dtype, dx, rows);
    struct motley__buffer *bf = to_device(device, offsets, sizeof(int) * ((size_t)vocabulary + 1));
    struct motley__buffer *bx = unwritten_as(device, dtype, rows), *bdw = unwritten(device, 4 * table);
    SUCCEED(motley__embedding_forward(device, dtype, T, D, bt, bw, bx, &error));
    SUCCEED(motley__embedding_backward(device, dtype, vocabulary, D, bo, bf, bdx, bdw, &error));
    float *x = take_back_as(dtype, bx), *dw = take_back(bdw);
    ASSERT_NEAR(x, xd, rows, 0);
    ASSERT_NEAR(dw, dwd, table, 1e-6);
    struct motley__buffer *buffers[] = {bf, bdx, bo, bw, bt};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        motley__buffer_destroy(buffers[i]);
    void *arrays[] = {w, dx, wd, dxd, xd, dwd, token, order, offsets, x, dw};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

static void sizes(struct motley__device *device, enum motley_dtype dtype)
{
    const uint64_t seed = test_seed();
    compare(device, dtype, 1, 1, 1, 1, seed);
    compare(device, dtype, 100, 7, 7, 7, seed);
    compare(device, dtype, 333, 256, 100, 48, seed);
    compare(device, dtype, 65, 256, 1, 33, seed); /* all tokens the same */
    compare(device, dtype, 0, 5, 1, 16, seed);    /* no tokens: all gradients are zero */
}

static void test_against_twin(void **state)
{
    on_both_maps_stored(*state, sizes);
}

static void test_sort_is_stable(void **state)
{
    (void)state;
    const int token[] = {2, 0, 2, 3, 0, 2}, expected[] = {1, 4, 0, 2, 5, 3}, ends[] = {0, 2, 2, 5, 6};
    int order[6], offsets[5];
    motley__embedding_sort(6, 4, token, order, offsets);
    assert_memory_equal(order, expected, sizeof order);
    assert_memory_equal(offsets, ends, sizeof offsets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sort_is_stable), cmocka_unit_test(test_against_twin)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
