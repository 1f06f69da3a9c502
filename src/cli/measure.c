/* `motley measure`: fill or refresh the profile, and show what every device does.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "cli/cli.h"
#include "layer/expert.h"
#include "measure/link_measure.h"
#include "measure/measure.h"
#include "measure/tune.h"
#include "plan/plan.h"
#include "profile/record.h"

/* Without --width: a small, a medium and a large expert of models in use.  The first and the last are tuned, as the
 * first of their class of weights. */
static const struct {
    int D, F;
} DEFAULTS[] = {{256, 512}, {512, 1024}, {1024, 2816}};

static const double QUICK_SECONDS = 1.5;      /* for a shape's curves, instead of the planner's own budget */
static const double TUNING_SECONDS = 12;      /* for each class of weights */
static const double QUICK_PART = 0.25;        /* of that with --quick */

struct request {
    int64_t width, hidden, rows;
    int activation, bias, dtype, quick, no_tuning;
};

/* What is measured so far, and the classes of weights that are tuned. */
struct report {
    struct motley__table *curves, *choices, *links;
    json_t *curve_list, *choice_list, *link_list;
    int changed;                        /* choices that are no default */
    int tuned[MOTLEY__WEIGHTS_CLASSES];
};

/* 0, or the outcome of motley__options_parse. */
static int parse(int argc, char **argv, struct motley__globals *globals, struct request *request)
{
    const struct motley__option options[] = {
        {"--quick", MOTLEY__FLAG, &request->quick, 0, 0, NULL, "spend a quarter of the time", 0},
        {"--no-tuning", MOTLEY__FLAG, &request->no_tuning, 0, 0, NULL, "keep the kernels' settings as they are", 0},
        {"--width", MOTLEY__INTEGER, &request->width, 1, INT_MAX, NULL,
         "model width D; with --hidden: this shape alone", 0},
        {"--hidden", MOTLEY__INTEGER, &request->hidden, 1, INT_MAX, NULL, "hidden width F of an expert", 0},
        {"--rows", MOTLEY__INTEGER, &request->rows, 1, INT_MAX, NULL, "rows per expert to measure up to (256)", 0},
        {"--activation", MOTLEY__CHOICE, &request->activation, 0, 0, "relu|gelu|silu|swiglu", "of the experts (swiglu)",
         0},
        {"--bias", MOTLEY__FLAG, &request->bias, 0, 0, NULL, "experts have biases (not swiglu)", 0},
        {"--dtype", MOTLEY__CHOICE, &request->dtype, 0, 0, "f32|bf16|f16", "storage on devices (f32)", 0},
        {0},
    };
    return motley__options_parse(argc, argv, "measure", "[--quick] [--no-tuning] [--width D --hidden F] [OPTIONS]",
                                 options, globals);
}

static json_t *curve_json(const struct motley__curve *curve, const struct motley_layer_shape *shape)
{
    json_t *points = json_array();
    for (int p = 0; p < curve->points; p++) {
        const struct motley__point *point = &curve->point[p];
        const double gflops = 1e-9 * motley__experts_flops(shape, point->rows, curve->backward) / point->seconds;
        json_array_append_new(points, json_pack("{s:i, s:f, s:f, s:i, s:f}", "rows", point->rows,
                                                "seconds", point->seconds, "spread", point->spread,
                                                "samples", point->samples, "gflops", gflops));
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:o}", "direction", curve->backward ? "backward" : "forward", "dtype",
                     motley__storage_name(shape->dtype), "width", curve->D, "hidden", curve->F, "points", points);
}

static void put_rank(json_t *item, int rank, const struct motley__profile_entry *entry)
{
    json_object_set_new(item, "rank", json_integer(rank));
    json_object_set_new(item, "host", json_string(entry->key.host));
    json_object_set_new(item, "device", json_string(entry->key.name));
}

/* The points of one rank, in the table and in JSON. */
static void report_curves(struct report *report, int rank, const struct motley__profile_entry *entry,
                          const struct motley_layer_shape *shape)
{
    for (int c = 0; c < entry->curves; c++) {
        const struct motley__curve *curve = &entry->curve[c];
        for (int p = 0; p < curve->points; p++) {
            const struct motley__point *point = &curve->point[p];
            motley__table_row(report->curves, "%d|%s|%s|%d|%d|%s|%d|%.4f|%.1f%%|%d|%.1f", rank, entry->key.host,
                              entry->key.family, curve->D, curve->F, curve->backward ? "backward" : "forward",
                              point->rows, 1e3 * point->seconds, 100 * point->spread / point->seconds, point->samples,
                              1e-9 * motley__experts_flops(shape, point->rows, curve->backward) / point->seconds);
        }
        json_t *item = curve_json(curve, shape);
        put_rank(item, rank, entry);
        json_array_append_new(report->curve_list, item);
    }
}

