# src/measure: devices, links and tunables under the clock.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/contest.c \
    %D%/contest.h \
    %D%/copy.c \
    %D%/copy.h \
    %D%/link_measure.c \
    %D%/link_measure.h \
    %D%/link_probe.c \
    %D%/link_probe.h \
    %D%/link_rounds.c \
    %D%/link_rounds.h \
    %D%/measure.c \
    %D%/measure.h \
    %D%/measure_device.c \
    %D%/measuring.c \
    %D%/measuring.h \
    %D%/timing.c \
    %D%/timing.h \
    %D%/trial.c \
    %D%/trial.h \
    %D%/tune.c \
    %D%/tune.h
