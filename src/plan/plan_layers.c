/* Experts that tokens choose together, on one group of a plan: for the plan, and where there are several layers for
 * each of them by itself.
 *
 * The plan of a layer is the plan with other experts in the same places: as many for each group, in the same slices.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "allocate/collocate.h"
#include "coactivation/coactivation.h"
#include "plan/plan.h"

const motley_plan *motley__plan_of_layer(const motley_plan *plan, int layer)
{
    return layer < plan->layers ? plan->layer[layer] : plan;
}

void motley__plan_layers_clear(motley_plan *plan)
{
    for (int l = 0; l < plan->layers; l++)
        motley_plan_destroy(plan->layer[l]);
    free(plan->layer);
    plan->layer = NULL;
    plan->layers = 0;
}

/* Ranks hold the experts whose home is their group. */
static void move_in(struct motley__placement *stored, const int *group_of, const int *home)
{
    for (int r = 0; r < stored->R; r++) {
        struct motley__holding *holding = &stored->rank[r];
        for (int e = 0, i = 0; e < stored->E && i < holding->experts; e++)
            if (home[e] == group_of[r])
                holding->expert[i++] = e;
    }
}

/* The plan with a placement of its own to change, the last of the plan's layers; stored still to be indexed. */
static int add_layer(motley_plan *plan, motley_plan **layer, struct motley_error *error)
{
    motley_plan *made = NULL;
    int status = motley__plan_alloc(&plan->shape, &plan->options, plan->R, &made, error);
    if (status)
        return status;
    plan->layer[plan->layers++] = made;
    made->mode = plan->mode;
    made->exchange = plan->exchange;
    made->pipeline = plan->pipeline;
    made->coactivation = plan->coactivation;
    memcpy(made->rank, plan->rank, (size_t)plan->R * sizeof *plan->rank);
    motley__placement_clear(&made->stored);
    *layer = made;
    return motley__placement_copy(&plan->stored, &made->stored, error);
}

static int make_room(motley_plan *plan, int layers, struct motley_error *error)
{
    plan->layer = calloc((size_t)layers, sizeof *plan->layer);
    return plan->layer ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for plans of %d layers", layers);
}

/* What a division reaches, as the sum over layers. */
struct sum {
    int G, nodes;                    /* nodes 0: there is one */
    double *reach, *node_reach;      /* [G], [nodes]; one array, owned */
};

static void add_reach(const struct motley__division *division, const struct motley__collocation *found,
                      struct sum *sum)
{
    const double *reach = found->reach ? found->reach : division->reach; /* else by what all layers choose */
    const double *node_reach = found->reach ? found->node_reach : division->node_reach;
    for (int g = 0; g < sum->G; g++)
        sum->reach[g] += reach[g];
    for (int n = 0; n < sum->nodes; n++)
        sum->node_reach[n] += node_reach[n];
}

/* A plan of its own for layer l, with its experts where its tokens want them; what it reaches is added. */
static int place_layer(motley_plan *plan, const struct motley__task *task, const struct motley__division *division,
                       int l, struct sum *sum, struct motley_error *error)
{
    struct motley__collocation found = {0};
    motley_plan *layer;
    int status = add_layer(plan, &layer, error);
    if (!status)
        status = motley__collocate(task, division, l, &found, error);
    if (!status) {
        layer->copies = found.copies;
        layer->copies_before = found.copies_before;
        move_in(&layer->stored, division->group_of, found.home);
        status = motley__plan_index(layer, error);
    }
    if (!status)
        add_reach(division, &found, sum);
    motley__collocation_clear(&found);
    return status;
}

static int place_layers(motley_plan *plan, const struct motley__task *task, struct motley__division *division,
                        int layers, struct motley_error *error)
{
    struct sum sum = {.G = division->G, .nodes = division->node_reach ? task->links->nodes : 0};
    sum.reach = calloc((size_t)sum.G + (size_t)sum.nodes, sizeof *sum.reach);
    if (!sum.reach)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for plans of %d layers", layers);
    sum.node_reach = sum.reach + sum.G;
    int status = make_room(plan, layers, error);
    for (int l = 0; l < layers && !status; l++)
        status = place_layer(plan, task, division, l, &sum, error);
    for (int g = 0; g < sum.G && !status; g++)
        division->reach[g] = sum.reach[g] / layers;
    for (int n = 0; n < sum.nodes && !status; n++)
        division->node_reach[n] = sum.node_reach[n] / layers;
    free(sum.reach);
    return status;
}

