# src/product: products with the matrices of experts: their families, variants and tuning.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/activation.c \
    %D%/activation.h \
    %D%/admit.c \
    %D%/admit.h \
    %D%/cpu.c \
    %D%/esmm.c \
    %D%/esmm.h \
    %D%/estmm.c \
    %D%/estmm.h \
    %D%/few.c \
    %D%/few.h \
    %D%/generic.c \
    %D%/linear.c \
    %D%/linear.h \
    %D%/matrix.c \
    %D%/matrix.h \
    %D%/nvidia.c \
    %D%/nvidia.h \
    %D%/nvidia_fma.c \
    %D%/nvidia_mma.c \
    %D%/product.c \
    %D%/product.h \
    %D%/ref.c \
    %D%/ref.h \
    %D%/rows.h \
    %D%/slice.c \
    %D%/slice.h \
    %D%/tuning.c \
    %D%/tuning.h \
    %D%/variant.c \
    %D%/variant.h \
    %D%/wave.c
