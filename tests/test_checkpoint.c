/* Checkpoints: saved and loaded by any number of ranks, whole or not there whatever goes wrong.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parameters.h"
#include "base/file.h"
#include "context.h"
#include "train/checkpoint.h"
#include "train/shelf.h"
#include "tests/device.h"

static motley_context *context; /* of the whole program: a process binds its device once */
static char folder[] = "/tmp/motley-checkpoint-XXXXXX";

/* A model with its moments, all numbers in place. */
struct world {
    struct parameters p;
    struct motley__adamw *adamw;
    struct motley__checkpoint checkpoint;
};

static void open_placed_world(struct world *w, enum motley_dtype dtype, int rank, int size, int group, int panel)
{
    make_placed_parameters(context->device, dtype, rank, size, group, panel, 0, &w->p);
    SUCCEED(motley__adamw_create(context->device, w->p.list, PARAMETERS, &w->adamw, &error));
    w->checkpoint = (struct motley__checkpoint){.parameter = w->p.list, .count = PARAMETERS, .adamw = w->adamw,
                                                .config = "{\"c\": 1}", .trainer = "{\"t\": 2}", .plan = "{\"p\": 3}"};
}

static void open_stored_world(struct world *w, enum motley_dtype dtype, int rank, int size, int panel)
{
    open_placed_world(w, dtype, rank, size, 1, panel);
}

static void open_world(struct world *w, int rank, int size, int panel)
{
    open_stored_world(w, MOTLEY_F32, rank, size, panel);
}

static void fill_world(struct world *w, float factor)
{
    for (int i = 0; i < PARAMETERS; i++) {
        fill(&w->p.list[i], w->adamw->master[i], 1, i, factor);
        fill(&w->p.list[i], w->adamw->m[i], 2, i, factor);
        fill(&w->p.list[i], w->adamw->v[i], 3, i, factor);
    }
}

static void assert_world(struct world *w, float factor)
{
    for (int i = 0; i < PARAMETERS; i++) {
        assert_filled(&w->p.list[i], w->adamw->master[i], 1, i, factor, 0);
        assert_filled(&w->p.list[i], w->adamw->m[i], 2, i, factor, 0);
        assert_filled(&w->p.list[i], w->adamw->v[i], 3, i, factor, 0);
    }
}

static void close_world(struct world *w)
{
    motley__adamw_destroy(w->adamw);
    free_parameters(&w->p);
}

static void save(struct world *w, int64_t step)
{
    SUCCEED(motley__checkpoint_save(context->comm, context->time_limit, folder, step, &w->checkpoint, NULL, &error));
}

static int exists(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return motley__shelf_exists(path);
}

/* Rank 0 does something to the disk, the others wait. */
static void on_rank_0(void (*act)(const char *name), const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    MPI_Barrier(context->comm);
    if (context->rank == 0)
        act(path);
    MPI_Barrier(context->comm);
}

static void delete_all(const char *path)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", path);
    assert_int_equal(system(command), 0);
}

static void cut_in_half(const char *path)
{
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(truncate(path, facts.st_size / 2), 0);
}

static void make_directory_with_a_file(const char *path)
{
    char file[300];
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(file, sizeof file, "%s/model.safetensors", path);
    SUCCEED(motley__file_write(file, "half", 4, &error));
}

static int64_t newest(int *damaged)
{
    struct motley__found_checkpoint found;
    SUCCEED(motley__checkpoint_newest(context->comm, context->time_limit, folder, &found, damaged, &error));
    int64_t step = found.path ? strtoll(strrchr(found.path, '-') + 1, NULL, 10) : -1;
    if (found.path) {
        assert_string_equal(found.config, "{\"c\": 1}");
        assert_string_equal(found.trainer, "{\"t\": 2}");
        assert_string_equal(found.plan, "{\"p\": 3}");
    }
    motley__found_checkpoint_clear(&found);
    return step;
}

static int empty_folder(void **state)
{
    (void)state;
    on_rank_0(delete_all, "*");
    return 0;
}

