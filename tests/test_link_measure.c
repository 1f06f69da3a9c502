/* Links measured: what is timed explains what plain messages take, lies are found, and everybody knows the same.
 *
 * The nodes of most tests are made up, a rank or two each, so that links between nodes are measured on one machine.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>

#include "profile_context.h"

#include "base/clock.h"
#include "measure/link_measure.h"
#include "measure/link_probe.h"
#include "measure/link_rounds.h"

static void fit_finds_the_link(void **state)
{
    (void)state;
    const struct motley__link link = {3e-5, 2e-6, 2.5e7};
    for (int peers = 1; peers < 9; peers += 3) {
        const struct motley__link_times times = {
            .peers = peers, .messages = 16, .few = link.latency + peers * link.message,
            .many = link.latency + 16 * peers * link.message, .bytes = 5e5, .pieces = 9,
            .large = link.latency + 9 * peers * link.message + 5e5 / link.bandwidth};
        const struct motley__link found = motley__link_fit(&times);
        assert_true(fabs(found.latency / link.latency - 1) < 1e-3 && fabs(found.message / link.message - 1) < 1e-3);
        assert_true(fabs(found.bandwidth / link.bandwidth - 1) < 1e-3);
    }
    /* Noise may turn everything round: still no negative number, and a bandwidth. */
    const struct motley__link_times noise = {.peers = 2, .messages = 16, .few = 1e-3, .many = 5e-4, .large = 9e-4,
                                             .pieces = 3, .bytes = 100};
    const struct motley__link odd = motley__link_fit(&noise);
    assert_true(odd.latency >= 0 && odd.message >= 0 && odd.bandwidth > 0 && isfinite(odd.bandwidth));
    const struct motley__link_times dear = {.peers = 2, .messages = 16, .few = 1e-5, .many = 1e-2, .large = 1,
                                            .pieces = 1, .bytes = 100};
    assert_true(motley__link_fit(&dear).latency >= 0);
}

/* No node is twice in a round, kinds that can meet do, and few rounds do for many nodes. */
static void rounds_keep_nodes_apart(void **state)
{
    (void)state;
    static const struct {
        int nodes, kinds, most_rounds;
    } cases[] = {{1, 1, 0}, {2, 2, 1}, {3, 3, 3}, {8, 8, 9}, {7, 3, 9}, {1000, 4, 12}, {1000, 1, 1}, {9, 2, 6}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const int nodes = cases[c].nodes, kinds = cases[c].kinds;
        struct motley__meeting *meeting;
        int kind[1000], met[64] = {0}, count, rounds;
        for (int n = 0; n < nodes; n++)
            kind[n] = n % kinds;
        assert_int_equal(motley__link_rounds(nodes, kind, kinds, &meeting, &count, &rounds, NULL), 0);
        assert_in_range(rounds, 0, cases[c].most_rounds);
        for (int i = 0; i < count; i++) {
            const int *node = meeting[i].node, a = kind[node[0]], b = kind[node[1]];
            assert_true(node[0] >= 0 && node[0] < node[1] && node[1] < nodes);
            assert_in_range(meeting[i].round, 0, rounds - 1);
            met[a * kinds + b]++;
            met[b * kinds + a] += a != b;
            for (int j = 0; j < i; j++) {
                const int *other = meeting[j].node;
                assert_false(node[0] == other[0] && node[1] == other[1]);
                assert_false(meeting[i].round == meeting[j].round && (node[0] == other[0] || node[0] == other[1] ||
                                                                      node[1] == other[0] || node[1] == other[1]));
            }
        }
        for (int a = 0; a < kinds; a++)
            for (int b = 0; b < kinds; b++)
                assert_in_range(met[a * kinds + b], a != b || nodes >= 2 * kinds, MOTLEY__MEETINGS);
        free(meeting);
    }
}

/* Few nodes are kinds of their own; of many those with the same devices are one, and there are at most eight kinds. */
static void many_nodes_are_few_kinds(void **state)
{
    (void)state;
    enum { NODES = 40, PER_NODE = 2 };
    struct motley_device_info info[NODES * PER_NODE] = {0};
    int node_of[NODES * PER_NODE], kind[NODES], kinds;
    motley_context many = {.size = 3 * PER_NODE, .node_of = node_of, .info = info};
    for (int r = 0; r < NODES * PER_NODE; r++) {
        node_of[r] = r / PER_NODE;
        strcpy(info[r].name, r / PER_NODE % 3 == 1 && r % PER_NODE ? "slow" : "fast");
    }
    motley__link_kinds(&many, 3, kind, &kinds);
    assert_int_equal(kinds, 3);
    many.size = NODES * PER_NODE;
    motley__link_kinds(&many, NODES, kind, &kinds);
    assert_int_equal(kinds, 2);
    for (int n = 0; n < NODES; n++)
        assert_int_equal(kind[n], n % 3 == 1);
    many.size--; /* the last node has one rank less */
    motley__link_kinds(&many, NODES, kind, &kinds);
    assert_int_equal(kinds, 3);
    assert_int_equal(kind[NODES - 1], 2);
    for (int r = 0; r < NODES * PER_NODE; r++)
        snprintf(info[r].name, sizeof info[r].name, "device %d", r);
    motley__link_kinds(&many, NODES, kind, &kinds);
    assert_int_equal(kinds, 8);
    for (int n = 0; n < NODES; n++)
        assert_int_equal(kind[n], n < 8 ? n : 7);
}

