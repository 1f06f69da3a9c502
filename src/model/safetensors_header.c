/* The header of a safetensors file, from text to a table that can be trusted.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

/* Every kind the format knows; those we do not read are OTHER, but their sizes are checked too. */
static const struct {
    const char *name;
    enum motley__dtype dtype;
    unsigned bytes;
} kinds[] = {
    {"F32", MOTLEY__F32, 4},    {"BF16", MOTLEY__BF16, 2},     {"F16", MOTLEY__F16, 2},       {"F64", MOTLEY__F64, 8},
    {"I32", MOTLEY__I32, 4},    {"I64", MOTLEY__I64, 8},       {"U8", MOTLEY__U8, 1},         {"I8", MOTLEY__OTHER, 1},
    {"I16", MOTLEY__OTHER, 2},  {"U16", MOTLEY__OTHER, 2},     {"U32", MOTLEY__OTHER, 4},     {"U64", MOTLEY__OTHER, 8},
    {"BOOL", MOTLEY__OTHER, 1}, {"F8_E4M3", MOTLEY__OTHER, 1}, {"F8_E5M2", MOTLEY__OTHER, 1},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const char *motley__dtype_name(enum motley__dtype dtype)
{
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].dtype == dtype && dtype != MOTLEY__OTHER)
            return kinds[i].name;
    return "another type";
}

size_t motley__dtype_bytes(enum motley__dtype dtype)
{
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].dtype == dtype && dtype != MOTLEY__OTHER)
            return kinds[i].bytes;
    return 0;
}

int64_t motley__tensor_elements(const struct motley__tensor_info *info)
{
    int64_t elements = 1;
    for (int i = 0; i < info->dims; i++)
        elements *= info->shape[i];
    return elements;
}

/* *bytes 0 for a type newer than this table: its size cannot be checked. */
static int read_dtype(const json_t *entry, struct motley__tensor_info *info, unsigned *bytes,
                      struct motley_error *error)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (!name)
        return motley__fail(error, MOTLEY_E_FORMAT, "tensor %s: expected \"dtype\" with a string, found none",
                            info->name);
    info->dtype = MOTLEY__OTHER;
    *bytes = 0;
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            info->dtype = kinds[i].dtype;
            *bytes = kinds[i].bytes;
        }
    }
    return 0;
}

static int read_shape(const json_t *entry, struct motley__tensor_info *info, int64_t *elements,
                      struct motley_error *error)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return motley__fail(error, MOTLEY_E_FORMAT, "tensor %s: expected \"shape\" with a list, found none",
                            info->name);
    if (json_array_size(shape) > MOTLEY__TENSOR_DIMS)
        return motley__fail(error, MOTLEY_E_FORMAT, "tensor %s: expected at most %d dimensions, found %zu", info->name,
                            MOTLEY__TENSOR_DIMS, json_array_size(shape));
    info->dims = (int)json_array_size(shape);
    *elements = 1;
    for (int i = 0; i < info->dims; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return motley__fail(error, MOTLEY_E_FORMAT, "tensor %s: shape[%d] is not a whole number >= 0", info->name,
                                i);
        info->shape[i] = json_integer_value(size);
        if (__builtin_mul_overflow(*elements, info->shape[i], elements))
            return motley__fail(error, MOTLEY_E_FORMAT,
                                "tensor %s: its shape counts more than 2^63 elements: the header lies", info->name);
    }
    return 0;
}

static int read_offsets(const json_t *entry, struct motley__tensor_info *info, uint64_t data_bytes,
                        struct motley_error *error)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return motley__fail(error, MOTLEY_E_FORMAT, "tensor %s: expected \"data_offsets\" with two whole numbers",
                            info->name);
    int64_t first = json_integer_value(begin), behind = json_integer_value(end);
    if (first < 0 || behind < first || (uint64_t)behind > data_bytes)
        return motley__fail(error, MOTLEY_E_FORMAT,
                            "tensor %s: its header says bytes %" PRId64 " to %" PRId64 ", but the file holds %" PRIu64
                            " bytes of data: it is truncated or its header lies; write or copy it again",
                            info->name, first, behind, data_bytes);
    info->begin = (uint64_t)first;
    info->bytes = (uint64_t)(behind - first);
    return 0;
}

static int read_entry(const json_t *entry, struct motley__tensor_info *info, uint64_t data_bytes,
                      struct motley_error *error)
{
    unsigned size = 0;
    int64_t elements = 0, bytes;
    int status = read_dtype(entry, info, &size, error);
    if (!status)
        status = read_shape(entry, info, &elements, error);
    if (!status)
        status = read_offsets(entry, info, data_bytes, error);
    if (status || size == 0)
        return status;
    if (__builtin_mul_overflow(elements, (int64_t)size, &bytes) || (uint64_t)bytes != info->bytes)
        return motley__fail(error, MOTLEY_E_FORMAT,
                            "tensor %s: its shape asks for %" PRId64
                            " elements of %u bytes, but its data_offsets span %" PRIu64
                            " bytes: the header lies; write the file again",
                            info->name, elements, size, info->bytes);
    return 0;
}

static int by_place(const void *left, const void *right)
{
    const struct motley__tensor_info *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes); /* empty ones first: they overlap nothing */
}

static int check_overlaps(struct motley__tensor_info *table, int count, struct motley_error *error)
{
    qsort(table, (size_t)count, sizeof *table, by_place);
    for (int i = 1; i < count; i++)
        if (table[i - 1].begin + table[i - 1].bytes > table[i].begin)
            return motley__fail(error, MOTLEY_E_FORMAT,
                                "tensors %s and %s overlap: the header lies; write the file again", table[i - 1].name,
                                table[i].name);
    return 0;
}

/* The name is kept apart from the JSON, which is not kept. */
static int add_entry(const char *name, const json_t *entry, struct motley__tensor_info *info, uint64_t data_bytes,
                     struct motley_error *error)
{
    info->name = strdup(name);
    if (!info->name)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the header");
    return read_entry(entry, info, data_bytes, error);
}

int motley__safetensors_table(const char *text, size_t length, uint64_t data_bytes, struct motley__tensor_info **table,
                              int *count, struct motley_error *error)
{
    json_error_t reason;
    json_t *header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &reason);
    if (!header)
        return motley__fail(error, MOTLEY_E_FORMAT,
                            "its header is not JSON (%s, at byte %d): not a safetensors file, or damaged", reason.text,
                            reason.position);
    int entries = 0, status = 0;
    struct motley__tensor_info *made = calloc(json_object_size(header) + 1, sizeof *made);
    const char *name;
    json_t *entry;
    if (!made)
        status = motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %zu tensors", json_object_size(header));
    else if (!json_is_object(header) || json_object_size(header) > INT32_MAX)
        status = motley__fail(error, MOTLEY_E_FORMAT,
                              "its header is not a JSON object: not a safetensors file, or damaged");
    else
        json_object_foreach(header, name, entry) {
            if (strcmp(name, "__metadata__") == 0)
                continue;
            status = add_entry(name, entry, &made[entries++], data_bytes, error);
            if (status)
                break;
        }
    if (!status)
        status = check_overlaps(made, entries, error);
    json_decref(header);
    if (status) {
        motley__safetensors_table_free(made, entries);
        return status;
    }
    *table = made;
    *count = entries;
    return 0;
}

void motley__safetensors_table_free(struct motley__tensor_info *table, int count)
{
    for (int i = 0; i < count; i++)
        free((char *)table[i].name);
    free(table);
}
