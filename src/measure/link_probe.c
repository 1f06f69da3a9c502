/* One link timed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/collective.h"
#include "base/wait.h"
#include "measure/link_probe.h"
#include "measure/timing.h"

static const double SAMPLE_SECONDS = 0.05;   /* of large messages: far beyond what a link may let through at once */
static const double SLOW_SECONDS = 0.1;      /* samples as long as this are their own average: few are enough */
static const double LONGEST_SECONDS = 1;     /* beyond it no larger messages are tried */
static const double ALIKE = 1.3;             /* rates that differ less */
static const double TOLERANCE = 0.10;        /* of a line timed again */

enum {
    SMALL = 8,                               /* bytes */
    PIECE = 1 << 15, PIECES = 128,           /* bytes of one, and most of them to each peer, where bytes are timed */
    TOGETHER = 512,                          /* of all that a rank sends at once */
    MESSAGES = 16,                           /* to each peer where each message is timed */
    BATCH = 8,                               /* exchanges of small messages in one sample */
    TAG_MEET = 7400, TAG_PIECES,             /* and those behind it, one for each message to a peer */
    SAMPLES = 7, FEWEST = 3, TRIES = 3
};

struct motley__link motley__link_fit(const struct motley__link_times *times)
{
    struct motley__link link;

    link.message = fmax(0, (times->many - times->few) / ((double)times->peers * (times->messages - 1)));
    link.message = fmin(link.message, times->few / times->peers);
    link.latency = fmax(0, times->few - times->peers * link.message);
    const double beside = times->few + (times->pieces - 1) * times->peers * link.message;
    link.bandwidth = times->bytes / fmax(times->large - beside, 0.01 * times->large);
    link.message = motley__timing_round(link.message);
    link.latency = motley__timing_round(link.latency);
    link.bandwidth = motley__timing_round(link.bandwidth);
    return link;
}

/* A group with its memory. */
struct probe {
    const struct motley__link_group *group;
    char *send, *receive;                    /* owned; peers share what is sent */
    MPI_Request *request;                    /* [2 peers PIECES] owned */
    int most;                                /* pieces to each peer */
    struct motley_error *error;
};

/* Until all requests are complete. */
static int wait_all(struct probe *p, int requests)
{
    const double since = motley__seconds();
    int done = 0, status;

    while (!(status = motley__fail_mpi(p->error, MPI_Testall(requests, p->request, &done, MPI_STATUSES_IGNORE),
                                       "MPI_Testall")) && !done) {
        const double waited = motley__seconds() - since;

        if (waited > p->group->limit)
            return motley__fail(p->error, MOTLEY_E_COMM,
                                "timing links: nothing heard from other ranks for %.0f seconds", waited);
        motley__idle(waited, 0);
    }
    return status;
}

static int exchange(struct probe *p, int bytes, int messages)
{
    const struct motley__link_group *group = p->group;
    int n = 0, status = 0;

    for (int i = 0; i < group->peers; i++)
        for (int m = 0; m < messages && !status; m++, n++)
            status = motley__fail_mpi(p->error,
                                      MPI_Irecv(p->receive + ((size_t)i * (size_t)p->most + (size_t)m) * PIECE, bytes,
                                                MPI_BYTE, group->peer[i], TAG_PIECES + m, group->comm,
                                                &p->request[n]),
                                      "MPI_Irecv");
    for (int i = 0; i < group->peers; i++)
        for (int m = 0; m < messages && !status; m++, n++)
            status = motley__fail_mpi(p->error, MPI_Isend(p->send, bytes, MPI_BYTE, group->peer[i], TAG_PIECES + m,
                                                         group->comm, &p->request[n]), "MPI_Isend");
    return status ? status : wait_all(p, n);
}

/* All members are here; *number becomes the largest of theirs. */
static int meet(const struct probe *p, double *number)
{
    const struct motley__link_group *group = p->group;
    const int first = group->member[0];
    int rank, status = 0;

    MPI_Comm_rank(group->comm, &rank);
    for (int i = 1; i < group->members && rank == first && !status; i++) {
        double theirs = 0;
        status = motley__receive(group->comm, group->limit, group->member[i], TAG_MEET, &theirs, 1, MPI_DOUBLE,
                                 p->error);
        *number = theirs > *number ? theirs : *number;
    }
    for (int i = 1; i < group->members && rank == first && !status; i++)
        status = motley__send(group->comm, group->limit, group->member[i], TAG_MEET, number, 1, MPI_DOUBLE, p->error);
    if (rank != first)
        status = motley__send(group->comm, group->limit, first, TAG_MEET, number, 1, MPI_DOUBLE, p->error);
    if (rank != first && !status)
        status = motley__receive(group->comm, group->limit, first, TAG_MEET, number, 1, MPI_DOUBLE, p->error);
    return status;
}

/* Seconds of one of `repeats` exchanges, of the slowest rank. */
static int sample(struct probe *p, int bytes, int messages, int repeats, double *seconds)
{
    int status = meet(p, &(double){0});
    const double begin = motley__seconds();
    for (int i = 0; i < repeats && !status; i++)
        status = exchange(p, bytes, messages);
    *seconds = (motley__seconds() - begin) / repeats;
    return status ? status : meet(p, seconds);
}

