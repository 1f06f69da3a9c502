/* The re-index: equal to the twin, number for number.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "routing.h"

#include "layer/ref.h"
#include "layer/route.h"

/* Sort on the device and by the twin, compare all. */
static void check_route(struct motley__device *device, int T, int K, int E, const int *indices, const int *slot)
{
    const int N = T * K;
    struct motley__buffer *indices_there = to_device(device, indices, (size_t)N * 4);
    struct motley__buffer *slot_there = to_device(device, slot, (size_t)E * 4);
    struct motley__route route = {
        .T = T, .K = K, .E = E, .indices = indices_there, .slot = slot_there,
        .histogram = unwritten(device, motley__route_scratch_bytes(T, K, E)),
        .order = unwritten(device, (size_t)N * 4), .where = unwritten(device, (size_t)N * 4),
        .offsets = unwritten(device, ((size_t)E + 1) * 4),
    };
    SUCCEED(motley__route(device, &route, &error));
    int *order = take_back(route.order), *where = take_back(route.where), *offsets = take_back(route.offsets);
    int *order_here = ARRAY(int, N), *where_here = ARRAY(int, N), *offsets_here = ARRAY(int, E + 1);
    motley__ref_route(N, E, indices, slot, order_here, where_here, offsets_here);
    assert_memory_equal(offsets, offsets_here, ((size_t)E + 1) * 4);
    assert_memory_equal(where, where_here, (size_t)N * 4);
    assert_memory_equal(order, order_here, (size_t)offsets_here[E] * 4);
    free(order);
    free(where);
    free(offsets);
    free(order_here);
    free(where_here);
    free(offsets_here);
    motley__buffer_destroy(route.histogram);
    motley__buffer_destroy(indices_there);
    motley__buffer_destroy(slot_there);
}

static void equals_twin_on(struct motley__device *device)
{
    static const struct { int T, K, E; } sizes[] = {
        {1, 1, 1}, {7, 2, 3}, {1000, 1, 512}, {333, 3, 17}, {40, 64, 64}, {256, 1, 2}, {129, 2, 1}, {17501, 4, 128},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int N = sizes[i].T * sizes[i].K, E = sizes[i].E;
        if (!affordable((double)N * 16))
            continue;
        int *indices = ARRAY(int, N), *slot = random_permutation(seed, 2, E);
        for (int n = 0; n < N; n++)
            indices[n] = random_int(seed, 1, (size_t)n, E);
        check_route(device, sizes[i].T, sizes[i].K, E, indices, slot);
        free(indices);
        free(slot);
    }
}

static void equals_twin(void **state)
{
    on_both_maps(*state, equals_twin_on);
}

static void all_on_one_expert_on(struct motley__device *device)
{
    enum { T = 700, K = 2, E = 9 };
    int indices[T * K], *slot = random_permutation(test_seed(), 1, E);
    for (int n = 0; n < T * K; n++)
        indices[n] = 4;
    check_route(device, T, K, E, indices, slot);
    free(slot);
}

static void all_on_one_expert(void **state)
{
    on_both_maps(*state, all_on_one_expert_on);
}

static void no_tokens_on(struct motley__device *device)
{
    const int slot[] = {2, 0, 1};
    check_route(device, 0, 2, 3, slot, slot);
}

static void no_tokens(void **state)
{
    on_both_maps(*state, no_tokens_on);
}

/* Choices that were dropped are in no slot, and `where` says so. */
static void dropped_choices_on(struct motley__device *device)
{
    enum { T = 500, K = 3, E = 11 };
    const uint64_t seed = test_seed();
    int indices[T * K], *slot = random_permutation(seed, 1, E);
    for (int n = 0; n < T * K; n++)
        indices[n] = random_int(seed, 2, (size_t)n, E + 1) - 1;
    check_route(device, T, K, E, indices, slot);
    for (int n = 0; n < T * K; n++)
        indices[n] = -1;
    check_route(device, T, K, E, indices, slot);
    free(slot);
}

static void dropped_choices(void **state)
{
    on_both_maps(*state, dropped_choices_on);
}

/* The scratch stays small beside the tokens however many there are. */
static void scratch_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(motley__route_scratch_bytes(0, 8, 128), 0);
    assert_int_equal(motley__route_scratch_bytes(1, 1, 128), 128 * 4);
    assert_true(motley__route_scratch_bytes(1 << 20, 8, 128) <= 256 * 128 * 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_twin),     cmocka_unit_test(all_on_one_expert), cmocka_unit_test(no_tokens),
        cmocka_unit_test(dropped_choices), cmocka_unit_test(scratch_is_bounded),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
