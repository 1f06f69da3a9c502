# include/motley: the public headers, the library's manual.
#
# SPDX-License-Identifier: BSD-3-Clause
motleyincludedir = $(includedir)/motley
motleyinclude_HEADERS = \
    %D%/coactivation.h \
    %D%/context.h \
    %D%/layer.h \
    %D%/motley.h \
    %D%/plan.h \
    %D%/status.h \
    %D%/tensor.h \
    %D%/train.h
