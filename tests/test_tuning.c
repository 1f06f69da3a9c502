/* Tuning: every value of every tunable gives the same bits as the default, and its text is read back or refused.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include "product.h"

#include "product/estmm.h"

enum { SEED = 31337, E = 3, O = 403, I = 421 }; /* no tile divides them, several contraction blocks each way */
/* Rows of a class: the first expert has none, the second one, the last all others. */
static const int P[MOTLEY__ROWS_CLASSES] = {[MOTLEY__ROWS_FEW] = 20, [MOTLEY__ROWS_SOME] = 47,
                                            [MOTLEY__ROWS_MANY] = 397};

/* Operands of all products for one class of rows. */
struct operands {
    struct motley__device *device;
    enum motley_dtype dtype;
    struct ragged_problem ragged;
    struct row_problem x, g;                /* [*,I], [*,O] */
    float *w, *w3;
    struct motley__matrix *dw, *dw3;
};

static struct operands make_operands(struct motley__device *device, enum motley_dtype dtype, int rows)
{
    const size_t weights = (size_t)E * O * I;
    struct operands a = {.device = device, .dtype = dtype, .ragged = make_ragged(device, SEED, E, rows, RISING),
                         .x = make_rows_as(device, dtype, SEED, 10, rows, I, 1),
                         .g = make_rows_as(device, dtype, SEED, 20, rows, O, 1),
                         .w = random_stored(dtype, SEED, 1, weights), .w3 = random_stored(dtype, SEED, 2, weights)};
    a.dw = matrix_there_as(device, dtype, dtype, E, O, I, a.w);
    a.dw3 = matrix_there_as(device, dtype, dtype, E, O, I, a.w3);
    return a;
}

static void free_operands(struct operands *a)
{
    motley__matrix_destroy(a->dw);
    motley__matrix_destroy(a->dw3);
    free_rows(&a->x);
    free_rows(&a->g);
    free_ragged(&a->ragged);
    free(a->w);
    free(a->w3);
}

static size_t results_of(enum motley__product product, int rows)
{
    return product == MOTLEY__PRODUCT_ESTMM ? (size_t)E * O * I :
           (size_t)rows * (product == MOTLEY__PRODUCT_TRANSPOSED ? I : O);
}

static float *estmm_on_device(const struct operands *a)
{
    const size_t weights = (size_t)E * O * I;
    float *zeros = ARRAY(float, weights);
    struct motley__matrix *dw = matrix_there_as(a->device, a->dtype, MOTLEY_F32, E, O, I, zeros);
    SUCCEED(motley__estmm(a->device, &(struct motley__estmm){a->ragged.ragged, a->g.rows, a->x.rows, 0, dw}, &error));
    float *got = matrix_back(dw);
    motley__matrix_destroy(dw);
    free(zeros);
    return got;
}

/* The product as the device is tuned now. */
static float *on_device(const struct operands *a, enum motley__product product)
{
    if (product == MOTLEY__PRODUCT_ESTMM)
        return estmm_on_device(a);
    const int swiglu = product == MOTLEY__PRODUCT_SWIGLU, transposed = product == MOTLEY__PRODUCT_TRANSPOSED;
    const size_t bytes = results_of(product, a->ragged.P) * motley__storage_bytes(a->dtype);
    const struct motley__esmm esmm = {
        .w = a->dw, .w3 = swiglu ? a->dw3 : NULL, .ragged = a->ragged.ragged, .x = transposed ? a->g.rows : a->x.rows,
        .dtype = a->dtype, .activation = swiglu ? MOTLEY__ACT_SWIGLU : MOTLEY__ACT_NONE,
        .y = unwritten(a->device, bytes),
    };
    if (transposed)
        SUCCEED(motley__esmm_transposed(a->device, &esmm, &error));
    else
        SUCCEED(motley__esmm(a->device, &esmm, &error));
    return take_back_as(a->dtype, esmm.y);
}

