/* E matrices [O,I] in panels, in one or several buffers.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdlib.h>

#include "product/matrix.h"

size_t motley__matrix_numbers(int O, int I, int panel)
{
    size_t panels = ((size_t)O + panel - 1) / panel;
    return panels * panel * I;
}

static size_t expert_bytes_of(const struct motley__matrix *m)
{
    return motley__matrix_numbers(m->O, m->I, m->panel) * motley__storage_bytes(m->dtype);
}

int motley__matrix_experts(const struct motley__matrix *matrix, int segment)
{
    int left = matrix->E - segment * matrix->per_segment;
    return left < matrix->per_segment ? left : matrix->per_segment;
}

static int add_segments(struct motley__matrix *m, struct motley_error *error)
{
    size_t expert_bytes = expert_bytes_of(m);
    size_t fit = m->device->max_buffer_bytes / expert_bytes;
    if (fit == 0)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED,
                            "a matrix [%d,%d] needs %zu bytes but one buffer of %s holds at most %llu: use a smaller "
                            "hidden width or another device", m->O, m->I, expert_bytes, m->device->info.name,
                            (unsigned long long)m->device->max_buffer_bytes);
    m->per_segment = fit < (size_t)m->E ? (int)fit : m->E;
    int segments = (m->E + m->per_segment - 1) / m->per_segment;
    m->segment = calloc(segments, sizeof(*m->segment));
    if (!m->segment)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a list of %d buffers", segments);
    for (; m->segments < segments; m->segments++) {
        size_t bytes = (size_t)motley__matrix_experts(m, m->segments) * expert_bytes;
        int status = motley__buffer_create(m->device, bytes, &m->segment[m->segments], error);
        if (status)
            return status;
        status = motley__buffer_zero(m->segment[m->segments], 0, bytes, error);
        if (status) {
            m->segments++;
            return status;
        }
    }
    return 0;
}

static int borrow_storage(struct motley__matrix *m, struct motley__buffer *storage, struct motley_error *error)
{
    size_t bytes = expert_bytes_of(m) * m->E;
    assert(storage->bytes >= bytes);
    m->segment = calloc(1, sizeof(*m->segment));
    if (!m->segment)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix");
    m->segment[0] = storage;
    m->segments = 1;
    m->per_segment = m->E;
    m->borrowed = 1;
    return motley__buffer_zero(storage, 0, bytes, error);
}

int motley__matrix_create(struct motley__device *device, enum motley_dtype dtype, int E, int O, int I, int panel,
                          struct motley__buffer *storage, struct motley__matrix **matrix, struct motley_error *error)
{
    assert(E >= 0 && O > 0 && I > 0 && panel > 0);
    struct motley__matrix *m = calloc(1, sizeof(*m));
    if (!m)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix");
    *m = (struct motley__matrix){.device = device, .dtype = dtype, .E = E, .O = O, .I = I, .panel = panel};
    int status = 0;
    if (E > 0)
        status = storage ? borrow_storage(m, storage, error) : add_segments(m, error);
    if (status) {
        motley__matrix_destroy(m);
        return status;
    }
    *matrix = m;
    return 0;
}

int motley__matrix_view(const struct motley__matrix *matrix, int E, struct motley__matrix **view,
                        struct motley_error *error)
{
    assert(E >= 0 && E <= matrix->E);
    struct motley__matrix *v = malloc(sizeof *v);
    const int segments = E ? (E + matrix->per_segment - 1) / matrix->per_segment : 0;
    if (v) {
        *v = *matrix;
        v->E = E;
        v->segments = segments;
        v->borrowed = 1;
        v->segment = malloc(((size_t)segments + 1) * sizeof *v->segment);
    }
    if (!v || !v->segment) {
        free(v);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a matrix");
    }
    for (int s = 0; s < segments; s++)
        v->segment[s] = matrix->segment[s];
    *view = v;
    return 0;
}

void motley__matrix_destroy(struct motley__matrix *matrix)
{
    if (!matrix)
        return;
    for (int s = 0; s < matrix->segments && !matrix->borrowed; s++)
        motley__buffer_destroy(matrix->segment[s]);
    free(matrix->segment);
    free(matrix);
}

/* The buffer that holds an expert, and where in it. */
static struct motley__buffer *locate(const struct motley__matrix *matrix, int expert, size_t *offset, size_t *bytes)
{
    assert(expert >= 0 && expert < matrix->E);
    *bytes = expert_bytes_of(matrix);
    *offset = expert % matrix->per_segment * *bytes;
    return matrix->segment[expert / matrix->per_segment];
}

/* Host memory for one expert as the device stores it, and behind it, for panels, as floats: *packed, else NULL. */
static int host_memory(const struct motley__matrix *matrix, size_t bytes, void **stored, float **packed,
                       struct motley_error *error)
{
    size_t floats = matrix->panel > 1 ? motley__matrix_numbers(matrix->O, matrix->I, matrix->panel) : 0;
    char *memory = malloc(floats * sizeof(float) + bytes);
    if (!memory)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu bytes of weights", bytes);
    *packed = floats ? (float *)memory : NULL;
    *stored = memory + floats * sizeof(float);
    return 0;
}

int motley__matrix_set(struct motley__matrix *matrix, int expert, const float *canonical, struct motley_error *error)
{
    size_t offset, bytes;
    struct motley__buffer *buffer = locate(matrix, expert, &offset, &bytes);
    void *stored;
    float *packed;
    if (matrix->panel == 1 && matrix->dtype == MOTLEY_F32)
        return motley__buffer_write(buffer, offset, canonical, bytes, error);
    int status = host_memory(matrix, bytes, &stored, &packed, error);
    if (status)
        return status;
    if (packed)
        motley__matrix_pack(matrix->O, matrix->I, matrix->panel, canonical, packed);
    motley__store(matrix->dtype, packed ? packed : canonical, bytes / motley__storage_bytes(matrix->dtype), stored);
    status = motley__buffer_write(buffer, offset, stored, bytes, error);
    free(packed ? packed : stored);
    return status;
}

int motley__matrix_get(const struct motley__matrix *matrix, int expert, float *canonical, struct motley_error *error)
{
    size_t offset, bytes;
    struct motley__buffer *buffer = locate(matrix, expert, &offset, &bytes);
    void *stored;
    float *packed;
    if (matrix->panel == 1 && matrix->dtype == MOTLEY_F32)
        return motley__buffer_read(buffer, offset, canonical, bytes, error);
    int status = host_memory(matrix, bytes, &stored, &packed, error);
    if (status)
        return status;
    status = motley__buffer_read(buffer, offset, stored, bytes, error);
    if (!status)
        motley__load(matrix->dtype, stored, bytes / motley__storage_bytes(matrix->dtype), packed ? packed : canonical);
    if (!status && packed)
        motley__matrix_unpack(matrix->O, matrix->I, matrix->panel, packed, canonical);
    free(packed ? packed : stored);
    return status;
}

void motley__matrix_pack(int O, int I, int panel, const float *canonical, float *packed)
{
    for (int o0 = 0; o0 < O; o0 += panel)
        for (int i = 0; i < I; i++)
            for (int lane = 0; lane < panel; lane++)
                *packed++ = o0 + lane < O ? canonical[(size_t)(o0 + lane) * I + i] : 0.0f;
}

void motley__matrix_unpack(int O, int I, int panel, const float *packed, float *canonical)
{
    for (int o = 0; o < O; o++)
        for (int i = 0; i < I; i++)
            canonical[(size_t)o * I + i] = packed[((size_t)(o / panel) * I + i) * panel + o % panel];
}
