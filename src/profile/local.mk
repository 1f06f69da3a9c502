# src/profile: what machines were measured to do, in memory and as a text file.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/link.c \
    %D%/link.h \
    %D%/names.c \
    %D%/names.h \
    %D%/outcome.c \
    %D%/outcome.h \
    %D%/pairs.c \
    %D%/pairs.h \
    %D%/profile.c \
    %D%/profile.h \
    %D%/profile_text.c \
    %D%/record.c \
    %D%/record.h
