/* OpenBLAS through CBLAS, opened at run time.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/blas.h"

/* Of cblas.h. */
enum { ROW_MAJOR = 101, NOT_TRANSPOSED = 111, TRANSPOSED = 112 };

static const char *const NAMES[] = {"libopenblas.so.0", "libopenblas.so"};

/* ISO C has no way from a data pointer to a function's. */
static int find(void *handle, const char *name, void *function, size_t size)
{
    void *symbol = dlsym(handle, name);
    if (symbol)
        memcpy(function, &symbol, size);
    return symbol != NULL;
}
#define FIND(handle, name, function) find((handle), (name), &(function), sizeof(function))

void motley__blas_open(struct motley__blas *blas, int threads)
{
    void (*set_threads)(int) = NULL;
    int (*get_threads)(void) = NULL;
    char *(*get_config)(void) = NULL;
    *blas = (struct motley__blas){.version = "not installed: apt-get install libopenblas0-pthread"};
    setenv("OPENBLAS_THREAD_TIMEOUT", "4", 0);
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES && !blas->handle; i++)
        blas->handle = dlopen(NAMES[i], RTLD_NOW | RTLD_LOCAL);
    if (!blas->handle)
        return;
    if (!FIND(blas->handle, "cblas_sgemm", blas->sgemm) ||
        !FIND(blas->handle, "openblas_set_num_threads", set_threads) ||
        !FIND(blas->handle, "openblas_get_num_threads", get_threads)) {
        motley__blas_close(blas);
        snprintf(blas->version, sizeof blas->version, "its library has no CBLAS: apt-get install libopenblas0-pthread");
        return;
    }
    if (threads > 0)
        set_threads(threads);
    blas->threads = get_threads();
    snprintf(blas->version, sizeof blas->version, "%s",
             FIND(blas->handle, "openblas_get_config", get_config) ? get_config() : "OpenBLAS");
}

void motley__blas_close(struct motley__blas *blas)
{
    if (blas->handle)
        dlclose(blas->handle);
    blas->handle = NULL;
}

void motley__blas_product(const struct motley__blas *blas, int transpose_a, int transpose_b, int m, int n, int k,
                          const float *a, const float *b, float beta, float *c)
{
    if (m > 0 && n > 0)
        blas->sgemm(ROW_MAJOR, transpose_a ? TRANSPOSED : NOT_TRANSPOSED, transpose_b ? TRANSPOSED : NOT_TRANSPOSED, m,
                    n, k, 1.0f, a, transpose_a ? m : k, b, transpose_b ? k : n, beta, c, n);
}
