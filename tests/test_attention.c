/* Attention on the device against its scalar twin: any sizes, shared key heads, a cache of keys, and twice the same
 * bits; the twin's gradient against finite differences.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "model.h"
#include "model/attention.h"
#include "model/ref.h"

struct sizes {
    int B, S, H, G, d;
    enum motley_dtype dtype;
};

/* Everything of one problem on the device. */
struct work {
    struct motley__attention a;
    struct motley__attention_gradient g;
    struct motley__buffer *q, *k, *v, *dout;
};

static void open_work(struct motley__device *device, const struct sizes *n, const float *q, const float *k,
                      const float *v, const float *dout, struct work *w)
{
    const int stride = motley__attention_stride(n->S);
    const size_t rows = (size_t)(n->B * n->S);
    const size_t queries = rows * (size_t)(n->H * n->d), keys = rows * (size_t)(n->G * n->d);
    const size_t line = (size_t)(n->B * n->H * stride) * 4, columns = (size_t)n->d;
    w->q = to_device_as(device, n->dtype, q, queries);
    w->k = to_device_as(device, n->dtype, k, keys);
    w->v = to_device_as(device, n->dtype, v, keys);
    w->dout = to_device_as(device, n->dtype, dout, queries);
    w->a = (struct motley__attention){
        .dtype = n->dtype, .B = n->B, .S = n->S, .H = n->H, .G = n->G, .d = n->d, .stride = stride,
        .q = w->q, .k = w->k, .v = w->v, .kt = unwritten(device, line * columns),
        .out = unwritten_as(device, n->dtype, queries), .lse = unwritten(device, line),
    };
    w->g = (struct motley__attention_gradient){
        .dout = w->dout, .qt = unwritten(device, line * columns), .doutt = unwritten(device, line * columns),
        .vt = unwritten(device, line * columns), .delta = unwritten(device, line),
        .dq = unwritten_as(device, n->dtype, queries), .dk = unwritten_as(device, n->dtype, keys),
        .dv = unwritten_as(device, n->dtype, keys),
    };
}

static void close_work(struct work *w)
{
    struct motley__buffer *buffers[] = {w->q, w->k, w->v, w->dout, w->a.kt, w->a.lse, w->g.qt, w->g.doutt, w->g.vt,
                                        w->g.delta};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        motley__buffer_destroy(buffers[i]);
}

