#!/bin/sh
# A node is throttled to 30% of its core in the middle of training, and later gets it back: both times the run notices
# within ten steps, measures again and moves experts; in the end it predicts held-out text as well as a run that nothing
# disturbed.  Load from elsewhere can hide or feign such changes, so three tries may show it.  Skips where the machine
# does not let us make nodes.
#
# MOTLEY_DRIFT_LIMIT: for a quiet machine, where steps can be compared: behind the first move they take at most so many
# times as long as those of a run that was planned for the throttled node from the start, which goes while the first is
# stopped (1.15).
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
cluster=$SOURCE_DIR/tests/cluster
[ "${MOTLEY_QUICK:-0}" = 0 ] || { echo "skipped: MOTLEY_QUICK leaves out training on throttled nodes"; exit 77; }
[ "$(nproc)" -ge 2 ] || { echo "skipped: needs two cores"; exit 77; }
[ "${SANITIZERS:-no}" != yes ] || { echo "skipped: the sanitizers change what is fast"; exit 77; }

work=$(mktemp -d) || exit 1
run=
trap '"$cluster" down; rm -rf "$work"' EXIT INT TERM
"$cluster" down
"$cluster" up 2 none || exit $?
last=70 # step, of which the loss on held-out text is compared

# begin NAME PROFILE [OPTION...]: a run in the background, its process is $run, its output $out.  At such a rate two
# runs whose sums are taken in other orders have the same loss in six digits there; at the default one 0.01 between
# them.
begin() {
    out=$work/$1
    mkdir "$out"
    profile=$work/$2
    shift 2
    XDG_CACHE_HOME=$profile CLUSTER_MPIRUN="-x XDG_CACHE_HOME ${POCL_CACHE_DIR:+-x POCL_CACHE_DIR}" \
        "$cluster" run 1 "$BUILD_DIR/motley" train --text "$SOURCE_DIR/src" --output "$out" --width 256 --hidden 512 \
        --layers 2 --heads 4 --batch 8 --sequence 128 --steps 2000 --learning-rate 3e-4 --held-out 16384 \
        --eval-every $last --save-every 0 "$@" >"$out/log" 2>&1 &
    run=$!
}

# end PROCESS: of a run.
end() {
    kill -TERM "$1" 2>/dev/null
    wait "$1"
}

# tell_all SIGNAL OUTPUT: the processes of a run.
tell_all() {
    for process in $(grep -lzxF -- "$2" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
        kill "-$1" "$process" 2>/dev/null
    done
}

# Steps that the run has done.
steps() { tail -n 1 "$out/loss.csv" 2>/dev/null | awk -F, '{ print $1 + 0 }'; }

# until_step STEP: the run has done so many steps; 1 when it ended before.
until_step() {
    while at=$(steps) && [ "${at:-0}" -lt "$1" ]; do
        kill -0 "$run" 2>/dev/null || return 1
        sleep 0.1
    done
}

# The step of the last move for a device's sake that the run told of, 0: none.
moved() {
    sed -n 's/.*step \([0-9]*\): the experts of rank .*experts move .*/\1/p' "$out/log" | tail -n 1 | grep . || echo 0
}

# noticed STEP: a move is told of behind that step, at most twelve later (a step may end while the quota is set).
noticed() {
    until_step $(($1 + 13)) || return 1
    at=$(moved)
    echo "changed in step $1, experts moved in step $at"
    [ "$at" -gt "$1" ] && [ "$at" -le $(($1 + 12)) ]
}

# milliseconds OUTPUT FIRST LAST: the median of these steps.
milliseconds() {
    awk -F, -v first="$2" -v last="$3" '$1 >= first && $1 <= last { print 1e3 * 8 * 128 / $10 }' "$1/loss.csv" |
        sort -n | awk '{ x[NR] = $1 } END { print (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2 }'
}

# as_if_planned: steps behind the move against those of a run that starts as things are now.
as_if_planned() {
    [ -n "${MOTLEY_DRIFT_LIMIT:-}" ] || { until_step $(($(moved) + 15)); return; }
    first=$(($(moved) + 3)) moved_run=$run moved_out=$out
    until_step $((first + 10)) || return 1
    tell_all STOP "$moved_out"
    begin planned "planned-$number"
    until_step $((first + 22)) # the same steps: as training goes on, tokens choose otherwise
    result=$?
    end "$run"
    planned=$(milliseconds "$out" "$first" $((first + 22)))
    rm -r "$out"
    run=$moved_run out=$moved_out
    tell_all CONT "$moved_out"
    [ $result = 0 ] && until_step $((first + 22)) || return 1
    after=$(milliseconds "$out" "$first" $((first + 22)))
    echo "a step takes $after ms behind the move, $planned ms by a plan made for that state"
    awk -v a="$after" -v b="$planned" -v limit="$MOTLEY_DRIFT_LIMIT" 'BEGIN { exit !(a <= limit * b) }'
}

held_out() { awk -F, -v step=$last '$1 == step { print $4 }' "$1/loss.csv"; }

# as_if_calm: the loss on held-out text against that of a run that nothing disturbs.
as_if_calm() {
    until_step $last || return 1
    disturbed=$(held_out "$out")
    end "$run"
    begin calm "profile-$number" --keep-plan
    until_step $last || return 1
    calm=$(held_out "$out")
    echo "held-out text after $last steps: $disturbed nats, $calm undisturbed"
    awk -v a="$disturbed" -v b="$calm" 'BEGIN { exit !(a != "" && b != "" && a - b < 0.01 && b - a < 0.01) }'
}

try() {
    "$cluster" cpu 1 0 && "$cluster" cpu 2 1 100 || return 1
    begin "$number" "profile-$number"
    until_step 15 || return 1
    "$cluster" cpu 2 1 30
    noticed "$(steps)" && as_if_planned || return 1
    "$cluster" cpu 2 1 100
    noticed "$(steps)" && as_if_calm
}

for number in 1 2 3; do
    try
    result=$?
    end "$run"
    grep 'experts move\|does not pay\|error\|failed' "$work/$number/log"
    [ $result = 0 ] && exit 0
    rm -rf "$work/calm"
    echo "try $number did not do"
done
exit 1
