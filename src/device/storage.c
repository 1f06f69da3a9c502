/* Numbers into and out of the storage types.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "device/storage.h"

const char *const motley__storage_names[] = {"f32", "bf16", "f16", NULL};

const char *motley__storage_name(enum motley_dtype dtype)
{
    return motley__storage_names[dtype];
}

int motley__storage_find(const char *name, enum motley_dtype *dtype)
{
    for (int i = 0; motley__storage_names[i]; i++)
        if (!strcmp(name, motley__storage_names[i])) {
            *dtype = (enum motley_dtype)i;
            return 1;
        }
    return 0;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* bits / 2^shift to nearest, ties to even. */
static uint32_t rounded(uint32_t bits, int shift)
{
    return (bits + ((1u << (shift - 1)) - 1) + (bits >> shift & 1)) >> shift;
}

static uint16_t to_bf16(float x)
{
    uint32_t bits = bits_of(x);
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded(bits, 16));
}

/* f16 has 5 bits of exponent, biased by 15 where f32's 8 are by 127, and 10 bits of fraction for 23. */
static uint16_t to_f16(float x)
{
    const uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (size >> 13 & 0x1ff));
    if (size >= 0x47800000)     /* 2^16: beyond every rounding */
        return (uint16_t)(sign | 0x7c00);
    if (size >= 0x38800000)     /* 2^-14, the smallest normal number */
        return (uint16_t)(sign | rounded(size - (112u << 23), 13));
    if (size < 0x33000000)      /* 2^-25: less than half the smallest number */
        return (uint16_t)sign;
    const int shift = 126 - (int)(size >> 23); /* counts in units of 2^-24 */
    return (uint16_t)(sign | rounded((size & 0x7fffff) | 0x800000, shift));
}

static float from_f16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = half & 0x7fff;
    if (size >= 0x7c00)
        return float_of(sign | 0x7f800000 | (size & 0x3ff) << 13);
    if (size >= 0x400)
        return float_of(sign | ((size << 13) + (112u << 23)));
    const float value = (float)size * 0x1p-24f;
    return sign ? -value : value;
}

void motley__store(enum motley_dtype dtype, const float *host, size_t count, void *stored)
{
    uint16_t *to = stored;
    if (dtype == MOTLEY_F32)
        memmove(stored, host, count * sizeof *host);
    for (size_t i = 0; dtype == MOTLEY_BF16 && i < count; i++)
        to[i] = to_bf16(host[i]);
    for (size_t i = 0; dtype == MOTLEY_F16 && i < count; i++)
        to[i] = to_f16(host[i]);
}

void motley__load(enum motley_dtype dtype, const void *stored, size_t count, float *host)
{
    const uint16_t *from = stored;
    if (dtype == MOTLEY_F32)
        memmove(host, stored, count * sizeof *host);
    for (size_t i = 0; dtype == MOTLEY_BF16 && i < count; i++)
        host[i] = float_of((uint32_t)from[i] << 16);
    for (size_t i = 0; dtype == MOTLEY_F16 && i < count; i++)
        host[i] = from_f16(from[i]);
}
