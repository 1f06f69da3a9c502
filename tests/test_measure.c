/* Measuring and planning with real devices: what is measured is kept and shared, lies are found, failures are agreed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <unistd.h>

#include "profile_context.h"

#include "base/file.h"
#include "cost/cost.h"
#include "measure/measure.h"
#include "plan/plan.h"
#include "profile/record.h"

static const struct motley_layer_shape SHAPE = {.D = 48, .F = 80, .E = 7, .K = 2, .activation = MOTLEY_GELU, .bias = 1};
static const struct motley_plan_options OPTIONS = {
    .tokens = 35, .backward = 1, .mode = MOTLEY_MODE_EXPERT}; /* 10 rows: points 1, 4 and 16 */

/* Every rank has the same text. */
static void assert_same_everywhere(const motley_plan *plan)
{
    char *text;
    assert_int_equal(motley_plan_text(plan, &text, NULL), 0);
    int length = (int)strlen(text), longest = length;
    MPI_Bcast(&longest, 1, MPI_INT, 0, context->comm);
    char *first = calloc((size_t)longest + 1, 1);
    assert_non_null(first);
    if (context->rank == 0)
        memcpy(first, text, (size_t)length);
    MPI_Bcast(first, longest, MPI_CHAR, 0, context->comm);
    assert_string_equal(text, first);
    free(first);
    free(text);
}

