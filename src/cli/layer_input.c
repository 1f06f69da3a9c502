/* The input of `motley layer`: opened, and everything in it checked before any device is touched.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/layer_job.h"
#include "layer/cosine.h"

/* Elements looked at together. */
enum { PIECE = 1 << 18 };

const char *motley__weight_name(enum motley_weight which)
{
    static const char *const names[MOTLEY__WEIGHTS] = {"gate", "w1", "w2", "w3", "b1", "b2", "gate_correction",
                                                       "cos_proj", "cos_bias", "cos_temperature"};
    return names[which];
}

int motley__weight_is_everywhere(enum motley_weight which)
{
    return which == MOTLEY_GATE || which > MOTLEY_B2;
}

void motley__weight_size(const struct motley_layer_shape *shape, enum motley_weight which, int *rows, int *columns)
{
    switch (which) {
    case MOTLEY_GATE:
        *rows = shape->E, *columns = shape->gate == MOTLEY_GATE_COSINE ? shape->gate_width : shape->D;
        break;
    case MOTLEY_W1:
    case MOTLEY_W3: *rows = shape->F, *columns = shape->D; break;
    case MOTLEY_W2: *rows = shape->D, *columns = shape->F; break;
    case MOTLEY_B1: *rows = 1, *columns = shape->F; break;
    case MOTLEY_B2: *rows = 1, *columns = shape->D; break;
    case MOTLEY_GATE_CORRECTION: *rows = 1, *columns = shape->E; break;
    case MOTLEY_COS_PROJ: *rows = shape->gate_width, *columns = shape->D; break;
    case MOTLEY_COS_BIAS: *rows = 1, *columns = shape->gate_width; break;
    case MOTLEY_COS_TEMPERATURE: *rows = *columns = 1; break;
    }
}

static const struct motley__tensor_info *weight_info(const struct motley__layer_job *job, enum motley_weight which)
{
    return motley__safetensors_find(job->input, motley__weight_name(which));
}

static int check_size_to(const struct motley__layer_job *job, const char *tensor, const char *size, int64_t value,
                         int most, struct motley_error *error)
{
    if (value >= 1 && value <= most)
        return 0;
    return motley__fail(error, MOTLEY_E_FORMAT, "%s: tensor %s: expected %s from 1 to %d, found %" PRId64,
                        job->input_path, tensor, size, most, value);
}

/* A size must be a positive int. */
static int check_size(const struct motley__layer_job *job, const char *tensor, const char *size, int64_t value,
                      struct motley_error *error)
{
    return check_size_to(job, tensor, size, value, INT_MAX, error);
}

/* cos_proj [P,D], cos_bias [P], cos_temperature [1]; *P is the width of gate's rows. */
static int check_cosine(struct motley__layer_job *job, int64_t D, int64_t *P, struct motley_error *error)
{
    const struct motley__safetensors *file = job->input;
    const struct motley__tensor_info *info;
    int status = motley__safetensors_require(file, "cos_proj", 1, 2, (int64_t[]){-1, D}, &info, error);
    if (!status)
        status = check_size_to(job, "cos_proj", "a width P", info->shape[0], MOTLEY__COSINE_WIDEST, error);
    if (status)
        return status;
    *P = info->shape[0];
    job->shape.gate_width = (int)*P;
    status = motley__safetensors_require(file, "cos_bias", 1, 1, (int64_t[]){*P}, &info, error);
    if (!status)
        status = motley__safetensors_require(file, "cos_temperature", 1, 1, (int64_t[]){1}, &info, error);
    for (int which = MOTLEY_COS_PROJ; which <= MOTLEY_COS_TEMPERATURE; which++)
        job->present[which] = 1;
    return status;
}

