#!/bin/sh
# Make `configure` and the Makefile templates.  Needs autoconf, automake, libtool and pkg-config.
#
# SPDX-License-Identifier: BSD-3-Clause
set -eu
cd "$(dirname "$0")"

missing=
for tool in autoreconf:autoconf automake:automake libtoolize:libtool pkg-config:pkg-config; do
    command -v "${tool%%:*}" >/dev/null 2>&1 || missing="$missing ${tool##*:}"
done
if [ -n "$missing" ]; then
    echo "autogen.sh: missing build tools; on Debian or Ubuntu: apt-get install$missing" >&2
    exit 1
fi

mkdir -p build-aux
autoreconf --install --warnings=all,no-obsolete "$@"
