# src/plan: discover -> measure -> profile -> cost -> allocate -> plan.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES +=
