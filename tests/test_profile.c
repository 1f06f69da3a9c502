/* The profile: its text comes back exactly, what cannot be read is dropped alone, and its file is shared safely.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "plan_fixture.h"

enum { SEED = 4711 };

/* Numbers of all magnitudes with all their digits. */
static double any_number(uint64_t *index)
{
    double exponent = 24 * motley__random_uniform(SEED, 1, (*index)++) - 12;
    return motley__random_uniform(SEED, 2, (*index)++) * pow(10, exponent) + 1e-300;
}

static void fill(struct motley__profile *profile, int devices)
{
    uint64_t index = 0;
    print_message("seed %d\n", SEED);
    for (int n = 0; n < 4; n++) {
        struct motley__link_line line = {{"a host", "a host"}, {1 + n / 2, 1 + n / 2},
                                         {any_number(&index), any_number(&index), any_number(&index)},
                                         any_number(&index), 1 + n};
        if (n % 2)
            strcpy(line.host[1], "b \"2\"");
        assert_int_equal(motley__link_put(profile, &line, NULL), 0);
    }
    for (int r = 0; r < devices; r++) {
        struct motley__profile_key key = fixture_key(r);
        struct motley__profile_entry *entry = motley__profile_add(profile, &key);
        assert_non_null(entry);
        entry->panel = 16;
        entry->move = (struct motley__move){any_number(&index), any_number(&index)};
        entry->dense = (struct motley__dense_time){
            256, 512, 512, MOTLEY__DENSE_CLBLAST, any_number(&index), any_number(&index), any_number(&index)};
        if (r)
            entry->copy = (struct motley__copy){any_number(&index), any_number(&index)};
        for (int c = 0; c < 5; c++) {
            struct motley__choice choice = {{(enum motley__product)(c % MOTLEY__PRODUCTS), MOTLEY__ROWS_SOME,
                                             (enum motley__weights_class)(c / MOTLEY__PRODUCTS)}, c % 3,
                                            any_number(&index), "one=1 two=22", "one=3 two=4"};
            assert_int_equal(motley__choice_put(entry, &choice, NULL), 0);
        }
        for (int c = 0; c < 6; c++) {
            struct motley__curve curve = {
                .backward = c & 1, .D = 7 + c, .F = 9, .activation = c % 4, .bias = c % 3 == 0};
            for (int rows = 1; rows < 1000; rows = 3 * rows + 1) {
                struct motley__point point = {rows, any_number(&index), any_number(&index), rows % 5};
                motley__curve_set(&curve, &point);
            }
            assert_int_equal(motley__curve_put(entry, &curve, NULL), 0);
        }
    }
}

static void assert_same(const struct motley__profile *a, const struct motley__profile *b)
{
    assert_int_equal(a->links, b->links);
    for (int i = 0; i < a->links; i++) {
        const struct motley__link_line *x = &a->link[i], *y = motley__link_find(b, x);
        assert_non_null(y);
        assert_true(x->link.latency == y->link.latency && x->link.message == y->link.message &&
                    x->link.bandwidth == y->link.bandwidth && x->spread == y->spread && x->samples == y->samples);
    }
    assert_int_equal(a->entries, b->entries);
    for (int i = 0; i < a->entries; i++) {
        const struct motley__profile_entry *x = &a->entry[i], *y = &b->entry[i];
        assert_true(motley__key_equal(&x->key, &y->key));
        assert_int_equal(x->panel, y->panel);
        assert_true(x->dense.seconds == y->dense.seconds && x->dense.esmm == y->dense.esmm &&
                    x->dense.clblast == y->dense.clblast && x->dense.path == y->dense.path);
        assert_true(x->move.bandwidth == y->move.bandwidth && x->move.launch == y->move.launch);
        assert_true(x->copy.out == y->copy.out && x->copy.in == y->copy.in);
        assert_int_equal(x->choices, y->choices);
        for (int c = 0; c < x->choices; c++) {
            const struct motley__choice *p = &x->choice[c];
            const struct motley__choice *q = motley__choice_find(y, (enum motley_dtype)p->dtype, p->shape);
            assert_non_null(q);
            assert_true(p->gain == q->gain);
            assert_string_equal(p->settings, q->settings);
            assert_string_equal(p->usual, q->usual);
        }
        assert_int_equal(x->curves, y->curves);
        for (int c = 0; c < x->curves; c++) {
            const struct motley__curve *p = &x->curve[c], *q = &y->curve[c];
            assert_true(p->backward == q->backward && p->D == q->D && p->F == q->F && p->activation == q->activation &&
                        p->bias == q->bias);
            assert_int_equal(p->points, q->points);
            for (int n = 0; n < p->points; n++) {
                assert_true(p->point[n].rows == q->point[n].rows && p->point[n].seconds == q->point[n].seconds);
                assert_true(p->point[n].spread == q->point[n].spread && p->point[n].samples == q->point[n].samples);
            }
        }
    }
}

