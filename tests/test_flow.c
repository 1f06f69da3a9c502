/* Experts' matrices too large for any test's memory, cut into pieces: bytes pass 2^31, what an int counts must not.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "device/storage.h"
#include "exchange/flow.h"

/* Whole experts, all on one of two ranks. */
static struct motley__placement all_on(int rank, int E, int F)
{
    struct motley__placement placement = {0};
    assert_int_equal(motley__placement_alloc(2, E, F, &placement, NULL), 0);
    assert_int_equal(motley__holding_alloc(&placement.rank[rank], E, NULL), 0);
    for (int e = 0; e < E; e++)
        placement.rank[rank].expert[e] = e;
    placement.rank[rank].end = F;
    return placement;
}

/* All experts of one projection go from rank 0 to rank 1, whose panels have so many outputs; flows of rank `me`. */
static int move_all(int E, struct motley__projection projection, const int panel[2], int me, size_t piece_bytes,
                    struct motley__flows *flows, struct motley_error *error)
{
    struct motley__placement from = all_on(0, E, projection.O), to = all_on(1, E, projection.O);
    const int status = motley__flows_make(&from, &to, &projection, 1, panel, me, 0, 0, piece_bytes, flows, error);
    motley__placement_clear(&from);
    motley__placement_clear(&to);
    return status;
}

/* One line after the other, each once, in pieces that are as large as may be. */
static void check_pieces(const struct motley__flows *flows, const struct motley__piece *piece, int pieces,
                         size_t number_bytes, size_t piece_bytes, int64_t bytes)
{
    int64_t sum = 0, next = 0;
    for (int i = 0; i < pieces; i++) {
        const struct motley__flow *flow = &flows->flow[piece[i].flow];
        const size_t line = (size_t)flow->args.width * number_bytes;
        assert_true(piece[i].first == next && piece[i].count > 0);
        assert_true((size_t)piece[i].count * line <= flows->largest);
        assert_true(i == pieces - 1 || ((size_t)piece[i].count + 1) * line > piece_bytes);
        next += piece[i].count;
        sum += piece[i].count * (int64_t)line;
    }
    assert_true(sum == bytes && sum > INT32_MAX);
    assert_true(flows->largest <= piece_bytes);
}

/* 64 experts of 16384 x 8192 numbers: 34 GB, from panels to panels and to another layout. */
static void bytes_pass_2_31(void **state)
{
    static const int PANELS[][2] = {{32, 32}, {32, 16}};
    const struct motley__projection w1 = {MOTLEY__HIDDEN_ROWS, MOTLEY_F32, 16384, 8192};
    const int64_t bytes = INT64_C(64) * 16384 * 8192 * 4;
    (void)state;
    for (int i = 0; i < 2; i++)
        for (size_t piece = 1 << 20; piece <= 3 << 20; piece += 1 << 21) {
            struct motley__flows flows;
            assert_int_equal(move_all(64, w1, PANELS[i], 0, piece, &flows, NULL), 0);
            assert_int_equal(flows.receives, 0);
            check_pieces(&flows, flows.send, flows.sends, sizeof(float), piece, bytes);
            motley__flows_clear(&flows);
            assert_int_equal(move_all(64, w1, PANELS[i], 1, piece, &flows, NULL), 0);
            assert_int_equal(flows.sends, 0);
            check_pieces(&flows, flows.receive, flows.receives, sizeof(float), piece, bytes);
            motley__flows_clear(&flows);
        }
}

/* Both ends of a flow must cut it alike: where panels as lines would be too long on one, both move rows.  Of 32 rows of
 * 2^26 columns rank 1 wants the first half of each. */
static void panels_that_no_int_counts_are_no_lines(void **state)
{
    enum { F = 1 << 26 };
    const struct motley__projection wide = {MOTLEY__HIDDEN_COLUMNS, MOTLEY_BF16, 32, F};
    struct motley__placement from = all_on(0, 3, F), to = all_on(1, 3, F);
    (void)state;
    to.rank[1].end = F / 2;
    for (int me = 0; me < 2; me++) {
        struct motley__flows flows;
        assert_int_equal(motley__flows_make(&from, &to, &wide, 1, (const int[]){32, 32}, me, 0, 0, 1 << 28, &flows,
                                            NULL), 0);
        assert_int_equal(flows.flow[0].args.lines, 32);
        assert_int_equal(flows.flow[0].args.width, F / 2);
        check_pieces(&flows, me ? flows.receive : flows.send, me ? flows.receives : flows.sends, 2, 1 << 28,
                     INT64_C(3) * 32 * F);
        motley__flows_clear(&flows);
    }
    motley__placement_clear(&from);
    motley__placement_clear(&to);
}

static void refuse(int E, struct motley__projection projection, size_t piece_bytes, const char *words)
{
    struct motley__flows flows;
    struct motley_error error = {0};
    assert_int_equal(move_all(E, projection, (const int[]){1, 1}, 0, piece_bytes, &flows, &error),
                     MOTLEY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, words));
    assert_true(!flows.flow && !flows.send);
}

static void what_an_int_counts_is_refused(void **state)
{
    (void)state;
    refuse(65536, (struct motley__projection){MOTLEY__HIDDEN_ROWS, MOTLEY_F32, 32768, 4}, 1 << 20,
           "65536 experts of 32768 lines");
    refuse(1, (struct motley__projection){MOTLEY__HIDDEN_ROWS, MOTLEY_F32, 2, 1 << 29}, 1 << 20,
           "lines of 2147483648 bytes");
    refuse(1, (struct motley__projection){MOTLEY__HIDDEN_ROWS, MOTLEY_F32, 65536, 32768}, 1 << 20,
           "numbers of an expert");
    refuse(1, (struct motley__projection){MOTLEY__HIDDEN_ROWS, MOTLEY_F32, 64, 64}, (size_t)1 << 31,
           "2147483648 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_2_31),
        cmocka_unit_test(panels_that_no_int_counts_are_no_lines),
        cmocka_unit_test(what_an_int_counts_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
