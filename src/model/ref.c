/* The model's operators as plain loops, straight from their formulas.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <string.h>

#include "model/ref.h"

static double dot(int n, const double *a, const double *b)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add(int n, double factor, const double *x, double *y)
{
    for (int i = 0; i < n; i++)
        y[i] += factor * x[i];
}

void motley__ref_norm(int T, int D, double eps, const double *x, const double *w, double *y)
{
    for (int t = 0; t < T; t++, x += D, y += D) {
        const double r = 1 / sqrt(dot(D, x, x) / D + eps);
        for (int i = 0; i < D; i++)
            y[i] = x[i] * r * w[i];
    }
}

void motley__ref_norm_backward(int T, int D, double eps, const double *x, const double *w, const double *dy, double *dx,
                               double *dw)
{
    memset(dw, 0, sizeof(double) * (size_t)D);
    for (int t = 0; t < T; t++, x += D, dy += D, dx += D) {
        const double r = 1 / sqrt(dot(D, x, x) / D + eps);
        double inner = 0;
        for (int i = 0; i < D; i++)
            inner += w[i] * dy[i] * x[i];
        for (int i = 0; i < D; i++) {
            dx[i] = r * w[i] * dy[i] - x[i] * r * r * r / D * inner;
            dw[i] += dy[i] * x[i] * r;
        }
    }
}

void motley__ref_rope(int T, int S, int past, int heads, int d, double theta, int back, double *x)
{
    for (int t = 0; t < T; t++)
        for (int h = 0; h < heads; h++, x += d)
            for (int i = 0; i < d / 2; i++) {
                const double angle = (past + t % S) * pow(theta, -2.0 * i / d) * (back ? -1 : 1);
                const double low = x[i], high = x[i + d / 2];
                x[i] = low * cos(angle) - high * sin(angle);
                x[i + d / 2] = high * cos(angle) + low * sin(angle);
            }
}

/* lse of query row `query` over its `visible` keys, which are `stride` numbers apart. */
static double log_sum(int visible, int stride, int d, const double *query, const double *k)
{
    double most = -INFINITY, sum = 0;
    for (int j = 0; j < visible; j++)
        most = fmax(most, dot(d, query, k + (size_t)j * (size_t)stride) / sqrt(d));
    for (int j = 0; j < visible; j++)
        sum += exp(dot(d, query, k + (size_t)j * (size_t)stride) / sqrt(d) - most);
    return most + log(sum);
}

void motley__ref_attention(int B, int S, int past, int H, int G, int d, const double *q, const double *k,
                           const double *v, double *out, double *lse)
{
    for (int b = 0; b < B; b++)
        for (int i = 0; i < S; i++)
            for (int h = 0; h < H; h++) {
                const size_t query = (((size_t)b * (size_t)S + (size_t)i) * (size_t)H + (size_t)h) * (size_t)d;
                const size_t key = ((size_t)b * (size_t)(past + S) * (size_t)G + (size_t)(h / (H / G))) * (size_t)d;
                const double total = log_sum(past + i + 1, G * d, d, q + query, k + key);
                memset(out + query, 0, sizeof(double) * (size_t)d);
                for (int j = 0; j <= past + i; j++) {
                    const size_t row = key + (size_t)j * (size_t)(G * d);
                    add(d, exp(dot(d, q + query, k + row) / sqrt(d) - total), v + row, out + query);
                }
                if (lse)
                    lse[((size_t)b * (size_t)H + (size_t)h) * (size_t)S + (size_t)i] = total;
            }
}

/* One query row of one head. */
static void attention_row(int visible, int stride, int d, const double *q, const double *k, const double *v,
                          const double *dout, double *dq, double *dk, double *dv)
{
    const double total = log_sum(visible, stride, d, q, k);
    double delta = 0; /* sum_j p_j dp_j */
    for (int j = 0; j < visible; j++)
        delta += exp(dot(d, q, k + (size_t)j * (size_t)stride) / sqrt(d) - total) *
                 dot(d, dout, v + (size_t)j * (size_t)stride);
    for (int j = 0; j < visible; j++) {
        const size_t row = (size_t)j * (size_t)stride;
        const double p = exp(dot(d, q, k + row) / sqrt(d) - total), ds = p * (dot(d, dout, v + row) - delta) / sqrt(d);
        add(d, p, dout, dv + row);
        add(d, ds, q, dk + row);
        add(d, ds, k + row, dq);
    }
}

void motley__ref_attention_backward(int B, int S, int H, int G, int d, const double *q, const double *k,
                                    const double *v, const double *dout, double *dq, double *dk, double *dv)
{
    memset(dq, 0, sizeof(double) * (size_t)B * (size_t)S * (size_t)(H * d));
    memset(dk, 0, sizeof(double) * (size_t)B * (size_t)S * (size_t)(G * d));
    memset(dv, 0, sizeof(double) * (size_t)B * (size_t)S * (size_t)(G * d));
    for (int b = 0; b < B; b++)
        for (int i = 0; i < S; i++)
            for (int h = 0; h < H; h++) {
                const size_t query = (((size_t)b * (size_t)S + (size_t)i) * (size_t)H + (size_t)h) * (size_t)d;
                const size_t key = ((size_t)b * (size_t)S * (size_t)G + (size_t)(h / (H / G))) * (size_t)d;
                attention_row(i + 1, G * d, d, q + query, k + key, v + key, dout + query, dq + query, dk + key,
                              dv + key);
            }
}

void motley__ref_embedding(int T, int D, const int *token, const double *w, double *x)
{
    for (int t = 0; t < T; t++)
        memcpy(x + (size_t)t * (size_t)D, w + (size_t)token[t] * (size_t)D, sizeof(double) * (size_t)D);
}

void motley__ref_embedding_backward(int T, int vocabulary, int D, const int *token, const double *dx, double *dw)
{
    memset(dw, 0, sizeof(double) * (size_t)vocabulary * (size_t)D);
    for (int t = 0; t < T; t++)
        add(D, 1, dx + (size_t)t * (size_t)D, dw + (size_t)token[t] * (size_t)D);
}

void motley__ref_cross_entropy(int T, int C, const int *target, double scale, const double *logits, double *loss,
                               double *dlogits)
{
    for (int t = 0; t < T; t++, logits += C) {
        double most = -INFINITY, sum = 0;
        for (int c = 0; c < C; c++)
            most = fmax(most, logits[c]);
        for (int c = 0; c < C; c++)
            sum += exp(logits[c] - most);
        loss[t] = most + log(sum) - logits[target[t]];
        for (int c = 0; dlogits && c < C; c++)
            *dlogits++ = scale * (exp(logits[c] - most) / sum - (c == target[t]));
    }
}
