/* What every fallible function of Motley returns, and where it says why.
 *
 * A function that can fail returns int: 0 or one negative code of the table below, and takes a
 * `struct motley_error *error` as its last parameter.  Whoever first decides that something failed
 * writes one sentence there (what was expected, what was found, how to mend it); everyone between
 * that place and the caller only passes the code on.  `error` may be NULL.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_STATUS_H
#define MOTLEY_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

enum motley_status {
    MOTLEY_OK = 0,
    MOTLEY_E_INVALID = -1,        /* an argument, option or shape that makes no sense */
    MOTLEY_E_MEMORY = -2,         /* host memory ran out */
    MOTLEY_E_DEVICE_MEMORY = -3,  /* device memory ran out */
    MOTLEY_E_NO_DEVICE = -4,      /* no OpenCL platform or no usable device */
    MOTLEY_E_DEVICE = -5,         /* an OpenCL call failed */
    MOTLEY_E_BUILD = -6,          /* a kernel did not build or did not pass its check */
    MOTLEY_E_COMM = -7,           /* MPI failed, or a peer stayed silent beyond the time limit */
    MOTLEY_E_IO = -8,             /* a file could not be opened, read or written */
    MOTLEY_E_FORMAT = -9,         /* a file was read but its contents are not what they must be */
    MOTLEY_E_MISMATCH = -10,      /* ranks disagree on version, options or data */
    MOTLEY_E_NONFINITE = -11,     /* NaN or infinity where finite numbers are required */
    MOTLEY_E_UNSUPPORTED = -12,   /* valid, but not available in this build or on this device */
    MOTLEY_E_INTERRUPTED = -13    /* stopped on request (SIGTERM, SIGINT) */
};

/* A value: {0} is "no error".  `text` is one line without a final newline. */
struct motley_error {
    int code;         /* enum motley_status */
    int rank;         /* rank that decided it; -1 when the error was not agreed between ranks */
    char text[2048];
};

/* A short constant name for a code, "invalid argument" for MOTLEY_E_INVALID.  Never NULL. */
const char *motley_status_name(int code);

/* The library's version, "0.1.0". */
const char *motley_version(void);

#ifdef __cplusplus
}
#endif
#endif
