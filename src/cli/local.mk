# src/cli: the command `motley`, one file for each subcommand.
#
# SPDX-License-Identifier: BSD-3-Clause
motley_SOURCES =
motley_LDADD = libmotley_all.la