static void what_was_saved_comes_back(void **state)
{
    (void)state;
    struct world w;
    char path[256];
    open_world(&w, context->rank, context->size, 16);
    fill_world(&w, 1);
    save(&w, 7);
    fill_world(&w, 2);
    snprintf(path, sizeof path, "%s/checkpoint-7", folder);
    SUCCEED(motley__checkpoint_load(context->comm, context->time_limit, path, &w.checkpoint, &error));
    assert_world(&w, 1);
    close_world(&w);
}

/* Every rank reads alone what all wrote together, in another layout. */
static void any_number_of_ranks_can_load_it(void **state)
{
    (void)state;
    struct world w, alone;
    char path[256];
    open_world(&w, context->rank, context->size, 16);
    fill_world(&w, 1);
    save(&w, 7);
    open_world(&alone, 0, 1, 8);
    snprintf(path, sizeof path, "%s/checkpoint-7", folder);
    SUCCEED(motley__checkpoint_load(MPI_COMM_SELF, 0, path, &alone.checkpoint, &error));
    assert_world(&alone, 1);
    close_world(&alone);
    close_world(&w);
}

static long bytes_of(const char *name)
{
    char path[300];
    struct stat facts;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(stat(path, &facts), 0);
    return (long)facts.st_size;
}

/* Rank 0: two files hold the same bytes. */
static void same_bytes(const char *a, const char *b)
{
    char command[700];
    assert_int_equal(bytes_of(a), bytes_of(b));
    snprintf(command, sizeof command, "cmp %s/%s %s/%s", folder, a, folder, b);
    assert_int_equal(system(command), 0);
}

/* However ranks divide the hidden dimensions, the file is the same and can be loaded under any other division. */
static void any_placement_can_load_it(void **state)
{
    (void)state;
    for (int from = 1; from <= context->size; from++)
        for (int to = 1; to <= context->size; to++) {
            struct world w, other;
            char path[256];
            open_placed_world(&w, MOTLEY_F32, context->rank, context->size, from, 8);
            fill_world(&w, 1);
            save(&w, 7);
            open_placed_world(&other, MOTLEY_F32, context->rank, context->size, to, 4);
            snprintf(path, sizeof path, "%s/checkpoint-7", folder);
            SUCCEED(motley__checkpoint_load(context->comm, context->time_limit, path, &other.checkpoint, &error));
            assert_world(&other, 1);
            save(&other, 8);
            if (context->rank == 0) {
                same_bytes("checkpoint-7/model.safetensors", "checkpoint-8/model.safetensors");
                same_bytes("checkpoint-7/optimizer.safetensors", "checkpoint-8/optimizer.safetensors");
            }
            close_world(&other);
            close_world(&w);
            on_rank_0(delete_all, "checkpoint-*");
        }
}

/* The model computes with what its masters are rounded to. */
static void assert_weights_are_rounded_masters(const struct world *w)
{
    float master[128], stored[128];
    uint16_t rounded[128];
    for (int i = 0; i < PARAMETERS; i++) {
        const struct motley__matrix *m = w->p.list[i].w;
        const size_t n = (size_t)size_of(m);
        for (int e = 0; e < m->E && m->dtype != MOTLEY_F32; e++) {
            SUCCEED(motley__matrix_get(w->adamw->master[i], e, master, &error));
            SUCCEED(motley__matrix_get(m, e, stored, &error));
            motley__store(m->dtype, master, n, rounded);
            motley__load(m->dtype, rounded, n, master);
            assert_memory_equal(master, stored, n * sizeof *master);
        }
    }
}

/* What was saved is the masters, so either storage type goes on from either: nothing is lost on the way. */
static void any_storage_type_can_load_it(void **state)
{
    (void)state;
    for (int from = MOTLEY_F32; from <= MOTLEY_BF16; from++)
        for (int to = MOTLEY_F32; to <= MOTLEY_BF16; to++) {
            struct world w, other;
            char path[256];
            open_stored_world(&w, (enum motley_dtype)from, context->rank, context->size, 16);
            fill_world(&w, 1);
            save(&w, 7);
            assert_weights_are_rounded_masters(&w);
            open_stored_world(&other, (enum motley_dtype)to, context->rank, context->size, 8);
            snprintf(path, sizeof path, "%s/checkpoint-7", folder);
            SUCCEED(motley__checkpoint_load(context->comm, context->time_limit, path, &other.checkpoint, &error));
            assert_world(&other, 1);
            assert_weights_are_rounded_masters(&other);
            close_world(&other);
            close_world(&w);
            on_rank_0(delete_all, "checkpoint-7");
        }
}

