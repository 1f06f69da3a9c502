#!/bin/sh
# Every kernel compiles for devices that are not here: AMD's (amdgcn), NVIDIA's (nvptx64), each storage type; and where
# a family uses matrix instructions, they appear in the machine code.  Needs clang with those targets; Intel's matrix
# kernels need Intel's ocloc.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
cl=$SOURCE_DIR/cl
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

clang=
for candidate in clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14; do
    if command -v $candidate >/dev/null 2>&1 && $candidate --print-targets 2>/dev/null | grep -q amdgcn; then
        clang=$candidate
        break
    fi
done
[ -n "$clang" ] || { echo "skipped: no clang for amdgcn here; on Debian: apt-get install clang"; exit 77; }
"$clang" --version | head -n 1

# assemble TARGET PROCESSOR FILE OPTION...: to $work/code
assemble() {
    target=$1 processor=$2 file=$3
    shift 3
    "$clang" --target="$target" ${processor:+-mcpu=$processor} -x cl -cl-std=CL1.2 -Xclang -finclude-default-header \
        -nogpulib -w -O1 -I"$cl" "$@" -S -o "$work/code" "$cl/$file" 2>"$work/log" && return
    echo "FAILED: cl/$file for $target $processor with $*"
    head -n 20 "$work/log"
    failed=$((failed + 1))
    return 1
}

# Processors that this clang knows.
knows() {
    echo 'kernel void nothing(void) {}' >"$work/nothing.cl"
    "$clang" --target=amdgcn-amd-amdhsa -mcpu="$1" -x cl -nogpulib -S -o "$work/code" "$work/nothing.cl" 2>/dev/null
}

count=0
for file in $(cd "$cl" && echo *.cl); do
    for storage in 0 1 2; do
        options="-DSTORAGE=$storage -DSTORAGE_A=$storage -DSTORAGE_B=$storage -DSTORAGE_Y=$storage"
        case $file in
        attention.cl) options="-DHD=64 -DROWS=8 -DTILE=32" ;; # has no defaults
        esac
        assemble amdgcn-amd-amdhsa gfx90a "$file" $options -DMOTLEY__DOUBLE=1 && count=$((count + 1))
        assemble nvptx64-nvidia-nvcl "" "$file" $options && count=$((count + 1))
        grep -q STOR "$cl/$file" || break # f32 only
    done
done
echo "$count compilations of the portable kernels"

# instructions PROCESSOR WAVE PATTERN: the matrix instruction is in the code of each product, in bf16 and f16.
instructions() {
    knows "$1" || { echo "not compiled: this clang does not know $1"; return; }
    for file in wave/esmm.cl wave/estmm.cl; do
        for storage in 1 2; do
            assemble amdgcn-amd-amdhsa "$1" $file -DSTORAGE=$storage -DWAVE="$2" || continue
            found=$(grep -c "$3" "$work/code")
            echo "$1: cl/$file, STORAGE=$storage: $found times $3"
            [ "$found" -gt 0 ] || { echo "FAILED: no $3"; failed=$((failed + 1)); }
        done
    done
}

instructions gfx90a 1 v_mfma_f32_32x32x8
instructions gfx940 1 v_mfma_f32_32x32x8
instructions gfx942 1 v_mfma_f32_32x32x8
instructions gfx1100 2 v_wmma_f32_16x16x16

ocloc=${MOTLEY_OCLOC:-ocloc}
if command -v "$ocloc" >/dev/null 2>&1; then
    for file in wave/esmm.cl wave/estmm.cl; do
        for target in "pvc 3" "dg2 4"; do
            for storage in 1 2; do
                options="-cl-std=CL1.2 -I $cl -DSTORAGE=$storage -DWAVE=${target#* }"
                rm -rf "$work/intel"
                if ! "$ocloc" compile -q -file "$cl/$file" -device "${target% *}" -options "$options" \
                    -out_dir "$work/intel" >"$work/log" 2>&1; then
                    echo "FAILED: cl/$file for ${target% *} with $options"
                    head -n 20 "$work/log"
                    failed=$((failed + 1))
                    continue
                fi
                "$ocloc" disasm -file "$work"/intel/*.bin -device "${target% *}" -dump "$work/intel/dump" \
                    >"$work/log" 2>&1
                if grep -q "couldn't load iga" "$work/log"; then
                    echo "${target% *}: cl/$file, STORAGE=$storage: compiles; not searched for dpas without libiga64.so"
                elif grep -q dpas "$work"/intel/dump/*.asm; then
                    echo "${target% *}: cl/$file, STORAGE=$storage: dpas"
                else
                    echo "FAILED: no dpas in cl/$file for ${target% *} with $options"
                    failed=$((failed + 1))
                fi
            done
        done
    done
else
    echo "not compiled for Intel's GPUs: no ocloc here (on Debian in the package intel-opencl-icd)"
fi

[ "$failed" = 0 ] || { echo "$failed failed"; exit 1; }
