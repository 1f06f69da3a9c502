/* The words that texts have for the library's enumerations.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stddef.h>

#include "profile/names.h"

const char *const motley__activation_names[] = {"relu", "gelu", "silu", "swiglu", NULL};
const char *const motley__gate_names[] = {"softmax", "sigmoid", "cosine", "forced", NULL};
const char *const motley__shares_names[] = {"measured", "even", NULL};
const char *const motley__mode_names[] = {"auto", "expert", "data", "model", "hybrid", NULL};
const char *const motley__exchange_names[] = {"auto", "linear", "hierarchical", NULL};
const char *const motley__dense_names[] = {"esmm", "clblast", NULL};
const char *const motley__direction_names[] = {"forward", "backward", NULL};
