# src/plan: discover -> measure -> profile -> cost -> allocate -> plan.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/allocate.c \
    %D%/allocate.h \
    %D%/cluster.c \
    %D%/cluster.h \
    %D%/cluster_text.c \
    %D%/contest.c \
    %D%/contest.h \
    %D%/copy.c \
    %D%/copy.h \
    %D%/cost.c \
    %D%/cost.h \
    %D%/drift.c \
    %D%/drift.h \
    %D%/link.c \
    %D%/link.h \
    %D%/link_measure.c \
    %D%/link_measure.h \
    %D%/link_probe.c \
    %D%/link_probe.h \
    %D%/link_rounds.c \
    %D%/link_rounds.h \
    %D%/divide.c \
    %D%/divide.h \
    %D%/group.c \
    %D%/group.h \
    %D%/measure.c \
    %D%/measure.h \
    %D%/mode.c \
    %D%/mode.h \
    %D%/pairs.c \
    %D%/pairs.h \
    %D%/place.c \
    %D%/place.h \
    %D%/placement.c \
    %D%/placement.h \
    %D%/plan.c \
    %D%/plan.h \
    %D%/plan_index.c \
    %D%/plan_make.c \
    %D%/plan_table.c \
    %D%/plan_text.c \
    %D%/predict.c \
    %D%/predict.h \
    %D%/profile.c \
    %D%/profile.h \
    %D%/profile_text.c \
    %D%/record.c \
    %D%/record.h \
    %D%/timing.c \
    %D%/timing.h \
    %D%/trial.c \
    %D%/trial.h \
    %D%/tune.c \
    %D%/tune.h
