/* The words that texts (profiles, plans, tables) have for the library's enumerations: by value, NULL at the end.
 * Those of storage types are device/storage.h's.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PROFILE_NAMES_H
#define MOTLEY_PROFILE_NAMES_H

extern const char *const motley__activation_names[]; /* enum motley_activation */
extern const char *const motley__gate_names[];       /* enum motley_gate */
extern const char *const motley__shares_names[];     /* enum motley_shares */
extern const char *const motley__mode_names[];       /* enum motley_mode */
extern const char *const motley__exchange_names[];   /* enum motley_exchange */
extern const char *const motley__dense_names[];      /* enum motley__dense */
extern const char *const motley__direction_names[];  /* 0 forward, 1 backward */

#endif
