/* Loops in wide vectors: one text of each loop, compiled for several instruction sets.
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

/* exp(x) = 2^n e^r, n the whole number nearest x / ln 2, e^r by its series: within 2e-7, 0 and infinity only in the
 * limit. */
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

ALWAYS void add(size_t count, float weight, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < count; i++)
        y[i] += weight * x[i];
}

ALWAYS void swiglu(size_t count, const float *restrict pre, const float *restrict pre3, float *restrict h)
{
    for (size_t i = 0; i < count; i++)
        h[i] = pre[i] / (1.0f + exponential(-pre[i])) * pre3[i];
}

ALWAYS void relu(size_t count, const float *restrict pre, float *restrict h)
{
    for (size_t i = 0; i < count; i++)
        h[i] = pre[i] > 0.0f ? pre[i] : 0.0f;
}

/* A dot product is summed in as many parts as the widest vector has numbers. */
enum { PARTS = 16 };

ALWAYS float sum_parts(const float *part)
{
    float sum = 0.0f;
    for (int i = 0; i < PARTS; i++)
        sum += part[i];
    return sum;
}

ALWAYS void swiglu_backward_part(size_t n, float weight, const float *restrict pre, const float *restrict pre3,
                                 float *restrict u, float *restrict dpre3, float *restrict h, float *restrict part)
{
    for (size_t i = 0; i < n; i++) {
        const float s = 1.0f / (1.0f + exponential(-pre[i])), silu = pre[i] * s, out = silu * pre3[i],
                    wu = weight * u[i];
        part[i] += u[i] * out;
        h[i] = weight * out;
        dpre3[i] = wu * silu;
        u[i] = wu * pre3[i] * (s + silu * (1.0f - s));
    }
}

ALWAYS float swiglu_backward(size_t count, float weight, const float *pre, const float *pre3, float *u, float *dpre3,
                             float *h)
{
    float part[PARTS] = {0};
    size_t i = 0;
    for (; i + PARTS <= count; i += PARTS)
        swiglu_backward_part(PARTS, weight, pre + i, pre3 + i, u + i, dpre3 + i, h + i, part);
    swiglu_backward_part(count - i, weight, pre + i, pre3 + i, u + i, dpre3 + i, h + i, part);
    return sum_parts(part);
}

ALWAYS void relu_backward_part(size_t n, float weight, const float *restrict pre, float *restrict u, float *restrict h,
                               float *restrict part)
{
    for (size_t i = 0; i < n; i++) {
        const float out = pre[i] > 0.0f ? pre[i] : 0.0f;
        part[i] += u[i] * out;
        h[i] = weight * out;
        u[i] = pre[i] > 0.0f ? weight * u[i] : 0.0f;
    }
}

ALWAYS float relu_backward(size_t count, float weight, const float *pre, float *u, float *h)
{
    float part[PARTS] = {0};
    size_t i = 0;
    for (; i + PARTS <= count; i += PARTS)
        relu_backward_part(PARTS, weight, pre + i, u + i, h + i, part);
    relu_backward_part(count - i, weight, pre + i, u + i, h + i, part);
    return sum_parts(part);
}

/* VARIANTS(suffix, target): every loop once more. */
#define VARIANTS(suffix, target)                                                                                   \
    target static void add_##suffix(size_t count, float weight, const float *x, float *y)                          \
    {                                                                                                              \
        add(count, weight, x, y);                                                                                  \
    }                                                                                                              \
    target static void swiglu_##suffix(size_t count, const float *pre, const float *pre3, float *h)                \
    {                                                                                                              \
        swiglu(count, pre, pre3, h);                                                                               \
    }                                                                                                              \
    target static void relu_##suffix(size_t count, const float *pre, float *h)                                     \
    {                                                                                                              \
        relu(count, pre, h);                                                                                       \
    }                                                                                                              \
    target static float swiglu_backward_##suffix(size_t count, float weight, const float *pre, const float *pre3,  \
                                                 float *u, float *dpre3, float *h)                                 \
    {                                                                                                              \
        return swiglu_backward(count, weight, pre, pre3, u, dpre3, h);                                             \
    }                                                                                                              \
    target static float relu_backward_##suffix(size_t count, float weight, const float *pre, float *u, float *h)   \
    {                                                                                                              \
        return relu_backward(count, weight, pre, u, h);                                                            \
    }
VARIANTS(plain, )
#if defined __x86_64__ && defined __GNUC__
VARIANTS(avx2, __attribute__((target("avx2,fma"))))
VARIANTS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))))
#define CHOOSE(name)                                                                                               \
    (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&                                    \
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")                              \
         ? name##_avx512                                                                                           \
         : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? name##_avx2 : name##_plain)
#else
#define CHOOSE(name) name##_plain
#endif

void motley__wide_add(size_t count, float weight, const float *x, float *y)
{
    CHOOSE(add)(count, weight, x, y);
}

void motley__wide_swiglu(size_t count, const float *pre, const float *pre3, float *h)
{
    CHOOSE(swiglu)(count, pre, pre3, h);
}

void motley__wide_relu(size_t count, const float *pre, float *h)
{
    CHOOSE(relu)(count, pre, h);
}

float motley__wide_swiglu_backward(size_t count, float weight, const float *pre, const float *pre3, float *u,
                                   float *dpre3, float *h)
{
    return CHOOSE(swiglu_backward)(count, weight, pre, pre3, u, dpre3, h);
}

float motley__wide_relu_backward(size_t count, float weight, const float *pre, float *u, float *h)
{
    return CHOOSE(relu_backward)(count, weight, pre, u, h);
}
