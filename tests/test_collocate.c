/* Placement by what tokens choose together: rows that are foretold to travel are those that do, and loads have their
 * say where they are known, too.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/random.h"
#include "coactivation/coactivation.h"
#include "plan/collocate.h"
#include "plan_cluster.h"

enum { E = 12, K = 3, FAMILY = 4, SETS = 3000, TOKENS = 20000, LAYERS = 3 };

static int random_below(uint64_t stream, uint64_t at, int most)
{
    return (int)(motley__random_bits(17, stream, at) % (uint64_t)most);
}

/* The experts of a token of a layer: of one family, which are e, e + E/FAMILY, .. (so that blocks tear them), the first
 * family twice as often as others; each sixth token takes one expert from anywhere. */
static void choose(int layer, uint64_t token, int set[K])
{
    const uint64_t stream = (uint64_t)layer, at = 64 * token;
    const int families = E / FAMILY, drawn = random_below(stream, at, families + 1);
    const int family = drawn < families ? drawn : layer;
    const int left_out = random_below(stream, at + 1, FAMILY), stray = random_below(stream, at + 2, 6) == 0;
    for (int i = 0, k = 0; i < FAMILY; i++)
        if (i != left_out)
            set[k++] = family + i * families;
    for (uint64_t next = at + 3; stray && set[0] % families == family; next++)
        set[0] = random_below(stream, next, E);
}

/* What was recorded: other tokens than those that come. */
static motley_coactivation *record(int layers)
{
    motley_coactivation *c;
    assert_int_equal(motley__coactivation_alloc(layers, E, &c, NULL), 0);
    assert_int_equal(motley__coactivation_alloc_sets(c, K, layers * SETS, NULL), 0);
    for (int i = 0; i < layers * SETS; i++) {
        const int layer = i / SETS;
        int *set = c->set + (size_t)i * K;
        choose(layer, (uint64_t)(TOKENS + i), set);
        c->first[layer + 1] = i + 1;
        for (int a = 0; a < K; a++)
            for (int b = 0; b < K; b++)
                c->together[((size_t)layer * E + (size_t)set[a]) * E + (size_t)set[b]] += a != b;
    }
    return c;
}

/* Rows that tokens of a layer send to other ranks; tokens of rank r are those from first[r] on. */
static double count_sent(const motley_plan *plan, int layer, const int64_t *first)
{
    double sent = 0;
    for (int r = 0; r < plan->R; r++)
        for (int64_t t = first[r]; t < first[r + 1]; t++) {
            int set[K];
            choose(layer, (uint64_t)t, set);
            for (int g = 0; g < plan->G; g++) {
                int needed = 0;
                for (int k = 0; k < K; k++)
                    needed |= plan->server[set[k]] == g;
                sent += needed * (plan->first_member[g + 1] - plan->first_member[g] - (plan->group_of[r] == g));
            }
        }
    return sent;
}

/* Ranks in turn on so many nodes. */
static struct motley__links plain_links(int R, int nodes)
{
    struct motley__links links;
    assert_int_equal(motley__links_alloc(R, nodes, 1, &links, NULL), 0);
    for (int r = 0; r < R; r++)
        links.node[r] = r % nodes;
    links.inside[0] = (struct motley__link){1e-6, 1e-6, 1e9};
    links.between[0] = (struct motley__link){1e-5, 1e-6, 1e7};
    return links;
}

/* Rows sent in a forward step of a layer, by the bytes that are foretold to move. */
static double foretold(const motley_plan *plan)
{
    const double row = 4.0 * plan->shape.D; /* there with 8 bytes, and 6 for each pair; and back */
    double pairs = 0;
    for (int r = 0; r < plan->R; r++)
        pairs += K * (double)(plan->options.tokens - plan->rank[r].tokens) * motley__plan_part(plan, plan->group_of[r]);
    return (plan->alternative[plan->chosen].predicted.moved - 6 * pairs) / (2 * row + 8);
}

/* A layer planned blindly, and by what tokens chose together. */
struct both {
    motley_coactivation *coactivation;
    struct motley__links links;
    struct cluster cluster;
    motley_plan *blind, *plan;
    int64_t first[MOST_RANKS + 1];   /* token of each rank */
};

