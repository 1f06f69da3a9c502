/* Which experts tokens chose together, as plans and gates use it.
 *
 *   coactivation.c        what follows from the counts
 *   coactivation_text.c   files and back
 *   tally.c               counting while a run goes on
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_COACTIVATION_COACTIVATION_H
#define MOTLEY_COACTIVATION_COACTIVATION_H

#include <mpi.h>
#include <stdint.h>

#include <motley/coactivation.h>
#include "base/error.h"

enum {
    MOTLEY__ALL_LAYERS = -1,         /* in place of a layer's number: all of them together */
    MOTLEY__SETS = 8192              /* sampled of a layer, at most */
};

struct motley_coactivation {
    int layers, E, K;                /* K: of a sampled set; 0: there are none */
    int64_t *together;               /* [layers,E,E] tokens that chose both; owned, and so are the next two */
    int *first;                      /* [layers+1] sets first[l] .. first[l+1]-1 are of layer l */
    int *set;                        /* [first[layers],K] different experts, -1: none */
};

/* All counts zero, no sets.  Errors: MOTLEY_E_MEMORY. */
int motley__coactivation_alloc(int layers, int E, motley_coactivation **coactivation, struct motley_error *error);

/* Room for so many sets of K; their layers and experts are the caller's to fill.  Errors: MOTLEY_E_MEMORY. */
int motley__coactivation_alloc_sets(motley_coactivation *coactivation, int K, int sets, struct motley_error *error);

/* A file's text, which is cut up; name stands for it in messages.  Sets are added to the counts of the same run.
 * Errors: MOTLEY_E_FORMAT, MOTLEY_E_MEMORY. */
int motley__coactivation_parse(const char *name, char *text, motley_coactivation **coactivation,
                               struct motley_error *error);
int motley__coactivation_parse_sets(const char *name, char *text, motley_coactivation *coactivation,
                                    struct motley_error *error);

/* Both files, whole or not at all.  Local.  Errors: MOTLEY_E_IO, MOTLEY_E_MEMORY. */
int motley__coactivation_write(const motley_coactivation *coactivation, const char *path, struct motley_error *error);

/* motley_coactivation_read over any communicator. */
int motley__coactivation_read(MPI_Comm comm, double time_limit, const char *path, motley_coactivation **coactivation,
                              struct motley_error *error);

/* Equal for equal contents. */
uint64_t motley__coactivation_hash(const motley_coactivation *coactivation);

/* What the tokens of a layer, or of MOTLEY__ALL_LAYERS, choose: sets with their weights, and each expert's part. */
struct motley__choices {
    int sets, K;                     /* 0 sets: nothing is known */
    int *set;                        /* [sets,K] different experts, -1: none; owned, and so are the next two */
    double *weight;                  /* [sets] part of the tokens; the sum is 1 */
    double *chosen;                  /* [E] part of the tokens that choose the expert */
};

/* For K experts of each token: with 2 the pairs, which are exact, else the sampled sets.
 * Errors: MOTLEY_E_INVALID (there are no sets of K), MOTLEY_E_MEMORY. */
int motley__choices_make(const motley_coactivation *coactivation, int layer, int K, struct motley__choices *choices,
                         struct motley_error *error);
void motley__choices_clear(struct motley__choices *choices);

/* What is left where every expert keeps such a part of its choices: kept [E].  A capacity drops last choices first, of
 * those alike the ones of late tokens; any of a token's is its first as often.  Of pairs exactly, of sampled sets
 * drawn.  Errors: MOTLEY_E_MEMORY. */
int motley__choices_keep(struct motley__choices *choices, int E, const double *kept, struct motley_error *error);

/* The part of the tokens that choose any of the experts of each of G groups: reach [G] written.  group [E] of each
 * expert.  has [G,places] may say (else NULL, and places is G) where groups are, in one place or several: then the same
 * for each place, reach [places]. */
void motley__choices_reach(const struct motley__choices *choices, const int *group, const uint8_t *has, int places,
                           double *reach);

/* Experts [T,K] for so many tokens, written: sets as often as they are chosen, -1 as in the sets.  There is a set.
 * Errors: MOTLEY_E_MEMORY. */
int motley__choices_draw(const struct motley__choices *choices, uint64_t seed, uint64_t stream, int64_t T,
                         int32_t *experts, struct motley_error *error);

/* C2R's lists as the gate takes them: bit j of row i of mask [E, motley__gate_mask_words(E)] is set for i itself and
 * the `most` experts that tokens chose most often with i, of equal ones the lower number.  Errors: MOTLEY_E_MEMORY. */
int motley__coactivation_mask(const motley_coactivation *coactivation, int layer, int most, uint32_t *mask,
                              struct motley_error *error);

#endif
