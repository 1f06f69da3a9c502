/* Rows as vectors (widen.h) whose sums other ranks repeat: V is 1, 4, 8 or 16; the host picks the widest that divides
 * D, 16 only on CPUs.
 *
 *   WIRE   storage of rows between ranks (default STORAGE)
 *   OUT    storage of rows that are sums of those (default STORAGE)
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_VECTOR_H
#define MOTLEY_CL_VECTOR_H

#include "widen.h"

#ifndef WIRE
#define WIRE STORAGE
#endif
#ifndef OUT
#define OUT STORAGE
#endif

/* A row's sum must not depend on which products were rounded on another rank: a*b+c is never contracted. */
#pragma OPENCL FP_CONTRACT OFF

#endif
