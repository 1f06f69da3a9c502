/* Modes, and ways for rows to travel, that are predicted nearly alike: what they took is kept, and believed the next
 * time; what memory a layer can take, and that trials keep to what there is.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <motley/layer.h>
#include "base/error.h"
#include "coactivation/coactivation.h"
#include "plan/audition.h"
#include "plan/rivals.h"
#include "plan/room.h"
#include "plan_cluster.h"
#include "product/esmm.h"
#include "tests/device.h"

static motley_context *context;
static const struct motley_plan_options OPTIONS = {.tokens = 37, .backward = 1};
static const double SLOW[MOST_RANKS] = {1, 2, 1, 3};

static struct motley_layer_shape shape_of(void)
{
    return fixture_shape(7, 2);
}

static const motley_coactivation *recorded; /* what plans are to know of it */
static const double *loads;                 /* and of these */

static motley_plan *plan_in_mode(const struct cluster *cluster, enum motley_mode mode, int group)
{
    const struct motley_layer_shape shape = shape_of();
    struct motley_plan_options options = OPTIONS;
    motley_plan *plan;
    options.mode = mode;
    options.group = group;
    options.coactivation = recorded;
    options.load = loads;
    assert_int_equal(motley__plan_make(&shape, &options, context->size, cluster->entry, NULL, &plan, NULL), 0);
    return plan;
}

static motley_plan *make_plan(const struct cluster *cluster)
{
    return plan_in_mode(cluster, MOTLEY_MODE_AUTO, 0);
}

/* The mode and the chunks that won, after a trial when `changed` comes back 1. */
struct winner {
    int mode, chunks, exchange, changed;
};

static enum motley_exchange crossing; /* of the second way; 0: linear */

static struct winner try_in(const struct cluster *cluster, struct motley__profile *profile, int again,
                            enum motley_mode asked, int ways)
{
    const struct motley__audition audition = {.context = context, .entry = cluster->entry, .profile = profile,
                                              .again = again};
    motley_plan *plan = plan_in_mode(cluster, asked, 0);
    struct motley_error error = {0};
    struct winner winner = {0};
    make_alike(plan, ways);
    if (crossing)
        plan->alternative[plan->chosen].predicted.way[1] = /* in one chunk */
            (struct motley__way){crossing, 1, plan->alternative[plan->chosen].predicted.way[1].seconds};
    plan->shape.gate = MOTLEY_GATE_FORCED; /* a trial has no experts to force */
    if (motley__audition(&audition, &plan, &winner.changed, &error))
        fail_msg("%s", error.text);
    winner.mode = (int)plan->mode;
    winner.chunks = plan->pipeline;
    winner.exchange = (int)plan->exchange;
    assert_int_equal(plan->options.mode, asked);
    assert_int_equal(plan->options.pipeline, 0);
    assert_int_equal(plan->options.exchange, MOTLEY_EXCHANGE_AUTO);
    assert_int_equal(plan->alternative[plan->chosen].mode, plan->mode);
    assert_int_equal(plan->alternative[plan->chosen].predicted.way[0].chunks, plan->pipeline);
    motley_plan_destroy(plan);
    return winner;
}

static enum motley_mode try(const struct cluster *cluster, struct motley__profile *profile, int again, int *changed)
{
    const struct winner winner = try_in(cluster, profile, again, MOTLEY_MODE_AUTO, 1);
    *changed = winner.changed;
    return (enum motley_mode)winner.mode;
}

