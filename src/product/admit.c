/* Which kernel variant a device runs: the first whose products agree with the scalar twin.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "product/admit.h"
#include "product/ref.h"
#include "product/variant.h"

/* Sizes that no tile divides, several tiles in each direction, more than one contraction block, an empty expert. */
enum { E = 3, P = 163, O = 69, I = 261 };
static const int OFFSETS[E + 1] = {0, 8, 8, P};
/* The largest normalised error of sums in f32, and of results that are rounded to a storage type: 2^-8 of a number at
 * most in bf16, which makes a normalised error of 1.5e-3; an eighth of that in f16. */
static const double SUM_LIMIT = 1e-5;
static const double LIMIT[MOTLEY__DTYPES] = {1e-5, 4e-3, 5e-4};

/* One trial's tensors, on the host and on the device. */
struct trial {
    struct motley__device *device;
    enum motley_dtype dtype;
    float *x, *g, *w, *w3, *bias;               /* owned: inputs [P,I] [P,O] [E,O,I] [E,O,I] [E,O] */
    float *got, *expected;                      /* owned: results, room for the largest */
    struct motley__buffer *dx, *dg, *dbias, *dy, *offsets;
    struct motley__matrix *dw, *dw3, *slope;    /* owned; slope, f32, is the ESTMM's result */
    double error;                               /* the largest seen */
};

/* Numbers that the storage type holds exactly. */
static float *random_floats(enum motley_dtype dtype, size_t count, uint64_t stream)
{
    float *values = malloc(count * sizeof(float));
    for (size_t i = 0; values && i < count; i++) {
        float value = (float)motley__random_uniform(1, stream, i) - 0.5f, stored;
        motley__store(dtype, &value, 1, &stored);
        motley__load(dtype, &stored, 1, &values[i]);
    }
    return values;
}

static int upload(struct motley__device *device, const void *host, size_t bytes, struct motley__buffer **buffer,
                  struct motley_error *error)
{
    int status = motley__buffer_create(device, bytes, buffer, error);
    return status ? status : motley__buffer_write(*buffer, 0, host, bytes, error);
}

static int upload_rows(const struct trial *t, const float *host, size_t count, struct motley__buffer **buffer,
                       struct motley_error *error)
{
    size_t bytes = count * motley__storage_bytes(t->dtype);
    void *stored = malloc(bytes);
    if (!stored)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory while checking kernels");
    motley__store(t->dtype, host, count, stored);
    int status = upload(t->device, stored, bytes, buffer, error);
    free(stored);
    return status;
}

static int make_matrix(const struct trial *t, enum motley_dtype dtype, struct motley__matrix **matrix,
                       struct motley_error *error)
{
    return motley__matrix_create(t->device, dtype, E, O, I, motley__esmm_panel(t->device, t->dtype), NULL, matrix,
                                 error);
}

static int upload_matrix(const struct trial *t, const float *w, struct motley__matrix **matrix,
                         struct motley_error *error)
{
    int status = make_matrix(t, t->dtype, matrix, error);
    for (int e = 0; e < E && !status; e++)
        status = motley__matrix_set(*matrix, e, w + (size_t)e * O * I, error);
    return status;
}

static void close_trial(struct trial *t)
{
    motley__matrix_destroy(t->slope);
    motley__matrix_destroy(t->dw3);
    motley__matrix_destroy(t->dw);
    motley__buffer_destroy(t->offsets);
    motley__buffer_destroy(t->dy);
    motley__buffer_destroy(t->dbias);
    motley__buffer_destroy(t->dg);
    motley__buffer_destroy(t->dx);
    free(t->expected);
    free(t->got);
    free(t->bias);
    free(t->w3);
    free(t->w);
    free(t->g);
    free(t->x);
}

static int open_trial(struct trial *t, struct motley_error *error)
{
    size_t rows = (size_t)P * (O > I ? O : I), weights = (size_t)E * O * I, most = rows > weights ? rows : weights;
    t->x = random_floats(t->dtype, (size_t)P * I, 0);
    t->g = random_floats(t->dtype, (size_t)P * O, 1);
    t->w = random_floats(t->dtype, weights, 2);
    t->w3 = random_floats(t->dtype, weights, 3);
    t->bias = random_floats(MOTLEY_F32, (size_t)E * O, 4);
    t->got = random_floats(t->dtype, most, 5);
    t->expected = random_floats(t->dtype, most, 5);
    if (!t->x || !t->g || !t->w || !t->w3 || !t->bias || !t->got || !t->expected)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory while checking kernels");
    int status = upload_rows(t, t->x, (size_t)P * I, &t->dx, error);
    if (!status)
        status = upload_rows(t, t->g, (size_t)P * O, &t->dg, error);
    if (!status)
        status = upload(t->device, t->bias, sizeof(float) * E * O, &t->dbias, error);
    if (!status)
        status = upload(t->device, OFFSETS, sizeof OFFSETS, &t->offsets, error);
    if (!status)
        status = motley__buffer_create(t->device, motley__storage_bytes(t->dtype) * rows, &t->dy, error);
    if (!status)
        status = upload_matrix(t, t->w, &t->dw, error);
    if (!status)
        status = upload_matrix(t, t->w3, &t->dw3, error);
    if (!status)
        status = make_matrix(t, MOTLEY_F32, &t->slope, error);
    return status;
}

