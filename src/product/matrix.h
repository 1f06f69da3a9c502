/* E matrices [O,I] of one projection (all local experts), in the layout of the kernel family.
 *
 * Canonical form is row-major [O,I]: row o holds the weights of output o.  A family keeps them in
 * panels of `panel` outputs, so that its ESMM reads `panel` neighbouring outputs of one input at once:
 *
 *   element (o,i) of an expert lies at ((o / panel) * I + i) * panel + o % panel
 *
 *     panel 0: i=0: o0 o1 .. o(panel-1) | i=1: o0 o1 .. | ... i=I-1     panel 1: ...
 *
 * panel 1 is the canonical form.  O is padded with zero outputs to a multiple of panel; gradients and
 * moments use the same layout, so element-wise optimizers need not know it (padding stays zero).
 * An OpenCL buffer has a largest size, so the experts lie in one or several segments of whole experts.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_MATRIX_H
#define MOTLEY_PRODUCT_MATRIX_H

#include "device/buffer.h"
#include "device/storage.h"

struct motley__matrix {
    struct motley__device *device;     /* borrowed */
    enum motley_dtype dtype;           /* how its numbers are stored; gradients are f32 */
    int E, O, I, panel;
    int per_segment, segments;         /* experts in a segment (the last may hold fewer); number of segments */
    struct motley__buffer **segment;   /* owned array; the buffers too unless storage was given */
    int borrowed;                      /* 1: the buffers are the caller's, or another matrix's */
};

/* Numbers of one expert, padding included. */
size_t motley__matrix_numbers(int O, int I, int panel);

/* Experts of a segment. */
int motley__matrix_experts(const struct motley__matrix *matrix, int segment);

/* Zero-filled.  E may be 0.  storage: NULL, or a buffer (or view) with room for all E experts, borrowed.
 * Errors: MOTLEY_E_DEVICE_MEMORY, MOTLEY_E_UNSUPPORTED (one expert exceeds the largest buffer). */
int motley__matrix_create(struct motley__device *device, enum motley_dtype dtype, int E, int O, int I, int panel,
                          struct motley__buffer *storage, struct motley__matrix **matrix, struct motley_error *error);
/* The first E experts of a matrix as one of their own, in the same buffers; destroy it before the other. */
int motley__matrix_view(const struct motley__matrix *matrix, int E, struct motley__matrix **view,
                        struct motley_error *error);
void motley__matrix_destroy(struct motley__matrix *matrix); /* accepts NULL */

/* One expert from or to canonical host memory [O,I], rounded to the storage type; blocking. */
int motley__matrix_set(struct motley__matrix *matrix, int expert, const float *canonical, struct motley_error *error);
int motley__matrix_get(const struct motley__matrix *matrix, int expert, float *canonical, struct motley_error *error);

/* The same on host memory at both ends. */
void motley__matrix_pack(int O, int I, int panel, const float *canonical, float *packed);
void motley__matrix_unpack(int O, int I, int panel, const float *packed, float *canonical);

#endif
