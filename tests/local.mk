# tests: what `make check` runs.  A new test is one more word in one of these lists, in the order in which
# they should fail.
#
#   UNIT_TESTS    cmocka programs of one process, from tests/NAME.c
#   MPI_TESTS     cmocka programs with their own main and MPI_Init, run at 1, 2, 3 and 4 ranks
#   SCRIPT_TESTS  shell scripts
#
# Exit status 0 passes, 77 skips, anything else fails.  All run through tests/run, which says one TAP line
# for each (test, ranks) and bounds the time; logs are kept in tests/*.log.
#
# SPDX-License-Identifier: BSD-3-Clause
UNIT_TESTS = \
    %D%/test_error \
    %D%/test_file \
    %D%/test_random \
    %D%/test_table \
    %D%/test_limits \
    %D%/test_tidy \
    %D%/test_choose \
    %D%/test_cache \
    %D%/test_discover \
    %D%/test_buffer \
    %D%/test_queue \
    %D%/test_program \
    %D%/test_options \
    %D%/test_safetensors \
    %D%/test_sources \
    %D%/test_step \
    %D%/test_matrix \
    %D%/test_storage \
    %D%/test_stored \
    %D%/test_stored_rows \
    %D%/test_variant \
    %D%/test_wave \
    %D%/test_esmm \
    %D%/test_estmm \
    %D%/test_activation \
    %D%/test_linear \
    %D%/test_admit \
    %D%/test_tuning \
    %D%/test_gate \
    %D%/test_gate_backward \
    %D%/test_cosine \
    %D%/test_capacity \
    %D%/test_route \
    %D%/test_encode \
    %D%/test_flow \
    %D%/test_peers \
    %D%/test_arrive \
    %D%/test_decode \
    %D%/test_losses \
    %D%/test_noise \
    %D%/test_scale \
    %D%/test_profile \
    %D%/test_timing \
    %D%/test_contest \
    %D%/test_cost \
    %D%/test_kept \
    %D%/test_allocate \
    %D%/test_tokens \
    %D%/test_divide \
    %D%/test_mode \
    %D%/test_pipeline \
    %D%/test_hierarchy \
    %D%/test_rivals \
    %D%/test_placement \
    %D%/test_link \
    %D%/test_plan \
    %D%/test_plan_text \
    %D%/test_cluster \
    %D%/test_simulate \
    %D%/test_drawn \
    %D%/test_drift \
    %D%/test_coactivation \
    %D%/test_collocate \
    %D%/test_collocate_hot \
    %D%/test_plan_layers \
    %D%/test_place \
    %D%/test_settle \
    %D%/test_spread \
    %D%/test_replicate \
    %D%/test_watch \
    %D%/test_config \
    %D%/test_norm \
    %D%/test_rope \
    %D%/test_embedding \
    %D%/test_attention \
    %D%/test_cross_entropy \
    %D%/test_generate \
    %D%/test_corpus \
    %D%/test_ngram \
    %D%/test_history \
    %D%/test_settings \
    %D%/test_adamw \
    %D%/test_bench

MPI_TESTS = \
    %D%/test_agree \
    %D%/test_trace \
    %D%/test_bind \
    %D%/test_measure \
    %D%/test_audition \
    %D%/test_link_measure \
    %D%/test_tune \
    %D%/test_layer \
    %D%/test_collaborate \
    %D%/test_layer_stored \
    %D%/test_hierarchical \
    %D%/test_wire \
    %D%/test_replicas \
    %D%/test_skew \
    %D%/test_routing \
    %D%/test_fuzz_routing \
    %D%/test_exchange \
    %D%/test_redistribution \
    %D%/test_decoder \
    %D%/test_extend \
    %D%/test_data \
    %D%/test_gradients \
    %D%/test_checkpoint \
    %D%/test_recorder \
    %D%/test_trainer

SCRIPT_TESTS = \
    %D%/check-lists.sh \
    %D%/check-symbols.sh \
    %D%/check-headers.sh \
    %D%/check-devices.sh \
    %D%/check-measure.sh \
    %D%/check-simulate.sh \
    %D%/check-layer.sh \
    %D%/check-coactivation.sh \
    %D%/check-bench.sh \
    %D%/check-vendors.sh \
    %D%/check-oclgrind.sh \
    %D%/check-offline.sh \
    %D%/check-bad-input.sh \
    %D%/check-links.sh \
    %D%/check-counters.sh \
    %D%/check-uneven.sh \
    %D%/check-drift.sh \
    %D%/check-train.sh \
    %D%/check-kill.sh \
    %D%/check-install.sh

if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS) $(MPI_TESTS)
TESTS = $(UNIT_TESTS) $(MPI_TESTS) $(SCRIPT_TESTS)
else
TESTS = $(SCRIPT_TESTS)
check-local:
	@echo 'note: cmocka was missing at configure, so only scripts are tested (apt-get install libcmocka-dev)'
endif

