/* `motley doctor`: is everything here that Motley needs, and how to mend what is not.
 *
 * One rank of each machine looks at it; then all ranks try together what every other command does first.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <mpi.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/cli.h"
#include "cli/doctor.h"

static const char *const health_names[] = {"fine", "advice", "broken"};

void motley__find(struct motley__findings *findings, enum motley__health health, const char *check, const char *mend,
                  const char *format, ...)
{
    struct motley__finding *larger = realloc(findings->list, ((size_t)findings->count + 1) * sizeof *larger);
    if (!larger) {
        findings->lost = 1;
        return;
    }
    findings->list = larger;
    struct motley__finding *finding = &larger[findings->count++];
    memset(finding, 0, sizeof *finding);
    finding->health = health;
    gethostname(finding->host, sizeof finding->host - 1);
    snprintf(finding->check, sizeof finding->check, "%s", check);
    snprintf(finding->mend, sizeof finding->mend, "%s", mend ? mend : "");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(finding->found, sizeof finding->found, format, arguments);
    va_end(arguments);
}

/* A launcher of another MPI starts every rank as a job of its own. */
static int launched_count(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE", "MPI_LOCALNRANKS"};
    int most = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        int count = value ? atoi(value) : 1;
        most = count > most ? count : most;
    }
    return most;
}

