# src/exchange: moving rows between ranks; one file per algorithm behind exchange.h.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/counts.c \
    %D%/exchange.h \
    %D%/flow.c \
    %D%/flow.h \
    %D%/linear.c \
    %D%/message.c \
    %D%/message.h \
    %D%/pieces.c \
    %D%/pieces.h \
    %D%/pinned.c \
    %D%/pinned.h \
    %D%/stretches.c \
    %D%/stretches.h \
    %D%/redistribution.c \
    %D%/redistribution.h \
    %D%/staging.c \
    %D%/staging.h \
    %D%/transfer.c
