/* Write a small random model with what it computes, for reference_mixtral.py to compare with another implementation.
 *
 *   write_mixtral DIRECTORY
 *
 *   config.json, model.safetensors   as a checkpoint has them
 *   expected.safetensors             tokens [B,S+1], logits [B*S,vocabulary], loss [1]
 *   gradients.safetensors            every weight's gradient of the loss, under the weight's name
 *
 * One rank.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "context.h"
#include "model/decoder.h"
#include "model/safetensors.h"
#include "plan/plan.h"
#include "train/config_json.h"
#include "train/tensors.h"

enum { B = 3, S = 41, E = 6 };

static const struct motley__config config = {
    .vocabulary = 200, .D = 48, .layers = 3, .heads = 6, .kv_heads = 2, .F = 56, .E = E, .K = 2, .positions = 64,
    .rope_theta = 50000, .norm_eps = 1e-6,
};

/* All experts on the one rank. */
static int make_plan(motley_plan **plan, struct motley_error *error)
{
    const struct motley_layer_shape shape = {.D = 48, .F = 56, .E = E, .K = 2, .activation = MOTLEY_SWIGLU,
                                             .normalize = 1};
    const struct motley_plan_options options = {0};
    int status = motley__plan_alloc(&shape, &options, 1, plan, error);
    if (status)
        return status;
    motley__placement_clear(&(*plan)->stored);
    status = motley__placement_everything(1, E, shape.F, &(*plan)->stored, error);
    return status ? status : motley__plan_index(*plan, error);
}

/* Larger than start values, so that attention and gates have opinions; norms away from 1. */
static int draw(struct motley__parameter *p, int count, struct motley_error *error)
{
    int status = 0;
    for (int i = 0; i < count; i++) {
        const size_t one = (size_t)p[i].w->O * (size_t)p[i].w->I;
        float *w = malloc(one * sizeof *w);
        if (!w)
            return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory");
        for (int e = 0; e < p[i].w->E && !status; e++) {
            for (size_t j = 0; j < one; j++) {
                const double normal = motley__random_normal(7, motley__hash_text(p[i].name), (uint64_t)e * one + j);
                w[j] = (float)(p[i].dims == 1 ? 1 + 0.1 * normal : 0.2 * normal);
            }
            status = motley__matrix_set(p[i].w, e, w, error);
        }
        free(w);
    }
    return status;
}

static int write_expected(const char *path, const int *tokens, const float *logits, float loss,
                          struct motley_error *error)
{
    const struct motley__tensor_info info[] = {
        {.name = "tokens", .dtype = MOTLEY__I32, .dims = 2, .shape = {B, S + 1}},
        {.name = "logits", .dtype = MOTLEY__F32, .dims = 2, .shape = {B * S, config.vocabulary}},
        {.name = "loss", .dtype = MOTLEY__F32, .dims = 1, .shape = {1}},
    };
    struct motley__safetensors_writer *writer;
    int status = motley__safetensors_create(path, info, 3, &writer, error);
    if (status)
        return status;
    status = motley__safetensors_write(writer, "tokens", 0, B * (S + 1), tokens, error);
    if (!status)
        status = motley__safetensors_write(writer, "logits", 0, (int64_t)B * S * config.vocabulary, logits, error);
    if (!status)
        status = motley__safetensors_write(writer, "loss", 0, 1, &loss, error);
    if (!status)
        return motley__safetensors_commit(writer, error);
    motley__safetensors_discard(writer);
    return status;
}

static int write_numbers(struct motley__decoder *decoder, const char *path, struct motley_error *error)
{
    uint8_t tokens[B * (S + 1)], inputs[B * S];
    int integers[B * (S + 1)];
    struct motley__pass pass;
    float *logits = malloc(sizeof *logits * B * S * (size_t)config.vocabulary);
    if (!logits)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory");
    for (int i = 0; i < B * (S + 1); i++)
        integers[i] = tokens[i] = (uint8_t)(motley__random_bits(7, 0, (uint64_t)i) % (uint64_t)config.vocabulary);
    for (int i = 0; i < B * S; i++)
        inputs[i] = tokens[i / S * (S + 1) + i % S];
    int status = motley__decoder_logits(decoder, inputs, B, S, logits, error);
    if (!status)
        status = motley__decoder_pass(decoder, tokens, B, S, B * S, 1, &pass, error);
    if (!status)
        status = write_expected(path, integers, logits, (float)(pass.loss_sum / (B * S)), error);
    free(logits);
    return status;
}

static int write_all(motley_context *context, const char *directory, struct motley_error *error)
{
    struct motley__decoder *decoder = NULL;
    struct motley__matrix *gradient[64];
    char path[4][512], *text = NULL;
    const char *names[] = {"config.json", "model.safetensors", "expected.safetensors", "gradients.safetensors"};
    int count = 0;
    for (int i = 0; i < 4; i++)
        snprintf(path[i], sizeof path[i], "%s/%s", directory, names[i]);
    motley_plan *plan = NULL;
    int status = make_plan(&plan, error);
    if (!status)
        status = motley__decoder_create(context, &config, plan, 1, 7, &decoder, error);
    struct motley__parameter *p = status ? NULL : motley__decoder_parameters(decoder, &count);
    if (!status)
        status = draw(p, count, error);
    if (!status)
        status = motley__directory_make(directory, error);
    if (!status)
        status = motley__config_text(&config, &text, error);
    if (!status)
        status = motley__file_write(path[0], text, strlen(text), error);
    if (!status)
        status = motley__tensors_save(MPI_COMM_WORLD, 0, path[1], p, count, &(struct motley__tensor_set){.suffix = ""},
                                      1, error);
    if (!status)
        status = write_numbers(decoder, path[2], error);
    for (int i = 0; i < count && i < 64; i++)
        gradient[i] = p[i].dw;
    if (!status)
        status = motley__tensors_save(MPI_COMM_WORLD, 0, path[3], p, count,
                                      &(struct motley__tensor_set){.suffix = "", .matrix = gradient}, 1, error);
    free(text);
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
    return status;
}

int main(int argc, char **argv)
{
    struct motley_error error = {0};
    motley_context *context = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: write_mixtral DIRECTORY\n");
        return 2;
    }
    MPI_Init(&argc, &argv);
    int status = motley_context_create(MPI_COMM_WORLD, NULL, &context, &error);
    if (!status)
        status = write_all(context, argv[1], &error);
    if (status)
        fprintf(stderr, "write_mixtral: %s\n", error.text);
    motley_context_destroy(context);
    MPI_Finalize();
    return status != 0;
}
