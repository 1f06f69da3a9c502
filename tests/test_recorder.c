/* Training that records which experts are chosen together, and training by such a record: each layer's experts
 * placed by it, in a checkpoint and on the move too, with the same losses; routing held to collaborators.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <unistd.h>

#include "base/file.h"
#include "coactivation/coactivation.h"
#include "routing.h"
#include "tests/device.h"
#include "train/trainer.h"

enum { STEPS = 6, E = 6, LAYERS = 2, S = 32, B = 5 };

static motley_context *context;
static char folder[] = "/tmp/motley-recorder-XXXXXX";
static char text[64], output[64], record[64], apart[64], other[64];

static struct motley_trainer_options options_of(const char *where)
{
    static const char *paths[1];
    paths[0] = text;
    return (struct motley_trainer_options){
        .text = paths, .texts = 1, .output = where, .width = 32, .layers = LAYERS, .heads = 2, .hidden = 48,
        .experts = E, .top_k = 2, .sequence = S, .steps = STEPS, .batch = B, .learning_rate = 0.01, .seed = 3,
        .save_every = 3, .held_out = 320, .mode = MOTLEY_MODE_EXPERT, .shares = MOTLEY_SHARES_EVEN,
    };
}

static motley_trainer *open_trainer(const struct motley_trainer_options *options, int resume)
{
    motley_trainer *trainer = NULL;
    if (resume)
        SUCCEED(motley_trainer_resume(context, options, &trainer, &error));
    else
        SUCCEED(motley_trainer_create(context, options, &trainer, &error));
    return trainer;
}

/* Losses by step; the last rank may ask to stop. */
struct log {
    double loss[STEPS + 1];
    int64_t stop_behind;
};

static int keep(void *user, const struct motley_trainer_report *report)
{
    struct log *log = user;
    log->loss[report->step] = report->loss;
    return context->rank == context->size - 1 && report->step == log->stop_behind;
}

static struct log run(motley_trainer *trainer, int64_t stop_behind)
{
    struct log log = {.stop_behind = stop_behind};
    SUCCEED(motley_trainer_run(trainer, keep, &log, &error));
    return log;
}

static struct log train(const struct motley_trainer_options *options)
{
    motley_trainer *trainer = open_trainer(options, 0);
    struct log log = run(trainer, 0);
    motley_trainer_destroy(trainer);
    return log;
}

static void remove_output(void)
{
    char command[128];
    MPI_Barrier(context->comm);
    if (context->rank == 0) {
        snprintf(command, sizeof command, "rm -rf %s", output);
        assert_int_equal(system(command), 0);
    }
    MPI_Barrier(context->comm);
}

/* Counts in which the experts of layer 0 belong together by threes apart, those of layer 1 by pairs apart. */
static void write_apart(const char *path, int times)
{
    motley_coactivation *c = NULL;
    SUCCEED(motley__coactivation_alloc(LAYERS, E, &c, &error));
    for (int l = 0; l < LAYERS; l++)
        for (int i = 0; i < E; i++)
            for (int j = 0; j < E; j++) {
                const int family = l ? i % 2 == j % 2 : i % 3 == j % 3;
                c->together[(l * E + i) * E + j] = i == j ? 0 : family ? 100 * times : times;
            }
    SUCCEED(motley__coactivation_write(c, path, &error));
    motley_coactivation_destroy(c);
}

static motley_coactivation *open_record(const char *path)
{
    motley_coactivation *c = NULL;
    SUCCEED(motley_coactivation_read(context, path, &c, &error));
    return c;
}

static int64_t pairs_of(const motley_coactivation *c, int layer)
{
    int64_t pairs = 0;
    for (int i = 0; i < E; i++)
        for (int j = i + 1; j < E; j++)
            pairs += c->together[(layer * E + i) * E + j];
    return pairs;
}

/* Every byte of every step once, and the losses as ever. */
static void recording_counts_every_byte(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(NULL);
    const struct log plain = train(&options);
    options.record_coactivation = record;
    const struct log recorded = train(&options);
    assert_memory_equal(plain.loss, recorded.loss, sizeof plain.loss);
    motley_coactivation *c = open_record(record);
    assert_int_equal(motley_coactivation_layers(c), LAYERS);
    for (int l = 0; l < LAYERS; l++) {
        assert_int_equal(pairs_of(c, l), STEPS * B * S);
        assert_int_equal(c->first[l + 1] - c->first[l], STEPS * B * S);
    }
    assert_int_equal(c->K, 2);
    motley_coactivation_destroy(c);
}

/* Layers that lie each in its own way give the losses of experts in ascending blocks. */
static void placement_changes_no_loss(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(NULL);
    const struct log plain = train(&options);
    options.coactivation = apart;
    motley_trainer *trainer = open_trainer(&options, 0);
    const motley_plan *plan = trainer->plan;
    if (context->size > 1) {
        assert_int_equal(plan->layers, LAYERS);
        for (int l = 0; l < LAYERS; l++)
            assert_true(plan->layer[l]->copies < plan->layer[l]->copies_before);
        assert_false(motley__placement_equal(&plan->layer[0]->stored, &plan->layer[1]->stored));
    }
    const struct log placed = run(trainer, 0);
    motley_trainer_destroy(trainer);
    for (int step = 1; step <= STEPS; step++)
        assert_float_equal(placed.loss[step], plain.loss[step], 1e-4);
}

/* Stopped and gone on, with the record named again or not, by the placements of the checkpoint; another record plans
 * anew. */
