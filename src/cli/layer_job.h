/* `motley layer`: one layer on tensors from a file.
 *
 *   layer.c         the options, and the line  input -> plan -> layer -> steps -> output
 *   layer_input.c   rank 0 opens the file and believes nothing in it
 *   layer_load.c    from the file to the ranks, one expert at a time
 *   layer_steps.c   warm-up, timed repeats, medians
 *   layer_record.c  which experts tokens chose together
 *   layer_output.c  from the ranks to the file
 *   layer_stats.c   what every rank did, as JSON
 *
 * Rank 0 alone touches files.  MPI errors of the command itself end the job by MPI's own handler, so
 * the moves between ranks need no checks: a rank whose own work failed keeps taking part with
 * meaningless bytes, and the failure is agreed at the end of the move.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CLI_LAYER_JOB_H
#define MOTLEY_CLI_LAYER_JOB_H

#include <mpi.h>
#include <stdint.h>

#include <motley/motley.h>
#include "base/progress.h"
#include "model/safetensors.h"

enum { MOTLEY__WEIGHTS = MOTLEY_COS_TEMPERATURE + 1 };

/* What the command line asks for; it must be the same on every rank. */
struct motley__layer_request {
    int64_t top_k; /* 0: not given */
    int64_t repeat;
    struct motley_routing routing; /* K 0: the plan's, which is --top-k */
    int64_t seed;
    struct motley_losses losses;
    int64_t coactivation_layer, collaborators; /* -1: all layers; 0: not given */
    int activation; /* enum motley_activation, or -1: by the input */
    enum motley_gate gate;
    int normalize, backward, records;
    enum motley_shares shares;
    enum motley_mode mode;
    int group;
    enum motley_dtype dtype, wire;
    enum motley_exchange exchange;
    int duplicate, pipeline;
};

/* Seconds of one rank, medians over the repeats. */
struct motley__layer_seconds {
    struct motley_layer_times forward, backward;
};

struct motley__layer_job {
    const char *input_path, *output_path, *stats_path; /* borrowed; stats_path may be NULL, and so may the next three */
    const char *coactivation_path, *record_path, *loads_path;
    double time_limit; /* seconds a peer may stay silent; 0: ten minutes */
    struct motley__layer_request request;
    int rank, R;
    FILE *progress; /* where rank 0 shows progress, or NULL */

    /* Found in the input by rank 0, then known to all. */
    struct motley_layer_shape shape;
    int present[MOTLEY__WEIGHTS]; /* by enum motley_weight: which tensors the input has */
    int64_t T;                    /* tokens of all ranks */
    int64_t *first;               /* [R+1] rank r has tokens first[r] .. first[r+1]-1; owned */
    int tokens_given;             /* the input says so; else even, in data mode as planned */

    /* Owned, made in this order. */
    struct motley__safetensors *input; /* rank 0, else NULL */
    motley_context *context;
    motley_coactivation *coactivation; /* NULL: none was given */
    motley_plan *plan;
    motley_tensor *x, *y, *dy, *dx; /* [T of this rank, D]; dy and dx with --backward */
    int32_t *forced;                /* [T of this rank, K] or NULL */
    motley_layer *layer;            /* behind the tensors, so that its formula knows of them */
    struct motley__layer_seconds seconds;
};

/* The name of a weight in files, and the sizes of one expert's matrix; what every rank has is one matrix. */
const char *motley__weight_name(enum motley_weight which);
int motley__weight_is_everywhere(enum motley_weight which);
void motley__weight_size(const struct motley_layer_shape *shape, enum motley_weight which, int *rows, int *columns);

/* What a rank stores of a weight of one expert, of a whole matrix in row-major memory; 0 when it stores nothing of it.
 * *first: the part's first number; *part: an MPI element that is the part, to be freed with MPI_Type_free. */
int motley__layer_part(const struct motley__layer_job *job, int rank, enum motley_weight which, int expert,
                       int64_t *first, MPI_Datatype *part);

/* `columns` floats as one MPI element, so that counts stay small; free it with MPI_Type_free. */
MPI_Datatype motley__row_type(int columns);

/* Open and check everything: names, kinds, shapes, options against shapes, finite numbers.  Fills shape, present,
 * T, first.  Rank 0 only, local. */
int motley__layer_input_check(struct motley__layer_job *job, struct motley_error *error);

/* All collective; all ranks return the same. */
int motley__layer_load_weights(struct motley__layer_job *job, struct motley_error *error);
int motley__layer_load_tokens(struct motley__layer_job *job, struct motley_error *error);
int motley__layer_output_write(struct motley__layer_job *job, struct motley_error *error);
int motley__layer_record(const struct motley__layer_job *job, struct motley_error *error);
/* *text: the stats on rank 0, owned by the caller; NULL elsewhere. */
int motley__layer_stats_gather(struct motley__layer_job *job, char **text, struct motley_error *error);

/* Collective; a failure inside a step is not agreed. */
int motley__layer_run_steps(struct motley__layer_job *job, struct motley_error *error);

#endif
