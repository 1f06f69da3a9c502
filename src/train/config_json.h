/* A decoder's config.json, as Hugging Face writes it for Mixtral; of a decoder that routes as Mixtral cannot, with a
 * type of its own and how.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TRAIN_CONFIG_JSON_H
#define MOTLEY_TRAIN_CONFIG_JSON_H

#include "model/config.h"

/* *text owned by the caller: free() it.  Errors: MOTLEY_E_MEMORY. */
int motley__config_text(const struct motley__config *config, char **text, struct motley_error *error);

/* Members the decoder does not know are passed over, as long as they do not change what it computes.
 * Errors: MOTLEY_E_FORMAT (no JSON, a member missing or of the wrong kind), MOTLEY_E_INVALID (sizes that make no
 * model), MOTLEY_E_UNSUPPORTED (another architecture, or a feature the decoder has not). */
int motley__config_parse(const char *text, struct motley__config *config, struct motley_error *error);

#endif
