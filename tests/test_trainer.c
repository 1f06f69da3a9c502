/* Training over several ranks: the same losses as one rank alone, with every gate, with two-byte weights nearly those
 * of four, going on bit for bit from a checkpoint, going on with other ranks or another storage type, and refusing what
 * is not finite or not the same text.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <unistd.h>

#include "routing.h"
#include "base/file.h"
#include "train/trainer.h"
#include "tests/device.h"

enum { STEPS = 20 };

static motley_context *context; /* of the whole program: a process binds its device once */
static char folder[] = "/tmp/motley-trainer-XXXXXX";
static char text[64], output[64];

/* 5 sequences do not divide by 2, 3 or 4 ranks, neither do 5 experts. */
static struct motley_trainer_options options_of(const char *where)
{
    static const char *paths[1];
    paths[0] = text;
    return (struct motley_trainer_options){
        .text = paths, .texts = 1, .output = where, .width = 32, .layers = 2, .heads = 2, .hidden = 48, .experts = 5,
        .top_k = 2, .sequence = 48, .steps = STEPS, .batch = 5, .learning_rate = 0.01, .seed = 3, .save_every = 5,
        .evaluate_every = 10, .held_out = 480, .mode = MOTLEY_MODE_EXPERT, /* links of two runs may differ */
    };
}

static motley_trainer *open_trainer(motley_context *where, const struct motley_trainer_options *options, int resume)
{
    motley_trainer *trainer = NULL;
    if (resume)
        SUCCEED(motley_trainer_resume(where, options, &trainer, &error));
    else
        SUCCEED(motley_trainer_create(where, options, &trainer, &error));
    return trainer;
}

/* What a run says, step by step; it can be told to stop. */
struct log {
    double loss[STEPS + 1], held_out[STEPS + 1];
    int64_t last, stop_behind;
    int stopper; /* rank that asks; -1: none */
};

static int keep(void *user, const struct motley_trainer_report *report)
{
    struct log *log = user;
    log->loss[report->step] = report->loss;
    log->held_out[report->step] = report->held_out_loss;
    log->last = report->step;
    return log->stopper == context->rank && report->step == log->stop_behind;
}

static struct log run(motley_trainer *trainer, int stopper, int64_t stop_behind)
{
    struct log log = {.stopper = stopper, .stop_behind = stop_behind};
    SUCCEED(motley_trainer_run(trainer, keep, &log, &error));
    return log;
}

/* The text: words of a small vocabulary, so that there is something to learn. */
static void write_text(const char *path, uint64_t seed)
{
    static const char *const words[] = {"int ", "char ", "return ", "(x);\n", "while ", "{ ", "}\n", "x = y + 1;\n"};
    char bytes[12000];
    size_t used = 0;
    for (size_t i = 0; used + 16 < sizeof bytes; i++)
        used += (size_t)sprintf(bytes + used, "%s", words[random_int(seed, 1, i, 8)]);
    SUCCEED(motley__file_write(path, bytes, used, &error));
}

static void remove_output(void)
{
    char command[160];
    MPI_Barrier(context->comm);
    if (context->rank == 0) {
        snprintf(command, sizeof command, "rm -rf %s %s-2", output, output);
        assert_int_equal(system(command), 0);
    }
    MPI_Barrier(context->comm);
}

static void losses_do_not_depend_on_the_ranks(void **state)
{
    (void)state;
    motley_context solo = motley__test_alone(context);
    struct motley_trainer_options options = options_of(NULL);
    for (options.shares = MOTLEY_SHARES_MEASURED; options.shares <= MOTLEY_SHARES_EVEN; options.shares++) {
        motley_trainer *together = open_trainer(context, &options, 0), *one = open_trainer(&solo, &options, 0);
        int sequences = 0;
        for (int r = 0; r < context->size; r++)
            sequences += motley_trainer_sequences(together, r);
        assert_int_equal(sequences, 5);
        struct log all = run(together, -1, 0), single = run(one, -1, 0);
        for (int step = 1; step <= STEPS; step++)
            assert_float_equal(all.loss[step], single.loss[step], 1e-4);
        assert_float_equal(all.held_out[STEPS], single.held_out[STEPS], 1e-4);
        assert_float_equal(all.loss[1], log(256), 0.3);
        assert_true(all.loss[STEPS] < 0.75 * all.loss[1]);
        motley_trainer_destroy(together);
        motley_trainer_destroy(one);
    }
    motley__test_alone_end(&solo);
}

