/* What kernels can use on the devices of one vendor alone: asked once, when the device is opened.
 *
 * MOTLEY_EMULATE, the name of a matrix instruction, has it computed by other means, slowly, on any device: so the
 * kernels and what they hold of the instruction's layout are tested without the hardware.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "device/device.h"

/* Of cl_nv_device_attribute_query and cl_intel_required_subgroup_size. */
enum { CAPABILITY_MAJOR_NV = 0x4000, CAPABILITY_MINOR_NV = 0x4001, SUB_GROUP_SIZES_INTEL = 0x4108 };

static const char *const NAMES[] = {
    [MOTLEY__MFMA] = "mfma", [MOTLEY__WMMA] = "wmma", [MOTLEY__DPAS16] = "dpas16", [MOTLEY__DPAS8] = "dpas8",
};

static int nvidia_capability(const struct motley__device *device)
{
    cl_uint major = 0, minor = 0;
    if (!strstr(device->info.platform, "NVIDIA") ||
        clGetDeviceInfo(device->id, CAPABILITY_MAJOR_NV, sizeof major, &major, NULL) != CL_SUCCESS ||
        clGetDeviceInfo(device->id, CAPABILITY_MINOR_NV, sizeof minor, &minor, NULL) != CL_SUCCESS)
        return 0;
    return (int)(10 * major + minor);
}

static enum motley__instruction emulated(void)
{
    const char *name = getenv("MOTLEY_EMULATE");
    for (int i = MOTLEY__MFMA; name && i <= MOTLEY__DPAS8; i++)
        if (!strcmp(name, NAMES[i]))
            return (enum motley__instruction)i;
    return MOTLEY__NO_INSTRUCTION;
}

/* OpenCL of ROCm calls a device by its instruction set, "gfx90a:sramecc+:xnack-". */
static enum motley__instruction of_amd(const struct motley__device *device)
{
    const char *name = device->info.name;
    if (!strstr(device->info.platform, "AMD"))
        return MOTLEY__NO_INSTRUCTION;
    if (!strncmp(name, "gfx90a", 6) || !strncmp(name, "gfx94", 5) || !strncmp(name, "gfx950", 6))
        return MOTLEY__MFMA;
    return strncmp(name, "gfx11", 5) ? MOTLEY__NO_INSTRUCTION : MOTLEY__WMMA;
}

static enum motley__instruction of_intel(const struct motley__device *device)
{
    char extensions[8192] = "";
    size_t sizes[8] = {0}, bytes = 0;
    if (clGetDeviceInfo(device->id, CL_DEVICE_EXTENSIONS, sizeof extensions, extensions, NULL) != CL_SUCCESS ||
        !strstr(extensions, "cl_intel_subgroup_matrix_multiply_accumulate") ||
        clGetDeviceInfo(device->id, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) != CL_SUCCESS)
        return MOTLEY__NO_INSTRUCTION;
    enum motley__instruction found = MOTLEY__NO_INSTRUCTION;
    for (size_t i = 0; i < bytes / sizeof *sizes && found != MOTLEY__DPAS8; i++) /* 8 where it has both */
        found = sizes[i] == 8 ? MOTLEY__DPAS8 : sizes[i] == 16 ? MOTLEY__DPAS16 : found;
    return found;
}

void motley__vendor_ask(struct motley__device *device)
{
    device->nvidia_capability = nvidia_capability(device);
    device->instruction = emulated();
    device->emulated = device->instruction != MOTLEY__NO_INSTRUCTION;
    if (device->emulated || device->is_cpu)
        return;
    device->instruction = of_amd(device);
    if (!device->instruction)
        device->instruction = of_intel(device);
}
