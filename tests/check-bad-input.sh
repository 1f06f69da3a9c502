#!/bin/sh
# Whatever is wrong with its input, `motley layer` ends non-zero within 30 seconds at 1 and 2 ranks, says in one line
# what is wrong, and leaves neither an output nor a temporary file.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
here=$(cd "$(dirname "$0")" && pwd)
motley=$BUILD_DIR/motley
MOTLEY_TEST_SECONDS=30
OMPI_MCA_odls_base_sigkill_timeout=0 # Open MPI else waits a second whenever a rank ends non-zero
export MOTLEY_TEST_SECONDS OMPI_MCA_odls_base_sigkill_timeout

"$motley" --version >/dev/null || exit 1
sh "$here/run-mpi" 1 true || exit $?

# A valid input of 6 tokens, D=8, F=8, E=4, all zeros, made of shell alone: tensors are "name dtype shape bytes".
tensors="x:F32:6,8:192 gate:F32:4,8:128 w1:F32:4,8,8:1024 w2:F32:4,8,8:1024 dy:F32:6,8:192"

# write_length N: 8 bytes, little-endian.
write_length() {
    n=$1
    for byte in 1 2 3 4 5 6 7 8; do
        printf "\\$(printf %03o $((n & 255)))"
        n=$((n >> 8))
    done
}

