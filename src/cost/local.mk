# src/cost: what a step takes when its work is divided in some way.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/cost.c \
    %D%/cost.h \
    %D%/division.c \
    %D%/division.h \
    %D%/hierarchy.c \
    %D%/hierarchy.h \
    %D%/phases.c \
    %D%/phases.h \
    %D%/pipeline.c \
    %D%/pipeline.h \
    %D%/predict.c \
    %D%/predict.h \
    %D%/replica.c \
    %D%/replica.h \
    %D%/task.c \
    %D%/task.h
