/* Reading a command line: a table of options in, values and one clear sentence out.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
#include <config.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"

/* The options that every command takes.  Two of them are held here because their targets are narrower. */
struct common {
    int64_t threads;
    int verbose;
    struct motley__option options[12];
};

static void common_options(struct common *common, struct motley__globals *globals)
{
    struct motley_context_options *context = &globals->context;
    const struct motley__option options[] = {
        {"--devices", MOTLEY__TEXT, &context->devices, 0, 0, "LIST",
         "drive only these: gpu, cpu, or a comma list of name parts", 0},
        {"--share-gpus", MOTLEY__FLAG, &context->share_gpus, 0, 0, NULL, "several ranks may drive one GPU", 0},
        {"--threads", MOTLEY__INTEGER, &common->threads, 1, 65536, "n", "compute threads of a rank that drives the CPU",
         0},
        {"--memory-limit", MOTLEY__BYTES, &context->memory_limit, 0, 0, NULL,
         "device memory each rank may use, as 512M or 2G", 0},
        {"--profile", MOTLEY__TEXT, &context->profile, 0, 0, "FILE", "the file that keeps measurements", 0},
        {"--trace", MOTLEY__TEXT, &context->trace, 0, 0, "FILE", "write a Chrome/Perfetto trace to this file", 0},
        {"--time-limit", MOTLEY__NUMBER, &context->time_limit_seconds, 1e-3, 1e9, "s",
         "seconds a peer may stay silent (default 600)", 0},
        {"--json", MOTLEY__FLAG, &globals->json, 0, 0, NULL, "results as JSON on standard output", 0},
        {"--quiet", MOTLEY__FLAG, &globals->quiet, 0, 0, NULL, "no progress and no notes", 0},
        {"--verbose", MOTLEY__FLAG, &common->verbose, 0, 0, NULL, "notes from every rank", 0},
        {"--help", MOTLEY__FLAG, NULL, 0, 0, NULL, "this text", 0},
        {0},
    };
    static_assert(sizeof options <= sizeof common->options, "room for every common option");
    memcpy(common->options, options, sizeof options);
    common->threads = context->threads;
}

/* The option that `word` names, up to its "=" when it has one. */
static const struct motley__option *find(const struct motley__option *options, const char *word)
{
    size_t length = strcspn(word, "=");
    for (; options->name; options++)
        if (strlen(options->name) == length && strncmp(options->name, word, length) == 0)
            return options;
    return NULL;
}

static int within(const struct motley__option *option, double value)
{
    return (option->low == 0 && option->high == 0) || (value >= option->low && value <= option->high);
}

/* "from 1 to 64", "from 1" when there is no upper limit to speak of. */
static void range_text(const struct motley__option *option, char *text, size_t room)
{
    if (option->low == 0 && option->high == 0)
        text[0] = 0;
    else if (option->high >= 1e15)
        snprintf(text, room, " from %.15g", option->low);
    else
        snprintf(text, room, " from %.15g to %.15g", option->low, option->high);
}

static int read_integer(const struct motley__option *option, const char *text, struct motley_error *error)
{
    char *end, range[80];
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || !within(option, (double)value)) {
        range_text(option, range, sizeof range);
        return motley__fail(error, MOTLEY_E_INVALID, "%s: expected a whole number%s, found '%s'", option->name, range,
                            text);
    }
    *(int64_t *)option->target = value;
    return 0;
}

static int read_number(const struct motley__option *option, const char *text, struct motley_error *error)
{
    char *end, range[80];
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || !within(option, value)) {
        range_text(option, range, sizeof range);
        return motley__fail(error, MOTLEY_E_INVALID, "%s: expected a number%s, found '%s'", option->name, range, text);
    }
    *(double *)option->target = value;
    return 0;
}

/* 1048576, 1M, 1.5G; powers of 1024. */
static int read_size(const struct motley__option *option, const char *text, struct motley_error *error)
{
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end);
    const char *unit = end != text && *end ? strchr(units, *end & ~0x20) : NULL;
    if (unit) {
        value *= pow(1024, (double)(unit - units + 1));
        end++;
    }
    if (end == text || *end || !(value >= 1) || value >= 0x1p63)
        return motley__fail(error, MOTLEY_E_INVALID, "%s: expected a number of bytes such as 512M or 2G, found '%s'",
                            option->name, text);
    *(uint64_t *)option->target = (uint64_t)value;
    return 0;
}

static int read_choice(const struct motley__option *option, const char *text, struct motley_error *error)
{
    size_t length = strlen(text);
    const char *choice = option->choices;
    for (int i = 0; choice; i++) {
        size_t choice_length = strcspn(choice, "|");
        if (choice_length == length && strncmp(choice, text, length) == 0) {
            *(int *)option->target = i;
            return 0;
        }
        choice = choice[choice_length] ? choice + choice_length + 1 : NULL;
    }
    return motley__fail(error, MOTLEY_E_INVALID, "%s: expected one of %s, found '%s'", option->name, option->choices,
                        text);
}

static int read_value(const struct motley__option *option, const char *text, struct motley_error *error)
{
    switch (option->kind) {
    case MOTLEY__INTEGER: return read_integer(option, text, error);
    case MOTLEY__NUMBER: return read_number(option, text, error);
    case MOTLEY__BYTES: return read_size(option, text, error);
    case MOTLEY__CHOICE: return read_choice(option, text, error);
    case MOTLEY__TEXT:
    case MOTLEY__FLAG:
    case MOTLEY__PATHS: break;
    }
    if (!*text)
        return motley__fail(error, MOTLEY_E_INVALID, "%s: expected a name, found an empty one", option->name);
    *(const char **)option->target = text;
    return 0;
}

