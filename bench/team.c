/* A team of threads: one lock, two conditions, a number for each call.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/team.h"

static const double ALONE_BYTES = 1 << 17;

struct motley__team {
    int threads, started;               /* the caller included; workers that run */
    pthread_t *worker;                  /* [threads-1] owned */
    pthread_mutex_t lock;
    pthread_cond_t called, done;
    unsigned call;                      /* number of the present call */
    int next, busy, over;               /* next part to take; parts not done yet; 1: workers leave */
    void (*work)(void *self, int first, int last);
    void *self;
    int count;
};

static void do_part(struct motley__team *team, int part)
{
    const long long count = team->count;
    team->work(team->self, (int)(count * part / team->threads), (int)(count * (part + 1) / team->threads));
}

static void *serve(void *self)
{
    struct motley__team *team = self;
    unsigned seen = 0;
    pthread_mutex_lock(&team->lock);
    while (!team->over) {
        if (seen == team->call) {
            pthread_cond_wait(&team->called, &team->lock);
            continue;
        }
        seen = team->call;
        while (team->next < team->threads) {
            const int part = team->next++;
            pthread_mutex_unlock(&team->lock);
            do_part(team, part);
            pthread_mutex_lock(&team->lock);
            if (--team->busy == 0)
                pthread_cond_signal(&team->done);
        }
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

int motley__team_create(int threads, struct motley__team **team, struct motley_error *error)
{
    struct motley__team *made = calloc(1, sizeof *made);
    if (made)
        made->worker = calloc((size_t)threads, sizeof *made->worker);
    if (!made || !made->worker) {
        free(made);
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a team of %d threads", threads);
    }
    made->threads = threads;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->called, NULL);
    pthread_cond_init(&made->done, NULL);
    for (; made->started < threads - 1; made->started++) {
        const int code = pthread_create(&made->worker[made->started], NULL, serve, made);
        if (code) {
            motley__team_destroy(made);
            return motley__fail(error, MOTLEY_E_MEMORY, "no thread can be made: %s", strerror(code));
        }
    }
    *team = made;
    return 0;
}

void motley__team_destroy(struct motley__team *team)
{
    if (!team)
        return;
    pthread_mutex_lock(&team->lock);
    team->over = 1;
    pthread_cond_broadcast(&team->called);
    pthread_mutex_unlock(&team->lock);
    for (int i = 0; i < team->started; i++)
        pthread_join(team->worker[i], NULL);
    pthread_cond_destroy(&team->done);
    pthread_cond_destroy(&team->called);
    pthread_mutex_destroy(&team->lock);
    free(team->worker);
    free(team);
}

void motley__team_run(struct motley__team *team, void (*work)(void *self, int first, int last), void *self, int count,
                      double bytes)
{
    if (team->threads == 1 || bytes < ALONE_BYTES) {
        work(self, 0, count);
        return;
    }
    pthread_mutex_lock(&team->lock);
    team->work = work;
    team->self = self;
    team->count = count;
    team->next = 0;
    team->busy = team->threads;
    team->call++;
    pthread_cond_broadcast(&team->called);
    while (team->next < team->threads) {        /* the caller takes parts too */
        const int part = team->next++;
        pthread_mutex_unlock(&team->lock);
        do_part(team, part);
        pthread_mutex_lock(&team->lock);
        team->busy--;
    }
    while (team->busy > 0)
        pthread_cond_wait(&team->done, &team->lock);
    pthread_mutex_unlock(&team->lock);
}