static void make_both(struct motley_plan_options options, int R, int nodes, const double *slow, int layers,
                      struct both *b)
{
    const struct motley_layer_shape shape = fixture_shape(E, K);
    *b = (struct both){.coactivation = record(layers), .links = plain_links(R, nodes)};
    make_cluster(&b->cluster, &shape, R, slow);
    assert_int_equal(motley__plan_make(&shape, &options, R, b->cluster.entry, &b->links, &b->blind, NULL), 0);
    options.coactivation = b->coactivation;
    assert_int_equal(motley__plan_make(&shape, &options, R, b->cluster.entry, &b->links, &b->plan, NULL), 0);
    for (int r = 0; r < R; r++)
        b->first[r + 1] = b->first[r] + b->plan->rank[r].tokens;
}

static void clear_both(struct both *b)
{
    motley_plan_destroy(b->plan);
    motley_plan_destroy(b->blind);
    clear_cluster(&b->cluster);
    motley__links_clear(&b->links);
    motley_coactivation_destroy(b->coactivation);
}

static void check_rows(enum motley_mode mode, int group, int R, int layers)
{
    static const double slow[MOST_RANKS] = {1, 2, 1.5, 1};
    struct both b;
    double sent = 0;
    make_both((struct motley_plan_options){.mode = mode, .group = group, .tokens = TOKENS}, R, R, slow, layers, &b);
    for (int l = 0; l < layers; l++)
        sent += count_sent(motley__plan_of_layer(b.plan, l), l, b.first) / layers;
    print_message("mode %d, %d ranks, %d layers: %.0f rows, foretold %.0f, by chance %.0f\n", (int)mode, R, layers,
                  sent, foretold(b.plan), foretold(b.blind));
    assert_true(fabs(foretold(b.plan) - sent) < 0.03 * sent);
    assert_true(foretold(b.blind) > 1.15 * sent);
    clear_both(&b);
}

static void rows_are_foretold_by_what_is_chosen(void **state)
{
    (void)state;
    for (int R = 2; R <= MOST_RANKS; R++)
        check_rows(MOTLEY_MODE_EXPERT, 0, R, 1);
    check_rows(MOTLEY_MODE_HYBRID, 2, 4, 1);
    check_rows(MOTLEY_MODE_EXPERT, 0, 3, LAYERS); /* each layer with its own placement */
}

/* Rows that tokens send to another of two nodes, where ranks are in turn on them. */
static double count_crossed(const motley_plan *plan, int layer, const int64_t *first)
{
    double crossed = 0;
    for (int r = 0; r < plan->R; r++)
        for (int64_t t = first[r]; t < first[r + 1]; t++) {
            int set[K], needed = 0;
            choose(layer, (uint64_t)t, set);
            for (int q = 0; q < plan->R; q++)
                for (int k = 0; k < K && q % 2 != r % 2; k++)
                    needed |= plan->server[set[k]] == plan->group_of[q];
            crossed += needed;
        }
    return crossed;
}

/* By the bytes that are foretold to cross; half of all pairs are for the experts of the other node. */
static double foretold_crossing(const motley_plan *plan)
{
    return (plan->alternative[plan->chosen].predicted.node_moved - 6.0 * K * TOKENS / 2) / (8.0 * plan->shape.D + 8);
}

static void check_crossing(int layers)
{
    static const double slow[MOST_RANKS] = {1, 1, 1, 1};
    struct both b;
    double crossed = 0;
    make_both((struct motley_plan_options){.mode = MOTLEY_MODE_EXPERT, .tokens = TOKENS, .shares = MOTLEY_SHARES_EVEN,
                                           .exchange = MOTLEY_EXCHANGE_HIERARCHICAL}, MOST_RANKS, 2, slow, layers, &b);
    for (int l = 0; l < layers; l++)
        crossed += count_crossed(motley__plan_of_layer(b.plan, l), l, b.first) / layers;
    print_message("%d layers: %.0f rows cross, foretold %.0f, by chance %.0f\n", layers, crossed,
                  foretold_crossing(b.plan), foretold_crossing(b.blind));
    assert_true(fabs(foretold_crossing(b.plan) - crossed) < 0.03 * crossed);
    assert_true(foretold_crossing(b.blind) > 1.05 * crossed);
    clear_both(&b);
}

