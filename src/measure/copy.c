/* How fast rows get from a device to the network's memory and back.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "base/clock.h"
#include "base/wait.h"
#include "exchange/staging.h"
#include "measure/copy.h"
#include "measure/timing.h"

enum { BYTES = 1 << 24, SAMPLES = 7 };

static int wait_copied(struct motley__staging *staging, struct motley_error *error)
{
    const double since = motley__seconds();
    int done = 0, status;

    while (!(status = motley__staging_test(staging, &done, error)) && !done)
        motley__idle(motley__seconds() - since, 0);
    return status;
}

/* Seconds of one copy out and of one in. */
static int sample(struct motley__buffer *buffer, struct motley__staging *staging, double *out, double *in,
                  struct motley_error *error)
{
    const double begin = motley__seconds();
    const void *from;
    void *to;
    int status = motley__staging_out(buffer, 0, BYTES, staging, &from, error);

    if (!status)
        status = wait_copied(staging, error);
    *out = motley__seconds() - begin;
    if (!status)
        status = motley__staging_in(buffer, 0, BYTES, staging, &to, error);
    const double middle = motley__seconds();
    if (!status)
        status = motley__staging_in_finish(buffer, 0, BYTES, staging, error);
    if (!status)
        status = wait_copied(staging, error);
    *in = motley__seconds() - middle;
    return status;
}

int motley__copy_measure(struct motley__device *device, struct motley__copy *copy, struct motley_error *error)
{
    struct motley__staging staging = {0};
    struct motley__buffer *buffer = NULL;
    double out[SAMPLES], in[SAMPLES], seconds, spread;
    int kept, status = device->zero_copy ? 0 : motley__buffer_create(device, BYTES, &buffer, error);

    *copy = (struct motley__copy){0};
    if (!buffer)
        return status;
    status = sample(buffer, &staging, &out[0], &in[0], error); /* makes the pinned memory */
    for (int i = 0; i < SAMPLES && !status; i++)
        status = sample(buffer, &staging, &out[i], &in[i], error);
    if (!status) {
        motley__timing(out, SAMPLES, &seconds, &spread, &kept);
        copy->out = motley__timing_round(BYTES / seconds);
        motley__timing(in, SAMPLES, &seconds, &spread, &kept);
        copy->in = motley__timing_round(BYTES / seconds);
    }
    motley__staging_release(device, &staging);
    motley__buffer_destroy(buffer);
    return status;
}
