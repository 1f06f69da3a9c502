/* Routing in plain C: what route, encode, place, combine and decode mean.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "layer/ref.h"

void motley__ref_route(int N, int E, const int *indices, const int *slot, int *order, int *where, int *offsets)
{
    int position = 0;
    for (int n = 0; n < N; n++)
        where[n] = -1;
    for (int s = 0; s < E; s++) {
        offsets[s] = position;
        for (int n = 0; n < N; n++) {
            if (indices[n] < 0 || indices[n] >= E || slot[indices[n]] != s)
                continue;
            order[position] = n;
            where[n] = position++;
        }
    }
    offsets[E] = position;
}

/* The sorted position of send row j, and the send row of a sorted position outside the own ones. */
static int position_of(int j, int own_begin, int own_end)
{
    return j < own_begin ? j : j + own_end - own_begin;
}

static int send_row_of(int i, int own_begin, int own_end)
{
    return i < own_begin ? i : i - (own_end - own_begin);
}

void motley__ref_encode(int D, int K, int rows, int own_begin, int own_end, const float *x, const float *weights,
                        const int *order, float *send, float *send_weights)
{
    for (int j = 0; j < rows; j++) {
        const int pair = order[position_of(j, own_begin, own_end)];
        memcpy(send + (size_t)j * D, x + (size_t)(pair / K) * D, (size_t)D * sizeof *send);
        if (weights)
            send_weights[j] = weights[pair];
    }
}

void motley__ref_place(int K, int segments, int own_rows, int own_begin, const struct motley__segment *segment,
                       const int *order, const float *weights, const float *received_weights, int *index,
                       float *weight, int *pair_own, int *pair_received)
{
    for (int s = 0; s < segments; s++) {
        for (int q = 0; q < segment[s].count; q++) {
            const int p = segment[s].pair + q, at = segment[s].from + q;
            if (segment[s].own) {
                index[p] = order[at] / K;
                weight[p] = weights[order[at]];
                pair_own[at - own_begin] = p;
            } else {
                index[p] = own_rows + at;
                weight[p] = received_weights[at];
                pair_received[at] = p;
            }
        }
    }
}

/* A float product, rounded: volatile keeps a compiler from fusing it with a later addition. */
static float product(float a, float b)
{
    const volatile float rounded = a * b;
    return rounded;
}

void motley__ref_combine(int rows, int D, const float *o, const int *pair_received, const float *weight,
                         float *returned)
{
    for (int j = 0; j < rows; j++) {
        const int p = pair_received[j];
        for (int d = 0; d < D; d++)
            returned[(size_t)j * D + d] = product(weight ? weight[p] : 1, o[(size_t)p * D + d]);
    }
}

void motley__ref_decode(int T, int K, int D, int own_begin, int own_end, const int *where, const int *pair_own,
                        const float *o, const float *weights, const float *returned, int accumulate, float *y)
{
    for (int t = 0; t < T; t++) {
        for (int d = 0; d < D; d++) {
            float sum = 0;
            for (int n = t * K; n < (t + 1) * K; n++) {
                const int i = where[n];
                if (i < 0)
                    continue;
                if (i >= own_begin && i < own_end)
                    sum += product(weights ? weights[n] : 1, o[(size_t)pair_own[i - own_begin] * D + d]);
                else
                    sum += returned[(size_t)send_row_of(i, own_begin, own_end) * D + d];
            }
            y[(size_t)t * D + d] = accumulate ? y[(size_t)t * D + d] + sum : sum;
        }
    }
}

void motley__ref_decode_scalars(int N, int own_begin, int own_end, const int *where, const int *pair_own,
                                const float *s, const float *returned, float *out)
{
    for (int n = 0; n < N; n++) {
        const int i = where[n];
        if (i < 0)
            out[n] = 0;
        else
            out[n] = i >= own_begin && i < own_end ? s[pair_own[i - own_begin]]
                                                   : returned[send_row_of(i, own_begin, own_end)];
    }
}
