#!/bin/sh
# `motley measure`: it ends in time, the profile keeps the curves, the links and the kernels' settings, whatever opens
# that profile is tuned by it, and settings that no kernel has are passed over with a warning.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
motley=$BUILD_DIR/motley
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failed=0
profile=$folder/profile

"$motley" devices >"$folder/out" 2>"$folder/err" || {
    cat "$folder/err"
    grep -q 'no OpenCL platform' "$folder/err" && exit 77
    exit 1
}

# complain WORDS: with what the last command wrote.
complain() {
    echo "$1:"
    cat "$folder/out" "$folder/err"
    failed=1
}

# All default shapes, with a quarter of the time that they take without --quick.
begin=$(date +%s)
"$motley" measure --quick --profile "$profile" >"$folder/out" 2>"$folder/err" || complain 'motley measure failed'
seconds=$(($(date +%s) - begin))
echo "motley measure --quick took $seconds s"
[ "$seconds" -lt 60 ] || complain 'it took a minute'
[ "$(grep -c '^  curve ' "$profile")" -eq 6 ] || complain 'not three shapes in two directions'
grep -q 'classes of products keep the default settings' "$folder/out" || complain 'nothing was tuned'
[ "$(grep -c '^  tuned ' "$profile")" -eq 24 ] || complain 'not 24 classes of products'

# Without tuning, the settings of before stay.
grep '^  tuned ' "$profile" >"$folder/before"
"$motley" measure --quick --no-tuning --width 64 --hidden 64 --json --profile "$profile" \
        >"$folder/out" 2>"$folder/err" ||
    complain 'motley measure --no-tuning failed'
grep '^  tuned ' "$profile" | cmp -s - "$folder/before" || complain 'the settings changed without tuning'
grep -q '"tuned": \[\]' "$folder/out" || complain 'it tells of settings that it did not look for'

# Two ranks have a link, in the profile and in what is printed.
sh "$SOURCE_DIR/tests/run-mpi" 2 "$motley" measure --quick --no-tuning --width 64 --hidden 64 \
        --profile "$folder/linked" >"$folder/out" 2>"$folder/err" || [ $? -eq 77 ] ||
    complain 'motley measure failed with two ranks'
if [ -s "$folder/out" ]; then
    grep -q '^link from="[^"]*" to="[^"]*" ranks=2/2 latency=[0-9].* bandwidth=[0-9]' "$folder/linked" ||
        complain 'the profile has no link'
    grep -q 'us per message' "$folder/out" || complain 'it does not show the link'
fi

# A value that the family cpu has, in place of what was chosen; then one that it has not.
if grep -q 'family="cpu"' "$profile"; then
    class='product=estmm rows=many weights=large'
    sed "/$class/s/groups=[0-9]*/groups=48/" "$profile" >"$folder/other"
    "$motley" devices --profile "$folder/other" >"$folder/out" 2>"$folder/err"
    grep -q 'tuned: .*estmm of many rows, large weights: groups=48' "$folder/out" || complain 'a value is not used'
    grep -q warning "$folder/err" && complain 'a good value is warned of'
    sed "/$class/s/groups=[0-9]*/groups=47/" "$profile" >"$folder/other"
    "$motley" devices --profile "$folder/other" >"$folder/out" 2>"$folder/err" || complain 'a bad value is an error'
    grep -q "warning: the profile's tuning of estmm is not used: groups=47 is no value" "$folder/err" ||
        complain 'a bad value is not warned of'
fi
exit $failed