/* A gate [E,D], or [E,P] with what a cosine gate has besides; gate_correction [E] if a sigmoid gate has one. */
static int check_gate(struct motley__layer_job *job, int64_t D, int64_t *E, struct motley_error *error)
{
    const struct motley__safetensors *file = job->input;
    const struct motley__tensor_info *info;
    const int sigmoid = job->request.gate == MOTLEY_GATE_SIGMOID;
    const int corrected = weight_info(job, MOTLEY_GATE_CORRECTION) != NULL;
    int64_t inputs = D;
    int status = 0;
    if (job->request.gate == MOTLEY_GATE_COSINE)
        status = check_cosine(job, D, &inputs, error);
    if (!status)
        status = motley__safetensors_require(file, "gate", 1, 2, (int64_t[]){-1, inputs}, &info, error);
    if (!status)
        status = check_size(job, "gate", "a number of experts E", info->shape[0], error);
    if (status)
        return status;
    *E = info->shape[0];
    job->present[MOTLEY_GATE] = 1;
    job->present[MOTLEY_GATE_CORRECTION] = sigmoid && corrected;
    if (sigmoid && corrected)
        return motley__safetensors_require(file, "gate_correction", 1, 1, (int64_t[]){*E}, &info, error);
    if (corrected)
        fprintf(stderr, "motley layer: %s: tensor gate_correction is not used: only --gate sigmoid has a correction\n",
                job->input_path);
    return 0;
}

/* x [T,D], gate [E,D], w1 [E,F,D], w2 [E,D,F]: what follows must agree with what came before. */
static int check_shapes(struct motley__layer_job *job, struct motley_error *error)
{
    const struct motley__safetensors *file = job->input;
    const struct motley__tensor_info *info;
    int status = motley__safetensors_require(file, "x", 1, 2, (int64_t[]){-1, -1}, &info, error);
    if (!status)
        status = check_size(job, "x", "a width D", info->shape[1], error);
    if (status)
        return status;
    int64_t D = info->shape[1], E;
    job->T = info->shape[0];
    status = check_gate(job, D, &E, error);
    if (status)
        return status;
    status = motley__safetensors_require(file, "w1", 1, 3, (int64_t[]){E, -1, D}, &info, error);
    if (!status)
        status = check_size(job, "w1", "a hidden width F", info->shape[1], error);
    if (status)
        return status;
    int64_t F = info->shape[1];
    job->shape.D = (int)D;
    job->shape.F = (int)F;
    job->shape.E = (int)E;
    return motley__safetensors_require(file, "w2", 1, 3, (int64_t[]){E, D, F}, &info, error);
}

/* Activation, w3 and the biases depend on each other. */
static int check_activation(struct motley__layer_job *job, struct motley_error *error)
{
    const struct motley__safetensors *file = job->input;
    const struct motley__tensor_info *info;
    int64_t E = job->shape.E, D = job->shape.D, F = job->shape.F;
    int has_w3 = weight_info(job, MOTLEY_W3) != NULL, has_b1 = weight_info(job, MOTLEY_B1) != NULL,
        has_b2 = weight_info(job, MOTLEY_B2) != NULL, asked = job->request.activation;
    job->shape.activation = asked >= 0 ? (enum motley_activation)asked : has_w3 ? MOTLEY_SWIGLU : MOTLEY_RELU;
    int swiglu = job->shape.activation == MOTLEY_SWIGLU, status = 0;
    if (swiglu && (has_b1 || has_b2))
        return motley__fail(error, MOTLEY_E_INVALID,
                            "%s: tensor %s: expected no bias with --activation swiglu, found one; remove it, or choose "
                            "relu, gelu or silu",
                            job->input_path, has_b1 ? "b1" : "b2");
    if (swiglu)
        status = motley__safetensors_require(file, "w3", 1, 3, (int64_t[]){E, F, D}, &info, error);
    if (!status && has_b1)
        status = motley__safetensors_require(file, "b1", 1, 2, (int64_t[]){E, F}, &info, error);
    if (!status && has_b2)
        status = motley__safetensors_require(file, "b2", 1, 2, (int64_t[]){E, D}, &info, error);
    if (!swiglu && has_w3)
        fprintf(stderr, "motley layer: %s: tensor w3 is not used: only --activation swiglu has a third matrix\n",
                job->input_path);
    job->shape.bias = has_b1 || has_b2;
    job->present[MOTLEY_W1] = job->present[MOTLEY_W2] = 1;
    job->present[MOTLEY_W3] = swiglu;
    job->present[MOTLEY_B1] = has_b1;
    job->present[MOTLEY_B2] = has_b2;
    return status;
}

