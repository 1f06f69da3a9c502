/* The list of pairs that goes along with rows: where a section is and words of it; the layout is in cl/encode.cl.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MOTLEY_CL_PAIRS_H
#define MOTLEY_CL_PAIRS_H

struct section {
    size_t begin;       /* its first unit */
    int row, rows;      /* first row and number of rows, of all sections */
    int pair, pairs;
};

/* Section s; row_offsets, pair_offsets: rows and pairs of all sections before each. */
static struct section section_at(__global const int *row_offsets, __global const int *pair_offsets, int s)
{
    const int row = row_offsets[s], pair = pair_offsets[s];
    const struct section section = {2 * (size_t)row + 3 * (size_t)pair, row, row_offsets[s + 1] - row, pair,
                                    pair_offsets[s + 1] - pair};
    return section;
}

/* The last section whose rows begin at or before row j: one that has rows. */
static int section_of(__global const int *row_offsets, int sections, int j)
{
    int low = 0, high = sections;
    while (high - low > 1) {
        const int middle = low + (high - low) / 2;
        if (row_offsets[middle] <= j)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A word of two units, which need not lie at a multiple of 4 bytes. */
static void put_word(__global ushort *list, size_t at, uint word)
{
    list[at] = word & 0xffffu;
    list[at + 1] = word >> 16;
}

static uint get_word(__global const ushort *list, size_t at)
{
    return list[at] | (uint)list[at + 1] << 16;
}

#endif
