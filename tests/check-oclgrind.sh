#!/bin/sh
# The operators' kernels, families generic and cpu, under Oclgrind: a simulated device that reports accesses outside
# buffers, data races and the use of what nobody wrote.  The tests are those of `make check`, their smaller cases.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
[ "${MOTLEY_OCLGRIND:-yes}" != no ] || { echo "skipped: MOTLEY_OCLGRIND=no"; exit 77; }
command -v oclgrind >/dev/null 2>&1 ||
    { echo "skipped: no oclgrind here; on Debian: apt-get install oclgrind"; exit 77; }
[ -x "$BUILD_DIR/tests/test_esmm" ] || { echo "skipped: configured without cmocka"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# The largest case, in multiply-adds; tests/product.h says what else is different here.
MOTLEY_TEST_STEPS=20000
export MOTLEY_TEST_STEPS

# simulate NAME OPTION...: one test in the background.  LLVM's prefetch is unknown to Oclgrind.
simulate() {
    name=$1
    shift
    { oclgrind --data-races --uninitialized --check-api --max-errors 1000 --log "$work/$name.errors" \
        --build-options -DNO_FETCH "$@" "$BUILD_DIR/tests/test_$name" >"$work/$name.log" 2>&1
      echo $? >"$work/$name.status"; } &
}

# What was reported, without one thing that is no error: clGetDeviceInfo asked for what only some vendors answer.
reported() {
    awk 'BEGIN { RS = ""; FS = "\n" }
         /Function: clGetDeviceInfo/ && /CL_INVALID_VALUE/ { next }
         /runtime error detected/ || /Uninitialized|[Ii]nvalid|race|FATAL|[Ee]rror/ { print; print "" }' "$1"
}

failed=0
# conclude NAME...
conclude() {
    wait
    for name in "$@"; do
        reported "$work/$name.errors" >"$work/found"
        if [ "$(cat "$work/$name.status")" = 0 ] && ! [ -s "$work/found" ]; then
            echo "clean: test_$name"
            continue
        fi
        echo "FAILED: test_$name, exit status $(cat "$work/$name.status")"
        head -n 60 "$work/found"
        tail -n 30 "$work/$name.log"
        failed=1
    done
}

# Products in work-groups of 16 items: tiles of 16 rows, so that small matrices have several.
#
# Looking for what nobody wrote, Oclgrind 21.10 itself fails at two things that LLVM makes of innocent code: it ends
# with status 255 at a shuffle with undefined places (the sum of two numbers of one vector), and refuses the
# instruction "freeze" (a quotient and a remainder of the same signed numbers).
simulate esmm --max-wgsize 16
simulate estmm --max-wgsize 16
simulate activation --max-wgsize 16
conclude esmm estmm activation
simulate route
simulate encode
conclude route encode
simulate decode
simulate losses
conclude decode losses
simulate gate
simulate gate_backward
conclude gate gate_backward
simulate noise
simulate scale
conclude noise scale
exit $failed