/* Take the words that follow argv[at], which names `option`; *used of them. */
static int read_words(const struct motley__option *option, int argc, char **argv, int at, int *used,
                      struct motley_error *error)
{
    const char *equals = strchr(argv[at], '=');
    *used = 0;
    if (option->kind == MOTLEY__FLAG) {
        if (equals)
            return motley__fail(error, MOTLEY_E_INVALID, "%s: takes no value, found '%s'", option->name, equals + 1);
        *(int *)option->target = 1;
        return 0;
    }
    if (option->kind == MOTLEY__PATHS) {
        struct motley__paths *paths = option->target;
        while (!equals && at + 1 + *used < argc && strncmp(argv[at + 1 + *used], "--", 2) != 0)
            ++*used;
        if (*used == 0)
            return motley__fail(error, MOTLEY_E_INVALID, "%s: expected one or more paths behind it, as separate words",
                                option->name);
        *paths = (struct motley__paths){(const char **)&argv[at + 1], *used};
        return 0;
    }
    if (equals)
        return read_value(option, equals + 1, error);
    if (at + 1 >= argc)
        return motley__fail(error, MOTLEY_E_INVALID, "%s: expected a value behind it, found nothing", option->name);
    if (strncmp(argv[at + 1], "--", 2) == 0)
        return motley__fail(error, MOTLEY_E_INVALID,
                            "%s: expected a value behind it, found '%s' (if that is the value, write %s=%s)",
                            option->name, argv[at + 1], option->name, argv[at + 1]);
    *used = 1;
    return read_value(option, argv[at + 1], error);
}

static int check_required(const struct motley__option *options, const unsigned char *given, const char *command,
                          struct motley_error *error)
{
    for (int i = 0; options[i].name; i++)
        if (options[i].required && !given[i])
            return motley__fail(error, MOTLEY_E_INVALID, "%s is required; 'motley %s --help' shows how",
                                options[i].name, command);
    return 0;
}

int motley__options_read(int argc, char **argv, const char *command, const struct motley__option *options,
                         struct motley__globals *globals, int *help, struct motley_error *error)
{
    unsigned char given[64] = {0};
    struct common common = {0};
    common_options(&common, globals);
    *help = 0;
    for (int at = 0, used; at < argc; at += 1 + used) {
        const struct motley__option *own = find(options, argv[at]),
                                    *option = own ? own : find(common.options, argv[at]);
        if (strncmp(argv[at], "--", 2) != 0)
            return motley__fail(error, MOTLEY_E_INVALID, "unexpected word '%s'; 'motley %s --help' lists the options",
                                argv[at], command);
        if (!option)
            return motley__fail(error, MOTLEY_E_INVALID, "unknown option '%s'; 'motley %s --help' lists the options",
                                argv[at], command);
        if (!option->target) { /* --help alone has none */
            *help = 1;
            return 0;
        }
        int status = read_words(option, argc, argv, at, &used, error);
        if (status)
            return status;
        if (own) {
            assert((size_t)(own - options) < sizeof given);
            given[own - options] = 1;
        }
    }
    globals->context.threads = (int)common.threads;
    globals->context.verbose = common.verbose ? 2 : globals->quiet ? 0 : 1;
    return check_required(options, given, command, error);
}

/* "--top-k N", "--gate softmax|forced" */
static void print_option(FILE *stream, const struct motley__option *option)
{
    static const char *const values[] = {"", " N", " X", " BYTES", " NAME", NULL, " PATH..."};
    char left[160];
    if (option->choices)
        snprintf(left, sizeof left, "%s %s", option->name, option->choices);
    else
        snprintf(left, sizeof left, "%s%s", option->name, values[option->kind]);
    if (strlen(left) > 24) {
        fprintf(stream, "  %s\n", left);
        left[0] = 0;
    }
    fprintf(stream, "  %-24s  %s\n", left, option->help);
}

void motley__options_usage(FILE *stream, const char *command, const char *synopsis,
                           const struct motley__option *options)
{
    struct motley__globals globals = {0};
    struct common common = {0};
    common_options(&common, &globals);
    fprintf(stream, "usage: motley %s %s\n", command, synopsis);
    if (options->name)
        fprintf(stream, "\n");
    for (; options->name; options++)
        print_option(stream, options);
    fprintf(stream, "\nof every command\n");
    for (const struct motley__option *option = common.options; option->name; option++)
        print_option(stream, option);
}

int motley__options_parse(int argc, char **argv, const char *command, const char *synopsis,
                          const struct motley__option *options, struct motley__globals *globals)
{
    struct motley_error error = {0};
    int help = 0, initialised = 0, rank = 0, printer = 0;
    int outcome = motley__options_read(argc, argv, command, options, globals, &help, &error) ? 2 : help;

    /* One word may be wrong on one rank only (mpirun runs several command lines): the gravest outcome is everybody's,
     * and the first rank that has it prints. */
    MPI_Initialized(&initialised);
    if (initialised) {
        int size, mine = outcome;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Comm_size(MPI_COMM_WORLD, &size);
        MPI_Allreduce(&mine, &outcome, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
        mine = mine == outcome ? rank : size;
        MPI_Allreduce(&mine, &printer, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    }
    if (rank == printer && outcome == 1)
        motley__options_usage(stdout, command, synopsis, options);
    if (rank == printer && outcome == 2)
        fprintf(stderr, "motley %s: %s\n", command, error.text);
    return outcome;
}
