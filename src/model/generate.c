/* Text from a decoder, token by token.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "model/generate.h"
#include "model/state.h"

enum { VOCABULARY = 256 };

int motley__sampling_check(const struct motley__sampling *s, struct motley_error *error)
{
    if (!isfinite(s->temperature) || s->temperature < 0)
        return motley__fail(error, MOTLEY_E_INVALID, "the temperature must be 0 or more, but it is %g", s->temperature);
    if (!(s->top_p >= 0 && s->top_p <= 1))
        return motley__fail(error, MOTLEY_E_INVALID, "top-p must be between 0 and 1, but it is %g", s->top_p);
    if (s->top_k < 0)
        return motley__fail(error, MOTLEY_E_INVALID, "sample-top-k must be 0 or more, but it is %d", s->top_k);
    return 0;
}

/* Tokens by falling logit, ties to the lower token; insertion keeps it stable. */
static void sort_tokens(int vocabulary, const float *logits, int *order)
{
    for (int c = 0; c < vocabulary; c++) {
        int i = c;
        for (; i > 0 && logits[order[i - 1]] < logits[c]; i--)
            order[i] = order[i - 1];
        order[i] = c;
    }
}

int motley__sample(const struct motley__sampling *s, int vocabulary, const float *logits, uint64_t position)
{
    assert(vocabulary >= 1 && vocabulary <= VOCABULARY);
    int order[VOCABULARY], kept = vocabulary;
    double p[VOCABULARY], sum = 0, reached = 0;
    sort_tokens(vocabulary, logits, order);
    if (s->temperature <= 0)
        return order[0];
    if (s->top_k > 0 && s->top_k < kept)
        kept = s->top_k;
    for (int i = 0; i < kept; i++)
        sum += p[i] = exp((logits[order[i]] - (double)logits[order[0]]) / s->temperature);
    if (s->top_p > 0 && s->top_p < 1) {
        int fewest = 0;
        while (fewest < kept && reached < s->top_p * sum)
            reached += p[fewest++];
        kept = fewest;
        sum = reached;
    }
    double draw = motley__random_uniform(s->seed, motley__hash_text("sample"), position) * sum;
    for (int i = 0; i < kept; i++) {
        draw -= p[i];
        if (draw < 0)
            return order[i];
    }
    return order[kept - 1]; /* rounding */
}

/* What rank 0 has seen: the model's window of the text. */
struct window {
    uint8_t *seen;   /* [positions] */
    int count;       /* bytes in it */
    int fresh;       /* of them, at the end: not yet given to the model */
};

/* A full window keeps its later half, which the model then reads anew. */
static void append(struct motley__decoder *d, struct window *w, uint8_t byte)
{
    w->fresh = 0;
    if (w->count == d->config.positions) {
        const int kept = d->config.positions / 2;
        memmove(w->seen, w->seen + w->count - kept, (size_t)kept);
        w->count = w->fresh = kept;
        motley__decoder_reset(d);
    }
    w->seen[w->count++] = byte;
    w->fresh++;
}

int motley__generate(struct motley__decoder *d, const struct motley__sampling *sampling, const uint8_t *prompt,
                     int64_t prompt_bytes, int64_t count, uint8_t *text, void (*emit)(void *self, uint8_t byte),
                     void *self, struct motley_error *error)
{
    const int first = d->context->rank == 0, positions = d->config.positions;
    struct window w = {0};
    float logits[VOCABULARY];
    int status = motley__sampling_check(sampling, error);
    if (!status && first && prompt_bytes < 1)
        status = motley__fail(error, MOTLEY_E_INVALID, "the prompt is empty: give at least one byte");
    if (!status && first && !(w.seen = malloc((size_t)positions)))
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a text");
    status = motley__context_agree(d->context, status, error);
    if (!status && first) {
        w.count = w.fresh = prompt_bytes < positions ? (int)prompt_bytes : positions;
        memcpy(w.seen, prompt + (prompt_bytes - w.count), (size_t)w.count);
    }
    motley__decoder_reset(d);
    for (int64_t i = 0; i < count && !status; i++) {
        status = motley__decoder_extend(d, first ? w.seen + w.count - w.fresh : NULL, first ? w.fresh : 0, logits,
                                        error);
        if (status || !first)
            continue;
        text[i] = (uint8_t)motley__sample(sampling, d->config.vocabulary, logits, (uint64_t)i);
        if (emit)
            emit(self, text[i]);
        append(d, &w, text[i]);
    }
    free(w.seen);
    return status;
}
