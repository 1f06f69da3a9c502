/* Tuning with real devices: what was chosen is kept, comes back with the profile and computes the same; nonsense in a
 * profile is passed over.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "kernels.h"
#include "profile_context.h"

#include "base/clock.h"
#include "base/file.h"
#include "measure/trial.h"
#include "measure/tune.h"
#include "product/variant.h"
#include "profile/record.h"

static const struct motley_layer_shape SHAPE = {.D = 48, .F = 80, .E = 4, .K = 2, .activation = MOTLEY_SWIGLU};
static const struct motley__shape_class MANY = {MOTLEY__PRODUCT_ESMM, MOTLEY__ROWS_MANY, MOTLEY__WEIGHTS_SMALL};

static int is_set(const struct motley__choice *choice)
{
    char text[MOTLEY__SETTINGS];
    motley__tuning_text(context->device, (enum motley_dtype)choice->dtype, choice->shape, text);
    return !strcmp(text, choice->settings);
}

static void load(struct motley__profile *profile, struct motley__profile_entry **entry)
{
    struct motley_error error = {0};
    memset(profile, 0, sizeof *profile);
    assert_int_equal(motley__record_load(context, MOTLEY_F32, profile, entry, &error), 0);
}

/* Every class of small weights has its choice, among the values that the device allows, and the device is set to it. */
static void every_class_gets_a_choice(void **state)
{
    (void)state;
    struct motley__profile profile;
    struct motley__profile_entry *entry;
    struct motley_error error = {0};
    if (!motley__variant(context->device, MOTLEY_F32)->tunables_count)
        skip();
    load(&profile, &entry);
    assert_int_equal(entry->choices, 0);
    const double begin = motley__seconds();
    assert_int_equal(motley__tune(context, &SHAPE, 1.5, entry, &error), 0);
    print_message("tuned in %.1f s with 1.5 s to spend\n", motley__seconds() - begin);
    assert_int_equal(entry->choices, MOTLEY__PRODUCTS * MOTLEY__ROWS_CLASSES);
    for (int c = 0; c < entry->choices; c++) {
        const struct motley__choice *choice = &entry->choice[c];
        const int usual = !strcmp(choice->settings, choice->usual);
        assert_int_equal(choice->shape.weights, MOTLEY__WEIGHTS_SMALL);
        assert_true(is_set(choice));
        assert_true(usual ? choice->gain == 1 : choice->gain > 1);
        if (!usual)
            print_message("%s of %s rows: %s, %.2f times as fast as with %s\n",
                          motley__product_names[choice->shape.product], motley__rows_names[choice->shape.rows],
                          choice->settings, choice->gain, choice->usual);
    }
    assert_int_equal(motley__record_save(context, entry, &error), 0);
    motley__profile_clear(&profile);
}

/* No time at all: every class is told to keep its defaults, at once. */
static void without_time_defaults_stay(void **state)
{
    (void)state;
    struct motley__profile profile;
    struct motley__profile_entry *entry;
    struct motley_error error = {0};
    load(&profile, &entry);
    assert_int_equal(motley__tune(context, &SHAPE, 0, entry, &error), 0);
    for (int c = 0; c < entry->choices; c++)
        assert_string_equal(entry->choice[c].settings, entry->choice[c].usual);
    motley__profile_clear(&profile);
}

/* Settings that measuring may or may not choose are put into the file; a context opened on it has them. */
static void an_opened_context_is_tuned(void **state)
{
    (void)state;
    const struct motley__variant *variant = motley__variant(context->device, MOTLEY_F32);
    struct motley__choice choice = {.shape = MANY, .dtype = MOTLEY_F32, .gain = 2};
    struct motley__profile profile;
    struct motley__profile_entry *entry;
    struct motley_error error = {0};
    int other = 0;
    if (!variant->tunables_count || !motley__tunable_matters(&variant->tunables[0], MANY))
        skip();
    for (int v = 0; v < MOTLEY__TUNABLE_VALUES && variant->tunables[0].values[v]; v++)
        if (motley__tunable_allows(context->device, &variant->tunables[0], variant->tunables[0].values[v]))
            other = variant->tunables[0].values[v]; /* the last allowed */
    motley__tuning_clear(context->device, MOTLEY_F32);
    assert_int_equal(motley__tuning_set(context->device, MOTLEY_F32, MANY, 0, other, &error), 0);
    motley__tuning_text(context->device, MOTLEY_F32, MANY, choice.settings);
    load(&profile, &entry);
    assert_int_equal(motley__choice_put(entry, &choice, &error), 0);
    assert_int_equal(motley__record_save(context, entry, &error), 0);
    motley__profile_clear(&profile);

    motley_context *opened, *kept = context;
    const struct motley_context_options options = {.profile = path};
    assert_int_equal(motley_context_create(MPI_COMM_WORLD, &options, &opened, &error), 0);
    context = opened;
    const int right = is_set(&choice);
    context = kept;
    motley_context_destroy(opened);
    assert_true(right);
}

