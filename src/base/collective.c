/* What ranks do together and say to each other, within a limit.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "base/collective.h"
#include "base/wait.h"

/* Begun or not: until it is complete. */
static int finish(int mpi_status, const char *call, MPI_Request *request, double limit, const char *what,
                  struct motley_error *error)
{
    int status = motley__fail_mpi(error, mpi_status, call);
    return status ? status : motley__wait(request, limit, what, error);
}

int motley__broadcast(MPI_Comm comm, double limit, int root, void *numbers, int count, MPI_Datatype type,
                      struct motley_error *error)
{
    MPI_Request request;
    return finish(MPI_Ibcast(numbers, count, type, root, comm, &request), "MPI_Ibcast", &request, limit,
                  "what one rank tells all", error);
}

int motley__reduce(MPI_Comm comm, double limit, void *numbers, int count, MPI_Datatype type, MPI_Op op,
                   struct motley_error *error)
{
    MPI_Request request;
    return finish(MPI_Iallreduce(MPI_IN_PLACE, numbers, count, type, op, comm, &request), "MPI_Iallreduce", &request,
                  limit, "what ranks compare", error);
}

int motley__share(MPI_Comm comm, double limit, const void *mine, int count, MPI_Datatype type, void *all,
                  struct motley_error *error)
{
    MPI_Request request;
    return finish(MPI_Iallgather(mine, count, type, all, count, type, comm, &request), "MPI_Iallgather", &request,
                  limit, "what ranks tell each other", error);
}

int motley__share_unlike(MPI_Comm comm, double limit, int root, const void *mine, int count, MPI_Datatype type,
                         void *all, const int *counts, const int *starts, struct motley_error *error)
{
    MPI_Request request;
    const int status = root < 0
        ? MPI_Iallgatherv(mine, count, type, all, counts, starts, type, comm, &request)
        : MPI_Igatherv(mine, count, type, all, counts, starts, type, root, comm, &request);
    return finish(status, root < 0 ? "MPI_Iallgatherv" : "MPI_Igatherv", &request, limit, "what ranks tell each other",
                  error);
}

int motley__send(MPI_Comm comm, double limit, int to, int tag, const void *numbers, int count, MPI_Datatype type,
                 struct motley_error *error)
{
    MPI_Request request;
    return finish(MPI_Isend(numbers, count, type, to, tag, comm, &request), "MPI_Isend", &request, limit,
                  "what one rank sends another", error);
}

int motley__receive(MPI_Comm comm, double limit, int from, int tag, void *numbers, int count, MPI_Datatype type,
                    struct motley_error *error)
{
    MPI_Request request;
    return finish(MPI_Irecv(numbers, count, type, from, tag, comm, &request), "MPI_Irecv", &request, limit,
                  "what one rank sends another", error);
}