static void a_resumed_run_keeps_its_placements(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(NULL);
    options.coactivation = apart;
    const struct log whole = train(&options);
    for (int named = 0; named < 2; named++) {
        options.output = output;
        motley_trainer *trainer = open_trainer(&options, 0);
        run(trainer, 3);
        motley_trainer_destroy(trainer);
        const struct motley_trainer_options again = {.output = output, .coactivation = named ? apart : NULL};
        trainer = open_trainer(&again, 1);
        assert_int_equal(motley_trainer_facts(trainer).planned_anew, 0);
        const struct log rest = run(trainer, 0);
        assert_memory_equal(rest.loss + 4, whole.loss + 4, (STEPS - 3) * sizeof(double));
        motley_trainer_destroy(trainer);
        remove_output();
    }
    motley_trainer *trainer = open_trainer(&options, 0);
    run(trainer, 3);
    motley_trainer_destroy(trainer);
    options.coactivation = other;
    trainer = open_trainer(&options, 1);
    assert_int_equal(motley_trainer_facts(trainer).planned_anew, 1);
    motley_trainer_destroy(trainer);
    remove_output();
}

/* From ascending blocks to where the record puts each layer's experts, in the middle of a run: bit for bit what going
 * on from a checkpoint gives. */
static void experts_move_to_their_layers_places(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(output);
    struct motley_trainer_report moved, resumed;
    motley_trainer *trainer = open_trainer(&options, 0);
    run(trainer, 3);
    options.coactivation = apart;
    motley_trainer *resumes = open_trainer(&options, 1);
    char *json = NULL;
    motley_plan *plan = NULL;
    SUCCEED(motley_plan_text(motley_trainer_plan(resumes), &json, &error));
    SUCCEED(motley_plan_parse(json, &plan, &error));
    free(json);
    SUCCEED(motley__trainer_move(trainer, plan, &error));
    for (int step = 4; step <= STEPS; step++) {
        SUCCEED(motley_trainer_step(trainer, &moved, &error));
        SUCCEED(motley_trainer_step(resumes, &resumed, &error));
        assert_true(moved.loss == resumed.loss && moved.gradient_norm == resumed.gradient_norm);
    }
    motley_trainer_destroy(resumes);
    motley_trainer_destroy(trainer);
    remove_output();
}

/* No byte chooses two experts of which neither is a collaborator of the other; a resumed run knows. */
static void collaborators_bound_the_choice(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(output);
    options.coactivation = apart;
    options.collaborators = 1;
    motley_trainer *trainer = open_trainer(&options, 0);
    run(trainer, 3);
    motley_trainer_destroy(trainer);
    const struct motley_trainer_options again = {.output = output, .record_coactivation = record};
    trainer = open_trainer(&again, 1);
    run(trainer, 0);
    motley_trainer_destroy(trainer);
    motley_coactivation *c = open_record(record), *lists = open_record(apart);
    for (int l = 0; l < LAYERS; l++) {
        uint32_t mask[E];
        SUCCEED(motley__coactivation_mask(lists, l, 1, mask, &error));
        assert_int_equal(pairs_of(c, l), (STEPS - 3) * B * S);
        for (int i = 0; i < E; i++)
            for (int j = 0; j < E; j++)
                assert_true((mask[i] >> j & 1) || (mask[j] >> i & 1) || c->together[(l * E + i) * E + j] == 0);
    }
    motley_coactivation_destroy(lists);
    motley_coactivation_destroy(c);
    remove_output();
}

static void refuse(const struct motley_trainer_options *options, int code, const char *word)
{
    motley_trainer *trainer = NULL;
    struct motley_error error = {0};
    assert_int_equal(motley_trainer_create(context, options, &trainer, &error), code);
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not say \"%s\"", error.text, word);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct motley_trainer_options options = options_of(NULL);
    options.collaborators = 2;
    refuse(&options, MOTLEY_E_INVALID, "--coactivation FILE");
    options.coactivation = apart;
    options.layers = 3;
    refuse(&options, MOTLEY_E_INVALID, "1 layer or of the model's 3, found 2");
    options = options_of(NULL);
    options.record_coactivation = "/nowhere/at all";
    refuse(&options, MOTLEY_E_IO, "/nowhere/at all");
    options = options_of(NULL);
    options.coactivation = "/nowhere/at all";
    refuse(&options, MOTLEY_E_IO, "/nowhere/at all");
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    if (context->rank == 0 && !mkdtemp(folder))
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    snprintf(text, sizeof text, "%s/text", folder);
    snprintf(output, sizeof output, "%s/run", folder);
    snprintf(record, sizeof record, "%s/record.csv", folder);
    snprintf(apart, sizeof apart, "%s/apart.csv", folder);
    snprintf(other, sizeof other, "%s/other.csv", folder);
    if (context->rank == 0) {
        char bytes[8000];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = "abcdefgh \n"[random_int(test_seed(), 1, i / 3, 10)];
        SUCCEED(motley__file_write(text, bytes, sizeof bytes, &error));
        write_apart(apart, 1);
        write_apart(other, 2);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recording_counts_every_byte),         cmocka_unit_test(placement_changes_no_loss),
        cmocka_unit_test(a_resumed_run_keeps_its_placements),  cmocka_unit_test(experts_move_to_their_layers_places),
        cmocka_unit_test(collaborators_bound_the_choice),      cmocka_unit_test(what_cannot_be_is_refused),
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
