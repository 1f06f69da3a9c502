/* Numbers in descending order.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_BASE_ORDER_H
#define MOTLEY_BASE_ORDER_H

#include "base/error.h"

/* order [n] written: the places of value [n], the largest first, of equal ones the lower place.
 * Errors: MOTLEY_E_MEMORY. */
int motley__order(const double *value, int n, int *order, struct motley_error *error);

#endif
