# src/layer: tokens -> gate -> route -> encode -> exchange -> experts -> exchange -> decode -> tokens.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/auxiliary.c \
    %D%/backward.c \
    %D%/capacity.c \
    %D%/capacity.h \
    %D%/chunks.h \
    %D%/collaborate.c \
    %D%/cosine.c \
    %D%/cosine.h \
    %D%/crossing.c \
    %D%/data.c \
    %D%/decode.c \
    %D%/decode.h \
    %D%/drop.c \
    %D%/encode.c \
    %D%/encode.h \
    %D%/expert.c \
    %D%/expert.h \
    %D%/forward.c \
    %D%/gate.c \
    %D%/gate.h \
    %D%/gateway.c \
    %D%/gateway.h \
    %D%/guests.c \
    %D%/guests.h \
    %D%/layer.c \
    %D%/layer.h \
    %D%/losses.c \
    %D%/losses.h \
    %D%/memory.c \
    %D%/mover.h \
    %D%/noise.c \
    %D%/noise.h \
    %D%/peers.c \
    %D%/peers.h \
    %D%/place.c \
    %D%/place.h \
    %D%/ref.h \
    %D%/ref_cosine.c \
    %D%/ref_gate.c \
    %D%/ref_losses.c \
    %D%/ref_route.c \
    %D%/ref_scale.c \
    %D%/report.c \
    %D%/route.c \
    %D%/route.h \
    %D%/routing.c \
    %D%/scale.c \
    %D%/scale.h \
    %D%/state.c \
    %D%/state.h \
    %D%/travel.c \
    %D%/weight_cache.c \
    %D%/weight_cache.h \
    %D%/weights.c
