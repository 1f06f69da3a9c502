# src/plan: discover -> measure -> profile -> cost -> allocate -> plan.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/allocate.c \
    %D%/allocate.h \
    %D%/cost.c \
    %D%/cost.h \
    %D%/make.c \
    %D%/measure.c \
    %D%/measure.h \
    %D%/plan.c \
    %D%/plan.h \
    %D%/profile.c \
    %D%/profile.h \
    %D%/profile_text.c \
    %D%/record.c \
    %D%/record.h \
    %D%/sample.c \
    %D%/sample.h \
    %D%/table.c \
    %D%/text.c \
    %D%/trial.c \
    %D%/trial.h
