/* The options --coactivation FILE and --coactivation-layer N.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "base/collective.h"
#include "cli/cli.h"
#include "coactivation/coactivation.h"

/* Several command lines under one mpirun must all give a file, or none.  *given: they do. */
static int compare(const char *path, double limit, int *given, struct motley_error *error)
{
    int some[2] = {path != NULL, !path};
    int status = motley__reduce(MPI_COMM_WORLD, limit, some, 2, MPI_INT, MPI_MAX, error);
    *given = some[0];
    if (!status && some[0] && some[1])
        status = motley__fail(error, MOTLEY_E_MISMATCH,
                              "--coactivation: expected on every rank or on none; give all ranks the same");
    return motley__agree_within(MPI_COMM_WORLD, limit, status, error);
}

int motley__coactivation_given(const char *path, int64_t layer, double time_limit, motley_coactivation **coactivation,
                               struct motley_error *error)
{
    int given, status = compare(path, time_limit, &given, error);
    if (!status && !given && layer >= 0)
        status = motley__fail(error, MOTLEY_E_INVALID, "--coactivation-layer: expected --coactivation FILE beside it");
    status = motley__agree_within(MPI_COMM_WORLD, time_limit, status, error);
    if (status || !given)
        return status;
    status = motley__coactivation_read(MPI_COMM_WORLD, time_limit, path, coactivation, error);
    if (!status && layer >= motley_coactivation_layers(*coactivation))
        status = motley__fail(error, MOTLEY_E_INVALID,
                              "--coactivation-layer: expected 0 to %d, the layers of %s, found %d",
                              motley_coactivation_layers(*coactivation) - 1, path, (int)layer);
    return motley__agree_within(MPI_COMM_WORLD, time_limit, status, error);
}
