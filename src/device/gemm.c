/* Dense matrix products through CLBlast.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "device/gemm.h"

#ifdef HAVE_CLBLAST
#include <clblast_c.h>

int motley__gemm_available(void)
{
    return 1;
}

int motley__gemm(struct motley__device *device, const struct motley__gemm *g, struct motley_error *error)
{
    if (g->M == 0 || g->N == 0)
        return 0;
    cl_event event = NULL;
    CLBlastStatusCode status = CLBlastSgemm(
        CLBlastLayoutRowMajor, g->transpose_a ? CLBlastTransposeYes : CLBlastTransposeNo,
        g->transpose_b ? CLBlastTransposeYes : CLBlastTransposeNo, g->M, g->N, g->K, 1.0f, g->a->mem, g->a_first,
        g->transpose_a ? g->M : g->K, g->b->mem, g->b_first, g->transpose_b ? g->K : g->N, g->accumulate ? 1.0f : 0.0f,
        g->c->mem, g->c_first, g->N, &device->compute, &event);
    if (status != CLBlastSuccess)
        return motley__fail(error, MOTLEY_E_DEVICE, "CLBlastSgemm [%d,%d]x[%d,%d] failed on %s with status %d", g->M,
                            g->K, g->K, g->N, device->info.name, (int)status);
    if (event)
        clReleaseEvent(event);
    return 0;
}

#else

int motley__gemm_available(void)
{
    return 0;
}

int motley__gemm(struct motley__device *device, const struct motley__gemm *gemm, struct motley_error *error)
{
    (void)device;
    (void)gemm;
    return motley__fail(error, MOTLEY_E_UNSUPPORTED,
                        "this build has no CLBlast: configure it in, or use the expert kernels for dense products");
}

#endif
