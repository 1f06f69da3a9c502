/* Experts' matrices between random placements: gathered and summed, every layout, storage type and size of piece.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <mpi.h>

#include "routing.h"

#include "device/queue.h"
#include "exchange/redistribution.h"

static motley_context *context;

enum { D = 20, PROJECTIONS = 5 };

/* What a trial is about; the same on all ranks. */
struct trial {
    int E, F, number;
    struct motley__projection projection[PROJECTIONS];
    struct motley__placement from, to;
};

static int draw(int trial, int what, int below)
{
    return (int)(motley__random_bits(11, (uint64_t)trial, (uint64_t)what) % (uint64_t)below);
}

/* Element (o,i) of a projection of expert e as rank r has it: small whole numbers, exact in all types, or any. */
static float whole_number(int p, int e, int o, int i)
{
    return (float)(1 + motley__random_bits(3, (uint64_t)(p * 100 + e), (uint64_t)(o * 1000 + i)) % 250);
}

static float any_number(int r, int p, int e, int o, int i)
{
    return (float)motley__random_normal(5, (uint64_t)(r * 1000 + p * 100 + e), (uint64_t)(o * 1000 + i));
}

/* Some rank that is in a group. */
static int server(int trial, int expert, const int *group)
{
    int rank = draw(trial, 100 + expert, context->size);
    while (group[rank] == context->size)
        rank = (rank + 1) % context->size;
    return rank;
}

/* Ranks fall into groups at random, some into none; experts go to groups, each group cuts its hidden dimension. */
static void random_partition(int trial, int E, int F, struct motley__placement *placement)
{
    enum { MOST = 8 };
    const int R = context->size, grain = draw(trial, 0, 2) ? 8 : 1;
    int group[MOST], first[MOST + 1] = {0};
    SUCCEED(motley__placement_alloc(R, E, F, placement, &error));
    for (int r = 0; r < R; r++)
        group[r] = r ? draw(trial, 10 + r, R + 1) : 0; /* group R is idle */
    for (int g = 0; g < R; g++) {
        int members = 0, seen = 0, experts = 0;
        for (int r = 0; r < R; r++)
            members += group[r] == g;
        for (int m = 0; m <= members; m++) /* where slices begin: ascending */
            first[m] = m == members ? F : m == 0 ? 0 : F * m / members / grain * grain;
        for (int e = 0; e < E; e++)
            experts += group[server(trial, e, group)] == g;
        for (int r = 0; r < R; r++) {
            struct motley__holding *h = &placement->rank[r];
            if (group[r] != g)
                continue;
            h->begin = first[seen];
            h->end = first[++seen];
            SUCCEED(motley__holding_alloc(h, h->begin < h->end ? experts : 0, &error));
            for (int e = 0, n = 0; e < E && n < h->experts; e++)
                if (group[server(trial, e, group)] == g)
                    h->expert[n++] = e;
        }
    }
    SUCCEED(motley__placement_partition(placement, &error));
}

/* Any experts, any slice: what several ranks hold, and what none does. */
static void random_holdings(int trial, int E, int F, struct motley__placement *placement)
{
    SUCCEED(motley__placement_alloc(context->size, E, F, placement, &error));
    for (int r = 0; r < context->size; r++) {
        struct motley__holding *h = &placement->rank[r];
        int experts = 0;
        for (int e = 0; e < E; e++)
            experts += draw(trial, 200 + r * 50 + e, 2);
        SUCCEED(motley__holding_alloc(h, experts, &error));
        for (int e = 0, n = 0; e < E; e++)
            if (draw(trial, 200 + r * 50 + e, 2))
                h->expert[n++] = e;
        h->begin = draw(trial, 500 + r, 3) ? 0 : draw(trial, 510 + r, F);
        h->end = h->begin + 1 + draw(trial, 520 + r, F - h->begin);
    }
}

