/* Normalised errors.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "bench/compare.h"

enum { MATRICES = 8 };
static const size_t CHUNK = (size_t)1 << 22;    /* numbers brought to the host at once, or one part if that is more */

struct sums {
    double difference, norm;
};

static void add(struct sums *sums, const float *got, const float *expected, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double d = (double)got[i] - expected[i];
        sums->difference += d * d;
        sums->norm += (double)expected[i] * expected[i];
    }
}

static int add_rows(struct sums *sums, const struct motley__result *result, const float *expected, float *host,
                    size_t room, struct motley_error *error)
{
    const size_t count = (size_t)result->count * result->width;
    int status = 0;
    for (size_t first = 0; first < count && !status; first += room) {
        const size_t n = count - first < room ? count - first : room;
        status = motley__buffer_read(result->rows, first * sizeof *host, host, n * sizeof *host, error);
        if (!status)
            add(sums, host, expected + first, n);
    }
    return status;
}

static int add_matrices(struct sums *sums, const struct motley__result *result, const float *expected, float *host,
                        struct motley_error *error)
{
    const int step = (result->count + MATRICES - 1) / MATRICES;
    int status = 0;
    for (int e = 0; e < result->count && !status; e += step) {
        status = motley__matrix_get(result->matrix, e, host, error);
        if (!status)
            add(sums, host, expected + (size_t)e * result->width, result->width);
    }
    return status;
}

int motley__compare(const struct motley__result *result, const float *expected, double *difference,
                    struct motley_error *error)
{
    const size_t room = result->matrix || result->width > CHUNK ? result->width : CHUNK;
    struct sums sums = {0};
    float *host = malloc(room * sizeof *host);
    if (!host)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu numbers", room);
    int status = result->matrix ? add_matrices(&sums, result, expected, host, error)
                                : add_rows(&sums, result, expected, host, room, error);
    free(host);
    if (!status)
        *difference = sums.norm > 0 ? sqrt(sums.difference / sums.norm) : sqrt(sums.difference);
    return status;
}
