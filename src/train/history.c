/* loss.csv: one line per step, and the same numbers in memory for the plot.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "train/history.h"

static const char HEADING[] = "step,tokens,train_loss,held_out_loss,held_out_bits,bigram_bits,trigram_bits,"
                              "learning_rate,gradient_norm,tokens_per_second,seconds\n";

static int remember(struct motley__history *history, const struct motley__record *record, struct motley_error *error)
{
    if (history->count == history->room) {
        int64_t room = 2 * history->room + 64;
        struct motley__record *larger = realloc(history->record, (size_t)room * sizeof *larger);
        if (!larger)
            return motley__fail(error, MOTLEY_E_MEMORY, "out of host memory for the losses of %" PRId64 " steps", room);
        history->record = larger;
        history->room = room;
    }
    history->record[history->count++] = *record;
    return 0;
}

static int write_line(const struct motley__history *history, const struct motley__record *record)
{
    FILE *stream = history->stream;
    fprintf(stream, "%" PRId64 ",%" PRId64 ",%.6f,", record->step, record->tokens, record->train_loss);
    if (isnan(record->held_out_loss))
        fputs(",,,,", stream);
    else
        fprintf(stream, "%.6f,%.6f,%.6f,%.6f,", record->held_out_loss, record->held_out_loss / log(2),
                history->bigram_bits, history->trigram_bits);
    return fprintf(stream, "%.6e,%.6f,%.1f,%.3f\n", record->learning_rate, record->gradient_norm,
                   record->tokens_per_second, record->seconds);
}

/* A number and the comma behind it; an empty field is NaN. */
static double field(const char **at)
{
    char *end;
    double value = strtod(*at, &end);
    if (end == *at)
        value = NAN;
    *at = end + strcspn(end, ",\n");
    *at += **at == ',';
    return value;
}

/* One line of our own; 1 when it is whole. */
static int parse_line(const char *line, struct motley__record *record)
{
    const char *at = line;
    int commas = 0;
    for (const char *c = line; *c && *c != '\n'; c++)
        commas += *c == ',';
    if (commas != 10 || !strchr(line, '\n'))
        return 0;
    double step = field(&at), tokens = field(&at);
    if (!(step >= 1 && tokens >= 0 && tokens < 9e15))
        return 0;
    record->step = (int64_t)step;
    record->tokens = (int64_t)tokens;
    record->train_loss = field(&at);
    record->held_out_loss = field(&at);
    for (int i = 0; i < 3; i++)
        field(&at);
    record->learning_rate = field(&at);
    record->gradient_norm = field(&at);
    record->tokens_per_second = field(&at);
    record->seconds = field(&at);
    return 1;
}

/* What was written before, up to step `last`; an absent file has nothing. */
static int read_before(struct motley__history *history, int64_t last, char **kept, size_t *bytes,
                       struct motley_error *error)
{
    char *text;
    size_t count, end = 0;
    int status = 0;
    *kept = NULL;
    *bytes = 0;
    if (last == 0 || access(history->path, F_OK))
        return 0;
    status = motley__file_read(history->path, &text, &count, error);
    if (status)
        return status;
    if (!strncmp(text, HEADING, sizeof HEADING - 1)) {
        struct motley__record record;
        end = sizeof HEADING - 1;
        while (!status && parse_line(text + end, &record) && record.step <= last) {
            status = remember(history, &record, error);
            end += strcspn(text + end, "\n") + 1;
        }
    }
    *kept = text;
    *bytes = end;
    return status;
}

int motley__history_open(const char *path, int64_t last, double bigram_bits, double trigram_bits,
                        struct motley__history *history, struct motley_error *error)
{
    struct motley__history made = {.bigram_bits = bigram_bits, .trigram_bits = trigram_bits};
    char *kept = NULL;
    size_t bytes = 0;
    int status = motley__format(&made.path, error, "%s", path);
    if (!status)
        status = read_before(&made, last, &kept, &bytes, error);
    if (!status)
        status = bytes ? motley__file_write(path, kept, bytes, error)
                       : motley__file_write(path, HEADING, sizeof HEADING - 1, error);
    free(kept);
    if (!status) {
        made.stream = fopen(path, "a");
        if (!made.stream)
            status = motley__fail(error, MOTLEY_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    }
    if (status) {
        motley__history_close(&made);
        return status;
    }
    *history = made;
    return 0;
}

void motley__history_close(struct motley__history *history)
{
    if (history->stream)
        fclose(history->stream);
    free(history->path);
    free(history->record);
    memset(history, 0, sizeof *history);
}

int motley__history_add(struct motley__history *history, const struct motley__record *record,
                        struct motley_error *error)
{
    int status = remember(history, record, error);
    if (!status && (write_line(history, record) < 0 || fflush(history->stream)))
        status = motley__fail(error, MOTLEY_E_IO, "%s: cannot be written: %s", history->path, strerror(errno));
    return status;
}
