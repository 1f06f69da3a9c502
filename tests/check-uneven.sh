#!/bin/sh
# Two nodes of which one has 30% of a core's time: the measured plan gives each rank what it earns.  With one node at
# 1.00 and one at 0.30 and 8 experts, the ideal is 0.50 of the time of even shares; on a quiet machine it measures below
# 0.55.  Other load on the cores raises it, so here three tries may bring it below 0.70.  Skips where the machine does
# not let us make nodes.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
cluster=$SOURCE_DIR/tests/cluster
[ "${MOTLEY_QUICK:-0}" = 0 ] || { echo "skipped: MOTLEY_QUICK leaves out steps timed on throttled nodes"; exit 77; }
[ "$(nproc)" -ge 2 ] || { echo "skipped: needs two cores"; exit 77; }
[ "${SANITIZERS:-no}" != yes ] || { echo "skipped: the sanitizers change what is fast"; exit 77; }

profile=$(mktemp -d) || exit 1
trap '"$cluster" down; rm -rf "$profile"' EXIT INT TERM
"$cluster" down
"$cluster" up 2 none || exit $?
"$cluster" cpu 1 0 && "$cluster" cpu 2 1 30 || exit 1
for try in 1 2 3; do
    XDG_CACHE_HOME=$profile/$try CLUSTER_MPIRUN="-x XDG_CACHE_HOME ${POCL_CACHE_DIR:+-x POCL_CACHE_DIR}" \
        timeout -k 5 100 "$cluster" run 1 "$BUILD_DIR/tests/uneven" "${MOTLEY_UNEVEN_LIMIT:-0.70}" && exit 0
    echo "try $try did not do"
done
exit 1
