#!/bin/sh
# A node is throttled to 30% of its core in the middle of training, and later gets it back: both times the run notices within
# ten steps, measures again and moves experts.  Load from elsewhere can hide or feign such changes, so three tries may
# show it.  Skips where the machine does not let us make nodes.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
cluster=$SOURCE_DIR/tests/cluster
[ "$(nproc)" -ge 2 ] || { echo "skipped: needs two cores"; exit 77; }
[ "${SANITIZERS:-no}" != yes ] || { echo "skipped: the sanitizers change what is fast"; exit 77; }

work=$(mktemp -d) || exit 1
trap '"$cluster" down; rm -rf "$work"' EXIT INT TERM
"$cluster" down
"$cluster" up 2 none || exit $?

# Steps that the run has done.
steps() { tail -n 1 "$out/loss.csv" 2>/dev/null | awk -F, '{ print $1 + 0 }'; }

# until STEP: the run has done so many steps; 1 when it ended before.
until_step() {
    while at=$(steps) && [ "${at:-0}" -lt "$1" ]; do
        kill -0 "$run" 2>/dev/null || return 1
        sleep 0.1
    done
}

# The step of the last move that the run told of, 0: none.
moved() { sed -n 's/.*step \([0-9]*\): .*experts move .*/\1/p' "$out/log" | tail -n 1 | grep . || echo 0; }

# noticed STEP: a move is told of behind that step, at most twelve later (a step may end while the quota is set).
noticed() {
    until_step $(($1 + 13)) || return 1
    at=$(moved)
    echo "changed in step $1, experts moved in step $at"
    [ "$at" -gt "$1" ] && [ "$at" -le $(($1 + 12)) ]
}

try() {
    "$cluster" cpu 1 0 && "$cluster" cpu 2 1 100 || return 1
    XDG_CACHE_HOME=$work/profile CLUSTER_MPIRUN="-x XDG_CACHE_HOME ${POCL_CACHE_DIR:+-x POCL_CACHE_DIR}" \
        "$cluster" run 1 "$BUILD_DIR/motley" train --text "$SOURCE_DIR/src" --output "$out" --width 256 --hidden 512 \
        --layers 2 --heads 4 --batch 8 --sequence 128 --steps 2000 --eval-every 0 --save-every 0 >"$out/log" 2>&1 &
    run=$!
    until_step 15 || return 1
    "$cluster" cpu 2 1 30
    noticed "$(steps)" || return 1
    until_step $(($(moved) + 15)) || return 1
    "$cluster" cpu 2 1 100
    noticed "$(steps)"
}

for number in 1 2 3; do
    out=$work/$number
    mkdir "$out"
    try
    result=$?
    kill -TERM "$run" 2>/dev/null
    wait "$run"
    grep 'experts move\|does not pay\|error\|failed' "$out/log"
    [ $result = 0 ] && exit 0
    echo "try $number did not do"
done
exit 1
