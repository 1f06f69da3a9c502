/* Writing a safetensors file by pieces: header first, bytes in any order, then put in place as a whole.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "model/safetensors.h"

struct motley__safetensors_writer {
    struct motley__new_file file;
    uint64_t data;                     /* where the data part begins in the file */
    struct motley__tensor_info *table; /* [count], names owned */
    uint64_t *written;                 /* [count] bytes so far */
    int count;
};

static int write_bytes(struct motley__safetensors_writer *writer, uint64_t offset, const void *bytes, size_t count,
                       struct motley_error *error)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t put = pwrite(fileno(writer->file.stream), at, count, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return motley__fail(error, MOTLEY_E_IO, "%s: cannot be written: %s", writer->file.path,
                                strerror(put < 0 ? errno : ENOSPC));
        at += put;
        offset += (uint64_t)put;
        count -= (size_t)put;
    }
    return 0;
}

/* Copies the caller's table and lays the tensors out one behind the other. */
static int lay_out(struct motley__safetensors_writer *writer, const struct motley__tensor_info *infos, int count,
                   struct motley_error *error)
{
    uint64_t end = 0;
    writer->table = calloc((size_t)count + 1, sizeof *writer->table);
    writer->written = calloc((size_t)count + 1, sizeof *writer->written);
    if (!writer->table || !writer->written)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d tensors", count);
    for (int i = 0; i < count; i++) {
        struct motley__tensor_info *info = &writer->table[writer->count++];
        *info = infos[i];
        info->name = strdup(infos[i].name);
        if (!info->name)
            return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for %d tensors", count);
        info->begin = end;
        info->bytes = (uint64_t)motley__tensor_elements(info) * motley__dtype_bytes(info->dtype);
        end += info->bytes;
    }
    return 0;
}

/* "format": "pt" is what Hugging Face transformers demands of a file it loads. */
static char *header_text(const struct motley__tensor_info *table, int count)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    int failed = !header;
    for (int i = 0; i < count && !failed; i++) {
        json_t *shape = json_array();
        for (int d = 0; d < table[i].dims; d++)
            failed |= json_array_append_new(shape, json_integer(table[i].shape[d]));
        failed |= json_object_set_new(header, table[i].name,
                                      json_pack("{s:s, s:o, s:[I, I]}", "dtype", motley__dtype_name(table[i].dtype),
                                                "shape", shape, "data_offsets", (json_int_t)table[i].begin,
                                                (json_int_t)(table[i].begin + table[i].bytes)));
    }
    char *text = failed ? NULL : json_dumps(header, JSON_COMPACT);
    json_decref(header);
    return text;
}

/* The header ends in spaces so that the data part begins at a multiple of 8. */
static int write_header(struct motley__safetensors_writer *writer, struct motley_error *error)
{
    static const char spaces[8] = "        ";
    unsigned char prefix[8];
    char *text = header_text(writer->table, writer->count);
    if (!text)
        return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the header");
    size_t length = strlen(text), padding = (8 - length % 8) % 8;
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)(length + padding) >> 8 * i);
    int status = write_bytes(writer, 0, prefix, sizeof prefix, error);
    if (!status)
        status = write_bytes(writer, sizeof prefix, text, length, error);
    if (!status)
        status = write_bytes(writer, sizeof prefix + length, spaces, padding, error);
    writer->data = sizeof prefix + length + padding;
    free(text);
    return status;
}

int motley__safetensors_create(const char *path, const struct motley__tensor_info *infos, int count,
                               struct motley__safetensors_writer **writer, struct motley_error *error)
{
    struct motley__safetensors_writer *made = calloc(1, sizeof *made);
    if (!made)
        return motley__fail(error, MOTLEY_E_MEMORY, "%s: out of host memory", path);
    int status = motley__new_file_open(path, &made->file, error);
    if (!status)
        status = lay_out(made, infos, count, error);
    if (!status)
        status = write_header(made, error);
    if (status) {
        motley__safetensors_discard(made);
        return status;
    }
    *writer = made;
    return 0;
}

int motley__safetensors_write(struct motley__safetensors_writer *writer, const char *name, int64_t first, int64_t count,
                              const void *values, struct motley_error *error)
{
    int i = 0;
    while (i < writer->count && strcmp(writer->table[i].name, name) != 0)
        i++;
    assert(i < writer->count);
    const struct motley__tensor_info *info = &writer->table[i];
    assert(first >= 0 && count >= 0 && count <= motley__tensor_elements(info) - first);
    size_t size = motley__dtype_bytes(info->dtype);
    uint64_t bytes = (uint64_t)count * size;
    int status = write_bytes(writer, writer->data + info->begin + (uint64_t)first * size, values, (size_t)bytes, error);
    if (!status)
        writer->written[i] += bytes;
    return status;
}

int motley__safetensors_commit(struct motley__safetensors_writer *writer, struct motley_error *error)
{
    int status = 0;
    for (int i = 0; i < writer->count && !status; i++)
        if (writer->written[i] != writer->table[i].bytes)
            status = motley__fail(error, MOTLEY_E_INVALID,
                                  "%s: tensor %s has %" PRIu64 " bytes, %" PRIu64 " were written", writer->file.path,
                                  writer->table[i].name, writer->table[i].bytes, writer->written[i]);
    if (!status)
        status = motley__new_file_commit(&writer->file, error);
    motley__safetensors_discard(writer);
    return status;
}

void motley__safetensors_discard(struct motley__safetensors_writer *writer)
{
    if (!writer)
        return;
    motley__new_file_discard(&writer->file);
    motley__safetensors_table_free(writer->table, writer->count);
    free(writer->written);
    free(writer);
}
