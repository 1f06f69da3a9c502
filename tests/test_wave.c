/* The kernels of matrix instructions without the hardware: each instruction is emulated from its table of what its
 * lanes hold, and the variant must pass admission, which compares its products with the scalar twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "product.h"

/* Admission with the instruction emulated; another family must not have been taken. */
static void admit_emulated(struct motley__device *device, const char *instruction, const char *variant)
{
    assert_int_equal(setenv("MOTLEY_EMULATE", instruction, 1), 0);
    assert_int_equal(setenv("MOTLEY_FAMILY", variant, 1), 0);
    motley__vendor_ask(device);
    for (enum motley_dtype dtype = MOTLEY_BF16; dtype <= MOTLEY_F16; dtype++) {
        device->variant[dtype] = NULL;
        SUCCEED(motley__admit_dtype(device, dtype, &error));
        assert_true(motley__variant_matches(device->variant[dtype], variant));
        assert_int_equal(motley__variant(device, dtype)->panel(device), 1);
        print_message("%s: %s\n", instruction, device->why[dtype]);
        device->variant[dtype] = NULL;
    }
    unsetenv("MOTLEY_FAMILY");
    unsetenv("MOTLEY_EMULATE");
    motley__vendor_ask(device);
}

static void mfma(void **state) { admit_emulated(*state, "mfma", "amd/mfma"); }
static void wmma(void **state) { admit_emulated(*state, "wmma", "amd/wmma"); }
static void dpas_of_16(void **state) { admit_emulated(*state, "dpas16", "intel/dpas"); }
static void dpas_of_8(void **state) { admit_emulated(*state, "dpas8", "intel/dpas"); }

/* Nothing emulated: a device without the instructions is not tried. */
static void not_on_this_cpu(void **state)
{
    const struct motley__device *device = *state;
    if (!device->is_cpu)
        skip();
    assert_false(motley__variant_amd_mfma.suits(device));
    assert_false(motley__variant_amd_wmma.suits(device));
    assert_false(motley__variant_intel_dpas.suits(device));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dpas_of_8), cmocka_unit_test(dpas_of_16),      cmocka_unit_test(wmma),
        cmocka_unit_test(mfma),      cmocka_unit_test(not_on_this_cpu),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
