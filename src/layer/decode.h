/* From experts' outputs back to tokens.
 *
 *   combine   returned[j,:] = s o[p,:], p = pair_received[j], s = weight[p] or 1      on the expert's rank
 *   decode    y[t,:] = sum_k  (own pair: s o[p,:]   else: returned[j,:])              on the token's rank
 *
 * k ascends, so the sum's order depends neither on arrival nor on the number of ranks.  Forward weighs (the
 * routing weights), backward does not.  decode_scalars finds dweights [T,K] the same way from one number a pair.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_LAYER_DECODE_H
#define MOTLEY_LAYER_DECODE_H

#include <motley/tensor.h>
#include "device/buffer.h"

struct motley__combine {
    enum motley_dtype dtype;                   /* of o and returned */
    int rows, D;                               /* received rows */
    const struct motley__buffer *o;            /* [P,D] */
    const struct motley__buffer *pair_received;/* [rows] */
    const struct motley__buffer *weight;       /* [P], or NULL: not weighted */
    struct motley__buffer *returned;           /* [rows,D] written */
};
int motley__combine(struct motley__device *device, const struct motley__combine *combine, struct motley_error *error);

struct motley__decode {
    enum motley_dtype dtype;                   /* of o, returned and y */
    int T, K, D, own_begin, own_end;
    const struct motley__buffer *where;        /* [T,K] sorted position of each pair */
    const struct motley__buffer *pair_own;     /* [own_end-own_begin] */
    const struct motley__buffer *o;            /* [P,D] own rank's outputs, by pair */
    const struct motley__buffer *weights;      /* [T,K], or NULL: not weighted */
    const struct motley__buffer *returned;     /* [send rows,D], already weighted; NULL when none */
    int accumulate;                            /* 1: y += ... */
    struct motley__buffer *y;                  /* [T,D] */
};
int motley__decode(struct motley__device *device, const struct motley__decode *decode, struct motley_error *error);

/* scalar combine: returned[j] = s[pair_received[j]];  scalar decode: out[t,k] = own ? s[p] : returned[j]. */
int motley__combine_scalars(struct motley__device *device, int rows, const struct motley__buffer *s,
                            const struct motley__buffer *pair_received, struct motley__buffer *returned,
                            struct motley_error *error);
int motley__decode_scalars(struct motley__device *device, const struct motley__decode *decode,
                           const struct motley__buffer *s, const struct motley__buffer *returned,
                           struct motley__buffer *out, struct motley_error *error);

#endif
