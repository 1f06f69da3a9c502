/* A trainer's options with every default filled in.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/random.h"
#include "profile/names.h"
#include "train/settings.h"

enum kind { INT, INT64, UINT64, DOUBLE };
enum {
    FIXED = 1,                          /* belongs to the model: a resumed run cannot change it */
    YOUNG = 2                           /* checkpoints of earlier versions lack it: there the standard held */
};

/* Every number among the options. */
static const struct field {
    const char *name;
    enum kind kind;
    size_t offset;
    double standard;                    /* 0: decided by settings_make, or zero is meant */
    double low, high;
    int kept;                           /* of FIXED and YOUNG */
} fields[] = {
#define FIELD(name, kind, ...) {#name, kind, offsetof(struct motley_trainer_options, name), __VA_ARGS__}
    FIELD(text_limit, UINT64, 0, 0, 0x1p63, FIXED),
    FIELD(width, INT, 128, 1, 1 << 20, FIXED),
    FIELD(layers, INT, 3, 1, 10000, FIXED),
    FIELD(heads, INT, 4, 1, 1 << 20, FIXED),
    FIELD(hidden, INT, 256, 1, 1 << 20, FIXED),
    FIELD(experts, INT, 8, 1, 1 << 16, FIXED),
    FIELD(top_k, INT, 2, 1, 1 << 16, FIXED),
    FIELD(sequence, INT, 128, 1, 1 << 24, FIXED),
    FIELD(steps, INT64, 1200, 1, 0x1p53, 0),
    FIELD(batch, INT, 16, 1, 1 << 24, 0),
    FIELD(learning_rate, DOUBLE, 0.0025, 0, 1e3, 0),
    FIELD(warmup, INT64, 0, -0x1p53, 0x1p53, 0),
    FIELD(weight_decay, DOUBLE, 0.1, -1e9, 1e3, 0),
    FIELD(beta1, DOUBLE, 0.9, 0, 0.999999, 0),
    FIELD(beta2, DOUBLE, 0.95, 0, 0.999999, 0),
    FIELD(epsilon, DOUBLE, 1e-8, 0, 1, 0),
    FIELD(clip, DOUBLE, 1, -1e9, 1e9, 0),
    FIELD(balance, DOUBLE, 0.02, -1e9, 1e9, 0),
    FIELD(z, DOUBLE, 0.001, -1e9, 1e9, 0),
    FIELD(seed, UINT64, 0, 0, 0x1p64, FIXED),
    FIELD(save_every, INT64, 0, -0x1p53, 0x1p53, 0),
    FIELD(evaluate_every, INT64, 0, -0x1p53, 0x1p53, 0),
    FIELD(held_out, INT64, 32768, 1, 0x1p53, 0),
    FIELD(shares, INT, 0, MOTLEY_SHARES_MEASURED, MOTLEY_SHARES_EVEN, 0),
    FIELD(mode, INT, 0, MOTLEY_MODE_AUTO, MOTLEY_MODE_HYBRID, YOUNG),
    FIELD(group, INT, 0, 0, 1 << 20, YOUNG),
    FIELD(dtype, INT, MOTLEY_F32, -1, MOTLEY_F16, YOUNG),
    FIELD(wire, INT, MOTLEY_F32, -1, MOTLEY_F16, YOUNG),
    FIELD(keep_plan, INT, 0, 0, 1, YOUNG),
    FIELD(collaborators, INT, 0, 0, 1 << 16, YOUNG),
    FIELD(gate, INT, -1, -1, MOTLEY_GATE_COSINE, FIXED | YOUNG),
    FIELD(before, INT, -1, -1, 1, FIXED | YOUNG),
    FIELD(correction_rate, DOUBLE, 0.001, -1e9, 1e3, YOUNG),
    FIELD(noise, DOUBLE, -1, -1e9, 1e9, YOUNG),
    FIELD(importance, DOUBLE, -1, -1e9, 1e9, YOUNG),
    FIELD(capacity, DOUBLE, -1, -1e9, 1e9, YOUNG),
    FIELD(prioritised, INT, -1, -1, 1, YOUNG),
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static double get(const struct motley_trainer_options *options, const struct field *field)
{
    const char *at = (const char *)options + field->offset;
    switch (field->kind) {
    case INT: return *(const int *)at;
    case INT64: return (double)*(const int64_t *)at;
    case UINT64: return (double)*(const uint64_t *)at;
    default: return *(const double *)at;
    }
}

static void set(struct motley_trainer_options *options, const struct field *field, double value)
{
    char *at = (char *)options + field->offset;
    switch (field->kind) {
    case INT: *(int *)at = (int)value; break;
    case INT64: *(int64_t *)at = (int64_t)value; break;
    case UINT64: *(uint64_t *)at = (uint64_t)value; break;
    default: *(double *)at = value; break;
    }
}

/* 64 bits do not all fit into a double. */
static uint64_t *whole(struct motley_trainer_options *options, const struct field *field)
{
    return field->kind == UINT64 ? (uint64_t *)((char *)options + field->offset) : NULL;
}

static int read_saved(const json_t *saved, const struct field *field, struct motley_trainer_options *theirs,
                      struct motley_error *error)
{
    const json_t *member = json_object_get(saved, field->name);
    if (!member && field->kept & YOUNG)
        set(theirs, field, field->standard);
    else if (!json_is_number(member))
        return motley__fail(error, MOTLEY_E_FORMAT, "trainer.json: option \"%s\" is missing or not a number",
                            field->name);
    else if (whole(theirs, field))
        *whole(theirs, field) = (uint64_t)json_integer_value(member);
    else
        set(theirs, field, json_number_value(member));
    return 0;
}

/* A value as its option is given. */
static void name_value(const struct field *field, double value, char name[32])
{
    if (field->offset == offsetof(struct motley_trainer_options, gate) && value <= MOTLEY_GATE_COSINE)
        snprintf(name, 32, "%s", motley__gate_names[(int)fmax(0, value)]);
    else if (field->offset == offsetof(struct motley_trainer_options, before))
        snprintf(name, 32, "%s", value > 0 ? "yes" : "no");
    else
        snprintf(name, 32, "%.10g", value);
}

static int from_saved(const json_t *saved, const struct field *field, struct motley_trainer_options *options,
                      struct motley_error *error)
{
    struct motley_trainer_options theirs = {0};
    int status = read_saved(saved, field, &theirs, error);
    if (status)
        return status;
    double mine = get(options, field), value = get(&theirs, field);
    if (field->kept & FIXED && mine != 0 && mine != value) {
        char is[32], wanted[32];
        name_value(field, value, is);
        name_value(field, mine, wanted);
        return motley__fail(error, MOTLEY_E_INVALID,
                            "%s is %s in the checkpoint and cannot be changed to %s; leave "
                            "it out, or start anew in another directory",
                            field->name, is, wanted);
    }
    if (mine != 0)
        return 0;
    if (whole(options, field))
        *whole(options, field) = *whole(&theirs, field);
    else
        set(options, field, value);
    return 0;
}

static int check(const struct motley_trainer_options *options, struct motley_error *error)
{
    for (int i = 0; i < FIELDS; i++) {
        double value = get(options, &fields[i]);
        if (!(value >= fields[i].low && value <= fields[i].high))
            return motley__fail(error, MOTLEY_E_INVALID, "%s must be between %g and %g, but it is %g", fields[i].name,
                                fields[i].low, fields[i].high, value);
    }
    return 0;
}

/* How numbers are stored: -1 was the word for an f32 that is meant. */
static int settle_dtype(struct motley_trainer_options *options, struct motley_error *error)
{
    if (options->dtype == MOTLEY_F16)
        return motley__fail(error, MOTLEY_E_UNSUPPORTED,
                            "training cannot store f16: its smallest number is 6e-8, so gradients would vanish without "
                            "loss scaling, which there is not; choose bf16, which is as small and needs none");
    if (options->dtype < 0)
        options->dtype = MOTLEY_F32;
    if (options->wire < 0)
        options->wire = MOTLEY_F32;
    return 0;
}

/* How bytes are routed: what asks for something else beside it.  given: the options before defaults. */
static int settle_routing(const struct motley_trainer_options *given, struct motley_trainer_options *o,
                          struct motley_error *error)
{
    const int sigmoid = o->gate == MOTLEY_GATE_SIGMOID;
    if (sigmoid && given->z > 0)
        return motley__fail(error, MOTLEY_E_INVALID, "a z-loss of %g with a sigmoid gate, whose scores do not share "
                            "their logits' sum; leave it out", given->z);
    if (!sigmoid && given->correction_rate > 0)
        return motley__fail(error, MOTLEY_E_INVALID, "a correction rate of %g, but only a sigmoid gate has a "
                            "correction; choose that gate, or leave it out", given->correction_rate);
    if (o->importance > 0 && sigmoid)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "an importance loss of %g, expected a softmax or cosine gate with it", o->importance);
    if (o->importance > 0 && !(o->noise > 0))
        return motley__fail(error, MOTLEY_E_INVALID, "an importance loss of %g without gate noise, by which it "
                            "measures; give noise above 0 with it", o->importance);
    if (given->prioritised > 0 && !(o->capacity > 0))
        return motley__fail(error, MOTLEY_E_INVALID, "tokens are to be prioritised, but without a capacity nothing is "
                            "dropped; give a capacity above 0 with it");
    if (sigmoid)
        o->z = -1;
    else
        o->correction_rate = -1;
    if (!(o->capacity > 0))
        o->prioritised = -1;
    return 0;
}

