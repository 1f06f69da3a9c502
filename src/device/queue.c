/* Launching kernels on the compute queue, and waiting for them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <sched.h>

#include "base/clock.h"
#include "device/program.h"
#include "device/queue.h"

/* A short wait yields, a long one naps. */
static const double YIELD_SECONDS = 100e-6, NAP_SECONDS = 20e-6;

static int set_arguments(cl_kernel kernel, const struct motley__arg *args, int count, struct motley_error *error)
{
    for (int i = 0; i < count; i++) {
        cl_int code = clSetKernelArg(kernel, (cl_uint)i, args[i].bytes, args[i].value);
        if (code != CL_SUCCESS) {
            char name[128] = "?";
            clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
            int status = motley__fail_cl(error, code, "clSetKernelArg");
            return motley__fail_in(error, status, "kernel %s, argument %d of %zu bytes", name, i, args[i].bytes);
        }
    }
    return 0;
}

int motley__launch_args(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                        struct motley_error *error, const struct motley__arg *args, int count)
{
    return motley__launch_on(device->compute, kernel, range, error, args, count);
}

int motley__launch_on(cl_command_queue queue, cl_kernel kernel, struct motley__range range, struct motley_error *error,
                      const struct motley__arg *args, int count)
{
    if (range.global[0] == 0)
        return 0;
    const size_t *local = range.local[0] > 0 ? range.local : NULL;
    cl_uint dimensions = 1;
    for (cl_uint i = 0; i < 3; i++) {
        if (range.global[i] == 0)
            range.global[i] = 1;
        if (range.local[i] == 0)
            range.local[i] = 1;
        if (local)
            range.global[i] = (range.global[i] + range.local[i] - 1) / range.local[i] * range.local[i];
        if (range.global[i] > 1)
            dimensions = i + 1;
    }
    int status = set_arguments(kernel, args, count, error);
    if (status)
        return status;
    cl_int code = clEnqueueNDRangeKernel(queue, kernel, dimensions, NULL, range.global, local, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        return 0;
    char name[128] = "?";
    clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
    status = motley__fail_cl(error, code, "clEnqueueNDRangeKernel");
    return motley__fail_in(error, status, "kernel %s over %zu x %zu x %zu in groups of %zu x %zu x %zu", name,
                           range.global[0], range.global[1], range.global[2], range.local[0], range.local[1],
                           range.local[2]);
}

static int mark(cl_command_queue queue, cl_event *marker, struct motley_error *error)
{
    cl_int code = clEnqueueMarkerWithWaitList(queue, 0, NULL, marker);
    if (code == CL_SUCCESS) {
        code = clFlush(queue); /* else nothing need ever begin */
        if (code != CL_SUCCESS)
            clReleaseEvent(*marker);
    }
    return motley__fail_cl(error, code, "clEnqueueMarkerWithWaitList");
}

int motley__queue_marker(struct motley__device *device, cl_event *marker, struct motley_error *error)
{
    return mark(device->compute, marker, error);
}

int motley__transfer_marker(struct motley__device *device, cl_event *marker, struct motley_error *error)
{
    return mark(device->transfer, marker, error);
}

int motley__event_done(cl_event event, int *done, struct motley_error *error)
{
    cl_int state;
    cl_int code = clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (code == CL_SUCCESS && state < 0)
        return motley__fail_cl(error, state, "a kernel on the device");
    if (code != CL_SUCCESS)
        return motley__fail_cl(error, code, "clGetEventInfo");
    *done = state == CL_COMPLETE;
    return 0;
}

int motley__queue_wait(struct motley__device *device, struct motley_error *error)
{
    /* Runtimes for the CPU sleep in clFinish; drivers of GPUs spin there. */
    if (device->is_cpu)
        return motley__fail_cl(error, clFinish(device->compute), "clFinish");
    cl_event marker;
    int done = 0, status = motley__queue_marker(device, &marker, error);
    if (status)
        return status;
    double begin = motley__seconds();
    while (!(status = motley__event_done(marker, &done, error)) && !done) {
        if (motley__seconds() - begin < YIELD_SECONDS)
            sched_yield();
        else
            motley__sleep(NAP_SECONDS);
    }
    clReleaseEvent(marker);
    return status;
}
