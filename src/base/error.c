/* Recording a failure, and agreeing on one between ranks.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/wait.h"

const char *motley_status_name(int code)
{
    switch (code) {
    case MOTLEY_OK: return "no error";
    case MOTLEY_E_INVALID: return "invalid argument";
    case MOTLEY_E_MEMORY: return "out of host memory";
    case MOTLEY_E_DEVICE_MEMORY: return "out of device memory";
    case MOTLEY_E_NO_DEVICE: return "no device";
    case MOTLEY_E_DEVICE: return "device failure";
    case MOTLEY_E_BUILD: return "kernel build failure";
    case MOTLEY_E_COMM: return "communication failure";
    case MOTLEY_E_IO: return "input/output failure";
    case MOTLEY_E_FORMAT: return "malformed data";
    case MOTLEY_E_MISMATCH: return "ranks disagree";
    case MOTLEY_E_NONFINITE: return "not a finite number";
    case MOTLEY_E_UNSUPPORTED: return "unsupported";
    case MOTLEY_E_INTERRUPTED: return "interrupted";
    default: return "unknown error";
    }
}

const char *motley_version(void)
{
    return PACKAGE_VERSION;
}

/* A sentence is one line, whatever a driver or a file name put into it. */
static void one_line(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr(" \r\n", text[length - 1]))
        text[--length] = 0;
    for (; *text; text++)
        if (*text == '\n' || *text == '\r')
            *text = ' ';
}

int motley__fail(struct motley_error *error, int code, const char *format, ...)
{
    assert(code < 0);
    if (!error)
        return code;
    if (error->code)
        return error->code;
    error->code = code;
    error->rank = -1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    one_line(error->text);
    return code;
}

int motley__fail_in(struct motley_error *error, int code, const char *format, ...)
{
    if (!error)
        return code;
    char text[sizeof error->text], *at = text;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    at = stpncpy(text + strlen(text), ": ", sizeof text - 1 - strlen(text));
    stpncpy(at, error->code ? error->text : motley_status_name(code), sizeof text - 1 - (size_t)(at - text));
    text[sizeof text - 1] = 0;
    one_line(text);
    memcpy(error->text, text, sizeof text);
    if (!error->code) {
        error->code = code;
        error->rank = -1;
    }
    return error->code;
}

int motley__fail_mpi(struct motley_error *error, int mpi_status, const char *call)
{
    if (mpi_status == MPI_SUCCESS)
        return 0;
    char reason[MPI_MAX_ERROR_STRING] = "";
    int length;
    if (MPI_Error_string(mpi_status, reason, &length) != MPI_SUCCESS)
        snprintf(reason, sizeof reason, "MPI error %d", mpi_status);
    return motley__fail(error, MOTLEY_E_COMM, "%s failed: %s", call, reason);
}

/* Every rank makes the same two calls whatever it brings, so that none is left waiting. */
int motley__agree_within(MPI_Comm comm, double limit, int code, struct motley_error *error)
{
    int rank, size, lowest;
    MPI_Request request;
    if (code == MOTLEY_E_COMM) /* who was not heard before will not be now: the wait would only be longer */
        return code;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    int mine = code ? rank : size;
    int status = motley__fail_mpi(error, MPI_Iallreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, comm, &request),
                                  "MPI_Iallreduce");
    if (!status)
        status = motley__wait(&request, limit, "agreeing on what failed", error);
    if (status || lowest == size)
        return status;

    struct motley_error agreed = {0};
    if (rank == lowest) {
        if (error && error->code)
            agreed = *error;
        else
            motley__fail(&agreed, code, "%s", motley_status_name(code));
        agreed.code = code;
        agreed.rank = rank;
    }
    status = motley__fail_mpi(error, MPI_Ibcast(&agreed, (int)sizeof agreed, MPI_BYTE, lowest, comm, &request),
                              "MPI_Ibcast");
    if (!status)
        status = motley__wait(&request, limit, "agreeing on what failed", error);
    if (status)
        return status;
    if (error)
        *error = agreed;
    return agreed.code;
}

int motley__agree(MPI_Comm comm, int code, struct motley_error *error)
{
    return motley__agree_within(comm, 0, code, error);
}
