/* What moving bytes costs: against messages counted pair by pair, and by numbers that anybody can add up.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "profile/link.h"

enum { SEED = 41, TRIALS = 400, RANKS = 9, NODES = 4, KINDS = 3 };

static double draw(uint64_t stream, uint64_t at, double range)
{
    return range * (double)(motley__random_bits(SEED, stream, at) >> 11) * 0x1p-53;
}

static int draw_int(uint64_t stream, uint64_t at, int range)
{
    return (int)(motley__random_bits(SEED, stream, at) % (uint64_t)range);
}

static double bytes_of(const double *give, const double *take, int r, int q)
{
    return r == q ? 0 : give[r] * take[q];
}

static const struct motley__link *link_of(const struct motley__links *links, int n, int m)
{
    return n == m ? &links->inside[links->kind[n]]
                  : &links->between[links->kind[n] * links->kinds + links->kind[m]];
}

static double over(double bytes, double bandwidth)
{
    return bandwidth > 0 ? bytes / bandwidth : 0;
}

/* Seconds until the link of node n has moved what goes out of it, or (in) comes into it. */
static double node_seconds(const struct motley__links *links, const double *give, const double *take, int n, int in)
{
    double to[NODES] = {0}, all = 0, rate = 0, longest = 0;
    for (int r = 0; r < links->R; r++)
        for (int q = 0; q < links->R; q++) {
            const int here = links->node[in ? q : r], there = links->node[in ? r : q];
            if (here != n || there == n || bytes_of(give, take, r, q) == 0)
                continue;
            to[there] += bytes_of(give, take, r, q);
            all += bytes_of(give, take, r, q);
        }
    for (int m = 0; m < links->nodes; m++) {
        if (to[m] == 0)
            continue;
        const double bandwidth = link_of(links, n, m)->bandwidth;
        rate = fmax(rate, bandwidth > 0 ? bandwidth : INFINITY);
        longest = fmax(longest, over(to[m], bandwidth));
    }
    return rate > 0 ? fmax(all / rate, longest) : 0;
}

/* Seconds of the slowest rank within node n. */
static double memory_seconds(const struct motley__links *links, const double *give, const double *take, int n)
{
    double slowest = 0;
    for (int r = 0; r < links->R; r++) {
        double out = 0, in = 0;
        for (int q = 0; q < links->R && links->node[r] == n; q++)
            if (links->node[q] == n) {
                out += bytes_of(give, take, r, q);
                in += bytes_of(give, take, q, r);
            }
        slowest = fmax(slowest, over(fmax(out, in), links->inside[links->kind[n]].bandwidth));
    }
    return slowest;
}

/* Of rank r: every message it sends and receives, and every link that has some of them. */
static double slow_seconds(const struct motley__links *links, const double *give, const double *take, int messages,
                           int r)
{
    const int n = links->node[r];
    double latency = 0, sent = 0, received = 0, bytes = 0;
    for (int q = 0; q < links->R; q++) {
        const int m = links->node[q];
        const struct motley__link *link = link_of(links, n, m);
        const int out = bytes_of(give, take, r, q) > 0, in = bytes_of(give, take, q, r) > 0;
        if (out || in)
            latency = fmax(latency, link->latency);
        sent += out * link->message;
        received += in * link->message;
        if (m == n && (out || in))
            bytes = fmax(bytes, memory_seconds(links, give, take, n));
        if (m != n && out)
            bytes = fmax(bytes, fmax(node_seconds(links, give, take, n, 0), node_seconds(links, give, take, m, 1)));
        if (m != n && in)
            bytes = fmax(bytes, fmax(node_seconds(links, give, take, n, 1), node_seconds(links, give, take, m, 0)));
    }
    return latency + messages * fmax(sent, received) + bytes;
}

static struct motley__link draw_link(uint64_t at)
{
    return (struct motley__link){draw(1, at, 1e-4), draw(2, at, 1e-5), draw_int(3, at, 5) ? 1e6 + draw(4, at, 1e9) : 0};
}

static void draw_links(uint64_t trial, struct motley__links *links)
{
    const int R = 1 + draw_int(5, trial, RANKS), nodes = 1 + draw_int(6, trial, NODES);
    const int kinds = 1 + draw_int(7, trial, nodes < KINDS ? nodes : KINDS);
    assert_int_equal(motley__links_alloc(R, nodes, kinds, links, NULL), 0);
    for (int r = 0; r < R; r++)
        links->node[r] = draw_int(8, trial * 100 + (uint64_t)r, nodes);
    for (int n = 0; n < nodes; n++)
        links->kind[n] = draw_int(9, trial * 100 + (uint64_t)n, kinds);
    for (int k = 0; k < kinds; k++) {
        links->inside[k] = draw_link(trial * 100 + (uint64_t)k);
        for (int m = 0; m <= k; m++)
            links->between[k * kinds + m] = links->between[m * kinds + k] =
                draw_link(trial * 100 + 10 + (uint64_t)(k * kinds + m));
    }
}