/* Every gate with what goes with it. */
enum { ROUTINGS = 3 };
static void route_by(int which, struct motley_trainer_options *options)
{
    options->gate = which == 0 ? -1 : which;
    if (which != MOTLEY_GATE_SIGMOID) {
        options->noise = 1;
        options->importance = 0.05;
    }
    if (which == MOTLEY_GATE_SOFTMAX) {
        options->capacity = 1.2;
        options->prioritised = 1;
    }
    if (which == MOTLEY_GATE_SIGMOID)
        options->correction_rate = 0.02;
    if (which == MOTLEY_GATE_COSINE)
        options->before = 1;
}

static void every_gate_learns_alike_on_all_ranks(void **state)
{
    (void)state;
    if (context->size > 2) /* test_routing has every gate at more */
        skip();
    motley_context solo = motley__test_alone(context);
    for (int gate = 0; gate < ROUTINGS; gate++) {
        struct motley_trainer_options options = options_of(NULL);
        struct motley_trainer_report last, alone;
        route_by(gate, &options);
        motley_trainer *together = open_trainer(context, &options, 0), *one = open_trainer(&solo, &options, 0);
        double first = 0, held_out, held_out_alone;
        assert_int_equal(motley_trainer_facts(together).gate, gate);
        for (int step = 1; step <= STEPS; step++) {
            SUCCEED(motley_trainer_step(together, &last, &error));
            SUCCEED(motley_trainer_step(one, &alone, &error));
            assert_float_equal(last.loss, alone.loss, 2e-4);
            assert_float_equal(last.importance, alone.importance, 1e-3);
            assert_true((last.importance > 0) == (gate != MOTLEY_GATE_SIGMOID));
            first = step == 1 ? last.loss : first;
        }
        SUCCEED(motley_trainer_evaluate(together, &held_out, &error));
        SUCCEED(motley_trainer_evaluate(one, &held_out_alone, &error));
        assert_float_equal(held_out, held_out_alone, 2e-4);
        assert_true(last.loss < 0.75 * first);
        motley_trainer_destroy(together);
        motley_trainer_destroy(one);
    }
    motley__test_alone_end(&solo);
}

/* By hand what one step does to the corrections, from what its bytes chose. */
static void a_correction_follows_the_choices(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(NULL);
    struct motley_trainer_report report;
    route_by(MOTLEY_GATE_SIGMOID, &options);
    motley_trainer *trainer = open_trainer(context, &options, 0);
    const int E = options.experts, S = options.sequence, T = motley_trainer_sequences(trainer, context->rank) * S;
    int32_t *chosen = ARRAY(int32_t, T * options.top_k);
    float found[5], wanted[2][5] = {{0}};
    for (int step = 1; step <= 3; step++) {
        SUCCEED(motley_trainer_step(trainer, &report, &error));
        for (int layer = 0; layer < options.layers; layer++) {
            double rows[5] = {0};
            SUCCEED(motley__decoder_choices(trainer->decoder, layer, chosen, &error));
            for (int i = 0; i < T * options.top_k; i++)
                rows[chosen[i]]++;
            MPI_Allreduce(MPI_IN_PLACE, rows, E, MPI_DOUBLE, MPI_SUM, context->comm);
            SUCCEED(motley__matrix_get(motley__decoder_correction(trainer->decoder, layer), 0, found, &error));
            for (int e = 0; e < E; e++) {
                const double over = E * rows[e] - (double)(options.batch * S * options.top_k);
                wanted[layer][e] += over > 0 ? -0.02f : over < 0 ? 0.02f : 0;
                assert_true(found[e] == wanted[layer][e]);
            }
        }
    }
    free(chosen);
    motley_trainer_destroy(trainer);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    char path[2][192], *bytes[2];
    size_t count[2];
    snprintf(path[0], sizeof path[0], "%s/%s", a, name);
    snprintf(path[1], sizeof path[1], "%s/%s", b, name);
    for (int i = 0; i < 2; i++)
        SUCCEED(motley__file_read(path[i], &bytes[i], &count[i], &error));
    assert_int_equal(count[0], count[1]);
    assert_memory_equal(bytes[0], bytes[1], count[0]);
    free(bytes[0]);
    free(bytes[1]);
}