static void so_are_those_that_cross_between_nodes(void **state)
{
    (void)state;
    check_crossing(1);
    check_crossing(LAYERS);
}

/* Two ranks alike.  The first two experts are often chosen together; by their loads they are most of the work. */
static motley_plan *plan_pairs(const struct cluster *cluster, const double *load)
{
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    motley_coactivation *c;
    motley_plan *plan;
    assert_int_equal(motley__coactivation_alloc(1, 8, &c, NULL), 0);
    for (int i = 0; i < 8; i++) /* 0 with 1, 2 with 3, .. */
        c->together[i * 8 + (i ^ 1)] = 100;
    const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = 1024, .coactivation = c,
                                                .load = load};
    assert_int_equal(motley__plan_make(&shape, &options, 2, cluster->entry, NULL, &plan, NULL), 0);
    motley_coactivation_destroy(c);
    return plan;
}

static void loads_and_choices_go_together(void **state)
{
    (void)state;
    static const double slow[2] = {1, 1}, hot[8] = {8, 8, 1, 1, 1, 1, 1, 1}, even[8] = {3, 3, 3, 3, 3, 3, 3, 3};
    const struct motley_layer_shape shape = fixture_shape(8, 2);
    struct cluster cluster;
    make_cluster(&cluster, &shape, 2, slow);
    motley_plan *plan = plan_pairs(&cluster, NULL), *same = plan_pairs(&cluster, even),
                *loaded = plan_pairs(&cluster, hot);
    for (int e = 0; e < 8; e += 2)
        assert_int_equal(plan->server[e], plan->server[e + 1]);
    assert_true(fabs(plan->copies - 1) < 1e-12 && motley__placement_equal(&plan->stored, &same->stored));
    assert_int_not_equal(loaded->server[0], loaded->server[1]);
    assert_true(fabs(loaded->copies - 1.5) < 1e-12); /* four experts each: of the other pairs two stay whole */
    assert_int_equal(loaded->replicas, 0);
    for (int r = 0; r < 2; r++)
        assert_true(fabs(motley_plan_rank(loaded, r).share - 0.5) < 0.05);
    char *text, *again;
    assert_int_equal(motley_plan_text(loaded, &text, NULL), 0); /* loads and what was chosen, there and back */
    motley_plan_destroy(same);
    assert_int_equal(motley_plan_parse(text, &same, NULL), 0);
    assert_int_equal(motley_plan_text(same, &again, NULL), 0);
    assert_string_equal(text, again);
    free(text);
    free(again);
    motley_plan_destroy(same);
    motley_plan_destroy(plan);
    motley_plan_destroy(loaded);
    clear_cluster(&cluster);
}

/* Nine tokens of ten take expert 0, and two of a family; the others three of it. */
static void choose_hot(uint64_t token, int set[K])
{
    choose(0, token, set);
    for (int k = 0; k < K; k++)
        if (set[k] == 0)
            return;
    if (random_below(99, token, 10))
        set[random_below(98, token, K)] = 0;
}

static motley_coactivation *record_hot(double load[E])
{
    motley_coactivation *c;
    assert_int_equal(motley__coactivation_alloc(1, E, &c, NULL), 0);
    assert_int_equal(motley__coactivation_alloc_sets(c, K, SETS, NULL), 0);
    for (int i = 0; i < SETS; i++) {
        int *set = c->set + (size_t)i * K;
        choose_hot((uint64_t)(TOKENS + i), set);
        for (int a = 0; a < K; a++) {
            load[set[a]]++;
            for (int b = 0; b < K; b++)
                c->together[(size_t)set[a] * E + (size_t)set[b]] += a != b;
        }
    }
    c->first[1] = SETS;
    return c;
}

