/* Routing in plain C: what route, encode, place and decode mean.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <string.h>

#include "layer/chunks.h"
#include "layer/ref.h"

static int slot_of(int index, int E, const int *slot)
{
    if (index < 0 || index >= E)
        return -1;
    return slot ? slot[index] : index;
}

void motley__ref_route(int N, int E, int slots, const int *indices, const int *slot, int *order, int *where,
                       int *offsets)
{
    int position = 0;
    for (int n = 0; n < N; n++)
        where[n] = -1;
    for (int s = 0; s < slots; s++) {
        offsets[s] = position;
        for (int n = 0; n < N; n++) {
            if (slot_of(indices[n], E, slot) != s)
                continue;
            order[position] = n;
            where[n] = position++;
        }
    }
    offsets[slots] = position;
}

void motley__ref_heads(const struct motley__heads_args *a, const int *indices, const int *server, int *slots,
                       int *heads)
{
    for (int n = 0; n < a->N; n++) {
        const int t = n / a->K, group = indices[n] < 0 ? -1 : server[indices[n]];
        slots[n] = group < 0 ? -1
                             : motley__chunks_slot(a->chunks.count, a->groups, a->sent,
                                                   motley__chunks_at(&a->chunks, t), group);
        heads[n] = group < a->sent ? slots[n] : -1;
        for (int j = t * a->K; j < n && !a->every; j++)
            if (heads[j] >= 0 && heads[j] == heads[n])
                heads[n] = -1;
    }
}

void motley__ref_encode(int D, int K, int rows, const float *x, const int *order, float *send)
{
    for (int j = 0; j < rows; j++)
        memcpy(send + (size_t)j * D, x + (size_t)(order[j] / K) * D, (size_t)D * sizeof *send);
}

/* A word of the list, the lower half first. */
static uint16_t *put_word(uint16_t *list, uint32_t word)
{
    list[0] = (uint16_t)word;
    list[1] = (uint16_t)(word >> 16);
    return list + 2;
}

static uint32_t get_word(const uint16_t *list)
{
    return list[0] | (uint32_t)list[1] << 16;
}

void motley__ref_encode_pairs(int slots, const int *indices, const int *name, const float *weights, const int *order,
                              const int *pair_offsets, const int *row, const int *row_offsets, uint16_t *list)
{
    for (int g = 0; g < slots; g++) {
        if (row_offsets[g] == row_offsets[g + 1])
            continue;
        for (int i = pair_offsets[g]; i < pair_offsets[g + 1]; i++)
            if (row[order[i]] >= 0)
                list = put_word(list, (uint32_t)(i - pair_offsets[g]));
        for (int i = pair_offsets[g]; i < pair_offsets[g + 1]; i++) {
            uint32_t bits;
            memcpy(&bits, weights + order[i], sizeof bits);
            list = put_word(list, bits);
        }
        for (int i = pair_offsets[g]; i < pair_offsets[g + 1]; i++)
            *list++ = (uint16_t)(name ? name[indices[order[i]]] : indices[order[i]]);
    }
}

void motley__ref_arrive(const struct motley__arrive_args *a, const int *indices, const int *source,
                        const uint16_t *list, int *expert, int *begin, int *row, float *received)
{
    const int chunks = a->chunks.count, sections = chunks * a->sources, *pair_offsets = source + sections + 1;
    for (int n = 0; n < a->N; n++) {
        const int t = n / a->K, chunk = motley__chunks_at(&a->chunks, t);
        const int own = chunk < chunks / 2 ? 0 : chunks + 1, batch = t < a->chunks.own ? own : 1 + chunk;
        expert[n] = indices[n] < 0 ? -1 : indices[n] + (chunks > 1 ? batch : 0) * a->E;
    }
    for (int s = 0; s < sections; s++) {
        const int rows = source[s + 1] - source[s], first = pair_offsets[s], pairs = pair_offsets[s + 1] - first;
        const int batch = chunks > 1 ? 1 + s / a->sources : 0;
        const uint16_t *weights = list + 2 * (size_t)rows, *experts = weights + 2 * (size_t)pairs;
        for (int j = 0; j < rows; j++) {
            const int from = (int)get_word(list + 2 * (size_t)j);
            const int to = j + 1 < rows ? (int)get_word(list + 2 * (size_t)(j + 1)) : pairs;
            begin[source[s] + j] = first + from;
            for (int i = from; i < to; i++)
                row[first + i] = source[s] + j;
        }
        for (int i = 0; i < pairs; i++) {
            const uint32_t bits = get_word(weights + 2 * (size_t)i);
            memcpy(received + first + i, &bits, sizeof bits);
            expert[a->N + first + i] = batch * a->E + experts[i];
        }
        list = experts + pairs;
    }
    if (begin)
        begin[source[sections]] = pair_offsets[sections];
}

