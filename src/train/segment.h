/* How many floats a segment of a matrix holds, for work that goes element by element.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_SEGMENT_H
#define MOTLEY_TRAIN_SEGMENT_H

#include "product/matrix.h"

/* Below 2^31: a segment is one OpenCL buffer, and the kernels count with int. */
static inline size_t motley__segment_floats(const struct motley__matrix *matrix, int segment)
{
    int left = matrix->E - segment * matrix->per_segment;
    int experts = left < matrix->per_segment ? left : matrix->per_segment;
    return (size_t)experts * motley__matrix_numbers(matrix->O, matrix->I, matrix->panel);
}

#endif