static void text_comes_back_exactly(void **state)
{
    (void)state;
    struct motley__profile profile = {0}, read = {0};
    char *text, *again;
    fill(&profile, 3);
    assert_int_equal(motley__profile_text(&profile, &text, NULL), 0);
    assert_int_equal(motley__profile_parse(text, "test", NULL, &read, NULL), 0);
    assert_same(&profile, &read);
    assert_int_equal(motley__profile_text(&read, &again, NULL), 0);
    assert_string_equal(text, again);
    free(again);
    free(text);
    motley__profile_clear(&read);
    motley__profile_clear(&profile);
}

/* A host program may have chosen a locale with a decimal comma. */
static void locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8"};
    const char *set = NULL;
    struct motley__profile profile = {0}, read = {0};
    char *plain, *text;
    fill(&profile, 1);
    assert_int_equal(motley__profile_text(&profile, &plain, NULL), 0);
    for (size_t i = 0; i < sizeof commas / sizeof *commas && !set; i++)
        set = setlocale(LC_NUMERIC, commas[i]);
    print_message("locale %s\n", set ? set : "with a comma is not installed: only C tried");
    assert_int_equal(motley__profile_text(&profile, &text, NULL), 0);
    assert_int_equal(motley__profile_parse(text, "test", NULL, &read, NULL), 0);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(plain, text);
    assert_same(&profile, &read);
    free(text);
    free(plain);
    motley__profile_clear(&read);
    motley__profile_clear(&profile);
}

static const char HEAD[] = "# motley profile 1\n"
    "device host=\"a\" name=\"n\" driver=\"d\" family=\"cpu\" panel=16 kernels=00000000000000ff cores=2 "
    "memory=1000 place=0/1\n";

static void unknown_lines_are_passed_over(void **state)
{
    (void)state;
    struct motley__profile read = {0};
    char text[1024];
    snprintf(text, sizeof text, "%s%s", HEAD,
             "  weather at=\"b\" seconds=1\n"
             "  curve direction=forward D=8 F=4 activation=gelu bias=1 dtype=f32 shiny=yes\n\n"
             "    colour red\n    point rows=3 seconds=0.5 spread=0 samples=2 more=1\n# the end\n");
    assert_int_equal(motley__profile_parse(text, "test", NULL, &read, NULL), 0);
    assert_int_equal(read.entries, 1);
    assert_int_equal(read.entry[0].curves, 1);
    assert_int_equal(read.entry[0].curve[0].points, 1);
    assert_true(read.entry[0].curve[0].point[0].seconds == 0.5);
    assert_int_equal(read.entry[0].key.kernels, 255);
    motley__profile_clear(&read);
}

/* The storage type is part of what a curve is of; a device line without a variant is from before they had names. */
static void storage_types_have_curves_of_their_own(void **state)
{
    (void)state;
    struct motley__profile read = {0};
    char text[1024], *again;
    struct motley_layer_shape shape = {.D = 8, .F = 4, .E = 1, .K = 1, .activation = MOTLEY_GELU, .bias = 1};
    snprintf(text, sizeof text, "%s%s", HEAD,
             "  curve direction=forward D=8 F=4 activation=gelu bias=1 dtype=f32\n"
             "    point rows=3 seconds=0.5 spread=0 samples=2\n"
             "  curve direction=forward D=8 F=4 activation=gelu bias=1 dtype=bf16\n"
             "    point rows=3 seconds=0.25 spread=0 samples=2\n"
             "  curve direction=forward D=8 F=4 activation=gelu bias=1 dtype=f8\n"
             "    point rows=3 seconds=0.125 spread=0 samples=2\n");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(motley__profile_parse(round ? again : text, "test", NULL, &read, NULL), 0);
        assert_int_equal(read.entries, 1);
        assert_int_equal(read.entry[0].curves, 2);
        assert_string_equal(read.entry[0].key.variant, "");
        shape.dtype = MOTLEY_F32;
        assert_true(motley__curve_find(&read.entry[0], &shape, 0)->point[0].seconds == 0.5);
        shape.dtype = MOTLEY_BF16;
        assert_true(motley__curve_find(&read.entry[0], &shape, 0)->point[0].seconds == 0.25);
        shape.dtype = MOTLEY_F16;
        assert_null(motley__curve_find(&read.entry[0], &shape, 0));
        if (!round)
            assert_int_equal(motley__profile_text(&read, &again, NULL), 0);
        motley__profile_clear(&read);
    }
    free(again);
}

