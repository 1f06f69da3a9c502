/* Normalised errors.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "bench/compare.h"
#include "device/storage.h"

enum { MATRICES = 8, PARTS = 6, ELEMENTS = 24 }; /* compared: experts with a peer; parts, numbers of each without */
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

/* Numbers of a result in rows. */
static int read_rows(const struct motley__result *result, size_t first, size_t count, float *host,
                     struct motley_error *error)
{
    const size_t each = motley__storage_bytes(result->dtype);
    if (result->dtype == MOTLEY_F32)
        return motley__buffer_read(result->rows, first * each, host, count * each, error);
    void *stored = malloc(count * each);
    int status = stored ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu numbers", count);
    if (!status)
        status = motley__buffer_read(result->rows, first * each, stored, count * each, error);
    if (!status)
        motley__load(result->dtype, stored, count, host);
    free(stored);
    return status;
}

static int add_rows(struct sums *sums, const struct motley__result *result, const float *expected, float *host,
                    size_t room, struct motley_error *error)
{
    const size_t count = (size_t)result->count * result->width;
    int status = 0;
    for (size_t first = 0; first < count && !status; first += room) {
        const size_t n = count - first < room ? count - first : room;
        status = read_rows(result, first, n, host, error);
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

/* Part i of a result, whole, on the host. */
static int read_part(const struct motley__result *result, int i, float *host, struct motley_error *error)
{
    if (result->matrix)
        return motley__matrix_get(result->matrix, i, host, error);
    return read_rows(result, (size_t)i * result->width, result->width, host, error);
}

/* Parts from the first to the last, and of each numbers from its first to its last. */
static int sample(const struct motley__operator *op, const struct motley__problem *problem, int j,
                  const struct motley__result *result, struct sums *sums, struct motley_error *error)
{
    const int parts = result->count < PARTS ? result->count : PARTS;
    const size_t elements = result->width < ELEMENTS ? result->width : ELEMENTS;
    float *host = malloc(result->width * sizeof *host);
    int status = host ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu numbers", result->width);
    for (int i = 0; i < parts && !status; i++) {
        const int part = parts > 1 ? (int)((long long)i * (result->count - 1) / (parts - 1)) : 0;
        status = read_part(result, part, host, error);
        for (size_t n = 0; n < elements && !status; n++) {
            const size_t at = elements > 1 ? n * (result->width - 1) / (elements - 1) : 0;
            const float expected = (float)op->twin(problem, j, part, at);
            add(sums, &host[at], &expected, 1);
        }
    }
    free(host);
    return status;
}

int motley__compare_twin(const struct motley__operator *op, struct motley__problem *problem, double *difference,
                         struct motley_error *error)
{
    struct motley__result result[MOTLEY__RESULTS];
    const int results = op->twin ? op->results(problem, result) : 0;
    int status = 0;
    *difference = 0;
    for (int j = 0; j < results && !status && !isnan(*difference); j++) {
        struct sums sums = {0};
        status = sample(op, problem, j, &result[j], &sums, error);
        const double found = sums.norm > 0 ? sqrt(sums.difference / sums.norm) : sqrt(sums.difference);
        if (!(found <= *difference))
            *difference = found;
    }
    return status;
}