/* The median of some samples after one that is not counted. */
static int samples(struct probe *p, int bytes, int messages, int repeats, double *median, double *spread, int *kept)
{
    double seconds[SAMPLES];
    int n = 0, status = sample(p, bytes, messages, repeats, &seconds[0]);
    const int count = status || seconds[0] * repeats < SLOW_SECONDS ? SAMPLES : FEWEST;

    for (; n < count && !status; n++)
        status = sample(p, bytes, messages, repeats, &seconds[n]);
    if (!status)
        motley__timing(seconds, n, median, spread, kept);
    return status;
}

static int repeats_of(double seconds)
{
    return (int)fmin(BATCH, fmax(1, SAMPLE_SECONDS / seconds));
}

/* The least seconds of some exchanges, of one where it is quick or very slow: a lost packet makes any exchange long. */
static int least_sample(struct probe *p, int pieces, double *seconds)
{
    double one = 0;
    int status = sample(p, PIECE, pieces, 1, seconds);

    for (int i = 1; i < TRIES && !status && *seconds >= SAMPLE_SECONDS && *seconds < SLOW_SECONDS; i++) {
        status = sample(p, PIECE, pieces, 1, &one);
        *seconds = fmin(*seconds, one);
    }
    return status;
}

/* So many pieces that an exchange of them takes long enough, at the rate of half as many; *seconds of one.  Few that
 * overrun a link are lost and sent again after a long pause, which is no rate of the link. */
static int find_large(struct probe *p, int *pieces, double *seconds)
{
    double before = 0;

    for (*pieces = 1;; *pieces *= 2) {
        const int status = least_sample(p, *pieces, seconds);
        const double rate = status ? 0 : *pieces / *seconds;
        if (status || 2 * *pieces > p->most || *seconds >= LONGEST_SECONDS ||
            (*seconds >= SAMPLE_SECONDS && rate < ALIKE * before && before < ALIKE * rate))
            return status;
        before = rate;
    }
}

static int measure(struct probe *p, struct motley__link_line *line)
{
    struct motley__link_times times = {.peers = p->group->most_peers, .messages = MESSAGES};
    double spread, seconds = 0;
    int kept, status = samples(p, SMALL, 1, BATCH, &times.few, &spread, &kept);

    if (!status)
        status = samples(p, SMALL, MESSAGES, 1, &times.many, &spread, &kept);
    if (!status)
        status = find_large(p, &times.pieces, &seconds);
    if (!status)
        status = samples(p, PIECE, times.pieces, repeats_of(seconds), &times.large, &spread, &kept);
    if (status)
        return status;
    times.bytes = (double)PIECE * times.pieces * p->group->share;
    line->link = motley__link_fit(&times);
    line->spread = motley__timing_round(line->link.bandwidth * spread / times.large);
    line->samples = kept;
    return 0;
}

static double foretold(const struct motley__link_group *group, const struct motley__link *link, int pieces)
{
    return link->latency + pieces * group->most_peers * link->message +
           (double)PIECE * pieces * group->share / link->bandwidth;
}

/* Is the link what it was?  *same = 1 when a try agreed with the line. */
static int check(struct probe *p, const struct motley__link_line *line, int *same)
{
    const double wanted = SAMPLE_SECONDS * line->link.bandwidth / p->group->share / PIECE;
    const int pieces = (int)fmin(p->most, fmax(1, wanted));
    const double expected = foretold(p->group, &line->link, pieces);
    double seconds;
    int status = sample(p, PIECE, pieces, 1, &seconds);

    *same = 0;
    for (int i = 0; i < TRIES && !*same && !status; i++) {
        status = sample(p, PIECE, pieces, repeats_of(expected), &seconds);
        *same = !status && fabs(seconds - expected) <= TOLERANCE * expected;
    }
    return status;
}

int motley__link_probe(const struct motley__link_group *group, struct motley__link_line *line, int *news,
                       struct motley_error *error)
{
    struct probe p = {.group = group, .error = error};
    const size_t peers = (size_t)group->peers;
    int same = 0, status = 0;

    p.most = group->most_peers > TOGETHER / PIECES ? TOGETHER / group->most_peers : PIECES;
    p.most = p.most > MESSAGES ? p.most : MESSAGES;
    p.send = calloc(1, PIECE);
    p.receive = calloc(peers * (size_t)p.most + 1, PIECE);
    p.request = calloc(2 * peers * (size_t)p.most + 1, sizeof *p.request);
    double missing = !p.send || !p.receive || !p.request;
    status = meet(&p, &missing);
    if (!status && missing > 0)
        status = motley__fail(error, MOTLEY_E_MEMORY, "a rank is out of host memory for timing a link with %d ranks",
                              group->members - 1);
    if (!status && line->samples > 0)
        status = check(&p, line, &same);
    if (!status && !same) {
        status = measure(&p, line);
        *news = 1;
    }
    free(p.request);
    free(p.receive);
    free(p.send);
    return status;
}
