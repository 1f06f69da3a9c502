/* The benchmark: which cells there are, and one row for each cell and peer.
 *
 *   routing.c     who goes where                       problem.c      tensors, on the device and for peers
 *   operators.c   what is measured, with products.c, rowwise.c, gate.c and layer.c
 *   peer.h        what it is measured against: openblas.c, openblas_*.c (made of blas.c, team.c, host.c, wide.c),
 *                 clblast*.c
 *   peak.c        what the device does at most         alternate.c    the clock
 *   compare.c     the results agree                    report.c       rows and summary
 *   select.c      which cells were asked for           run.c          the loop
 *   exchange.c    rows between ranks, which is no cell of these
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_BENCH_H
#define MOTLEY_BENCH_BENCH_H

#include "bench/operator.h"
#include "bench/report.h"
#include "context.h"

/* What was asked for.  Lists are comma-separated words; NULL: the default. */
struct motley__bench_request {
    int full;                           /* all storage types, routings and peers */
    const char *operators, *dtypes, *shapes, *tokens, *routings, *peers;  /* a shape is ExKxDxF */
    const char *cases;                  /* only cells whose label has this part */
    double seconds;                     /* for the rounds of one cell and peer */
    int64_t rounds, seed;               /* rounds 0: as many as the seconds allow */
    int layer;                          /* whole layers instead of operators */
    int activation;                     /* of whole layers: 0 swiglu, 1 relu */
    enum motley__format format;
    int quiet;
};

/* Measure on this rank's device, rows on stdout, progress and notes on stderr.  Local, but for the context.
 * Errors: MOTLEY_E_INVALID (a word of a list), MOTLEY_E_BUILD (a result that differs from the peer's), the device's. */
int motley__bench(motley_context *context, const struct motley__bench_request *request, struct motley_error *error);

/* select.c */
enum { MOTLEY__SELECT = 32 };           /* things of one kind at most */
struct motley__selection {
    int operators, dtypes, shapes, tokens, routings, peers;     /* how many */
    enum motley_dtype dtype[MOTLEY__SELECT];
    const struct motley__operator *operator[MOTLEY__SELECT];
    struct motley__bench_shape shape[MOTLEY__SELECT];
    int T[MOTLEY__SELECT];
    enum motley__routing routing[MOTLEY__SELECT];
    int peer[MOTLEY__SELECT];           /* enum motley__peer_kind */
};
enum motley__peer_kind { MOTLEY__PEER_OPENBLAS, MOTLEY__PEER_CLBLAST, MOTLEY__PEER_NONE };
const char *motley__peer_name(enum motley__peer_kind kind);
int motley__select(const struct motley__bench_request *request, int is_gpu, struct motley__selection *selection,
                   struct motley_error *error);

#endif