/* What tuning chose on one rank; in the table only what is no default. */
static void report_choices(struct report *report, int rank, const struct motley__profile_entry *entry)
{
    for (int c = 0; c < entry->choices; c++) {
        const struct motley__choice *choice = &entry->choice[c];
        const char *product = motley__product_names[choice->shape.product];
        const char *rows = motley__rows_names[choice->shape.rows];
        const char *weights = motley__weights_names[choice->shape.weights];
        if (strcmp(choice->settings, choice->usual)) {
            motley__table_row(report->choices, "%d|%s|%s|%s|%s|%s|%s|%.2f", rank, entry->key.family, product, rows,
                              weights, choice->settings, choice->usual, choice->gain);
            report->changed++;
        }
        json_t *item = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f}", "product", product, "rows", rows, "weights",
                                 weights, "dtype", motley__storage_name((enum motley_dtype)choice->dtype), "settings",
                                 choice->settings, "default", choice->usual, "gain", choice->gain);
        put_rank(item, rank, entry);
        json_array_append_new(report->choice_list, item);
    }
}

static void report_links(struct report *report, const struct motley__profile *profile)
{
    for (int i = 0; i < profile->links; i++) {
        const struct motley__link_line *line = &profile->link[i];
        const struct motley__link *link = &line->link;
        motley__table_row(report->links, "%s|%s|%d, %d|%.1f|%.2f|%.1f|%.1f%%|%d", line->host[0], line->host[1],
                          line->ranks[0], line->ranks[1], 1e6 * link->latency, 1e6 * link->message,
                          1e-6 * link->bandwidth, 100 * line->spread / link->bandwidth, line->samples);
        json_array_append_new(report->link_list, json_pack("{s:s, s:s, s:[i,i], s:f, s:f, s:f, s:f, s:i}", "from",
                                                           line->host[0], "to", line->host[1], "ranks", line->ranks[0],
                                                           line->ranks[1], "latency_seconds", link->latency,
                                                           "message_seconds", link->message, "bytes_per_second",
                                                           link->bandwidth, "spread", line->spread, "samples",
                                                           line->samples));
    }
}

static int measure_links(motley_context *context, struct report *report, struct motley_error *error)
{
    struct motley__profile profile = {0};
    struct motley__links links = {0};
    int changed, status = motley__link_measure(context, &profile, 1, &links, &changed, error);
    if (!status)
        status = motley__record_save_common(context, &profile, error);
    if (!status && context->rank == 0)
        report_links(report, &profile);
    motley__links_clear(&links);
    motley__profile_clear(&profile);
    return status;
}

/* Tune what the shape's class needs, unless it was done or is not wanted.  *news = 1 when it was done now. */
static int tune(motley_context *context, const struct motley_layer_shape *shape, const struct request *request,
                struct report *report, struct motley__profile_entry *entry, int *news, struct motley_error *error)
{
    const enum motley__weights_class weights = motley__weights_class_of(shape->D, shape->F);
    const double seconds = TUNING_SECONDS * (request->quick ? QUICK_PART : 1);
    *news = !request->no_tuning && !report->tuned[weights];
    report->tuned[weights] = 1;
    return *news ? motley__tune(context, shape, seconds, entry, error) : 0;
}

static int measure_shape(motley_context *context, const struct motley_layer_shape *shape, const struct request *request,
                         struct report *report, struct motley_error *error)
{
    const struct motley__measure what = {.rows = (double)request->rows, .backward = 1, .anew = 1,
                                         .seconds = request->quick ? QUICK_SECONDS : 0};
    struct motley__profile own = {0}, *profiles = calloc((size_t)context->size, sizeof *profiles);
    struct motley__profile_entry *entry = NULL;
    int changed, tuned = 0, status = profiles ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory");
    status = motley__context_agree(context, status, error);
    if (!status)
        status = motley__context_admit(context, shape->dtype, error);
    if (!status)
        status = motley__record_load(context, shape->dtype, &own, &entry, error);
    if (!status)
        status = tune(context, shape, request, report, entry, &tuned, error);
    if (!status)
        status = motley__measure(context, shape, &what, entry, &changed, error);
    if (!status)
        status = motley__record_save(context, entry, error);
    if (!status)
        status = motley__record_gather(context, entry, shape, profiles, error);
    for (int r = 0; !status && context->rank == 0 && r < context->size; r++) {
        report_curves(report, r, profiles[r].entry, shape);
        if (tuned)
            report_choices(report, r, profiles[r].entry);
    }
    for (int r = 0; profiles && r < context->size; r++)
        motley__profile_clear(&profiles[r]);
    free(profiles);
    motley__profile_clear(&own);
    return status;
}

