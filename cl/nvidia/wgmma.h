/* Hopper's tensor-core product of a warpgroup, as inline PTX (wgmma, sm_90a).
 *
 *   c [64,256] f32 += a [64,16] b [16,256]      both in local memory, bf16 or f16
 *
 * c is spread over the 128 work-items of the warpgroup, 128 numbers each.  Work-item `lane` of warp w holds
 *
 *   c[4 j + 0,1]  row 16 w + lane / 4,      columns 8 j + 2 (lane % 4) + 0,1
 *   c[4 j + 2,3]  row 16 w + lane / 4 + 8,  the same columns
 *
 * A descriptor tells where a matrix lies (async.h's blocks of 128-byte rows).  Along the contraction (depth):
 *
 *   DEPTH_ROWS    a 128-byte row is 64 of the depth of one row of the matrix; 8 such rows are 1024 bytes apart;
 *                 16 further in the depth is 32 bytes
 *   WIDTH_ROWS    a 128-byte row is 64 columns at one depth: 64 columns further is one block of 64 rows, 8192 bytes;
 *                 16 further in the depth is 2048 bytes
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_NVIDIA_WGMMA_H
#define MOTLEY_CL_NVIDIA_WGMMA_H

#if STORAGE == 2
#define WGMMA_TYPE "f16"
#else
#define WGMMA_TYPE "bf16"
#endif

#define DESCRIBE(leading, stride) (((ulong)1 << 62) | ((ulong)((stride) >> 4) << 32) | ((ulong)((leading) >> 4) << 16))
#define DEPTH_ROWS DESCRIBE(16, 1024)
#define WIDTH_ROWS DESCRIBE(8192, 1024)
#define DEPTH_ROWS_STEP (32 >> 4)
#define WIDTH_ROWS_STEP (2048 >> 4)
#define DESCRIPTOR(rows, address) ((rows) | ((address) >> 4))

/* turn_a, turn_b: 1 when the operand lies in WIDTH_ROWS.  clear: 1 to begin from zero. */
#define WGMMA(c, a, b, turn_a, turn_b, clear)                                                                         \
    asm volatile("{\n.reg .pred add;\nsetp.eq.s32 add, %130, 0;\n"                                                    \
    "wgmma.mma_async.sync.aligned.m64n256k16.f32." WGMMA_TYPE "." WGMMA_TYPE " {"                                     \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "       \
    "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, "       \
    "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, "       \
    "%65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, "       \
    "%86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, "      \
    "%106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, "          \
    "%123, %124, %125, %126, %127"                                                                                    \
    "}, %128, %129, add, 1, 1, %131, %132;\n}" :                                                                      \
    "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), "+f"(c[8]),       \
    "+f"(c[9]), "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15]), "+f"(c[16]),            \
    "+f"(c[17]), "+f"(c[18]), "+f"(c[19]), "+f"(c[20]), "+f"(c[21]), "+f"(c[22]), "+f"(c[23]), "+f"(c[24]),           \
    "+f"(c[25]), "+f"(c[26]), "+f"(c[27]), "+f"(c[28]), "+f"(c[29]), "+f"(c[30]), "+f"(c[31]), "+f"(c[32]),           \
    "+f"(c[33]), "+f"(c[34]), "+f"(c[35]), "+f"(c[36]), "+f"(c[37]), "+f"(c[38]), "+f"(c[39]), "+f"(c[40]),           \
    "+f"(c[41]), "+f"(c[42]), "+f"(c[43]), "+f"(c[44]), "+f"(c[45]), "+f"(c[46]), "+f"(c[47]), "+f"(c[48]),           \
    "+f"(c[49]), "+f"(c[50]), "+f"(c[51]), "+f"(c[52]), "+f"(c[53]), "+f"(c[54]), "+f"(c[55]), "+f"(c[56]),           \
    "+f"(c[57]), "+f"(c[58]), "+f"(c[59]), "+f"(c[60]), "+f"(c[61]), "+f"(c[62]), "+f"(c[63]), "+f"(c[64]),           \
    "+f"(c[65]), "+f"(c[66]), "+f"(c[67]), "+f"(c[68]), "+f"(c[69]), "+f"(c[70]), "+f"(c[71]), "+f"(c[72]),           \
    "+f"(c[73]), "+f"(c[74]), "+f"(c[75]), "+f"(c[76]), "+f"(c[77]), "+f"(c[78]), "+f"(c[79]), "+f"(c[80]),           \
    "+f"(c[81]), "+f"(c[82]), "+f"(c[83]), "+f"(c[84]), "+f"(c[85]), "+f"(c[86]), "+f"(c[87]), "+f"(c[88]),           \
    "+f"(c[89]), "+f"(c[90]), "+f"(c[91]), "+f"(c[92]), "+f"(c[93]), "+f"(c[94]), "+f"(c[95]), "+f"(c[96]),           \
    "+f"(c[97]), "+f"(c[98]), "+f"(c[99]), "+f"(c[100]), "+f"(c[101]), "+f"(c[102]), "+f"(c[103]),                    \
    "+f"(c[104]), "+f"(c[105]), "+f"(c[106]), "+f"(c[107]), "+f"(c[108]), "+f"(c[109]), "+f"(c[110]),                 \
    "+f"(c[111]), "+f"(c[112]), "+f"(c[113]), "+f"(c[114]), "+f"(c[115]), "+f"(c[116]), "+f"(c[117]),                 \
    "+f"(c[118]), "+f"(c[119]), "+f"(c[120]), "+f"(c[121]), "+f"(c[122]), "+f"(c[123]), "+f"(c[124]),                 \
    "+f"(c[125]), "+f"(c[126]), "+f"(c[127])                                                                          \
    : "l"(a), "l"(b), "r"(clear), "n"(turn_a), "n"(turn_b))

static inline void wgmma_begin(void)
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

static inline void wgmma_commit(void)
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* All but the last `n` committed groups are complete. */
#define WGMMA_WAIT(n) asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory")

/* The compiler may not use an accumulator before the wait that precedes this. */
#define WGMMA_DONE(c)                                                                                              \
    _Pragma("unroll") for (int done_ = 0; done_ < 128; done_++) asm volatile("" : "+f"(c[done_]))

#endif
