/* What the tests of encode, place and decode share: ranks and groups that a rank's tokens go to, sorted by the twins.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_TRAVEL_H
#define MOTLEY_TESTS_TRAVEL_H

#include "routing.h"

#include "layer/chunks.h"
#include "layer/ref.h"

/* The last third of T tokens are guests that came in chunks of 0, 1, 2, ... and the rest of them. */
static inline struct motley__chunks chunks_with_guests(int T, int count)
{
    struct motley__chunks chunks = motley__chunks_of(T - T / 3, count);
    chunks.own = T - T / 3;
    for (int c = 1; c < count; c++)
        chunks.guests[c] = c * (c - 1) / 2 < T / 3 ? c * (c - 1) / 2 : T / 3;
    return chunks;
}

/* One rank's tokens, routed to groups 0 .. G-1, of which those below `sent` are sent to, in chunks; or every pair by
 * itself. */
struct routed {
    int T, K, N, E, G, sent, slots;
    struct motley__chunks chunks;
    struct motley__heads_args args;
    int *indices, *server;                       /* [N], [E] */
    int *name;                                   /* [E] what goes for each index, or NULL */
    float *weights;                              /* [N] */
    int *slot, *heads;                           /* [N] */
    int *pair_order, *pair_place, *pair_offsets; /* pairs by slot */
    int *row_order, *send_row, *row_offsets;     /* heads by slot */
    int S, S_pairs;                              /* rows and pairs that are sent */
    uint16_t *list;
};

/* Distinct experts for each token, sometimes none (-1); groups may serve none. */
static inline void choose(struct routed *r, uint64_t seed, int dropped)
{
    for (int t = 0; t < r->T; t++) {
        const int first = random_int(seed, 11, (size_t)t, r->E);
        for (int k = 0; k < r->K; k++) {
            const int n = t * r->K + k;
            r->indices[n] = (first + k * (r->E % 2 ? 2 : 1)) % r->E;
            if (dropped && random_int(seed, 12, (size_t)n, 4) == 0)
                r->indices[n] = -1;
        }
    }
}

/* server [E] copied.  K <= E; odd E take every second expert.  Where choices are dropped there are guests, too,
 * and names. */
static inline struct routed routed_create_in(int chunks, int every, int T, int K, int E, int G, int sent,
                                             const int *server, int dropped, uint64_t seed)
{
    struct routed r = {.T = T, .K = K, .N = T * K, .E = E, .G = G, .sent = sent, .slots = chunks * G,
                       .chunks = dropped ? chunks_with_guests(T, chunks) : motley__chunks_of(T, chunks)};
    r.args = (struct motley__heads_args){.N = r.N, .K = K, .groups = G, .sent = sent, .chunks = r.chunks,
                                         .every = every};
    r.indices = ARRAY(int, r.N);
    r.server = ARRAY(int, E);
    memcpy(r.server, server, (size_t)E * sizeof *server);
    r.name = dropped ? ARRAY(int, E) : NULL;
    for (int e = 0; e < E && dropped; e++)
        r.name[e] = E - 1 - e;
    r.weights = random_floats(seed, 13, (size_t)r.N);
    choose(&r, seed, dropped);
    int **lists[] = {&r.slot, &r.heads, &r.pair_order, &r.pair_place, &r.row_order, &r.send_row};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        *lists[i] = ARRAY(int, r.N);
    r.pair_offsets = ARRAY(int, r.slots + 1);
    r.row_offsets = ARRAY(int, r.slots + 1);
    motley__ref_heads(&r.args, r.indices, r.server, r.slot, r.heads);
    motley__ref_route(r.N, r.slots, r.slots, r.slot, NULL, r.pair_order, r.pair_place, r.pair_offsets);
    motley__ref_route(r.N, r.slots, r.slots, r.heads, NULL, r.row_order, r.send_row, r.row_offsets);
    r.S = r.row_offsets[chunks * sent];
    r.S_pairs = r.pair_offsets[chunks * sent];
    r.list = ARRAY(uint16_t, 2 * r.S + 3 * r.S_pairs);
    motley__ref_encode_pairs(chunks * sent, r.indices, r.name, r.weights, r.pair_order, r.pair_offsets, r.send_row,
                             r.row_offsets, r.list);
    return r;
}

static inline struct routed routed_create(int T, int K, int E, int G, int sent, const int *server, int dropped,
                                          uint64_t seed)
{
    return routed_create_in(1, 0, T, K, E, G, sent, server, dropped, seed);
}

static inline void routed_destroy(struct routed *r)
{
    void *host[] = {r->indices, r->server, r->name, r->weights, r->slot, r->heads, r->pair_order, r->pair_place,
                    r->pair_offsets, r->row_order, r->send_row, r->row_offsets, r->list};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

static inline struct motley__buffer *ints_there(struct motley__device *device, const int *host, int count)
{
    return to_device(device, host, (size_t)count * sizeof *host);
}

/* The buffer holds these bytes; it is destroyed. */
static inline void expect_bytes(struct motley__buffer *buffer, const void *expected, size_t bytes)
{
    void *there = take_back(buffer);
    if (bytes)
        assert_memory_equal(there, expected, bytes);
    free(there);
}

static inline void destroy_all(struct motley__buffer *const *buffer, size_t count)
{
    for (size_t i = 0; i < count; i++)
        motley__buffer_destroy(buffer[i]);
}

#endif
