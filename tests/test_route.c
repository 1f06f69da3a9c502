/* The re-index: equal to the twin, number for number.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "routing.h"

#include "layer/ref.h"
#include "layer/route.h"

/* Sort on the device and by the twin, compare all.  slot NULL: an index is its own slot. */
static void check_route(struct motley__device *device, int N, int E, int slots, const int *indices, const int *slot)
{
    struct motley__buffer *indices_there = to_device(device, indices, (size_t)N * 4);
    struct motley__buffer *slot_there = slot ? to_device(device, slot, (size_t)E * 4) : NULL;
    struct motley__route route = {
        .N = N, .E = E, .slots = slots, .indices = indices_there, .slot = slot_there,
        .histogram = unwritten(device, motley__route_scratch_bytes(N, slots)),
        .order = unwritten(device, (size_t)N * 4), .where = unwritten(device, (size_t)N * 4),
        .offsets = unwritten(device, ((size_t)slots + 1) * 4),
    };
    SUCCEED(motley__route(device, &route, &error));
    int *order = take_back(route.order), *where = take_back(route.where), *offsets = take_back(route.offsets);
    int *order_here = ARRAY(int, N), *where_here = ARRAY(int, N), *offsets_here = ARRAY(int, slots + 1);
    motley__ref_route(N, E, slots, indices, slot, order_here, where_here, offsets_here);
    assert_memory_equal(offsets, offsets_here, ((size_t)slots + 1) * 4);
    assert_memory_equal(where, where_here, (size_t)N * 4);
    assert_memory_equal(order, order_here, (size_t)offsets_here[slots] * 4);
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
        {512, 2, 31}, {1025, 1, 31},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int N = sizes[i].T * sizes[i].K, E = sizes[i].E;
        if (!affordable((double)N * 16))
            continue;
        int *indices = ARRAY(int, N), *slot = random_permutation(seed, 2, E);
        for (int n = 0; n < N; n++)
            indices[n] = random_int(seed, 1, (size_t)n, E);
        check_route(device, N, E, E, indices, slot);
        check_route(device, N, E, E, indices, NULL);
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
    check_route(device, T * K, E, E, indices, slot);
    free(slot);
}

static void all_on_one_expert(void **state)
{
    on_both_maps(*state, all_on_one_expert_on);
}

static void no_tokens_on(struct motley__device *device)
{
    const int slot[] = {2, 0, 1};
    check_route(device, 0, 3, 3, slot, slot);
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
    check_route(device, T * K, E, E, indices, slot);
    for (int n = 0; n < T * K; n++)
        indices[n] = -1;
    check_route(device, T * K, E, E, indices, slot);
    free(slot);
}

static void dropped_choices(void **state)
{
    on_both_maps(*state, dropped_choices_on);
}

/* Fewer slots than indices: experts of one group share one, those of other ranks have none. */
static void shared_slots_on(struct motley__device *device)
{
    enum { N = 900, E = 23, SLOTS = 4 };
    const uint64_t seed = test_seed();
    int indices[N], slot[E];
    for (int n = 0; n < N; n++)
        indices[n] = random_int(seed, 1, (size_t)n, E + 2) - 1; /* also one too many */
    for (int e = 0; e < E; e++)
        slot[e] = random_int(seed, 2, (size_t)e, SLOTS) - 1;    /* the last slot stays empty */
    check_route(device, N, E, SLOTS, indices, slot);
    for (int e = 0; e < E; e++)
        slot[e] = -1;
    check_route(device, N, E, 1, indices, slot);
}

static void shared_slots(void **state)
{
    on_both_maps(*state, shared_slots_on);
}

/* The scratch stays small beside the tokens however many there are. */
static void scratch_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(motley__route_scratch_bytes(0, 128), 0);
    assert_int_equal(motley__route_scratch_bytes(1, 128), 128 * 4);
    assert_true(motley__route_scratch_bytes(1 << 23, 128) <= 256 * 128 * 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_twin),     cmocka_unit_test(all_on_one_expert), cmocka_unit_test(no_tokens),
        cmocka_unit_test(dropped_choices), cmocka_unit_test(shared_slots),      cmocka_unit_test(scratch_is_bounded),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
