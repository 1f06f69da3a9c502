#!/bin/sh
# `motley devices` and `motley doctor`: what they say where all is well, and how they end where a driver is missing or
# broken.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
here=$(cd "$(dirname "$0")" && pwd)
motley=$BUILD_DIR/motley
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failed=0
MOTLEY_TEST_SECONDS=30
export MOTLEY_TEST_SECONDS

"$motley" devices >"$folder/out" 2>"$folder/err" || {
    cat "$folder/err"
    grep -q 'no OpenCL platform' "$folder/err" && exit 77
    exit 1
}
sh "$here/run-mpi" 1 true || exit $?

# expect STATUS "RANKS" FILE WORDS COMMAND...: the exit status, and words in what it wrote to FILE (out or err).
expect() {
    status=$1 ranks=$2 file=$3 words=$4
    shift 4
    sh "$here/run-mpi" "$ranks" "$motley" "$@" >"$folder/out" 2>"$folder/err"
    got=$?
    if [ $got -ne "$status" ] || ! grep -q -e "$words" "$folder/$file"; then
        echo "motley $* with $ranks ranks: status $got, not $status, or no \"$words\" in its $file:"
        cat "$folder/out" "$folder/err"
        failed=1
    fi
}

expect 0 1 out '^rank  host ' devices
expect 0 2 out '^   1  ' devices
expect 0 2 out '"rank": 1,' devices --json
expect 0 1 out '"dtype": "bf16"' devices --json --dtype bf16
expect 0 1 out '^fine .* ran a kernel' doctor
expect 0 2 out 'rank 1 of .* drives ' doctor
expect 0 1 out '"healthy": true' doctor --json
expect 1 2 err 'motley devices: .*--devices nothing matches none of this node' devices --devices nothing
expect 2 1 err '--no-such-option' devices --no-such-option

# One message for all ranks.
if [ "$(grep -c '^motley devices:' "$folder/err")" -gt 1 ]; then
    echo "the same sentence more than once:"
    cat "$folder/err"
    failed=1
fi

OCL_ICD_VENDORS=$folder/none
export OCL_ICD_VENDORS
expect 1 2 err 'no OpenCL platform found: install .*pocl-opencl-icd' devices
expect 1 1 out '^broken .*no OpenCL driver is registered in .*/none' doctor
expect 1 1 out '"healthy": false' doctor --json

mkdir "$folder/icds"
echo libmotley-no-such-driver.so.1 >"$folder/icds/false.icd"
OCL_ICD_VENDORS=$folder/icds
expect 1 1 out '^broken .*false.icd: its library does not load: .*no-such-driver' doctor
exit $failed
