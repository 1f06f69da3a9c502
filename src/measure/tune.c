/* Tuning a device: which contests there are, and what becomes of their winners.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/progress.h"
#include "base/wait.h"
#include "measure/contest.h"
#include "measure/trial.h"
#include "measure/tune.h"
#include "product/admit.h"
#include "product/variant.h"

const int motley__tune_rows[MOTLEY__ROWS_CLASSES] = {
    [MOTLEY__ROWS_FEW] = 2, [MOTLEY__ROWS_SOME] = 32, [MOTLEY__ROWS_MANY] = 128,
};

static const double SAMPLE_SECONDS = 0.005;     /* the shortest sample: quick products are timed in bundles */
static const double SHARE_FACTOR = 2;           /* a contest may take this times its even share of what is left, */
static const double BUILD_PART = 0.25;          /* and so much of what is left to build its values */

/* One call of motley__tune on this rank. */
struct tuner {
    struct motley__device *device;              /* borrowed, and so are the next two */
    const struct motley_layer_shape *shape;
    struct motley__profile_entry *entry;
    const struct motley__variant *variant;
    int E;                                      /* experts of the trial; 0: none fits */
    uint64_t room;                              /* bytes for it */
    struct motley__trial *trial;                /* owned */
    struct motley__shape_class class;           /* now */
    int repeats;                                /* of the product in a sample */
    int contests, done;
    double end;
    int show;
    struct motley__progress progress;
    struct motley_error *error;
};

/* What one contest's samples need. */
struct series {
    struct tuner *tuner;
    int tunable, value[MOTLEY__CONTEST_VALUES];
    int status;                                 /* the first failure that is no failed build */
};

static int set(struct tuner *t, int tunable, int value)
{
    return motley__tuning_set(t->device, t->shape->dtype, t->class, tunable, value, t->error);
}

static int sample(void *user, int number, double *seconds)
{
    struct series *s = user;
    struct tuner *t = s->tuner;
    struct motley_error why = {0};
    int status = set(t, s->tunable, s->value[number]);
    if (!status)
        status = motley__trial_product(t->trial, t->class.product, t->repeats, seconds, &why);
    if (status && (status != MOTLEY_E_BUILD || number == 0) && !s->status)
        s->status = motley__fail(t->error, status, "%s", why.text);
    return status;
}

static double now(void *user)
{
    (void)user;
    return motley__seconds();
}

/* One tunable in one class; it is left at the winner.  *gain is multiplied by what it brought. */
static int run_contest(struct tuner *t, int tunable, double *gain)
{
    const struct motley__tunable *tried = &t->variant->tunables[tunable];
    struct series series = {.tuner = t, .tunable = tunable,
                            .value = {motley__tunable_default(t->device, tried)}};
    struct motley__contest contest = {.values = 1, .sample = sample, .clock = now, .user = &series};
    double times = 1;
    for (int v = 0; v < MOTLEY__TUNABLE_VALUES && tried->values[v]; v++)
        if (tried->values[v] != series.value[0] && motley__tunable_allows(t->device, tried, tried->values[v]))
            series.value[contest.values++] = tried->values[v];
    const double left = t->end - motley__seconds();
    contest.build_seconds = BUILD_PART * left;
    contest.seconds = fmin(left, SHARE_FACTOR * left / (t->contests - t->done));
    const int winner = left > 0 ? motley__contest(&contest, &times) : 0;
    *gain *= times;
    motley__progress_show(&t->progress, ++t->done, "%s of %s rows, %s", motley__product_names[t->class.product],
                          motley__rows_names[t->class.rows], tried->name);
    return series.status ? series.status : set(t, tunable, series.value[winner]);
}

static int set_class(struct tuner *t, const char *text)
{
    return motley__tuning_read(t->device, t->shape->dtype, t->class, text, t->error);
}