/* Rows sent to other ranks and ranks that tokens go to, each token by its lot; work of the slowest rank, in pairs. */
static double count_by_lots(const motley_plan *plan, const double *slow, double *copies, double *slowest)
{
    const int lots = motley__plan_lots(plan);
    double sent = 0, pairs[MOST_RANKS] = {0};
    *copies = *slowest = 0;
    for (int r = 0, first = 0; r < plan->R; first += (int)plan->rank[r++].tokens) {
        int server[MOTLEY__LOTS * E];
        assert_int_equal(motley__plan_serve(plan, r, server, NULL), 0);
        for (int t = 0; t < plan->rank[r].tokens; t++) {
            int set[K], went[MOST_RANKS] = {0};
            choose_hot((uint64_t)(first + t), set);
            for (int k = 0; k < K; k++)
                went[plan->member[plan->first_member[server[t % lots * E + set[k]]]]]++;
            for (int q = 0; q < plan->R; q++) {
                pairs[q] += went[q] * slow[q];
                *copies += (went[q] > 0) / (double)TOKENS;
                sent += went[q] > 0 && q != r;
            }
        }
    }
    for (int r = 0; r < plan->R; r++)
        *slowest = fmax(*slowest, pairs[r]);
    return sent;
}

/* Every device gets memory for so many times what the plan takes of the fullest. */
static void bound_memory(struct cluster *cluster, const motley_plan *plan, double room)
{
    uint64_t most = 0;
    for (int r = 0; r < plan->R; r++)
        most = plan->rank[r].bytes > most ? plan->rank[r].bytes : most;
    for (int r = 0; r < plan->R; r++)
        cluster->profile[r].entry[0].key.memory_bytes = (uint64_t)(room * (double)most);
}

/* room: memory of the devices, as times of what the plan by loads alone takes; 0: plenty. */
static void check_hot(int R, const double *slow, int backward, double room)
{
    const struct motley_layer_shape shape = fixture_shape(E, K);
    double load[E] = {0}, copies, slowest, blind_copies, blind_slowest;
    struct motley__links links = plain_links(R, R);
    struct cluster cluster;
    motley_plan *plan, *blind;
    struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = TOKENS, .load = load,
                                          .backward = backward};
    motley_coactivation *c = record_hot(load);
    make_cluster(&cluster, &shape, R, slow);
    assert_int_equal(motley__plan_make(&shape, &options, R, cluster.entry, &links, &blind, NULL), 0);
    options.coactivation = c;
    if (room > 0)
        bound_memory(&cluster, blind, room);
    assert_int_equal(motley__plan_make(&shape, &options, R, cluster.entry, &links, &plan, NULL), 0);
    for (int r = 0; r < R; r++)
        assert_true(plan->rank[r].bytes <= cluster.entry[r]->key.memory_bytes);
    const double sent = count_by_lots(plan, slow, &copies, &slowest);
    const double blind_sent = count_by_lots(blind, slow, &blind_copies, &blind_slowest);
    print_message("%d ranks: %d replicas, %.0f rows, %.3f copies (%.3f foretold), work %.0f; by loads alone "
                  "%d replicas, %.0f rows, %.3f copies, work %.0f\n", R, plan->replicas, sent, copies, plan->copies,
                  slowest, blind->replicas, blind_sent, blind_copies, blind_slowest);
    assert_true(backward || fabs(foretold(plan) - sent) <= 0.03 * sent);
    assert_true(fabs(plan->copies - copies) < 0.03 * copies && sent < blind_sent);
    assert_true(plan->replicas > 0);
    motley_plan_destroy(plan);
    motley_plan_destroy(blind);
    motley_coactivation_destroy(c);
    motley__links_clear(&links);
    clear_cluster(&cluster);
}

/* Rows to the other of two nodes, ranks in turn on them, each token by its lot. */
static double count_crossed_by_lots(const motley_plan *plan)
{
    const int lots = motley__plan_lots(plan);
    double crossed = 0;
    for (int r = 0, first = 0; r < plan->R; first += (int)plan->rank[r++].tokens) {
        int server[MOTLEY__LOTS * E];
        assert_int_equal(motley__plan_serve(plan, r, server, NULL), 0);
        for (int t = 0; t < plan->rank[r].tokens; t++) {
            int set[K], needed = 0;
            choose_hot((uint64_t)(first + t), set);
            for (int k = 0; k < K; k++) {
                const int group = server[t % lots * E + set[k]];
                needed |= plan->member[plan->first_member[group]] % 2 != r % 2;
            }
            crossed += needed;
        }
    }
    return crossed;
}