/* K is --top-k, or the width of `forced`, or 2. */
static int check_top_k(struct motley__layer_job *job, struct motley_error *error)
{
    const struct motley__tensor_info *forced;
    int64_t K = job->request.top_k;
    if (job->request.gate == MOTLEY_GATE_FORCED) {
        int status = motley__safetensors_require(job->input, "forced", 0, 2, (int64_t[]){job->T, K > 0 ? K : -1},
                                                 &forced, error);
        if (!status)
            status = check_size(job, "forced", "a number of experts per token K", forced->shape[1], error);
        if (status)
            return status;
        K = forced->shape[1];
    }
    if (K == 0)
        K = 2;
    if (K > job->shape.E)
        return motley__fail(
            error, MOTLEY_E_INVALID,
            "--top-k: expected at most the number of experts, %d (rows of tensor gate in %s), found %" PRId64
            "; give a smaller --top-k",
            job->shape.E, job->input_path, K);
    job->shape.K = (int)K;
    job->shape.gate = job->request.gate;
    job->shape.normalize = job->request.normalize;
    job->shape.dtype = job->request.dtype;
    return 0;
}

static int read_tokens_per_rank(struct motley__layer_job *job, int64_t *tokens, struct motley_error *error)
{
    const struct motley__tensor_info *info;
    int64_t total = 0;
    int status = motley__safetensors_require(job->input, "tokens_per_rank", 0, 1, (int64_t[]){-1}, &info, error);
    if (status)
        return status;
    if (info->shape[0] != job->R)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "%s: tensor tokens_per_rank: expected one number for each of the %d ranks, found %" PRId64
                            "; run on as many ranks, or correct it",
                            job->input_path, job->R, info->shape[0]);
    status = motley__safetensors_read_integers(job->input, info, 0, job->R, tokens, error);
    for (int r = 0; r < job->R && !status; r++) {
        if (tokens[r] < 0)
            status = motley__fail(error, MOTLEY_E_INVALID,
                                  "%s: tensor tokens_per_rank: expected numbers >= 0, found %" PRId64
                                  " for rank %d; correct it",
                                  job->input_path, tokens[r], r);
        else if (__builtin_add_overflow(total, tokens[r], &total))
            total = INT64_MAX; /* no x has so many rows */
    }
    if (!status && total != job->T)
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "%s: tensor tokens_per_rank: expected a sum of %" PRId64
                              ", the rows of x, found %" PRId64 "; correct it",
                              job->input_path, job->T, total);
    return status;
}

/* tokens_per_rank, or as even as can be with one more on earlier ranks. */
static int split_tokens(struct motley__layer_job *job, struct motley_error *error)
{
    int64_t *tokens = job->first + 1;
    int status = 0;
    for (int r = 0; r < job->R; r++)
        tokens[r] = job->T / job->R + (r < job->T % job->R);
    job->tokens_given = motley__safetensors_find(job->input, "tokens_per_rank") != NULL;
    if (job->tokens_given)
        status = read_tokens_per_rank(job, tokens, error);
    for (int r = 0; r < job->R && !status; r++)
        if (tokens[r] > INT_MAX / job->shape.K)
            status = motley__fail(error, MOTLEY_E_INVALID,
                                  "rank %d: expected at most %d tokens, found %" PRId64 "; run on more ranks", r,
                                  INT_MAX / job->shape.K, tokens[r]);
    for (int r = 0; r < job->R; r++)
        job->first[r + 1] += job->first[r];
    return status;
}

