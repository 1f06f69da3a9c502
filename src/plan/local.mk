# src/plan: who computes what, chosen and written down.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/audition.c \
    %D%/audition.h \
    %D%/drawn.c \
    %D%/drawn.h \
    %D%/drift.c \
    %D%/drift.h \
    %D%/known.c \
    %D%/known.h \
    %D%/load_text.c \
    %D%/load_text.h \
    %D%/placement.c \
    %D%/placement.h \
    %D%/plan.c \
    %D%/plan.h \
    %D%/plan_index.c \
    %D%/plan_layers.c \
    %D%/plan_make.c \
    %D%/plan_parse.c \
    %D%/plan_serve.c \
    %D%/plan_table.c \
    %D%/plan_text.c \
    %D%/rivals.c \
    %D%/rivals.h \
    %D%/room.c \
    %D%/room.h
