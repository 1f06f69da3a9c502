#!/bin/sh
# `motley bench`: rows of the promised columns whose numbers agree with one another, every result compared before it is
# timed, and a word where something is missing.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
here=$(cd "$(dirname "$0")" && pwd)
motley=$BUILD_DIR/motley
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
fail() {
    echo "FAILED: $1"
    failed=$((failed + 1))
}

columns=operator,family,variant,dtype,E,K,T,D,F,routing,direction,seconds,gflops,\
gbytes_per_s,peak_gflops,peak_gbytes_per_s,\
limit_seconds,fraction_of_limit,peer,peer_seconds,ratio

# bench NAME ROWS ARGUMENT...: so many rows behind the header, each with consistent numbers.
bench() {
    name=$1 rows=$2
    shift 2
    "$motley" bench "$@" --csv --rounds 2 --seconds 0.001 >"$work/$name.csv" 2>"$work/$name.log" || {
        cat "$work/$name.log"
        grep -q 'no OpenCL platform' "$work/$name.log" && exit 77
        fail "bench $* ended with an error"
        return
    }
    [ "$(head -n 1 "$work/$name.csv")" = "$columns" ] || fail "$name: the header is $(head -n 1 "$work/$name.csv")"
    awk -F, -v rows="$rows" '
        function near(a, b) { return a - b <= 0.01 * b + 1e-4 && b - a <= 0.01 * b + 1e-4 }
        NR == 1 { next }
        NF != 21 { print "not 21 columns: " $0; bad++ }
        !($12 > 0 && $15 > 0 && $16 > 0 && $17 > 0) { print "a time or a peak is not positive: " $0; bad++ }
        !near($18, $17 / $12) { print "fraction_of_limit is not limit_seconds / seconds: " $0; bad++ }
        $19 == "none" && ($20 != "" || $21 != "") { print "numbers of no peer: " $0; bad++ }
        $19 != "none" && !near($21, $20 / $12) { print "ratio is not peer_seconds / seconds: " $0; bad++ }
        $17 < 0.99 * $13 * $12 / $15 / $5 { print "limit_seconds is below what the flops need: " $0; bad++ }
        END { if (NR - 1 != rows) { print NR - 1 " rows, not " rows; bad++ }; exit bad != 0 }' "$work/$name.csv" ||
        { cat "$work/$name.csv"; fail "$name"; }
}

bench operators 40 operators --shape 5x2x48x33 --tokens 1,7 --routing zipf,one
bench layers 8 layer --shape 5x3x65x33,2x1x16x48 --tokens 1,40 --routing llep95
bench relu 2 layer --shape 4x2x32x48 --tokens 5 --routing even --activation relu
bench filtered 1 operators --shape 4x2x32x48 --tokens 3,4 --cases 'estmm backward E4 K2 T4 D32 F48 zipf'
bench alone 1 operators --shape 4x2x32x48 --tokens 3 --operator esmm --routing zipf --peer none
bench bf16 3 operators --shape 4x2x32x48 --tokens 3 --operator esmm,esmm_transposed,estmm --routing zipf --dtype bf16
bench bf16-layer 2 layer --shape 4x2x32x48 --tokens 3 --routing zipf --dtype bf16
grep -q '^estmm,[a-z]*,[a-z0-9_]*,bf16,' "$work/bf16.csv" || fail "no row in bf16"
bench clblast 1 operators --shape 4x2x32x48 --tokens 3 --operator estmm --routing zipf --peer clblast
grep -q '^estmm,.*,clblast,[0-9]' "$work/clblast.csv" || grep -q '^clblast: not in this build' "$work/clblast.log" ||
    fail "no row against clblast"
grep -q '^esmm,.*,none,,$' "$work/alone.csv" || fail "--peer none has a peer"
sh "$here/run-mpi" 2 "$motley" bench exchange --shape 5x3x33x1 --tokens 1,40 --dtype f32,bf16 --rounds 3 --csv \
    >"$work/exchange.csv" 2>"$work/log" || { cat "$work/log"; fail "rows between two ranks"; }
