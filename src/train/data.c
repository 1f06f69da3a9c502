/* Training data: bytes on every rank, divided into a part to learn from and a held-out part.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/collective.h"
#include "base/random.h"
#include "train/data.h"

enum {
    BLOCK = 64 * 1024,          /* bytes */
    HELD_OUT_EVERY = 20,        /* blocks */
    MESSAGE = 64 * 1024 * 1024  /* bytes of one broadcast */
};

int motley__data_split(struct motley__corpus *corpus, struct motley__data *data, struct motley_error *error)
{
    size_t size = corpus->size, block = size / HELD_OUT_EVERY < BLOCK ? size / HELD_OUT_EVERY : BLOCK;
    uint8_t *bytes = corpus->bytes;
    corpus->bytes = NULL;
    if (block == 0) {
        free(bytes);
        return motley__fail(error, MOTLEY_E_INVALID,
                            "the text holds %zu bytes, too few to hold any out; give more --text", size);
    }
    size_t held_out = (size / (block * HELD_OUT_EVERY)) * block;
    uint8_t *aside = malloc(held_out);
    if (!aside) {
        free(bytes);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu bytes of text", held_out);
    }
    uint64_t hash = motley__hash_bytes(MOTLEY__HASH_START, bytes, size);
    size_t kept = 0, put = 0;
    for (size_t at = 0, i = 0; at < size; at += block, i++) {
        size_t count = size - at < block ? size - at : block;
        if (i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 && count == block) {
            memcpy(aside + put, bytes + at, count);
            put += count;
        } else {
            memmove(bytes + kept, bytes + at, count);
            kept += count;
        }
    }
    memcpy(bytes + kept, aside, put);
    free(aside);
    *data = (struct motley__data){.bytes = bytes, .train = bytes, .train_bytes = kept, .held_out = bytes + kept,
                                  .held_out_bytes = put, .hash = hash, .files = corpus->files,
                                  .skipped = corpus->skipped};
    return 0;
}

static int broadcast(MPI_Comm comm, double time_limit, void *bytes, uint64_t size, struct motley_error *error)
{
    int status = 0;
    for (uint64_t at = 0; at < size && !status; at += MESSAGE) {
        int count = size - at < MESSAGE ? (int)(size - at) : MESSAGE;
        status = motley__broadcast(comm, time_limit, 0, (char *)bytes + at, count, MPI_BYTE, error);
    }
    return status;
}

/* Rank 0's corpus on every rank. */
static int share(MPI_Comm comm, double time_limit, int rank, struct motley__corpus *corpus, struct motley_error *error)
{
    int64_t facts[3] = {(int64_t)corpus->size, corpus->files, corpus->skipped};
    int status = broadcast(comm, time_limit, facts, sizeof facts, error);
    if (status)
        return status;
    if (rank != 0) {
        corpus->size = (size_t)facts[0];
        corpus->files = (int)facts[1];
        corpus->skipped = (int)facts[2];
        corpus->bytes = malloc(corpus->size);
        if (!corpus->bytes)
            status =
                motley__fail(error, MOTLEY_E_MEMORY,
                             "out of host memory for %zu bytes of text; --text-limit takes less of it", corpus->size);
    }
    status = motley__agree_within(comm, time_limit, status, error);
    if (!status)
        status = broadcast(comm, time_limit, corpus->bytes, corpus->size, error);
    return status;
}

int motley__data_create(MPI_Comm comm, double time_limit, const char *const *paths, int count, uint64_t limit, int S,
                        struct motley__data *data, struct motley_error *error)
{
    struct motley__corpus corpus = {0};
    struct motley__data made = {0};
    int rank, status = 0;
    MPI_Comm_rank(comm, &rank);
    if (rank == 0)
        status = motley__corpus_read(paths, count, limit, &corpus, error);
    status = motley__agree_within(comm, time_limit, status, error);
    if (!status)
        status = share(comm, time_limit, rank, &corpus, error);
    if (status) {
        free(corpus.bytes);
        return status;
    }
    status = motley__data_split(&corpus, &made, error);
    if (!status && made.held_out_bytes < (size_t)S + 1)
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "the text holds %zu bytes, of which %zu are held out: too few for a sequence of %d; "
                              "give more --text or a shorter --sequence",
                              corpus.size, made.held_out_bytes, S);
    status = motley__agree_within(comm, time_limit, status, error);
    if (status) {
        motley__data_destroy(&made);
        return status;
    }
    *data = made;
    return 0;
}

void motley__data_destroy(struct motley__data *data)
{
    free(data->bytes);
    memset(data, 0, sizeof *data);
}

void motley__data_draw(const struct motley__data *data, uint64_t seed, uint64_t step, uint64_t i, int S,
                       uint8_t *sequence)
{
    uint64_t places = data->train_bytes - (size_t)S;
    uint64_t stream = motley__hash_text("sequences") + step;
    memcpy(sequence, data->train + motley__random_bits(seed, stream, i) % places, (size_t)S + 1);
}

int64_t motley__data_windows(const struct motley__data *data, int S, int64_t most)
{
    int64_t fit = ((int64_t)data->held_out_bytes - 1) / S;
    return most > 0 && most < fit ? most : fit;
}

void motley__data_window(const struct motley__data *data, int S, int64_t windows, int64_t i, uint8_t *sequence)
{
    int64_t fit = ((int64_t)data->held_out_bytes - 1) / S;
    memcpy(sequence, data->held_out + i * fit / windows * S, (size_t)S + 1);
}