/* Stopped by the last rank behind step 7, gone on: the losses and the last checkpoint are those of a run in one go. */
static void go_on_bit_for_bit(int dtype, enum motley_mode mode, int gate)
{
    char second[80];
    snprintf(second, sizeof second, "%s-2", output);
    struct motley_trainer_options options = options_of(output), other = options_of(second);
    options.dtype = other.dtype = dtype;
    options.mode = other.mode = mode;
    options.shares = other.shares = MOTLEY_SHARES_EVEN;
    route_by(gate, &options);
    route_by(gate, &other);
    const struct motley_trainer_options resumed = {.output = second};
    motley_trainer *trainer = open_trainer(context, &options, 0);
    char *plan, *plan_again;
    struct log whole = run(trainer, -1, 0);
    motley_trainer_destroy(trainer);

    trainer = open_trainer(context, &other, 0);
    SUCCEED(motley_plan_text(motley_trainer_plan(trainer), &plan, &error));
    struct log first = run(trainer, context->size - 1, 7);
    assert_int_equal(first.last, 7);
    motley_trainer_destroy(trainer);
    trainer = open_trainer(context, &resumed, 1);
    assert_int_equal(motley_trainer_facts(trainer).step, 7);
    assert_int_equal(motley_trainer_facts(trainer).planned_anew, 0);
    assert_int_equal(motley_trainer_facts(trainer).dtype, dtype);
    assert_int_equal(motley_trainer_facts(trainer).gate, gate);
    SUCCEED(motley_plan_text(motley_trainer_plan(trainer), &plan_again, &error));
    assert_string_equal(plan, plan_again);
    struct log rest = run(trainer, -1, 0);
    motley_trainer_destroy(trainer);
    free(plan);
    free(plan_again);

    for (int step = 1; step <= STEPS; step++)
        assert_true((step <= 7 ? first : rest).loss[step] == whole.loss[step]);
    assert_true(rest.held_out[STEPS] == whole.held_out[STEPS]);
    if (context->rank == 0) {
        assert_same_file(output, second, "checkpoint-20/model.safetensors");
        assert_same_file(output, second, "checkpoint-20/optimizer.safetensors");
        assert_same_file(output, second, "checkpoint-20/config.json");
    }
    remove_output();
}

static void a_resumed_run_goes_on_bit_for_bit(void **state)
{
    (void)state;
    go_on_bit_for_bit(MOTLEY_F32, MOTLEY_MODE_EXPERT, MOTLEY_GATE_SOFTMAX);
    go_on_bit_for_bit(MOTLEY_F32, MOTLEY_MODE_MODEL, MOTLEY_GATE_COSINE);
}

static void so_does_one_of_two_byte_weights(void **state)
{
    (void)state;
    go_on_bit_for_bit(MOTLEY_BF16, MOTLEY_MODE_DATA, MOTLEY_GATE_SIGMOID);
}

/* One run in one go. */
static struct log whole_run(const char *where, int dtype, uint64_t seed)
{
    struct motley_trainer_options options = options_of(where);
    options.dtype = dtype;
    options.seed = seed;
    motley_trainer *trainer = open_trainer(context, &options, 0);
    struct log log = run(trainer, -1, 0);
    motley_trainer_destroy(trainer);
    return log;
}