# Beside the tests: writes what reference_mixtral.py compares with another implementation.
check_PROGRAMS += %D%/write_mixtral
%C%_write_mixtral_LDADD = libmotley_all.la

# Run by check-links.sh on two nodes, by check-uneven.sh on unlike nodes.
check_PROGRAMS += %D%/links
%C%_links_SOURCES = %D%/links.c %D%/job.h
%C%_links_LDADD = libmotley_all.la
check_PROGRAMS += %D%/uneven
%C%_uneven_SOURCES = %D%/uneven.c %D%/job.h
%C%_uneven_LDADD = libmotley_all.la

# Every mode side by side, for people: what is measured and how stands in it.
check_PROGRAMS += %D%/modes
%C%_modes_SOURCES = %D%/modes.c %D%/job.h
%C%_modes_LDADD = libmotley_all.la
# Experts with known and unknown loads side by side, likewise.
check_PROGRAMS += %D%/skew
%C%_skew_SOURCES = %D%/skew.c %D%/job.h bench/routing.c
%C%_skew_LDADD = libmotley_all.la

# Tests see every internal symbol.
LDADD = %D%/libtest.la libmotley_all.la $(CMOCKA_LIBS)

# The command's own reader of options is no part of the library, nor is its benchmark.
%C%_test_options_SOURCES = %D%/test_options.c src/cli/options.c
%C%_test_bench_SOURCES = %D%/test_bench.c bench/host.c bench/routing.c bench/team.c bench/wide.c

# What tests share: device.c opens a device or skips, routing.h helps the tests of gate to decode, travel.h those of
# encode to decode, gate.h those of the gate, plan_fixture.h, plan_predict.h, plan_cluster.h, families.h and
# cluster_folder.h those of planning, product.h and product_check.h those of the products, layer_reference.h,
# layer_step.h and layer_parts.h those of the layer, decoder.h those of the model.
if HAVE_CMOCKA
check_LTLIBRARIES += %D%/libtest.la
endif
%C%_libtest_la_SOURCES = \
    %D%/cluster_folder.h \
    %D%/decoder.h \
    %D%/device.c \
    %D%/device.h \
    %D%/families.h \
    %D%/gate.h \
    %D%/kernels.h \
    %D%/gate_reference.h \
    %D%/layer_parts.h \
    %D%/layer_reference.h \
    %D%/layer_step.h \
    %D%/model.h \
    %D%/parameters.h \
    %D%/plan_cluster.h \
    %D%/plan_fixture.h \
    %D%/plan_predict.h \
    %D%/plan_json.h \
    %D%/profile_context.h \
    %D%/published.h \
    %D%/product.h \
    %D%/product_check.h \
    %D%/routing.h \
    %D%/travel.h

# A library to preload; -rpath makes libtool build it shared though it is never installed.
if SANITIZERS
check_LTLIBRARIES += %D%/leak_owners.la
endif
%C%_leak_owners_la_SOURCES = %D%/leak_owners.c
%C%_leak_owners_la_CFLAGS = -std=gnu11 -fno-omit-frame-pointer -fno-optimize-sibling-calls
%C%_leak_owners_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere

EXTRA_DIST += %D%/cluster %D%/reference_mixtral.py $(SCRIPT_TESTS) %D%/reference.py %D%/run %D%/run-mpi \
    %D%/lsan.supp %D%/modes.sh \
    %D%/coactivation/README.md %D%/coactivation/llama-moe-base.csv

# Recorded machines, and clusters of them.
EXTRA_DIST += %D%/machines/README.md %D%/machines/cores2.json %D%/machines/cores2.profile \
    %D%/machines/h200x2.profile %D%/machines/mixed.json

# There is one cluster on a machine: tests that make it come one after the other.
%D%/check-counters.log: %D%/check-links.log
%D%/check-uneven.log: %D%/check-counters.log
%D%/check-drift.log: %D%/check-uneven.log

TEST_EXTENSIONS = .sh
AM_TESTS_ENVIRONMENT = \
    MPI_TESTS='$(MPI_TESTS)'; \
    MPIRUN='$(MPIRUN)'; \
    CC='$(CC)'; CXX='$(CXX)'; NM='$(NM)'; \
    MPI_CPPFLAGS='$(MPI_CPPFLAGS)'; \
    SANITIZERS='$(SANITIZERS)'; \
    SOURCE_DIR='$(abs_top_srcdir)'; \
    BUILD_DIR='$(abs_top_builddir)'; \
    XDG_CACHE_HOME='$(abs_top_builddir)/%D%/cache'; \
    export MPI_TESTS MPIRUN CC CXX NM MPI_CPPFLAGS SANITIZERS SOURCE_DIR BUILD_DIR XDG_CACHE_HOME;
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_COMPILER = $(SHELL) $(top_srcdir)/%D%/run
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(LOG_COMPILER)

# Profiles and built kernels of the tests stay in the build tree.
clean-local:
	-rm -rf %D%/cache
