# cl: the kernels, embedded into the library as the array of src/device/program.h.
#
# SPDX-License-Identifier: BSD-3-Clause

# Every kernel and every header that kernels include.
KERNELS = \
    %D%/activate.cl \
    %D%/activation.cl \
    %D%/adamw.cl \
    %D%/adamw.h \
    %D%/attention.cl \
    %D%/capacity.cl \
    %D%/chunks.h \
    %D%/cosine.cl \
    %D%/cpu/across.h \
    %D%/cpu/activation.cl \
    %D%/cpu/esmm.cl \
    %D%/cpu/esmm_transposed.cl \
    %D%/cpu/ess.cl \
    %D%/cpu/estmm.cl \
    %D%/cpu/few.h \
    %D%/cpu/rows.h \
    %D%/cpu/stored.h \
    %D%/cpu/tile.h \
    %D%/cpu/vector.h \
    %D%/cross_entropy.cl \
    %D%/decode.cl \
    %D%/embedding.cl \
    %D%/encode.cl \
    %D%/esmm.cl \
    %D%/ess.cl \
    %D%/estmm.cl \
    %D%/few.cl \
    %D%/gate.cl \
    %D%/guests.cl \
    %D%/importance.cl \
    %D%/lanes.h \
    %D%/linear.cl \
    %D%/logits.cl \
    %D%/losses.cl \
    %D%/model.h \
    %D%/noise.cl \
    %D%/nonlinear.h \
    %D%/norm.cl \
    %D%/nvidia/activation.cl \
    %D%/nvidia/async.h \
    %D%/nvidia/copy.h \
    %D%/nvidia/direction.h \
    %D%/nvidia/esmm_fma.cl \
    %D%/nvidia/esmm_mma.cl \
    %D%/nvidia/esmm_wgmma.cl \
    %D%/nvidia/estmm_fma.cl \
    %D%/nvidia/estmm_mma.cl \
    %D%/nvidia/estmm_wgmma.cl \
    %D%/nvidia/fma.h \
    %D%/nvidia/mma.h \
    %D%/nvidia/pack.h \
    %D%/nvidia/peak_mma.cl \
    %D%/nvidia/peak_wgmma.cl \
    %D%/nvidia/pipeline.h \
    %D%/nvidia/schedule.h \
    %D%/nvidia/store.h \
    %D%/nvidia/wgmma.h \
    %D%/pairs.h \
    %D%/peak.cl \
    %D%/place.cl \
    %D%/ragged.h \
    %D%/real.h \
    %D%/reduce.h \
    %D%/rope.cl \
    %D%/route.cl \
    %D%/scale.cl \
    %D%/slice.cl \
    %D%/squares.cl \
    %D%/storage.h \
    %D%/tile.h \
    %D%/types.h \
    %D%/vector.h \
    %D%/wave/dpas.h \
    %D%/wave/esmm.cl \
    %D%/wave/estmm.cl \
    %D%/wave/mfma.h \
    %D%/wave/wave.h \
    %D%/wave/wmma.h \
    %D%/widen.h

EXTRA_DIST += $(KERNELS) %D%/embed

nodist_libmotley_all_la_SOURCES += %D%/sources.c
CLEANFILES += %D%/sources.c

%D%/sources.c: %D%/embed %D%/local.mk $(KERNELS)
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SHELL) $(srcdir)/%D%/embed $(srcdir)/%D% $(KERNELS:cl/%=%) >$@.tmp && mv $@.tmp $@