static void outcomes_are_kept_and_believed(void **state)
{
    (void)state;
    struct motley__profile profile = {0}, read = {0};
    struct cluster cluster;
    const struct motley_layer_shape shape = shape_of();
    int changed;
    char *text;
    if (context->size == 1)
        skip();
    make_cluster(&cluster, &shape, context->size, SLOW);
    const enum motley_mode mode = try(&cluster, &profile, 0, &changed);
    assert_int_equal(changed, 1);
    assert_in_range(profile.outcomes, 2, MOTLEY__RIVAL_MODES);
    int best = 0;
    for (int i = 0; i < profile.outcomes; i++) {
        assert_true(profile.outcome[i].seconds > 0 && profile.outcome[i].samples >= 3);
        assert_int_equal(profile.outcome[i].tokens, 32);
        if (profile.outcome[i].seconds < profile.outcome[best].seconds)
            best = i;
    }
    assert_int_equal(mode, profile.outcome[best].mode);
    assert_int_equal(try(&cluster, &profile, 0, &changed), mode);
    assert_int_equal(changed, 0);

    assert_int_equal(motley__profile_text(&profile, &text, NULL), 0); /* through the file and back */
    assert_int_equal(motley__profile_parse(text, "text", NULL, &read, NULL), 0);
    assert_int_equal(read.outcomes, profile.outcomes);
    const int other = (best + 1) % read.outcomes;
    read.outcome[other].seconds = read.outcome[best].seconds / 2;
    assert_int_equal(try(&cluster, &read, 0, &changed), read.outcome[other].mode);
    assert_int_equal(changed, 0);
    try(&cluster, &read, 1, &changed); /* of other times: tried again */
    assert_int_equal(changed, 1);
    free(text);
    motley__profile_clear(&read);
    motley__profile_clear(&profile);
    clear_cluster(&cluster);
}

/* In a mode that was asked for the number of chunks is still tried, kept and believed. */
static void chunks_are_tried_and_believed(void **state)
{
    (void)state;
    struct motley__profile profile = {0}, read = {0};
    struct cluster cluster;
    const struct motley_layer_shape shape = shape_of();
    char *text;
    if (context->size == 1)
        skip();
    make_cluster(&cluster, &shape, context->size, SLOW);
    assert_int_equal(try_in(&cluster, &profile, 0, MOTLEY_MODE_EXPERT, 3).changed, 1);
    assert_int_equal(profile.outcomes, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(profile.outcome[i].mode, MOTLEY_MODE_EXPERT);
        assert_int_equal(profile.outcome[i].exchange, MOTLEY_EXCHANGE_LINEAR);
        assert_int_equal(profile.outcome[i].pipeline, 1 << i);
        profile.outcome[i].seconds = i == 2 ? 0.5 : 1;
    }
    assert_int_equal(motley__profile_text(&profile, &text, NULL), 0);
    assert_int_equal(motley__profile_parse(text, "text", NULL, &read, NULL), 0);
    struct winner winner = try_in(&cluster, &read, 0, MOTLEY_MODE_EXPERT, 3);
    assert_int_equal(winner.changed, 0);
    assert_int_equal(winner.chunks, 4);
    for (int i = 0; i < read.outcomes; i++)
        read.outcome[i].seconds = read.outcome[i].pipeline == 4 ? 0.99 : 1; /* nearly alike: as predicted */
    assert_int_equal(try_in(&cluster, &read, 0, MOTLEY_MODE_EXPERT, 3).chunks, 1);
    winner = try_in(&cluster, &read, 0, MOTLEY_MODE_EXPERT, 4); /* of eight nothing is known */
    assert_int_equal(winner.changed, 1);
    assert_int_equal(read.outcomes, 4);
    free(text);
    motley__profile_clear(&read);
    motley__profile_clear(&profile);
    clear_cluster(&cluster);
}

/* So are the exchanges, between ranks that are told to sit on two nodes. */
static void exchanges_are_tried_and_believed(void **state)
{
    (void)state;
    static int house[MOST_RANKS] = {0, 1, 0, 1};
    struct motley__profile profile = {0};
    struct cluster cluster;
    const struct motley_layer_shape shape = shape_of();
    int *const real_nodes = context->node_of;
    if (context->size == 1)
        skip();
    make_cluster(&cluster, &shape, context->size, SLOW);
    context->node_of = house;
    crossing = MOTLEY_EXCHANGE_HIERARCHICAL;
    struct winner winner = try_in(&cluster, &profile, 0, MOTLEY_MODE_EXPERT, 2);
    assert_int_equal(winner.changed, 1);
    assert_int_equal(profile.outcomes, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(profile.outcome[i].exchange == (i ? MOTLEY_EXCHANGE_HIERARCHICAL : MOTLEY_EXCHANGE_LINEAR));
        profile.outcome[i].seconds = i ? 0.5 : 1;
    }
    winner = try_in(&cluster, &profile, 0, MOTLEY_MODE_EXPERT, 2);
    assert_int_equal(winner.changed, 0);
    assert_int_equal(winner.exchange, MOTLEY_EXCHANGE_HIERARCHICAL);
    crossing = MOTLEY_EXCHANGE_AUTO;
    context->node_of = real_nodes;
    motley__profile_clear(&profile);
    clear_cluster(&cluster);
}

