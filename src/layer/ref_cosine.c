/* The cosine gate in plain C: what it means.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "layer/ref.h"

static const double TINY = 1e-12;

static double scale_of(float temperature)
{
    return exp(fmin(temperature, log(100)));
}

static double norm_of(int P, const float *row)
{
    double squares = 0;
    for (int i = 0; i < P; i++)
        squares += (double)row[i] * row[i];
    return fmax(sqrt(squares), TINY);
}

/* unit [P] = v / |v|, v = x proj^T + bias; returns |v|. */
static double project(const struct motley__ref_cosine *c, int t, double *unit)
{
    double squares = 0, length;
    for (int i = 0; i < c->P; i++) {
        unit[i] = c->bias[i];
        for (int d = 0; d < c->D; d++)
            unit[i] += (double)c->x[(size_t)t * c->D + d] * c->projection[(size_t)i * c->D + d];
        squares += unit[i] * unit[i];
    }
    length = fmax(sqrt(squares), TINY);
    for (int i = 0; i < c->P; i++)
        unit[i] /= length;
    return length;
}

void motley__ref_cosine_forward(const struct motley__ref_cosine *c, double *unit, double *length, double *logits)
{
    for (int t = 0; t < c->T; t++, unit += c->P) {
        length[t] = project(c, t, unit);
        for (int e = 0; e < c->E; e++) {
            const float *row = c->matrix + (size_t)e * c->P;
            double dot = 0;
            for (int i = 0; i < c->P; i++)
                dot += unit[i] * row[i];
            logits[(size_t)t * c->E + e] = dot * scale_of(c->temperature) / norm_of(c->P, row);
        }
    }
}

/* A token's part of everything; dunit [P] scratch. */
static void token_backward(const struct motley__ref_cosine *c, int t, const double *unit, double length,
                           const double *dlogits, struct motley__ref_cosine_gradient *g, double *dunit)
{
    const double scale = scale_of(c->temperature);
    double along = 0;
    for (int i = 0; i < c->P; i++)
        dunit[i] = 0;
    for (int e = 0; e < c->E; e++) {
        const float *row = c->matrix + (size_t)e * c->P;
        const double norm = norm_of(c->P, row);
        double cosine = 0;
        for (int i = 0; i < c->P; i++)
            cosine += unit[i] * row[i] / norm;
        for (int i = 0; i < c->P; i++) {
            dunit[i] += dlogits[e] * scale * row[i] / norm;
            g->matrix[(size_t)e * c->P + i] += dlogits[e] * scale * (unit[i] - row[i] / norm * cosine) / norm;
        }
        g->temperature += c->temperature <= log(100) ? dlogits[e] * scale * cosine : 0;
    }
    for (int i = 0; i < c->P; i++)
        along += unit[i] * dunit[i];
    for (int i = 0; i < c->P; i++) {
        const double dv = (dunit[i] - unit[i] * along) / length;
        g->bias[i] += dv;
        for (int d = 0; d < c->D; d++) {
            g->projection[(size_t)i * c->D + d] += dv * c->x[(size_t)t * c->D + d];
            g->x[(size_t)t * c->D + d] += dv * c->projection[(size_t)i * c->D + d];
        }
    }
}

void motley__ref_cosine_backward(const struct motley__ref_cosine *c, const double *unit, const double *length,
                                 const double *dlogits, struct motley__ref_cosine_gradient *g, double *scratch)
{
    for (int t = 0; t < c->T; t++)
        token_backward(c, t, unit + (size_t)t * c->P, length[t], dlogits + (size_t)t * c->E, g, scratch);
}
