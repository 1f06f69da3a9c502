/* Tokens' choices across ranks: counted and sampled alike however tokens are divided; a layer held to collaborators
 * against a reference in double precision; experts placed by what was recorded, which moves fewer rows and changes no
 * result.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <unistd.h>

#include "coactivation/tally.h"
#include "layer_step.h"
#include "plan/plan.h"

static int rank, R;

/* Experts of token t of some layer: one expert in one token in ten was dropped or comes twice. */
static void draw_choice(int layer, int64_t t, int K, int32_t *chosen)
{
    for (int k = 0; k < K; k++) {
        const uint64_t bits = motley__random_bits(SEED, (uint64_t)(200 + layer), (uint64_t)(t * K + k));
        chosen[k] = bits % 10 == 9 ? -1 : (int32_t)(bits / 16 % E);
    }
}

/* Tokens begin..end-1 of both layers, in pieces of 100. */
static void count(struct motley__tally *tally, int K, int64_t begin, int64_t end)
{
    int32_t chosen[100 * 4];
    for (int layer = 0; layer < 2; layer++)
        for (int64_t t = begin; t < end; t += 100) {
            const int piece = (int)(end - t < 100 ? end - t : 100);
            for (int i = 0; i < piece; i++)
                draw_choice(layer, t + i, K, chosen + i * K);
            motley__tally_add(tally, layer, (uint64_t)t, piece, chosen);
        }
}

static void counts_and_samples_do_not_depend_on_ranks(void **state)
{
    enum { K = 3, TOKENS = 20000 };
    struct motley__tally *parts, *whole;
    motley_coactivation *sum = NULL, *wanted = NULL;
    (void)state;
    SUCCEED(motley__tally_create(2, E, K, &parts, &error));
    SUCCEED(motley__tally_create(2, E, K, &whole, &error));
    count(parts, K, (int64_t)TOKENS * rank / R, (int64_t)TOKENS * (rank + 1) / R);
    count(whole, K, 0, TOKENS);
    SUCCEED(motley__tally_sum(parts, MPI_COMM_WORLD, 60, &sum, &error));
    SUCCEED(motley__tally_sum(whole, MPI_COMM_SELF, 60, &wanted, &error));
    require((sum != NULL) == (rank == 0), "the sum is rank 0's");
    if (sum) {
        int64_t pairs = 0;
        require(motley__coactivation_hash(sum) == motley__coactivation_hash(wanted), "the sum depends on ranks");
        require(sum->first[1] == MOTLEY__SETS && sum->first[2] == 2 * MOTLEY__SETS, "samples are not full");
        for (int64_t t = 0; t < TOKENS; t++) { /* experts 2 and 5 of layer 1, counted plainly */
            int32_t chosen[K];
            int two = 0, five = 0;
            draw_choice(1, t, K, chosen);
            for (int k = 0; k < K; k++) {
                two |= chosen[k] == 2;
                five |= chosen[k] == 5;
            }
            pairs += two && five;
        }
        require(sum->together[(E + 2) * E + 5] == pairs && sum->together[(E + 5) * E + 2] == pairs, "pairs are wrong");
    }
    motley_coactivation_destroy(sum);
    motley_coactivation_destroy(wanted);
    motley__tally_destroy(parts);
    motley__tally_destroy(whole);
}

/* The sample's mean is the tokens': how often expert 3 is in it. */
static void samples_are_fair(void **state)
{
    enum { K = 2, TOKENS = 60000 };
    struct motley__tally *tally;
    motley_coactivation *sum = NULL;
    double there = 0, sampled = 0;
    (void)state;
    if (rank)
        return;
    SUCCEED(motley__tally_create(2, E, K, &tally, &error));
    count(tally, K, 0, TOKENS);
    SUCCEED(motley__tally_sum(tally, MPI_COMM_SELF, 60, &sum, &error));
    for (int64_t t = 0; t < TOKENS; t++) {
        int32_t chosen[K];
        draw_choice(0, t, K, chosen);
        there += (chosen[0] == 3 || chosen[1] == 3) / (double)TOKENS;
    }
    for (int i = 0; i < sum->first[1]; i++)
        sampled += (sum->set[2 * i] == 3 || sum->set[2 * i + 1] == 3) / (double)sum->first[1];
    print_message("expert 3: %.4f of the tokens, %.4f of the sample\n", there, sampled);
    require(fabs(there - sampled) < 4 * sqrt(there * (1 - there) / MOTLEY__SETS), "the sample is not fair");
    motley_coactivation_destroy(sum);
    motley__tally_destroy(tally);
}

