/* What candidates that were predicted nearly alike really took.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "device/storage.h"
#include "profile/names.h"
#include "profile/outcome.h"
#include "profile/pairs.h"


struct motley__outcome motley__outcome_key(uint64_t ranks, int R, const struct motley_layer_shape *shape,
                                           const struct motley_plan_options *options)
{
    int tokens = options->tokens > 0;
    while (tokens && tokens <= INT_MAX / 2 && 2 * (int64_t)tokens <= options->tokens)
        tokens *= 2;
    return (struct motley__outcome){.ranks = ranks, .R = R, .backward = options->backward != 0, .D = shape->D,
                                    .F = shape->F, .E = shape->E, .K = shape->K, .activation = (int)shape->activation,
                                    .bias = shape->bias != 0, .dtype = (int)shape->dtype, .tokens = tokens};
}

int motley__outcome_same(const struct motley__outcome *a, const struct motley__outcome *b)
{
    return a->ranks == b->ranks && a->R == b->R && a->backward == b->backward && a->D == b->D && a->F == b->F &&
           a->E == b->E && a->K == b->K && a->activation == b->activation && a->bias == b->bias &&
           a->dtype == b->dtype && a->tokens == b->tokens && a->mode == b->mode && a->group == b->group &&
           a->exchange == b->exchange && a->pipeline == b->pipeline;
}

void motley__outcome_write(FILE *stream, const struct motley__outcome *o)
{
    fprintf(stream, " ranks=%016" PRIx64 " of=%d direction=%s D=%d F=%d E=%d K=%d activation=%s bias=%d dtype=%s",
            o->ranks, o->R, motley__direction_names[o->backward], o->D, o->F, o->E, o->K,
            motley__activation_names[o->activation], o->bias, motley__storage_names[o->dtype]);
    fprintf(stream, " tokens=%d mode=%s group=%d", o->tokens, motley__mode_names[o->mode], o->group);
    if (o->pipeline)
        fprintf(stream, " exchange=%s pipeline=%d", motley__exchange_names[o->exchange], o->pipeline);
    motley__put_number(stream, "seconds", o->seconds);
    fprintf(stream, " samples=%d", o->samples);
}

/* 1: both or neither are there. */
static int read_way(const char *line, struct motley__outcome *o)
{
    char word[MOTLEY__VALUE];
    const int exchange = motley__get_text(line, "exchange", word, sizeof word);
    const int pipeline = motley__get_text(line, "pipeline", word, sizeof word);
    if (!exchange && !pipeline)
        return 1;
    return motley__get_word(line, "exchange", motley__exchange_names, &o->exchange) &&
           o->exchange != MOTLEY_EXCHANGE_AUTO && motley__get_integer(line, "pipeline", 1, &o->pipeline);
}

int motley__outcome_read(const char *line, struct motley__outcome *outcome)
{
    struct motley__outcome o;
    memset(&o, 0, sizeof o);
    if (!motley__get_unsigned(line, "ranks", 16, &o.ranks) || !motley__get_integer(line, "of", 1, &o.R) ||
        !motley__get_word(line, "direction", motley__direction_names, &o.backward) ||
        !motley__get_integer(line, "D", 1, &o.D) || !motley__get_integer(line, "F", 1, &o.F) ||
        !motley__get_integer(line, "E", 1, &o.E) || !motley__get_integer(line, "K", 1, &o.K) ||
        !motley__get_word(line, "activation", motley__activation_names, &o.activation) ||
        !motley__get_integer(line, "bias", 0, &o.bias) || o.bias > 1 ||
        !motley__get_word(line, "dtype", motley__storage_names, &o.dtype) ||
        !motley__get_integer(line, "tokens", 0, &o.tokens) ||
        !motley__get_word(line, "mode", motley__mode_names, &o.mode) || o.mode == MOTLEY_MODE_AUTO ||
        !motley__get_integer(line, "group", 0, &o.group) || !read_way(line, &o) ||
        !motley__get_number(line, "seconds", &o.seconds) || o.seconds <= 0 ||
        !motley__get_integer(line, "samples", 1, &o.samples))
        return 0;
    *outcome = o;
    return 1;
}
