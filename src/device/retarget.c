/* Kernels for sm_90a from NVIDIA's OpenCL compiler.
 *
 * Hopper's wgmma exists only on the target sm_90a, but the compiler translates to sm_90: the assembler refuses, the
 * build fails.  The failed program nevertheless gives out its PTX; with the target's name put right it is a program
 * like any other.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "device/program.h"

/* The PTX of a failed build, owned, with room for one more byte behind it; NULL when there is none. */
static char *failed_ptx(cl_program program, size_t *bytes)
{
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof *bytes, bytes, NULL) != CL_SUCCESS || *bytes == 0)
        return NULL;
    char *ptx = calloc(*bytes + 2, 1);
    if (ptx && clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof ptx, &ptx, NULL) == CL_SUCCESS)
        return ptx;
    free(ptx);
    return NULL;
}

int motley__retarget(struct motley__device *device, cl_program failed, cl_program *program)
{
    static const char WANTED[] = ".target sm_90";
    size_t bytes;
    char *ptx = failed_ptx(failed, &bytes), *target = ptx ? strstr(ptx, WANTED) : NULL;
    cl_int code = CL_INVALID_BINARY;
    if (target && target[strlen(WANTED)] == ',') {
        char *behind = target + strlen(WANTED);
        memmove(behind + 1, behind, strlen(behind) + 1);
        *behind = 'a';
        bytes = strlen(ptx);
        *program = clCreateProgramWithBinary(device->context, 1, &device->id, &bytes, (const unsigned char **)&ptx,
                                             NULL, &code);
        if (code == CL_SUCCESS) {
            code = clBuildProgram(*program, 1, &device->id, "", NULL, NULL);
            if (code != CL_SUCCESS)
                clReleaseProgram(*program);
        }
    }
    free(ptx);
    return code;
}