/* Counts that make e and e + 1 modulo E the closest, then e + 2 and so on. */
static motley_coactivation *make_counts(void)
{
    motley_coactivation *c = NULL;
    SUCCEED(motley__coactivation_alloc(1, E, &c, &error));
    for (int i = 0; i < E; i++)
        for (int j = 0; j < E; j++) {
            const int apart = (j - i + E) % E, near = apart < E - apart ? apart : E - apart;
            c->together[i * E + j] = near ? 1000 >> near : 0;
        }
    return c;
}

/* What the layer must choose: the reference's softmax, the first choice free, the others among `most` collaborators. */
static void restrict_choice(struct problem *p, const motley_coactivation *c, int most)
{
    const int K = p->shape.K;
    struct gate_answer gate = gate_forward(p);
    uint32_t mask[E];
    SUCCEED(motley__coactivation_mask(c, 0, most, mask, &error));
    p->forced = zeros((size_t)(p->T * K), sizeof *p->forced);
    for (int t = 0; t < p->T; t++) {
        int32_t *chosen = p->forced + t * K;
        double *probability = gate.p + t * E;
        for (int k = 0; k < K; k++) {
            int best = -1;
            for (int e = 0; e < E; e++)
                if (probability[e] >= 0 && (k == 0 || mask[chosen[0]] >> e & 1) &&
                    (best < 0 || probability[e] > probability[best]))
                    best = e;
            chosen[k] = best;
            probability[best] = -1;
        }
    }
    gate_answer_release(&gate);
    free(gate.weights);
    free(gate.indices);
}

static void check_collaborators(int K, int most, int normalize, enum gate_kind kind, enum split split)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SWIGLU, K);
    motley_coactivation *c = make_counts();
    shape.normalize = normalize;
    struct problem p = problem_create(&shape, T, kind, SEED);
    restrict_choice(&p, c, most);
    struct answer a = answer_create(&p);
    free(p.forced);
    p.forced = NULL;
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    struct held held = hold(&p, split);
    motley_layer *layer = make_layer(plan, &p);
    SUCCEED(motley_layer_collaborate(layer, c, 0, most, &error));
    step(layer, plan, &p, &held);
    compare(plan, &p, &a, &held);
    require(motley_layer_planned_bytes(layer) == motley_layer_peak_bytes(layer), "memory is not what was planned");
    motley_layer_destroy(layer);
    motley_plan_destroy(plan);
    let_go(&held);
    answer_destroy(&a);
    problem_destroy(&p);
    motley_coactivation_destroy(c);
}

static void collaborators_equal_the_reference(void **state)
{
    (void)state;
    check_collaborators(1, 1, 0, GATE_SPREAD, SPLIT_EVEN);
    check_collaborators(2, 1, 1, GATE_SPREAD, SPLIT_EVEN);
    check_collaborators(2, 3, 0, GATE_EQUAL, SPLIT_FIRST_HAS_NONE);
    check_collaborators(3, 2, 0, GATE_SPREAD, SPLIT_LAST_HAS_ALL);
    check_collaborators(3, 4, 1, GATE_ONE_EXPERT, SPLIT_EVEN);
    check_collaborators(E, E - 1, 1, GATE_SPREAD, SPLIT_EVEN);
}

static void what_cannot_be_is_refused(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_SILU, 3);
    motley_coactivation *c = make_counts(), *other = NULL;
    motley_plan *plan = make_plan(&shape, MOTLEY_SHARES_EVEN);
    motley_layer *layer = NULL;
    struct motley_error problem = {0};
    (void)state;
    SUCCEED(motley_layer_create(context, plan, &layer, &error));
    SUCCEED(motley__coactivation_alloc(1, E + 1, &other, &error));
    require(motley_layer_collaborate(layer, c, 0, 1, &problem) == MOTLEY_E_INVALID &&
            strstr(problem.text, "expected at least 2"), "too few collaborators");
    problem = (struct motley_error){0};
    require(motley_layer_collaborate(layer, other, 0, 2, &problem) == MOTLEY_E_INVALID &&
            strstr(problem.text, "of 8 experts, but the layer has 7"), "other experts");
    problem = (struct motley_error){0};
    require(motley_layer_collaborate(layer, c, 2, 2, &problem) == MOTLEY_E_INVALID, "no such layer");
    motley_layer_destroy(layer);
    motley_plan_destroy(plan);
    motley_coactivation_destroy(other);
    motley_coactivation_destroy(c);
}

