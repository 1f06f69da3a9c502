/* The profile: what every device of these machines was measured to do, as one text file that diff can show.
 *
 *   # motley profile 1
 *   link from="a" to="b" ranks=1/1 latency=3.1e-05 message=2.4e-06 bandwidth=24100000 spread=120000 samples=5
 *   device host="a" name="Tesla X" driver="580.1" family=generic variant=tiles panel=1 kernels=00c0ffee00c0ffee
 *   cores=132 memory=... place=0/2
 *     dense T=512 O=512 I=512 path=esmm seconds=0.0012 esmm=0.0012 clblast=0.0031
 *     move bandwidth=1.1e+10 launch=2.1e-05
 *     copy out=5.46e+10 in=5.51e+10
 *     tuned product=esmm rows=many weights=large dtype=f32 gain=1.07 settings="groups=24" default="groups=12"
 *     curve direction=forward D=512 F=1024 activation=swiglu bias=0 dtype=f32
 *       point rows=64 seconds=0.00151 spread=1.2e-05 samples=9
 *
 * A device line is a key: what stands under it holds for nothing else.  Link and outcome lines stand for themselves.
 * Lines of an unknown kind are passed over (a later version may have written them); a line that cannot be read is
 * dropped with all that stands under it, and so is a last line without its end.  Numbers are written with as many
 * digits as bring them back exactly.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PROFILE_PROFILE_H
#define MOTLEY_PROFILE_PROFILE_H

#include <stdint.h>
#include <stdio.h>

#include <motley/plan.h>
#include "base/error.h"
#include "base/log.h"
#include "product/linear.h"
#include "product/tuning.h"
#include "profile/link.h"
#include "profile/outcome.h"

enum { MOTLEY__POINTS = 16 };        /* a curve never has more */

/* samples 0: not timed (it would take too long) but drawn on from the points below. */
struct motley__point {
    int rows;                        /* per expert, positive; ascending in a curve */
    double seconds, spread;          /* median of one expert's time, and its interquartile range */
    int samples;
};

/* Seconds of one expert as a function of its rows: of motley__experts_forward, or of _backward alone. */
struct motley__curve {
    int backward;                    /* direction */
    int D, F, activation, bias, dtype;  /* as in struct motley_layer_shape */
    int points;
    struct motley__point point[MOTLEY__POINTS];
};

/* A dense product [T,I] x [O,I]^T, 6 T O I operations.  seconds 0: never measured; clblast 0: never tried. */
struct motley__dense_time {
    int T, O, I;
    enum motley__dense path;
    double seconds;                  /* of the chosen path: forward, backward and gradient, all ranks working */
    double esmm, clblast;            /* of the two, when both were tried */
};

/* Kernels that only move rows, and those that do nothing.  0: never measured. */
struct motley__move {
    double bandwidth;                /* bytes per second, what is read and what is written, all ranks working */
    double launch;                   /* seconds of a kernel beyond its work */
};

/* Bytes per second between a device and pinned host memory.  0: never measured, or the memory is the host's. */
struct motley__copy {
    double out, in;                  /* of the device; into it */
};

/* What tuning chose for a class of shapes.  settings and usual are texts as motley__tuning_text writes them: what a
 * product is to be computed with, and what it would be without. */
struct motley__choice {
    struct motley__shape_class shape;
    int dtype;                       /* enum motley_dtype */
    double gain;                     /* times as fast as by default; 1: nothing was better */
    char settings[MOTLEY__SETTINGS], usual[MOTLEY__SETTINGS];
};

/* Everything a measurement depends on.  A value without pointers; compare with motley__key_equal.
 * place: ranks that share a node load each other, and may be bound or throttled differently. */
struct motley__profile_key {
    char host[64], name[128], driver[128];
    char family[16], variant[16];    /* of the kernels; another storage type may have others */
    uint64_t kernels;                /* motley__kernels_hash */
    int cores;
    uint64_t memory_bytes;
    int place, places;               /* the rank's number among the ranks of its node, and how many they are */
};

struct motley__profile_entry {
    struct motley__profile_key key;
    int panel;                       /* of the family's weights: memory is counted in whole panels */
    struct motley__dense_time dense;
    struct motley__move move;
    struct motley__copy copy;
    int curves;
    struct motley__curve *curve;     /* owned by the profile */
    int choices;
    struct motley__choice *choice;   /* likewise */
};

