/* --loads FILE: how many of the routed pairs each expert gets, one number for each expert, on lines or as one pleases.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "base/collective.h"
#include "base/file.h"
#include "cli/cli.h"

/* Between numbers there may be blanks, ends of lines, commas and the brackets of a list. */
static const char BETWEEN[] = " \t\r\n,[]";

static int read_numbers(const char *path, int E, double *load, struct motley_error *error)
{
    char *text;
    size_t size;
    int count = 0, status = motley__file_read(path, &text, &size, error);
    if (status)
        return status;
    for (const char *at = text + strspn(text, BETWEEN); *at && !status; at += strspn(at, BETWEEN)) {
        char *end;
        const double number = strtod(at, &end);
        if (end == at || !(*end == 0 || strchr(BETWEEN, *end)))
            status = motley__fail(error, MOTLEY_E_FORMAT, "--loads %s: expected a number behind %d others, found "
                                  "'%.20s'", path, count, at);
        else if (count == E)
            status = motley__fail(error, MOTLEY_E_FORMAT, "--loads %s: more numbers than there are experts, %d", path,
                                  E);
        else
            load[count++] = number;
        at = end;
    }
    free(text);
    if (!status && count < E)
        status = motley__fail(error, MOTLEY_E_FORMAT, "--loads %s: %d numbers for %d experts", path, count, E);
    return status;
}

int motley__loads_read(const char *path, int E, double limit, double **load, struct motley_error *error)
{
    int rank, status, given = path != NULL;
    *load = NULL;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    status = motley__broadcast(MPI_COMM_WORLD, limit, 0, &given, 1, MPI_INT, error);
    if (status || !given)
        return status;
    double *read = malloc((size_t)E * sizeof *read);
    status = read ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the loads of %d experts", E);
    if (!status && rank == 0)
        status = read_numbers(path, E, read, error);
    status = motley__agree_within(MPI_COMM_WORLD, limit, status, error);
    if (!status)
        status = motley__broadcast(MPI_COMM_WORLD, limit, 0, read, E, MPI_DOUBLE, error);
    if (status) {
        free(read);
        return status;
    }
    *load = read;
    return 0;
}
