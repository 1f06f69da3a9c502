/* What each rank did when, as a Chrome/Perfetto trace.
 *
 * The file is one JSON object {"traceEvents": [...]}: a complete event ("ph": "X", times in microseconds) per
 * span, the rank as process, the track as thread.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/collective.h"
#include "base/file.h"
#include "base/trace.h"

enum { ROUND_TRIPS = 16, TAG = 1, PART_BYTES = 16384 };

struct span {
    const char *name;                   /* a constant */
    int track;
    double begin, end;                  /* this rank's clock */
};

struct motley__trace {
    MPI_Comm comm;                      /* owned: nobody else's messages */
    int rank, ranks;
    double limit;                       /* seconds that others may stay silent */
    char *path;                         /* owned; rank 0 */
    double offset;                      /* rank 0's clock = this rank's + offset */
    struct span *spans;                 /* owned */
    size_t count, room;
    int lost;                           /* 1: memory ran out, spans are missing */
};

/* Rank 0 answers each rank in turn; the fastest round trip bounds the error by half its time. */
static int align_clocks(struct motley__trace *t, struct motley_error *error)
{
    int status = 0;
    for (int r = 1; r < t->ranks && !status; r++) {
        double best = 1e30, theirs = 0;
        for (int i = 0; i < ROUND_TRIPS && !status; i++) {
            if (t->rank == 0) {
                status = motley__receive(t->comm, t->limit, r, TAG, &theirs, 1, MPI_DOUBLE, error);
                double now = motley__seconds();
                if (!status)
                    status = motley__send(t->comm, t->limit, r, TAG, &now, 1, MPI_DOUBLE, error);
            } else if (t->rank == r) {
                double begin = motley__seconds();
                status = motley__send(t->comm, t->limit, 0, TAG, &begin, 1, MPI_DOUBLE, error);
                if (!status)
                    status = motley__receive(t->comm, t->limit, 0, TAG, &theirs, 1, MPI_DOUBLE, error);
                double end = motley__seconds();
                if (end - begin < best) {
                    best = end - begin;
                    t->offset = theirs - 0.5 * (begin + end);
                }
            }
        }
    }
    return status;
}

int motley__trace_create(MPI_Comm comm, double limit, const char *path, struct motley__trace **trace,
                         struct motley_error *error)
{
    struct motley__trace *t = calloc(1, sizeof *t);
    int rank, status = 0;
    MPI_Comm_rank(comm, &rank);
    if (!t)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a trace");
    else if (rank == 0)
        status = motley__format(&t->path, error, "%s", path);
    status = motley__agree_within(comm, limit, status, error);
    if (!status) {
        t->limit = limit;
        t->comm = MPI_COMM_NULL;
        status = motley__fail_mpi(error, MPI_Comm_dup(comm, &t->comm), "MPI_Comm_dup");
    }
    if (!status) {
        MPI_Comm_rank(t->comm, &t->rank);
        MPI_Comm_size(t->comm, &t->ranks);
        status = align_clocks(t, error);
    }
    if (status) {
        if (t)
            free(t->path);
        free(t);
        return status;
    }
    *trace = t;
    return 0;
}

void motley__trace_span(struct motley__trace *trace, int track, const char *name, double begin, double end)
{
    if (!trace || trace->lost)
        return;
    if (trace->count == trace->room) {
        size_t room = trace->room ? 2 * trace->room : 1024;
        struct span *spans = realloc(trace->spans, room * sizeof *spans);
        if (!spans) {
            trace->lost = 1;
            return;
        }
        trace->spans = spans;
        trace->room = room;
    }
    trace->spans[trace->count++] = (struct span){name, track, begin, end};
}