/* Each of these loses what it says and no more. */
static void damage_stays_local(void **state)
{
    (void)state;
    static const char curve[] = "  curve direction=forward D=8 F=4 activation=gelu bias=1 dtype=f32\n";
    static const char good[] = "    point rows=3 seconds=0.5 spread=0 samples=2\n";
    static const struct {
        const char *damaged;
        int points;          /* that are left of: damaged, curve, good */
    } cases[] = {
        {"    point rows=0 seconds=0.5 spread=0 samples=2\n", 1},
        {"  curve direction=sideways D=8 F=4 activation=gelu bias=1 dtype=f32\n"
         "    point rows=9 seconds=1 spread=0 samples=1\n", 1},
        {"  move bandwidth=-1 launch=1\n", 1},
        {"  dense T=1 O=1 I=1 path=magic seconds=1 esmm=1 clblast=0\n", 1},
        {"  tuned product=magic rows=few weights=small dtype=f32 gain=1 settings=\"a=1\" default=\"a=2\"\n", 1},
        {"  tuned product=esmm rows=few weights=small dtype=f32 gain=0 settings=\"a=1\" default=\"a=2\"\n", 1},
        {"  tuned product=esmm rows=few weights=small dtype=f32 gain=1 settings=\"a=1\n", 1},
        {"  copy out=1 in=0\n", 1},
        {"link from=\"b\" to=\"a\" ranks=1/1 latency=1 message=1 bandwidth=1 spread=0 samples=1\n", 1},
        {"link from=\"a\" to=\"b\" ranks=1/0 latency=1 message=1 bandwidth=1 spread=0 samples=1\n", 1},
        {"link from=\"a\" to=\"b\" ranks=1/1 latency=1 message=1 bandwidth=0 spread=0 samples=1\n", 1},
        {"device host=\"unclosed name=\"n\" driver=\"d\" family=\"cpu\" panel=16 kernels=ff"
         " cores=2 memory=1 place=0/1\n", 0},
        {"device host=\"b\" name=\"n\" driver=\"d\" family=\"cpu\" panel=16 kernels=ff cores=2 memory=1 place=2/2\n",
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct motley__profile read = {0};
        char text[2048];
        snprintf(text, sizeof text, "%s%s%s%s", HEAD, cases[i].damaged, curve, good);
        assert_int_equal(motley__profile_parse(text, "test", NULL, &read, NULL), 0);
        assert_int_equal(read.entries, 1);
        int points = 0;
        for (int c = 0; c < read.entry[0].curves; c++)
            points += read.entry[0].curve[c].points;
        assert_int_equal(points, cases[i].points);
        assert_true(read.entry[0].dense.seconds == 0 && read.entry[0].choices == 0 && read.links == 0);
        assert_true(read.entry[0].copy.out == 0);
        motley__profile_clear(&read);
    }
    static const char *const points[] = {
        "rows=3 seconds=nan spread=0 samples=2\n", "rows=3 seconds=-1 spread=0 samples=2\n",
        "rows=3 seconds=inf spread=0 samples=2\n", "rows=3 seconds=1x spread=0 samples=2\n",
        "seconds=1 spread=0 samples=2\n",          "rows=99999999999 seconds=1 spread=0 samples=2\n",
        "rows=3 seconds=1 spread=0 samples=-2\n",  "rows=3 seconds=1 spread=0 samples=2"};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct motley__profile read = {0};
        char text[1024];
        snprintf(text, sizeof text, "%s%s    point %s", HEAD, curve, points[i]);
        assert_int_equal(motley__profile_parse(text, "test", NULL, &read, NULL), 0);
        assert_int_equal(read.entry[0].curves, 0); /* a curve without points is none */
        motley__profile_clear(&read);
    }
}

