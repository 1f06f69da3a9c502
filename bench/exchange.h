/* `motley bench exchange`: how fast the rows of a dispatch go from every rank to every other one, against what else
 * could carry the same tokens (carry.h), in turn under one clock.
 *
 * Every rank brings T tokens that choose K of E experts at random; ranks have experts in ascending blocks.  GB/s are
 * bytes that a rank sends to others in the mean, by the seconds of the slowest rank, medians over the rounds.  On
 * devices with memory of their own the rate to be compared with is that of copies of as many bytes, too: the slower of
 * both ways, each alone.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_EXCHANGE_H
#define MOTLEY_BENCH_EXCHANGE_H

#include "bench/bench.h"

/* One row for each shape, storage type and number of tokens, on rank 0's stdout.  Collective; agreed.
 * Errors: MOTLEY_E_INVALID (a word of a list), MOTLEY_E_BUILD (rows arrived changed), MOTLEY_E_COMM, the device's. */
int motley__bench_exchange(motley_context *context, const struct motley__bench_request *request,
                           struct motley_error *error);

#endif
