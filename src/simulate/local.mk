# src/simulate: clusters described in files, and steps predicted on them.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/cluster.c \
    %D%/cluster.h \
    %D%/cluster_text.c \
    %D%/simulate.c \
    %D%/simulate.h \
    %D%/simulate_plot.c
