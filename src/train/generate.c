/* Writing text with a model from disk.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "model/generate.h"
#include "train/config_json.h"
#include "train/trainer.h"

struct generation {
    motley_context *context;            /* borrowed */
    struct motley__config config;
    motley_plan *plan;                  /* owned */
    struct motley__decoder *decoder;    /* owned */
    struct motley_generate_options o;   /* defaults filled in */
    motley_generate_emit *emit;
    void *user;
};

static struct motley_generate_options with_defaults(const struct motley_generate_options *options)
{
    struct motley_generate_options o = options ? *options : (struct motley_generate_options){0};
    if (o.tokens == 0)
        o.tokens = 256;
    if (o.temperature == 0)
        o.temperature = 1;
    if (o.top_p == 0)
        o.top_p = 1;
    return o;
}

static int check(const struct motley_generate_options *o, const char *prompt, const struct motley__config *config,
                 struct motley_error *error)
{
    if (o->tokens < 1 || o->tokens > 1 << 30)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "the number of bytes to write must be between 1 and 2^30, but it is %lld",
                            (long long)o->tokens);
    if (!prompt[0])
        return motley__fail(error, MOTLEY_E_INVALID,
                            "the prompt is empty; give at least one character to continue from");
    for (const unsigned char *c = (const unsigned char *)prompt; *c; c++)
        if (*c >= config->vocabulary)
            return motley__fail(error, MOTLEY_E_INVALID,
                                "byte %zu of the prompt is %d, but the model knows only %d tokens",
                                (size_t)(c - (const unsigned char *)prompt), *c, config->vocabulary);
    return 0;
}

/* The plan the model was saved with when it is for these ranks, else a new one. */
static int make_plan(struct generation *g, const char *text, struct motley_error *error)
{
    const struct motley__config *c = &g->config;
    const struct motley_layer_shape shape = motley__config_shape(c, g->o.dtype);
    /* Given, not the fastest as of now: the same seed shall write the same text. */
    const struct motley_plan_options options = {.tokens = c->positions, .mode = MOTLEY_MODE_EXPERT,
                                                .layers = c->layers, .pipeline = 1};
    if (text && !motley_plan_parse(text, &g->plan, NULL)) {
        if (motley__plan_fits(g->plan, g->context) && !memcmp(&g->plan->shape, &shape, sizeof shape))
            return 0;
        motley_plan_destroy(g->plan);
        g->plan = NULL;
    }
    return motley_plan_create(g->context, &shape, &options, &g->plan, error);
}

static int load(struct generation *g, const char *directory, const char *prompt, struct motley_error *error)
{
    MPI_Comm comm = g->context->comm;
    struct motley__found_checkpoint found;
    int status = motley__checkpoint_model(comm, g->context->time_limit, directory, &found, error);
    if (status)
        return status;
    status = motley__config_parse(found.config, &g->config, error);
    if (!status)
        status = check(&g->o, prompt, &g->config, error);
    status = motley__context_agree(g->context, status, error);
    if (!status)
        status = make_plan(g, found.plan, error);
    if (!status)
        status = motley__decoder_create(g->context, &g->config, g->plan, 0, 0, &g->decoder, error);
    if (!status) {
        int count;
        struct motley__checkpoint checkpoint = {.parameter = motley__decoder_parameters(g->decoder, &count)};
        checkpoint.count = count;
        status = motley__checkpoint_load(comm, g->context->time_limit, found.path, &checkpoint, error);
    }
    motley__found_checkpoint_clear(&found);
    return status;
}

static void emit(void *self, uint8_t byte)
{
    struct generation *g = self;
    if (g->emit)
        g->emit(g->user, (const char *)&byte, 1);
}

int motley_generate(motley_context *context, const char *directory, const char *prompt,
                    const struct motley_generate_options *options, motley_generate_emit *given, void *user,
                    struct motley_error *error)
{
    struct generation g = {.context = context, .o = with_defaults(options), .emit = given, .user = user};
    uint8_t *text = NULL;
    int status = load(&g, directory, prompt, error);
    if (!status) {
        text = malloc((size_t)g.o.tokens);
        if (!text)
            status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the text");
        status = motley__context_agree(context, status, error);
    }
    if (!status) {
        const struct motley__sampling sampling = {.temperature = g.o.temperature < 0 ? 0 : g.o.temperature,
                                                  .top_p = g.o.top_p, .top_k = g.o.top_k, .seed = g.o.seed};
        status = motley__generate(g.decoder, &sampling, (const uint8_t *)prompt, (int64_t)strlen(prompt), g.o.tokens,
                                  text, emit, &g, error);
    }
    free(text);
    motley__decoder_destroy(g.decoder);
    motley_plan_destroy(g.plan);
    return status;
}
