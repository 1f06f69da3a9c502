/* Whether the kernels of a device and this process see each other's writes in plain host memory.
 *
 * OpenCL promises that only through map and unmap; runtimes for the CPU keep it anyway, which saves every
 * copy.  So it is tried rather than believed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>

#include "device/device.h"

enum { COUNT = 1024 };

static const char *const source =
    "kernel void probe(global int *x) { x[get_global_id(0)] = 3 * x[get_global_id(0)] + 1; }\n";

/* The kernel twice over host memory that the host changes in between. */
static int run(struct motley__device *device, cl_kernel kernel, cl_mem mem, volatile int *host, int *seen)
{
    const size_t global = COUNT;
    *seen = 1;
    cl_int code = clSetKernelArg(kernel, 0, sizeof mem, &mem);
    for (int round = 0; round < 2 && code == CL_SUCCESS; round++) {
        for (int i = 0; i < COUNT; i++)
            host[i] = i + round;
        code = clEnqueueNDRangeKernel(device->compute, kernel, 1, NULL, &global, NULL, 0, NULL, NULL);
        if (code == CL_SUCCESS)
            code = clFinish(device->compute);
        for (int i = 0; i < COUNT; i++)
            if (host[i] != 3 * (i + round) + 1)
                *seen = 0;
    }
    return code;
}

int motley__probe_zero_copy(struct motley__device *device, int *zero_copy, struct motley_error *error)
{
    const char *call = "clCreateBuffer";
    cl_program program = NULL;
    cl_kernel kernel = NULL;
    cl_mem mem = NULL;
    cl_int code = CL_SUCCESS;
    void *host = NULL;
    int seen = 0;
    if (posix_memalign(&host, 4096, COUNT * sizeof(int)))
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the zero-copy probe");
    mem = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, COUNT * sizeof(int), host, &code);
    if (code == CL_SUCCESS) {
        call = "clCreateProgramWithSource";
        program = clCreateProgramWithSource(device->context, 1, (const char **)&source, NULL, &code);
    }
    if (code == CL_SUCCESS) {
        call = "clBuildProgram (is the device's compiler installed whole?)";
        code = clBuildProgram(program, 1, &device->id, "-cl-std=CL1.2", NULL, NULL);
    }
    if (code == CL_SUCCESS) {
        call = "clCreateKernel";
        kernel = clCreateKernel(program, "probe", &code);
    }
    if (code == CL_SUCCESS) {
        call = "the first kernel";
        code = run(device, kernel, mem, host, &seen);
    }
    if (kernel)
        clReleaseKernel(kernel);
    if (program)
        clReleaseProgram(program);
    if (mem)
        clReleaseMemObject(mem);
    free(host);
    int status = motley__fail_cl(error, code, call);
    if (!status)
        *zero_copy = seen;
    return status;
}
