# src/allocate: the work divided so that the slowest rank is fast.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/allocate.c \
    %D%/allocate.h \
    %D%/collocate.c \
    %D%/collocate.h \
    %D%/divide.c \
    %D%/divide.h \
    %D%/group.c \
    %D%/group.h \
    %D%/mode.c \
    %D%/mode.h \
    %D%/place.c \
    %D%/place.h \
    %D%/refine.c \
    %D%/refine.h \
    %D%/refine_loaded.c \
    %D%/replica_homes.c \
    %D%/replica_homes.h \
    %D%/replicate.c \
    %D%/replicate.h \
    %D%/serve.c \
    %D%/serve.h \
    %D%/settle.c \
    %D%/settle.h \
    %D%/settle_state.c \
    %D%/settle_state.h \
    %D%/spread.c \
    %D%/spread.h \
    %D%/tokens.c \
    %D%/tokens.h
