#!/bin/sh
# Each public header compiles alone, strictly, as C11 and as C++17.
#
# SPDX-License-Identifier: BSD-3-Clause
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

for header in "$SOURCE_DIR"/include/motley/*.h; do
    name=${header##*/}
    # Twice: the guard holds too.
    printf '#include <motley/%s>\n#include <motley/%s>\nint main(void) { return 0; }\n' "$name" "$name" >"$work/one.c"
    cp "$work/one.c" "$work/one.cc"
    # System headers are not ours to be strict with.
    mpi=$(echo "$MPI_CPPFLAGS" | sed 's/-I */-isystem /g')

    $CC -std=c11 -Wall -Wextra -Werror -pedantic-errors -I"$SOURCE_DIR/include" $mpi -fsyntax-only "$work/one.c" ||
        { echo "$name does not stand alone as C11"; failed=1; }
    $CXX -std=c++17 -Wall -Wextra -Werror -pedantic-errors -I"$SOURCE_DIR/include" $mpi -fsyntax-only "$work/one.cc" ||
        { echo "$name does not stand alone as C++17"; failed=1; }
done
exit $failed