/* Values of another version, or of a hand that slipped: that class keeps its defaults, the others are set. */
static void nonsense_is_passed_over(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"wings=4", "groups", "group=3", "\"\\", "groups=0"};
    const struct motley__variant *variant = motley__variant(context->device, MOTLEY_F32);
    struct motley__profile profile;
    struct motley__profile_entry *entry;
    struct motley_error error = {0};
    char usual[MOTLEY__SETTINGS];
    motley__tuning_clear(context->device, MOTLEY_F32);
    motley__tuning_text(context->device, MOTLEY_F32, MANY, usual);
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense && variant->tunables_count; i++) {
        struct motley__choice bad = {.shape = MANY, .dtype = MOTLEY_F32, .gain = 2}, set = bad;
        snprintf(bad.settings, sizeof bad.settings, "%s", nonsense[i]);
        load(&profile, &entry);
        assert_int_equal(motley__choice_put(entry, &bad, &error), 0);
        assert_int_equal(motley__record_save(context, entry, &error), 0);
        motley__profile_clear(&profile);
        assert_int_equal(motley__record_tune(context, MOTLEY_F32, &error), 0);
        strcpy(set.settings, usual);
        assert_true(is_set(&set));
        load(&profile, &entry);
        for (int c = 0; c < entry->choices; c++)
            assert_true(is_set(&entry->choice[c]) ||
                        !memcmp(&entry->choice[c].shape, &MANY, sizeof MANY));
        motley__profile_clear(&profile);
    }
}

/* A context on kernels of which cpu/esmm.cl has some more in its work-groups; everything else is as it is. */
static motley_context *open_on_changed_kernel(const char *more)
{
    static const char place[] = "    if (tile.rows == 0)";
    const struct motley_context_options options = {.profile = path};
    struct motley_error error = {0};
    motley_context *opened = NULL;
    char kernels[128], changed[512];
    snprintf(kernels, sizeof kernels, "%s/cl", folder);
    snprintf(changed, sizeof changed, "%s%s", more, place);
    if (context->rank == 0) {
        assert_int_equal(motley__directory_make(kernels, &error), 0);
        write_kernels(kernels, "cpu/esmm.cl", place, changed);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    assert_int_equal(setenv("MOTLEY_CL_DIR", kernels, 1), 0);
    if (motley_context_create(MPI_COMM_WORLD, &options, &opened, &error))
        fail_msg("%s", error.text);
    return opened;
}

/* What is chosen for few rows on such a kernel. */
static struct motley__choice choose_on_changed_kernel(const char *line)
{
    const struct motley__shape_class few = {MOTLEY__PRODUCT_SWIGLU, MOTLEY__ROWS_FEW, MOTLEY__WEIGHTS_SMALL};
    motley_context *opened = open_on_changed_kernel(line), *kept = context;
    struct motley__profile profile;
    struct motley__profile_entry *entry;
    struct motley_error error = {0};
    context = opened;
    load(&profile, &entry);
    assert_int_equal(motley__tune(context, &SHAPE, 4, entry, &error), 0);
    const struct motley__choice *found = motley__choice_find(entry, MOTLEY_F32, few);
    assert_non_null(found);
    const struct motley__choice choice = *found;
    motley__profile_clear(&profile);
    context = kept;
    motley_context_destroy(opened);
    assert_int_equal(unsetenv("MOTLEY_CL_DIR"), 0);
    return choice;
}

/* A default that idles in every work-group: whatever does not is taken.  Alone, for other ranks only take time. */
static void a_faster_value_is_taken(void **state)
{
    (void)state;
    if (!context->device->is_cpu || context->size > 1)
        skip();
    const struct motley__choice choice = choose_on_changed_kernel(
        "#ifndef AHEAD\n    for (volatile int idle = 0; idle < 100000; idle++)\n        continue;\n#endif\n");
    const char *ahead = strstr(choice.settings, "ahead=");
    print_message("%s, %.1f times as fast as with %s\n", choice.settings, choice.gain, choice.usual);
    assert_non_null(strstr(choice.usual, "ahead=1"));
    assert_true(ahead && atoi(ahead + 6) > 1);
    assert_true(choice.gain > 1.5);
}

/* Values that are still faster because they compute nothing.  All settings of the class are then the usual ones. */
static void a_wrong_value_is_not(void **state)
{
    (void)state;
    if (!context->device->is_cpu || context->size > 1)
        skip();
    const struct motley__choice choice = choose_on_changed_kernel(
        "#ifdef AHEAD\n    return;\n#else\n    for (volatile int idle = 0; idle < 100000; idle++)\n        continue;\n"
        "#endif\n");
    assert_string_equal(choice.settings, choice.usual);
    assert_true(choice.gain == 1);
}

/* A device too small for one expert. */
static void small_devices_keep_defaults(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = {.D = 512, .F = 1024, .E = 1, .K = 1, .activation = MOTLEY_SWIGLU};
    struct motley__profile profile;
    struct motley__profile_entry *entry;
    struct motley_error error = {0};
    const uint64_t before = context->device->memory_bytes;
    load(&profile, &entry);
    context->device->memory_bytes = context->device->used_bytes + 5000000; /* the weights alone need 6291456 */
    const int status = motley__tune(context, &shape, 1, entry, &error);
    context->device->memory_bytes = before;
    assert_int_equal(status, 0);
    motley__profile_clear(&profile);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_gets_a_choice),  cmocka_unit_test(without_time_defaults_stay),
        cmocka_unit_test(an_opened_context_is_tuned), cmocka_unit_test(nonsense_is_passed_over),
        cmocka_unit_test(small_devices_keep_defaults), cmocka_unit_test(a_faster_value_is_taken),
        cmocka_unit_test(a_wrong_value_is_not),
    };
    int failed = open_context();
    if (!failed)
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_context();
    MPI_Finalize();
    return failed;
}