/* A link as it was measured, with so many ranks on each host.  Within a host both ends are the same. */
struct motley__link_line {
    char host[2][64];                /* in the order of strcmp */
    int ranks[2];
    struct motley__link link;
    double spread;                   /* interquartile range of the bandwidth */
    int samples;                     /* of it */
};

/* Zero is the empty profile. */
struct motley__profile {
    int entries;
    struct motley__profile_entry *entry; /* owned */
    int links;
    struct motley__link_line *link;  /* owned */
    int outcomes;
    struct motley__outcome *outcome; /* owned */
};

void motley__profile_clear(struct motley__profile *profile); /* back to empty; accepts NULL */

int motley__key_equal(const struct motley__profile_key *a, const struct motley__profile_key *b);

/* A hash over the names and texts of all kernel sources (those of MOTLEY_CL_DIR where it is set). */
uint64_t motley__kernels_hash(void);

/* The entry of a key; NULL when there is none.  Borrowed until the profile changes. */
struct motley__profile_entry *motley__profile_find(const struct motley__profile *profile,
                                                   const struct motley__profile_key *key);
/* The same, made (empty) when absent.  NULL: out of host memory. */
struct motley__profile_entry *motley__profile_add(struct motley__profile *profile,
                                                  const struct motley__profile_key *key);

/* The curve of a shape and direction; NULL when there is none.  Borrowed until a curve is put. */
const struct motley__curve *motley__curve_find(const struct motley__profile_entry *entry,
                                               const struct motley_layer_shape *shape, int backward);
/* Replace the curve of the same shape and direction, or add it.  Errors: MOTLEY_E_MEMORY. */
int motley__curve_put(struct motley__profile_entry *entry, const struct motley__curve *curve,
                      struct motley_error *error);
/* Both directions of a shape are unknown again. */
void motley__curve_forget(struct motley__profile_entry *entry, const struct motley_layer_shape *shape);
/* The narrower expert that is measured beside one of F hidden rows, for what slices of it take: about a quarter, as
 * all kernels can cut it.  F itself: too narrow for slices. */
int motley__curve_slice(int F);
/* Put a point in its place, over one of the same rows; a full curve stays as it is. */
void motley__curve_set(struct motley__curve *curve, const struct motley__point *point);

/* What was chosen for a class; NULL: it was never tuned.  Borrowed until a choice is put. */
const struct motley__choice *motley__choice_find(const struct motley__profile_entry *entry, enum motley_dtype dtype,
                                                 struct motley__shape_class shape);
/* Replace the choice of the same class and storage type, or add it.  Errors: MOTLEY_E_MEMORY. */
int motley__choice_put(struct motley__profile_entry *entry, const struct motley__choice *choice,
                       struct motley_error *error);

/* The line of a link whose hosts and ranks are those of `wanted`; NULL: it was never measured.  Borrowed until a link
 * is put. */
const struct motley__link_line *motley__link_find(const struct motley__profile *profile,
                                                  const struct motley__link_line *wanted);
/* Replace the line of the same hosts and ranks, or add it.  Errors: MOTLEY_E_MEMORY. */
int motley__link_put(struct motley__profile *profile, const struct motley__link_line *line,
                     struct motley_error *error);

/* What a mode took; NULL: it was never tried.  Borrowed until an outcome is put. */
const struct motley__outcome *motley__outcome_find(const struct motley__profile *profile,
                                                   const struct motley__outcome *wanted);
/* Replace the outcome of the same key, mode and group, or add it.  Errors: MOTLEY_E_MEMORY. */
int motley__outcome_put(struct motley__profile *profile, const struct motley__outcome *outcome,
                        struct motley_error *error);

/* All of `from` into `profile`: links, outcomes, curves, choices, dense and copy lines of `from` replace those they
 * contradict. */
int motley__profile_merge(struct motley__profile *profile, const struct motley__profile *from,
                          struct motley_error *error);

/* To and from text; *text owned by the caller.  parse adds to `profile` and warns at most once, naming `where`
 * and the first line that was dropped.  log NULL: silent.  Errors: MOTLEY_E_MEMORY only. */
int motley__profile_text(const struct motley__profile *profile, char **text, struct motley_error *error);
int motley__profile_parse(const char *text, const char *where, const struct motley__log *log,
                          struct motley__profile *profile, struct motley_error *error);

/* Merge `news` into the file: under a lock on "<path>.lock", read, merge, write beside it, rename.  Several jobs may do
 * so at once.  Errors: MOTLEY_E_IO, MOTLEY_E_MEMORY. */
int motley__profile_update(const char *path, const struct motley__profile *news, const struct motley__log *log,
                           struct motley_error *error);

#endif
