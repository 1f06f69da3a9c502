#!/bin/sh
# Every source file is named in its directory's local.mk: what is not named is neither built nor distributed.
#
# SPDX-License-Identifier: BSD-3-Clause
set -eu
cd "$SOURCE_DIR"
failed=0

# unlisted DIRECTORY PATTERN...: patterns relative to the directory; programs are listed without their .c
unlisted() {
    directory=$1
    list=$1/local.mk
    shift
    for name in $(cd "$directory" && ls -d -- $* 2>/dev/null || :); do
        grep -Eq "%D%/(${name%.c}|$name)( |\$)" "$list" || { echo "$list does not name $name"; failed=1; }
    done
}

for list in include/motley/local.mk src/local.mk src/*/local.mk bench/local.mk examples/local.mk tests/local.mk; do
    unlisted "${list%/local.mk}" '*.c *.h *.sh'
done
unlisted cl '*.h *.cl */*.h */*.cl'
exit $failed
