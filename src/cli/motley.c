/* The command `motley`: finds the subcommand, brings MPI up and down around it.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"

const struct motley__command motley__commands[] = {
    {"devices", "what each rank drives", motley__command_devices},
    {"doctor", "check drivers, MPI, caches and permissions, and say how to mend them", motley__command_doctor},
    {"measure", "measure every device and keep it in the profile", motley__command_measure},
    {"plan", "who would compute what, and how long it would take", motley__command_plan},
    {"simulate", "how long a step would take on a described cluster, in every mode", motley__command_simulate},
    {"layer", "run one mixture-of-experts layer on tensors of your own", motley__command_layer},
    {"bench", "time the operators or whole layers against the device's limits and other libraries",
     motley__command_bench},
    {"train", "train a language model of mixture-of-experts layers on text", motley__command_train},
    {"generate", "write text with a trained model", motley__command_generate},
    {NULL, NULL, NULL},
};

static void usage(FILE *stream)
{
    fprintf(stream,
            "usage: motley COMMAND [OPTIONS]        alone, or on many ranks: mpirun -n 4 motley COMMAND ...\n\n");
    for (const struct motley__command *command = motley__commands; command->name; command++)
        fprintf(stream, "  %-10s %s\n", command->name, command->summary);
    fprintf(stream, "\n'motley COMMAND --help' lists its options.  'motley --version' says %s.\n", motley_version());
}

static const struct motley__command *find(const char *name)
{
    for (const struct motley__command *command = motley__commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

int motley__command_failed(const char *command, const struct motley_error *error)
{
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    int agreed = error->rank >= 0 || size == 1, teller = error->rank >= 0 ? error->rank : rank;
    if (!agreed || rank == 0) {
        if (teller == 0)
            fprintf(stderr, "motley %s: %s\n", command, error->text);
        else
            fprintf(stderr, "motley %s: rank %d: %s\n", command, teller, error->text);
        fflush(stderr);
    }
    if (!agreed) /* the others may wait for this rank for ever */
        MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
}

static int run_with_mpi(const struct motley__command *command, int argc, char **argv, struct motley__globals *globals)
{
    int provided;
    /* hwloc within MPI would make the process's first OpenCL call, before a CPU rank's threads are decided. */
    setenv("HWLOC_COMPONENTS", "-opencl", 0);
    if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        fprintf(stderr, "motley %s: MPI cannot start; 'motley doctor' may say why\n", command->name);
        return 1;
    }
    int status = command->run(argc - 2, argv + 2, globals);
    fflush(stdout);
    MPI_Finalize();
    return status;
}

static int asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    struct motley__globals globals = {0};
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("motley %s\n", motley_version());
        return 0;
    }
    const struct motley__command *command = find(argv[1]);
    if (!command) {
        fprintf(stderr, "motley: there is no command '%s'; 'motley --help' lists them\n", argv[1]);
        return 2;
    }
    /* Help needs no launcher, so that it can be read where MPI does not work. */
    if (asks_for_help(argc - 2, argv + 2))
        return command->run(argc - 2, argv + 2, &globals) == 0 ? 0 : 2;
    return run_with_mpi(command, argc, argv, &globals);
}
