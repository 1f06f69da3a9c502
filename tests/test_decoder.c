/* The decoder over several ranks: its gradients against finite differences, those of two-byte storage against f32's,
 * the same numbers as one rank has alone, ranks without a sequence.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "decoder.h"
#include "layer/layer.h"
#include "product/esmm.h"

enum { S = 13, SEQUENCES = 3, MOST_EXPERTS = 8 };

/* Sequence n of the global batch. */
static void write_sequence(const struct motley__config *c, int n, uint8_t *tokens)
{
    for (int t = 0; t <= S; t++)
        tokens[t] = (uint8_t)random_int(5, (uint64_t)n, (size_t)t, c->vocabulary);
}

/* Sequences rank, rank + R, .. of the global batch: the last of four ranks has none. */
static int my_batch(const motley_context *where, const struct motley__config *c, uint8_t *tokens)
{
    int B = 0;
    for (int n = where->rank; n < SEQUENCES; n += where->size)
        write_sequence(c, n, tokens + B++ * (S + 1));
    return B;
}

/* The whole loss, the same on every rank of `where`. */
static double global_pass(motley_context *where, struct motley__decoder *decoder, int backward)
{
    const struct motley__config *c = motley__decoder_config(decoder);
    uint8_t tokens[SEQUENCES * (S + 1)];
    struct motley__pass pass;
    const int B = my_batch(where, c, tokens);
    SUCCEED(motley__decoder_pass(decoder, tokens, B, S, SEQUENCES * S, backward, &pass, &error));
    MPI_Allreduce(MPI_IN_PLACE, &pass.loss_sum, 1, MPI_DOUBLE, MPI_SUM, where->comm);
    return pass.loss_sum / (SEQUENCES * S) + c->balance_coefficient * pass.balance + c->z_coefficient * pass.z;
}

/* What this rank has of each of its experts (of the matrix, when dense). */
static struct motley__part_shape part_of(const struct motley__parameter *p)
{
    return p->placement ? motley__parameter_part(p, p->mine) : (struct motley__part_shape){0, 0, p->O, p->I};
}

/* The canonical gradient of parameter p, all experts of all ranks behind one another.  Owned by the caller. */
static float *global_gradient(motley_context *where, const struct motley__parameter *p, size_t *count)
{
    const size_t one = (size_t)(p->O * p->I);
    const struct motley__part_shape part = part_of(p);
    *count = one * (size_t)(p->placement ? p->placement->E : 1);
    float *g = ARRAY(float, *count), *mine = ARRAY(float, part.O * part.I);
    for (int e = 0; e < p->w->E; e++) {
        SUCCEED(motley__matrix_get(p->dw, e, mine, &error));
        motley__part_paste(&part, p->I, mine, g + one * (size_t)(p->placement ? p->mine->expert[e] : 0));
    }
    free(mine);
    MPI_Allreduce(MPI_IN_PLACE, g, (int)*count, MPI_FLOAT, MPI_SUM, where->comm);
    return g;
}

/* Rows of every expert, over all ranks: as often as tokens chose it. */
static void check_rows(struct motley__decoder *decoder)
{
    const struct motley__config *c = motley__decoder_config(decoder);
    double rows[MOST_EXPERTS] = {0}, chosen[MOST_EXPERTS] = {0};
    int32_t indices[SEQUENCES * S * MOST_EXPERTS];
    int T = 0;
    for (int n = context->rank; n < SEQUENCES; n += context->size)
        T += S;
    for (int layer = 0; layer < c->layers; layer++) {
        SUCCEED(motley__decoder_choices(decoder, layer, indices, &error));
        for (int i = 0; i < T * c->K; i++)
            chosen[indices[i]]++;
    }
    SUCCEED(motley__decoder_add_rows(decoder, 0, rows, &error));
    MPI_Allreduce(MPI_IN_PLACE, rows, c->E, MPI_DOUBLE, MPI_SUM, context->comm);
    MPI_Allreduce(MPI_IN_PLACE, chosen, c->E, MPI_DOUBLE, MPI_SUM, context->comm);
    for (int e = 0; e < c->E; e++)
        assert_true(rows[e] == chosen[e]);
}

