/* Discovery in a child process, for a rank that must not have called OpenCL yet.
 *
 * The CPU runtime takes its threads from the environment at the process's first OpenCL call, but how many
 * they should be depends on which devices there are.  So a child asks, answers through a pipe and ends.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/node.h"

static const double CHILD_SECONDS = 60; /* drivers of many GPUs may take several to start */

/* What comes through the pipe first; then `count` devices. */
struct answer {
    struct motley_error error;
    int count;
};

static int write_all(int to, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t done = write(to, at, count);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        at += done;
        count -= (size_t)done;
    }
    return 0;
}

static int read_all(int from, void *bytes, size_t count, double end)
{
    char *at = bytes;
    while (count > 0) {
        struct pollfd wait = {.fd = from, .events = POLLIN};
        double left = end - motley__seconds();
        int ready = left > 0 ? poll(&wait, 1, (int)(1000 * left) + 1) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        ssize_t done = ready > 0 ? read(from, at, count) : -1;
        if (done <= 0)
            return -1;
        at += done;
        count -= (size_t)done;
    }
    return 0;
}

/* The child leaves by _exit: nothing of the parent's (MPI, atexit, streams) may be ended twice. */
static void answer_and_exit(int to)
{
    struct answer answer = {0};
    struct motley__found *found = NULL;
    motley__discover(&found, &answer.count, &answer.error);
    int failed = write_all(to, &answer, sizeof answer) ||
                 write_all(to, found, (size_t)answer.count * sizeof *found);
    _exit(failed);
}

static int read_answer(int from, struct motley__found **found, int *count, struct motley_error *error)
{
    struct answer answer;
    double end = motley__seconds() + CHILD_SECONDS;
    const char *const crashed = "the OpenCL drivers crashed or hung when asked for their devices: try clinfo";
    if (read_all(from, &answer, sizeof answer, end))
        return motley__fail(error, MOTLEY_E_NO_DEVICE, "%s", crashed);
    if (answer.error.code)
        return motley__fail(error, answer.error.code, "%s", answer.error.text);
    struct motley__found *list = calloc((size_t)answer.count, sizeof *list);
    if (!list)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d devices", answer.count);
    if (read_all(from, list, (size_t)answer.count * sizeof *list, end)) {
        free(list);
        return motley__fail(error, MOTLEY_E_NO_DEVICE, "%s", crashed);
    }
    *found = list;
    *count = answer.count;
    return 0;
}

int motley__discover_in_child(struct motley__found **found, int *count, struct motley_error *error)
{
    int ends[2];
    if (pipe(ends))
        return motley__fail(error, MOTLEY_E_MEMORY, "no pipe to look for devices: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return motley__fail(error, MOTLEY_E_MEMORY, "no process to look for devices: %s", strerror(errno));
    }
    if (child == 0) {
        close(ends[0]);
        answer_and_exit(ends[1]);
    }
    close(ends[1]);
    int status = read_answer(ends[0], found, count, error);
    close(ends[0]);
    if (status)
        kill(child, SIGKILL); /* it may hang in a driver; it is not reaped yet, so the number is still its own */
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    return status;
}
