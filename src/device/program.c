/* Source -> built program; kernels by name.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/program.h"

struct named_kernel {
    char *name;                         /* owned */
    cl_kernel kernel;
    struct named_kernel *next;
};

struct motley__program {
    char *source, *options;             /* owned: what it was asked for by */
    cl_program program;
    struct named_kernel *kernels;       /* owned list */
    struct motley__program *next;
};

/* Everything a binary depends on; owned by the caller. */
static int make_key(const struct motley__device *device, const char *options, const char *text, char **key,
                    struct motley_error *error)
{
    return motley__format(key, error, "motley %s\nplatform %s, %s\ndevice %s\ndriver %s\noptions %s\n%s",
                          motley_version(), device->info.platform, device->platform_version, device->info.name,
                          device->info.driver, options, text);
}

/* The whole log to stderr, its first line that speaks of an error into the sentence. */
static int fail_build(struct motley__device *device, cl_program program, cl_int code, const char *source,
                      const char *options, struct motley_error *error)
{
    size_t bytes = 0;
    char *log = NULL;
    if (clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) == CL_SUCCESS)
        log = calloc(bytes + 1, 1);
    if (log && clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, bytes, log, NULL) != CL_SUCCESS)
        log[0] = 0;
    if (log && log[0])
        fprintf(stderr, "motley[%d]: cl/%s with \"%s\" does not build on %s:\n%s\n", device->log.rank, source,
                options, device->info.name, log);
    const char *line = log ? strstr(log, "error") : NULL;
    while (line && line > log && line[-1] != '\n')
        line--;
    if (!line && log)
        line = log + strspn(log, "\n ");
    int status = motley__fail(error, MOTLEY_E_BUILD, "cl/%s with \"%s\" does not build on %s (%s, driver %s): %s: %.*s",
                              source, options, device->info.name, device->info.platform, device->info.driver,
                              motley__cl_name(code), line ? (int)strcspn(line, "\n") : 0, line ? line : "");
    free(log);
    return status;
}

/* The cached binary as a built program; NULL when there is none or the driver will not have it. */
static cl_program from_cache(struct motley__device *device, const char *key, const char *options)
{
    unsigned char *binary;
    size_t bytes;
    if (device->compiles_at_launch || motley__cache_load(device, key, &binary, &bytes))
        return NULL;
    cl_int code, accepted = CL_SUCCESS;
    cl_program program = clCreateProgramWithBinary(device->context, 1, &device->id, &bytes,
                                                   (const unsigned char **)&binary, &accepted, &code);
    free(binary);
    if (code != CL_SUCCESS)
        return NULL;
    if (accepted == CL_SUCCESS && clBuildProgram(program, 1, &device->id, options, NULL, NULL) == CL_SUCCESS)
        return program;
    clReleaseProgram(program);
    return NULL;
}

static void to_cache(struct motley__device *device, const char *key, cl_program program)
{
    size_t bytes = 0;
    if (device->compiles_at_launch || /* it would compile every kernel once more, for any local size */
        clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) != CL_SUCCESS || bytes == 0)
        return;
    unsigned char *binary = malloc(bytes);
    if (binary && clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS)
        motley__cache_store(device, key, binary, bytes);
    free(binary);
}

static int from_source(struct motley__device *device, const char *source, const char *text, const char *options,
                       cl_program *program, struct motley_error *error)
{
    cl_int code;
    cl_program p = clCreateProgramWithSource(device->context, 1, &text, NULL, &code);
    int status = motley__fail_cl(error, code, "clCreateProgramWithSource");
    if (status)
        return status;
    code = clBuildProgram(p, 1, &device->id, options, NULL, NULL);
    if (code != CL_SUCCESS && strstr(options, MOTLEY__SM_90A)) {
        cl_program retargeted;
        if (motley__retarget(device, p, &retargeted) == CL_SUCCESS) {
            clReleaseProgram(p);
            p = retargeted;
            code = CL_SUCCESS;
        }
    }
    if (code != CL_SUCCESS) {
        status = fail_build(device, p, code, source, options, error);
        clReleaseProgram(p);
        return status;
    }
    *program = p;
    return 0;
}

static int build(struct motley__device *device, const char *source, const char *options, cl_program *program,
                 struct motley_error *error)
{
    char *text, *key = NULL, *all = NULL;
    int status = motley__source_text(source, &text, error);
    if (status)
        return status;
    status = motley__format(&all, error, "%s%s", strstr(options, "-cl-std=") ? "" : "-cl-std=CL1.2 ", options);
    if (!status)
        status = make_key(device, all, text, &key, error);
    if (!status && !(*program = from_cache(device, key, all))) {
        /* Of several ranks that start at once one builds; the others find what it stored. */
        int lock = motley__cache_lock(device, key);
        if (lock < 0 || !(*program = from_cache(device, key, all))) {
            status = from_source(device, source, text, all, program, error);
            if (!status)
                to_cache(device, key, *program);
        }
        motley__cache_unlock(lock);
    }
    free(key);
    free(all);
    free(text);
    return status;
}

static int find_program(struct motley__device *device, const char *source, const char *options,
                        struct motley__program **program, struct motley_error *error)
{
    for (struct motley__program *p = device->programs; p; p = p->next)
        if (!strcmp(p->source, source) && !strcmp(p->options, options)) {
            *program = p;
            return 0;
        }
    struct motley__program *p = calloc(1, sizeof *p);
    if (!p)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a program");
    int status = motley__format(&p->source, error, "%s", source);
    if (!status)
        status = motley__format(&p->options, error, "%s", options);
    if (!status)
        status = build(device, source, options, &p->program, error);
    if (status) {
        free(p->source);
        free(p->options);
        free(p);
        return status;
    }
    p->next = device->programs;
    device->programs = p;
    *program = p;
    return 0;
}

static int add_kernel(struct motley__program *program, const char *name, cl_kernel *kernel,
                      struct motley_error *error)
{
    struct named_kernel *k = calloc(1, sizeof *k);
    cl_int code;
    if (!k)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a kernel");
    int status = motley__format(&k->name, error, "%s", name);
    if (!status) {
        k->kernel = clCreateKernel(program->program, name, &code);
        if (code == CL_INVALID_KERNEL_NAME)
            status = motley__fail(error, MOTLEY_E_BUILD, "cl/%s has no kernel %s", program->source, name);
        else
            status = motley__fail_cl(error, code, "clCreateKernel");
    }
    if (status) {
        free(k->name);
        free(k);
        return status;
    }
    k->next = program->kernels;
    program->kernels = k;
    *kernel = k->kernel;
    return 0;
}

int motley__kernel(struct motley__device *device, const char *source, const char *options, const char *name,
                   cl_kernel *kernel, struct motley_error *error)
{
    struct motley__program *program = NULL;
    int status = find_program(device, source, options ? options : "", &program, error);
    if (status)
        return status;
    for (struct named_kernel *k = program->kernels; k; k = k->next)
        if (!strcmp(k->name, name)) {
            *kernel = k->kernel;
            return 0;
        }
    return add_kernel(program, name, kernel, error);
}

void motley__programs_release(struct motley__device *device)
{
    while (device->programs) {
        struct motley__program *p = device->programs;
        device->programs = p->next;
        while (p->kernels) {
            struct named_kernel *k = p->kernels;
            p->kernels = k->next;
            clReleaseKernel(k->kernel);
            free(k->name);
            free(k);
        }
        clReleaseProgram(p->program);
        free(p->source);
        free(p->options);
        free(p);
    }
}
