# src/train: loss, optimizer, trainer, checkpoints.
#
# SPDX-License-Identifier: BSD-3-Clause
libmotley_all_la_SOURCES += \
    %D%/adamw.c \
    %D%/adamw.h \
    %D%/checkpoint.c \
    %D%/checkpoint.h \
    %D%/config_json.c \
    %D%/config_json.h \
    %D%/correct.c \
    %D%/corpus.c \
    %D%/corpus.h \
    %D%/data.c \
    %D%/data.h \
    %D%/find.c \
    %D%/generate.c \
    %D%/gradients.c \
    %D%/gradients.h \
    %D%/history.c \
    %D%/history.h \
    %D%/journal.c \
    %D%/journal.h \
    %D%/move.c \
    %D%/ngram.c \
    %D%/ngram.h \
    %D%/planning.c \
    %D%/plot.c \
    %D%/plot.h \
    %D%/recorder.c \
    %D%/recorder.h \
    %D%/run.c \
    %D%/schedule.c \
    %D%/schedule.h \
    %D%/segment.h \
    %D%/settings.c \
    %D%/settings.h \
    %D%/shelf.c \
    %D%/shelf.h \
    %D%/skew.c \
    %D%/skew.h \
    %D%/step.c \
    %D%/tensors.c \
    %D%/tensors.h \
    %D%/trainer.c \
    %D%/trainer.h \
    %D%/watch.c \
    %D%/watch.h