/* The links, then the shape that was asked for, or all of DEFAULTS. */
static int measure_all(motley_context *context, const struct request *request, struct report *report,
                       struct motley_error *error)
{
    const struct motley_plan_options options = {.tokens = request->rows};
    const int given = request->width > 0, count = given ? 1 : (int)(sizeof DEFAULTS / sizeof *DEFAULTS);
    int status = 0;
    if (given != (request->hidden > 0))
        status = motley__fail(error, MOTLEY_E_INVALID, "--width and --hidden make a shape together: give both or none");
    if (!status)
        status = measure_links(context, report, error);
    for (int i = 0; i < count && !status; i++) {
        const struct motley_layer_shape shape = {
            .D = given ? (int)request->width : DEFAULTS[i].D, .F = given ? (int)request->hidden : DEFAULTS[i].F, .E = 1,
            .K = 1, .activation = (enum motley_activation)request->activation, .bias = request->bias,
            .dtype = (enum motley_dtype)request->dtype,
        };
        status = motley__context_agree(context, motley__plan_check(&shape, &options, error), error);
        if (!status)
            status = measure_shape(context, &shape, request, report, error);
    }
    return motley__context_agree(context, status, error);
}

static int print(const motley_context *context, int json, const struct report *report, struct motley_error *error)
{
    const int classes = (int)json_array_size(report->choice_list);
    char *path = NULL, *text = NULL;
    int status = motley__record_path(context, &path, error);
    if (status)
        return status;
    if (json) {
        json_t *root = json_pack("{s:s, s:O, s:O, s:O}", "profile", path, "links", report->link_list, "curves",
                                 report->curve_list, "tuned", report->choice_list);
        text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
        json_decref(root);
        printf("%s\n", text ? text : "{}");
        free(text);
    } else {
        if (json_array_size(report->link_list)) {
            motley__table_print(report->links, stdout);
            printf("\n");
        }
        motley__table_print(report->curves, stdout);
        if (report->changed) {
            printf("\nproducts with other settings than the defaults, and how many times as fast:\n");
            motley__table_print(report->choices, stdout);
        }
        if (classes)
            printf("\n%d of %d classes of products keep the default settings\n", classes - report->changed, classes);
        printf("the profile is %s on each node\n", path);
    }
    free(path);
    return 0;
}

static int open_report(struct report *report, struct motley_error *error)
{
    report->curves =
        motley__table_create(">rank|host|family|>D|>F|direction|>rows|>ms per expert|>spread|>samples|>GFLOP/s");
    report->choices = motley__table_create(">rank|family|product|rows|weights|chosen|default|>gain");
    report->links = motley__table_create("from|to|>ranks|>us latency|>us per message|>MB/s|>spread|>samples");
    report->curve_list = json_array();
    report->link_list = json_array();
    report->choice_list = json_array();
    return report->curves && report->choices && report->links && report->curve_list && report->choice_list &&
                   report->link_list
               ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory");
}

static void close_report(struct report *report)
{
    json_decref(report->link_list);
    json_decref(report->choice_list);
    json_decref(report->curve_list);
    motley__table_destroy(report->links);
    motley__table_destroy(report->choices);
    motley__table_destroy(report->curves);
}

int motley__command_measure(int argc, char **argv, struct motley__globals *globals)
{
    struct request request = {.activation = MOTLEY_SWIGLU, .rows = 256};
    struct report report = {0};
    struct motley_error error = {0};
    motley_context *context = NULL;
    int outcome = parse(argc, argv, globals, &request);
    if (outcome)
        return outcome == 1 ? 0 : 2;
    const double limit = globals->context.time_limit_seconds;
    int status = motley__agree_within(MPI_COMM_WORLD, limit, open_report(&report, &error), &error);
    if (!status)
        status = motley_context_create(MPI_COMM_WORLD, &globals->context, &context, &error);
    if (!status)
        status = measure_all(context, &request, &report, &error);
    if (!status && context->rank == 0)
        status = print(context, globals->json, &report, &error);
    if (context)
        status = motley__agree_within(MPI_COMM_WORLD, limit, status, &error);
    close_report(&report);
    motley_context_destroy(context);
    return status ? motley__command_failed("measure", &error) : 0;
}
