/* Which devices the node has, over all ICDs.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"

#include <CL/cl_ext.h> /* after the version that device.h asks for */

/* cl_nv_device_attribute_query, not in every cl_ext.h. */
enum { PCI_BUS_NV = 0x4008, PCI_SLOT_NV = 0x4009, PCI_DOMAIN_NV = 0x400a };

static const char *const no_platform =
    "no OpenCL platform found: install a driver's ICD, for CPUs the Debian package pocl-opencl-icd "
    "(looked in /etc/OpenCL/vendors and OCL_ICD_VENDORS)";

/* A text of the driver: without blanks at its ends, never empty. */
static void copy_text(char *to, size_t size, const char *from)
{
    from += strspn(from, " ");
    snprintf(to, size, "%s", *from ? from : "unknown");
    for (size_t n = strlen(to); n > 1 && to[n - 1] == ' '; n--)
        to[n - 1] = 0;
}

static void platform_text(cl_platform_id platform, cl_platform_info what, char *to, size_t size)
{
    char text[512] = "";
    if (clGetPlatformInfo(platform, what, sizeof text, text, NULL) != CL_SUCCESS)
        text[0] = 0;
    copy_text(to, size, text);
}

static void device_text(cl_device_id id, cl_device_info what, char *to, size_t size)
{
    char text[512] = "";
    if (clGetDeviceInfo(id, what, sizeof text, text, NULL) != CL_SUCCESS)
        text[0] = 0;
    copy_text(to, size, text);
}

/* Where the device sits, by whichever of three extensions answers.  Empty when none does. */
static void find_locality(struct motley__found *found)
{
    cl_device_pci_bus_info_khr khr;
    cl_device_topology_amd amd;
    cl_uint bus, slot, domain = 0;
    cl_device_id id = found->id;
    char *to = found->locality;
    size_t size = sizeof found->locality;
    to[0] = 0;
    if (found->is_cpu)
        return;
    if (clGetDeviceInfo(id, CL_DEVICE_PCI_BUS_INFO_KHR, sizeof khr, &khr, NULL) == CL_SUCCESS) {
        snprintf(to, size, "%04x:%02x:%02x.%x", khr.pci_domain, khr.pci_bus, khr.pci_device, khr.pci_function);
    } else if (clGetDeviceInfo(id, PCI_BUS_NV, sizeof bus, &bus, NULL) == CL_SUCCESS &&
               clGetDeviceInfo(id, PCI_SLOT_NV, sizeof slot, &slot, NULL) == CL_SUCCESS) {
        if (clGetDeviceInfo(id, PCI_DOMAIN_NV, sizeof domain, &domain, NULL) != CL_SUCCESS)
            domain = 0;
        snprintf(to, size, "%04x:%02x:%02x.%x", domain, bus, slot >> 3, slot & 7); /* slot is device and function */
    } else if (clGetDeviceInfo(id, CL_DEVICE_TOPOLOGY_AMD, sizeof amd, &amd, NULL) == CL_SUCCESS &&
               amd.raw.type == CL_DEVICE_TOPOLOGY_TYPE_PCIE_AMD) {
        snprintf(to, size, "%04x:%02x:%02x.%x", 0, (unsigned char)amd.pcie.bus, amd.pcie.device, amd.pcie.function);
    }
}

static void describe(struct motley__found *found, cl_platform_id platform, cl_device_id id)
{
    cl_device_type type = 0;
    memset(found, 0, sizeof *found);
    found->platform = platform;
    found->id = id;
    clGetDeviceInfo(id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    found->is_gpu = (type & CL_DEVICE_TYPE_GPU) != 0;
    found->is_cpu = !found->is_gpu && (type & CL_DEVICE_TYPE_CPU) != 0;
    platform_text(platform, CL_PLATFORM_NAME, found->platform_name, sizeof found->platform_name);
    platform_text(platform, CL_PLATFORM_VERSION, found->platform_version, sizeof found->platform_version);
    device_text(id, CL_DEVICE_NAME, found->name, sizeof found->name);
    device_text(id, CL_DRIVER_VERSION, found->driver, sizeof found->driver);
    find_locality(found);
}

/* A device that is switched off or comes without a compiler runs none of our kernels. */
static int usable(cl_device_id id)
{
    cl_bool available = CL_FALSE, compiler = CL_FALSE;
    clGetDeviceInfo(id, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
    clGetDeviceInfo(id, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
    return available && compiler;
}

/* Append the devices of one platform. */
static int list_platform(cl_platform_id platform, struct motley__found **found, int *count,
                         struct motley_error *error)
{
    cl_uint devices = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &devices) != CL_SUCCESS || devices == 0)
        return 0; /* a driver without its device is no failure */
    cl_device_id *ids = calloc(devices, sizeof *ids);
    struct motley__found *larger = realloc(*found, ((size_t)*count + devices) * sizeof *larger);
    if (larger)
        *found = larger;
    if (!ids || !larger) {
        free(ids);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %u devices", devices);
    }
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, devices, ids, NULL) == CL_SUCCESS)
        for (cl_uint i = 0; i < devices; i++)
            if (usable(ids[i]))
                describe(&(*found)[(*count)++], platform, ids[i]);
    free(ids);
    return 0;
}

int motley__discover(struct motley__found **found, int *count, struct motley_error *error)
{
    struct motley__found *list = NULL;
    cl_uint platforms = 0;
    cl_int code = clGetPlatformIDs(0, NULL, &platforms);
    if (code != CL_SUCCESS || platforms == 0)
        return motley__fail(error, MOTLEY_E_NO_DEVICE, "%s", no_platform);
    cl_platform_id *ids = calloc(platforms, sizeof *ids);
    int n = 0, status = 0;
    if (!ids)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %u platforms", platforms);
    status = motley__fail_cl(error, clGetPlatformIDs(platforms, ids, NULL), "clGetPlatformIDs");
    for (cl_uint p = 0; p < platforms && !status; p++)
        status = list_platform(ids[p], &list, &n, error);
    if (!status) {
        n = motley__found_tidy(list, n);
        if (n == 0) {
            char name[128];
            platform_text(ids[0], CL_PLATFORM_NAME, name, sizeof name);
            status = motley__fail(error, MOTLEY_E_NO_DEVICE,
                                  "%u OpenCL platform(s) found (%s, ...), but none shows a usable device with a "
                                  "compiler: check the driver with clinfo, or install pocl-opencl-icd for the CPU",
                                  platforms, name);
        }
    }
    free(ids);
    if (status) {
        free(list);
        return status;
    }
    *found = list;
    *count = n;
    return 0;
}
