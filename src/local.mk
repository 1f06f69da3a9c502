# src: the handles of the public interface that belong to no single part.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/context.c \
    %D%/context.h