static float *by_twin(const struct operands *a, enum motley__product product)
{
    const int swiglu = product == MOTLEY__PRODUCT_SWIGLU;
    float *y = ARRAY(float, results_of(product, a->ragged.P));
    const struct motley__ref_esmm ref = {
        .E = E, .P = a->ragged.P, .O = O, .I = I, .offsets = a->ragged.offsets,
        .x = product == MOTLEY__PRODUCT_TRANSPOSED ? a->g.ref : a->x.ref, .w = a->w, .w3 = swiglu ? a->w3 : NULL,
        .activation = swiglu ? MOTLEY__ACT_SWIGLU : MOTLEY__ACT_NONE, .y = y,
    };
    if (product == MOTLEY__PRODUCT_ESTMM)
        motley__ref_estmm(E, a->ragged.P, O, I, a->ragged.offsets, &a->g.ref, &a->x.ref, 0, y);
    else if (product == MOTLEY__PRODUCT_TRANSPOSED)
        motley__ref_esmm_transposed(&ref);
    else
        motley__ref_esmm(&ref);
    return y;
}

/* A tunable is checked where experts have as many rows as it matters for. */
static int belongs(const struct motley__tunable *tunable, struct motley__shape_class shape)
{
    return motley__tunable_matters(tunable, shape) && !(tunable->rows >> (shape.rows + 1));
}

/* One product: the default agrees with the twin, every other value of every tunable with the default. */
static int check_values(const struct operands *a, struct motley__shape_class shape)
{
    const struct motley__variant *variant = motley__variant(a->device, a->dtype);
    const size_t count = results_of(shape.product, a->ragged.P);
    float *expected = by_twin(a, shape.product), *usual = on_device(a, shape.product);
    int checked = 0;
    assert_near(motley__product_names[shape.product], usual, expected, count, a->dtype == MOTLEY_F32 ? 2e-6 : 4e-3);
    for (int t = 0; t < variant->tunables_count; t++) {
        const struct motley__tunable *tunable = &variant->tunables[t];
        for (int v = 0; v < MOTLEY__TUNABLE_VALUES && belongs(tunable, shape) && tunable->values[v]; v++) {
            if (tunable->values[v] == motley__tunable_default(a->device, tunable) ||
                !motley__tunable_allows(a->device, tunable, tunable->values[v]))
                continue;
            SUCCEED(motley__tuning_set(a->device, a->dtype, shape, t, tunable->values[v], &error));
            float *got = on_device(a, shape.product);
            if (memcmp(got, usual, count * sizeof *got))
                fail_msg("%s of %s rows: %s=%d changes the result", motley__product_names[shape.product],
                         motley__rows_names[shape.rows], tunable->name, tunable->values[v]);
            free(got);
            checked++;
        }
        SUCCEED(motley__tuning_set(a->device, a->dtype, shape, t, 0, &error));
    }
    free(expected);
    free(usual);
    return checked;
}

/* products: MOTLEY__PRODUCT_BIT of those to check. */
static void check_products(struct motley__device *device, enum motley_dtype dtype, unsigned products)
{
    int checked = 0;
    for (int rows = 0; rows < MOTLEY__ROWS_CLASSES; rows++) {
        struct operands a = make_operands(device, dtype, P[rows]);
        for (int product = 0; product < MOTLEY__PRODUCTS; product++)
            if (products & MOTLEY__PRODUCT_BIT(product))
                checked += check_values(&a, (struct motley__shape_class){(enum motley__product)product,
                                                                         (enum motley__rows_class)rows,
                                                                         motley__weights_class_of(O, I)});
        free_operands(&a);
    }
    print_message("%d values\n", checked);
    if (motley__variant(device, dtype)->tunables_count)
        assert_true(checked > 0);
}

/* Kernels for GPUs take seconds to compile for a CPU: there one product stands for all. */
static void check_variant(struct motley__device *device, enum motley_dtype dtype)
{
    const int own = !device->is_cpu || motley__variant(device, dtype) == &motley__variant_cpu;
    check_products(device, dtype, own ? MOTLEY__PRODUCTS_ALL : MOTLEY__PRODUCT_BIT(MOTLEY__PRODUCT_ESMM));
}