awk -F, '
    function near(a, b) { return a - b <= 0.02 * b + 1e-4 && b - a <= 0.02 * b + 1e-4 }
    NR == 1 { if ($1 != "ranks" || NF != 21) { print "the header is " $0; bad++ }; next }
    NF != 21 { print "not 21 columns: " $0; bad++ }
    $1 != 2 || $2 != 1 { print "not two ranks on a node: " $0; bad++ }
    $9 != $8 * 33 * ($7 == "f32" ? 4 : 2) { print "bytes are not those of the rows: " $0; bad++ }
    $8 > $5 || $15 < $9 { print "more rows than tokens, or padding is for nothing: " $0; bad++ }
    !($18 > 0 && $19 > 0) || $20 != 0 || $21 != 0 { print "counts, or a copy where memory is shared: " $0; bad++ }
    !near($11, 1e-9 * $9 / $10) || !near($14, $12 / $10) || !near($17, $16 / $10) { print "quotients: " $0; bad++ }
    END { if (NR != 5) { print NR - 1 " rows, not 4"; bad++ }; exit bad != 0 }' "$work/exchange.csv" ||
    { cat "$work/exchange.csv"; fail "bench exchange"; }
"$motley" bench exchange >"$work/out" 2>&1 && fail "an exchange of one rank"
grep -q 'under mpirun' "$work/out" || fail "an exchange of one rank has no word"
sh "$here/run-mpi" 2 "$motley" bench operators --shape 4x2x32x48 --tokens 3 --operator ess --routing zipf --rounds 2 \
    --json >"$work/json" 2>"$work/log" || { cat "$work/log"; fail "two ranks"; }
[ "$(grep -c '"operator": "ess"' "$work/json")" = 1 ] || fail "two ranks say more or less than one row"

# The products' peer, where it is installed.
if grep -q 'not installed' "$work/operators.log"; then
    echo "OpenBLAS is not installed: not compared with it"
else
    for operator in esmm esmm_swiglu esmm_transposed estmm; do
        grep -q "^$operator,.*,openblas,[0-9]" "$work/operators.csv" || fail "$operator has no row against openblas"
    done
    [ "$(grep -c '^layer,.*,openblas,[0-9]' "$work/layers.csv")" = 8 ] || fail "layers without openblas"
    mkdir "$work/none"
    : >"$work/none/libopenblas.so.0"
    : >"$work/none/libopenblas.so"
    LD_LIBRARY_PATH=$work/none${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
    bench without 1 operators --shape 4x2x32x48 --tokens 3 --operator esmm --routing zipf
    grep -q '^esmm,.*,none,,$' "$work/without.csv" &&
        grep -q 'apt-get install libopenblas0-pthread' "$work/without.log" ||
        fail "no word about OpenBLAS missing"
fi

# A kernel that is wrong must not be timed.
cp -r "$SOURCE_DIR/cl" "$work/cl" && chmod -R u+w "$work/cl"
sed 's|= order\[j\] / a.K;|= order[j] / a.K * 0;|' "$SOURCE_DIR/cl/encode.cl" >"$work/cl/encode.cl"
cmp -s "$SOURCE_DIR/cl/encode.cl" "$work/cl/encode.cl" && fail "the kernel is not spoilt"
if MOTLEY_CL_DIR=$work/cl "$motley" bench operators --shape 2x1x3x5 --tokens 3 --operator encode \
    >"$work/out" 2>"$work/log" ||
    ! grep -q 'encode .*what is wrong is not timed' "$work/log"; then
    cat "$work/out" "$work/log"
    fail "a wrong kernel was timed"
fi

# refuse WORDS ARGUMENT...: is called wrongly, and these words say so.
refuse() {
    words=$1
    shift
    "$motley" bench "$@" >"$work/out" 2>"$work/log"
    if [ $? != 2 ] || ! grep -q -e "$words" "$work/log"; then
        cat "$work/out" "$work/log"
        fail "bench $* is not refused with \"$words\""
    fi
}
refuse 'operators, layer' nothing
refuse '--operator: .*esmm_swiglu' operators --operator product
refuse '--shape: .*8x2x1024x2816' operators --shape 2x4x8x8
refuse '--tokens: ' operators --tokens 0
refuse '--routing: .*llep95' operators --routing odd
refuse '--peer: ' operators --peer itself

[ "$failed" = 0 ] || { echo "$failed failed"; exit 1; }
