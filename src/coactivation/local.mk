# src/coactivation: which experts tokens choose together: counted, read, and put on one group.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/coactivation.c \
    %D%/coactivation.h \
    %D%/coactivation_text.c \
    %D%/tally.c \
    %D%/tally.h