static void open_wide_trial(int number, int F, enum motley_dtype dtype, struct trial *t)
{
    static const int experts[] = {1, 3, 7, 2};
    *t = (struct trial){.E = experts[number % 4], .F = F, .number = number};
    const struct motley__projection projection[PROJECTIONS] = {
        {MOTLEY__HIDDEN_ROWS, dtype, t->F, D}, {MOTLEY__HIDDEN_COLUMNS, dtype, D, t->F},
        {MOTLEY__HIDDEN_ROWS, dtype, t->F, D}, {MOTLEY__HIDDEN_COLUMNS, MOTLEY_F32, 1, t->F},
        {MOTLEY__HIDDEN_NONE, MOTLEY_F32, 1, D},
    };
    memcpy(t->projection, projection, sizeof projection);
}

static void open_trial(int number, enum motley_dtype dtype, struct trial *t)
{
    static const int hidden[] = {48, 37, 64};
    open_wide_trial(number, hidden[number % 3], dtype, t);
}

static void close_trial(struct trial *t)
{
    motley__placement_clear(&t->from);
    motley__placement_clear(&t->to);
}

/* Height of a rank's panels: none, all alike, unlike. */
static int panel_of(int trial, int rank, int projection)
{
    static const int unlike[] = {16, 1, 8, 4};
    return projection > 2 ? 1 : trial % 3 == 0 ? 1 : trial % 3 == 1 ? 8 : unlike[rank % 4];
}

static struct motley__part_shape shape_of(const struct trial *t, const struct motley__holding *h, int p)
{
    const struct motley__projection *projection = &t->projection[p];
    if (!h->experts)
        return (struct motley__part_shape){0, 0, 1, 1};
    return motley__part_of(projection->hidden, h->begin, h->end, projection->O, projection->I);
}

/* Matrices of a holding, in segments of two experts. */
static void make(const struct trial *t, const struct motley__holding *h, int rank,
                 struct motley__matrix *m[PROJECTIONS])
{
    struct motley__device *device = context->device;
    const uint64_t limit = device->max_buffer_bytes;
    for (int p = 0; p < PROJECTIONS; p++) {
        const struct motley__part_shape part = shape_of(t, h, p);
        const int panel = panel_of(t->number, rank, p);
        device->max_buffer_bytes = 2 * motley__matrix_numbers(part.O, part.I, panel) *
                                   motley__storage_bytes(t->projection[p].dtype);
        SUCCEED(motley__matrix_create(device, t->projection[p].dtype, h->experts, part.O, part.I, panel, NULL, &m[p],
                                      &error));
    }
    device->max_buffer_bytes = limit;
}

static void destroy(struct motley__matrix *m[PROJECTIONS])
{
    for (int p = 0; p < PROJECTIONS; p++)
        motley__matrix_destroy(m[p]);
}

typedef float (*number_function)(int r, int p, int e, int o, int i);

static float weight(int r, int p, int e, int o, int i)
{
    (void)r;
    return whole_number(p, e, o, i);
}

static void fill(const struct trial *t, const struct motley__holding *h, number_function number,
                 struct motley__matrix *m[PROJECTIONS])
{
    for (int p = 0; p < PROJECTIONS; p++) {
        const struct motley__part_shape part = shape_of(t, h, p);
        float *values = ARRAY(float, part.O * part.I);
        for (int e = 0; e < h->experts; e++) {
            for (int o = 0; o < part.O; o++)
                for (int i = 0; i < part.I; i++)
                    values[o * part.I + i] = number(context->rank, p, h->expert[e], part.row + o, part.column + i);
            SUCCEED(motley__matrix_set(m[p], e, values, &error));
        }
        free(values);
    }
}

/* Does a rank bring element (o,i)?  b2 comes from those that begin at 0. */
static int brings(const struct trial *t, int r, int p, int e, int o, int i)
{
    const struct motley__holding *h = &t->from.rank[r];
    const int hidden = t->projection[p].hidden == MOTLEY__HIDDEN_ROWS ? o
                       : t->projection[p].hidden == MOTLEY__HIDDEN_COLUMNS ? i : 0;
    return motley__holding_find(h, e) >= 0 && h->begin <= hidden && hidden < h->end;
}

