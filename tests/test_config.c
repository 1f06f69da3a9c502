/* A model's sizes: what is accepted, what is refused and in which words.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/config.h"

static void test_default_is_valid(void **state)
{
    (void)state;
    const struct motley__config c = motley__config_default();
    assert_int_equal(motley__config_check(&c, NULL), 0);
}

static void refuse(struct motley__config c, const char *word)
{
    struct motley_error error = {0};
    assert_int_equal(motley__config_check(&c, &error), MOTLEY_E_INVALID);
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not say %s", error.text, word);
}

static void test_nonsense_is_refused(void **state)
{
    (void)state;
    struct motley__config c = motley__config_default();
#define REFUSE(member, value, word)                     \
    do {                                                \
        c = motley__config_default();                   \
        c.member = (value);                             \
        refuse(c, word);                                \
    } while (0)
    REFUSE(vocabulary, 257, "vocab_size");
    REFUSE(D, 0, "hidden_size");
    REFUSE(layers, 0, "num_hidden_layers");
    REFUSE(K, 9, "num_experts_per_tok");
    REFUSE(heads, 5, "5 heads");
    REFUSE(heads, 128, "even");
    REFUSE(kv_heads, 3, "key heads");
    REFUSE(positions, 0, "max_position_embeddings");
    REFUSE(rope_theta, 0, "rope_theta");
    REFUSE(norm_eps, NAN, "rms_norm_eps");
    REFUSE(balance_coefficient, -1, "balance");
    REFUSE(z_coefficient, INFINITY, "z-loss");
    REFUSE(gate, MOTLEY_GATE_FORCED, "motley_gate");
    REFUSE(gate, MOTLEY_GATE_COSINE, "motley_gate_width"); /* which is 0 */
    REFUSE(gate_width, 3, "motley_gate_width"); /* of a softmax gate */
    REFUSE(gate, MOTLEY_GATE_SIGMOID, "z-loss"); /* 0.001 as of others */
#undef REFUSE
}

static void test_weights_are_counted(void **state)
{
    (void)state;
    struct motley__config c = {.vocabulary = 10, .D = 4, .layers = 2, .heads = 2, .kv_heads = 1, .F = 3, .E = 5,
                               .K = 2};
    double active;
    /* embedding and head 40 each, norm 4; a block: q, o 16 each, k, v 8 each, norms 8, gate 20; an expert 36 */
    assert_true(motley__config_weights(&c, &active) == 84 + 2 * (76 + 5 * 36));
    assert_true(active == 84 + 2 * (76 + 2 * 36));
    c.gate = MOTLEY_GATE_SIGMOID; /* a correction of 5 */
    assert_true(motley__config_weights(&c, NULL) == 84 + 2 * (81 + 5 * 36));
    c.gate = MOTLEY_GATE_COSINE; /* gate 15, projection 12, its bias 3, temperature 1 instead of a gate of 20 */
    c.gate_width = 3;
    assert_true(motley__config_weights(&c, NULL) == 84 + 2 * (87 + 5 * 36));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_is_valid), cmocka_unit_test(test_nonsense_is_refused),
        cmocka_unit_test(test_weights_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
