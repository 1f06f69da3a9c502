/* Cross-entropy on the device.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "cl/model.h"
#include "device/program.h"
#include "device/queue.h"
#include "model/cross_entropy.h"
#include "model/lanes.h"

int motley__cross_entropy(struct motley__device *device, enum motley_dtype dtype, int T, int C,
                          const struct motley__buffer *target, double scale, int backward,
                          struct motley__buffer *logits, struct motley__buffer *loss, struct motley_error *error)
{
    const struct motley__cross_entropy_args args = {.T = T, .C = C, .scale = (float)scale, .backward = backward};
    const struct motley__lanes lanes = motley__lanes(device, dtype, C);
    const size_t items = (size_t)lanes.items;
    cl_kernel kernel;
    int status = motley__kernel(device, "cross_entropy.cl", lanes.options, "cross_entropy", &kernel, error);
    if (status)
        return status;
    return motley__launch(device, kernel, ((struct motley__range){{(size_t)T * items}, {items}}), error,
                          MOTLEY__VALUE(args), MOTLEY__BUFFER(target), MOTLEY__BUFFER(logits), MOTLEY__BUFFER(loss));
}
