/* Kernels by name.
 *
 * Sources are embedded at build from cl/ (with "#line 1" so that the compiler's messages point home);
 * MOTLEY_CL_DIR reads them from that folder instead: edit, rerun, no rebuild.  A built program is kept
 * in the device for its life and on disk (cache.c), keyed by everything its binary depends on.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_DEVICE_PROGRAM_H
#define MOTLEY_DEVICE_PROGRAM_H

#include "device/device.h"

/* Kernel `name` of file `source` ("route.cl", "cpu/esmm.cl"), built with `options` ("-DPANEL=16", may be "").
 * Built at most once per (source, options) in this process.  The kernel is borrowed until the device
 * is closed.  `#include "tile.h"` in a source finds cl/tile.h among the embedded ones.
 * MOTLEY__SM_90A at the start of `options` asks for NVIDIA's target of that name (retarget.c).
 * Errors: MOTLEY_E_BUILD with the start of the compiler's log (the whole log goes to stderr). */
#define MOTLEY__SM_90A "-DSM_90A "
int motley__kernel(struct motley__device *device, const char *source, const char *options, const char *name,
                   cl_kernel *kernel, struct motley_error *error);

/* The embedded sources, sorted by name (made from cl/ by the build). */
struct motley__source {
    const char *name;
    const char *text;
};
extern const struct motley__source motley__sources[];
extern const int motley__sources_count;

/* source.c: the text of cl/<name> with its includes in place and #line directives; *text owned by the caller. */
int motley__source_text(const char *name, char **text, struct motley_error *error);

/* retarget.c: a program for sm_90a from one whose build failed because the compiler knows only sm_90.  Returns an
 * OpenCL code; *program, owned, is built. */
int motley__retarget(struct motley__device *device, cl_program failed, cl_program *program);

/* cache.c: one file per built program, "<hash>.bin" with a header {magic, key length, key, bytes, checksum}.
 * A missing, foreign, truncated or corrupted file is a miss and is replaced; writes are atomic, so several
 * ranks may start at once. */
/* 0 and *binary owned by the caller, or any other value for a miss. */
int motley__cache_load(const struct motley__device *device, const char *key, unsigned char **binary, size_t *bytes);
void motley__cache_store(const struct motley__device *device, const char *key, const unsigned char *binary,
                         size_t bytes);

/* Held by the one rank that builds `key`, while others wait (a minute at most); -1 when there is no cache or no
 * lock to be had.  Unlocking -1 does nothing. */
int motley__cache_lock(const struct motley__device *device, const char *key);
void motley__cache_unlock(int lock);

void motley__programs_release(struct motley__device *device);

#endif
