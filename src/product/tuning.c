/* Tuning: what is set for a device, and its text.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "product/tuning.h"
#include "product/variant.h"

const char *const motley__product_names[MOTLEY__PRODUCTS + 1] = {"esmm", "swiglu", "transposed", "estmm", NULL};
const char *const motley__rows_names[MOTLEY__ROWS_CLASSES + 1] = {"few", "some", "many", NULL};
const char *const motley__weights_names[MOTLEY__WEIGHTS_CLASSES + 1] = {"small", "large", NULL};

enum { FEW_ROWS = 8, SOME_ROWS = 64, SMALL_NUMBERS = 1 << 20 };

/* What is set for a storage type of a device: values of the variant's tunables, 0 for a default. */
struct motley__tuning {
    const struct motley__variant *variant;
    int value[MOTLEY__PRODUCTS][MOTLEY__ROWS_CLASSES][MOTLEY__WEIGHTS_CLASSES][MOTLEY__TUNABLES];
};

int motley__tunable_matters(const struct motley__tunable *tunable, struct motley__shape_class shape)
{
    return tunable->products & MOTLEY__PRODUCT_BIT(shape.product) && tunable->rows & MOTLEY__ROWS_BIT(shape.rows);
}

int motley__tunable_allows(const struct motley__device *device, const struct motley__tunable *tunable, int value)
{
    for (int i = 0; i < MOTLEY__TUNABLE_VALUES && tunable->values[i]; i++)
        if (tunable->values[i] == value)
            return !tunable->allows || tunable->allows(device, value);
    return 0;
}

int motley__tunable_default(const struct motley__device *device, const struct motley__tunable *tunable)
{
    for (int i = 0; i < MOTLEY__TUNABLE_VALUES && tunable->values[i]; i++)
        if (!tunable->allows || tunable->allows(device, tunable->values[i]))
            return tunable->values[i];
    assert(!"a tunable has a value for every device that its variant suits");
    return tunable->values[0];
}

enum motley__weights_class motley__weights_class_of(int O, int I)
{
    return (size_t)O * (size_t)I > SMALL_NUMBERS ? MOTLEY__WEIGHTS_LARGE : MOTLEY__WEIGHTS_SMALL;
}

struct motley__shape_class motley__shape_class_of(enum motley__product product, const struct motley__product_args *args)
{
    const int experts = args->rows < args->experts ? args->rows : args->experts;
    const int rows = experts > 0 ? (args->rows + experts - 1) / experts : 0;
    return (struct motley__shape_class){
        .product = product,
        .rows = rows <= FEW_ROWS ? MOTLEY__ROWS_FEW : rows <= SOME_ROWS ? MOTLEY__ROWS_SOME : MOTLEY__ROWS_MANY,
        .weights = motley__weights_class_of(args->O, args->I),
    };
}

int motley__tuned(const struct motley__device *device, const struct motley__variant *variant, enum motley_dtype dtype,
                  struct motley__shape_class shape, int tunable)
{
    const struct motley__tuning *tuning = device->tuning[dtype];
    int value = 0;
    assert(tunable < variant->tunables_count);
    if (tuning && tuning->variant == variant)
        value = tuning->value[shape.product][shape.rows][shape.weights][tunable];
    return value ? value : motley__tunable_default(device, &variant->tunables[tunable]);
}

int motley__tuning_set(struct motley__device *device, enum motley_dtype dtype, struct motley__shape_class shape,
                       int tunable, int value, struct motley_error *error)
{
    const struct motley__variant *variant = motley__variant(device, dtype);
    assert(tunable < variant->tunables_count && variant->tunables_count <= MOTLEY__TUNABLES);
    assert(!value || motley__tunable_allows(device, &variant->tunables[tunable], value));
    if (device->tuning[dtype] && device->tuning[dtype]->variant != variant)
        motley__tuning_clear(device, dtype);
    if (!device->tuning[dtype])
        device->tuning[dtype] = calloc(1, sizeof *device->tuning[dtype]);
    if (!device->tuning[dtype])
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the tuning of a device");
    device->tuning[dtype]->variant = variant;
    device->tuning[dtype]->value[shape.product][shape.rows][shape.weights][tunable] = value;
    return 0;
}