/* Where it is known what tokens choose together, they choose so on trial, and what comes of it is kept by itself. */
static void trials_choose_as_recorded(void **state)
{
    (void)state;
    enum { EXPERTS = 7, LAYERS = 2 };
    struct motley__profile profile = {0};
    struct cluster cluster;
    const struct motley_layer_shape shape = shape_of();
    motley_coactivation *c;
    int changed;
    if (context->size == 1)
        skip();
    make_cluster(&cluster, &shape, context->size, SLOW);
    assert_int_equal(motley__coactivation_alloc(LAYERS, EXPERTS, &c, NULL), 0);
    for (int i = 0; i < LAYERS * EXPERTS * EXPERTS; i++)
        c->together[i] = i % (EXPERTS + 1) == 0 ? 0 : 5 + (i / EXPERTS % EXPERTS + i % EXPERTS) % 3;
    try(&cluster, &profile, 0, &changed);
    const int before = profile.outcomes;
    recorded = c;
    const enum motley_mode mode = try(&cluster, &profile, 0, &changed);
    assert_int_equal(changed, 1);
    assert_in_range(profile.outcomes, before + 2, before + MOTLEY__RIVAL_MODES);
    assert_int_equal(try(&cluster, &profile, 0, &changed), mode);
    assert_int_equal(changed, 0);
    recorded = NULL;
    motley_coactivation_destroy(c);
    motley__profile_clear(&profile);
    clear_cluster(&cluster);
}

/* Likewise where loads are known; like ones are the same question. */
static void trials_choose_by_loads(void **state)
{
    (void)state;
    static const double hot[7] = {30, 5, 1, 1, 2, 1, 3}, nearly[7] = {30, 5.01, 1, 1, 2, 1, 3};
    struct motley__profile profile = {0};
    struct cluster cluster;
    const struct motley_layer_shape shape = shape_of();
    int changed;
    if (context->size == 1)
        skip();
    make_cluster(&cluster, &shape, context->size, SLOW);
    try(&cluster, &profile, 0, &changed);
    const int before = profile.outcomes;
    loads = hot;
    const enum motley_mode mode = try(&cluster, &profile, 0, &changed);
    assert_int_equal(changed, 1);
    assert_true(profile.outcomes >= before + 2);
    loads = nearly;
    assert_int_equal(try(&cluster, &profile, 0, &changed), mode);
    assert_int_equal(changed, 0);
    loads = NULL;
    motley__profile_clear(&profile);
    clear_cluster(&cluster);
}

/* Outcomes from before ways were tried are of the way that is predicted best. */
static void earlier_outcomes_are_believed(void **state)
{
    (void)state;
    struct motley__profile profile = {0};
    struct cluster cluster;
    const struct motley_layer_shape shape = shape_of();
    int changed;
    if (context->size == 1)
        skip();
    make_cluster(&cluster, &shape, context->size, SLOW);
    try(&cluster, &profile, 0, &changed);
    for (int i = 0; i < profile.outcomes; i++) {
        profile.outcome[i].exchange = profile.outcome[i].pipeline = 0;
        profile.outcome[i].seconds = i == 1 ? 0.5 : 1;
    }
    assert_int_equal(try(&cluster, &profile, 0, &changed), profile.outcome[1].mode);
    assert_int_equal(changed, 0);
    motley__profile_clear(&profile);
    clear_cluster(&cluster);
}