/* Cut anywhere and with any byte changed, a text is read without harm. */
static void any_damage_is_survived(void **state)
{
    (void)state;
    struct motley__profile profile = {0};
    char *text;
    fill(&profile, 2);
    assert_int_equal(motley__profile_text(&profile, &text, NULL), 0);
    size_t length = strlen(text);
    for (uint64_t i = 0; i < 2000; i++) {
        struct motley__profile read = {0};
        char *damaged = strdup(text);
        damaged[motley__random_bits(SEED, 3, i) % length] = (char)motley__random_bits(SEED, 4, i);
        if (i % 2)
            damaged[motley__random_bits(SEED, 5, i) % length] = 0;
        assert_int_equal(motley__profile_parse(damaged, "test", NULL, &read, NULL), 0);
        for (int e = 0; e < read.entries; e++)
            for (int c = 0; c < read.entry[e].curves; c++)
                for (int p = 0; p < read.entry[e].curve[c].points; p++) {
                    assert_true(isfinite(read.entry[e].curve[c].point[p].seconds));
                    assert_true(p == 0 ||
                                read.entry[e].curve[c].point[p].rows > read.entry[e].curve[c].point[p - 1].rows);
                }
        motley__profile_clear(&read);
        free(damaged);
    }
    free(text);
    motley__profile_clear(&profile);
}

static void points_ascend_and_replace(void **state)
{
    (void)state;
    static const int rows[] = {64, 1, 16, 64, 4};
    struct motley__curve curve = {0};
    for (int i = 0; i < 5; i++) {
        struct motley__point point = {rows[i], i + 1, 0, 1};
        motley__curve_set(&curve, &point);
    }
    assert_int_equal(curve.points, 4);
    for (int i = 1; i < 4; i++)
        assert_true(curve.point[i - 1].rows < curve.point[i].rows);
    assert_true(curve.point[3].seconds == 4); /* the later of the two with 64 rows */
    for (int i = 0; i < 100; i++) {
        struct motley__point point = {1000 + i, 1, 0, 1};
        motley__curve_set(&curve, &point);
    }
    assert_int_equal(curve.points, MOTLEY__POINTS);
}

static void news_replaces_what_it_contradicts(void **state)
{
    (void)state;
    const struct motley_layer_shape shape = fixture_shape(4, 2), other = {.D = 3, .F = 3, .E = 4, .K = 1};
    struct motley__profile old = {0}, news = {0};
    struct motley__profile_key a = fixture_key(0), b = fixture_key(1);
    struct motley__curve slow = fixture_curve(&shape, 0, 1, 1), fast = fixture_curve(&shape, 0, 0.5, 0.5),
                         kept = fixture_curve(&other, 0, 2, 2);
    assert_int_equal(motley__curve_put(motley__profile_add(&old, &a), &slow, NULL), 0);
    assert_int_equal(motley__curve_put(motley__profile_add(&old, &a), &kept, NULL), 0);
    motley__profile_find(&old, &a)->dense.seconds = 7;
    assert_int_equal(motley__curve_put(motley__profile_add(&news, &a), &fast, NULL), 0);
    assert_int_equal(motley__curve_put(motley__profile_add(&news, &b), &fast, NULL), 0);
    const struct motley__link_line before = {{"a", "b"}, {1, 2}, {1, 1, 1}, 0, 1}, after = {{"a", "b"}, {1, 2},
                                             {2, 2, 2}, 0, 1}, reversed = {{"a", "b"}, {2, 1}, {3, 3, 3}, 0, 1};
    assert_int_equal(motley__link_put(&old, &before, NULL), 0);
    assert_int_equal(motley__link_put(&news, &after, NULL), 0);
    assert_int_equal(motley__link_put(&news, &reversed, NULL), 0);
    assert_int_equal(motley__profile_merge(&old, &news, NULL), 0);
    assert_int_equal(old.links, 2);
    assert_true(motley__link_find(&old, &before)->link.latency == 2);
    assert_int_equal(old.entries, 2);
    assert_true(motley__curve_find(motley__profile_find(&old, &a), &shape, 0)->point[0].seconds == 1.0);
    assert_true(motley__curve_find(motley__profile_find(&old, &a), &other, 0)->point[0].seconds == 4.0);
    assert_true(motley__profile_find(&old, &a)->dense.seconds == 7); /* the news had none */
    assert_null(motley__curve_find(motley__profile_find(&old, &a), &shape, 1));
    motley__curve_forget(motley__profile_find(&old, &a), &shape);
    assert_null(motley__curve_find(motley__profile_find(&old, &a), &shape, 0));
    assert_non_null(motley__curve_find(motley__profile_find(&old, &a), &other, 0));
    motley__profile_clear(&old);
    motley__profile_clear(&news);
}

