/* A trainer's options with every default filled in: a value that owns its strings, saved in checkpoints.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_SETTINGS_H
#define MOTLEY_TRAIN_SETTINGS_H

#include <jansson.h>

#include <motley/train.h>
#include "base/error.h"
#include "model/config.h"

struct motley__settings {
    struct motley_trainer_options o;    /* nothing is zero but what means zero */
    char **text;                        /* [o.texts] owned; o.text points here */
    char *output;                       /* owned, may be NULL; o.output points here */
    char *coactivation, *record;        /* likewise; o.coactivation, o.record_coactivation */
};

/* saved: the "options" of a checkpoint's trainer.json, whose values stand where an option is left at zero; NULL: the
 * defaults do.  Errors: MOTLEY_E_INVALID (option, what was expected, what was found), MOTLEY_E_FORMAT (saved). */
int motley__settings_make(const struct motley_trainer_options *options, const json_t *saved,
                          struct motley__settings *settings, struct motley_error *error);
void motley__settings_clear(struct motley__settings *settings); /* accepts a zeroed one */

/* NULL when memory is out. */
json_t *motley__settings_json(const struct motley__settings *settings);

/* Equal on ranks that were given the same options (what is written where aside). */
uint64_t motley__settings_hash(const struct motley__settings *settings);

struct motley__config motley__settings_config(const struct motley__settings *settings);

#endif