/* Collective: a ring of messages, so that every rank talks with two others. */
static void check_launch(struct motley__findings *findings, int rank, int ranks, int machines)
{
    enum { BYTES = 1 << 20 };
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "", *ring = calloc(2, BYTES);
    int length, provided, status = ring ? MPI_SUCCESS : MPI_ERR_NO_MEM;
    MPI_Allreduce(MPI_IN_PLACE, &status, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    double begin = motley__seconds();
    if (status == MPI_SUCCESS)
        status = MPI_Sendrecv(ring, BYTES, MPI_CHAR, (rank + 1) % ranks, 0, ring + BYTES, BYTES, MPI_CHAR,
                              (rank + ranks - 1) % ranks, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    double seconds = motley__seconds() - begin;
    MPI_Get_library_version(version, &length);
    MPI_Query_thread(&provided);
    version[strcspn(version, ",\n")] = 0;
    if (rank == 0 && launched_count() > ranks)
        motley__find(findings, MOTLEY__BROKEN, "MPI launch", "use the mpirun of the MPI that Motley was built with "
                     "(`ldd` of the motley command names its library)",
                     "the launcher started %d ranks, but each is alone: it belongs to another MPI than %s",
                     launched_count(), version);
    else if (rank == 0 && status != MPI_SUCCESS)
        motley__find(findings, MOTLEY__BROKEN, "MPI launch", "try a plain MPI program on the same hosts",
                     "%s: a message from rank to rank failed", version);
    else if (rank == 0 && provided < MPI_THREAD_FUNNELED)
        motley__find(findings, MOTLEY__BROKEN, "MPI launch", "use an MPI built with thread support",
                     "%s offers no MPI_THREAD_FUNNELED", version);
    else if (rank == 0)
        motley__find(findings, MOTLEY__FINE, "MPI launch",
                     ranks == 1 ? "start several ranks with: mpirun -n 4 motley doctor" : NULL,
                     "%s: %d rank(s) on %d machine(s), 1 MiB around in %.1f ms", version, ranks, machines,
                     1e3 * seconds);
    free(ring);
}

/* All findings of all ranks on rank 0, in order of rank. */
static int gather(struct motley__findings *findings, int rank, int ranks, struct motley_error *error)
{
    int mine = findings->count * (int)sizeof *findings->list, total = 0;
    int *bytes = calloc((size_t)ranks, sizeof *bytes), *starts = calloc((size_t)ranks, sizeof *starts);
    int status = bytes && starts ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d ranks", ranks);
    status = motley__agree(MPI_COMM_WORLD, status, error);
    if (!status)
        MPI_Gather(&mine, 1, MPI_INT, bytes, 1, MPI_INT, 0, MPI_COMM_WORLD);
    for (int r = 0; r < ranks && !status && rank == 0; r++) {
        starts[r] = total;
        total += bytes[r];
    }
    struct motley__finding *all = status ? NULL : malloc((size_t)total + 1);
    if (!status && !all)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for findings");
    status = motley__agree(MPI_COMM_WORLD, status, error);
    if (!status)
        MPI_Gatherv(findings->list, mine, MPI_BYTE, all, bytes, starts, MPI_BYTE, 0, MPI_COMM_WORLD);
    if (!status && rank == 0) {
        free(findings->list);
        findings->list = all;
        findings->count = total / (int)sizeof *all;
        all = NULL;
    }
    free(all);
    free(starts);
    free(bytes);
    return status;
}

static void print_text(const struct motley__findings *findings)
{
    for (int i = 0; i < findings->count; i++) {
        const struct motley__finding *f = &findings->list[i];
        printf("%-6s  %s, %s: %s\n", health_names[f->health], f->host, f->check, f->found);
        if (f->mend[0])
            printf("        %s: %s\n", f->health == MOTLEY__FINE ? "hint" : "mend", f->mend);
    }
}

static int print_json(const struct motley__findings *findings, int healthy, struct motley_error *error)
{
    json_t *list = json_array();
    for (int i = 0; i < findings->count; i++) {
        const struct motley__finding *f = &findings->list[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "host", f->host, "check", f->check,
                                              "state", health_names[f->health], "found", f->found, "mend", f->mend));
    }
    json_t *root = json_pack("{s:b, s:o}", "healthy", healthy, "findings", list);
    int status = 0;
    if (!root || json_dumpf(root, stdout, JSON_INDENT(2)))
        status = motley__fail(error, MOTLEY_E_IO, "the findings cannot be written as JSON to standard output");
    else
        putchar('\n');
    json_decref(root);
    return status;
}

static int count_broken(const struct motley__findings *findings)
{
    int broken = findings->lost;
    for (int i = 0; i < findings->count; i++)
        broken += findings->list[i].health == MOTLEY__BROKEN;
    return broken;
}

static void look_at_machine(struct motley__findings *findings)
{
    motley__doctor_machine(findings);
    motley__doctor_icds(findings);
    motley__doctor_permissions(findings);
    motley__doctor_devices(findings);
    motley__doctor_caches(findings);
    motley__doctor_environment(findings);
}

/* What every command does first, by all ranks. */
static void try_context(struct motley__findings *findings, int rank, const struct motley__globals *globals)
{
    motley_context *context;
    struct motley_error error = {0};
    double begin = motley__seconds();
    if (motley_context_create(MPI_COMM_WORLD, &globals->context, &context, &error)) {
        if (rank == 0)
            motley__find(findings, MOTLEY__BROKEN, "all together", "the sentence above says how", "%s", error.text);
        return;
    }
    for (int r = 0; r < motley_context_size(context) && rank == 0; r++) {
        const struct motley_device_info *info = motley_context_device(context, r);
        motley__find(findings, MOTLEY__FINE, "all together", NULL, "rank %d of %s drives %s with family %s", r,
                     info->host, info->name, info->family);
    }
    if (rank == 0)
        motley__find(findings, MOTLEY__FINE, "all together", NULL, "ready after %.1f s", motley__seconds() - begin);
    motley_context_destroy(context);
}

int motley__command_doctor(int argc, char **argv, struct motley__globals *globals)
{
    const struct motley__option options[] = {{0}};
    struct motley__findings findings = {0};
    struct motley_error error = {0};
    MPI_Comm machine;
    int rank, ranks, local, machines;
    int outcome = motley__options_parse(argc, argv, "doctor", "[OPTIONS]", options, globals);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &local);
    MPI_Allreduce(&(int){local == 0}, &machines, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    check_launch(&findings, rank, ranks, machines);
    if (local == 0)
        look_at_machine(&findings);
    int broken = count_broken(&findings);
    MPI_Allreduce(MPI_IN_PLACE, &broken, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    int status = gather(&findings, rank, ranks, &error);
    if (!status && !broken) {
        try_context(&findings, rank, globals);
        broken = count_broken(&findings);
        MPI_Bcast(&broken, 1, MPI_INT, 0, MPI_COMM_WORLD);
    }
    if (!status && rank == 0) {
        if (globals->json)
            status = print_json(&findings, !broken, &error);
        else
            print_text(&findings);
    }
    status = motley__agree(MPI_COMM_WORLD, status, &error);
    if (status)
        outcome = motley__command_failed("doctor", &error);
    else
        outcome = broken > 0;
    MPI_Comm_free(&machine);
    free(findings.list);
    return outcome;
}
