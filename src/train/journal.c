/* How far a run has come: the trainer.json of a checkpoint.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "train/journal.h"

/* JSON has no NaN. */
static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int motley__journal_text(const struct motley__journal *journal, const struct motley__settings *settings, char **text,
                         struct motley_error *error)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, journal->text_hash);
    json_t *json = json_pack("{s:s, s:I, s:I, s:f, s:o, s:o, s:{s:I, s:s}, s:o}", "motley", motley_version(), "step",
                             (json_int_t)journal->step, "tokens", (json_int_t)journal->tokens, "seconds",
                             journal->seconds, "loss", number_or_null(journal->loss), "held_out_loss",
                             number_or_null(journal->held_out_loss), "text", "bytes", (json_int_t)journal->text_bytes,
                             "hash", hash, "options", motley__settings_json(settings));
    char *made = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "trainer.json cannot be made: out of host memory, or the path of a "
                                                    "text is not UTF-8");
    *text = made;
    return 0;
}

int motley__journal_parse(const char *text, struct motley__journal *journal, json_t **options,
                          struct motley_error *error)
{
    json_error_t reason;
    json_int_t step, tokens, bytes;
    const char *hash;
    json_t *loss, *held_out, *saved;
    json_t *json = json_loads(text, 0, &reason);
    struct motley__journal made = {.loss = NAN, .held_out_loss = NAN};
    if (!json ||
        json_unpack_ex(json, &reason, 0, "{s:I, s:I, s:F, s:o, s:o, s:{s:I, s:s}, s:o}", "step", &step, "tokens",
                       &tokens, "seconds", &made.seconds, "loss", &loss, "held_out_loss", &held_out, "text", "bytes",
                       &bytes, "hash", &hash, "options", &saved) ||
        !json_is_object(saved) || step < 0) {
        json_decref(json);
        return motley__fail(error, MOTLEY_E_FORMAT, "trainer.json: line %d: %s", reason.line, reason.text);
    }
    made.step = step;
    made.tokens = tokens;
    made.text_bytes = (uint64_t)bytes;
    made.text_hash = strtoull(hash, NULL, 16);
    if (json_is_number(loss))
        made.loss = json_number_value(loss);
    if (json_is_number(held_out))
        made.held_out_loss = json_number_value(held_out);
    *options = json_incref(saved);
    json_decref(json);
    *journal = made;
    return 0;
}
