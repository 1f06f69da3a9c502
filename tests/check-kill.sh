#!/bin/sh
# A training run that saves at every step is killed with SIGKILL at random moments and resumed, again and again; every
# resume goes on, and the end is what a run in one go leaves: the same losses, the same weights, nothing else.
#
# MOTLEY_KILLS: how many kills (4); MOTLEY_KILL_SEED: of the moments (another one each time, printed).
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
here=$(cd "$(dirname "$0")" && pwd)
motley=$BUILD_DIR/motley
kills=${MOTLEY_KILLS:-4}
seed=${MOTLEY_KILL_SEED:-$(date +%s)}
steps=200
MOTLEY_TEST_SECONDS=${MOTLEY_TEST_SECONDS:-240}
export MOTLEY_TEST_SECONDS
echo "$kills kills, seed $seed"

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
sh "$here/run-mpi" 1 true || exit $?
command -v setsid >/dev/null 2>&1 ||
    { echo "skipped: no setsid here; on Debian or Ubuntu: apt-get install util-linux"; exit 77; }

cat "$here"/*.sh "$here"/run* >"$work/text"
options="--quiet --text $work/text --warmup 5 --save-every 1 --eval-every 50 --width 16 --layers 1 --heads 2
    --hidden 16 --experts 3 --sequence 32 --batch 3 --held-out 320"

fail() {
    cat "$work/log"
    echo "$1"
    exit 1
}

# train OUTPUT [OPTION...]
train() {
    output=$1
    shift
    sh "$here/run-mpi" 2 "$motley" train $options --output "$work/$output" "$@" >"$work/log" 2>&1
}

# Both runs go on from one first step, so that they have one plan: two plans may round differently.
train first --steps 1 || fail "the first step failed"
cp -r "$work/first" "$work/whole"
train whole --steps $steps --resume || fail "the run in one go failed"

# random N: a whole number below N, another each time.
turn=0
random() {
    turn=$((turn + 1))
    awk -v seed="$((seed + 7919 * turn))" -v n="$1" 'BEGIN { srand(seed); rand(); print int(rand() * n) }'
}

# Lines of loss.csv: how far the killed run has come.
lines() {
    cat "$work/killed/loss.csv" 2>/dev/null | wc -l
}

# Sends SIGKILL to every process of a session; fails when there is none.
kill_session() {
    victims=$(cat /proc/[0-9]*/stat 2>/dev/null |
        awk -v session="$1" '{ pid = $1; sub(/^.*\) /, ""); if ($4 == session) print pid }')
    [ -n "$victims" ] && kill -KILL $victims 2>/dev/null
}

# The run has come to its end: all but the columns of time are as in the run in one go.
compare() {
    for run in whole killed; do
        cut -d, -f1-9 "$work/$run/loss.csv" >"$work/$run.csv"
        find "$work/$run" | sed "s|^$work/$run||" | sort >"$work/$run.files"
    done
    diff "$work/whole.csv" "$work/killed.csv" >"$work/log" || fail "the losses differ"
    diff "$work/whole.files" "$work/killed.files" >"$work/log" || fail "other files are left"
    for file in model.safetensors optimizer.safetensors config.json plan.json; do
        cmp "$work/whole/checkpoint-$steps/$file" "$work/killed/checkpoint-$steps/$file" >"$work/log" 2>&1 ||
            fail "$file differs"
    done
    rm -rf "$work/killed"
    cp -r "$work/first" "$work/killed"
}

# Some kills fall into start and resume, most into steps and saves: a moment behind the first new line.
wait_a_moment() {
    if [ "$(random 5)" = 0 ]; then
        sleep "$(random 3).$(random 10)"
        return
    fi
    before=$(lines)
    while [ "$(lines)" = "$before" ] && kill -0 "$1" 2>/dev/null; do
        sleep 0.05
    done
    sleep "0.$(random 5)$(random 10)"
}

cp -r "$work/first" "$work/killed"
killed=0
while [ $killed -lt "$kills" ]; do
    setsid sh "$here/run-mpi" 2 "$motley" train $options --output "$work/killed" --steps $steps --resume \
        >"$work/log" 2>&1 &
    group=$!
    wait_a_moment $group
    if kill_session $group; then
        killed=$((killed + 1))
        echo "kill $killed behind $(lines) lines"
    fi
    wait $group 2>/dev/null
    status=$?
    case $status in
    0) compare ;;
    137) ;;
    *) fail "a resumed run ended with $status after $killed kills" ;;
    esac
done
train killed --steps $steps --resume || fail "the last resume failed"
compare
