#!/bin/sh
# What the network's counters say of many steps agrees with bytes_sent_nodes of their stats: on two nodes of two ranks
# the interface of each node sends what its ranks say they sent to the other one, and the headers of the protocols below
# (MPI, TCP, IP), at most 12%.  Two runs that differ in their number of steps alone tell what is not of steps.  Skips
# where the machine does not let us make nodes, and without numpy.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
cluster=$SOURCE_DIR/tests/cluster
python=${PYTHON:-python3}
[ "${MOTLEY_QUICK:-0}" = 0 ] || { echo "skipped: MOTLEY_QUICK leaves out what hundreds of steps send"; exit 77; }
"$python" -c 'import numpy' 2>/dev/null || { echo "skipped: no numpy for $python"; exit 77; }

work=$(mktemp -d) || exit 1
trap '"$cluster" down; rm -rf "$work"' EXIT INT TERM
"$cluster" down
"$cluster" up 2 none || exit $?
last=$(($(nproc) - 1))
"$cluster" cpu 1 "0-$last" && "$cluster" cpu 2 "0-$last" || exit 1
"$python" "$SOURCE_DIR/tests/reference.py" make "$work/in" --tokens 1001 --width 256 --hidden 32 --experts 10 \
    --top-k 2 --activation relu || exit 1

# sent NODE: bytes that its interface has sent.
sent() { ip netns exec "motley$1" cat /sys/class/net/eth0/statistics/tx_bytes; }

# steps COUNT OPTION...: what each interface sends during a run of so many, in $first and $second.
steps() {
    count=$1
    shift
    first=$(sent 1) second=$(sent 2)
    XDG_CACHE_HOME=$work/cache CLUSTER_MPIRUN="-x XDG_CACHE_HOME ${POCL_CACHE_DIR:+-x POCL_CACHE_DIR}" \
        timeout -k 5 60 "$cluster" run 2 "$BUILD_DIR/motley" layer --input "$work/in" --output "$work/out" --top-k 2 \
        --activation relu --mode expert --shares even --repeat "$count" --stats "$work/stats" "$@" >"$work/log" 2>&1 ||
        { cat "$work/log"; exit 1; }
    first=$(($(sent 1) - first)) second=$(($(sent 2) - second))
}

# compare NAME OPTION...: 100 steps by the counters and by the stats.
compare() {
    name=$1
    shift
    steps 11 "$@"
    least_1=$first least_2=$second
    steps 111 "$@"
    "$python" - "$work/stats" "$name" $((first - least_1)) $((second - least_2)) <<'END'
import json, sys
ranks = json.load(open(sys.argv[1]))["ranks"]
failed = len(ranks) != 4 or len({rank["host"] for rank in ranks}) != 2
for node, counted in enumerate(map(int, sys.argv[3:]), 1):
    said = 100 * sum(rank["bytes_sent_nodes"] for rank in ranks if rank["host"] == f"motley{node}")
    print(f"{sys.argv[2]}: 100 steps of node {node}: {counted} bytes by the interface, {said} by the stats, "
          f"{counted / max(said, 1) - 1:+.4f}")
    failed |= not 0 < said <= counted <= 1.12 * said
sys.exit(failed)
END
}

failed=0
steps 1 --exchange linear --pipeline 1 # measures what is not known yet
compare linear --exchange linear --pipeline 1 || failed=1
compare chunks --exchange linear --pipeline 4 || failed=1
compare hierarchical --exchange hierarchical || failed=1
"$python" "$SOURCE_DIR/tests/reference.py" check "$work/in" "$work/out" --top-k 2 --activation relu \
    --stats "$work/stats" || failed=1
exit $failed
