/* Random numbers that depend on nothing but their position.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <string.h>

#include "base/random.h"

/* SplitMix64's increment and finaliser: one step of that generator from state x. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t motley__random_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    return mix(mix(mix(seed) ^ stream) ^ index);
}

double motley__random_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(motley__random_bits(seed, stream, index) >> 11) * 0x1p-53;
}

/* Box and Muller, of positions 2i and 2i+1; the first uniform is turned to (0,1] for the logarithm. */
double motley__random_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    double u = 1 - motley__random_uniform(seed, stream, 2 * index);
    double v = motley__random_uniform(seed, stream, 2 * index + 1);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

uint64_t motley__hash_bytes(uint64_t hash, const void *bytes, uint64_t count)
{
    const unsigned char *byte = bytes;
    for (uint64_t i = 0; i < count; i++)
        hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
    return hash;
}

uint64_t motley__hash_text(const char *text)
{
    return motley__hash_bytes(MOTLEY__HASH_START, text, strlen(text));
}
