# bench: `motley bench`, what it measures and what it measures against.
#
# SPDX-License-Identifier: BSD-3-Clause
motley_SOURCES += \
    %D%/alternate.c \
    %D%/alternate.h \
    %D%/bench.h \
    %D%/blas.c \
    %D%/blas.h \
    %D%/carry.c \
    %D%/carry.h \
    %D%/clblast.c \
    %D%/clblast.h \
    %D%/clblast_methods.c \
    %D%/compare.c \
    %D%/compare.h \
    %D%/exchange.c \
    %D%/exchange.h \
    %D%/gate.c \
    %D%/gate.h \
    %D%/host.c \
    %D%/host.h \
    %D%/layer.c \
    %D%/layer.h \
    %D%/openblas.c \
    %D%/openblas.h \
    %D%/openblas_layer.c \
    %D%/openblas_operators.c \
    %D%/operator.h \
    %D%/operators.c \
    %D%/peak.c \
    %D%/peak.h \
    %D%/peer.h \
    %D%/problem.c \
    %D%/problem.h \
    %D%/products.c \
    %D%/report.c \
    %D%/report.h \
    %D%/routing.c \
    %D%/routing.h \
    %D%/rowwise.c \
    %D%/run.c \
    %D%/select.c \
    %D%/team.c \
    %D%/team.h \
    %D%/wide.c \
    %D%/wide.h