static void f32_has_the_same_bits(void **state)
{
    print_message("seed %d\n", SEED);
    with_variants(*state, MOTLEY_F32, check_variant);
}

static void bf16_has_the_same_bits(void **state)
{
    SUCCEED(motley__admit_dtype(*state, MOTLEY_BF16, &error));
    check_products(*state, MOTLEY_BF16, MOTLEY__PRODUCT_BIT(MOTLEY__PRODUCT_SWIGLU));
}

/* nvidia/fma runs on any device when asked for; the tests above check it whole on its own. */
static void nvidia_fma_has_the_same_bits(void **state)
{
    struct motley__device *device = *state;
    assert_int_equal(setenv("MOTLEY_FAMILY", "nvidia/fma", 1), 0);
    if (!motley__variant_nvidia_fma.suits(device)) {
        unsetenv("MOTLEY_FAMILY");
        skip();
    }
    SUCCEED(motley__admit(device, &error));
    check_products(device, MOTLEY_F32, MOTLEY__PRODUCT_BIT(MOTLEY__PRODUCT_ESMM));
    unsetenv("MOTLEY_FAMILY");
}

static void launches_have_classes(void **state)
{
    (void)state;
    static const struct {
        int rows, experts, O, I;
        enum motley__rows_class is;
        enum motley__weights_class weights;
    } cases[] = {
        {0, 0, 1, 1, MOTLEY__ROWS_FEW, MOTLEY__WEIGHTS_SMALL},
        {8, 1, 1024, 1024, MOTLEY__ROWS_FEW, MOTLEY__WEIGHTS_SMALL},
        {9, 1, 1024, 1025, MOTLEY__ROWS_SOME, MOTLEY__WEIGHTS_LARGE},
        {64, 8, 7, 7, MOTLEY__ROWS_FEW, MOTLEY__WEIGHTS_SMALL},
        {65, 8, 7, 7, MOTLEY__ROWS_SOME, MOTLEY__WEIGHTS_SMALL},
        {512, 8, 7, 7, MOTLEY__ROWS_SOME, MOTLEY__WEIGHTS_SMALL},
        {513, 8, 7, 7, MOTLEY__ROWS_MANY, MOTLEY__WEIGHTS_SMALL},
        {1, 8, 1 << 15, 1 << 15, MOTLEY__ROWS_FEW, MOTLEY__WEIGHTS_LARGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct motley__product_args args = {.rows = cases[i].rows, .experts = cases[i].experts, .O = cases[i].O,
                                                  .I = cases[i].I};
        const struct motley__shape_class shape = motley__shape_class_of(MOTLEY__PRODUCT_SWIGLU, &args);
        assert_int_equal(shape.product, MOTLEY__PRODUCT_SWIGLU);
        assert_int_equal(shape.rows, cases[i].is);
        assert_int_equal(shape.weights, cases[i].weights);
    }
}

/* Tunables of a variant that exists only here. */
static int at_most_8(const struct motley__device *device, int value)
{
    (void)device;
    return value <= 8;
}

static const struct motley__tunable NUMBERS[] = {
    {"side", MOTLEY__PRODUCTS_ALL, MOTLEY__ROWS_ALL, {16, 8, 4}, at_most_8},
    {"ahead", MOTLEY__PRODUCT_BIT(MOTLEY__PRODUCT_ESMM), MOTLEY__ROWS_BIT(MOTLEY__ROWS_FEW), {1, 2}, NULL},
};
static const struct motley__variant TOY = {.family = "toy", .name = "numbers", .tunables = NUMBERS,
                                           .tunables_count = 2};
static const struct motley__shape_class CLASS = {MOTLEY__PRODUCT_ESMM, MOTLEY__ROWS_FEW, MOTLEY__WEIGHTS_LARGE};

static int text_is(const struct motley__device *device, struct motley__shape_class shape, const char *expected)
{
    char text[MOTLEY__SETTINGS];
    motley__tuning_text(device, MOTLEY_F32, shape, text);
    return !strcmp(text, expected);
}

static void text_comes_back(void **state)
{
    (void)state;
    struct motley__device toy = {.variant = {&TOY}};
    struct motley__shape_class other = CLASS;
    other.weights = MOTLEY__WEIGHTS_SMALL;
    assert_true(text_is(&toy, CLASS, "side=8 ahead=1")); /* 16 is not allowed */
    SUCCEED(motley__tuning_read(&toy, MOTLEY_F32, CLASS, "ahead=2 side=4", &error));
    assert_true(text_is(&toy, CLASS, "side=4 ahead=2"));
    assert_true(text_is(&toy, other, "side=8 ahead=1"));
    SUCCEED(motley__tuning_read(&toy, MOTLEY_F32, CLASS, "ahead=2", &error)); /* the other: default again */
    assert_true(text_is(&toy, CLASS, "side=8 ahead=2"));
    other.product = MOTLEY__PRODUCT_ESTMM;
    assert_true(text_is(&toy, other, "side=8"));
    SUCCEED(motley__tuning_set(&toy, MOTLEY_F32, other, 0, 4, &error));
    char list[128];
    motley__tuning_list(&toy, MOTLEY_F32, list, sizeof list);
    assert_string_equal(list, "esmm of few rows, large weights: ahead=2; estmm of few rows, small weights: side=4");
    motley__tuning_list(&toy, MOTLEY_F32, list, 20);
    assert_string_equal(list, "esmm of few rows, l");
    motley__tuning_clear(&toy, MOTLEY_F32);
    motley__tuning_list(&toy, MOTLEY_F32, list, sizeof list);
    assert_string_equal(list, "");
    assert_true(text_is(&toy, CLASS, "side=8 ahead=1"));
}

static void bad_text_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"side=16", "side=5", "width=4", "side", "side=", "ahead=2 side=0",
                                      "ahead=2,side=4", "ahead=2 side=4 more", "side=99999999999", "=", "ahead=-2",
                                      "ahead=2 side=4x"};
    struct motley__device toy = {.variant = {&TOY}};
    SUCCEED(motley__tuning_read(&toy, MOTLEY_F32, CLASS, "side=4", &error));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct motley_error error = {0};
        if (motley__tuning_read(&toy, MOTLEY_F32, CLASS, bad[i], &error) != MOTLEY_E_FORMAT || !error.text[0])
            fail_msg("\"%s\" was taken", bad[i]);
        assert_true(text_is(&toy, CLASS, "side=4 ahead=1"));
    }
    motley__tuning_clear(&toy, MOTLEY_F32);
}

