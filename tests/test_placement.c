/* Placements: what a partition is, and what is none.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "plan/placement.h"

enum { E = 3, F = 48 };

/* Rank r: experts of `list`, ended by -1, and a slice. */
static void put(struct motley__placement *p, int r, const int *list, int begin, int end)
{
    int count = 0;
    while (list[count] >= 0)
        count++;
    assert_int_equal(motley__holding_alloc(&p->rank[r], count, NULL), 0);
    memcpy(p->rank[r].expert, list, (size_t)count * sizeof *list);
    p->rank[r].begin = begin;
    p->rank[r].end = end;
}

static struct motley__placement make(int R)
{
    struct motley__placement p;
    assert_int_equal(motley__placement_alloc(R, E, F, &p, NULL), 0);
    return p;
}

static const int ALL[] = {0, 1, 2, -1}, FIRST[] = {0, -1}, LAST[] = {1, 2, -1}, NONE[] = {-1};

static void partitions(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct motley__placement experts = make(3), slices = make(2), both = make(4);
    put(&experts, 0, LAST, 0, F);
    put(&experts, 1, NONE, 0, 0);
    put(&experts, 2, FIRST, 0, F);
    assert_int_equal(motley__placement_partition(&experts, &error), 0);
    put(&slices, 0, ALL, 16, F);
    put(&slices, 1, ALL, 0, 16);
    assert_int_equal(motley__placement_partition(&slices, &error), 0);
    put(&both, 0, FIRST, 0, 32);
    put(&both, 1, LAST, 0, 16);
    put(&both, 2, LAST, 16, F);
    put(&both, 3, FIRST, 32, F);
    assert_int_equal(motley__placement_partition(&both, &error), 0);
    motley__placement_clear(&experts);
    motley__placement_clear(&slices);
    motley__placement_clear(&both);
}

static void refuse(struct motley__placement *p, const char *words)
{
    struct motley_error error = {0};
    assert_int_equal(motley__placement_partition(p, &error), MOTLEY_E_INVALID);
    if (!strstr(error.text, words))
        fail_msg("expected \"%s\" in: %s", words, error.text);
}

static void no_partitions(void **state)
{
    (void)state;
    static const int outside[] = {1, 3, -1}, fallen[] = {2, 1, -1};
    struct motley__placement p = make(2);
    refuse(&p, "hidden row 0 of expert 0 is on no rank");
    put(&p, 0, ALL, 0, F);
    put(&p, 1, LAST, 16, F);
    refuse(&p, "hidden row 16 of expert 1 is on two ranks");
    put(&p, 0, ALL, 0, 16);
    refuse(&p, "hidden row 16 of expert 0 is on no rank");
    put(&p, 1, ALL, 17, F);
    refuse(&p, "hidden row 16 of expert 0 is on no rank");
    put(&p, 1, ALL, 16, F + 1);
    refuse(&p, "rank 1 holds hidden rows 16 to 49");
    put(&p, 1, outside, 16, F);
    refuse(&p, "rank 1 holds expert 3");
    put(&p, 1, fallen, 16, F);
    refuse(&p, "rank 1 holds expert 1 after 2");
    motley__placement_clear(&p);
}

static void finding_and_overlap(void **state)
{
    (void)state;
    struct motley__placement p = make(2), everything, copy;
    int begin, end;
    put(&p, 0, LAST, 0, 16);
    put(&p, 1, ALL, 16, F);
    assert_int_equal(motley__holding_find(&p.rank[0], 0), -1);
    assert_int_equal(motley__holding_find(&p.rank[0], 1), 0);
    assert_int_equal(motley__holding_find(&p.rank[0], 2), 1);
    motley__holding_overlap(&p.rank[0], &p.rank[1], &begin, &end);
    assert_int_equal(begin, end);
    assert_int_equal(motley__placement_everything(2, E, F, &everything, NULL), 0);
    motley__holding_overlap(&p.rank[1], &everything.rank[0], &begin, &end);
    assert_int_equal(begin, 16);
    assert_int_equal(end, F);
    refuse(&everything, "on two ranks");
    assert_int_equal(motley__placement_copy(&p, &copy, NULL), 0);
    assert_true(motley__placement_equal(&p, &copy));
    assert_false(motley__placement_equal(&p, &everything));
    copy.rank[0].expert[0] = 0;
    assert_false(motley__placement_equal(&p, &copy));
    motley__placement_clear(&p);
    motley__placement_clear(&copy);
    motley__placement_clear(&everything);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions),
        cmocka_unit_test(no_partitions),
        cmocka_unit_test(finding_and_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
