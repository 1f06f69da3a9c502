/* Which experts the tokens of a benchmark go to: seeded patterns, from even to all on one.
 *
 *   even      pair n = t K + k goes to the expert in place n mod E of a drawn order: counts differ by one at most
 *   zipf      K different experts a token, drawn one after another with weights 1/rank (exponent 1)
 *   one       every pair to the same expert
 *   llepP     P% of the pairs on 4 experts, the others on the rest; all alike within each group
 *
 * The last two draw pairs independently, so a token may name one expert repeatedly.  Which experts are the favoured
 * ones is drawn by the seed.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BENCH_ROUTING_H
#define MOTLEY_BENCH_ROUTING_H

#include <stdint.h>

#include "base/error.h"

enum motley__routing {
    MOTLEY__ROUTING_EVEN, MOTLEY__ROUTING_ZIPF, MOTLEY__ROUTING_ONE, MOTLEY__ROUTING_LLEP30, MOTLEY__ROUTING_LLEP50,
    MOTLEY__ROUTING_LLEP80, MOTLEY__ROUTING_LLEP95, MOTLEY__ROUTINGS
};
#define MOTLEY__ROUTING_NAMES "even|zipf|one|llep30|llep50|llep80|llep95"
const char *motley__routing_name(enum motley__routing routing);

/* indices [T,K] written, each in 0 .. E-1.  K is at most E. */
int motley__routing_draw(enum motley__routing routing, uint64_t seed, int T, int K, int E, int *indices,
                         struct motley_error *error);

#endif