int motley__plan_collocate(motley_plan *plan, const struct motley__task *task, struct motley__division *division,
                           struct motley_error *error)
{
    const motley_coactivation *coactivation = task->options.coactivation;
    plan->coactivation = motley__coactivation_hash(coactivation);
    plan->copies = division->copies;
    plan->copies_before = division->copies_before;
    if (task->options.coactivation_layer || !division->reach || coactivation->layers == 1)
        return 0;
    return place_layers(plan, task, division, coactivation->layers, error);
}

static json_t *layer_json(const motley_plan *layer)
{
    json_t *groups = json_array();
    for (int e = 0; e < layer->shape.E; e++)
        json_array_append_new(groups, json_integer(layer->server[e]));
    return json_pack("{s:f, s:f, s:o}", "copies_per_token", layer->copies, "copies_per_token_before",
                     layer->copies_before, "groups", groups);
}

json_t *motley__plan_layers_json(const motley_plan *plan)
{
    char hash[24];
    json_t *layers = json_array();
    for (int l = 0; l < plan->layers; l++)
        json_array_append_new(layers, layer_json(plan->layer[l]));
    snprintf(hash, sizeof hash, "%016" PRIx64, plan->coactivation);
    return json_pack("{s:s, s:f, s:f, s:o}", "recorded", hash, "copies_per_token", plan->copies,
                     "copies_per_token_before", plan->copies_before, "layers", layers);
}

static int read_copies(const json_t *object, motley_plan *plan, struct motley_error *error)
{
    const double so = json_number_value(json_object_get(object, "copies_per_token"));
    const double before = json_number_value(json_object_get(object, "copies_per_token_before"));
    if (!(so >= 0) || !(before >= 0) || !isfinite(so) || !isfinite(before))
        return motley__fail(error, MOTLEY_E_FORMAT, "plan: \"copies_per_token\" is no number from 0 on");
    plan->copies = so;
    plan->copies_before = before;
    return 0;
}

/* Every group must get as many experts as it has in the plan. */
static int read_homes(const json_t *groups, const motley_plan *plan, int l, int *home, struct motley_error *error)
{
    int *left = calloc((size_t)plan->G, sizeof *left), wrong = json_array_size(groups) != (size_t)plan->shape.E;
    if (!left)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the plan of layer %d", l);
    for (int e = 0; e < plan->shape.E && !wrong; e++)
        left[plan->server[e]]++;
    for (int e = 0; e < plan->shape.E && !wrong; e++) {
        const json_t *number = json_array_get(groups, (size_t)e);
        const json_int_t g = json_is_integer(number) ? json_integer_value(number) : -1;
        wrong = g < 0 || g >= plan->G || left[g]-- == 0;
        home[e] = wrong ? 0 : (int)g;
    }
    free(left);
    return wrong ? motley__fail(error, MOTLEY_E_FORMAT, "plan: the \"groups\" of layer %d do not share out %d experts "
                                "as the plan does", l, plan->shape.E)
                 : 0;
}

static int read_layer(const json_t *object, motley_plan *plan, int l, int *home, struct motley_error *error)
{
    motley_plan *layer;
    int status = read_homes(json_object_get(object, "groups"), plan, l, home, error);
    if (!status)
        status = add_layer(plan, &layer, error);
    if (!status)
        status = read_copies(object, layer, error);
    if (!status) {
        move_in(&layer->stored, plan->group_of, home);
        status = motley__plan_index(layer, error);
    }
    return status;
}

int motley__plan_layers_read(const json_t *object, motley_plan *plan, struct motley_error *error)
{
    const json_t *layers = json_object_get(object, "layers");
    const char *hash = json_string_value(json_object_get(object, "recorded"));
    int *home = malloc((size_t)plan->shape.E * sizeof *home), end = 0;
    int status = home ? 0 : motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for a plan's layers");
    if (!status && (!hash || sscanf(hash, "%16" SCNx64 "%n", &plan->coactivation, &end) != 1 || hash[end]))
        status = motley__fail(error, MOTLEY_E_FORMAT, "plan: \"recorded\" is missing or no number of 16 digits");
    if (!status)
        status = read_copies(object, plan, error);
    if (!status && json_array_size(layers) > 0)
        status = plan->mode == MOTLEY_MODE_DATA
                     ? motley__fail(error, MOTLEY_E_FORMAT, "plan: in mode data no layer has a placement of its own")
                     : make_room(plan, (int)json_array_size(layers), error);
    for (size_t l = 0; l < json_array_size(layers) && !status; l++)
        status = read_layer(json_array_get(layers, l), plan, (int)l, home, error);
    free(home);
    return status;
}