/* Rows that all ranks send for the first forward of a plan. */
static int64_t rows_sent(const motley_plan *plan, const struct problem *p, const struct answer *a)
{
    struct held held = hold(p, SPLIT_EVEN);
    motley_layer *layer = make_layer(plan, p);
    struct motley_layer_traffic traffic;
    step(layer, plan, p, &held);
    compare(plan, p, a, &held);
    SUCCEED(motley_layer_traffic(layer, &traffic, &error));
    MPI_Allreduce(MPI_IN_PLACE, &traffic.rows_sent, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    motley_layer_destroy(layer);
    let_go(&held);
    return traffic.rows_sent;
}

/* Forced choices: e and e + 3 together, so that neighbours never are. */
static void placement_moves_fewer_rows_and_no_result(void **state)
{
    struct motley_layer_shape shape = shape_of(MOTLEY_GELU, 2);
    struct motley_plan_options options = {.tokens = T, .backward = 1, .shares = MOTLEY_SHARES_EVEN,
                                          .mode = MOTLEY_MODE_EXPERT};
    struct motley__tally *tally;
    motley_coactivation *sum = NULL, *c = NULL;
    motley_plan *plain, *plan;
    char path[64] = "/tmp/motley-collaborate-XXXXXX";
    (void)state;
    shape.gate = MOTLEY_GATE_FORCED;
    struct problem p = problem_create(&shape, T, GATE_SPREAD, SEED);
    for (int t = 0; t < T; t++) {
        p.forced[2 * t] = t % 3;
        p.forced[2 * t + 1] = t % 3 + 3;
    }
    struct answer a = answer_create(&p);
    if (rank == 0)
        close(mkstemp(path));
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, MPI_COMM_WORLD);
    SUCCEED(motley__tally_create(1, E, 2, &tally, &error));
    const int first = first_token(SPLIT_EVEN, T, rank), end = first_token(SPLIT_EVEN, T, rank + 1);
    motley__tally_add(tally, 0, (uint64_t)first, end - first, p.forced + 2 * first);
    SUCCEED(motley__tally_sum(tally, MPI_COMM_WORLD, 60, &sum, &error));
    if (sum)
        SUCCEED(motley__coactivation_write(sum, path, &error));
    SUCCEED(motley_coactivation_read(context, path, &c, &error));
    SUCCEED(motley_plan_create(context, &shape, &options, &plain, &error));
    options.coactivation = c;
    SUCCEED(motley_plan_create(context, &shape, &options, &plan, &error));
    const int64_t before = rows_sent(plain, &p, &a), after = rows_sent(plan, &p, &a);
    if (rank == 0)
        print_message("%d ranks: %lld rows sent, %lld with experts together\n", R, (long long)before, (long long)after);
    require(R == 1 ? before == 0 && after == 0 : after < before, "no fewer rows were sent");
    if (R > 1)
        require(plan->copies < plan->copies_before, "no fewer copies were planned");
    if (rank == 0) {
        unlink(path);
        unlink(strcat(path, ".sets"));
    }
    motley_plan_destroy(plan);
    motley_plan_destroy(plain);
    motley_coactivation_destroy(c);
    motley_coactivation_destroy(sum);
    motley__tally_destroy(tally);
    answer_destroy(&a);
    problem_destroy(&p);
}

static void what_rank_0_cannot_read_fails_everywhere(void **state)
{
    motley_coactivation *c = NULL;
    struct motley_error problem = {0};
    (void)state;
    require(motley_coactivation_read(context, "/nowhere/at all", &c, &problem) == MOTLEY_E_IO, "there is no such file");
    require(problem.rank == 0 && strstr(problem.text, "/nowhere/at all"), "it is named");
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    rank = motley_context_rank(context);
    R = motley_context_size(context);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_samples_do_not_depend_on_ranks), cmocka_unit_test(samples_are_fair),
        cmocka_unit_test(collaborators_equal_the_reference),         cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(placement_moves_fewer_rows_and_no_result),
        cmocka_unit_test(what_rank_0_cannot_read_fails_everywhere),
    };
    int status = cmocka_run_group_tests_name("collaborate", tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