/* The norm of the difference over the norm of the reference. */
static int compare(struct trial *t, const char *what, size_t count, double limit, struct motley_error *error)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)t->got[i] - t->expected[i];
        difference += d * d;
        norm += (double)t->expected[i] * t->expected[i];
    }
    double found = sqrt(difference / norm);
    if (!(found < limit))
        return motley__fail(error, MOTLEY_E_BUILD, "%s is off by %.1e, at most %.0e is right", what, found, limit);
    t->error = found > t->error ? found : t->error;
    return 0;
}

/* The rows of `dy` against what was expected. */
static int compare_rows(struct trial *t, const char *what, size_t count, struct motley_error *error)
{
    size_t bytes = count * motley__storage_bytes(t->dtype);
    void *stored = malloc(bytes);
    int status = stored ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory while checking kernels");
    if (!status)
        status = motley__buffer_read(t->dy, 0, stored, bytes, error);
    if (!status)
        motley__load(t->dtype, stored, count, t->got);
    free(stored);
    return status ? status : compare(t, what, count, LIMIT[t->dtype], error);
}

static int try_forward(struct trial *t, int activation, struct motley_error *error)
{
    int swiglu = activation == MOTLEY__ACT_SWIGLU;
    struct motley__esmm esmm = {.w = t->dw, .w3 = swiglu ? t->dw3 : NULL, .bias = swiglu ? NULL : t->dbias,
                                .ragged = {E, P, t->offsets}, .x = {.own = t->dx, .own_rows = P, .dtype = t->dtype},
                                .dtype = t->dtype, .activation = activation, .y = t->dy};
    struct motley__ref_esmm ref = {.E = E, .P = P, .O = O, .I = I, .offsets = OFFSETS, .x = {.own = t->x},
                                   .w = t->w, .w3 = t->w3, .bias = swiglu ? NULL : t->bias, .activation = activation,
                                   .y = t->expected};
    int status = motley__esmm(t->device, &esmm, error);
    if (status)
        return status;
    motley__ref_esmm(&ref);
    return compare_rows(t, swiglu ? "esmm with swiglu" : "esmm", (size_t)P * O, error);
}

static int try_transposed(struct trial *t, struct motley_error *error)
{
    struct motley__esmm esmm = {.w = t->dw, .ragged = {E, P, t->offsets},
                                .x = {.own = t->dg, .own_rows = P, .dtype = t->dtype}, .dtype = t->dtype,
                                .activation = MOTLEY__ACT_NONE, .y = t->dy};
    struct motley__ref_esmm ref = {.E = E, .P = P, .O = O, .I = I, .offsets = OFFSETS, .x = {.own = t->g},
                                   .w = t->w, .y = t->expected};
    int status = motley__esmm_transposed(t->device, &esmm, error);
    if (status)
        return status;
    motley__ref_esmm_transposed(&ref);
    return compare_rows(t, "esmm_transposed", (size_t)P * I, error);
}

static int try_esmm(struct trial *t, struct motley_error *error)
{
    int status = try_forward(t, MOTLEY__ACT_RELU, error);
    if (!status)
        status = try_forward(t, MOTLEY__ACT_SWIGLU, error);
    return status ? status : try_transposed(t, error);
}

static int try_estmm(struct trial *t, struct motley_error *error)
{
    struct motley__estmm estmm = {.ragged = {E, P, t->offsets}, .a = {.own = t->dg, .own_rows = P, .dtype = t->dtype},
                                  .b = {.own = t->dx, .own_rows = P, .dtype = t->dtype}, .dw = t->slope};
    struct motley__ref_rows a = {.own = t->g}, b = {.own = t->x};
    int status = motley__estmm(t->device, &estmm, error);
    for (int e = 0; e < E && !status; e++)
        status = motley__matrix_get(t->slope, e, t->got + (size_t)e * O * I, error);
    if (status)
        return status;
    motley__ref_estmm(E, P, O, I, OFFSETS, &a, &b, 0, t->expected);
    return compare(t, "estmm", (size_t)E * O * I, SUM_LIMIT, error);
}

/* Build and check the device's present variant for a storage type. */
static int try_variant(struct motley__device *device, enum motley_dtype dtype, double *found,
                       struct motley_error *error)
{
    struct trial trial = {.device = device, .dtype = dtype};
    int status = open_trial(&trial, error);
    if (!status)
        status = try_esmm(&trial, error);
    if (!status)
        status = try_estmm(&trial, error);
    *found = trial.error;
    close_trial(&trial);
    return status;
}

