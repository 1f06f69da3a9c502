/* The profile among ranks: read and written once per node, told to everyone.
 *
 * No shared filesystem is assumed: the first rank of each node reads and writes the node's file.  On the wire an entry
 * is its text, so there is one format.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_PROFILE_RECORD_H
#define MOTLEY_PROFILE_RECORD_H

#include "context.h"
#include "profile/profile.h"

/* What the measurements of this rank in a storage type depend on. */
void motley__record_key(const motley_context *context, enum motley_dtype dtype, struct motley__profile_key *key);

/* Where the node's file lies: the context's --profile, or "profile" in the cache folder.  *path owned by the caller. */
int motley__record_path(const motley_context *context, char **path, struct motley_error *error);

/* The node's file: *profile holds everything in it, and an entry for this rank in that storage type (empty if nothing
 * is known), which is *entry, borrowed from *profile.  A file that is absent is empty; one that cannot be read is so
 * too, with a warning.  profile: zero before; cleared by the caller, also after a failure.  Collective; agreed.
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__record_load(motley_context *context, enum motley_dtype dtype, struct motley__profile *profile,
                        struct motley__profile_entry **entry, struct motley_error *error);

/* Set this rank's device to what the node's file says of its tuning for a storage type.  A file that cannot be read
 * says nothing.  Collective; agreed.  Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__record_tune(motley_context *context, enum motley_dtype dtype, struct motley_error *error);

/* Merge the entries of the node's ranks into its file.  Collective; agreed.  Errors: MOTLEY_E_IO, MOTLEY_E_MEMORY,
 * MOTLEY_E_COMM. */
int motley__record_save(motley_context *context, const struct motley__profile_entry *entry, struct motley_error *error);

/* Merge what belongs to no single device, the links and outcomes of `profile`, into every node's file.  Collective;
 * agreed.  Errors: as above. */
int motley__record_save_common(motley_context *context, const struct motley__profile *profile,
                               struct motley_error *error);

/* Everyone's entry: profiles [size] are zero before, each gets the one entry of its rank with the curves of `shape`, of
 * its slice, and the choices of its class of weights; cleared by the caller, also after a failure.  Collective; agreed.
 * Errors: MOTLEY_E_MEMORY, MOTLEY_E_COMM. */
int motley__record_gather(motley_context *context, const struct motley__profile_entry *entry,
                          const struct motley_layer_shape *shape, struct motley__profile *profiles,
                          struct motley_error *error);

#endif