/* With a capacity, fewer: all first choices count before all second ones. */
static void a_capacity_leaves_fewer_rows(void **state)
{
    (void)state;
    static const double slow[MOST_RANKS] = {1, 2, 1.5, 1};
    for (int i = 0; i < 3; i++) {
        const double f = (double[]){0, 1, 0.5}[i];
        struct both b;
        double sent = 0, left[E];
        static int kept[TOKENS][K];
        make_both((struct motley_plan_options){.mode = MOTLEY_MODE_EXPERT, .tokens = TOKENS, .capacity = f}, 3, 3, slow,
                  1, &b);
        for (int e = 0; e < E; e++)
            left[e] = f > 0 ? K * floor(f * ceil((double)TOKENS / E)) : TOKENS;
        for (int t = 0; t < TOKENS; t++)
            choose(0, (uint64_t)t, kept[t]);
        for (int level = 0; level < K; level++)
            for (int t = 0; t < TOKENS; t++) {
                int *choice = &kept[t][(level + random_below(97, (uint64_t)t, K)) % K];
                *choice = left[*choice]-- > 0 ? *choice : -1;
            }
        for (int r = 0; r < 3; r++)
            for (int64_t t = b.first[r]; t < b.first[r + 1]; t++) {
                int went[3] = {0};
                for (int k = 0; k < K; k++)
                    if (kept[t][k] >= 0)
                        went[b.plan->member[b.plan->first_member[b.plan->server[kept[t][k]]]]] = 1;
                for (int q = 0; q < 3; q++)
                    sent += q != r && went[q];
            }
        const double said = b.plan->alternative[b.plan->chosen].predicted.moved / (8.0 * b.plan->shape.D + 8);
        print_message("f=%g: %.0f rows, foretold %.0f and what goes with their pairs\n", f, sent, said);
        assert_true(said > 0.98 * sent && said < 1.06 * sent);
        clear_both(&b);
    }
}

static void replicas_count_between_nodes(void **state)
{
    (void)state;
    static const double slow[MOST_RANKS] = {1, 2, 1.5, 1};
    const struct motley_layer_shape shape = fixture_shape(E, K);
    for (int tight = 0; tight < 2; tight++) {
        double load[E] = {0};
        struct motley__links links = plain_links(MOST_RANKS, 2);
        struct cluster cluster;
        motley_plan *plan;
        motley_coactivation *c = record_hot(load);
        const struct motley_plan_options options = {.mode = MOTLEY_MODE_EXPERT, .tokens = TOKENS, .load = load,
                                                    .coactivation = c, .exchange = MOTLEY_EXCHANGE_HIERARCHICAL};
        make_cluster(&cluster, &shape, MOST_RANKS, slow);
        for (int r = 0; r < MOST_RANKS && tight; r++)
            cluster.profile[r].entry[0].key.memory_bytes = UINT64_C(40) << 20;
        assert_int_equal(motley__plan_make(&shape, &options, MOST_RANKS, cluster.entry, &links, &plan, NULL), 0);
        const double crossed = count_crossed_by_lots(plan), foretold = foretold_crossing(plan);
        print_message("%d replicas: %.0f rows cross, foretold %.0f\n", plan->replicas, crossed, foretold);
        assert_true(plan->replicas > 0 && fabs(foretold - crossed) < 0.05 * crossed);
        motley_plan_destroy(plan);
        motley_coactivation_destroy(c);
        motley__links_clear(&links);
        clear_cluster(&cluster);
    }
}

static void hot_experts_get_replicas_where_their_tokens_go(void **state)
{
    (void)state;
    static const double alike[MOST_RANKS] = {1, 1, 1, 1}, unlike[MOST_RANKS] = {1, 2, 1.5, 1};
    for (int R = 2; R <= MOST_RANKS; R++)
        for (int backward = 0; backward < 2; backward++) {
            check_hot(R, alike, backward, 0);
            check_hot(R, unlike, backward, 0);
            check_hot(R, unlike, backward, 1.2);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_foretold_by_what_is_chosen),
        cmocka_unit_test(so_are_those_that_cross_between_nodes),
        cmocka_unit_test(loads_and_choices_go_together),
        cmocka_unit_test(hot_experts_get_replicas_where_their_tokens_go),
        cmocka_unit_test(replicas_count_between_nodes),
        cmocka_unit_test(a_capacity_leaves_fewer_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
