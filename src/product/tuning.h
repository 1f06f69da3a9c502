/* Tuning: numbers of a kernel variant that `motley measure` may choose for a device.
 *
 * A tunable says how a product is computed (tile sizes, the split of the work, how far ahead to fetch) and never what
 * comes out: sums run in the same order whatever its value, so a result has the same bits.  Hence plans need not
 * know what was chosen, and equal devices may differ in it.  What would change the order of sums is no tunable.
 *
 * A value holds for a class of shapes:
 *
 *   product    esmm, swiglu, transposed, estmm (esmm.h, estmm.h)
 *   rows       few: up to 8 an expert on average; some: up to 64; many
 *   weights    small: a matrix of up to 2^20 numbers; large
 *
 * A variant lists its tunables (variant.h) and its launchers ask motley__tuned: what was set for the device, otherwise
 * the default.  Values are set by measuring (measure/tune.h) and from the profile (profile/record.h).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_TUNING_H
#define MOTLEY_PRODUCT_TUNING_H

#include <stddef.h>

#include <motley/tensor.h>
#include "cl/types.h"
#include "device/device.h"

enum motley__product {
    MOTLEY__PRODUCT_ESMM,
    MOTLEY__PRODUCT_SWIGLU,
    MOTLEY__PRODUCT_TRANSPOSED,
    MOTLEY__PRODUCT_ESTMM,
    MOTLEY__PRODUCTS
};
enum motley__rows_class { MOTLEY__ROWS_FEW, MOTLEY__ROWS_SOME, MOTLEY__ROWS_MANY, MOTLEY__ROWS_CLASSES };
enum motley__weights_class { MOTLEY__WEIGHTS_SMALL, MOTLEY__WEIGHTS_LARGE, MOTLEY__WEIGHTS_CLASSES };

/* Their names in profiles. */
extern const char *const motley__product_names[MOTLEY__PRODUCTS + 1];
extern const char *const motley__rows_names[MOTLEY__ROWS_CLASSES + 1];
extern const char *const motley__weights_names[MOTLEY__WEIGHTS_CLASSES + 1];

struct motley__shape_class {
    enum motley__product product;
    enum motley__rows_class rows;
    enum motley__weights_class weights;
};

#define MOTLEY__PRODUCT_BIT(product) (1u << (product))
#define MOTLEY__PRODUCTS_ALL ((1u << MOTLEY__PRODUCTS) - 1)
#define MOTLEY__ROWS_BIT(rows) (1u << (rows))
#define MOTLEY__ROWS_ALL ((1u << MOTLEY__ROWS_CLASSES) - 1)

enum {
    MOTLEY__TUNABLES = 12,                  /* of a variant at most */
    MOTLEY__TUNABLE_VALUES = 6,             /* of a tunable at most */
    MOTLEY__SETTINGS = 128                  /* characters of a class's values as text, its end included */
};

struct motley__tunable {
    const char *name;                       /* one word, at most 15 characters: profiles name it */
    unsigned products, rows;                /* where it matters: MOTLEY__PRODUCT_BIT, MOTLEY__ROWS_BIT */
    int values[MOTLEY__TUNABLE_VALUES];     /* positive, up to a 0; the first that the device allows is its default */
    int (*allows)(const struct motley__device *device, int value);  /* NULL: any device allows all */
};

struct motley__variant;

int motley__tunable_matters(const struct motley__tunable *tunable, struct motley__shape_class shape);
/* 1: the value is one of the list and the device allows it. */
int motley__tunable_allows(const struct motley__device *device, const struct motley__tunable *tunable, int value);
int motley__tunable_default(const struct motley__device *device, const struct motley__tunable *tunable);

/* The class of one launch. */
struct motley__shape_class motley__shape_class_of(enum motley__product product,
                                                  const struct motley__product_args *args);
enum motley__weights_class motley__weights_class_of(int O, int I);

/* The value of the variant's tunable (a place in its list) for a launch: the default unless the device runs that
 * variant for the storage type and has another one set. */
int motley__tuned(const struct motley__device *device, const struct motley__variant *variant, enum motley_dtype dtype,
                  struct motley__shape_class shape, int tunable);

/* Set a value, which must be allowed, for the variant that the device runs; value 0: the default again.
 * Errors: MOTLEY_E_MEMORY. */
int motley__tuning_set(struct motley__device *device, enum motley_dtype dtype, struct motley__shape_class shape,
                       int tunable, int value, struct motley_error *error);
/* Defaults everywhere. */
void motley__tuning_clear(struct motley__device *device, enum motley_dtype dtype);

/* The values of all tunables that matter for a class, "panels=8 groups=12"; "" when there are none. */
void motley__tuning_text(const struct motley__device *device, enum motley_dtype dtype,
                         struct motley__shape_class shape, char text[MOTLEY__SETTINGS]);
/* Set what such a text says; what it does not name becomes the default.
 * Errors: MOTLEY_E_FORMAT (no such tunable, or not a value of it on this device; nothing is set), MOTLEY_E_MEMORY. */
int motley__tuning_read(struct motley__device *device, enum motley_dtype dtype, struct motley__shape_class shape,
                        const char *text, struct motley_error *error);

/* All that is set otherwise than by default, "esmm of few rows, small weights: groups=6; ..."; "" when nothing is.
 * Cut at the size. */
void motley__tuning_list(const struct motley__device *device, enum motley_dtype dtype, char *text, size_t size);

#endif