/* Build and check the products of few rows beside that variant. */
static int try_few(struct motley__device *device, enum motley_dtype dtype, struct motley_error *error)
{
    struct trial trial = {.device = device, .dtype = dtype};
    int status = open_trial(&trial, error);
    device->few_pairs[dtype] = P;
    if (!status)
        status = try_esmm(&trial, error);
    close_trial(&trial);
    return status;
}

/* What was wrong with them goes behind what was wrong with variants. */
static void admit_few(struct motley__device *device, enum motley_dtype dtype, char *rejected, size_t size)
{
    const int pairs = device->few_pairs[dtype];
    const size_t used = strlen(rejected);
    struct motley_error reason = {0};
    if (pairs == 0 || device->variant[dtype]->panel(device) != 1)
        return;
    const int failed = try_few(device, dtype, &reason);
    device->few_pairs[dtype] = failed ? 0 : pairs;
    if (failed)
        snprintf(rejected + used, size - used, "%sfew rows: %.400s", used ? "; " : "", reason.text);
}

static void say_why(struct motley__device *device, enum motley_dtype dtype, const char *rejected, double found)
{
    const struct motley__variant *variant = device->variant[dtype];
    char what[64];
    variant->describe(device, what, sizeof what);
    snprintf(device->why[dtype], sizeof device->why[dtype], "%s/%s: %s, checked to %.0e%s%.120s", variant->family,
             variant->name, what, found, rejected[0] ? ", because " : "", rejected);
}

/* Every candidate's name, for people who asked for another: "the candidates are cpu/registers, generic/tiles". */
static void list_candidates(const struct motley__device *device, enum motley_dtype dtype, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int v = 0; v < motley__variants_count && used < size; v++) {
        const struct motley__variant *variant = motley__variants[v];
        if (variant->dtypes & MOTLEY__DTYPE_BIT(dtype) && variant->suits(device))
            used += (size_t)snprintf(text + used, size - used, "%s%s/%s", used ? ", " : "the candidates are ",
                                     variant->family, variant->name);
    }
}

/* The first variant that passes, or NULL; what was wrong with those before it goes into `rejected`. */
static const struct motley__variant *first_to_pass(struct motley__device *device, enum motley_dtype dtype,
                                                   const char *only, char *rejected, size_t size, double *found)
{
    size_t used = 0;
    for (int v = 0; v < motley__variants_count; v++) {
        const struct motley__variant *variant = motley__variants[v];
        struct motley_error reason = {0};
        if (!(variant->dtypes & MOTLEY__DTYPE_BIT(dtype)) || !motley__variant_matches(variant, only) ||
            !variant->suits(device))
            continue;
        device->variant[dtype] = variant;
        if (!try_variant(device, dtype, found, &reason))
            return variant;
        if (used < size)
            used += (size_t)snprintf(rejected + used, size - used, "%s%s/%s: %.400s", used ? "; " : "", variant->family,
                                     variant->name, reason.text);
    }
    return NULL;
}

static int admit(struct motley__device *device, enum motley_dtype dtype, struct motley_error *error)
{
    const char *only = getenv("MOTLEY_FAMILY");
    char rejected[1024] = "";
    double found = 0;

    device->variant[dtype] = first_to_pass(device, dtype, only, rejected, sizeof rejected, &found);
    if (device->variant[dtype]) {
        admit_few(device, dtype, rejected, sizeof rejected);
        say_why(device, dtype, rejected, found);
        return 0;
    }
    if (!rejected[0])
        list_candidates(device, dtype, rejected, sizeof rejected);
    return motley__fail(error, MOTLEY_E_BUILD, "no kernel family runs %s on %s%s%s: %s", motley__storage_name(dtype),
                        device->info.name, only ? " with MOTLEY_FAMILY=" : "", only ? only : "", rejected);
}

int motley__admit(struct motley__device *device, struct motley_error *error)
{
    struct motley_device_info *info = &device->info;
    int status = admit(device, MOTLEY_F32, error);
    if (status) {
        info->family[0] = '\0';
        return status;
    }
    snprintf(info->family, sizeof info->family, "%s", device->variant[MOTLEY_F32]->family);
    snprintf(info->why, sizeof info->why, "%s", device->why[MOTLEY_F32]);
    return 0;
}

int motley__admit_dtype(struct motley__device *device, enum motley_dtype dtype, struct motley_error *error)
{
    if (device->variant[dtype])
        return 0;
    return dtype == MOTLEY_F32 ? motley__admit(device, error) : admit(device, dtype, error);
}

int motley__admit_check(struct motley__device *device, enum motley_dtype dtype, struct motley_error *error)
{
    double found;
    return try_variant(device, dtype, &found, error);
}
