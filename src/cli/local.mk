# src/cli: the command `motley`, one file for each subcommand.
#
# SPDX-License-Identifier: BSD-3-Clause
bin_PROGRAMS += motley
motley_SOURCES = \
    %D%/bench.c \
    %D%/cli.h \
    %D%/coactivation.c \
    %D%/devices.c \
    %D%/doctor.c \
    %D%/doctor.h \
    %D%/doctor_devices.c \
    %D%/doctor_machine.c \
    %D%/generate.c \
    %D%/layer.c \
    %D%/layer_input.c \
    %D%/layer_job.h \
    %D%/layer_load.c \
    %D%/layer_output.c \
    %D%/layer_record.c \
    %D%/layer_stats.c \
    %D%/layer_steps.c \
    %D%/loads.c \
    %D%/measure.c \
    %D%/motley.c \
    %D%/options.c \
    %D%/plan.c \
    %D%/simulate.c \
    %D%/train.c
motley_LDADD = libmotley_all.la
