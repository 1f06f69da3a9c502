/* Loops of a peer on the host.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "bench/host.h"
#include "bench/wide.h"

int motley__host_floats(size_t count, float **floats, struct motley_error *error)
{
    void *memory = NULL;
    const size_t bytes = count * sizeof(float);
    if (posix_memalign(&memory, 4096, bytes ? bytes : 1))
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a peer's %zu bytes", bytes);
    memset(memory, 0, bytes);
    *floats = memory;
    return 0;
}

struct gather {
    int D;
    const int *index;
    const float *from;
    float *to;
};

static void gather_part(void *self, int first, int last)
{
    const struct gather *g = self;
    for (int p = first; p < last; p++)
        memcpy(g->to + (size_t)p * (size_t)g->D, g->from + (size_t)g->index[p] * (size_t)g->D, (size_t)g->D * sizeof(float));
}

void motley__host_gather(struct motley__team *team, int P, int D, const int *index, const float *from, float *to)
{
    struct gather g = {D, index, from, to};
    motley__team_run(team, gather_part, &g, P, 8.0 * P * D);
}

struct swiglu {
    int F;
    const float *pre, *pre3;
    float *h;
};

static void swiglu_part(void *self, int first, int last)
{
    const struct swiglu *s = self;
    const size_t at = (size_t)first * (size_t)s->F, count = (size_t)(last - first) * (size_t)s->F;
    motley__wide_swiglu(count, s->pre + at, s->pre3 + at, s->h + at);
}

void motley__host_swiglu(struct motley__team *team, int P, int F, const float *pre, const float *pre3, float *h)
{
    struct swiglu s = {F, pre, pre3, h};
    motley__team_run(team, swiglu_part, &s, P, 12.0 * P * F);
}

struct zero {
    float *to;
    size_t each;
};

static void zero_part(void *self, int first, int last)
{
    const struct zero *z = self;
    memset(z->to + (size_t)first * z->each, 0, (size_t)(last - first) * z->each * sizeof(float));
}

void motley__host_zero(struct motley__team *team, size_t count, float *to)
{
    enum { RUN = 4096 };
    struct zero z = {to, RUN};
    const int runs = (int)(count / RUN);
    motley__team_run(team, zero_part, &z, runs, 4.0 * (double)count);
    memset(to + (size_t)runs * RUN, 0, (count - (size_t)runs * RUN) * sizeof *to);
}
