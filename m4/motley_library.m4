# Libraries: found through pkg-config or by name, always proved by linking a program, and every missing
# one collected for a single message.
#
# SPDX-License-Identifier: BSD-3-Clause

# MOTLEY_MISSING(WHAT, DEBIAN-PACKAGES)
# Remember that WHAT is missing.
AC_DEFUN([MOTLEY_MISSING], [
    motley_missing="$motley_missing
    $1"
    motley_packages="$motley_packages $2"])

# MOTLEY_REPORT_MISSING
# Fail once, naming all that is missing and how to install it.
AC_DEFUN([MOTLEY_REPORT_MISSING], [
    AS_IF([test -n "$motley_missing"],
        [AC_MSG_ERROR([missing:
$motley_missing

On Debian or Ubuntu: apt-get install$motley_packages
(where a library lives in an unusual place: ./configure --help lists the *_CFLAGS and *_LIBS to set)])])])

# MOTLEY_OPTIONAL_LIBRARY(NAME, PKG-CONFIG-MODULE, DEFAULT-LIBS, PROLOGUE, BODY)
# Sets NAME_CFLAGS, NAME_LIBS and motley_have_NAME (yes or no).
AC_DEFUN([MOTLEY_OPTIONAL_LIBRARY], [
    PKG_CHECK_MODULES([$1], [$2], [], [test -n "$$1_LIBS" || $1_LIBS="$3"])
    motley_saved_CPPFLAGS=$CPPFLAGS
    motley_saved_LIBS=$LIBS
    CPPFLAGS="$CPPFLAGS $$1_CFLAGS"
    LIBS="$$1_LIBS $LIBS"
    AC_MSG_CHECKING([whether a program with $3 builds])
    AC_LINK_IFELSE([AC_LANG_PROGRAM([$4], [$5])], [motley_have_$1=yes], [motley_have_$1=no])
    AC_MSG_RESULT([$motley_have_$1])
    CPPFLAGS=$motley_saved_CPPFLAGS
    LIBS=$motley_saved_LIBS
    AS_IF([test "$motley_have_$1" = no], [$1_CFLAGS= $1_LIBS=])])

# MOTLEY_LIBRARY(NAME, PKG-CONFIG-MODULE, DEFAULT-LIBS, PROLOGUE, BODY, WHAT, DEBIAN-PACKAGES)
# The same for a library that Motley cannot do without.
AC_DEFUN([MOTLEY_LIBRARY], [
    MOTLEY_OPTIONAL_LIBRARY([$1], [$2], [$3], [$4], [$5])
    AS_IF([test "$motley_have_$1" = no], [MOTLEY_MISSING([$6], [$7])])])