/* What the product writes with the settings of a text. */
static int result_with(struct tuner *t, const char *text, uint64_t *hash)
{
    int status = set_class(t, text);
    return status ? status : motley__trial_result(t->trial, t->class.product, hash, t->error);
}

/* Does admission's check, whose sizes no tile divides, pass with these settings in every class of the product? */
static int passes_admission(struct tuner *t)
{
    const enum motley_dtype dtype = t->shape->dtype;
    struct motley__tuning *kept = t->device->tuning[dtype];
    struct motley_error why = {0};
    int value[MOTLEY__TUNABLES], status = 0;
    for (int i = 0; i < t->variant->tunables_count; i++)
        value[i] = motley__tuned(t->device, t->variant, dtype, t->class, i);
    t->device->tuning[dtype] = NULL;
    for (int rows = 0; rows < MOTLEY__ROWS_CLASSES; rows++)
        for (int weights = 0; weights < MOTLEY__WEIGHTS_CLASSES; weights++)
            for (int i = 0; i < t->variant->tunables_count && !status; i++)
                status = motley__tuning_set(t->device, dtype, (struct motley__shape_class){t->class.product,
                    (enum motley__rows_class)rows, (enum motley__weights_class)weights}, i, value[i], &why);
    if (!status)
        status = motley__admit_check(t->device, dtype, &why);
    motley__tuning_clear(t->device, dtype);
    t->device->tuning[dtype] = kept;
    if (status)
        motley__detail(&t->device->log, "tuned kernels are not used: %s", why.text);
    return !status;
}

/* All tunables of the class, each with those before it at their best; *gain of them together. */
static int run_contests(struct tuner *t, double *gain)
{
    double seconds;
    int status = motley__trial_product(t->trial, t->class.product, 1, &seconds, t->error); /* builds */
    if (!status)
        status = motley__trial_product(t->trial, t->class.product, 1, &seconds, t->error);
    t->repeats = (int)fmax(ceil(SAMPLE_SECONDS / fmax(seconds, 1e-6)), 1);
    for (int i = 0; i < t->variant->tunables_count && !status; i++)
        if (motley__tunable_matters(&t->variant->tunables[i], t->class))
            status = run_contest(t, i, gain);
    return status;
}

/* Is the class, as it is set, computed right?  Then it stays so, else it gets the usual settings. */
static int check(struct tuner *t, struct motley__choice *choice)
{
    uint64_t usual = 0, tuned = 0;
    int status = result_with(t, choice->usual, &usual);
    if (!status)
        status = result_with(t, choice->settings, &tuned);
    if (status || (usual == tuned && passes_admission(t)))
        return status;
    strcpy(choice->settings, choice->usual);
    choice->gain = 1;
    return set_class(t, choice->usual);
}

/* The choice of one class; where rows do not fit, or time is over, the usual settings. */
static int tune_class(struct tuner *t, int possible)
{
    struct motley__choice choice = {.shape = t->class, .dtype = (int)t->shape->dtype, .gain = 1};
    int status = 0;
    motley__tuning_text(t->device, t->shape->dtype, t->class, choice.usual);
    if (possible && motley__seconds() < t->end)
        status = run_contests(t, &choice.gain);
    motley__tuning_text(t->device, t->shape->dtype, t->class, choice.settings);
    if (!status && strcmp(choice.settings, choice.usual))
        status = check(t, &choice);
    return status ? status : motley__choice_put(t->entry, &choice, t->error);
}

static int fits(const struct tuner *t, int E, int rows)
{
    return motley__trial_bytes(t->shape, E, rows, t->entry->panel, 1) <= t->room;
}

static int has_product(const struct tuner *t, int product)
{
    return product != MOTLEY__PRODUCT_SWIGLU || t->shape->activation == MOTLEY_SWIGLU;
}

