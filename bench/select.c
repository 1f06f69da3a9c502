/* Which cells were asked for: lists of words into lists of things.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/layer.h"
#include "device/storage.h"

static const struct motley__bench_shape SHAPES[] = {
    {.E = 8, .K = 2, .D = 1024, .F = 2816}, {.E = 64, .K = 6, .D = 2048, .F = 1408},
    {.E = 128, .K = 8, .D = 2048, .F = 768}, {.E = 32, .K = 1, .D = 2048, .F = 4096},
};
static const int CPU_TOKENS[] = {1, 8, 64, 512, 2048}, GPU_TOKENS[] = {1, 8, 64, 512, 2048, 16384, 65536};
enum { LARGEST = 1 << 20 };             /* of any one size */
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

const char *motley__peer_name(enum motley__peer_kind kind)
{
    static const char *const names[] = {"openblas", "clblast", "none"};
    return names[kind];
}

/* Reads one word of a list into place `at` of a selection. */
typedef int (*reader)(const char *word, struct motley__selection *selection, int at, struct motley_error *error);

/* A copy of each word of a comma-separated list to `read`; *count of them. */
static int read_list(const char *option, const char *list, reader read, struct motley__selection *selection, int *count,
                     struct motley_error *error)
{
    int status = 0;
    for (*count = 0; *list && !status; (*count)++) {
        const size_t length = strcspn(list, ",");
        char word[64];
        if (*count == MOTLEY__SELECT || length >= sizeof word)
            return motley__fail(error, MOTLEY_E_INVALID, "%s: at most %d short words, separated by commas", option,
                                MOTLEY__SELECT);
        memcpy(word, list, length);
        word[length] = 0;
        status = read(word, selection, *count, error);
        list += length + (list[length] == ',');
    }
    return status;
}

static int read_operator(const char *word, struct motley__selection *selection, int at, struct motley_error *error)
{
    char known[512] = "";
    for (const struct motley__operator *const *op = motley__operators; *op; op++) {
        if (!strcmp((*op)->name, word)) {
            selection->operator[at] = *op;
            return 0;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", op == motley__operators ? "" : ", ",
                 (*op)->name);
    }
    return motley__fail(error, MOTLEY_E_INVALID, "--operator: expected names among %s, found '%s'", known, word);
}

static int read_dtype(const char *word, struct motley__selection *selection, int at, struct motley_error *error)
{
    if (motley__storage_find(word, &selection->dtype[at]))
        return 0;
    return motley__fail(error, MOTLEY_E_INVALID, "--dtype: expected words among f32, bf16, f16, found '%s'", word);
}

static int read_size(const char **text, char end, int *size)
{
    char *behind;
    const long value = strtol(*text, &behind, 10);
    if (behind == *text || *behind != end || value < 1 || value > LARGEST)
        return 0;
    *size = (int)value;
    *text = behind + (end != 0);
    return 1;
}

static int read_shape(const char *word, struct motley__selection *selection, int at, struct motley_error *error)
{
    struct motley__bench_shape *s = &selection->shape[at];
    const char *text = word;
    if (!read_size(&text, 'x', &s->E) || !read_size(&text, 'x', &s->K) || !read_size(&text, 'x', &s->D) ||
        !read_size(&text, 0, &s->F) || s->K > s->E)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "--shape: expected ExKxDxF as 8x2x1024x2816, K at most E, found '%s'", word);
    return 0;
}

static int read_tokens(const char *word, struct motley__selection *selection, int at, struct motley_error *error)
{
    const char *text = word;
    if (!read_size(&text, 0, &selection->T[at]))
        return motley__fail(error, MOTLEY_E_INVALID, "--tokens: expected numbers from 1 to %d, found '%s'", LARGEST,
                            word);
    return 0;
}

static int read_routing(const char *word, struct motley__selection *selection, int at, struct motley_error *error)
{
    for (int r = 0; r < MOTLEY__ROUTINGS; r++)
        if (!strcmp(motley__routing_name((enum motley__routing)r), word)) {
            selection->routing[at] = (enum motley__routing)r;
            return 0;
        }
    return motley__fail(error, MOTLEY_E_INVALID,
                        "--routing: expected words among " MOTLEY__ROUTING_NAMES ", found '%s'", word);
}

static int read_peer(const char *word, struct motley__selection *selection, int at, struct motley_error *error)
{
    for (int p = 0; p <= MOTLEY__PEER_NONE; p++)
        if (!strcmp(motley__peer_name((enum motley__peer_kind)p), word)) {
            selection->peer[at] = p;
            return 0;
        }
    return motley__fail(error, MOTLEY_E_INVALID, "--peer: expected words among openblas, clblast, none, found '%s'",
                        word);
}

/* What is measured when nothing else is said. */
static void choose_defaults(const struct motley__bench_request *request, int is_gpu, struct motley__selection *s)
{
    for (const struct motley__operator *const *op = request->layer ? motley__layer_operators : motley__operators; *op;
         op++)
        s->operator[s->operators++] = *op;
    for (; s->dtypes < (request->full ? 3 : 1); s->dtypes++)
        s->dtype[s->dtypes] = (enum motley_dtype)s->dtypes;
    for (; s->shapes < COUNT(SHAPES); s->shapes++)
        s->shape[s->shapes] = SHAPES[s->shapes];
    for (; s->tokens < (is_gpu ? COUNT(GPU_TOKENS) : COUNT(CPU_TOKENS)); s->tokens++)
        s->T[s->tokens] = (is_gpu ? GPU_TOKENS : CPU_TOKENS)[s->tokens];
    for (; s->routings < (request->full ? MOTLEY__ROUTINGS : MOTLEY__ROUTING_ZIPF + 1); s->routings++)
        s->routing[s->routings] = (enum motley__routing)s->routings;
    if (!is_gpu || request->full)
        s->peer[s->peers++] = MOTLEY__PEER_OPENBLAS;
    if (is_gpu || request->full)
        s->peer[s->peers++] = MOTLEY__PEER_CLBLAST;
}

int motley__select(const struct motley__bench_request *request, int is_gpu, struct motley__selection *selection,
                   struct motley_error *error)
{
    int status = 0;
    *selection = (struct motley__selection){0};
    choose_defaults(request, is_gpu, selection);
    if (request->operators && request->layer)
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "--operator: a whole layer is not divided; see 'motley bench operators'");
    if (!status && request->operators)
        status = read_list("--operator", request->operators, read_operator, selection, &selection->operators, error);
    if (!status && request->dtypes)
        status = read_list("--dtype", request->dtypes, read_dtype, selection, &selection->dtypes, error);
    if (!status && request->shapes)
        status = read_list("--shape", request->shapes, read_shape, selection, &selection->shapes, error);
    for (int i = 0; i < selection->shapes; i++)
        selection->shape[i].activation = request->activation ? MOTLEY_RELU : MOTLEY_SWIGLU;
    if (!status && request->tokens)
        status = read_list("--tokens", request->tokens, read_tokens, selection, &selection->tokens, error);
    if (!status && request->routings)
        status = read_list("--routing", request->routings, read_routing, selection, &selection->routings, error);
    if (!status && request->peers)
        status = read_list("--peer", request->peers, read_peer, selection, &selection->peers, error);
    return status;
}
