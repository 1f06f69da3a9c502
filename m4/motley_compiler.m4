# The compiler's flags beyond the user's CFLAGS: language, warnings, sanitizers.
#
# SPDX-License-Identifier: BSD-3-Clause

# MOTLEY_ADD_CFLAG(FLAG)
# Append FLAG to MOTLEY_CFLAGS when the compiler takes it.
AC_DEFUN([MOTLEY_ADD_CFLAG], [
    motley_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $1"
    AC_MSG_CHECKING([whether $CC takes $1])
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [motley_takes=yes], [motley_takes=no])
    AC_MSG_RESULT([$motley_takes])
    CFLAGS=$motley_saved_CFLAGS
    AS_IF([test $motley_takes = yes], [MOTLEY_CFLAGS="$MOTLEY_CFLAGS $1"])])

# MOTLEY_COMPILER_FLAGS
# Sets MOTLEY_CFLAGS, and MOTLEY_LDFLAGS for programs and libraries alike.
AC_DEFUN([MOTLEY_COMPILER_FLAGS], [
    AC_SUBST([MOTLEY_CFLAGS], [-std=gnu11])
    AC_SUBST([MOTLEY_LDFLAGS], [])
    m4_foreach_w([motley_flag], [-Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes],
        [MOTLEY_ADD_CFLAG(motley_flag)])

    # A finding of either sanitizer ends the program, so that a test cannot pass over it.
    AS_IF([test "x$enable_sanitizers" = xyes], [
        motley_sanitize="-fsanitize=address,undefined -fno-sanitize-recover=undefined"
        AC_MSG_CHECKING([whether $CC links with $motley_sanitize])
        motley_saved_CFLAGS=$CFLAGS
        CFLAGS="$CFLAGS $motley_sanitize"
        AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])], [
            AC_MSG_RESULT([no])
            AC_MSG_ERROR([--enable-sanitizers: $CC has no sanitizers; on Debian gcc brings them in libgcc-12-dev])])
        CFLAGS=$motley_saved_CFLAGS
        MOTLEY_CFLAGS="$MOTLEY_CFLAGS $motley_sanitize -fno-omit-frame-pointer"
        MOTLEY_LDFLAGS="$motley_sanitize"
    ])
    AC_SUBST([SANITIZERS], [$enable_sanitizers])
    AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" = xyes])

    AS_IF([test "x$enable_werror" = xyes], [MOTLEY_CFLAGS="$MOTLEY_CFLAGS -Werror"])])
