# examples: small programs on the public interface, linked as a user links, to libmotley.la alone.  A new
# one is a word in this list and a line of libraries.
#
# SPDX-License-Identifier: BSD-3-Clause
noinst_PROGRAMS += \
    %D%/01_devices \
    %D%/02_layer \
    %D%/03_train_text \
    %D%/04_modes \
    %D%/05_routing
example_libraries = libmotley.la $(MPI_LIBS)
%C%_01_devices_LDADD = $(example_libraries)
%C%_02_layer_LDADD = $(example_libraries)
%C%_03_train_text_LDADD = $(example_libraries) -lm
%C%_04_modes_LDADD = $(example_libraries) -lm
%C%_05_routing_LDADD = $(example_libraries)
