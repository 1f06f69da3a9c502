/* Files that are either whole or not there.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

static char folder[64];

static char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int entries(void)
{
    int count = -2; /* "." and ".." */
    DIR *open = opendir(folder);
    assert_non_null(open);
    while (readdir(open))
        count++;
    closedir(open);
    return count;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/motley-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return motley__directory_remove(folder, NULL);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct motley_error error = {0};
    const char bytes[] = "one\0two";
    char *back;
    size_t count;
    assert_int_equal(motley__file_write(in_folder("a"), bytes, sizeof bytes, &error), 0);
    assert_int_equal(motley__file_read(in_folder("a"), &back, &count, &error), 0);
    assert_int_equal(count, sizeof bytes);
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_int_equal(back[count], 0);
    free(back);
    assert_int_equal(motley__file_write(in_folder("a"), NULL, 0, &error), 0);
    assert_int_equal(motley__file_read(in_folder("a"), &back, &count, &error), 0);
    assert_int_equal(count, 0);
    free(back);
    assert_int_equal(entries(), 1);
}

/* Their size is not known beforehand. */
static void files_of_the_system_are_read(void **state)
{
    (void)state;
    char *back;
    size_t count;
    assert_int_equal(motley__file_read("/proc/self/maps", &back, &count, NULL), 0);
    assert_true(count > 0 && strlen(back) == count);
    free(back);
}

static void nothing_shows_before_the_commit(void **state)
{
    (void)state;
    struct motley__new_file file;
    char *back;
    size_t count;
    assert_int_equal(motley__file_write(in_folder("a"), "old", 3, NULL), 0);
    assert_int_equal(motley__new_file_open(in_folder("a"), &file, NULL), 0);
    fputs("new", file.stream);
    fflush(file.stream);
    assert_int_equal(motley__file_read(in_folder("a"), &back, &count, NULL), 0);
    assert_string_equal(back, "old");
    free(back);
    assert_int_equal(motley__new_file_commit(&file, NULL), 0);
    motley__new_file_discard(&file);
    assert_int_equal(motley__file_read(in_folder("a"), &back, &count, NULL), 0);
    assert_string_equal(back, "new");
    free(back);
    assert_int_equal(entries(), 1);
}

static void a_discarded_file_leaves_nothing(void **state)
{
    (void)state;
    struct motley__new_file file;
    assert_int_equal(motley__new_file_open(in_folder("a"), &file, NULL), 0);
    fputs("new", file.stream);
    motley__new_file_discard(&file);
    motley__new_file_discard(&file);
    assert_int_equal(entries(), 0);
}

/* A disk that fills up, played by a limit on the size of files. */
static void a_full_disk_keeps_the_old_file(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct rlimit old, small;
    char *back, bytes[8192] = "";
    size_t count;
    assert_int_equal(motley__file_write(in_folder("a"), "old", 3, NULL), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int status = motley__file_write(in_folder("a"), bytes, sizeof bytes, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, MOTLEY_E_IO);
    assert_non_null(strstr(error.text, in_folder("a")));
    assert_int_equal(entries(), 1);
    assert_int_equal(motley__file_read(in_folder("a"), &back, &count, NULL), 0);
    assert_string_equal(back, "old");
    free(back);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct motley_error error = {0};
    char *back;
    size_t count;
    assert_int_equal(motley__file_read(in_folder("none"), &back, &count, &error), MOTLEY_E_IO);
    assert_non_null(strstr(error.text, "/none: cannot be opened: No such file"));
    struct motley__new_file file;
    memset(&error, 0, sizeof error);
    assert_int_equal(motley__new_file_open(in_folder("no/where"), &file, &error), MOTLEY_E_IO);
    assert_non_null(strstr(error.text, "no/where"));
}

static void folders_are_made_and_removed(void **state)
{
    (void)state;
    struct motley_error error = {0};
    struct stat facts;
    assert_int_equal(motley__directory_make(in_folder("x/y/z"), &error), 0);
    assert_int_equal(motley__directory_make(in_folder("x/y/z"), &error), 0);
    assert_int_equal(stat(in_folder("x/y/z"), &facts), 0);
    assert_int_equal(motley__directory_sync(in_folder("x"), &error), 0);
    assert_int_equal(motley__file_write(in_folder("x/y/z/f"), "f", 1, &error), 0);
    assert_int_equal(motley__directory_make(in_folder("x/y/z/f/g"), &error), MOTLEY_E_IO);
    assert_non_null(strstr(error.text, "x/y/z/f: cannot be made: Not a directory"));
    memset(&error, 0, sizeof error);
    assert_int_equal(motley__directory_remove(in_folder("x/y/z"), &error), 0);
    assert_int_equal(motley__directory_remove(in_folder("x/y/z"), &error), 0);
    assert_int_not_equal(stat(in_folder("x/y/z"), &facts), 0);
    assert_int_equal(motley__directory_remove(in_folder("x/y"), &error), 0);
    assert_int_equal(motley__directory_remove(in_folder("x"), &error), 0);
}

static void the_cache_has_its_place(void **state)
{
    (void)state;
    char *path, *kept = getenv("XDG_CACHE_HOME");
    kept = kept ? strdup(kept) : NULL;
    struct stat facts;
    setenv("XDG_CACHE_HOME", in_folder("c"), 1);
    assert_int_equal(motley__cache_directory(&path, NULL), 0);
    assert_string_equal(path, in_folder("c/motley"));
    assert_int_equal(stat(path, &facts), 0);
    rmdir(path);
    rmdir(in_folder("c"));
    free(path);
    if (kept)
        setenv("XDG_CACHE_HOME", kept, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    free(kept);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_is_written_is_read),         IN_FOLDER(files_of_the_system_are_read),
        IN_FOLDER(nothing_shows_before_the_commit), IN_FOLDER(a_discarded_file_leaves_nothing),
        IN_FOLDER(a_full_disk_keeps_the_old_file),  IN_FOLDER(a_missing_file_is_named),
        IN_FOLDER(folders_are_made_and_removed),    IN_FOLDER(the_cache_has_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