void motley__tuning_clear(struct motley__device *device, enum motley_dtype dtype)
{
    free(device->tuning[dtype]);
    device->tuning[dtype] = NULL;
}

void motley__tuning_text(const struct motley__device *device, enum motley_dtype dtype,
                         struct motley__shape_class shape, char text[MOTLEY__SETTINGS])
{
    const struct motley__variant *variant = motley__variant(device, dtype);
    size_t used = 0;
    text[0] = '\0';
    for (int t = 0; t < variant->tunables_count && used < MOTLEY__SETTINGS; t++)
        if (motley__tunable_matters(&variant->tunables[t], shape))
            used += (size_t)snprintf(text + used, MOTLEY__SETTINGS - used, "%s%s=%d", used ? " " : "",
                                     variant->tunables[t].name, motley__tuned(device, variant, dtype, shape, t));
}

/* The values that a text names, 0 for the others.  Errors: MOTLEY_E_FORMAT. */
static int read_values(const struct motley__device *device, const struct motley__variant *variant,
                       struct motley__shape_class shape, const char *text, int value[MOTLEY__TUNABLES],
                       struct motley_error *error)
{
    char name[16];
    int number, length;
    memset(value, 0, MOTLEY__TUNABLES * sizeof *value);
    while (length = -1, sscanf(text, " %15[a-z_]=%9d%n", name, &number, &length) == 2 && length > 0) {
        int t = 0;
        while (t < variant->tunables_count && strcmp(variant->tunables[t].name, name))
            t++;
        if (t == variant->tunables_count || !motley__tunable_matters(&variant->tunables[t], shape))
            return motley__fail(error, MOTLEY_E_FORMAT, "%s/%s has no tunable %s for %s", variant->family,
                                variant->name, name, motley__product_names[shape.product]);
        if (!motley__tunable_allows(device, &variant->tunables[t], number))
            return motley__fail(error, MOTLEY_E_FORMAT, "%s=%d is no value of %s/%s on this device", name, number,
                                variant->family, variant->name);
        value[t] = number;
        text += length;
    }
    if (text[strspn(text, " ")])
        return motley__fail(error, MOTLEY_E_FORMAT, "\"%.40s\" is no list of name=value", text);
    return 0;
}

int motley__tuning_read(struct motley__device *device, enum motley_dtype dtype, struct motley__shape_class shape,
                        const char *text, struct motley_error *error)
{
    const struct motley__variant *variant = motley__variant(device, dtype);
    int value[MOTLEY__TUNABLES], status = read_values(device, variant, shape, text, value, error);
    for (int t = 0; t < variant->tunables_count && !status; t++)
        status = motley__tuning_set(device, dtype, shape, t, value[t], error);
    return status;
}

/* The tunables of one class that are set otherwise than by default, appended at `used`; returns the new length. */
static size_t list_class(const struct motley__device *device, const struct motley__tuning *tuning,
                         struct motley__shape_class shape, char *text, size_t size, size_t used)
{
    const struct motley__variant *variant = tuning->variant;
    int listed = 0;
    for (int t = 0; t < variant->tunables_count; t++) {
        const int value = tuning->value[shape.product][shape.rows][shape.weights][t];
        if (!value || value == motley__tunable_default(device, &variant->tunables[t]))
            continue;
        if (!listed++ && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s of %s rows, %s weights:", used ? "; " : "",
                                     motley__product_names[shape.product], motley__rows_names[shape.rows],
                                     motley__weights_names[shape.weights]);
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, " %s=%d", variant->tunables[t].name, value);
    }
    return used;
}

void motley__tuning_list(const struct motley__device *device, enum motley_dtype dtype, char *text, size_t size)
{
    const struct motley__tuning *tuning = device->tuning[dtype];
    size_t used = 0;
    text[0] = '\0';
    if (!tuning || tuning->variant != motley__variant(device, dtype))
        return;
    for (int product = 0; product < MOTLEY__PRODUCTS; product++)
        for (int rows = 0; rows < MOTLEY__ROWS_CLASSES; rows++)
            for (int weights = 0; weights < MOTLEY__WEIGHTS_CLASSES; weights++)
                used = list_class(device, tuning, (struct motley__shape_class){(enum motley__product)product,
                    (enum motley__rows_class)rows, (enum motley__weights_class)weights}, text, size, used);
}
