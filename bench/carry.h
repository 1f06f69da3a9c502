/* What carries the rows of a dispatch from every rank to every other one, for `motley bench exchange`.
 *
 *   ours        exactly the rows, each token once to a rank (src/exchange), from device memory into device memory, as
 *               an operator of a step
 *   counted     the same behind the counts that a step sends first
 *   alltoallv   MPI_Alltoallv of the same rows, from host memory into host memory
 *   counted_alltoallv   the same behind MPI_Alltoall of the counts
 *   padded      MPI_Alltoall of K copies of every token, each expert's padded to the fullest one's
 *   to_host     nothing is sent: what leaves, from the device into pinned host memory; devices with own memory alone
 *   from_host   what comes, the other way
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_CARRY_H
#define MOTLEY_BENCH_CARRY_H

#include "bench/bench.h"
#include "exchange/exchange.h"

enum motley__carrier {
    MOTLEY__OURS, MOTLEY__COUNTED, MOTLEY__ALLTOALLV, MOTLEY__COUNTED_ALLTOALLV, MOTLEY__PADDED, MOTLEY__TO_HOST,
    MOTLEY__FROM_HOST, MOTLEY__CARRIERS
};

/* One row of the table, on one rank.  Arrays [R] owned. */
struct motley__cell {
    motley_context *context;
    struct motley__bench_shape shape;
    int T;
    size_t row;                         /* bytes */
    int capacity;                       /* rows of an expert where all are padded to the fullest of any rank */
    struct motley__spans out, in;
    int *out_first, *in_first;          /* as MPI_Alltoallv wants them */
    int *others, *counts;               /* 1 of all but the own rank; what MPI_Alltoall makes of the counts */
    MPI_Datatype row_type, block_type;  /* a row; a rank's experts, padded */
    struct motley__buffer *send, *received;
    struct motley__transfer *transfer;
    struct motley__counts *counted;
    struct motley__pinned pinned;       /* as large as what leaves or comes; devices with own memory alone */
    char *out_host, *in_host;           /* as large as the rivals need */
};

/* Once, as a caller would: it returns when the rows are there.  Collective, not agreed.
 * Errors: MOTLEY_E_COMM, MOTLEY_E_DEVICE. */
int motley__carry(struct motley__cell *cell, enum motley__carrier carrier, struct motley_error *error);

/* 1: this one has something to do here. */
int motley__carries(const struct motley__cell *cell, enum motley__carrier carrier);

#endif
