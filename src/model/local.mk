# src/model: a decoder, its files and its text.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES +=