static void same_as_alone(enum motley_mode mode)
{
    mode_of_plans = mode;
    const struct motley__config c = small_model(2);
    motley_plan *plan, *solo_plan;
    motley_context solo = motley__test_alone(context);
    struct motley__decoder *decoder = open_decoder(context, &c, &plan, 1),
        *one = open_decoder(&solo, &c, &solo_plan, 1);
    int count, solo_count;
    struct motley__parameter *p = motley__decoder_parameters(decoder, &count);
    struct motley__parameter *q = motley__decoder_parameters(one, &solo_count);
    const double loss = global_pass(context, decoder, 1), solo_loss = global_pass(&solo, one, 1);
    print_message("loss %.9f, alone %.9f\n", loss, solo_loss);
    assert_true(fabs(loss - solo_loss) < 1e-6 * solo_loss);
    check_rows(decoder);
    assert_int_equal(count, solo_count);
    for (int i = 0; i < count; i++) {
        size_t n, m;
        float *g = global_gradient(context, &p[i], &n), *h = global_gradient(&solo, &q[i], &m);
        double *hd = doubles_of(h, m);
        assert_int_equal(n, m);
        assert_string_equal(p[i].name, q[i].name);
        ASSERT_NEAR(g, hd, n, 1e-5);
        free(hd);
        free(h);
        free(g);
    }
    motley__decoder_destroy(one);
    motley_plan_destroy(solo_plan);
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

static void test_same_as_alone(void **state)
{
    (void)state;
    same_as_alone(MOTLEY_MODE_MODEL);
    same_as_alone(MOTLEY_MODE_DATA);
    same_as_alone(MOTLEY_MODE_EXPERT); /* as everything else here */
}

/* Data mode keeps one layer's experts beside what is stored, however many layers there are. */
static void test_one_cache_for_all_layers(void **state)
{
    (void)state;
    struct motley__config c = small_model(2);
    uint64_t bytes[2];
    mode_of_plans = MOTLEY_MODE_DATA;
    for (int i = 0; i < 2; i++) {
        uint64_t used[2];
        for (int data = 0; data < 2; data++) { /* beside the same parts in mode model */
            motley_plan *plan;
            mode_of_plans = data ? MOTLEY_MODE_DATA : MOTLEY_MODE_MODEL;
            const uint64_t before = context->device->used_bytes;
            struct motley__decoder *decoder = open_decoder(context, &c, &plan, 1);
            used[data] = context->device->used_bytes - before;
            motley__decoder_destroy(decoder);
            motley_plan_destroy(plan);
        }
        bytes[i] = used[1] - used[0];
        c.layers += 3;
    }
    mode_of_plans = MOTLEY_MODE_EXPERT;
    const int panel = motley__esmm_panel(context->device, MOTLEY_F32);
    const struct motley_layer_shape shape = {.D = c.D, .F = c.F, .E = c.E, .activation = MOTLEY_SWIGLU};
    const uint64_t tables = (uint64_t)c.E * sizeof(int) * 3; /* of experts' servers, which data mode has not */
    print_message("cache %llu bytes\n", (unsigned long long)bytes[0]);
    if (context->size > 1) {
        assert_int_equal(bytes[0], bytes[1] + tables);
        assert_true(bytes[0] >= motley__experts_bytes(&shape, c.E, 0, panel, 1, 0));
    } else {
        assert_int_equal(bytes[0], 0);
    }
}

/* Every rank moves its copy (or its experts) of parameter p by `step` along the unit vector of g. */
static double loss_at(struct motley__decoder *decoder, struct motley__parameter *p, float *const *start, const float *g,
                      double size, double step)
{
    const int one = p->w->O * p->w->I;
    const struct motley__part_shape part = part_of(p);
    float *w = ARRAY(float, one), *direction = ARRAY(float, one);
    for (int e = 0; e < p->w->E; e++) {
        motley__part_cut(&part, p->I, g + p->O * p->I * (p->placement ? p->mine->expert[e] : 0), direction);
        for (int j = 0; j < one; j++)
            w[j] = (float)(start[e][j] + step * direction[j] / size);
        SUCCEED(motley__matrix_set(p->w, e, w, &error));
    }
    free(direction);
    free(w);
    return global_pass(context, decoder, 0);
}

/* Along its own gradient a parameter's loss rises by the gradient's length. */
static void check_parameter(struct motley__decoder *decoder, struct motley__parameter *p, double step)
{
    enum { EXPERTS = MOST_EXPERTS };
    size_t n;
    float *g = global_gradient(context, p, &n), *start[EXPERTS];
    double size = 0;
    for (size_t i = 0; i < n; i++)
        size += (double)g[i] * g[i];
    size = sqrt(size);
    for (int e = 0; e < p->w->E; e++) {
        start[e] = ARRAY(float, p->w->O * p->w->I);
        SUCCEED(motley__matrix_get(p->w, e, start[e], &error));
    }
    const double near = loss_at(decoder, p, start, g, size, step) - loss_at(decoder, p, start, g, size, -step);
    const double far = loss_at(decoder, p, start, g, size, 2 * step) - loss_at(decoder, p, start, g, size, -2 * step);
    const double found = (8 * near - far) / (12 * step);
    loss_at(decoder, p, start, g, size, 0);
    if (context->rank == 0)
        print_message("%-60s slope %.6f, gradient %.6f\n", p->name, found, size);
    assert_true(size > 1e-4);
    assert_true(fabs(found - size) < 2e-3 * size + 2e-5);
    for (int e = 0; e < p->w->E; e++)
        free(start[e]);
    free(g);
}

/* All experts chosen and no balance loss, which jumps when a first choice changes: the loss is smooth. */
static void test_gradients(void **state)
{
    (void)state;
    struct motley__config c = small_model(5);
    c.balance_coefficient = 0;
    motley_plan *plan;
    struct motley__decoder *decoder = open_decoder(context, &c, &plan, 1);
    int count;
    struct motley__parameter *p = motley__decoder_parameters(decoder, &count);
    for (int i = 0; i < count; i++) {
        global_pass(context, decoder, 1);
        check_parameter(decoder, &p[i], 0.04);
    }
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

/* With choices and the balance loss: steps so small that no token changes its mind (true for this fixed seed). */
static void test_gradients_of_losses(void **state)
{
    (void)state;
    const struct motley__config c = small_model(2);
    motley_plan *plan = deal(&c, context->size);
    struct motley__decoder *decoder = NULL;
    int count;
    SUCCEED(motley__decoder_create(context, &c, plan, 1, 1, &decoder, &error));
    enlarge(decoder);
    struct motley__parameter *p = motley__decoder_parameters(decoder, &count);
    for (int i = 0; i < count; i += 3) {
        global_pass(context, decoder, 1);
        check_parameter(decoder, &p[i], 0.003);
    }
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

/* The f32 model gets the weights of the other, which it holds exactly. */
static void copy_weights(struct motley__decoder *from, struct motley__decoder *to)
{
    int count;
    struct motley__parameter *p = motley__decoder_parameters(from, &count),
        *q = motley__decoder_parameters(to, &count);
    for (int i = 0; i < count; i++) {
        float *w = ARRAY(float, p[i].w->O * p[i].w->I);
        for (int e = 0; e < p[i].w->E; e++) {
            SUCCEED(motley__matrix_get(p[i].w, e, w, &error));
            SUCCEED(motley__matrix_set(q[i].w, e, w, &error));
        }
        free(w);
    }
}

/* A row is rounded about ten times in each of two blocks, on its way there and on its way back, each time by at most u
 * of what it is, and usually half of that, in no direction: some sqrt(40) u / 2 in all.  Queries and keys, behind a
 * softmax of large scores, have 4.2 u; twice that is allowed. */
static void near_f32(enum motley_dtype dtype)
{
    struct motley__config c = small_model(5);
    const double u = rounding(dtype), limit = 8 * u;
    motley_plan *plan, *stored_plan;
    struct motley__decoder *decoder = open_decoder(context, &c, &plan, 1),
        *stored = open_stored_decoder(context, &c, dtype, &stored_plan, 1);
    int count;
    struct motley__parameter *p = motley__decoder_parameters(decoder, &count),
        *q = motley__decoder_parameters(stored, &count);
    copy_weights(stored, decoder);
    const double loss = global_pass(context, decoder, 1), stored_loss = global_pass(context, stored, 1);
    if (context->rank == 0)
        print_message("loss %.6f, stored in two bytes %.6f\n", loss, stored_loss);
    assert_true(loss != stored_loss && fabs(loss - stored_loss) < u * loss);
    for (int i = 0; i < count; i++) {
        size_t n;
        float *g = global_gradient(context, &p[i], &n), *h = global_gradient(context, &q[i], &n);
        double *gd = doubles_of(g, n);
        if (context->rank == 0)
            print_message("%-60s error %.2f u\n", p[i].name, relative_error(h, gd, n) / u);
        ASSERT_NEAR(h, gd, n, limit);
        free(gd);
        free(h);
        free(g);
    }
    motley__decoder_destroy(stored);
    motley_plan_destroy(stored_plan);
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

static void test_two_bytes_are_near_four(void **state)
{
    (void)state;
    near_f32(MOTLEY_BF16);
    if (context->size == 1) /* kernels of a third type to build: once is enough */
        near_f32(MOTLEY_F16);
}

static void repeat(enum motley_dtype dtype)
{
    const struct motley__config c = small_model(2);
    motley_plan *plan;
    struct motley__decoder *decoder = open_stored_decoder(context, &c, dtype, &plan, 1);
    struct motley__buffer *gradients = motley__decoder_dense_gradients(decoder);
    const double first = global_pass(context, decoder, 1);
    void *before = host_array(gradients->bytes, 1), *after = host_array(gradients->bytes, 1);
    SUCCEED(motley__buffer_read(gradients, 0, before, gradients->bytes, &error));
    const double second = global_pass(context, decoder, 1);
    SUCCEED(motley__buffer_read(gradients, 0, after, gradients->bytes, &error));
    assert_true(first == second);
    assert_memory_equal(before, after, gradients->bytes);
    free(after);
    free(before);
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

static void test_repeats_bit_for_bit(void **state)
{
    (void)state;
    repeat(MOTLEY_F32);
    repeat(MOTLEY_BF16);
}

static void test_no_sequences(void **state)
{
    (void)state;
    const struct motley__config c = small_model(2);
    motley_plan *plan;
    struct motley__decoder *decoder = open_decoder(context, &c, &plan, 1);
    struct motley__pass pass;
    int count;
    struct motley__parameter *p = motley__decoder_parameters(decoder, &count);
    global_pass(context, decoder, 1); /* gradients that must go away */
    SUCCEED(motley__decoder_pass(decoder, NULL, 0, S, 1, 1, &pass, &error));
    assert_true(pass.loss_sum == 0);
    for (int i = 0; i < count; i++) {
        size_t n;
        float *g = global_gradient(context, &p[i], &n);
        for (size_t j = 0; j < n; j++)
            assert_true(g[j] == 0);
        free(g);
    }
    motley__decoder_destroy(decoder);
    motley_plan_destroy(plan);
}

static void test_foreign_plan_is_refused(void **state)
{
    (void)state;
    struct motley__config c = small_model(2);
    motley_plan *plan = deal(&c, context->size);
    struct motley__decoder *decoder;
    struct motley_error error = {0};
    c.F = 21;
    assert_int_equal(motley__decoder_create(context, &c, plan, 0, 1, &decoder, &error), MOTLEY_E_INVALID);
    assert_non_null(strstr(error.text, "F=21"));
    motley_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_gradients_of_losses),
        cmocka_unit_test(test_two_bytes_are_near_four), cmocka_unit_test(test_same_as_alone),
        cmocka_unit_test(test_one_cache_for_all_layers),
        cmocka_unit_test(test_repeats_bit_for_bit), cmocka_unit_test(test_no_sequences),
        cmocka_unit_test(test_foreign_plan_is_refused),
    };
    motley__test_context(&argc, &argv, &context);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    motley_context_destroy(context);
    MPI_Finalize();
    return failed;
}
