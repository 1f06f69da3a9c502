/* The motley command: its options, its subcommands, how it ends.
 *
 * Exit status 0, 1 (failed), 2 (usage).  Results on stdout from rank 0 only, everything else on stderr.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CLI_CLI_H
#define MOTLEY_CLI_CLI_H

#include <stdint.h>
#include <stdio.h>

#include <motley/motley.h>

/* What --mode takes, in the help. */
#define MOTLEY__MODES "auto|expert|data|model|hybrid:r"

/* One option of a subcommand.  `target` points into the subcommand's own struct. */
enum motley__option_kind {
    MOTLEY__FLAG,       /* int: set to 1 */
    MOTLEY__INTEGER,    /* int64_t, within [low, high] */
    MOTLEY__NUMBER,     /* double, within [low, high] */
    MOTLEY__BYTES,      /* uint64_t, "512M", "2G" */
    MOTLEY__TEXT,       /* const char * */
    MOTLEY__CHOICE,     /* int: position in `choices`, "softmax|sigmoid" */
    MOTLEY__PATHS       /* struct motley__paths: one or more following words */
};
struct motley__paths {
    const char **path;  /* borrowed from argv */
    int count;
};
struct motley__option {
    const char *name;   /* "--top-k" */
    enum motley__option_kind kind;
    void *target;
    double low, high;   /* numbers: accepted range, inclusive (0,0: any) */
    const char *choices;    /* of a choice; else what stands for the value in the help, NULL: by its kind */
    const char *help;   /* one line */
    int required;
};

struct motley__globals {
    struct motley_context_options context;
    int json;
    int quiet;
};

/* A subcommand.  run: argc/argv behind the subcommand's name; MPI is initialised.  Returns an exit status. */
struct motley__command {
    const char *name, *summary;
    int (*run)(int argc, char **argv, struct motley__globals *globals);
};
extern const struct motley__command motley__commands[];  /* ends with a NULL name */

/* Read global and own options: "--name value" or "--name=value", the last one counts.  *help is set to 1 when --help
 * was among them; the rest is then not read.  options ends with a NULL name.  Prints nothing, local.
 * Errors: MOTLEY_E_INVALID with the mend. */
int motley__options_read(int argc, char **argv, const char *command, const struct motley__option *options,
                         struct motley__globals *globals, int *help, struct motley_error *error);

/* What --help prints. */
void motley__options_usage(FILE *stream, const char *command, const char *synopsis,
                           const struct motley__option *options);

/* Parse global and own options; prints usage on --help (returns 1: leave with status 0), a one-line message with the
 * mend on error (returns 2: leave with status 2), else 0.  options ends with a NULL name.  When MPI is initialised it
 * is collective: the answer is the same on all ranks and one of them prints.  A command parses before it calls MPI:
 * for --help there may be none. */
int motley__options_parse(int argc, char **argv, const char *command, const char *synopsis,
                          const struct motley__option *options, struct motley__globals *globals);

/* End a command that failed: the error was agreed by all ranks -> rank 0 prints "motley COMMAND: text" once and
 * returns 1 (all ranks return and finalise); not agreed (error->rank < 0: one rank failed inside a step) -> this rank
 * prints and MPI_Abort()s, so that no rank is left waiting. */
int motley__command_failed(const char *command, const struct motley_error *error);

/* What --coactivation and --coactivation-layer (-1: not given) ask for, NULL where nothing; owned by the caller, also
 * after a failure.  Collective, agreed. */
int motley__coactivation_given(const char *path, int64_t layer, double time_limit, motley_coactivation **coactivation,
                               struct motley_error *error);

/* The E numbers of the file that --loads names on rank 0, which reads; all know.  path NULL there: *load NULL; else
 * owned by the caller.  Collective; agreed. */
int motley__loads_read(const char *path, int E, double limit, double **load, struct motley_error *error);

int motley__command_bench(int argc, char **argv, struct motley__globals *globals);
int motley__command_devices(int argc, char **argv, struct motley__globals *globals);
int motley__command_doctor(int argc, char **argv, struct motley__globals *globals);
int motley__command_measure(int argc, char **argv, struct motley__globals *globals);
int motley__command_plan(int argc, char **argv, struct motley__globals *globals);
int motley__command_simulate(int argc, char **argv, struct motley__globals *globals);
int motley__command_layer(int argc, char **argv, struct motley__globals *globals);
int motley__command_train(int argc, char **argv, struct motley__globals *globals);
int motley__command_generate(int argc, char **argv, struct motley__globals *globals);

#endif
