# src/plan: discover -> measure -> profile -> cost -> allocate -> plan.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/allocate.c \
    %D%/allocate.h \
    %D%/audition.c \
    %D%/audition.h \
    %D%/collocate.c \
    %D%/collocate.h \
    %D%/cost.c \
    %D%/cost.h \
    %D%/divide.c \
    %D%/divide.h \
    %D%/division.c \
    %D%/drift.c \
    %D%/drift.h \
    %D%/group.c \
    %D%/group.h \
    %D%/known.c \
    %D%/known.h \
    %D%/load_text.c \
    %D%/load_text.h \
    %D%/mode.c \
    %D%/mode.h \
    %D%/order.c \
    %D%/order.h \
    %D%/pipeline.c \
    %D%/pipeline.h \
    %D%/place.c \
    %D%/place.h \
    %D%/placement.c \
    %D%/placement.h \
    %D%/plan.c \
    %D%/plan.h \
    %D%/plan_index.c \
    %D%/plan_layers.c \
    %D%/plan_make.c \
    %D%/plan_parse.c \
    %D%/plan_table.c \
    %D%/plan_text.c \
    %D%/predict.c \
    %D%/predict.h \
    %D%/refine.c \
    %D%/refine.h \
    %D%/replicate.c \
    %D%/replicate.h \
    %D%/rivals.c \
    %D%/rivals.h \
    %D%/room.c \
    %D%/room.h \
    %D%/serve.c \
    %D%/spread.c \
    %D%/spread.h \
    %D%/task.c \
    %D%/task.h \
    %D%/tokens.c \
    %D%/tokens.h
