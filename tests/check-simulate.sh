#!/bin/sh
# `motley simulate` with the recorded machines: every described cluster in its own size and from 2 to 4096 ranks, within
# seconds; as table, CSV, JSON and picture; and what it says to bad input.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
motley=$BUILD_DIR/motley
machines=$SOURCE_DIR/tests/machines
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
shape='--width 512 --hidden 1024 --experts 64 --top-k 2'
sizes=2,4,8,16,32,64,128,256,512,1024,2048,4096
failed=0

# complain WORDS: with what the last command wrote.
complain() {
    echo "$1:"
    cat "$folder/out" "$folder/err"
    failed=1
}

# simulate OPTION...: it must succeed and say nothing on standard error.
simulate() {
    "$motley" simulate $shape "$@" >"$folder/out" 2>"$folder/err" && [ ! -s "$folder/err" ] || complain "simulate $*"
}

# refused WORDS OPTION...
refused() {
    words=$1
    shift
    "$motley" simulate $shape "$@" >"$folder/out" 2>"$folder/err" && complain "it accepted $*"
    grep -q -- "$words" "$folder/err" || complain "it does not say '$words' to $*"
}

for cluster in "$machines"/*.json; do
    simulate --cluster "$cluster" --tokens 16384 --backward
    [ "$(grep -c '\*$' "$folder/out")" -eq 1 ] || complain 'not one mode is chosen'
    for mode in expert data model hybrid; do
        grep -q " $mode[: ]" "$folder/out" || complain "no mode $mode"
    done

    begin=$(date +%s)
    simulate --cluster "$cluster" --tokens-per-rank 512 --backward --ranks $sizes --csv --svg "$folder/sweep.svg"
    seconds=$(($(date +%s) - begin))
    echo "${cluster##*/}: 2 to 4096 ranks in $seconds s"
    [ "$seconds" -lt 30 ] || complain 'it took half a minute'
    # 13 cells in every line; one mode chosen of each size; where it fits, seconds and bytes are positive.
    awk -F, 'NF != 13 { bad = 1 } NR > 1 && $5 { chosen[$1]++ } NR > 1 && $6 != "" && !($6 > 0 && $13 > 0) { bad = 1 }
             END { for (r in chosen) { sizes++; if (chosen[r] != 1) bad = 1 } exit bad || sizes != 12 }' \
        "$folder/out" || complain 'the CSV is not what it should be'
    grep -q '</svg>' "$folder/sweep.svg" || complain 'no picture'
    grep -q 'nan\|inf' "$folder/sweep.svg" && complain 'a picture of what is no number'
    simulate --cluster "$cluster" --tokens 100 --ranks 3 --mode model --json
    grep -q '"step_seconds"' "$folder/out" || complain 'no JSON'
done

cluster=$machines/cores2.json
refused 'cannot be opened\|No such file' --cluster "$folder/none" --tokens 1
refused 'either --tokens or --tokens-per-rank' --cluster "$cluster"
refused "ranks '2,x'" --cluster "$cluster" --tokens 1 --ranks 2,x
refused 'hybrid:r' --cluster "$cluster" --tokens 1 --mode fast
refused 'motley measure --width 512 --hidden 1024 --dtype f16' --cluster "$cluster" --tokens 1 --dtype f16
echo '{"nodes": [{"name": "a", "devices": [{"profile": "x", "device": "y"}]' >"$folder/cut"
refused 'cut: line [0-9]*, column' --cluster "$folder/cut" --tokens 1
exit $failed
