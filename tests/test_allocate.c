/* Allocation: as good as exhaustive search, within memory, the same every time.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "allocate/allocate.h"
#include "base/random.h"

enum { SEED = 1234, RANKS = 5, ITEMS = 9, MANY = 400 };

/* seconds[r][n], each row not falling. */
struct costs {
    double seconds[RANKS][ITEMS + 1];
};

static double table_seconds(const void *data, int rank, int items)
{
    const struct costs *costs = data;
    return costs->seconds[rank][items];
}

static double largest(const struct costs *costs, int R, const int *share)
{
    double most = 0;
    for (int r = 0; r < R; r++)
        most = fmax(most, costs->seconds[r][share[r]]);
    return most;
}

/* The best possible largest time for ranks r.. with n items left; infinite when they do not fit. */
static double search(const struct costs *costs, int r, int R, int n, const int *most)
{
    double best = INFINITY;
    if (r == R)
        return n == 0 ? 0 : INFINITY;
    for (int k = 0; k <= n && (!most || k <= most[r]); k++)
        best = fmin(best, fmax(costs->seconds[r][k], search(costs, r + 1, R, n - k, most)));
    return best;
}

static int draw(uint64_t stream, uint64_t index, int range)
{
    return (int)(motley__random_bits(SEED, stream, index) % (uint64_t)range);
}

/* Some linear, some in steps, some constant, some with a start that costs; small integers so that ties abound. */
static void draw_costs(uint64_t trial, int R, struct costs *costs)
{
    for (int r = 0; r < R; r++) {
        uint64_t at = trial * 1000 + (uint64_t)r * 100;
        double seconds = draw(1, at, 4) == 0 ? draw(2, at, 3) : 0;
        int kind = draw(3, at, 3);
        for (int n = 0; n <= ITEMS; n++) {
            costs->seconds[r][n] = seconds;
            seconds += kind == 0 ? 1 + draw(4, at, 4) : draw(5, at + 1 + (uint64_t)n, kind == 1 ? 4 : 2);
        }
    }
}

static void as_good_as_exhaustive_search(void **state)
{
    (void)state;
    int bounded = 0, infeasible = 0, nothing = 0;
    print_message("seed %d\n", SEED);
    for (uint64_t trial = 0; trial < 20000; trial++) {
        int R = 1 + draw(6, trial, RANKS), n = draw(7, trial, ITEMS + 1), most[RANKS], share[RANKS], sum = 0;
        const int *bound = draw(8, trial, 2) ? most : NULL;
        struct costs costs;
        draw_costs(trial, R, &costs);
        for (int r = 0; r < R; r++)
            most[r] = draw(9, trial * 10 + (uint64_t)r, ITEMS + 1) * (draw(10, trial * 10 + (uint64_t)r, 4) > 0);
        double best = search(&costs, 0, R, n, bound);
        int status = motley__allocate(n, R, table_seconds, &costs, bound, "items", share, NULL);
        if (isinf(best)) {
            assert_int_equal(status, MOTLEY_E_DEVICE_MEMORY);
            infeasible++;
            continue;
        }
        assert_int_equal(status, 0);
        for (int r = 0; r < R; r++) {
            assert_true(share[r] >= 0 && (!bound || share[r] <= most[r]));
            sum += share[r];
            nothing += share[r] == 0;
        }
        assert_int_equal(sum, n);
        assert_true(largest(&costs, R, share) == best);
        bounded += bound != NULL;
    }
    print_message("%d bounded, %d infeasible, %d ranks with nothing\n", bounded, infeasible, nothing);
    assert_true(bounded > 1000 && infeasible > 100 && nothing > 1000);
}

/* One item after the other, as slowly as can be. */
static void give_singly(const double (*seconds)[MANY + 1], int R, int n, const int *most, int *share)
{
    memset(share, 0, (size_t)R * sizeof *share);
    for (int item = 0; item < n; item++) {
        int best = -1;
        for (int r = 0; r < R; r++)
            if (share[r] < most[r] && (best < 0 || seconds[r][share[r] + 1] < seconds[best][share[best] + 1]))
                best = r;
        share[best]++;
    }
}

static double long_table(const void *data, int rank, int items)
{
    const double (*seconds)[MANY + 1] = data;
    return seconds[rank][items];
}

