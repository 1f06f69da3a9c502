# src/device: one OpenCL device: found, bound, opened; its memory, queues and programs.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/bind.c \
    %D%/buffer.c \
    %D%/buffer.h \
    %D%/cache.c \
    %D%/child.c \
    %D%/choose.c \
    %D%/device.c \
    %D%/device.h \
    %D%/discover.c \
    %D%/first.c \
    %D%/gemm.c \
    %D%/gemm.h \
    %D%/limits.c \
    %D%/names.c \
    %D%/node.c \
    %D%/node.h \
    %D%/probe.c \
    %D%/program.c \
    %D%/program.h \
    %D%/queue.c \
    %D%/queue.h \
    %D%/retarget.c \
    %D%/source.c \
    %D%/storage.c \
    %D%/storage.h \
    %D%/tensor.c \
    %D%/tensor.h \
    %D%/tidy.c \
    %D%/vendor.c
