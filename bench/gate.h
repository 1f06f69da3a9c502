/* The gate as it is measured: logits, softmax, the K largest.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_GATE_H
#define MOTLEY_BENCH_GATE_H

#include "bench/operator.h"

/* Buffers that no other operator has. */
struct motley__gate_case; /* opaque */
void motley__gate_case_destroy(struct motley__gate_case *gate); /* accepts NULL */

#endif
