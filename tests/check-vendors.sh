#!/bin/sh
# Another vendor's OpenCL beside PoCL: the operator tests on it, then `motley layer` in one job of two ranks, one on
# PoCL and one on the other implementation, against tests/reference.py.
#
# MOTLEY_OTHER_OPENCL is the library of the other implementation, e.g. Intel's CPU runtime:
#
#     python3 -m venv DIRECTORY && DIRECTORY/bin/pip install intel-opencl-rt intel-cmplr-lib-rt
#     make check TESTS=tests/check-vendors.sh MOTLEY_OTHER_OPENCL=DIRECTORY/lib/libintelocl.so
#
# It need not be registered on this machine.  PYTHON names the interpreter (python3) that has numpy.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
other=${MOTLEY_OTHER_OPENCL:-}
[ -n "$other" ] ||
    { echo "skipped: MOTLEY_OTHER_OPENCL names no other OpenCL library (tests/check-vendors.sh says how)"; exit 77; }
[ -f "$other" ] || { echo "MOTLEY_OTHER_OPENCL: there is no file $other"; exit 1; }

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/vendors"
echo "$other" >"$work/vendors/other.icd"
failed=0

# expect COMMAND...
expect() {
    "$@" >"$work/log" 2>&1 && return
    cat "$work/log"
    echo "FAILED: $*"
    failed=$((failed + 1))
}

"$BUILD_DIR/motley" devices --devices cpu >"$work/first" 2>&1 || { cat "$work/first"; exit 77; }
OCL_ICD_VENDORS="$work/vendors" "$BUILD_DIR/motley" devices >"$work/second" 2>&1 || { cat "$work/second"; exit 1; }
cat "$work/first" "$work/second"

for test in buffer queue esmm estmm activation linear gate route encode decode losses; do
    [ -x "$BUILD_DIR/tests/test_$test" ] || continue # configured without cmocka
    echo "== test_$test"
    expect env OCL_ICD_VENDORS="$work/vendors" "$BUILD_DIR/tests/test_$test"
done

# both COMMAND ARGUMENT...: the command on two ranks, the second of which sees the other implementation alone.
both() {
    sh "$here/run-mpi" 1 "$BUILD_DIR/motley" "$@" --devices cpu : \
        -n 1 env OCL_ICD_VENDORS="$work/vendors" "$BUILD_DIR/motley" "$@" --devices cpu
}

echo "== two vendors in one job"
both devices --json >"$work/devices" || exit 1
grep '"platform"' "$work/devices"
[ "$(grep '"platform"' "$work/devices" | sort -u | wc -l)" = 2 ] || { echo "FAILED: not two platforms"; exit 1; }

"$python" -c 'import numpy' 2>/dev/null ||
    { echo "not compared: no $python with numpy here; on Debian or Ubuntu: apt-get install python3-numpy"
      [ "$failed" = 0 ] && exit 77 || exit 1; }

# compare "OPTIONS OF make" "OPTIONS OF both layer and check" [OPTIONS OF layer]
compare() {
    make=$1 options=$2
    shift 2
    echo "== $make $options $*"
    rm -f "$work/out" "$work/stats"
    expect "$python" "$here/reference.py" make "$work/in" $make
    expect both layer --quiet --input "$work/in" --output "$work/out" --stats "$work/stats" $options "$@"
    expect "$python" "$here/reference.py" check "$work/in" "$work/out" $options --stats "$work/stats"
}

small="--width 40 --hidden 52 --experts 6 --tokens"
compare "$small 37 --top-k 2 --bias b1 b2" "--top-k 2 --activation relu --backward" --shares even
compare "$small 64 --top-k 2 --activation swiglu" "--top-k 2 --activation swiglu --backward" --shares even
compare "$small 37 --top-k 1 --bias b1 --tokens-per-rank 0 37" "--top-k 1 --activation gelu --backward --normalize"
compare "--width 256 --hidden 640 --experts 8 --tokens 200 --top-k 2 --activation swiglu" \
    "--top-k 2 --activation swiglu --backward"

[ "$failed" = 0 ] || { echo "$failed failed"; exit 1; }
