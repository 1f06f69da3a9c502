# src/step: a step is a list of operators, and one executor runs it.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/execute.c \
    %D%/step.c \
    %D%/step.h