/* This rank's events, each on a line that ends with a comma; *text owned by the caller. */
static int write_events(const struct motley__trace *t, char **text, size_t *bytes, struct motley_error *error)
{
    static const char *const tracks[] = {"computation", "communication"};
    char host[64] = "unknown";
    FILE *out = open_memstream(text, bytes);
    if (!out)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a trace");
    gethostname(host, sizeof host - 1);
    fprintf(out, "{\"ph\": \"M\", \"pid\": %d, \"name\": \"process_name\", \"args\": {\"name\": \"rank %d, %s\"}},\n",
            t->rank, t->rank, host);
    for (int k = 0; k < 2; k++)
        fprintf(out, "{\"ph\": \"M\", \"pid\": %d, \"tid\": %d, \"name\": \"thread_name\", "
                "\"args\": {\"name\": \"%s\"}},\n", t->rank, k, tracks[k]);
    for (size_t i = 0; i < t->count; i++) {
        const struct span *s = &t->spans[i];
        fprintf(out, "{\"ph\": \"X\", \"pid\": %d, \"tid\": %d, \"name\": \"%s\", \"ts\": %.3f, \"dur\": %.3f},\n",
                t->rank, s->track, s->name, 1e6 * (s->begin + t->offset), 1e6 * (s->end - s->begin));
    }
    int broken = ferror(out);
    if (fclose(out) || broken) {
        free(*text);
        *text = NULL;
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a trace");
    }
    return 0;
}

/* Rank 0 takes one rank's events at a time straight into the file.  A file that
 * can no longer be written still takes them all: nobody is left sending. */
static int collect(const struct motley__trace *t, FILE *out, struct motley_error *error)
{
    int status = 0;
    for (int r = 1; r < t->ranks && !status; r++) {
        unsigned long long left;
        status = motley__receive(t->comm, t->limit, r, TAG, &left, 1, MPI_UNSIGNED_LONG_LONG, error);
        while (!status && left > 0) {
            char part[PART_BYTES];
            int bytes = left < PART_BYTES ? (int)left : PART_BYTES;
            status = motley__receive(t->comm, t->limit, r, TAG, part, bytes, MPI_CHAR, error);
            if (!status)
                fwrite(part, 1, (size_t)bytes, out);
            left -= (unsigned)bytes;
        }
    }
    return status;
}

static int deliver(const struct motley__trace *t, const char *text, size_t bytes, struct motley_error *error)
{
    unsigned long long left = bytes;
    int status = motley__send(t->comm, t->limit, 0, TAG, &left, 1, MPI_UNSIGNED_LONG_LONG, error);
    while (!status && left > 0) {
        int part = left < PART_BYTES ? (int)left : PART_BYTES;
        status = motley__send(t->comm, t->limit, 0, TAG, text + (bytes - left), part, MPI_CHAR, error);
        left -= (unsigned)part;
    }
    return status;
}

int motley__trace_write(struct motley__trace *trace, struct motley_error *error)
{
    struct motley__new_file file = {0};
    char *text = NULL;
    size_t bytes = 0;
    int status = write_events(trace, &text, &bytes, error);
    if (!status && trace->rank == 0)
        status = motley__new_file_open(trace->path, &file, error);
    status = motley__agree_within(trace->comm, trace->limit, status, error);
    if (!status && trace->rank == 0) {
        fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n", file.stream);
        fwrite(text, 1, bytes, file.stream);
        status = collect(trace, file.stream, error);
        /* JSON allows no comma behind the last event: one that ends it. */
        fputs("{\"ph\": \"M\", \"pid\": 0, \"name\": \"trace_end\", \"args\": {}}\n]}\n", file.stream);
        if (!status)
            status = motley__new_file_commit(&file, error);
    } else if (!status) {
        status = deliver(trace, text, bytes, error);
    }
    motley__new_file_discard(&file);
    free(text);
    return motley__agree_within(trace->comm, trace->limit, status, error);
}

void motley__trace_destroy(struct motley__trace *trace)
{
    if (!trace)
        return;
    if (trace->comm != MPI_COMM_NULL)
        MPI_Comm_free(&trace->comm);
    free(trace->path);
    free(trace->spans);
    free(trace);
}
