/* What counting alone predicts: bigram and trigram models of bytes, to judge a trained model by.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "train/ngram.h"

enum { BYTES = 256 };

/* What followed one kind of history. */
struct followers {
    uint64_t total;     /* n(h) */
    int distinct;       /* t(h) */
};

struct motley__ngram {
    uint32_t *three;                            /* [256,256,256] n(abc); owned */
    uint32_t two[BYTES][BYTES];                 /* n(bc) */
    uint64_t one[BYTES];                        /* n(c) */
    struct followers behind_two[BYTES][BYTES];  /* of ab */
    struct followers behind_one[BYTES];         /* of b */
    struct followers behind_none;
};

static uint32_t *three(const struct motley__ngram *ngram, int a, int b)
{
    return ngram->three + ((size_t)a * BYTES + (size_t)b) * BYTES;
}

static void count_followers(struct motley__ngram *ngram)
{
    for (int b = 0; b < BYTES; b++) {
        ngram->behind_none.total += ngram->one[b];
        ngram->behind_none.distinct += ngram->one[b] > 0;
        for (int c = 0; c < BYTES; c++) {
            ngram->behind_one[b].total += ngram->two[b][c];
            ngram->behind_one[b].distinct += ngram->two[b][c] > 0;
        }
    }
    for (int a = 0; a < BYTES; a++)
        for (int b = 0; b < BYTES; b++) {
            const uint32_t *count = three(ngram, a, b);
            struct followers *followers = &ngram->behind_two[a][b];
            for (int c = 0; c < BYTES; c++) {
                followers->total += count[c];
                followers->distinct += count[c] > 0;
            }
        }
}

int motley__ngram_create(const uint8_t *text, size_t bytes, struct motley__ngram **ngram, struct motley_error *error)
{
    struct motley__ngram *made = calloc(1, sizeof *made);
    if (made)
        made->three = calloc((size_t)BYTES * BYTES * BYTES, sizeof *made->three);
    if (!made || !made->three) {
        motley__ngram_destroy(made);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the counts of a trigram model (64 MiB)");
    }
    for (size_t i = 0; i < bytes; i++) {
        made->one[text[i]]++;
        if (i >= 1)
            made->two[text[i - 1]][text[i]]++;
        if (i >= 2)
            three(made, text[i - 2], text[i - 1])[text[i]]++;
    }
    count_followers(made);
    *ngram = made;
    return 0;
}

void motley__ngram_destroy(struct motley__ngram *ngram)
{
    if (!ngram)
        return;
    free(ngram->three);
    free(ngram);
}

double motley__ngram_bigram(const struct motley__ngram *ngram, int b, int c)
{
    return (ngram->two[b][c] + 1.0) / ((double)ngram->behind_one[b].total + BYTES);
}

/* Witten-Bell: what was counted, and for the times something new came the shorter history's answer. */
static double interpolate(double count, struct followers followers, double shorter)
{
    if (followers.total == 0)
        return shorter;
    return (count + followers.distinct * shorter) / ((double)followers.total + followers.distinct);
}

double motley__ngram_trigram(const struct motley__ngram *ngram, int a, int b, int c)
{
    double p = interpolate((double)ngram->one[c], ngram->behind_none, 1.0 / BYTES);
    p = interpolate(ngram->two[b][c], ngram->behind_one[b], p);
    return a < 0 ? p : interpolate(three(ngram, a, b)[c], ngram->behind_two[a][b], p);
}

void motley__ngram_bits(const struct motley__ngram *ngram, const uint8_t *sequence, int S, double *bigram,
                        double *trigram)
{
    for (int s = 1; s <= S; s++) {
        int a = s >= 2 ? sequence[s - 2] : -1, b = sequence[s - 1], c = sequence[s];
        *bigram -= log2(motley__ngram_bigram(ngram, b, c));
        *trigram -= log2(motley__ngram_trigram(ngram, a, b, c));
    }
}