# write_input FILE TENSOR...: the bytes of an I64 tensor begin with its numbers, all else is zero.
write_input() {
    file=$1 header= at=0
    shift
    for tensor in "$@"; do
        IFS=: read -r name dtype shape bytes numbers <<TENSOR
$tensor
TENSOR
        end=$((at + bytes))
        header="$header${header:+,}\"$name\":{\"dtype\":\"$dtype\",\"shape\":[$shape],\"data_offsets\":[$at,$end]}"
        at=$end
    done
    {
        write_length $((${#header} + 2))
        printf '{%s}' "$header"
        for tensor in "$@"; do
            IFS=: read -r name dtype shape bytes numbers <<TENSOR
$tensor
TENSOR
            for number in $numbers; do
                write_length "$number"
                bytes=$((bytes - 8))
            done
            head -c "$bytes" /dev/zero
        done
    } >"$file"
}

# poke FILE OFFSET OCTAL: four bytes at an offset from the end of the file.
poke() {
    printf "$3" | dd of="$1" bs=1 seek=$(($(wc -c <"$1") - $2)) conv=notrunc 2>/dev/null
}

# refused "RANKS..." WORDS [OPTION...]: `motley layer` on $input in $environment must fail so.
environment=
refused() {
    counts=$1 words=$2
    shift 2
    for ranks in $counts; do
        rm -rf "$work/output"
        mkdir "$work/output"
        env $environment sh "$here/run-mpi" "$ranks" "$motley" layer --quiet --input "$input" \
            --output "$work/output/out" --stats "$work/output/stats" "$@" >"$work/stdout" 2>"$work/stderr"
        judge $? "$ranks ranks, expecting \"$words\" $*" "$words"
    done
}

# judge STATUS WHAT WORDS
judge() {
    lines=$(grep -c '^motley layer: ' "$work/stderr")
    problem=
    [ "$1" != 0 ] || problem="it succeeded"
    [ "$1" != 124 ] && [ "$1" != 137 ] || problem="it did not end within 30 s"
    [ "$lines" = 1 ] || problem="expected one line that begins with 'motley layer: ', found $lines"
    grep '^motley layer: ' "$work/stderr" | grep -q -- "$3" || problem="the words are missing"
    [ -z "$(ls -A "$work/output")" ] || problem="it left $(ls -A "$work/output")"
    count=$((count + 1))
    grep '^motley layer: ' "$work/stderr"
    [ -n "$problem" ] || return 0
    echo "FAILED: $2: $problem (exit status $1)"
    sed 's/^/    /' "$work/stderr"
    failed=$((failed + 1))
}

# In a namespace of our own: a disk that is full after a few bytes.
full_disk() {
    mkdir "$work/output" && mount -t tmpfs -o size=4k tmpfs "$work/output" || return 77
    head -c 1000000 /dev/zero >"$work/output/filler" 2>/dev/null # takes the only page
    for ranks in 1 2; do
        for option in --output --stats; do
            [ $option = --output ] && other=--stats || other=--output
            sh "$here/run-mpi" "$ranks" "$motley" layer --quiet --backward --input "$input" \
                $option "$work/output/full" $other "$work/elsewhere" >"$work/stdout" 2>"$work/stderr"
            status=$?
            rm -f "$work/output/filler.kept"
            mv "$work/output/filler" "$work/output/filler.kept" 2>/dev/null
            left=$(ls -A "$work/output")
            mv "$work/output/filler.kept" "$work/output/filler"
            [ "$status" != 0 ] && [ "$left" = filler.kept ] && [ ! -e "$work/elsewhere" ] &&
                grep -q "^motley layer: $work/output/full: cannot be written: No space left" "$work/stderr" && continue
            echo "FAILED: $ranks ranks, $option on a full disk: exit status $status, left: $left"
            sed 's/^/    /' "$work/stderr"
            return 1
        done
    done
}

if [ "${1:-}" = full-disk ]; then
    work=$2 input=$2/good
    full_disk
    exit
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0 count=0
good=$work/good input=$work/input
write_input "$good" $tensors

# The input these are made from is good.
sh "$here/run-mpi" 2 "$motley" layer --quiet --input "$good" --output "$work/out" --backward ||
    { echo "a good input fails"; exit 1; }

# Files.
input=$work/absent
refused "1 2" "$work/absent: cannot be opened: No such file"
input=$work
refused 2 "$work: expected a safetensors file, found a directory"
input=$work/input
: >"$input"
refused "1 2" "input: expected a safetensors file, found only 0 bytes: it is truncated"
head -c 100 "$good" >"$input"
refused "1 2" "input: says its header has [0-9]* bytes, but only 92 follow.*truncated"
head -c $(($(wc -c <"$good") - 4)) "$good" >"$input"
refused "1 2" "input: tensor dy: .*truncated"
{ write_length 9223372036854775807; tail -c +9 "$good"; } >"$input"
refused "1 2" "input: says its header has 9223372036854775807 bytes"
sed 's/"dtype":"F32","shape":\[4,8\]/"dtype":"F32","shape":[9,8]/' "$good" >"$input"
refused "1 2" "input: tensor gate: its shape asks for 72 elements of 4 bytes, but its data_offsets span 128"
sed 's/\[192,320\]/[188,316]/' "$good" >"$input"
refused 2 "input: tensors x and gate overlap"
sed 's/{"x"/{ "x/' "$good" >"$input"
refused 2 "input: its header is not JSON"

# Tensors.
write_input "$input" $(echo "$tensors" | sed 's/gate:[^ ]*//')
refused "1 2" "input: tensor gate is missing; add it"
write_input "$input" $(echo "$tensors" | sed 's/dy:[^ ]*//')
refused 2 "input: tensor dy is missing; add it" --backward
input=$good
refused 2 "good: tensor w3 is missing; add it" --activation swiglu
refused 2 "good: tensor forced is missing; add it" --gate forced
input=$work/input
write_input "$input" $(echo "$tensors" | sed 's/w2:F32:4,8,8:1024/w2:F32:4,8,7:896/')
refused "1 2" "input: tensor w2: expected F32, BF16 or F16 of shape \[4,8,8\], found F32 of shape \[4,8,7\]"
write_input "$input" $(echo "$tensors" | sed 's/x:F32:6,8:192/x:I32:6,8:192/')
refused 2 "input: tensor x: expected F32, BF16 or F16 .*, found I32"
write_input "$input" $tensors w3:F32:4,8,8:1024 b1:F32:4,8:128
refused "1 2" "input: tensor b1: expected no bias with --activation swiglu" --activation swiglu
write_input "$input" $tensors forced:I64:6,2:96:"0 1 2 4"
refused 2 "input: tensor forced: expected experts from 0 to 3, found 4 at \[1,1\]" --gate forced
write_input "$input" $tensors cos_proj:F32:8,8:256 cos_bias:F32:4:16 cos_temperature:F32:1:4
refused 2 "input: tensor cos_bias: expected F32, BF16 or F16 of shape \[8\], found F32 of shape \[4\]" --gate cosine
write_input "$input" $tensors cos_proj:F32:257,8:8224 cos_bias:F32:257:1028 cos_temperature:F32:1:4
refused "1 2" "input: tensor cos_proj: expected a width P from 1 to 256, found 257" --gate cosine
write_input "$input" $tensors cos_proj:F32:6,8:192 cos_bias:F32:6:24 cos_temperature:F32:1:4
refused 2 "input: tensor gate: expected F32, BF16 or F16 of shape \[.*,6\], found F32 of shape \[4,8\]" --gate cosine
write_input "$input" $tensors gate_correction:F32:5:20
refused 2 "input: tensor gate_correction: expected F32, BF16 or F16 of shape \[4\], found F32" --gate sigmoid
write_input "$input" $tensors "tokens_per_rank:I64:2:16:3 4"
refused 2 "input: tensor tokens_per_rank: expected a sum of 6, the rows of x, found 7"
write_input "$input" $tensors "tokens_per_rank:I64:2:16:7 -1"
refused 2 "input: tensor tokens_per_rank: expected numbers >= 0, found -1 for rank 1"
write_input "$input" $tensors "tokens_per_rank:I64:2:16:9223372036854775807 9223372036854775807"
refused 2 "input: tensor tokens_per_rank: expected a sum of 6"
write_input "$input" $tensors "tokens_per_rank:I64:3:24:2 2 2"
refused "1 2" "input: tensor tokens_per_rank: expected one number for each of the [12] ranks, found 3"

# Numbers.  The last tensor in the file is dy; x is the first of this one.
cp "$good" "$input"
poke "$input" 4 '\000\000\300\177'
refused "1 2" "input: tensor dy: expected finite numbers, found NaN at \[5,7\]" --backward
write_input "$input" gate:F32:4,8:128 w1:F32:4,8,8:1024 x:F32:6,8:192 w2:F32:4,8,8:1024
poke "$input" 1056 '\000\000\200\177'
refused "1 2" "input: tensor x: expected finite numbers, found infinity at \[5,0\]"
poke "$input" 1056 '\000\000\000\000'
poke "$input" 1024 '\377\377\377\377'
refused 2 "input: tensor w2: expected finite numbers, found NaN at \[0,0,0\]"

# Options.
input=$good
refused "1 2" "--top-k: expected at most the number of experts, 4 .* found 5" --top-k 5
refused 2 "--top-k: expected a whole number from 1" --top-k 0
refused 2 "unknown option '--topk'" --topk 2
refused 2 "--mode: expected auto, expert, data, model or hybrid:r .* found 'datum'" --mode datum
refused 2 "hybrid:2 with 2 ranks: a group has at least 2 ranks and not all of them" --mode hybrid:2
refused 2 "--gate: expected one of softmax|sigmoid|cosine|forced, found 'hash'" --gate hash
refused 2 "good: tensor cos_proj is missing; add it" --gate cosine
refused 2 "--capacity: expected a number from -1000000000 to 1000000000, found 'nan'" --capacity nan
refused 2 "--capacity: expected a number .*found 'inf'" --capacity inf
refused 2 "--noise: expected a number .*found '-1'" --noise -1
refused 2 "an importance loss of 1 without gate noise" --importance 1
refused 2 "an importance loss of 1, expected a softmax or cosine gate" --importance 1 --noise 1 --gate sigmoid
refused 1 "a z-loss of 0.5 with a sigmoid gate" --z-loss 0.5 --gate sigmoid
refused 1 "--weigh: expected one of after|before, found 'never'" --weigh never
refused "1 2" "absent/out: cannot be created: No such file" --output "$work/absent/out"

# Devices.
environment=OCL_ICD_VENDORS=$work/absent
refused "1 2" "[Nn]o OpenCL"
environment=
refused 2 "nosuchdevice" --devices nosuchdevice
refused 2 "memory" --memory-limit 1K
mkdir "$work/cl" && cp -R "$SOURCE_DIR/cl/." "$work/cl"
find "$work/cl" -name '*.cl' | while read -r kernel; do echo 'this is not OpenCL C' >>"$kernel"; done
environment=MOTLEY_CL_DIR=$work/cl
refused "1 2" "build"
environment=

# A full disk, where a small one may be mounted.
namespace=
for try in "unshare -m" "unshare -rm"; do
    [ -n "$namespace" ] || ! $try mount -t tmpfs tmpfs "$work/cl" 2>/dev/null || namespace=$try
done
if [ -n "$namespace" ]; then
    rm -rf "$work/output"
    count=$((count + 1))
    $namespace sh "$here/check-bad-input.sh" full-disk "$work" || failed=$((failed + 1))
else
    echo "part skipped: this user may not mount a small disk to fill"
fi

# One rank killed in mid run.  mpirun says which.
unset OMPI_MCA_odls_base_sigkill_timeout
for victim in 0 1; do
    rm -rf "$work/output" "$work"/pid.*
    mkdir "$work/output"
    MOTLEY_TEST_SECONDS=60 sh "$here/run-mpi" 2 \
        sh -c 'echo $$ >"$0/pid.${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}"; exec "$@"' "$work" \
        "$motley" layer --input "$good" --output "$work/output/out" --stats "$work/output/stats" --repeat 1000000 \
        >"$work/stdout" 2>"$work/stderr" &
    launcher=$! seconds=0
    while ! grep -q '^expert phase' "$work/stderr" && [ $seconds -lt 30 ]; do
        sleep 1
        seconds=$((seconds + 1))
    done
    sleep 1
    start=$(date +%s)
    kill -KILL "$(cat "$work/pid.$victim")"
    wait $launcher
    status=$?
    count=$((count + 1))
    seconds=$(($(date +%s) - start))
    left=$(ls -A "$work/output")
    [ $status != 0 ] && [ $status != 124 ] && [ $seconds -le 30 ] && [ -z "$left" ] && continue
    echo "FAILED: rank $victim killed: exit status $status after $seconds s, left: $left"
    sed 's/^/    /' "$work/stderr"
    failed=$((failed + 1))
done

echo "$count checks, $failed failed"
[ $failed = 0 ]
