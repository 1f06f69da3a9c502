# src/model: a decoder, its files and its text.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/attention.c \
    %D%/attention.h \
    %D%/block.c \
    %D%/block.h \
    %D%/config.c \
    %D%/config.h \
    %D%/cross_entropy.c \
    %D%/cross_entropy.h \
    %D%/decoder.c \
    %D%/decoder.h \
    %D%/embedding.c \
    %D%/embedding.h \
    %D%/extend.c \
    %D%/generate.c \
    %D%/generate.h \
    %D%/lanes.c \
    %D%/lanes.h \
    %D%/norm.c \
    %D%/norm.h \
    %D%/parameter.h \
    %D%/pass.c \
    %D%/ref.c \
    %D%/ref.h \
    %D%/replan.c \
    %D%/rope.c \
    %D%/rope.h \
    %D%/safetensors.c \
    %D%/safetensors.h \
    %D%/safetensors_header.c \
    %D%/safetensors_writer.c \
    %D%/state.h \
    %D%/weights.c \
    %D%/weights.h
