/* Opening the device that this rank drives.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "device/device.h"
#include "device/program.h"
#include "device/queue.h"

/* Of a GPU's memory the driver, its code and its own buffers need a part. */
static const double GPU_MEMORY_PART = 0.9;

/* A sub-buffer starts on a cache line at least. */
enum { LINE_BYTES = 64 };

/* Beyond these a GPU's tiles are full enough (doc/performance.md). */
enum { FEW_PAIRS = 64 };

/* Of a device that does not say. */
enum { CACHE_BYTES = 1 << 25 };

static int query(cl_device_id id, cl_device_info what, size_t bytes, void *value, struct motley_error *error)
{
    return motley__fail_cl(error, clGetDeviceInfo(id, what, bytes, value, NULL), "clGetDeviceInfo");
}

static int query_limits(struct motley__device *device, cl_ulong *global_bytes, struct motley_error *error)
{
    cl_device_id id = device->id;
    cl_uint units = 1, width = 1, align_bits = 0;
    cl_ulong local = 0, largest = 0, cache = 0;
    cl_device_fp_config doubles = 0; /* 0 or unknown without cl_khr_fp64 */
    int status = query(id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, error);
    if (!status)
        status = query(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width, error);
    if (!status)
        status = query(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof align_bits, &align_bits, error);
    if (!status)
        status = query(id, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local, error);
    if (!status)
        status = query(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof largest, &largest, error);
    if (!status)
        status = query(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof *global_bytes, global_bytes, error);
    if (!status)
        status = query(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof device->max_group, &device->max_group, error);
    if (!status)
        status = query(id, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof cache, &cache, error);
    device->cache_bytes = cache ? cache : CACHE_BYTES;
    device->compute_units = (int)units;
    device->native_float = width ? (int)width : 1;
    device->align_bytes = align_bits / 8 > LINE_BYTES ? align_bits / 8 : LINE_BYTES;
    device->local_bytes = (size_t)local;
    device->max_buffer_bytes = largest;
    cl_int known = clGetDeviceInfo(id, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof doubles, &doubles, NULL);
    device->has_double = known == CL_SUCCESS && doubles != 0;
    return status;
}

/* What this rank may use: the device's or the node's memory, less when the user says so. */
static uint64_t usable_bytes(const struct motley__found *found, const struct motley__binding *binding,
                             const struct motley_context_options *options, uint64_t global_bytes)
{
    uint64_t bytes = (uint64_t)(GPU_MEMORY_PART * (double)global_bytes);
    if (found->is_cpu)
        bytes = binding->memory_bytes ? binding->memory_bytes : global_bytes;
    else if (binding->sharers > 1)
        bytes /= (uint64_t)binding->sharers;
    if (options && options->memory_limit && options->memory_limit < bytes)
        bytes = options->memory_limit;
    return bytes;
}

static void describe(struct motley__device *device, const struct motley__found *found,
                     const struct motley__binding *binding)
{
    struct motley_device_info *info = &device->info;
    if (gethostname(info->host, sizeof info->host - 1) || !info->host[0])
        strcpy(info->host, "unknown");
    strcpy(info->platform, found->platform_name);
    strcpy(info->name, found->name);
    strcpy(info->driver, found->driver);
    strcpy(info->family, "unknown");
    strcpy(info->why, "no family was tried yet");
    info->memory_bytes = device->memory_bytes;
    info->is_gpu = found->is_gpu;
    info->cores = found->is_cpu && binding->cores > 0 ? binding->cores : device->compute_units;
    device->is_cpu = found->is_cpu;
    strcpy(device->platform_version, found->platform_version);
}

static int open_queues(struct motley__device *device, struct motley_error *error)
{
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)device->platform, 0};
    cl_int code;
    device->context = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
    int status = motley__fail_cl(error, code, "clCreateContext");
    if (!status) {
        device->compute = clCreateCommandQueue(device->context, device->id, CL_QUEUE_PROFILING_ENABLE, &code);
        status = motley__fail_cl(error, code, "clCreateCommandQueue");
    }
    if (!status) {
        device->transfer = clCreateCommandQueue(device->context, device->id, CL_QUEUE_PROFILING_ENABLE, &code);
        status = motley__fail_cl(error, code, "clCreateCommandQueue");
    }
    if (!status) {
        device->arrival = clCreateCommandQueue(device->context, device->id, 0, &code);
        status = motley__fail_cl(error, code, "clCreateCommandQueue");
    }
    return status;
}

/* A folder for built programs; a machine without a writable one just builds every time. */
static char *cache_folder(void)
{
    char *base, *folder;
    if (motley__cache_directory(&base, NULL))
        return NULL;
    int status = motley__format(&folder, NULL, "%s/kernels", base);
    if (!status && motley__directory_make(folder, NULL)) {
        free(folder);
        status = MOTLEY_E_IO;
    }
    free(base);
    return status ? NULL : folder;
}

/* PoCL compiles a kernel at its first launch, for that local size, and keeps the result in a cache of its own. */
static int compiles_at_launch(const struct motley__device *device)
{
    return strcmp(device->info.platform, "Portable Computing Language") == 0;
}

int motley__device_open(const struct motley__found *found, const struct motley__binding *binding,
                        const struct motley_context_options *options, const struct motley__log *log,
                        struct motley__device **device, struct motley_error *error)
{
    struct motley__device *d = calloc(1, sizeof *d);
    if (!d)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a device");
    d->platform = found->platform;
    d->id = found->id;
    d->crowded = binding->crowded;
    if (log)
        d->log = *log;
    cl_ulong global_bytes = 0;
    int status = query_limits(d, &global_bytes, error);
    if (!status) {
        d->memory_bytes = usable_bytes(found, binding, options, global_bytes);
        describe(d, found, binding);
        motley__vendor_ask(d);
        status = open_queues(d, error);
    }
    if (!status && found->is_cpu)
        status = motley__probe_zero_copy(d, &d->zero_copy, error);
    if (status) {
        motley__fail_in(error, status, "%s", found->name);
        motley__device_close(d);
        return status;
    }
    if (found->is_cpu && binding->threads > 0 && binding->threads != d->compute_units)
        motley__warn(&d->log,
                     "%s runs %d threads where %d were meant: OpenCL was used before the rank was bound (a rank "
                     "alone should set HWLOC_COMPONENTS=-opencl before MPI_Init)", found->name, d->compute_units,
                     binding->threads);
    d->cache = cache_folder();
    for (int dtype = 0; dtype < MOTLEY__DTYPES; dtype++)
        d->few_pairs[dtype] = d->info.is_gpu ? FEW_PAIRS : 0;
    d->compiles_at_launch = compiles_at_launch(d);
    *device = d;
    return 0;
}

void motley__device_close(struct motley__device *device)
{
    if (!device)
        return;
    if (device->compute)
        clFinish(device->compute);
    if (device->transfer)
        clFinish(device->transfer);
    if (device->arrival)
        clFinish(device->arrival);
    motley__programs_release(device);
    motley__launched_release(device);
    if (device->tickets)
        clReleaseMemObject(device->tickets);
    if (device->arrival)
        clReleaseCommandQueue(device->arrival);
    if (device->transfer)
        clReleaseCommandQueue(device->transfer);
    if (device->compute)
        clReleaseCommandQueue(device->compute);
    if (device->context)
        clReleaseContext(device->context);
    for (int d = 0; d < MOTLEY__DTYPES; d++)
        free(device->tuning[d]);
    free(device->cache);
    free(device);
}