/* Contests of all classes, and everything at its default. */
static int prepare(struct tuner *t)
{
    int status = 0;
    for (int rows = 0; rows < MOTLEY__ROWS_CLASSES; rows++)
        for (int product = 0; product < MOTLEY__PRODUCTS; product++)
            for (int i = 0; i < t->variant->tunables_count && !status; i++) {
                t->class = (struct motley__shape_class){(enum motley__product)product, (enum motley__rows_class)rows,
                                                        t->class.weights};
                status = set(t, i, 0);
                t->contests += has_product(t, product) &&
                               motley__tunable_matters(&t->variant->tunables[i], t->class);
            }
    return status;
}

/* As many experts as fit with all rows, or one with as many as fit. */
static int make_trial(struct tuner *t)
{
    const struct motley__device *device = t->device;
    t->room = device->memory_bytes > device->used_bytes ? device->memory_bytes - device->used_bytes : 0;
    t->E = MOTLEY__SKEWED_EXPERTS;
    while (t->E > 0 && !fits(t, t->E, motley__tune_rows[t->E > 1 ? MOTLEY__ROWS_MANY : MOTLEY__ROWS_FEW]))
        t->E--;
    return t->E ? motley__trial_experts(t->device, t->shape, t->E, 1, &t->trial, t->error) : 0;
}

static int tune(struct tuner *t)
{
    int status = prepare(t);
    if (!status && t->contests)
        status = make_trial(t);
    if (status || !t->trial)
        return status;
    motley__progress_start(&t->progress, t->show ? stderr : NULL, "tuning", t->contests);
    for (int rows = 0; rows < MOTLEY__ROWS_CLASSES && !status; rows++) {
        const int possible = fits(t, t->E, motley__tune_rows[rows]);
        if (possible)
            status = motley__trial_skewed_rows(t->trial, motley__tune_rows[rows], t->error);
        for (int product = 0; product < MOTLEY__PRODUCTS && !status; product++) {
            t->class.rows = (enum motley__rows_class)rows;
            t->class.product = (enum motley__product)product;
            if (has_product(t, product))
                status = tune_class(t, possible);
        }
    }
    motley__progress_end(&t->progress);
    motley__trial_destroy(t->trial);
    return status;
}

/* All ranks are here; waiting leaves the cores to those who still measure. */
static int meet(motley_context *context, struct motley_error *error)
{
    MPI_Request request;
    int status = motley__fail_mpi(error, MPI_Ibarrier(context->comm, &request), "MPI_Ibarrier");
    return status ? status : motley__wait(&request, context->time_limit, "tuning", error);
}

int motley__tune(motley_context *context, const struct motley_layer_shape *shape, double seconds,
                 struct motley__profile_entry *entry, struct motley_error *error)
{
    struct tuner tuner = {
        .device = context->device, .shape = shape, .entry = entry,
        .variant = motley__variant(context->device, shape->dtype),
        .class = {.weights = motley__weights_class_of(shape->D, shape->F)}, .end = motley__seconds() + seconds,
        .show = context->rank == 0 && context->log.verbose > 0, .error = error,
    };
    const int status = tune(&tuner);
    const int met = meet(context, error);
    return met ? met : motley__context_agree(context, status, error);
}

int motley__tune_set(struct motley__device *device, enum motley_dtype dtype, const struct motley__profile_entry *entry,
                     const struct motley__log *log, struct motley_error *error)
{
    int status = 0;
    motley__tuning_clear(device, dtype);
    for (int c = 0; c < entry->choices && !status; c++) {
        const struct motley__choice *choice = &entry->choice[c];
        struct motley_error why = {0};
        if (choice->dtype != (int)dtype)
            continue;
        status = motley__tuning_read(device, dtype, choice->shape, choice->settings, &why);
        if (status == MOTLEY_E_FORMAT) {
            motley__warn(log, "the profile's tuning of %s is not used: %s",
                         motley__product_names[choice->shape.product], why.text);
            status = 0;
        } else if (status) {
            status = motley__fail(error, status, "%s", why.text);
        }
    }
    return status;
}