static int64_t part_of(int64_t steps, int64_t parts)
{
    return steps / parts > 0 ? steps / parts : 1;
}

static int copy_strings(const struct motley_trainer_options *options, const json_t *saved,
                        struct motley__settings *settings, struct motley_error *error)
{
    const json_t *list = options->texts ? NULL : json_object_get(saved, "text");
    const char *kept = json_string_value(json_object_get(saved, "coactivation"));
    const char *coactivation = options->coactivation ? options->coactivation : kept;
    int count = options->texts ? options->texts : (int)json_array_size(list), status = 0;
    settings->text = calloc((size_t)count + 1, sizeof *settings->text);
    if (!settings->text)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the options");
    for (int i = 0; i < count && !status; i++) {
        const char *path = list ? json_string_value(json_array_get(list, (size_t)i)) : options->text[i];
        status = path ? motley__format(&settings->text[i], error, "%s", path)
                      : motley__fail(error, MOTLEY_E_FORMAT, "trainer.json: \"text\" is not a list of strings");
        settings->o.texts = i + 1;
    }
    if (!status && options->output)
        status = motley__format(&settings->output, error, "%s", options->output);
    if (!status && coactivation)
        status = motley__format(&settings->coactivation, error, "%s", coactivation);
    if (!status && options->record_coactivation)
        status = motley__format(&settings->record, error, "%s", options->record_coactivation);
    settings->o.coactivation = settings->coactivation;
    settings->o.record_coactivation = settings->record;
    settings->o.text = (const char *const *)settings->text;
    settings->o.output = settings->output;
    return status;
}

