# src/base: what every other part stands on: errors, files, logs, trace.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/clock.c \
    %D%/clock.h \
    %D%/collective.c \
    %D%/collective.h \
    %D%/error.c \
    %D%/error.h \
    %D%/file.c \
    %D%/file.h \
    %D%/log.c \
    %D%/log.h \
    %D%/order.c \
    %D%/order.h \
    %D%/progress.c \
    %D%/progress.h \
    %D%/random.c \
    %D%/random.h \
    %D%/svg.c \
    %D%/svg.h \
    %D%/table.c \
    %D%/table.h \
    %D%/trace.c \
    %D%/trace.h \
    %D%/wait.c \
    %D%/wait.h
