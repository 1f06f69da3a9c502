/* A folder with a described cluster, "cluster.json", and profiles of made-up devices, for tests of clusters.  Include
 * after cmocka.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_TESTS_CLUSTER_FOLDER_H
#define MOTLEY_TESTS_CLUSTER_FOLDER_H

#include <stdlib.h>

#include "base/file.h"
#include "plan_fixture.h"

static char folder[64], path[96];        /* of the folder; of the cluster */

static inline int make_empty_folder(void)
{
    strcpy(folder, "/tmp/motley-cluster-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/cluster.json", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    return motley__directory_remove(folder, NULL);
}

/* A device: its name, its curves of forward and backward. */
struct profiled {
    const char *name;
    double overhead, per_row;
};

/* Into a file's profile: one device on a node of so many places, each a little slower than the one before. */
static inline void add_device(struct motley__profile *profile, const struct profiled *device, int places)
{
    const struct motley_layer_shape shape = fixture_shape(4, 2);
    for (int place = 0; place < places; place++) {
        struct motley__profile_key key = fixture_key(0);
        snprintf(key.name, sizeof key.name, "A %s device", device->name);
        key.place = place;
        key.places = places;
        struct motley__profile_entry *entry = motley__profile_add(profile, &key);
        assert_non_null(entry);
        entry->panel = 16;
        entry->move = (struct motley__move){1e10, 1e-6};
        for (int backward = 0; backward < 2; backward++) {
            const struct motley__curve curve =
                fixture_curve(&shape, backward, device->overhead, device->per_row * places + 1e-9 * place);
            assert_int_equal(motley__curve_put(entry, &curve, NULL), 0);
        }
    }
}

/* Ends the profile. */
static inline void write_profile(const char *file, struct motley__profile *profile)
{
    char at[128], *text;
    assert_int_equal(motley__profile_text(profile, &text, NULL), 0);
    snprintf(at, sizeof at, "%s/%s", folder, file);
    assert_int_equal(motley__file_write(at, text, strlen(text), NULL), 0);
    free(text);
    motley__profile_clear(profile);
}

#endif