static void compare(struct motley__device *device, struct sizes n, uint64_t seed)
{
    const size_t queries = (size_t)(n.B * n.S * n.H * n.d), keys = (size_t)(n.B * n.S * n.G * n.d);
    const double u = rounding(n.dtype);
    float *q = random_stored(n.dtype, seed, 1, queries), *k = random_stored(n.dtype, seed, 2, keys);
    float *v = random_stored(n.dtype, seed, 3, keys), *dout = random_stored(n.dtype, seed, 4, queries);
    double *qd = doubles_of(q, queries), *kd = doubles_of(k, keys), *vd = doubles_of(v, keys),
        *doutd = doubles_of(dout, queries);
    double *outd = ARRAY(double, queries), *dqd = ARRAY(double, queries), *dkd = ARRAY(double, keys),
        *dvd = ARRAY(double, keys);
    motley__ref_attention(n.B, n.S, 0, n.H, n.G, n.d, qd, kd, vd, outd, NULL);
    motley__ref_attention_backward(n.B, n.S, n.H, n.G, n.d, qd, kd, vd, doutd, dqd, dkd, dvd);

    struct work w;
    open_work(device, &n, q, k, v, dout, &w);
    SUCCEED(motley__attention_forward(device, &w.a, &error));
    SUCCEED(motley__attention_backward(device, &w.a, &w.g, &error));
    float *out = take_back_as(n.dtype, w.a.out), *dq = take_back_as(n.dtype, w.g.dq);
    float *dk = take_back_as(n.dtype, w.g.dk), *dv = take_back_as(n.dtype, w.g.dv);
    close_work(&w);
    ASSERT_NEAR(out, outd, queries, 1e-6 + u);
    ASSERT_NEAR(dq, dqd, queries, 2e-6 + 2 * u); /* delta is made of an `out` that was rounded */
    ASSERT_NEAR(dk, dkd, keys, 2e-6 + 2 * u);
    ASSERT_NEAR(dv, dvd, keys, 2e-6 + u);
    void *arrays[] = {q, k, v, dout, qd, kd, vd, doutd, outd, dqd, dkd, dvd, out, dq, dk, dv};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

/* Two head dimensions: each is a program to build. */
static void many_sizes(struct motley__device *device)
{
    const struct sizes sizes[] = {
        {1, 1, 1, 1, 6, MOTLEY_F32}, {2, 5, 2, 2, 6, MOTLEY_F32}, {2, 130, 3, 1, 6, MOTLEY_F32},
        {1, 64, 1, 1, 32, MOTLEY_F32}, {3, 67, 4, 2, 32, MOTLEY_F32}, {1, 97, 2, 2, 32, MOTLEY_F32},
        {0, 8, 2, 2, 32, MOTLEY_F32}, {1, 1, 1, 1, 32, MOTLEY_BF16}, {2, 77, 4, 2, 32, MOTLEY_BF16},
        {1, 66, 2, 1, 6, MOTLEY_BF16}, {2, 35, 2, 2, 32, MOTLEY_F16},
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        compare(device, sizes[i], seed + i);
}

static void test_against_twin(void **state)
{
    on_both_maps(*state, many_sizes);
}

/* Large scores: the softmax must not overflow. */
static void test_large_scores(void **state)
{
    struct motley__device *device = *state;
    enum { S = 70, D = 32 };
    float *q = random_floats(1, 1, S * D), *k = random_floats(1, 2, S * D), *v = random_floats(1, 3, S * D);
    for (int i = 0; i < S * D; i++)
        q[i] *= 100;
    double *qd = doubles_of(q, S * D), *kd = doubles_of(k, S * D), *vd = doubles_of(v, S * D),
        *outd = ARRAY(double, S * D);
    motley__ref_attention(1, S, 0, 1, 1, D, qd, kd, vd, outd, NULL);
    struct work w;
    open_work(device, &(struct sizes){1, S, 1, 1, D, MOTLEY_F32}, q, k, v, q, &w);
    SUCCEED(motley__attention_forward(device, &w.a, &error));
    float *out = take_back(w.a.out);
    ASSERT_NEAR(out, outd, S * D, 1e-4); /* scores of some hundreds keep 1e-5 of their fraction */
    close_work(&w);
    motley__buffer_destroy(w.g.dq);
    motley__buffer_destroy(w.g.dk);
    motley__buffer_destroy(w.g.dv);
    void *arrays[] = {q, k, v, qd, kd, vd, outd, out};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

/* Rows in pieces against a cache, as inference does, give what all rows at once give. */
static void pieces(struct motley__device *device, enum motley_dtype dtype)
{
    enum { S = 83, H = 4, G = 2, D = 32 };
    const int piece[] = {1, 40, 1, 1, 7, 33}, stride = motley__attention_stride(S + 5);
    const uint64_t seed = test_seed();
    float *q = random_stored(dtype, seed, 1, S * H * D), *k = random_stored(dtype, seed, 2, S * G * D),
        *v = random_stored(dtype, seed, 3, S * G * D);
    double *qd = doubles_of(q, S * H * D), *kd = doubles_of(k, S * G * D), *vd = doubles_of(v, S * G * D);
    double *outd = ARRAY(double, S * H * D);
    float *out = ARRAY(float, S * H * D);
    motley__ref_attention(1, S, 0, H, G, D, qd, kd, vd, outd, NULL);
    struct motley__buffer *kt = unwritten(device, (size_t)(G * D * stride) * 4),
        *lse = unwritten(device, (size_t)(H * stride) * 4);
    struct motley__buffer *values = to_device_as(device, dtype, v, S * G * D);
    for (int i = 0, past = 0; i < 6; past += piece[i], i++) {
        const size_t n = (size_t)piece[i];
        struct motley__buffer *some_q = to_device_as(device, dtype, q + past * H * D, n * H * D);
        struct motley__buffer *some_k = to_device_as(device, dtype, k + past * G * D, n * G * D),
            *some = unwritten_as(device, dtype, n * H * D);
        SUCCEED(motley__attention_forward(device, &(struct motley__attention){
            .dtype = dtype, .B = 1, .S = piece[i], .past = past, .H = H, .G = G, .d = D, .stride = stride,
            .q = some_q, .k = some_k, .v = values, .kt = kt, .out = some, .lse = lse}, &error));
        float *found = take_back_as(dtype, some);
        memcpy(out + past * H * D, found, n * H * D * sizeof *found);
        free(found);
        motley__buffer_destroy(some_k);
        motley__buffer_destroy(some_q);
    }
    ASSERT_NEAR(out, outd, S * H * D, 1e-6 + rounding(dtype));
    motley__buffer_destroy(values);
    motley__buffer_destroy(lse);
    motley__buffer_destroy(kt);
    void *arrays[] = {q, k, v, qd, kd, vd, outd, out};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

static void test_cache(void **state)
{
    on_both_maps_stored(*state, pieces);
}

static void test_repeats_bit_for_bit(void **state)
{
    struct motley__device *device = *state;
    const struct sizes n = {2, 75, 2, 1, 32, MOTLEY_BF16};
    const size_t keys = (size_t)(n.B * n.S * n.G * n.d), queries = keys * 2;
    float *q = random_floats(7, 1, queries), *k = random_floats(7, 2, keys), *dk[2];
    for (int i = 0; i < 2; i++) {
        struct work w;
        open_work(device, &n, q, k, k, q, &w);
        SUCCEED(motley__attention_forward(device, &w.a, &error));
        SUCCEED(motley__attention_backward(device, &w.a, &w.g, &error));
        dk[i] = take_back_as(n.dtype, w.g.dk);
        motley__buffer_destroy(w.a.out);
        motley__buffer_destroy(w.g.dq);
        motley__buffer_destroy(w.g.dv);
        close_work(&w);
    }
    assert_memory_equal(dk[0], dk[1], keys * sizeof(float));
    free(dk[1]);
    free(dk[0]);
    free(k);
    free(q);
}

enum { TB = 2, TS = 4, TH = 4, TG = 2, TD = 4 };
struct problem {
    double q[TB * TS * TH * TD], k[TB * TS * TG * TD], v[TB * TS * TG * TD], dout[TB * TS * TH * TD],
        out[TB * TS * TH * TD];
};

static double loss(void *self)
{
    struct problem *p = self;
    double sum = 0;
    motley__ref_attention(TB, TS, 0, TH, TG, TD, p->q, p->k, p->v, p->out, NULL);
    for (int i = 0; i < TB * TS * TH * TD; i++)
        sum += p->out[i] * p->dout[i];
    return sum;
}

static void test_twin_gradient(void **state)
{
    (void)state;
    const uint64_t seed = test_seed();
    struct problem p;
    double *numbers = p.q, dq[TB * TS * TH * TD], dk[TB * TS * TG * TD], dv[TB * TS * TG * TD];
    for (size_t i = 0; i < sizeof p / sizeof *numbers; i++)
        ((double *)&p)[i] = motley__random_normal(seed, 1, i);
    motley__ref_attention_backward(TB, TS, TH, TG, TD, p.q, p.k, p.v, p.dout, dq, dk, dv);
    for (int i = 0; i < TB * TS * TH * TD; i++)
        assert_true(fabs(slope(loss, &p, &p.q[i], 1e-3) - dq[i]) < 1e-8);
    for (int i = 0; i < TB * TS * TG * TD; i++) {
        assert_true(fabs(slope(loss, &p, &p.k[i], 1e-3) - dk[i]) < 1e-8);
        assert_true(fabs(slope(loss, &p, &p.v[i], 1e-3) - dv[i]) < 1e-8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twin_gradient), cmocka_unit_test(test_against_twin), cmocka_unit_test(test_large_scores),
        cmocka_unit_test(test_cache), cmocka_unit_test(test_repeats_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