/* The steepest part of a run, where every rounding shows most; a longer one is nearer (doc/performance.md). */
static void two_bytes_learn_as_well_as_four(void **state)
{
    (void)state;
    double mean = 0;
    if (context->size > 2) /* losses do not depend on the ranks */
        skip();
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct log four = whole_run(NULL, MOTLEY_F32, seed), two = whole_run(NULL, MOTLEY_BF16, seed);
        const double f32 = four.held_out[STEPS], bf16 = two.held_out[STEPS];
        if (context->rank == 0)
            print_message("seed %d: held out f32 %.4f, bf16 %.4f nats\n", (int)seed, f32, bf16);
        assert_true(two.loss[STEPS] < 0.75 * two.loss[1]);
        assert_true(four.held_out[STEPS] != two.held_out[STEPS]); /* it was another way */
        mean += (bf16 - f32) / 3;
    }
    assert_float_equal(mean, 0, 0.01);
}

/* A checkpoint of f32 goes on in bf16, and what that saves in f32 again. */
static void storage_may_change_behind_a_checkpoint(void **state)
{
    (void)state;
    struct log whole = whole_run(NULL, MOTLEY_F32, 3);
    struct motley_trainer_options options = options_of(output), resumed = {.output = output};
    motley_trainer *trainer = open_trainer(context, &options, 0);
    run(trainer, 0, 5);
    motley_trainer_destroy(trainer);

    resumed.dtype = MOTLEY_BF16;
    trainer = open_trainer(context, &resumed, 1);
    assert_int_equal(motley_trainer_facts(trainer).step, 5);
    assert_int_equal(motley_trainer_facts(trainer).dtype, MOTLEY_BF16);
    assert_int_equal(motley_trainer_facts(trainer).planned_anew, 1);
    struct log middle = run(trainer, 0, 10);
    motley_trainer_destroy(trainer);

    resumed.dtype = -1;
    trainer = open_trainer(context, &resumed, 1);
    assert_int_equal(motley_trainer_facts(trainer).step, 10);
    assert_int_equal(motley_trainer_facts(trainer).dtype, MOTLEY_F32);
    assert_int_equal(motley_trainer_facts(trainer).planned_anew, 1);
    struct log rest = run(trainer, -1, 0);
    motley_trainer_destroy(trainer);

    assert_true(middle.loss[6] != whole.loss[6]);
    for (int step = 6; step <= STEPS; step++)
        assert_float_equal((step <= 10 ? middle : rest).loss[step], whole.loss[step], 0.05);
    assert_float_equal(rest.held_out[STEPS], whole.held_out[STEPS], 0.02);
    remove_output();
}

/* Rank 0 alone goes on with what all ranks began. */
static void other_ranks_go_on_correctly(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(output);
    motley_trainer *trainer = open_trainer(context, &options, 0);
    struct log whole = run(trainer, -1, 0);
    motley_trainer_destroy(trainer);
    MPI_Barrier(context->comm);
    if (context->rank == 0) {
        char command[160];
        motley_context solo = motley__test_alone(context);
        snprintf(command, sizeof command, "rm -rf %s/checkpoint-20", output);
        assert_int_equal(system(command), 0);
        trainer = open_trainer(&solo, &(struct motley_trainer_options){.output = output}, 1);
        assert_int_equal(motley_trainer_facts(trainer).step, 15);
        assert_int_equal(motley_trainer_facts(trainer).planned_anew, context->size > 1);
        struct log rest = run(trainer, -1, 0);
        for (int step = 16; step <= STEPS; step++)
            assert_float_equal(rest.loss[step], whole.loss[step], 1e-4);
        motley_trainer_destroy(trainer);
        motley__test_alone_end(&solo);
    }
    remove_output();
}

static void refuse(int resume, const struct motley_trainer_options *options, int code, const char *word)
{
    motley_trainer *trainer = NULL;
    struct motley_error error = {0};
    int status = resume ? motley_trainer_resume(context, options, &trainer, &error)
                        : motley_trainer_create(context, options, &trainer, &error);
    assert_int_equal(status, code);
    assert_true(error.rank >= 0);
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not say \"%s\"", error.text, word);
}

