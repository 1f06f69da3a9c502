#!/bin/sh
# Every mode side by side on two unlike nodes of one core each, from tests/modes: a table for people, half an hour; not
# part of the tests.  Needs what tests/cluster needs.
#
#   SOURCE_DIR=. BUILD_DIR=build sh tests/modes.sh PERCENT RATE [CELL...] >modes.csv
#
#   PERCENT  of a core's time for the second node (35, 67); RATE: of the links ("none", "200mbit")
#   CELL     T,K,E,D,F,forward|backward as tests/modes takes them; default: the 24 below
#
# On stderr: how far what `auto` chose is from the best fixed mode, how far two runs of one mode are from each other,
# and how well steps of 50 ms and more were predicted.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
cells="8,2,8,512,1024,forward 8,8,64,256,512,forward 8,1,16,1024,2048,forward 64,2,8,1024,2048,forward
64,8,64,256,512,forward 64,1,8,512,512,forward 512,2,8,512,1024,forward 512,8,16,512,512,forward
512,1,64,256,1024,forward 4096,1,8,256,512,forward 4096,2,16,512,512,forward 4096,8,32,256,512,forward
8,2,8,512,1024,backward 8,1,64,256,512,backward 64,8,16,512,1024,backward 64,2,32,512,512,backward
512,2,8,1024,2048,backward 512,1,16,512,2048,backward 512,8,64,256,512,backward 512,2,8,256,512,backward
4096,2,8,256,512,backward 4096,1,16,256,1024,backward 4096,8,8,256,512,backward 2048,2,8,512,1024,backward"
[ $# -ge 2 ] || { sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 2; }
percent=$1 rate=$2
shift 2
[ $# -gt 0 ] || set -- $cells
cluster=$SOURCE_DIR/tests/cluster
table=$(mktemp) || exit 1
profile=$(mktemp -d) || exit 1
trap '"$cluster" down; rm -rf "$table" "$profile"' EXIT INT TERM
"$cluster" down
"$cluster" up 2 "$rate" || exit $?
"$cluster" cpu 1 0 && "$cluster" cpu 2 1 "$percent" || exit 1
for cell in "$@"; do # a process each: memory is given back, and one that fails leaves the others
    XDG_CACHE_HOME=$profile CLUSTER_MPIRUN="-x XDG_CACHE_HOME ${POCL_CACHE_DIR:+-x POCL_CACHE_DIR}" \
        "$cluster" run 1 "$BUILD_DIR/tests/modes" --rounds "${ROUNDS:-9}" --label "$percent/$rate" "$cell" |
        tee -a "$table"
done
awk -F, '
    $1 == "label" || NF != 14 { next }
    { cell = $1 FS $2 FS $3 FS $4 FS $5 FS $6 FS $7 }
    $10 == "measured" && $8 == "auto" { auto[cell] = $11; ran[cell] = $9 }
    $10 == "measured" && $8 != "auto" {
        step[cell, $8] = $11
        if (!(cell in best) || $11 < best[cell]) { best[cell] = $11; winner[cell] = $8 }
    }
    $10 == "measured" && $11 >= 50 { long++; off = $12 / $11 - 1; near += off <= 0.15 && off >= -0.15 }
    END {
        for (cell in auto) {
            chosen = step[cell, ran[cell]]
            ratio = chosen / best[cell]
            twice = auto[cell] > chosen ? auto[cell] / chosen : chosen / auto[cell]
            n++; sum += log(ratio); again += log(twice); all[n] = ratio
            printf "%-44s auto %-7s best %-7s %.3f of its time, the same twice %.3f\n", cell, ran[cell], winner[cell],
                ratio, twice
        }
        for (i = 1; i <= n; i++)
            for (j = i + 1; j <= n; j++)
                if (all[j] < all[i]) { swap = all[i]; all[i] = all[j]; all[j] = swap }
        if (n)
            printf "%d cells: chosen / best %.3f in the geometric mean, 90th percentile %.3f; the same twice %.3f\n", n,
                exp(sum / n), all[int(0.9 * n + 0.999)], exp(again / n)
        if (long)
            printf "%d of %d steps of 50 ms and more are predicted within 15%%\n", near, long
    }' "$table" | sort >&2
