/* The two directions of an ESMM kernel, and what its activation makes of a tile.
 *
 *                   forward       -DTRANSPOSED
 *   DEPTH_OF(args)  I             O                 the contraction: numbers of a row that is read
 *   WIDTH_OF(args)  O             I                 numbers of a row of y
 *
 *   ACTIVATION                MOTLEY__ACT_* of the forward product (-D; default NONE)
 *   OUTPUT_COLUMNS(columns)   columns of y in a tile of so many: half of them where the others are W3's
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_DIRECTION_H
#define MOTLEY_CL_NVIDIA_DIRECTION_H

#include "types.h"

#ifndef ACTIVATION
#define ACTIVATION MOTLEY__ACT_NONE
#endif

#ifdef TRANSPOSED
#define DEPTH_OF(args) (args).O
#define WIDTH_OF(args) (args).I
#else
#define DEPTH_OF(args) (args).I
#define WIDTH_OF(args) (args).O
#endif

#if ACTIVATION == MOTLEY__ACT_SWIGLU
#define OUTPUT_COLUMNS(columns) ((columns) / 2)
#else
#define OUTPUT_COLUMNS(columns) (columns)
#endif

#endif
