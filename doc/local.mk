# doc: the manual page and the mathematics.
#
# SPDX-License-Identifier: BSD-3-Clause
dist_man_MANS += \
    %D%/motley.1

dist_doc_DATA += \
    %D%/math.md \
    %D%/performance.md

# Shown by the README.
EXTRA_DIST += %D%/loss.svg
