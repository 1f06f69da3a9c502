# src/train: loss, optimizer, trainer, checkpoints.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES +=