static void close_to(double value, double wanted)
{
    assert_true(fabs(value - wanted) <= 1e-9 * fabs(wanted) + 1e-18);
}

/* Nodes without ranks, ranks that give or take nothing, kinds without nodes and links never measured are among them. */
static void as_pair_by_pair(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        struct motley__links links;
        struct motley__traffic traffic;
        double give[RANKS], take[RANKS], seconds[RANKS], bytes = 0, node_bytes = 0, slowest = 0;
        const int messages = 1 + draw_int(10, trial, 3);
        draw_links(trial, &links);
        for (int r = 0; r < links.R; r++) {
            const uint64_t at = trial * 100 + (uint64_t)r;
            give[r] = draw_int(11, at, 4) ? draw(12, at, 1e5) : 0;
            take[r] = draw_int(13, at, 4) ? draw(14, at, 1) : 0;
        }
        assert_int_equal(motley__link_exchange(&links, give, take, messages, seconds, &traffic, NULL), 0);
        for (int r = 0; r < links.R; r++) {
            close_to(seconds[r], slow_seconds(&links, give, take, messages, r));
            slowest = fmax(slowest, seconds[r]);
            for (int q = 0; q < links.R; q++) {
                bytes += bytes_of(give, take, r, q);
                node_bytes += links.node[r] == links.node[q] ? 0 : bytes_of(give, take, r, q);
            }
        }
        assert_true(traffic.seconds == slowest);
        assert_true(fabs(traffic.bytes - bytes) <= 1e-9 * bytes);
        assert_true(fabs(traffic.node_bytes - node_bytes) <= 1e-9 * bytes);
        motley__links_clear(&links);
    }
}

/* Two nodes of two ranks, 100 MB/s between them: 2 ranks send 2 MB each over one link. */
static void link_is_shared(void **state)
{
    (void)state;
    const double give[] = {1e6, 1e6, 1e6, 1e6}, take[] = {1, 1, 1, 1}, none[] = {0, 0, 0, 0};
    struct motley__links links;
    struct motley__traffic traffic;
    double seconds[4];
    assert_int_equal(motley__links_alloc(4, 2, 1, &links, NULL), 0);
    links.node[2] = links.node[3] = 1;
    links.between[0] = (struct motley__link){1e-3, 1e-4, 1e8};
    links.inside[0] = (struct motley__link){1e-6, 1e-7, 1e9};
    assert_int_equal(motley__link_exchange(&links, give, take, 1, seconds, &traffic, NULL), 0);
    for (int r = 0; r < 4; r++)
        close_to(seconds[r], 1e-3 + 2 * 1e-4 + 1e-7 + 4e6 / 1e8);
    close_to(traffic.bytes, 12e6);
    close_to(traffic.node_bytes, 8e6);
    assert_int_equal(motley__link_exchange(&links, give, none, 1, seconds, &traffic, NULL), 0);
    assert_true(traffic.seconds == 0 && traffic.bytes == 0);
    motley__links_clear(&links);
}

/* One rank alone, and more bytes never faster. */
static void edges(void **state)
{
    (void)state;
    struct motley__links links;
    struct motley__traffic traffic;
    double one = 5, before = 0;
    assert_int_equal(motley__links_alloc(1, 1, 1, &links, NULL), 0);
    links.inside[0] = (struct motley__link){1, 1, 1};
    assert_int_equal(motley__link_exchange(&links, &one, &one, 1, NULL, &traffic, NULL), 0);
    assert_true(traffic.seconds == 0 && traffic.bytes == 0);
    motley__links_clear(&links);
    motley__links_clear(NULL);
    draw_links(3, &links);
    for (double more = 1; more < 1e9; more *= 7) {
        double give[RANKS], take[RANKS];
        for (int r = 0; r < links.R; r++) {
            give[r] = more;
            take[r] = 1 + r;
        }
        assert_int_equal(motley__link_exchange(&links, give, take, 1, NULL, &traffic, NULL), 0);
        assert_true(traffic.seconds >= before);
        before = traffic.seconds;
    }
    motley__links_clear(&links);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_pair_by_pair),
        cmocka_unit_test(link_is_shared),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
