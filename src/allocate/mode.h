/* The modes: every one that is possible divided and predicted, and the fastest of them.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_ALLOCATE_MODE_H
#define MOTLEY_ALLOCATE_MODE_H

#include <stddef.h>

#include "cost/predict.h"

/* "expert", "hybrid:4". */
void motley__mode_text(enum motley_mode mode, int group, char *text, size_t size);
/* And back; "hybrid" wants its number.  option: what the text was given for, in the message.
 * Errors: MOTLEY_E_INVALID. */
int motley__mode_parse(const char *option, const char *text, enum motley_mode *mode, int *group,
                       struct motley_error *error);

/* Can R ranks work in this mode?  Errors: MOTLEY_E_INVALID. */
int motley__mode_possible(enum motley_mode mode, int group, int R, struct motley_error *error);

/* One way that was considered. */
struct motley__alternative {
    enum motley_mode mode;           /* not MOTLEY_MODE_AUTO */
    int group;                       /* 0 but in hybrid */
    int fits;                        /* 0: the devices have no memory for it, nothing else is known */
    struct motley__prediction predicted;
};

/* With R ranks: expert, data, model, hybrid with every number of groups; with many ranks powers of two, then of four.
 * With one rank: expert. */
enum { MOTLEY__ALTERNATIVES = 32 };
int motley__mode_list(int R, struct motley__alternative list[MOTLEY__ALTERNATIVES]);

/* Divide the task in one mode.  division: written, cleared by the caller after success.
 * Errors: those of motley__divide. */
int motley__mode_divide(const struct motley__task *task, enum motley_mode mode, int group,
                        struct motley__division *division, struct motley_error *error);

/* All that is possible is predicted (on hundreds of ranks just the one that is asked for), list [*count] written, and
 * the one that task->options.mode and .group ask for is chosen; MOTLEY_MODE_AUTO: of those that fit the fastest; of
 * nearly equal ones the first; where not everything is known the first that fits.  *chosen: its place in the list;
 * division and cost [R] are its own.
 * Errors: MOTLEY_E_INVALID, MOTLEY_E_DEVICE_MEMORY (the one asked for does not fit, or none), MOTLEY_E_MEMORY. */
int motley__mode_choose(const struct motley__task *task, struct motley__alternative list[MOTLEY__ALTERNATIVES],
                        int *count, int *chosen, struct motley__division *division, struct motley__rank_cost *cost,
                        struct motley_error *error);

#endif