/* Pretend that `ranks` neighbours in turn are a node; returns the number of nodes. */
static int make_nodes(int ranks)
{
    for (int r = 0; r < context->size; r++)
        context->node_of[r] = r / ranks;
    return (context->size - 1) / ranks + 1;
}

static double of_rank_0(double value)
{
    MPI_Bcast(&value, 1, MPI_DOUBLE, 0, context->comm);
    return value;
}

static void assert_alike_everywhere(const struct motley__link *link)
{
    assert_true(of_rank_0(link->latency) == link->latency && of_rank_0(link->message) == link->message);
    assert_true(of_rank_0(link->bandwidth) == link->bandwidth);
}

/* Ranks 2i and 2i+1 exchange a megabyte by plain calls, all pairs at once: bytes per second of the slowest. */
static double plain_bandwidth(void)
{
    enum { BYTES = 1 << 20, REPEATS = 9 };
    char *out = calloc(1, BYTES), *in = calloc(1, BYTES);
    const int peer = context->rank ^ 1;
    double seconds[REPEATS];
    assert_true(out && in);
    for (int i = 0; i < REPEATS; i++) {
        MPI_Barrier(context->comm);
        seconds[i] = motley__seconds();
        if (peer < context->size)
            MPI_Sendrecv(out, BYTES, MPI_BYTE, peer, 0, in, BYTES, MPI_BYTE, peer, 0, context->comm, MPI_STATUS_IGNORE);
        seconds[i] = motley__seconds() - seconds[i];
    }
    double median = motley__median(seconds, REPEATS);
    MPI_Allreduce(MPI_IN_PLACE, &median, 1, MPI_DOUBLE, MPI_MAX, context->comm);
    free(in);
    free(out);
    return BYTES / median;
}

/* Whatever the machine does meanwhile, a link is no tenth of what messages show and no tenfold. */
static void links_are_measured(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= context->size; ranks++) {
        struct motley__profile profile = {0};
        struct motley__links links = {0};
        int changed = -1;
        const int nodes = make_nodes(ranks);
        const double begin = motley__seconds();
        assert_int_equal(motley__link_measure(context, &profile, 1, &links, &changed, NULL), 0);
        print_message("%d ranks, %d on a node: %.2f s\n", context->size, ranks, motley__seconds() - begin);
        assert_int_equal(changed, context->size > 1);
        assert_int_equal(links.nodes, nodes);
        assert_int_equal(links.kinds, nodes > 8 ? 1 : nodes); /* all have this machine's device */
        assert_int_equal(links.R, context->size);
        assert_true(nodes <= 8 || links.between[0].bandwidth > 0);
        for (int a = 0; a < nodes && nodes <= 8; a++)
            for (int b = 0; b < nodes; b++) {
                const int alone = a == b && (ranks == 1 || a * ranks + 1 == context->size);
                const struct motley__link *link = a == b ? &links.inside[a] : &links.between[a * nodes + b];
                assert_alike_everywhere(link);
                assert_true(alone == (link->bandwidth == 0));
                if (context->rank == 0 && !alone)
                    print_message("  %d-%d: %.1f us, %.2f us a message, %.0f MB/s\n", a, b, 1e6 * link->latency,
                                  1e6 * link->message, 1e-6 * link->bandwidth);
            }
        if (context->size == 2) {
            const double plain = plain_bandwidth(), found = ranks == 1 ? links.between[1].bandwidth
                                                                      : links.inside[0].bandwidth;
            print_message("  plain messages: %.0f MB/s\n", 1e-6 * plain);
            assert_true(found > 0.1 * plain && found < 10 * plain);
        }
        motley__links_clear(&links);
        motley__profile_clear(&profile);
    }
}

/* Lines off by far are forgotten wherever they came from; only rank 0's count. */
static void lies_are_found(void **state)
{
    (void)state;
    struct motley__profile profile = {0};
    struct motley__links links = {0};
    int changed;
    if (context->size == 1)
        skip();
    make_nodes(1);
    assert_int_equal(motley__link_measure(context, &profile, 0, &links, &changed, NULL), 0);
    assert_int_equal(changed, 1);
    assert_true(profile.links > 0);
    const double before = links.between[links.kinds > 1].bandwidth;
    motley__links_clear(&links);
    for (int i = 0; i < profile.links; i++)
        profile.link[i].link.bandwidth *= context->rank == 0 ? 100 : 7;
    assert_int_equal(motley__link_measure(context, &profile, 0, &links, &changed, NULL), 0);
    assert_int_equal(changed, 1);
    assert_true(links.between[links.kinds > 1].bandwidth < 30 * before);
    assert_alike_everywhere(&links.between[links.kinds > 1]);
    for (int i = 0; i < profile.links; i++)
        assert_alike_everywhere(&profile.link[i].link);
    motley__links_clear(&links);
    motley__profile_clear(&profile);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fit_finds_the_link),
        cmocka_unit_test(rounds_keep_nodes_apart),
        cmocka_unit_test(many_nodes_are_few_kinds),
        cmocka_unit_test(links_are_measured),
        cmocka_unit_test(lies_are_found),
    };
    MPI_Init(&argc, &argv);
    int failed = open_context();
    if (!failed)
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    close_context();
    MPI_Finalize();
    return failed;
}
