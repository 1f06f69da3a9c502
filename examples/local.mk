# examples: small programs on the public interface, linked as a user links, to libmotley.la alone.  A new
# one is a word in this list and a line of libraries.
#
# SPDX-License-Identifier: BSD-3-Clause
noinst_PROGRAMS +=
example_libraries = libmotley.la $(MPI_LIBS)
