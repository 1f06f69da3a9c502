# src/layer: tokens -> gate -> route -> encode -> exchange -> experts -> exchange -> decode -> tokens.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/activation.c \
    %D%/activation.h \
    %D%/admit.c \
    %D%/admit.h \
    %D%/backward.c \
    %D%/cpu.c \
    %D%/decode.c \
    %D%/decode.h \
    %D%/encode.c \
    %D%/encode.h \
    %D%/esmm.c \
    %D%/esmm.h \
    %D%/estmm.c \
    %D%/estmm.h \
    %D%/expert.c \
    %D%/expert.h \
    %D%/few.c \
    %D%/few.h \
    %D%/forward.c \
    %D%/gate.c \
    %D%/gate.h \
    %D%/generic.c \
    %D%/layer.c \
    %D%/layer.h \
    %D%/linear.c \
    %D%/linear.h \
    %D%/losses.c \
    %D%/losses.h \
    %D%/matrix.c \
    %D%/matrix.h \
    %D%/memory.c \
    %D%/mover.h \
    %D%/nvidia.c \
    %D%/nvidia.h \
    %D%/nvidia_fma.c \
    %D%/nvidia_mma.c \
    %D%/place.c \
    %D%/product.c \
    %D%/product.h \
    %D%/ref.h \
    %D%/ref_gate.c \
    %D%/ref_product.c \
    %D%/ref_route.c \
    %D%/report.c \
    %D%/route.c \
    %D%/route.h \
    %D%/rows.h \
    %D%/state.c \
    %D%/state.h \
    %D%/tuning.c \
    %D%/tuning.h \
    %D%/variant.c \
    %D%/variant.h \
    %D%/wave.c
