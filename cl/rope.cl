/* Rotary positions: of every head the pairs (i, i + pairs) turn by the angle position * theta^(-i/pairs).
 *
 *   x[i]        <- x[i] cos - sign x[i + pairs] sin
 *   x[i + pairs] <- x[i + pairs] cos + sign x[i] sin
 *
 * x [T, heads, 2 pairs] in place, in the storage type; table [positions, 2 pairs] f32: the cosines of a position, then
 * its sines.  Row t is at position past + t % S.  A work-item turns one row of one head.  Bytes in f32
 * 8 T heads 2 pairs; V divides pairs.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include "lanes.h"
#include "model.h"

__kernel void rope(const struct motley__rope_args a, __global const float *restrict table, __global STORED *restrict x)
{
    const int head = get_global_id(0), t = get_global_id(1);
    if (head >= a.heads || t >= a.T)
        return;
    table += (size_t)(a.past + t % a.S) * 2 * a.pairs;
    x += ((size_t)t * a.heads + head) * 2 * a.pairs;
    for (int i = 0; i < a.pairs; i += V) {
        const vec c = READ(table + i), s = READ(table + a.pairs + i) * a.sign;
        const vec low = STORED_READ(x + i), high = STORED_READ(x + a.pairs + i);
        STORED_WRITE(low * c - high * s, x + i);
        STORED_WRITE(high * c + low * s, x + a.pairs + i);
    }
}