/* What was set for one variant says nothing about another, such as generic where it helps out. */
static void a_variant_has_its_own_values(void **state)
{
    (void)state;
    static const struct motley__variant sibling = {.family = "toy", .name = "sibling", .tunables = NUMBERS,
                                                   .tunables_count = 2};
    struct motley__device toy = {.variant = {&TOY}};
    SUCCEED(motley__tuning_set(&toy, MOTLEY_F32, CLASS, 0, 4, &error));
    assert_int_equal(motley__tuned(&toy, &TOY, MOTLEY_F32, CLASS, 0), 4);
    assert_int_equal(motley__tuned(&toy, &sibling, MOTLEY_F32, CLASS, 0), 8);
    assert_int_equal(motley__tuned(&toy, &TOY, MOTLEY_BF16, CLASS, 0), 8);
    toy.variant[MOTLEY_F32] = &sibling;
    SUCCEED(motley__tuning_set(&toy, MOTLEY_F32, CLASS, 1, 2, &error));
    assert_int_equal(motley__tuned(&toy, &sibling, MOTLEY_F32, CLASS, 0), 8);
    motley__tuning_clear(&toy, MOTLEY_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(launches_have_classes),   cmocka_unit_test(text_comes_back),
        cmocka_unit_test(bad_text_changes_nothing), cmocka_unit_test(a_variant_has_its_own_values),
        cmocka_unit_test(f32_has_the_same_bits),   cmocka_unit_test(bf16_has_the_same_bits),
        cmocka_unit_test(nvidia_fma_has_the_same_bits),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