static void check_drift(enum motley_dtype dtype)
{
    struct world w;
    open_stored_world(&w, dtype, context->rank, context->size, 16);
    fill_world(&w, 1);
    for (int i = 0; i < 2; i++) { /* dense ones drifted apart */
        fill(&w.p.list[i], w.adamw->master[i], 1, i, (float)(1 + context->rank));
        fill(&w.p.list[i], w.adamw->v[i], 3, i, (float)(1 + context->rank));
    }
    save(&w, 7);
    assert_world(&w, 1);
    assert_weights_are_rounded_masters(&w);
    close_world(&w);
    on_rank_0(delete_all, "checkpoint-7");
}

static void saving_gives_every_rank_rank_0s_copy(void **state)
{
    (void)state;
    check_drift(MOTLEY_F32);
    check_drift(MOTLEY_BF16);
}

static void the_newest_two_are_kept(void **state)
{
    (void)state;
    struct world w;
    int damaged;
    open_world(&w, context->rank, context->size, 16);
    assert_int_equal(newest(&damaged), -1);
    save(&w, 8);
    save(&w, 9);
    save(&w, 10);
    assert_false(exists("checkpoint-8"));
    assert_true(exists("checkpoint-9"));
    assert_int_equal(newest(&damaged), 10); /* not by the alphabet */
    assert_int_equal(damaged, 0);
    save(&w, 10); /* again */
    assert_int_equal(newest(&damaged), 10);
    assert_true(exists("checkpoint-9"));
    close_world(&w);
}

static void damaged_checkpoints_are_passed_over(void **state)
{
    (void)state;
    static const char *const names[] = {"model.safetensors", "optimizer.safetensors", "trainer.json"};
    struct world w;
    char file[64];
    int damaged;
    open_world(&w, context->rank, context->size, 16);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        save(&w, 3);
        save(&w, 4);
        snprintf(file, sizeof file, "checkpoint-4/%s", names[i]);
        on_rank_0(cut_in_half, file);
        assert_int_equal(newest(&damaged), 3);
        assert_int_equal(damaged, 1);
        on_rank_0(delete_all, file);
        assert_int_equal(newest(&damaged), 3);
        save(&w, 4); /* takes the damaged one's place */
        assert_int_equal(newest(&damaged), 4);
        assert_int_equal(damaged, 0);
    }
    close_world(&w);
}

static void leftovers_are_tidied_and_never_found(void **state)
{
    (void)state;
    struct world w;
    int damaged;
    open_world(&w, context->rank, context->size, 16);
    save(&w, 3);
    on_rank_0(make_directory_with_a_file, "checkpoint-4.tmp");
    on_rank_0(make_directory_with_a_file, "checkpoint-mine");
    assert_int_equal(newest(&damaged), 3);
    save(&w, 4); /* over the leftover */
    assert_int_equal(newest(&damaged), 4);
    on_rank_0(make_directory_with_a_file, "checkpoint-5.tmp");
    SUCCEED(motley__checkpoint_prepare(context->comm, context->time_limit, folder, &error));
    assert_false(exists("checkpoint-5.tmp"));
    assert_true(exists("checkpoint-mine")); /* not ours */
    assert_true(exists("checkpoint-4"));
    close_world(&w);
}