int motley__settings_make(const struct motley_trainer_options *options, const json_t *saved,
                          struct motley__settings *settings, struct motley_error *error)
{
    struct motley__settings made = {.o = *options};
    made.o.texts = 0;
    int status = copy_strings(options, saved, &made, error);
    for (int i = 0; i < FIELDS && !status; i++) {
        if (saved)
            status = from_saved(saved, &fields[i], &made.o, error);
        else if (get(&made.o, &fields[i]) == 0)
            set(&made.o, &fields[i], fields[i].standard);
    }
    if (!status && made.o.texts == 0)
        status =
            motley__fail(error, MOTLEY_E_INVALID, "there is no text to train on; give --text files or directories");
    if (!status)
        status = check(&made.o, error);
    if (!status)
        status = settle_dtype(&made.o, error);
    if (!status)
        status = settle_routing(options, &made.o, error);
    if (!status && made.o.collaborators && !made.o.coactivation)
        status = motley__fail(error, MOTLEY_E_INVALID, "collaborators is %d, but no co-activation says who they are; "
                              "give --coactivation FILE", made.o.collaborators);
    if (!status && !(made.o.learning_rate > 0))
        status = motley__fail(error, MOTLEY_E_INVALID, "learning_rate must be positive");
    if (!status) {
        struct motley__config config = motley__settings_config(&made);
        status = motley__config_check(&config, error);
    }
    if (status) {
        motley__settings_clear(&made);
        return status;
    }
    if (made.o.warmup == 0)
        made.o.warmup = part_of(made.o.steps, 20);
    if (made.o.save_every == 0)
        made.o.save_every = part_of(made.o.steps, 10);
    if (made.o.evaluate_every == 0)
        made.o.evaluate_every = part_of(made.o.steps, 20);
    *settings = made;
    return 0;
}

void motley__settings_clear(struct motley__settings *settings)
{
    for (int i = 0; settings->text && i < settings->o.texts; i++)
        free(settings->text[i]);
    free(settings->text);
    free(settings->output);
    free(settings->coactivation);
    free(settings->record);
    memset(settings, 0, sizeof *settings);
}

json_t *motley__settings_json(const struct motley__settings *settings)
{
    struct motley_trainer_options options = settings->o;
    json_t *json = json_object(), *text = json_array();
    int failed = !json || !text;
    for (int i = 0; i < settings->o.texts && !failed; i++)
        failed |= json_array_append_new(text, json_string(settings->text[i]));
    for (int i = 0; i < FIELDS && !failed; i++) {
        const struct field *field = &fields[i];
        json_t *value = field->kind == DOUBLE ? json_real(get(&options, field))
                        : whole(&options, field) ? json_integer((json_int_t)*whole(&options, field))
                                                 : json_integer((json_int_t)get(&options, field));
        failed |= json_object_set_new(json, field->name, value);
    }
    if (!failed)
        failed |= json_object_set(json, "text", text);
    if (!failed && options.coactivation)
        failed |= json_object_set_new(json, "coactivation", json_string(options.coactivation));
    json_decref(text);
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

uint64_t motley__settings_hash(const struct motley__settings *settings)
{
    json_t *json = motley__settings_json(settings);
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    uint64_t hash = text ? motley__hash_text(text) : 0;
    free(text);
    json_decref(json);
    return hash;
}

struct motley__config motley__settings_config(const struct motley__settings *settings)
{
    const struct motley_trainer_options *o = &settings->o;
    struct motley__config config = motley__config_default();
    config.D = o->width;
    config.layers = o->layers;
    config.heads = config.kv_heads = o->heads;
    config.F = o->hidden;
    config.E = o->experts;
    config.K = o->top_k;
    config.positions = o->sequence;
    config.balance_coefficient = fmax(0, o->balance);
    config.z_coefficient = fmax(0, o->z);
    config.gate = o->gate < 0 ? MOTLEY_GATE_SOFTMAX : (enum motley_gate)o->gate;
    config.gate_width = config.gate == MOTLEY_GATE_COSINE ? motley__config_gate_width(o->width) : 0;
    config.before = o->before > 0;
    return config;
}
