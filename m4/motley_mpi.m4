# MPI through the ordinary compiler: the flags are asked of the wrapper `mpicc`, which itself compiles
# nothing, so that any compiler and any of its options (sanitizers, say) can be used.
#
# SPDX-License-Identifier: BSD-3-Clause

# MOTLEY_MPI
# Sets MPI_CPPFLAGS, MPI_LIBS and MPIRUN; the user may set any of them.
AC_DEFUN([MOTLEY_MPI], [
    AC_ARG_VAR([MPICC], [MPI compiler wrapper to take the flags from])
    AC_ARG_VAR([MPIRUN], [MPI launcher, for the tests])
    AC_ARG_VAR([MPI_CPPFLAGS], [preprocessor flags for MPI])
    AC_ARG_VAR([MPI_LIBS], [linker flags for MPI])
    AC_PATH_PROGS([MPICC], [mpicc mpicc.openmpi mpicc.mpich])
    AC_PATH_PROGS([MPIRUN], [mpirun mpiexec mpirun.openmpi mpiexec.hydra])

    AS_IF([test -z "$MPI_CPPFLAGS$MPI_LIBS"], [
        AS_IF([test -n "$MPICC" && motley_flags=`$MPICC --showme:compile 2>/dev/null`], [
            # Open MPI says each half by itself.
            MPI_CPPFLAGS=$motley_flags
            MPI_LIBS=`$MPICC --showme:link 2>/dev/null`
        ], [test -n "$MPICC" && motley_flags=`$MPICC -show 2>/dev/null`], [
            # MPICH and its kin show a whole command line.
            for motley_flag in $motley_flags; do
                AS_CASE([$motley_flag],
                    [-I*|-D*], [MPI_CPPFLAGS="$MPI_CPPFLAGS $motley_flag"],
                    [-L*|-l*|-Wl,*], [MPI_LIBS="$MPI_LIBS $motley_flag"])
            done
        ], [
            PKG_CHECK_MODULES([MPI_PKG], [mpi], [
                MPI_CPPFLAGS=$MPI_PKG_CFLAGS
                MPI_LIBS=$MPI_PKG_LIBS
            ], [MPI_LIBS=-lmpi])
        ])
    ])

    motley_saved_CPPFLAGS=$CPPFLAGS
    motley_saved_LIBS=$LIBS
    CPPFLAGS="$CPPFLAGS $MPI_CPPFLAGS"
    LIBS="$MPI_LIBS $LIBS"
    AC_MSG_CHECKING([whether an MPI program builds])
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[
            #include <mpi.h>
            #if MPI_VERSION < 3
            #error MPI is older than 3.0
            #endif]],
            [[MPI_Init(0, 0); return MPI_Finalize();]])],
        [motley_have_mpi=yes], [motley_have_mpi=no])
    AC_MSG_RESULT([$motley_have_mpi])
    CPPFLAGS=$motley_saved_CPPFLAGS
    LIBS=$motley_saved_LIBS
    AS_IF([test $motley_have_mpi = no],
        [MOTLEY_MISSING([MPI 3.0 or later], [libopenmpi-dev openmpi-bin])])])