/* Every part of the key counts. */
static void keys_differ_in_every_part(void **state)
{
    (void)state;
    const struct motley__profile_key key = fixture_key(0);
    struct motley__profile_key changed[9];
    for (int i = 0; i < 9; i++)
        changed[i] = key;
    changed[0].host[0]++;
    changed[1].name[0]++;
    changed[2].driver[0]++;
    changed[3].family[0]++;
    changed[4].kernels++;
    changed[5].cores++;
    changed[6].memory_bytes++;
    changed[7].place++;
    changed[8].places++;
    assert_true(motley__key_equal(&key, &key));
    for (int i = 0; i < 9; i++)
        assert_false(motley__key_equal(&key, &changed[i]));
}

static void kernels_hash_is_stable(void **state)
{
    (void)state;
    assert_true(motley__kernels_hash() == motley__kernels_hash());
    assert_true(motley__kernels_hash() != MOTLEY__HASH_START);
}

/* Twelve processes at once each add a device; none is lost and no other file is left. */
static void many_writers_lose_nothing(void **state)
{
    (void)state;
    enum { WRITERS = 12 };
    const struct motley_layer_shape shape = fixture_shape(4, 2);
    char folder[] = "/tmp/motley-profile-XXXXXX", path[128], *text;
    size_t bytes;
    pid_t child[WRITERS];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/deep/er/profile", folder);
    for (int i = 0; i < WRITERS; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            struct motley__profile news = {0};
            struct motley__profile_key key = fixture_key(i);
            struct motley__curve curve = fixture_curve(&shape, 0, i + 1, 1);
            int failed = motley__curve_put(motley__profile_add(&news, &key), &curve, NULL) ||
                         motley__profile_update(path, &news, NULL, NULL);
            motley__profile_clear(&news);
            _exit(failed);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    struct motley__profile read = {0};
    assert_int_equal(motley__file_read(path, &text, &bytes, NULL), 0);
    assert_int_equal(motley__profile_parse(text, path, NULL, &read, NULL), 0);
    assert_int_equal(read.entries, WRITERS);
    for (int i = 0; i < WRITERS; i++) {
        struct motley__profile_key key = fixture_key(i);
        assert_non_null(motley__profile_find(&read, &key));
        assert_true(motley__curve_find(motley__profile_find(&read, &key), &shape, 0)->point[0].seconds == i + 2);
    }
    free(text);
    motley__profile_clear(&read);
    char command[200];
    snprintf(command, sizeof command, "test \"$(ls -A %s/deep/er | tr '\\n' ' ')\" = 'profile profile.lock '", folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/deep/er", folder);
    assert_int_equal(motley__directory_remove(path, NULL), 0);
    snprintf(path, sizeof path, "%s/deep", folder);
    assert_int_equal(motley__directory_remove(path, NULL), 0);
    assert_int_equal(motley__directory_remove(folder, NULL), 0);
}

static void a_path_that_cannot_be_is_named(void **state)
{
    (void)state;
    struct motley__profile news = {0};
    struct motley_error error = {0};
    assert_int_equal(motley__profile_update("/dev/null/profile", &news, NULL, &error), MOTLEY_E_IO);
    assert_non_null(strstr(error.text, "/dev/null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back_exactly),
        cmocka_unit_test(locale_does_not_matter),
        cmocka_unit_test(storage_types_have_curves_of_their_own),
        cmocka_unit_test(unknown_lines_are_passed_over),
        cmocka_unit_test(damage_stays_local),
        cmocka_unit_test(any_damage_is_survived),
        cmocka_unit_test(points_ascend_and_replace),
        cmocka_unit_test(news_replaces_what_it_contradicts),
        cmocka_unit_test(keys_differ_in_every_part),
        cmocka_unit_test(kernels_hash_is_stable),
        cmocka_unit_test(many_writers_lose_nothing),
        cmocka_unit_test(a_path_that_cannot_be_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