static struct motley__room room_of(const motley_plan *plan)
{
    return motley__room_of_layer(plan, context->rank, context->node_of,
                                 motley__esmm_panel(context->device, MOTLEY_F32));
}

/* Every token of every rank chooses the same experts, the first ones or the last. */
static void choose_alike(motley_layer *layer, motley_tensor *x, int64_t T, int last)
{
    const struct motley_layer_shape shape = shape_of();
    float *gate = calloc((size_t)shape.E * (size_t)shape.D, sizeof *gate);
    float *tokens = malloc((size_t)(T + 1) * (size_t)shape.D * sizeof *tokens);
    assert_true(gate && tokens);
    for (int e = 0; e < shape.E; e++)
        gate[e * shape.D] = (float)(last ? e : -e);
    for (int64_t i = 0; i < T * shape.D; i++)
        tokens[i] = 1;
    assert_int_equal(motley_layer_set(layer, MOTLEY_GATE, 0, gate, NULL), 0);
    assert_int_equal(motley_tensor_write(x, tokens, NULL), 0);
    free(tokens);
    free(gate);
}

/* Device bytes of a step of such tokens. */
static uint64_t bytes_taken(const motley_plan *plan, int last)
{
    const struct motley_layer_shape shape = shape_of();
    const int64_t T = plan->rank[context->rank].tokens;
    const uint64_t before = context->device->used_bytes;
    motley_tensor *x, *y;
    motley_layer *layer;
    assert_int_equal(motley_tensor_create(context, MOTLEY_F32, T, shape.D, &x, NULL), 0);
    assert_int_equal(motley_tensor_create(context, MOTLEY_F32, T, shape.D, &y, NULL), 0);
    assert_int_equal(motley_layer_create(context, plan, &layer, NULL), 0);
    choose_alike(layer, x, T, last);
    assert_int_equal(motley_layer_forward(layer, x, NULL, y, NULL), 0);
    assert_int_equal(motley_layer_backward(layer, x, y, NULL), 0);
    const uint64_t bytes = context->device->peak_bytes - before;
    motley_layer_destroy(layer);
    motley_tensor_destroy(y);
    motley_tensor_destroy(x);
    return bytes;
}

static void check_room(enum motley_exchange exchange)
{
    struct motley__alternative list[MOTLEY__ALTERNATIVES];
    const struct motley_layer_shape shape = shape_of();
    struct cluster cluster;
    make_cluster(&cluster, &shape, context->size, SLOW);
    for (int i = motley__mode_list(context->size, list); i-- > 0;) {
        if (list[i].mode == MOTLEY_MODE_DATA && exchange != MOTLEY_EXCHANGE_LINEAR)
            continue; /* no rows travel */
        motley_plan *plan = plan_in_mode(&cluster, list[i].mode, list[i].group);
        plan->exchange = exchange;
        const struct motley__room room = room_of(plan);
        for (int last = 0; last < 2; last++) {
            const uint64_t bytes = bytes_taken(plan, last);
            print_message("mode %d, exchange %d: %llu bytes of %llu\n", (int)list[i].mode, (int)exchange,
                          (unsigned long long)bytes, (unsigned long long)room.bytes);
            assert_true(bytes <= room.bytes);
            assert_true(room.largest < room.bytes);
        }
        motley_plan_destroy(plan);
    }
    clear_cluster(&cluster);
}

