/* Text out of files and directories: their order, what is passed over, what is refused.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "train/corpus.h"

static char root[] = "/tmp/motley-corpus-XXXXXX";

static const char *at(const char *name)
{
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
    return path[turn];
}

static void put(const char *name, const char *bytes, size_t count)
{
    FILE *stream = fopen(at(name), "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, count, stream), count);
    assert_int_equal(fclose(stream), 0);
}

/* b/        two.txt "two", link -> .. (a loop), lost -> nothing, one -> ../a.txt
 * a.txt     "alpha"
 * binary    a 0 byte
 * c.txt     "" */
static int make_tree(void **state)
{
    (void)state;
    if (!mkdtemp(root) || mkdir(at("b"), 0777))
        return -1;
    put("a.txt", "alpha", 5);
    put("b/two.txt", "two", 3);
    put("binary", "x\0y", 3);
    put("c.txt", "", 0);
    return symlink("..", at("b/link")) || symlink("nothing", at("b/lost")) || symlink("../a.txt", at("b/one"));
}

static int remove_tree(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void expect(const char *const *paths, int count, uint64_t limit, const char *text)
{
    struct motley__corpus corpus;
    struct motley_error error = {0};
    if (motley__corpus_read(paths, count, limit, &corpus, &error))
        fail_msg("%s", error.text);
    assert_int_equal(corpus.size, strlen(text));
    assert_memory_equal(corpus.bytes, text, corpus.size);
    free(corpus.bytes);
}

static void test_files_come_in_the_order_of_their_names(void **state)
{
    (void)state;
    const char *paths[] = {root};
    expect(paths, 1, 0, "alpha\nalpha\ntwo");
}

static void test_named_files_come_as_named(void **state)
{
    (void)state;
    const char *paths[] = {at("b/two.txt"), at("a.txt")};
    expect(paths, 2, 0, "two\nalpha");
}

static void test_limit_takes_the_first_bytes(void **state)
{
    (void)state;
    const char *paths[] = {root};
    expect(paths, 1, 8, "alpha\nal");
    expect(paths, 1, 6, "alpha\n");
    expect(paths, 1, 5, "alpha");
}

static void test_binary_files_are_counted(void **state)
{
    (void)state;
    const char *paths[] = {root};
    struct motley__corpus corpus;
    assert_int_equal(motley__corpus_read(paths, 1, 0, &corpus, NULL), 0);
    assert_int_equal(corpus.files, 3);
    assert_int_equal(corpus.skipped, 1);
    free(corpus.bytes);
}

static void refuse(const char *path, int code, const char *word)
{
    struct motley__corpus corpus = {0};
    struct motley_error error = {0};
    const char *paths[] = {path};
    assert_int_equal(motley__corpus_read(paths, 1, 0, &corpus, &error), code);
    if (!strstr(error.text, word) || !strstr(error.text, path))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.text, word, path);
    assert_null(corpus.bytes);
}

static void test_what_cannot_be_text_is_refused(void **state)
{
    (void)state;
    refuse(at("nowhere"), MOTLEY_E_IO, "No such file");
    refuse(at("b/lost"), MOTLEY_E_IO, "No such file");
    refuse(at("binary"), MOTLEY_E_INVALID, "not a text");
    refuse(at("c.txt"), MOTLEY_E_INVALID, "no text");
    refuse("/dev/null", MOTLEY_E_INVALID, "regular file");
}

static void test_unreadable_file_is_named(void **state)
{
    (void)state;
    if (geteuid() == 0) /* who may read everything */
        skip();
    put("b/secret", "x", 1);
    assert_int_equal(chmod(at("b/secret"), 0), 0);
    refuse(at("b/secret"), MOTLEY_E_IO, "Permission");
    unlink(at("b/secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_come_in_the_order_of_their_names), cmocka_unit_test(test_named_files_come_as_named),
        cmocka_unit_test(test_limit_takes_the_first_bytes), cmocka_unit_test(test_binary_files_are_counted),
        cmocka_unit_test(test_what_cannot_be_text_is_refused), cmocka_unit_test(test_unreadable_file_is_named),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