/* "w1[3,0,7]" for the element at `place`. */
static int fail_element(const struct motley__layer_job *job, const struct motley__tensor_info *info, int64_t place,
                        float value, struct motley_error *error)
{
    char where[160] = "";
    int64_t index[MOTLEY__TENSOR_DIMS];
    for (int d = info->dims - 1; d >= 0; d--) {
        index[d] = place % info->shape[d];
        place /= info->shape[d];
    }
    for (int d = 0, used = 0; d < info->dims; d++)
        used += snprintf(where + used, sizeof where - (size_t)used, "%s%" PRId64, d > 0 ? "," : "", index[d]);
    return motley__fail(error, MOTLEY_E_NONFINITE,
                        "%s: tensor %s: expected finite numbers, found %s at [%s]; mend the tensor", job->input_path,
                        info->name, isnan(value) ? "NaN" : "infinity", where);
}

static int check_finite(const struct motley__layer_job *job, const char *name, float *piece, struct motley_error *error)
{
    const struct motley__tensor_info *info = motley__safetensors_find(job->input, name);
    int64_t elements = motley__tensor_elements(info);
    for (int64_t first = 0; first < elements; first += PIECE) {
        int64_t count = elements - first < PIECE ? elements - first : PIECE;
        int status = motley__safetensors_read(job->input, info, first, count, piece, error);
        if (status)
            return status;
        for (int64_t i = 0; i < count; i++)
            if (!isfinite(piece[i]))
                return fail_element(job, info, first + i, piece[i], error);
    }
    return 0;
}

static int check_forced(const struct motley__layer_job *job, struct motley_error *error)
{
    const struct motley__tensor_info *info = motley__safetensors_find(job->input, "forced");
    int64_t piece[1024], elements = motley__tensor_elements(info);
    for (int64_t first = 0; first < elements; first += 1024) {
        int64_t count = elements - first < 1024 ? elements - first : 1024;
        int status = motley__safetensors_read_integers(job->input, info, first, count, piece, error);
        if (status)
            return status;
        for (int64_t i = 0; i < count; i++)
            if (piece[i] < 0 || piece[i] >= job->shape.E)
                return motley__fail(error, MOTLEY_E_INVALID,
                                    "%s: tensor forced: expected experts from 0 to %d, found %" PRId64 " at [%" PRId64
                                    ",%" PRId64 "]; correct it",
                                    job->input_path, job->shape.E - 1, piece[i], (first + i) / job->shape.K,
                                    (first + i) % job->shape.K);
    }
    return 0;
}

static int check_numbers(const struct motley__layer_job *job, struct motley_error *error)
{
    float *piece = malloc(PIECE * sizeof *piece);
    if (!piece)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory to check the input");
    int status = check_finite(job, "x", piece, error);
    for (int which = 0; which < MOTLEY__WEIGHTS && !status; which++)
        if (job->present[which])
            status = check_finite(job, motley__weight_name((enum motley_weight)which), piece, error);
    if (!status && job->request.backward)
        status = check_finite(job, "dy", piece, error);
    if (!status && job->request.gate == MOTLEY_GATE_FORCED)
        status = check_forced(job, error);
    free(piece);
    return status;
}

int motley__layer_input_check(struct motley__layer_job *job, struct motley_error *error)
{
    const struct motley__tensor_info *dy;
    int status = motley__safetensors_open(job->input_path, &job->input, error);
    if (!status)
        status = check_shapes(job, error);
    if (!status)
        status = check_activation(job, error);
    if (!status && job->request.backward)
        status = motley__safetensors_require(job->input, "dy", 1, 2, (int64_t[]){job->T, job->shape.D}, &dy, error);
    if (!status)
        status = check_top_k(job, error);
    if (!status)
        status = split_tokens(job, error);
    if (!status)
        status = check_numbers(job, error);
    return status;
}