/* Steps first..last, and what each said. */
static void take_steps(motley_trainer *trainer, int first, int last, struct motley_trainer_report *report)
{
    for (int step = first; step <= last; step++)
        SUCCEED(motley_trainer_step(trainer, &report[step], &error));
}

/* One run goes on from its checkpoint by a plan of another mode; another moves its experts to where that plan has
 * them. */
static void check_move(enum motley_mode from, enum motley_mode to, enum motley_dtype dtype, int gate)
{
    struct motley_trainer_options options = options_of(output);
    struct motley_trainer_report moved[7], resumed[7];
    options.shares = MOTLEY_SHARES_EVEN;
    options.dtype = (int)dtype;
    options.mode = from;
    route_by(gate, &options);
    motley_trainer *trainer = open_trainer(context, &options, 0);
    run(trainer, 0, 3); /* leaves a checkpoint */
    options.mode = to;
    motley_trainer *other = open_trainer(context, &options, 1);
    assert_int_equal(motley_plan_mode(motley_trainer_plan(other)), to);
    char *json = NULL;
    motley_plan *plan = NULL;
    SUCCEED(motley_plan_text(motley_trainer_plan(other), &json, &error));
    SUCCEED(motley_plan_parse(json, &plan, &error));
    free(json);
    SUCCEED(motley__trainer_move(trainer, plan, &error));
    take_steps(trainer, 4, 6, moved);
    take_steps(other, 4, 6, resumed);
    for (int step = 4; step <= 6; step++) {
        assert_true(moved[step].loss == resumed[step].loss);
        assert_true(moved[step].gradient_norm == resumed[step].gradient_norm);
    }
    motley_trainer_destroy(other);
    motley_trainer_destroy(trainer);
    remove_output();
}

static void experts_move_between_two_steps(void **state)
{
    (void)state;
    check_move(MOTLEY_MODE_EXPERT, MOTLEY_MODE_MODEL, MOTLEY_F32, MOTLEY_GATE_SIGMOID);
    check_move(MOTLEY_MODE_MODEL, MOTLEY_MODE_DATA, MOTLEY_BF16, MOTLEY_GATE_SOFTMAX);
    check_move(MOTLEY_MODE_DATA, MOTLEY_MODE_EXPERT, MOTLEY_F32, MOTLEY_GATE_COSINE);
}

static void runs_do_not_mix(void **state)
{
    (void)state;
    char other[80];
    struct motley_trainer_options options = options_of(output);
    options.steps = 5;
    motley_trainer *trainer = open_trainer(context, &options, 0);
    run(trainer, -1, 0);
    motley_trainer_destroy(trainer);
    refuse(0, &options, MOTLEY_E_INVALID, "--resume");

    snprintf(other, sizeof other, "%s.other", text);
    if (context->rank == 0)
        write_text(other, 99);
    MPI_Barrier(context->comm);
    const char *paths[] = {other};
    options.text = paths;
    refuse(1, &options, MOTLEY_E_MISMATCH, "not the one of the checkpoint");
    options = options_of(output);
    options.width = 64;
    refuse(1, &options, MOTLEY_E_INVALID, "width");
    options = options_of(output);
    options.gate = MOTLEY_GATE_COSINE;
    refuse(1, &options, MOTLEY_E_INVALID, "gate is softmax in the checkpoint and cannot be changed to cosine");
    remove_output();
}

static void ranks_with_different_options_are_refused(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(NULL);
    if (context->size == 1)
        skip();
    options.learning_rate += 0.001 * context->rank;
    refuse(0, &options, MOTLEY_E_MISMATCH, "different training options");
}