/* Giving most items at once ends where giving them singly ends, ties included. */
static void at_once_is_as_singly(void **state)
{
    (void)state;
    static double seconds[RANKS][MANY + 1];
    for (uint64_t trial = 0; trial < 3000; trial++) {
        int R = 1 + draw(20, trial, RANKS), n = draw(21, trial, MANY + 1), most[RANKS], share[RANKS], singly[RANKS];
        int64_t room = 0;
        for (int r = 0; r < R; r++) {
            const uint64_t at = trial * RANKS + (uint64_t)r;
            const int speed = 1 + draw(22, at, 5), steps = 1 + draw(23, at, 60), start = draw(24, at, 200);
            for (int i = 0; i <= MANY; i++)
                seconds[r][i] = i ? start + speed * ((i + steps - 1) / steps) * steps : 0;
            most[r] = draw(25, at, 2) ? MANY : draw(26, at, MANY + 1);
            room += most[r];
        }
        if (room < n)
            continue;
        give_singly((const double (*)[MANY + 1])seconds, R, n, most, singly);
        assert_int_equal(motley__allocate(n, R, long_table, seconds, most, "items", share, NULL), 0);
        assert_memory_equal(share, singly, (size_t)R * sizeof *share);
    }
}

static double proportional(const void *data, int rank, int items)
{
    return items * ((const double *)data)[rank];
}

/* The lower rank wins a tie, so equal ranks get what even shares would give them. */
static void ties_go_to_the_lower_rank(void **state)
{
    (void)state;
    static const double equal[4] = {1, 1, 1, 1};
    int share[4], even[4];
    for (int n = 0; n < 20; n++) {
        assert_int_equal(motley__allocate(n, 4, proportional, equal, NULL, "items", share, NULL), 0);
        motley__allocate_even(n, 4, even);
        assert_memory_equal(share, even, sizeof share);
    }
}

static void a_much_slower_rank_gets_nothing(void **state)
{
    (void)state;
    static const double seconds[3] = {1, 100, 1};
    int share[3];
    assert_int_equal(motley__allocate(16, 3, proportional, seconds, NULL, "experts", share, NULL), 0);
    assert_int_equal(share[0], 8);
    assert_int_equal(share[1], 0);
    assert_int_equal(share[2], 8);
}

static void many_ranks_are_no_burden(void **state)
{
    (void)state;
    enum { R = 4096, N = 100000 };
    double *seconds = malloc(R * sizeof *seconds);
    int *share = malloc(R * sizeof *share), sum = 0;
    double slowest = 0, next = INFINITY;
    assert_true(seconds && share);
    for (int r = 0; r < R; r++)
        seconds[r] = 1 + motley__random_uniform(SEED, 11, (uint64_t)r) * 9;
    assert_int_equal(motley__allocate(N, R, proportional, seconds, NULL, "experts", share, NULL), 0);
    for (int r = 0; r < R; r++) {
        sum += share[r];
        slowest = fmax(slowest, share[r] * seconds[r]);
        next = fmin(next, (share[r] + 1) * seconds[r]);
    }
    assert_int_equal(sum, N);
    assert_true(slowest <= next); /* nobody could have taken the last item and be done sooner */
    free(share);
    free(seconds);
}

static void too_little_memory_is_said_in_numbers(void **state)
{
    (void)state;
    static const double equal[3] = {1, 1, 1};
    static const int most[3] = {2, 0, 3};
    struct motley_error error = {0};
    int share[3];
    assert_int_equal(motley__allocate(8, 3, proportional, equal, most, "experts", share, &error),
                     MOTLEY_E_DEVICE_MEMORY);
    print_message("%s\n", error.text);
    assert_non_null(strstr(error.text, "8 experts"));
    assert_non_null(strstr(error.text, "memory for 5"));
    assert_non_null(strstr(error.text, "rank 0 holds 2, rank 1 holds 0, rank 2 holds 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_good_as_exhaustive_search),
        cmocka_unit_test(at_once_is_as_singly),
        cmocka_unit_test(ties_go_to_the_lower_rank),
        cmocka_unit_test(a_much_slower_rank_gets_nothing),
        cmocka_unit_test(many_ranks_are_no_burden),
        cmocka_unit_test(too_little_memory_is_said_in_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
