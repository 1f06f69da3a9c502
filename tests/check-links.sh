#!/bin/sh
# Two nodes with a link of 200 Mbit/s: what the link was measured to do foretells what plain messages of a megabyte
# take, within 10%.  Skips where the machine does not let us make nodes.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
cluster=$SOURCE_DIR/tests/cluster
[ "${MOTLEY_QUICK:-0}" = 0 ] || { echo "skipped: MOTLEY_QUICK leaves out messages timed on slow links"; exit 77; }
[ "$(nproc)" -ge 2 ] || { echo "skipped: needs two cores"; exit 77; }

trap '"$cluster" down' EXIT INT TERM
"$cluster" down
"$cluster" up 2 200mbit || exit $?
"$cluster" cpu 1 0 && "$cluster" cpu 2 1 || exit 1
for try in 1 2 3; do
    CLUSTER_MPIRUN="${XDG_CACHE_HOME:+-x XDG_CACHE_HOME} ${POCL_CACHE_DIR:+-x POCL_CACHE_DIR}" \
        timeout -k 5 60 "$cluster" run 1 "$BUILD_DIR/tests/links" 0.10 && exit 0
    echo "try $try did not do"
done
exit 1
