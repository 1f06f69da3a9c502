#!/bin/sh
# `motley layer` against tests/reference.py, an independent computation in double precision with numpy, at 1 to 4
# ranks: every activation, biases, K = 1, 2, E, every mode, every gate, uneven tokens, experts without rows, equal gate
# rows, odd file offsets, BF16 files, storage in bf16 and f16; and bit for bit against itself.
#
# PYTHON names the interpreter (python3).
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
"$python" -c 'import numpy' 2>/dev/null ||
    { echo "skipped: no $python with numpy here; on Debian or Ubuntu: apt-get install python3-numpy"; exit 77; }

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# compare RANKS "OPTIONS OF make" "OPTIONS OF both layer and check" [OPTIONS OF layer]
compare() {
    ranks=$1 make=$2 options=$3
    shift 3
    echo "== $ranks ranks: $make $options $*"
    rm -f "$work/out" "$work/stats"
    if "$python" "$here/reference.py" make "$work/in" $make &&
        sh "$here/run-mpi" "$ranks" "$BUILD_DIR/motley" layer --quiet --input "$work/in" --output "$work/out" \
            --stats "$work/stats" $options "$@" &&
        "$python" "$here/reference.py" check "$work/in" "$work/out" $options --stats "$work/stats"; then
        return
    fi
    echo "FAILED: $ranks ranks: $make $options $*"
    failed=$((failed + 1))
}

small="--width 40 --hidden 52 --experts 6 --tokens"
compare 1 "$small 37 --top-k 2 --bias b1 b2" \
    "--top-k 2 --activation relu --backward"
compare 2 "$small 37 --top-k 1 --bias b1" \
    "--top-k 1 --activation gelu --backward --normalize"
compare 3 "$small 37 --top-k 6 --tokens-per-rank 0 36 1" \
    "--top-k 6 --activation silu --backward --normalize"
compare 4 "$small 37 --top-k 2 --activation swiglu --tokens-per-rank 5 0 31 1" \
    "--top-k 2 --activation swiglu --backward"
compare 4 "$small 3 --top-k 1 --bias b2" \
    "--top-k 1 --activation silu --backward" --shares even
compare 2 "$small 64 --top-k 1 --activation swiglu --one-expert" \
    "--top-k 1 --activation swiglu --backward"
compare 3 "$small 48 --top-k 2 --bias b1 b2 --equal-gate" \
    "--top-k 2 --activation silu --backward"
compare 2 "$small 57 --top-k 2 --gate sigmoid --activation swiglu" \
    "--top-k 2 --activation swiglu --gate sigmoid --normalize --backward"
compare 3 "$small 41 --top-k 3 --gate cosine --bias b1 b2 --tokens-per-rank 0 40 1" \
    "--top-k 3 --activation gelu --gate cosine --backward"
compare 1 "$small 41 --top-k 2 --gate cosine --temperature 5 --activation swiglu" \
    "--top-k 2 --activation swiglu --gate cosine --normalize --backward"
compare 3 "$small 61 --top-k 2 --activation swiglu --tokens-per-rank 40 0 21" \
    "--top-k 2 --activation swiglu --capacity 0.8 --normalize --backward"
compare 4 "$small 61 --top-k 3 --gate sigmoid --activation swiglu" \
    "--top-k 3 --activation swiglu --gate sigmoid --capacity -0.9 --bpr --normalize --backward"
compare 3 "$small 53 --top-k 2 --activation swiglu --tokens-per-rank 9 0 44" \
    "--top-k 2 --activation swiglu --noise 2 --seed 5 --balance 0.7 --z-loss 0.2 --backward"
compare 4 "$small 47 --top-k 3 --bias b1 b2" \
    "--top-k 3 --activation gelu --weigh before --capacity 0.9 --balance 0.5 --normalize --backward"
compare 2 "$small 29 --top-k 3 --gate forced --activation swiglu" \
    "--top-k 3 --activation swiglu --gate forced --backward"
compare 3 "$small 29 --top-k 3 --gate forced --bias b1 b2" \
    "--top-k 3 --activation gelu --gate forced --backward --normalize"
compare 2 "$small 21 --top-k 2 --activation silu --dtype BF16 --offset 3" \
    "--top-k 2 --activation silu --backward"
compare 1 "$small 21 --top-k 2 --activation silu --dtype F16 --offset 1" \
    "--top-k 2 --activation silu"
