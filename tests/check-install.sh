#!/bin/sh
# A user's first programs: install into an empty prefix, build examples/02_layer.c through pkg-config alone, as C and as
# C++, and 04_modes.c and 05_routing.c as C, and run them at 2 ranks.
#
# SPDX-License-Identifier: BSD-3-Clause
set -eu
here=$(cd "$(dirname "$0")" && pwd)

skip() {
    echo "skipped: $1"
    exit 77
}
[ "$SANITIZERS" = no ] || skip "a program without sanitizers cannot load a library with them"
command -v pkg-config >/dev/null 2>&1 || skip "no pkg-config here; on Debian or Ubuntu: apt-get install pkg-config"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The configured prefix may be anywhere and must not be touched: every directory is given anew, to make
# and then to pkg-config.
prefix=$work/prefix
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR
make -C "$BUILD_DIR" install prefix="$prefix" exec_prefix="$prefix" bindir="$prefix/bin" libdir="$prefix/lib" \
    includedir="$prefix/include" datarootdir="$prefix/share" mandir="$prefix/share/man" \
    pkgconfigdir="$prefix/lib/pkgconfig" >"$work/install.log" 2>&1 ||
    { cat "$work/install.log"; echo "make install failed"; exit 1; }
for file in bin/motley include/motley/motley.h lib/libmotley.so lib/pkgconfig/motley.pc share/man/man1/motley.1; do
    [ -s "$prefix/$file" ] || { echo "make install did not install $file"; exit 1; }
done

PKG_CONFIG_PATH=$prefix/lib/pkgconfig
LD_LIBRARY_PATH=$prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH LD_LIBRARY_PATH
flags=$(pkg-config --define-variable=prefix="$prefix" --define-variable=exec_prefix="$prefix" \
    --define-variable=libdir="$prefix/lib" --define-variable=includedir="$prefix/include" --cflags --libs motley)

cp "$SOURCE_DIR/examples/02_layer.c" "$work/layer.c"
cp "$SOURCE_DIR/examples/02_layer.c" "$work/layer.cc"
cp "$SOURCE_DIR/examples/04_modes.c" "$work/modes.c"
cp "$SOURCE_DIR/examples/05_routing.c" "$work/routing.c"
cd "$work"
$CC -o layer_c layer.c $flags
$CXX -o layer_cxx layer.cc $flags
$CC -o modes_c modes.c $flags -lm
$CC -o routing_c routing.c $flags
for program in layer_c layer_cxx modes_c routing_c; do
    echo "== $program"
    sh "$here/run-mpi" 2 "./$program"
done
