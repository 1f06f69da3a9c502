/* Loops of a peer on the host.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/host.h"
#include "bench/wide.h"

/* As device/buffer.c has them. */
static const size_t PAGE_BYTES = 4096, LARGE_PAGE_BYTES = (size_t)2 << 20;

int motley__host_floats(size_t count, float **floats, struct motley_error *error)
{
    void *memory = NULL;
    const size_t bytes = count * sizeof(float), page = bytes >= LARGE_PAGE_BYTES ? LARGE_PAGE_BYTES : PAGE_BYTES;
    if (posix_memalign(&memory, page, bytes ? bytes : 1))
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a peer's %zu bytes", bytes);
#ifdef MADV_HUGEPAGE
    if (page == LARGE_PAGE_BYTES)
        madvise(memory, bytes, MADV_HUGEPAGE);
#endif
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
        memcpy(g->to + (size_t)p * (size_t)g->D, g->from + (size_t)g->index[p] * (size_t)g->D,
               (size_t)g->D * sizeof(float));
}

void motley__host_gather(struct motley__team *team, int P, int D, const int *index, const float *from, float *to)
{
    struct gather g = {D, index, from, to};
    motley__team_run(team, gather_part, &g, P, 8.0 * P * D);
}

struct combine {
    int K, D;
    const int *where;
    const float *weight, *o;
    float *y;
};

static void combine_part(void *self, int first, int last)
{
    const struct combine *c = self;
    const size_t D = (size_t)c->D;
    for (int t = first; t < last; t++) {
        const size_t n = (size_t)t * (size_t)c->K;
        memset(c->y + (size_t)t * D, 0, D * sizeof(float));
        for (size_t k = n; k < n + (size_t)c->K; k++)
            motley__wide_add(D, c->weight ? c->weight[k] : 1, c->o + (size_t)c->where[k] * D, c->y + (size_t)t * D);
    }
}

void motley__host_combine(struct motley__team *team, int T, int K, int D, const int *where, const float *weight,
                          const float *o, float *y)
{
    struct combine c = {K, D, where, weight, o, y};
    motley__team_run(team, combine_part, &c, T, 4.0 * T * (K + 1) * D);
}

struct activate {
    int F;
    const float *pre, *pre3;
    float *h;
};

static void activate_part(void *self, int first, int last)
{
    const struct activate *a = self;
    const size_t at = (size_t)first * (size_t)a->F, count = (size_t)(last - first) * (size_t)a->F;
    if (a->pre3)
        motley__wide_swiglu(count, a->pre + at, a->pre3 + at, a->h + at);
    else
        motley__wide_relu(count, a->pre + at, a->h + at);
}

void motley__host_activate(struct motley__team *team, int P, int F, const float *pre, const float *pre3, float *h)
{
    struct activate a = {F, pre, pre3, h};
    motley__team_run(team, activate_part, &a, P, 12.0 * P * F);
}

static void backward_part(void *self, int first, int last)
{
    const struct motley__host_backward *b = self;
    const size_t F = (size_t)b->F;
    for (int p = first; p < last; p++) {
        const size_t at = (size_t)p * F;
        const float weight = b->weight[b->pair[p]];
        if (b->pre3)
            b->dweight[p] = motley__wide_swiglu_backward(F, weight, b->pre + at, b->pre3 + at, b->u + at, b->dpre3 + at,
                                                         b->h + at);
        else
            b->dweight[p] = motley__wide_relu_backward(F, weight, b->pre + at, b->u + at, b->h + at);
    }
}

void motley__host_activate_backward(struct motley__team *team, const struct motley__host_backward *b)
{
    struct motley__host_backward backward = *b;
    motley__team_run(team, backward_part, &backward, b->P, 24.0 * b->P * b->F);
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