/* The same with replicas: nearly all pairs are expected at the first expert. */
static void check_room_for_replicas(enum motley_exchange exchange)
{
    const struct motley_layer_shape shape = shape_of();
    double *load = calloc((size_t)shape.E, sizeof *load);
    struct cluster cluster;
    motley_plan *plan;
    assert_non_null(load);
    for (int e = 0; e < shape.E; e++)
        load[e] = e ? 1 : 20;
    const struct motley_plan_options options = {.tokens = 2000, .backward = 1, .mode = MOTLEY_MODE_EXPERT,
                                                .load = load};
    make_cluster(&cluster, &shape, context->size, SLOW);
    assert_int_equal(motley__plan_make(&shape, &options, context->size, cluster.entry, NULL, &plan, NULL), 0);
    assert_true(context->size == 1 || plan->replicas > 0);
    plan->exchange = exchange;
    for (int last = 0; last < 2; last++) {
        const uint64_t bytes = bytes_taken(plan, last), room = room_of(plan).bytes;
        print_message("%d replicas: %llu bytes of %llu\n", plan->replicas, (unsigned long long)bytes,
                      (unsigned long long)room);
        assert_true(bytes <= room);
    }
    motley_plan_destroy(plan);
    clear_cluster(&cluster);
    free(load);
}

static void no_choice_of_experts_needs_more_room(void **state)
{
    (void)state;
    static int houses[][MOST_RANKS] = {{0, 1, 0, 1}, {0, 0, 0, 1}, {0, 1, 2, 2}};
    int *const real_nodes = context->node_of;
    check_room(MOTLEY_EXCHANGE_LINEAR);
    check_room_for_replicas(MOTLEY_EXCHANGE_LINEAR);
    for (int house = 0; house < 3 && context->size > 1; house++) {
        context->node_of = houses[house];
        check_room(MOTLEY_EXCHANGE_HIERARCHICAL);
        check_room_for_replicas(MOTLEY_EXCHANGE_HIERARCHICAL);
    }
    context->node_of = real_nodes;
}

/* Together where memory allows, else one by one, else not at all: on every rank, though but one is short. */
static void trials_keep_to_the_memory(void **state)
{
    (void)state;
    struct motley__device *device = context->device;
    const uint64_t limit = device->memory_bytes, used = device->used_bytes;
    const struct motley_layer_shape shape = shape_of();
    struct motley__profile profile = {0};
    struct cluster cluster;
    uint64_t all = used, most = used, peak[3];
    struct motley__candidate rival[MOTLEY__RIVALS];
    int changed;
    if (context->size == 1)
        skip();
    make_cluster(&cluster, &shape, context->size, SLOW);
    motley_plan *plan = make_plan(&cluster);
    make_alike(plan, 1);
    for (int i = motley__rivals(plan, rival); i-- > 0;) {
        const struct motley__alternative *alternative = &plan->alternative[rival[i].alternative];
        motley_plan *one = plan_in_mode(&cluster, alternative->mode, alternative->group);
        const uint64_t bytes = room_of(one).bytes;
        all += bytes;
        most = used + bytes > most ? used + bytes : most;
        motley_plan_destroy(one);
    }
    motley_plan_destroy(plan);
    for (int i = 0; i < 3; i++) {
        const int is_short = i == 2 && context->rank == context->size - 1;
        device->memory_bytes = i == 0 ? all : is_short ? most - 1 : most;
        device->peak_bytes = used;
        try(&cluster, &profile, 1, &changed);
        peak[i] = device->peak_bytes;
        assert_int_equal(changed, i < 2);
        assert_true(peak[i] <= device->memory_bytes);
        assert_true(device->used_bytes == used);
    }
    assert_true(peak[0] > peak[1] && peak[1] > used && peak[2] == used);
    device->memory_bytes = limit;
    motley__profile_clear(&profile);
    clear_cluster(&cluster);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_are_kept_and_believed),
        cmocka_unit_test(chunks_are_tried_and_believed),
        cmocka_unit_test(exchanges_are_tried_and_believed),
        cmocka_unit_test(trials_choose_as_recorded),
        cmocka_unit_test(trials_choose_by_loads),
        cmocka_unit_test(earlier_outcomes_are_believed),
        cmocka_unit_test(no_choice_of_experts_needs_more_room),
        cmocka_unit_test(trials_keep_to_the_memory),
    };
    struct motley_error error = {0};
    MPI_Init(&argc, &argv);
    if (motley_context_create(MPI_COMM_WORLD, NULL, &context, &error)) {
        print_error("%s\n", error.text);
        MPI_Finalize();
        return error.code == MOTLEY_E_NO_DEVICE ? 77 : 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
