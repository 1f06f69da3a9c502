/* Lesson 3: a small language model, trained by all ranks, saved, and asked to write.
 *
 *     mpirun -n 2 ./03_train_text FILE_OR_DIRECTORY OUTPUT [STEPS]
 *
 * A model of mixture-of-experts layers learns the bytes of the text.  Nothing here says which rank does what: the plan
 * gives each rank the experts and the sequences that its device earns, and the losses come out the same, beyond
 * rounding, on one rank or on ten.
 *
 * Run it twice: the second time it finds its checkpoint in OUTPUT and has nothing left to do but write.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <motley/motley.h>

/* The library prints nothing by itself: it calls this on every rank behind every step.  What is reported is the same
 * everywhere, so one rank prints it.  Returning non-zero, on any rank, would save everything and end the run. */
static int show(void *user, const struct motley_trainer_report *report)
{
    const int *rank = user;
    if (*rank == 0 && !isnan(report->held_out_loss))
        printf("step %4lld  loss %.3f  held out %.3f nats = %.3f bits per byte, %.0f bytes/s\n",
               (long long)report->step, report->loss, report->held_out_loss, report->held_out_loss / log(2),
               report->tokens_per_second);
    if (*rank == 0 && report->saved)
        printf("saved     %s\n", report->saved);
    fflush(stdout);
    return 0;
}

/* Called on rank 0 with each piece of new text. */
static void print_text(void *user, const char *bytes, size_t count)
{
    fwrite(bytes, 1, count, (FILE *)user);
    fflush((FILE *)user);
}

static int train(motley_context *context, const struct motley_trainer_options *options, struct motley_error *error)
{
    motley_trainer *trainer;
    int rank = motley_context_rank(context), status;

    /* Resuming starts anew where there is no checkpoint yet.  On the ranks that wrote it, a resumed run goes on bit for
     * bit; on others the work is planned anew. */
    status = motley_trainer_resume(context, options, &trainer, error);
    if (status)
        return status;

    /* Two yardsticks, on the same held-out bytes: what counting pairs, and what counting triples of bytes predicts. */
    struct motley_trainer_facts facts = motley_trainer_facts(trainer);
    if (rank == 0) {
        motley_plan_print(motley_trainer_plan(trainer), stdout);
        printf("%.2f M weights; bigram %.3f, trigram %.3f bits per byte\n", facts.weights / 1e6, facts.bigram_bits,
               facts.trigram_bits);
    }
    status = motley_trainer_run(trainer, show, &rank, error);
    motley_trainer_destroy(trainer);
    return status;
}

int main(int argc, char **argv)
{
    struct motley_error error = {0};
    motley_context *context = NULL;
    int status, rank;

    if (argc < 3) {
        fprintf(stderr, "usage: %s FILE_OR_DIRECTORY OUTPUT [STEPS]\n", argv[0]);
        return 2;
    }
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);

    /* What is not named takes its default: zero means default everywhere. */
    const char *text[] = {argv[1]};
    struct motley_trainer_options options = {
        .text = text, .texts = 1, .output = argv[2],
        .width = 64, .layers = 2, .heads = 2, .hidden = 128, .experts = 4, .top_k = 2,
        .sequence = 64, .batch = 8, .steps = argc > 3 ? atoll(argv[3]) : 100,
    };

    status = motley_context_create(MPI_COMM_WORLD, NULL, &context, &error);
    if (!status)
        status = train(context, &options, &error);
    if (!status && rank == 0)
        printf("\nThe model goes on behind \"The \":\n");
    if (!status) {
        struct motley_generate_options generate = {.tokens = 200, .temperature = 0.8, .seed = 1};
        status = motley_generate(context, options.output, "The ", &generate, print_text, stdout, &error);
    }
    if (!status && rank == 0)
        printf("\n");

    /* An error that all ranks agreed on is told once; one that a single rank met inside a step must end the others. */
    if (status && (error.rank < 0 || rank == 0))
        fprintf(stderr, "%s: %s\n", motley_status_name(status), error.text);
    if (status && error.rank < 0)
        MPI_Abort(MPI_COMM_WORLD, 1);
    motley_context_destroy(context);
    MPI_Finalize();
    return status ? 1 : 0;
}
