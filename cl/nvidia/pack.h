/* Numbers into and out of bf16 or f16 in pairs, as inline PTX (sm_80).
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_PACK_H
#define MOTLEY_CL_NVIDIA_PACK_H

#if STORAGE == 2
#define PACK_PTX "cvt.rn.f16x2.f32 %0, %1, %2;"
#else
#define PACK_PTX "cvt.rn.bf16x2.f32 %0, %1, %2;"
#endif

/* Two neighbouring numbers in storage type. */
static inline uint pack(float low, float high)
{
    uint both;
    asm(PACK_PTX : "=r"(both) : "f"(high), "f"(low));
    return both;
}

static inline float unpack(uint bits16)
{
#if STORAGE == 2
    float f;
    asm("{\n.reg .b16 h;\ncvt.u16.u32 h, %1;\ncvt.f32.f16 %0, h;\n}" : "=f"(f) : "r"(bits16));
    return f;
#else
    return as_float(bits16 << 16);
#endif
}

#endif