void motley__ref_guests(const struct motley__guests_args *a, const int *own_indices, const float *own_weights,
                        const int *source, const uint16_t *list, int *indices, float *weights, int *at)
{
    const int *pair_offsets = source + a->sections + 1;
    for (int n = 0; n < a->N + a->M * a->K; n++) {
        indices[n] = n < a->N ? own_indices[n] : -1;
        weights[n] = n < a->N ? own_weights[n] : 0;
    }
    for (int s = 0; s < a->sections; s++) {
        const int rows = source[s + 1] - source[s], first = pair_offsets[s], pairs = pair_offsets[s + 1] - first;
        const uint16_t *values = list + 2 * (size_t)rows, *experts = values + 2 * (size_t)pairs;
        for (int j = 0; j < rows; j++) {
            const int from = (int)get_word(list + 2 * (size_t)j);
            const int to = j + 1 < rows ? (int)get_word(list + 2 * (size_t)(j + 1)) : pairs;
            for (int i = from; i < to; i++) {
                const int place = a->N + (source[s] + j) * a->K + i - from;
                const uint32_t bits = get_word(values + 2 * (size_t)i);
                indices[place] = a->first + experts[i];
                memcpy(weights + place, &bits, sizeof bits);
                at[first + i] = place;
            }
        }
        list = experts + pairs;
    }
}

void motley__ref_staying(const struct motley__staying_args *a, const int *order, const int *offsets, int *own)
{
    for (int c = 0; c < a->chunks; c++) {
        const int slot = a->first + c * a->step;
        own[c] = 0;
        for (int i = offsets[slot]; i < offsets[slot + 1]; i++)
            own[c] += order[i] < a->N;
    }
}

void motley__ref_place(int P, int N, int K, int own_rows, const int *order, const float *weights, const int *row,
                       const float *received, int *index, float *weight)
{
    for (int p = 0; p < P; p++) {
        const int q = order[p];
        index[p] = q < N ? q / K : own_rows + row[q - N];
        weight[p] = q < N ? weights[q] : received[q - N];
    }
}

/* A float product, rounded: volatile keeps a compiler from fusing it with a later addition. */
static float product(float a, float b)
{
    const volatile float rounded = a * b;
    return rounded;
}

/* Number d of the sum over pairs first .. last-1. */
static float sum_pairs(int D, int d, int first, int last, const int *where, const float *o, const float *weight)
{
    float sum = 0;
    for (int n = first; n < last; n++)
        if (where[n] >= 0)
            sum += product(weight ? weight[where[n]] : 1, o[(size_t)where[n] * D + d]);
    return sum;
}

void motley__ref_combine(int rows, int D, int first, const float *o, const int *begin, const int *where,
                         const float *weight, float *returned)
{
    for (int j = 0; j < rows; j++)
        for (int d = 0; d < D; d++)
            returned[(size_t)j * D + d] = sum_pairs(D, d, first + begin[j], first + begin[j + 1], where, o, weight);
}

/* Where the streams of token t's chunk begin: rows, or scalars. */
static const int *bases(const struct motley__ref_returned *returned, int scalars, int t)
{
    const int chunk = (scalars ? returned->chunks.count : 0) + motley__chunks_at(&returned->chunks, t);
    return returned->table + returned->groups + 1 + chunk * returned->streams;
}

void motley__ref_decode(int T, int K, int D, const int *where, const float *o, const float *weight,
                        const struct motley__ref_returned *returned, int accumulate, float *y)
{
    for (int t = 0; t < T; t++)
        for (int d = 0; d < D; d++) {
            float sum = sum_pairs(D, d, t * K, (t + 1) * K, where, o, weight);
            for (int n = t * K; returned->streams && n < (t + 1) * K; n++) {
                const int j = returned->row[n], g = j < 0 ? 0 : returned->server[returned->indices[n]];
                const int *base = bases(returned, 0, t);
                for (int s = returned->table[g]; j >= 0 && s < returned->table[g + 1]; s++)
                    sum += returned->rows[(size_t)(base[s] + j) * D + d];
            }
            y[(size_t)t * D + d] = accumulate ? y[(size_t)t * D + d] + sum : sum;
        }
}

void motley__ref_decode_scalars(int T, int K, const int *where, const float *s,
                                const struct motley__ref_returned *returned, float *out)
{
    for (int n = 0; n < T * K; n++) {
        out[n] = where[n] >= 0 ? s[where[n]] : 0;
        if (!returned->streams || returned->pair[n] < 0)
            continue;
        const int g = returned->server[returned->indices[n]], *base = bases(returned, 1, n / K);
        for (int i = returned->table[g]; i < returned->table[g + 1]; i++)
            out[n] += returned->scalars[base[i] + returned->pair[n]];
    }
}
