/* What the launchers of all families share: a family names its kernel and its work-groups, the lists of arguments are
 * here.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PRODUCT_PRODUCT_H
#define MOTLEY_PRODUCT_PRODUCT_H

#include "cl/types.h"
#include "device/queue.h"
#include "product/activation.h"
#include "product/esmm.h"
#include "product/estmm.h"

/* The argument struct of one launch, for the experts of one segment; an own_rows without a limit where nothing is
 * received. */
struct motley__product_args motley__esmm_args(const struct motley__esmm *esmm, int segment);
struct motley__product_args motley__estmm_args(const struct motley__estmm *estmm, int segment);

/* Enqueue a family's kernel of one operator over `range`, for one weight segment where there are segments.  The
 * kernels of an operator take the same arguments in all families; those that multiply with W3 too where they
 * transpose (transposes_two) also take x3, before w. */
int motley__esmm_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                        const struct motley__product_args *args, const struct motley__esmm *esmm, int segment,
                        struct motley_error *error);
int motley__esmm_launch_two(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                            const struct motley__product_args *args, const struct motley__esmm *esmm, int segment,
                            struct motley_error *error);
int motley__esmm_transposed_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                                   const struct motley__product_args *args, const struct motley__esmm *esmm,
                                   int segment, struct motley_error *error);
int motley__estmm_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                         const struct motley__product_args *args, const struct motley__estmm *estmm, int segment,
                         struct motley_error *error);
/* With device->tickets as the last argument. */
int motley__estmm_launch_drawing(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                                 const struct motley__product_args *args, const struct motley__estmm *estmm,
                                 int segment, struct motley_error *error);
int motley__ess_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                       const struct motley__ess *ess, struct motley_error *error);

/* The same; local_bytes of local memory are the last argument, 0: the kernel has no such argument. */
int motley__activation_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                              size_t local_bytes, const struct motley__activation_backward *a,
                              struct motley_error *error);
int motley__dot_bias_launch(struct motley__device *device, cl_kernel kernel, struct motley__range range,
                            size_t local_bytes, const struct motley__dot_bias *dot, struct motley_error *error);

/* An upper bound of the tiles of `height` rows that cover P rows of that many experts (cl/ragged.h). */
size_t motley__product_tiles(int P, int experts, int height);

#endif
