/* Activations in wide vectors: one text of each loop, compiled for several instruction sets.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

/* Vectors whatever the build's own level is, with nothing in the way that only floating-point traps would notice. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC optimize("O3", "no-trapping-math", "no-math-errno")
#endif

#include <stdint.h>
#include <string.h>

#include "bench/wide.h"

#define ALWAYS static inline __attribute__((always_inline))

/* exp(x) = 2^n e^r, n the whole number nearest x / ln 2, e^r by its series: within 2e-7, 0 and infinity only in the limit. */
ALWAYS float exponential(float x)
{
    const float low = -87.0f, high = 88.0f, shift = 12582912.0f; /* 1.5 2^23: adding it rounds to a whole number */
    x = x < low ? low : x;
    x = x > high ? high : x;
    const float n = (x * 1.44269504f + shift) - shift, r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float e = 1.9875691500e-4f;
    e = e * r + 1.3981999507e-3f;
    e = e * r + 8.3334519073e-3f;
    e = e * r + 4.1665795894e-2f;
    e = e * r + 1.6666665459e-1f;
    e = e * r + 5.0000001201e-1f;
    e = e * r * r + r + 1.0f;
    const int32_t bits = ((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return e * power;
}

ALWAYS void swiglu(size_t count, const float *restrict pre, const float *restrict pre3, float *restrict h)
{
    for (size_t i = 0; i < count; i++)
        h[i] = pre[i] / (1.0f + exponential(-pre[i])) * pre3[i];
}

/* VARIANT(suffix, target): each public loop once more. */
#define VARIANT(suffix, target)                                                                                    \
    target static void swiglu_##suffix(size_t count, const float *pre, const float *pre3, float *h)                \
    {                                                                                                              \
        swiglu(count, pre, pre3, h);                                                                               \
    }
VARIANT(plain, )
#if defined __x86_64__ && defined __GNUC__
VARIANT(avx2, __attribute__((target("avx2,fma"))))
VARIANT(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512"))))
#define CHOOSE(name)                                                                                               \
    (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") \
         ? name##_avx512                                                                                           \
         : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? name##_avx2 : name##_plain)
#else
#define CHOOSE(name) name##_plain
#endif

void motley__wide_swiglu(size_t count, const float *pre, const float *pre3, float *h)
{
    CHOOSE(swiglu)(count, pre, pre3, h);
}
