/* Admission: which family, why, and what happens when none passes.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "kernels.h"
#include "product.h"

static void prefers_the_devices_family(void **state)
{
    struct motley__device *device = *state;
    const struct motley__variant *const *first = motley__variants;
    while (!((*first)->dtypes & MOTLEY__DTYPE_BIT(MOTLEY_F32)) || !(*first)->suits(device))
        first++;
    SUCCEED(motley__admit(device, &error));
    assert_string_equal(device->info.family, (*first)->family);
    assert_int_equal(device->is_cpu, !strcmp((*first)->family, "cpu"));
    assert_non_null(strstr(device->info.why, device->info.family));
    assert_null(strstr(device->info.why, "because"));
}

static void environment_restricts(void **state)
{
    struct motley__device *device = *state;
    setenv("MOTLEY_FAMILY", "generic", 1);
    SUCCEED(motley__admit(device, &error));
    assert_string_equal(device->info.family, "generic");
    unsetenv("MOTLEY_FAMILY");
}

static void environment_names_one_variant(void **state)
{
    struct motley__device *device = *state;
    struct motley_error error = {0};
    setenv("MOTLEY_FAMILY", "generic/tiles", 1);
    const int status = motley__admit(device, &error);
    setenv("MOTLEY_FAMILY", "generic/til", 1);
    const int refused = motley__admit(device, &error);
    unsetenv("MOTLEY_FAMILY");
    assert_int_equal(status, 0);
    assert_int_equal(refused, MOTLEY_E_BUILD);
}

static void unknown_family_is_an_error(void **state)
{
    struct motley_error error = {0};
    setenv("MOTLEY_FAMILY", "abacus", 1);
    const int status = motley__admit(*state, &error);
    unsetenv("MOTLEY_FAMILY");
    assert_int_equal(status, MOTLEY_E_BUILD);
    assert_non_null(strstr(error.text, "abacus"));
}

static void frees_what_it_used(void **state)
{
    struct motley__device *device = *state;
    const uint64_t used = device->used_bytes;
    SUCCEED(motley__admit(device, &error));
    assert_int_equal(device->used_bytes, used);
}

/* Another device object, so that nothing built is reused, on kernels from `folder`. */
static int admit_from(const char *folder, struct motley_device_info *info, struct motley_error *error)
{
    struct motley__device *device;
    setenv("MOTLEY_CL_DIR", folder, 1);
    int status = motley__test_device(&device);
    assert_int_equal(status, 0);
    status = motley__admit(device, error);
    *info = device->info;
    motley__device_close(device);
    unsetenv("MOTLEY_CL_DIR");
    char command[512];
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    return status;
}

/* On CPUs: with that line of the family's kernels spoilt, generic is taken, and `why` tells the reason. */
static void is_passed_over(const struct motley__device *device, const char *file, const char *line, const char *spoilt,
                           const char *reason)
{
    if (!device->is_cpu)
        skip();
    char folder[] = "admit-XXXXXX";
    struct motley_device_info info;
    struct motley_error error = {0};
    assert_non_null(mkdtemp(folder));
    write_kernels(folder, file, line, spoilt);
    assert_int_equal(admit_from(folder, &info, &error), 0);
    assert_string_equal(info.family, "generic");
    assert_non_null(strstr(info.why, reason));
}

static void kernel_that_does_not_build_is_passed_over(void **state)
{
    is_passed_over(*state, "cpu/tile.h", "int depth, const float *a", "int spoilt, const float *a",
                   "because cpu/registers: ");
}

static void imprecise_kernel_is_passed_over(void **state)
{
    is_passed_over(*state, "cpu/across.h", "VECTOR result = square[r * spread];",
                   "VECTOR result = square[r * spread] * 1.0001f;", "esmm_transposed is off by");
}

/* Vectors of 4 and 8 floats take other paths through the same kernels; a device with 16 can run them all. */
static void narrower_vectors_are_admitted(void **state)
{
    struct motley__device *device = *state;
    struct motley_error error = {0};
    const int native = device->native_float;
    int status = 0;
    if (!device->is_cpu)
        skip();
    setenv("MOTLEY_FAMILY", "cpu", 1);
    for (int lanes = 4; lanes < native && !status; lanes *= 2) {
        device->native_float = lanes;
        status = motley__admit(device, &error);
    }
    unsetenv("MOTLEY_FAMILY");
    device->native_float = native;
    assert_int_equal(status, 0);
    assert_int_equal(motley__admit(device, &error), 0);
}

static void no_family_is_an_error_with_each_reason(void **state)
{
    (void)state;
    char folder[] = "admit-XXXXXX";
    struct motley_device_info info;
    struct motley_error error = {0};
    assert_non_null(mkdtemp(folder));
    write_kernels(folder, "ragged.h", "struct ragged_tile {", "struct ragged_tile { no such type;");
    assert_int_equal(admit_from(folder, &info, &error), MOTLEY_E_BUILD);
    assert_non_null(strstr(error.text, "generic/tiles: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefers_the_devices_family),   cmocka_unit_test(environment_restricts),
        cmocka_unit_test(environment_names_one_variant),
        cmocka_unit_test(unknown_family_is_an_error),   cmocka_unit_test(frees_what_it_used),
        cmocka_unit_test(kernel_that_does_not_build_is_passed_over),  cmocka_unit_test(imprecise_kernel_is_passed_over),
        cmocka_unit_test(narrower_vectors_are_admitted),
        cmocka_unit_test(no_family_is_an_error_with_each_reason),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