static void a_loss_that_is_not_finite_ends_the_run(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(output);
    struct motley_error reason = {0};
    struct motley_trainer_report report;
    float one = NAN, before, after;
    options.save_every = 2;
    motley_trainer *trainer = open_trainer(context, &options, 0);
    struct log log = {.stopper = 0, .stop_behind = 2};
    SUCCEED(motley_trainer_run(trainer, keep, &log, &error));
    SUCCEED(motley__buffer_read(trainer->parameter[1].w->segment[0], 4, &before, 4, &error));
    SUCCEED(motley__buffer_write(trainer->parameter[1].w->segment[0], 0, &one, 4, &error));
    assert_int_equal(motley_trainer_step(trainer, &report, &reason), MOTLEY_E_NONFINITE);
    assert_non_null(strstr(reason.text, "step 3"));
    assert_non_null(strstr(reason.text, output));
    assert_true(reason.rank >= 0);
    SUCCEED(motley__buffer_read(trainer->parameter[1].w->segment[0], 4, &after, 4, &error));
    assert_true(before == after); /* no update was made of it */
    motley_trainer_destroy(trainer);

    trainer = open_trainer(context, &(struct motley_trainer_options){.output = output}, 1);
    assert_int_equal(motley_trainer_facts(trainer).step, 2);
    struct log rest = run(trainer, 0, 4);
    assert_true(isfinite(rest.loss[4]));
    motley_trainer_destroy(trainer);
    remove_output();
}

static void collect(void *user, const char *bytes, size_t count)
{
    char *at = user;
    strncat(at, bytes, count);
}

static void check_text(enum motley_dtype trained, enum motley_dtype dtype, int gate)
{
    struct motley_trainer_options options = options_of(output);
    route_by(gate, &options);
    options.dtype = trained;
    char written[3][128] = {"", "", ""};
    options.steps = 10;
    motley_trainer *trainer = open_trainer(context, &options, 0);
    run(trainer, -1, 0);
    motley_trainer_destroy(trainer);
    for (int i = 0; i < 3; i++) { /* longer than the model's sequence of 48 */
        const struct motley_generate_options generate = {.tokens = 100, .seed = i < 2 ? 5 : 6, .dtype = dtype};
        SUCCEED(motley_generate(context, output, "int ", &generate, collect, written[i], &error));
    }
    if (context->rank == 0) {
        if (trained == dtype) /* by the plan it was saved with; else each makes one, which may round otherwise */
            assert_string_equal(written[0], written[1]);
        assert_true(strlen(written[0]) > 0);
        assert_string_not_equal(written[0], written[2]);
    } else {
        assert_string_equal(written[0], "");
    }
    struct motley_error error = {0};
    assert_int_equal(motley_generate(context, output, "", NULL, NULL, NULL, &error), MOTLEY_E_INVALID);
    remove_output();
}

static void text_is_the_same_for_a_seed(void **state)
{
    (void)state;
    check_text(MOTLEY_F32, MOTLEY_F32, MOTLEY_GATE_SIGMOID);
    check_text(MOTLEY_BF16, MOTLEY_F32, MOTLEY_GATE_SOFTMAX);
    check_text(MOTLEY_BF16, MOTLEY_BF16, MOTLEY_GATE_COSINE);
    check_text(MOTLEY_F32, MOTLEY_F16, MOTLEY_GATE_SOFTMAX);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    if (context->rank == 0 && !mkdtemp(folder))
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    snprintf(text, sizeof text, "%s/text", folder);
    snprintf(output, sizeof output, "%s/run", folder);
    if (context->rank == 0)
        write_text(text, test_seed());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_do_not_depend_on_the_ranks), cmocka_unit_test(every_gate_learns_alike_on_all_ranks),
        cmocka_unit_test(a_correction_follows_the_choices), cmocka_unit_test(a_resumed_run_goes_on_bit_for_bit),
        cmocka_unit_test(so_does_one_of_two_byte_weights), cmocka_unit_test(two_bytes_learn_as_well_as_four),
        cmocka_unit_test(storage_may_change_behind_a_checkpoint),
        cmocka_unit_test(other_ranks_go_on_correctly), cmocka_unit_test(experts_move_between_two_steps),
        cmocka_unit_test(runs_do_not_mix),
        cmocka_unit_test(ranks_with_different_options_are_refused),
        cmocka_unit_test(a_loss_that_is_not_finite_ends_the_run), cmocka_unit_test(text_is_the_same_for_a_seed),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    if (context->rank == 0) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        status |= system(command) != 0;
    }
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
