/* What a step takes in chunks: against steps reckoned by hand.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cost/pipeline.h"

static void expect(double wanted, int chunks, struct motley__pipeline pipeline)
{
    const double found = motley__pipeline_seconds(&pipeline, chunks);

    if (fabs(found - wanted) > 1e-12 * fabs(wanted))
        fail_msg("%.17g seconds in %d chunks, expected %.17g", found, chunks, wanted);
}

static void one_chunk_is_one_after_the_other(void **state)
{
    (void)state;
    expect(2 + 5 + 3, 1, (struct motley__pipeline){.out = 2, .back = 3, .chunk = 5});
    expect(2 + 5 + 3, 1, (struct motley__pipeline){.out = 2, .back = 3, .chunk = 5, .chunk_after = 1}); /* hidden */
    expect(2 + 5 + 4, 1, (struct motley__pipeline){.out = 2, .back = 3, .chunk = 5, .chunk_after = 4});
    expect(0, 8, (struct motley__pipeline){0});
}

static void own_pairs_hide_both_ends(void **state)
{
    (void)state;
    /* Out 4 in 4 chunks, each a second; own 1 + 1: experts never wait, and the last chunk is back in time. */
    expect(1 + 4 * 1 + 1, 4, (struct motley__pipeline){.out = 4, .back = 2, .own = 1, .chunk = 1});
    /* Without own pairs they wait for the first, and the last comes back alone. */
    expect(0.5 + 2 * 3 + 0.25, 2, (struct motley__pipeline){.out = 1, .back = 0.5, .chunk = 3});
    expect(0.5 + 2 * (3 + 1 + 2), 2,
           (struct motley__pipeline){.out = 1, .back = 0.5, .chunk = 3, .chunk_after = 2, .each = 1});
}

static void the_link_may_be_all(void **state)
{
    (void)state;
    /* 8 seconds out and 8 back on one link, whatever the experts do meanwhile. */
    expect(8 + 8, 2, (struct motley__pipeline){.out = 8, .back = 8, .own = 0.25, .chunk = 0.25});
}

/* The fastest or one chunk, then the others, ascending; all or one. */
static void check_list(const struct motley__chunked *list, int count)
{
    int all = 0;

    assert_true(count == 1 || count == MOTLEY__CHUNKINGS);
    for (int i = 0; i < count; i++) {
        all |= list[i].chunks;
        assert_true(i < 2 || list[i].chunks > list[i - 1].chunks);
        assert_true(list[0].chunks == 1 || list[i].forward + list[i].backward <= list[0].forward + list[0].backward);
    }
    assert_int_equal(all, count == 1 ? 1 : 1 + 2 + 4 + 8);
}

/* Two ranks of which nothing is known but these phases. */
static int choose(double way, double experts, int backward)
{
    static const struct motley__profile_entry entry;
    const struct motley__profile_entry *const entries[2] = {&entry, &entry};
    const struct motley__task task = {.shape = {.D = 8, .F = 8, .E = 4, .K = 2}, .R = 2, .entry = entries,
                                      .options = {.tokens = 64, .backward = backward}};
    int64_t tokens[2] = {32, 32};
    const struct motley__division division = {.R = 2, .tokens = tokens};
    const struct motley__phases phases = {.dispatch = way, .experts = experts, .combine = way, .out = way,
                                          .back = way};
    const struct motley__rank_cost cost[2] = {{.forward = phases, .backward = phases},
                                              {.forward = phases, .backward = phases}};

    struct motley__chunked list[MOTLEY__CHUNKINGS];

    check_list(list, motley__pipeline_list(&task, &division, cost, list));
    return list[0].chunks;
}

static void chunks_are_for_what_can_be_hidden(void **state)
{
    (void)state;
    for (int backward = 0; backward < 2; backward++) {
        assert_true(choose(0.05, 0.1, backward) > 1);       /* as long on the way as computed */
        assert_int_equal(choose(0.0005, 0.1, backward), 1); /* next to nothing on the way */
        assert_int_equal(choose(0.1, 0.0005, backward), 1); /* nothing to hide it under */
        assert_int_equal(choose(0, 0, backward), 1);        /* nothing known */
        assert_int_equal(choose(20e-6, 40e-6, backward), 1); /* too short for any turn */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_chunk_is_one_after_the_other),
        cmocka_unit_test(own_pairs_hide_both_ends),
        cmocka_unit_test(the_link_may_be_all),
        cmocka_unit_test(chunks_are_for_what_can_be_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