static float sum_of(const struct trial *t, float start, int p, int e, int o, int i)
{
    for (int r = 0; r < context->size; r++)
        if (brings(t, r, p, e, o, i))
            start += any_number(r, p, e, o, i);
    return start;
}

/* Whoever does not begin at 0 is given no b2. */
static void check(const struct trial *t, int sum, int accumulate, struct motley__matrix *m[PROJECTIONS])
{
    const struct motley__holding *h = &t->to.rank[context->rank];
    for (int p = 0; p < PROJECTIONS; p++) {
        const struct motley__part_shape part = shape_of(t, h, p);
        const int given = t->projection[p].hidden != MOTLEY__HIDDEN_NONE || h->begin == 0;
        float *values = ARRAY(float, part.O * part.I);
        for (int n = 0; n < h->experts; n++) {
            SUCCEED(motley__matrix_get(m[p], n, values, &error));
            for (int j = 0; j < part.O * part.I && (given || sum); j++) {
                const int e = h->expert[n], o = part.row + j / part.I, i = part.column + j % part.I;
                const float before = accumulate ? whole_number(p, e, o, i) : 0;
                const float expected = !sum ? whole_number(p, e, o, i) : given ? sum_of(t, before, p, e, o, i) : before;
                if (values[j] != expected)
                    fail_msg("rank %d, projection %d of expert %d: (%d,%d) is %g, expected %g", context->rank, p, e, o,
                             i, values[j], expected);
            }
        }
        free(values);
    }
}

/* Twice through one redistribution, as layers do. */
static void run(const struct trial *t, int sum, size_t piece_bytes)
{
    const struct motley__redistribution_options options = {.name = "test weights", .tag = 77, .sum = sum,
                                                           .piece_bytes = piece_bytes};
    const struct motley__holding *mine = &t->from.rank[context->rank], *wanted = &t->to.rank[context->rank];
    struct motley__matrix *from[PROJECTIONS], *to[PROJECTIONS];
    struct motley__redistribution *r;
    int panel[PROJECTIONS];
    for (int p = 0; p < PROJECTIONS; p++)
        panel[p] = panel_of(t->number, context->rank, p);
    const uint64_t used = context->device->used_bytes;
    SUCCEED(motley__redistribution_create(context, &t->from, &t->to, t->projection, panel, PROJECTIONS, &options, &r,
                                          &error));
    assert_int_equal(context->device->used_bytes - used, motley__redistribution_memory(r));
    make(t, mine, context->rank, from);
    make(t, wanted, context->rank, to);
    fill(t, mine, sum ? any_number : weight, from);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        if (sum) /* otherwise wrong numbers would stay unseen */
            fill(t, wanted, weight, to);
        SUCCEED(motley__queue_wait(context->device, &error));
        SUCCEED(motley__redistribution_begin(r, from, to, accumulate, &error));
        SUCCEED(motley__redistribution_wait(r, &error));
        check(t, sum, accumulate, to);
    }
    motley__redistribution_destroy(r);
    destroy(from);
    destroy(to);
    assert_int_equal(context->device->used_bytes, used);
}

static const size_t pieces[] = {100, 1000, 0};

static void weights_are_gathered(void **state)
{
    (void)state;
    for (int n = 0; n < 24; n++) {
        struct trial t;
        open_trial(n, n % 2 ? MOTLEY_BF16 : MOTLEY_F32, &t);
        random_partition(2 * n, t.E, t.F, &t.from);
        if (n % 4 == 0)
            SUCCEED(motley__placement_everything(context->size, t.E, t.F, &t.to, &error));
        else if (n % 4 == 1)
            random_holdings(n, t.E, t.F, &t.to);
        else
            random_partition(2 * n + 1, t.E, t.F, &t.to);
        run(&t, 0, pieces[n % 3]);
        close_trial(&t);
    }
}

