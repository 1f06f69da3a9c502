#!/bin/sh
# libmotley.so shows motley_[a-z]* and nothing else, shows what the public headers declare, and
# carries its version in its soname.
#
# SPDX-License-Identifier: BSD-3-Clause
set -eu
library=$BUILD_DIR/.libs/libmotley.so
[ -e "$library" ] || { echo "skipped: no shared library was built"; exit 77; }

shown=$($NM -D --defined-only "$library" | awk '{print $3}' | sed 's/@.*//' | sort -u)
foreign=$(echo "$shown" | grep -v '^motley_[a-z]' || :)
if [ -n "$foreign" ]; then
    echo "libmotley.so shows symbols that are not motley_[a-z]*:"
    echo "$foreign"
    exit 1
fi

# A declaration begins a line and names its function right before the first parenthesis.
declared=$(sed -n '/^typedef/d; s/^[a-z][A-Za-z0-9_ ]*[ *]\(motley_[a-z][a-z0-9_]*\)(.*/\1/p' \
    "$SOURCE_DIR"/include/motley/*.h |
    sort -u)
if [ -z "$declared" ]; then
    echo "no declaration found in include/motley"
    exit 1
fi
failed=0
for name in $declared; do
    echo "$shown" | grep -qx "$name" || { echo "declared but not in libmotley.so: $name"; failed=1; }
done
for name in $shown; do
    echo "$declared" | grep -qx "$name" || { echo "in libmotley.so but in no public header: $name"; failed=1; }
done

soname=$(readelf -d "$library" 2>/dev/null | sed -n 's/.*soname: \[\(.*\)\].*/\1/p')
if [ "$soname" != libmotley.so.0 ]; then
    echo "the soname is '$soname', expected libmotley.so.0"
    failed=1
fi
exit $failed
