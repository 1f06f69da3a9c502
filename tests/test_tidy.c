/* Every device once, in the order in which ranks take them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"

static const char *const POCL = "Portable Computing Language", *const NVIDIA = "NVIDIA CUDA";

enum kind { GPU, ACCELERATOR, CPU };

static struct motley__found made(const char *platform, const char *name, enum kind kind, const char *locality)
{
    struct motley__found found = {.is_gpu = kind == GPU, .is_cpu = kind == CPU};
    found.platform = (cl_platform_id)platform; /* compared only */
    snprintf(found.platform_name, sizeof found.platform_name, "%s", platform);
    snprintf(found.name, sizeof found.name, "%s", name);
    snprintf(found.locality, sizeof found.locality, "%s", locality);
    return found;
}

static void sorted_by_kind_and_place(void **state)
{
    (void)state;
    struct motley__found list[] = {
        made(POCL, "cpu", CPU, ""),
        made("FPGA", "board", ACCELERATOR, "0000:01:00.0"),
        made(NVIDIA, "b", GPU, "0000:b1:00.0"),
        made("AMD", "no place", GPU, ""),
        made(NVIDIA, "a", GPU, "0000:17:00.0"),
    };
    const char *const expected[] = {"a", "b", "no place", "board", "cpu"};
    assert_int_equal(motley__found_tidy(list, 5), 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(list[i].name, expected[i]);
}

static void two_platforms_one_device(void **state)
{
    (void)state;
    struct motley__found list[] = {
        made(POCL, "H200 by pocl", GPU, "0000:17:00.0"),
        made(NVIDIA, "H200", GPU, "0000:17:00.0"),
        made(NVIDIA, "H200", GPU, "0000:18:00.0"),
        made(POCL, "H200 by pocl", GPU, "0000:18:00.0"),
    };
    assert_int_equal(motley__found_tidy(list, 4), 2);
    for (int i = 0; i < 2; i++) /* the vendor's own platform is kept */
        assert_string_equal(list[i].platform_name, NVIDIA);
    assert_string_equal(list[0].locality, "0000:17:00.0");
    assert_string_equal(list[1].locality, "0000:18:00.0");
}

/* Without places the k-th of a name is the k-th of that name elsewhere; equal names on one platform are several
 * devices. */
static void places_unknown(void **state)
{
    (void)state;
    struct motley__found list[] = {
        made(NVIDIA, "H200", GPU, ""), made(NVIDIA, "H200", GPU, ""), made(NVIDIA, "H200", GPU, ""),
        made(POCL, "H200", GPU, ""),   made(POCL, "H200", GPU, ""),
    };
    assert_int_equal(motley__found_tidy(list, 5), 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(list[i].platform_name, NVIDIA);
}

static void one_cpu(void **state)
{
    (void)state;
    struct motley__found list[] = {
        made("Intel(R) OpenCL", "Xeon", CPU, ""),
        made(POCL, "cpu-haswell", CPU, ""),
        made("Other", "Xeon", CPU, ""),
    };
    assert_int_equal(motley__found_tidy(list, 3), 1);
    assert_string_equal(list[0].platform_name, POCL);
    assert_int_equal(motley__found_tidy(list, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_by_kind_and_place),
        cmocka_unit_test(two_platforms_one_device),
        cmocka_unit_test(places_unknown),
        cmocka_unit_test(one_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
