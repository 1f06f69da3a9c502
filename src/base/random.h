/* Random numbers that depend on nothing but their position.
 *
 * Number i of stream s is a hash of (seed, s, i): every rank can draw exactly the numbers it needs, and
 * a result does not depend on how the work was divided.  The hash is one step of SplitMix64 (Steele,
 * Lea, Flood 2014) for each of the three.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_RANDOM_H
#define MOTLEY_BASE_RANDOM_H

#include <stdint.h>

uint64_t motley__random_bits(uint64_t seed, uint64_t stream, uint64_t index);
double motley__random_uniform(uint64_t seed, uint64_t stream, uint64_t index);   /* [0,1) */
double motley__random_normal(uint64_t seed, uint64_t stream, uint64_t index);    /* mean 0, variance 1 */

/* FNV-1a over a string: a stream number from a tensor's name. */
uint64_t motley__hash_text(const char *text);
/* The same over bytes, continued from `hash`; start with MOTLEY__HASH_START. */
uint64_t motley__hash_bytes(uint64_t hash, const void *bytes, uint64_t count);
#define MOTLEY__HASH_START UINT64_C(14695981039346656037)

#endif