compare 2 "$small 0 --top-k 2 --activation silu" \
    "--top-k 2 --activation silu --backward"
compare 2 "--width 1 --hidden 1 --experts 2 --tokens 5 --top-k 2 --activation swiglu" \
    "--top-k 2 --activation swiglu --backward"
compare 2 "--width 1024 --hidden 2816 --experts 4 --tokens 33 --top-k 2 --activation swiglu" \
    "--top-k 2 --activation swiglu --backward"
compare 3 "$small 41 --top-k 2 --bias b1 b2 --activation gelu" \
    "--top-k 2 --activation gelu --backward" --shares even --repeat 3
# Slices of the hidden dimension: on all ranks, and in groups of two.
compare 2 "$small 37 --top-k 2 --bias b1 b2" \
    "--top-k 2 --activation gelu --backward" --mode model
compare 3 "$small 37 --top-k 3 --activation swiglu --tokens-per-rank 0 36 1" \
    "--top-k 3 --activation swiglu --backward" --mode hybrid:2 --shares even
compare 4 "$small 41 --top-k 2 --bias b1 b2 --activation silu" \
    "--top-k 2 --activation silu --normalize --backward" --mode hybrid:2
compare 3 "--width 40 --hidden 52 --experts 2 --tokens 37 --top-k 1 --activation swiglu" \
    "--top-k 1 --activation swiglu --backward --dtype bf16" --mode model
# Tokens stay, weights travel.
compare 3 "$small 37 --top-k 2 --bias b1 b2 --tokens-per-rank 0 36 1" \
    "--top-k 2 --activation gelu --backward" --mode data
compare 2 "$small 41 --top-k 2 --activation swiglu" \
    "--top-k 2 --activation swiglu --backward --dtype bf16" --mode data
# In chunks, and in the plain form, a row for each pair.
compare 4 "$small 41 --top-k 3 --bias b1 b2 --activation gelu" \
    "--top-k 3 --activation gelu --backward" --shares even --mode expert --pipeline 4
compare 3 "$small 37 --top-k 3 --activation swiglu --tokens-per-rank 0 36 1" \
    "--top-k 3 --activation swiglu --backward --dtype bf16" --shares even --mode expert --exchange linear --dedup off \
    --pipeline 2
# Stored in two bytes on the devices and on the wire.
compare 1 "$small 37 --top-k 2 --bias b1 b2 --activation gelu" \
    "--top-k 2 --activation gelu --backward --dtype bf16"
compare 3 "$small 37 --top-k 2 --activation swiglu --tokens-per-rank 5 0 32" \
    "--top-k 2 --activation swiglu --backward --dtype bf16"
compare 4 "$small 41 --top-k 2 --activation swiglu --gate forced" \
    "--top-k 2 --activation swiglu --gate forced --backward --dtype f16"
compare 2 "--width 1024 --hidden 2816 --experts 4 --tokens 33 --top-k 2 --activation swiglu --dtype BF16" \
    "--top-k 2 --activation swiglu --backward --dtype bf16"
compare 2 "$small 0 --top-k 2 --activation silu" \
    "--top-k 2 --activation silu --backward --dtype f16"

# The same printed plan, the same bits.  What a plan chooses is measured, so two runs may differ in it: then another
# run is compared.
run_planned() {
    sh "$here/run-mpi" 3 "$BUILD_DIR/motley" layer --input "$work/in" --output "$1" --top-k 2 --activation gelu \
        --backward --shares even 2>"$1.log" >/dev/null || cat "$1.log"
    # rank, family, dense path, experts: the columns that are no measured numbers
    sed -n '/^rank /,/^expert phase/p' "$1.log" | grep -o '^[0-9]* \|cpu\|generic\|esmm\|clblast\|([0-9,-]*)' >"$1.plan"
}
echo "== 3 ranks, repeated"
run_planned "$work/first"
[ -s "$work/first.plan" ] || { echo "FAILED: no plan was printed"; failed=$((failed + 1)); }
for try in 1 2 3 4 5; do
    run_planned "$work/second"
    ! cmp -s "$work/first.plan" "$work/second.plan" || break
    mv "$work/second" "$work/first"
    mv "$work/second.plan" "$work/first.plan"
done
cmp "$work/first.plan" "$work/second.plan" && cmp "$work/first" "$work/second" ||
    { echo "FAILED: two runs of one plan differ"; failed=$((failed + 1)); }

[ "$failed" = 0 ] || { echo "$failed comparisons failed"; exit 1; }