static void grid_surrounds_the_planned_rows(void **state)
{
    (void)state;
    static const struct {
        double rows;
        int count, grid[MOTLEY__GRID];
    } cases[] = {
        {0, 2, {1, 4}}, {1, 2, {1, 4}}, {2, 2, {1, 4}}, {4, 2, {1, 4}}, {4.1, 3, {1, 4, 16}}, {16, 3, {1, 4, 16}},
        {100, 3, {16, 64, 256}}, {256, 3, {16, 64, 256}}, {257, 3, {64, 256, 1024}}, {1e6, 3, {64, 256, 1024}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int grid[MOTLEY__GRID];
        assert_int_equal(motley__measure_grid(cases[i].rows, grid), cases[i].count);
        for (int p = 0; p < cases[i].count; p++)
            assert_int_equal(grid[p], cases[i].grid[p]);
    }
}

static void even_shares_measure_nothing(void **state)
{
    (void)state;
    const struct motley_plan_options even = {.tokens = 35, .backward = 1, .shares = MOTLEY_SHARES_EVEN};
    motley_plan *plan;
    assert_int_equal(motley_plan_create(context, &SHAPE, &even, &plan, NULL), 0);
    assert_same_everywhere(plan);
    for (int r = 0; r < context->size; r++) {
        assert_int_equal(motley_plan_rank(plan, r).experts, 7 / context->size + (r < 7 % context->size));
        assert_true(motley_plan_rank(plan, r).seconds == 0);
    }
    assert_int_not_equal(access(path, F_OK), 0);
    motley_plan_destroy(plan);
}

static void a_plan_is_measured_and_kept(void **state)
{
    (void)state;
    motley_plan *plan;
    int experts = 0;
    assert_int_equal(motley_plan_create(context, &SHAPE, &OPTIONS, &plan, NULL), 0);
    assert_same_everywhere(plan);
    for (int r = 0; r < context->size; r++) {
        struct motley_plan_rank rank = motley_plan_rank(plan, r);
        experts += rank.experts;
        assert_true(rank.gflops > 0 && (rank.share == 0) == (rank.seconds == 0));
        assert_true(plan->rank[r].dense_gflops > 0);
    }
    assert_int_equal(experts, 7);
    if (context->rank == 0)
        motley_plan_print(plan, stderr);
    motley_plan_destroy(plan);

    struct motley__profile profile = {0};
    struct motley__profile_entry *entry;
    assert_int_equal(motley__record_load(context, MOTLEY_F32, &profile, &entry, NULL), 0);
    assert_int_equal(profile.entries, context->size); /* all of this test's ranks are on one node */
    for (int backward = 0; backward < 2; backward++) {
        const struct motley__curve *curve = motley__curve_find(entry, &SHAPE, backward);
        assert_non_null(curve);
        assert_int_equal(curve->points, 3);
        for (int p = 0; p < 3; p++) {
            assert_int_equal(curve->point[p].rows, 1 << 2 * p);
            assert_true(curve->point[p].seconds > 0 && curve->point[p].samples > 0);
        }
    }
    motley__profile_clear(&profile);
}

/* What one expert takes now, times a factor, is put in the profile's place; a factor of 1 is as good as the machine
 * is quiet, so only the others are certain. */
static double measure_after(double factor, int *changed)
{
    const struct motley__measure what = {.rows = 10, .backward = 1};
    struct motley__profile profile = {0};
    struct motley__profile_entry *entry;
    assert_int_equal(motley__record_load(context, MOTLEY_F32, &profile, &entry, NULL), 0);
    for (int c = 0; c < entry->curves; c++)
        for (int p = 0; p < entry->curve[c].points; p++)
            entry->curve[c].point[p].seconds *= factor;
    assert_int_equal(motley__measure(context, &SHAPE, &what, entry, changed, NULL), 0);
    double seconds = motley__cost_expert(entry, &SHAPE, 10, 1);
    motley__profile_clear(&profile);
    return seconds;
}

static void a_curve_that_is_off_is_measured_anew(void **state)
{
    (void)state;
    int changed;
    struct motley__profile profile = {0};
    struct motley__profile_entry *entry;
    assert_int_equal(motley__record_load(context, MOTLEY_F32, &profile, &entry, NULL), 0);
    const double stored = motley__cost_expert(entry, &SHAPE, 10, 1);
    motley__profile_clear(&profile);
    double seconds = measure_after(1000, &changed);
    assert_int_equal(changed, 1);
    assert_true(seconds < 100 * stored);
    seconds = measure_after(0.001, &changed);
    assert_int_equal(changed, 1);
    assert_true(seconds > 0.01 * stored);
}

static void a_missing_direction_is_added(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = {.D = 16, .F = 24, .E = 4, .K = 1, .activation = MOTLEY_SWIGLU};
    struct motley__measure what = {.rows = 3, .backward = 0, .anew = 1};
    struct motley__profile profile = {0};
    struct motley__profile_entry *entry;
    int changed;
    assert_int_equal(motley__record_load(context, MOTLEY_F32, &profile, &entry, NULL), 0);
    assert_int_equal(motley__measure(context, &shape, &what, entry, &changed, NULL), 0);
    assert_non_null(motley__curve_find(entry, &shape, 0));
    assert_null(motley__curve_find(entry, &shape, 1));
    what = (struct motley__measure){.rows = 3, .backward = 1};
    assert_int_equal(motley__measure(context, &shape, &what, entry, &changed, NULL), 0);
    assert_int_equal(changed, 1);
    assert_non_null(motley__curve_find(entry, &shape, 0));
    assert_non_null(motley__curve_find(entry, &shape, 1));
    motley__profile_clear(&profile);
}

/* A device whose memory is not the host's; here the host's serves as such.  Once known they are kept. */
static void copies_are_measured_where_there_are_some(void **state)
{
    (void)state;
    const int zero_copy = context->device->zero_copy;
    const struct motley__measure what = {.rows = 3};
    struct motley__profile profile = {0};
    struct motley__profile_entry *entry;
    int changed;
    assert_int_equal(motley__record_load(context, MOTLEY_F32, &profile, &entry, NULL), 0);
    assert_int_equal(motley__measure(context, &SHAPE, &what, entry, &changed, NULL), 0);
    assert_true((entry->copy.out > 0) == !zero_copy);
    context->device->zero_copy = context->rank == 0 ? 0 : zero_copy;
    assert_int_equal(motley__measure(context, &SHAPE, &what, entry, &changed, NULL), 0);
    assert_true(context->rank > 0 || (entry->copy.out > 1e6 && entry->copy.in > 1e6));
    const struct motley__copy copy = entry->copy;
    assert_int_equal(motley__measure(context, &SHAPE, &what, entry, &changed, NULL), 0);
    assert_true(entry->copy.out == copy.out && entry->copy.in == copy.in);
    if (context->rank == 0)
        print_message("copies: %.2f GB/s out, %.2f GB/s in\n", 1e-9 * copy.out, 1e-9 * copy.in);
    context->device->zero_copy = zero_copy;
    motley__profile_clear(&profile);
}

static void ranks_that_disagree_are_told(void **state)
{
    (void)state;
    struct motley_layer_shape shape = SHAPE;
    struct motley_error error = {0};
    motley_plan *plan = NULL;
    if (context->size == 1)
        skip();
    shape.D += context->rank;
    assert_int_equal(motley_plan_create(context, &shape, &OPTIONS, &plan, &error), MOTLEY_E_MISMATCH);
    assert_non_null(strstr(error.text, "D is 48"));
    assert_null(plan);

    struct motley_plan_options options = OPTIONS;
    int64_t tokens[4] = {0};
    tokens[context->rank] = options.tokens;
    options.tokens_of = context->rank ? tokens : NULL;
    error = (struct motley_error){0};
    assert_int_equal(motley_plan_create(context, &SHAPE, &options, &plan, &error), MOTLEY_E_MISMATCH);
    assert_non_null(strstr(error.text, "whether each rank's tokens are given"));
    options.tokens_of = tokens;
    error = (struct motley_error){0};
    assert_int_equal(motley_plan_create(context, &SHAPE, &options, &plan, &error), MOTLEY_E_MISMATCH);
    assert_non_null(strstr(error.text, "tokens of rank 0 is 0 on one rank"));
    assert_null(plan);
}

static void fewer_experts_than_ranks(void **state)
{
    (void)state;
    struct motley_layer_shape shape = SHAPE;
    struct motley_plan_options options = OPTIONS;
    motley_plan *plan = NULL;
    int experts = 0;
    options.mode = MOTLEY_MODE_EXPERT;
    if (context->size == 1)
        skip();
    shape.E = context->size - 1;
    shape.K = 1;
    assert_int_equal(motley_plan_create(context, &shape, &options, &plan, NULL), 0);
    assert_same_everywhere(plan);
    for (int r = 0; r < context->size; r++)
        experts += motley_plan_rank(plan, r).experts;
    assert_int_equal(experts, shape.E);
    motley_plan_destroy(plan);
}

/* A rank whose device is too small gets no expert; when all are, everybody hears it. */
static void small_devices_get_nothing(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = {.D = 512, .F = 1024, .E = 8, .K = 1, .activation = MOTLEY_SWIGLU};
    const struct motley_plan_options options = {.tokens = 16, .mode = MOTLEY_MODE_EXPERT};
    struct motley_error error = {0};
    motley_plan *plan = NULL;
    const uint64_t before = context->device->memory_bytes, before_info = context->info[context->rank].memory_bytes;
    const int small = context->rank == context->size - 1;
    if (small)
        context->device->memory_bytes = context->info[context->rank].memory_bytes =
            context->device->used_bytes + 5000000; /* an expert needs 6291456 */
    int status = motley_plan_create(context, &shape, &options, &plan, &error);
    context->device->memory_bytes = before;
    context->info[context->rank].memory_bytes = before_info;
    if (context->size == 1) {
        assert_int_equal(status, MOTLEY_E_DEVICE_MEMORY);
        assert_non_null(strstr(error.text, "8 experts are to be placed but the devices have memory for 0"));
        return;
    }
    assert_int_equal(status, 0);
    assert_same_everywhere(plan);
    assert_int_equal(motley_plan_rank(plan, context->size - 1).experts, 0);
    motley_plan_destroy(plan);
}

static void a_ruined_profile_is_replaced(void **state)
{
    (void)state;
    motley_plan *plan;
    struct motley__profile profile = {0};
    struct motley__profile_entry *entry;
    if (context->rank == 0)
        assert_int_equal(motley__file_write(path, "\x7f" "ELF\0\xff device device=\n curve\n", 25, NULL), 0);
    MPI_Barrier(context->comm);
    assert_int_equal(motley_plan_create(context, &SHAPE, &OPTIONS, &plan, NULL), 0);
    motley_plan_destroy(plan);
    assert_int_equal(motley__record_load(context, MOTLEY_F32, &profile, &entry, NULL), 0);
    assert_int_equal(profile.entries, context->size);
    assert_non_null(motley__curve_find(entry, &SHAPE, 1));
    motley__profile_clear(&profile);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_surrounds_the_planned_rows),
        cmocka_unit_test(even_shares_measure_nothing),
        cmocka_unit_test(a_plan_is_measured_and_kept),
        cmocka_unit_test(a_curve_that_is_off_is_measured_anew),
        cmocka_unit_test(a_missing_direction_is_added),
        cmocka_unit_test(copies_are_measured_where_there_are_some),
        cmocka_unit_test(ranks_that_disagree_are_told),
        cmocka_unit_test(fewer_experts_than_ranks),
        cmocka_unit_test(small_devices_get_nothing),
        cmocka_unit_test(a_ruined_profile_is_replaced),
    };
    int failed = open_context();
    if (!failed)
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_context();
    MPI_Finalize();
    return failed;
}