static void gradients_are_summed_in_the_order_of_ranks(void **state)
{
    (void)state;
    for (int n = 0; n < 18; n++) {
        struct trial t;
        open_trial(n, MOTLEY_F32, &t);
        if (n % 3)
            SUCCEED(motley__placement_everything(context->size, t.E, t.F, &t.from, &error));
        else
            random_holdings(n, t.E, t.F, &t.from);
        random_partition(n, t.E, t.F, &t.to);
        run(&t, 1, pieces[n / 3 % 3]);
        close_trial(&t);
    }
}

/* As on a device whose memory is not the host's, and with the kernels as GPUs have them. */
static void pieces_are_staged_where_memory_is_not_shared(void **state)
{
    (void)state;
    const int zero_copy = context->device->zero_copy, is_gpu = context->device->info.is_gpu;
    context->device->zero_copy = 0;
    context->device->info.is_gpu = 1;
    for (int n = 0; n < 6; n++) {
        struct trial t;
        open_trial(n, MOTLEY_F32, &t);
        random_partition(n, t.E, t.F, n % 2 ? &t.from : &t.to);
        SUCCEED(motley__placement_everything(context->size, t.E, t.F, n % 2 ? &t.to : &t.from, &error));
        run(&t, !(n % 2), pieces[n % 3]);
        close_trial(&t);
    }
    context->device->zero_copy = zero_copy;
    context->device->info.is_gpu = is_gpu;
}

/* Pieces of many messages, of which few may be under way: some ranks on this node, some on another. */
static void few_messages_go_to_another_node_at_once(void **state)
{
    (void)state;
    int *const node_of = context->node_of, *apart = ARRAY(int, context->size);
    for (int r = 0; r < context->size; r++)
        apart[r] = r % 2;
    context->node_of = apart;
    for (int n = 1; n < 4; n++) {
        struct trial t;
        open_wide_trial(n, 4001, n % 2 ? MOTLEY_F32 : MOTLEY_BF16, &t);
        random_partition(n, t.E, t.F, n % 2 ? &t.to : &t.from);
        SUCCEED(motley__placement_everything(context->size, t.E, t.F, n % 2 ? &t.from : &t.to, &error));
        run(&t, n % 2, 0);
        close_trial(&t);
    }
    context->node_of = node_of;
    free(apart);
}

/* Every rank holds the same part: what it sends is what all others lack. */
static void bytes_are_counted(void **state)
{
    (void)state;
    const int R = context->size;
    struct trial t;
    struct motley__redistribution *r;
    const int panel[PROJECTIONS] = {1, 1, 1, 1, 1};
    int64_t nodes;
    open_trial(0, MOTLEY_BF16, &t);
    SUCCEED(motley__placement_everything(R, t.E, t.F, &t.from, &error));
    for (int i = 0; i < R; i++) {
        t.from.rank[i].begin = t.F / R * i;
        t.from.rank[i].end = i == R - 1 ? t.F : t.F / R * (i + 1);
    }
    SUCCEED(motley__placement_everything(R, t.E, t.F, &t.to, &error));
    const struct motley__redistribution_options options = {.name = "test weights", .tag = 77};
    SUCCEED(motley__redistribution_create(context, &t.from, &t.to, t.projection, panel, PROJECTIONS, &options, &r,
                                          &error));
    const struct motley__holding *mine = &t.from.rank[context->rank];
    const int64_t per_row = 3 * D * 2 + 4, bias = mine->begin == 0 ? D * 4 : 0;
    assert_int_equal(motley__redistribution_bytes(r, &nodes),
                     (R - 1) * t.E * ((mine->end - mine->begin) * per_row + bias));
    assert_int_equal(nodes, 0); /* all ranks of a test share one node */
    assert_true(motley__redistribution_memory(r) <=
                2 * MOTLEY__REDISTRIBUTION_SLOTS * (uint64_t)MOTLEY__PIECE_BYTES + 4 * 4 * (uint64_t)(t.E * R));
    motley__redistribution_destroy(r);
    close_trial(&t);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_gathered), cmocka_unit_test(gradients_are_summed_in_the_order_of_ranks),
        cmocka_unit_test(pieces_are_staged_where_memory_is_not_shared),
        cmocka_unit_test(few_messages_go_to_another_node_at_once), cmocka_unit_test(bytes_are_counted),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