static void a_full_disk_leaves_the_last_good_one(void **state)
{
    (void)state;
    struct world w;
    struct rlimit before, small;
    int damaged;
    open_world(&w, context->rank, context->size, 16);
    fill_world(&w, 1);
    save(&w, 3);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 2000; /* the JSON files fit, the tensors do not */
    if (context->rank == 0)
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct motley_error error = {0};
    assert_int_equal(motley__checkpoint_save(context->comm, context->time_limit, folder, 4, &w.checkpoint, NULL,
                                             &error), MOTLEY_E_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    MPI_Barrier(context->comm); /* rank 0 has cleaned up */
    assert_non_null(strstr(error.text, "model.safetensors"));
    assert_int_equal(error.rank, 0);
    assert_false(exists("checkpoint-4"));
    assert_false(exists("checkpoint-4.tmp"));
    assert_int_equal(newest(&damaged), 3);
    save(&w, 4);
    assert_int_equal(newest(&damaged), 4);
    close_world(&w);
}

static void weights_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    struct world w;
    char path[256];
    float bad[70] = {0};
    bad[3] = INFINITY;
    open_world(&w, context->rank, context->size, 16);
    fill_world(&w, 1);
    SUCCEED(motley__matrix_set(w.p.list[1].w, 0, bad, &error));
    save(&w, 3);
    snprintf(path, sizeof path, "%s/checkpoint-3", folder);
    struct motley_error error = {0};
    assert_int_equal(motley__checkpoint_load(context->comm, context->time_limit, path, &w.checkpoint, &error),
                     MOTLEY_E_NONFINITE);
    assert_non_null(strstr(error.text, "q.weight"));
    close_world(&w);
}

static void another_models_tensors_are_refused(void **state)
{
    (void)state;
    struct world w;
    char path[256];
    open_world(&w, context->rank, context->size, 16);
    save(&w, 3);
    snprintf(w.p.list[2].name, sizeof w.p.list[2].name, "experts.%%d.w9.weight");
    snprintf(path, sizeof path, "%s/checkpoint-3", folder);
    struct motley_error error = {0};
    assert_int_equal(motley__checkpoint_load(context->comm, context->time_limit, path, &w.checkpoint, &error),
                     MOTLEY_E_FORMAT);
    assert_non_null(strstr(error.text, "experts.0.w9.weight"));
    close_world(&w);
}

static void a_model_is_found_in_its_directory_or_above(void **state)
{
    (void)state;
    struct world w;
    struct motley__found_checkpoint found;
    char path[256];
    open_world(&w, context->rank, context->size, 16);
    save(&w, 3);
    save(&w, 12);
    SUCCEED(motley__checkpoint_model(context->comm, context->time_limit, folder, &found, &error));
    snprintf(path, sizeof path, "%s/checkpoint-12", folder);
    assert_string_equal(found.path, path);
    motley__found_checkpoint_clear(&found);
    snprintf(path, sizeof path, "%s/checkpoint-3", folder);
    SUCCEED(motley__checkpoint_model(context->comm, context->time_limit, path, &found, &error));
    assert_string_equal(found.path, path);
    assert_string_equal(found.config, "{\"c\": 1}");
    motley__found_checkpoint_clear(&found);
    struct motley_error error = {0};
    assert_int_equal(motley__checkpoint_model(context->comm, context->time_limit, "/nowhere", &found, &error),
                     MOTLEY_E_IO);
    error = (struct motley_error){0};
    assert_int_equal(motley__checkpoint_model(context->comm, context->time_limit, "/proc/self", &found, &error),
                     MOTLEY_E_FORMAT);
    close_world(&w);
}

int main(int argc, char **argv)
{
    motley__test_context(&argc, &argv, &context);
    if (context->rank == 0 && !mkdtemp(folder))
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
#define TEST(f) cmocka_unit_test_setup(f, empty_folder)
    const struct CMUnitTest tests[] = {
        TEST(what_was_saved_comes_back), TEST(any_number_of_ranks_can_load_it), TEST(any_storage_type_can_load_it),
        TEST(any_placement_can_load_it),
        TEST(saving_gives_every_rank_rank_0s_copy), TEST(the_newest_two_are_kept),
        TEST(damaged_checkpoints_are_passed_over), TEST(leftovers_are_tidied_and_never_found),
        TEST(a_full_disk_leaves_the_last_good_one), TEST(weights_that_are_not_finite_are_refused),
        TEST(another_models_tensors_are_refused), TEST(a_model_is_found_in_its_directory_or_above),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    if (context->rank == 0)
        delete_all(folder);
    motley_context_destroy(context);
    MPI_Finalize();
    return status;
}
