/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Command lines by tables: getopt_long's two notations of the options are derived from them, so are
 * --help and, in a test, the check of the man pages.
 */
#include "cli.h"

#include <peer/soak.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { OPTIONS_MAX = 128, LONG_ONLY = 256 };

/* ---- setters ---- */

static void *field(void *options, const struct option_def *option)
{
    return (char *)options + option->offset;
}

int option_set_flag(void *options, const struct option_def *option, const char *text, char why[128])
{
    (void)text;
    (void)why;
    *(bool *)field(options, option) = true;
    return 0;
}

int option_set_count(void *options, const struct option_def *option, const char *text,
                     char why[128])
{
    (void)text;
    (void)why;
    ++*(int *)field(options, option);
    return 0;
}

int option_set_choice(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    (void)text;
    (void)why;
    *(int *)field(options, option) = (int)option->max;
    return 0;
}

int option_set_string(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    if (!*text) {
        snprintf(why, 128, "is empty");
        return -EINVAL;
    }
    *(const char **)field(options, option) = text;
    return 0;
}

struct unit {
    const char *name;
    double factor;
};

/* A non-negative number with a unit; -EINVAL when it is none. */
static int parse_scaled(const char *text, const struct unit *units, double *ret_value)
{
    char *end;

    if (!isdigit((unsigned char)*text) && *text != '.')
        return -EINVAL;
    errno = 0;
    double value = strtod(text, &end);
    if (errno || end == text || !isfinite(value) || memchr(text, 'x', (size_t)(end - text)))
        return -EINVAL;
    for (; units->name; units++) {
        if (strcasecmp(end, units->name) == 0) {
            *ret_value = value * units->factor;
            return 0;
        }
    }
    return -EINVAL;
}

int option_set_number(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    static const struct unit units[] = {{"", 1}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {NULL, 0}};
    double value;

    if (parse_scaled(text, units, &value) < 0 || value != floor(value)) {
        snprintf(why, 128, "is no whole number");
        return -EINVAL;
    }
    char *end;
    errno = 0;
    uint64_t exact = strtoull(text, &end, 10); /* a double has but 53 bits */
    if (*end)
        exact = value < 0x1p64 ? (uint64_t)value : UINT64_MAX;
    if (exact < option->min || exact > option->max || value > (double)option->max ||
        errno == ERANGE) {
        snprintf(why, 128, "is out of range: %llu to %llu", (unsigned long long)option->min,
                 (unsigned long long)option->max);
        return -EINVAL;
    }
    *(uint64_t *)field(options, option) = exact;
    return 0;
}

int option_set_time(void *options, const struct option_def *option, const char *text, char why[128])
{
    static const struct unit units[] = {{"", 1e9},   {"s", 1e9},    {"ms", 1e6}, {"us", 1e3},
                                        {"m", 60e9}, {"h", 3600e9}, {NULL, 0}};
    double value;

    if (parse_scaled(text, units, &value) < 0 || value > 1e17) {
        snprintf(why, 128, "is no time such as 3, 0.2, 200ms or 1m");
        return -EINVAL;
    }
    if ((uint64_t)value < option->min) {
        snprintf(why, 128, "is too short");
        return -EINVAL;
    }
    *(uint64_t *)field(options, option) = (uint64_t)value;
    return 0;
}

int option_set_size(void *options, const struct option_def *option, const char *text, char why[128])
{
    static const struct unit units[] = {
        {"", 1},        {"b", 1},         {"k", 1024}, {"kib", 1024},       {"kb", 1e3},
        {"m", 1048576}, {"mib", 1048576}, {"mb", 1e6}, {"g", 1073741824.0}, {"gib", 1073741824.0},
        {"gb", 1e9},    {NULL, 0}};
    double value;

    if (parse_scaled(text, units, &value) < 0 || value != floor(value) ||
        value < (double)option->min || value > (double)option->max) {
        snprintf(why, 128, "is no size from %llu to %llu bytes", (unsigned long long)option->min,
                 (unsigned long long)option->max);
        return -EINVAL;
    }
    *(uint64_t *)field(options, option) = (uint64_t)value;
    return 0;
}

/* ---- the tables as getopt_long wants them ---- */

struct notation {
    char letters[2 * OPTIONS_MAX + 2];
    struct option longs[OPTIONS_MAX + 1];
    const struct option_def *defs[OPTIONS_MAX];
    const char *names[OPTIONS_MAX + 1];
    int count;
};

static bool is_optional(const char *argument)
{
    return argument[0] == '[';
}

static void notation_add(struct notation *notation, const struct option_def *def)
{
    int i = notation->count++;
    size_t at = strlen(notation->letters);

    notation->defs[i] = def;
    notation->names[i] = def->name;
    int argument = !def->argument             ? no_argument
                   : is_optional(def->argument) ? optional_argument
                                                : required_argument;
    notation->longs[i] =
        (struct option){.name = def->name, .has_arg = argument, .val = LONG_ONLY + i};
    if (def->letter) {
        notation->letters[at++] = def->letter;
        if (def->argument)
            notation->letters[at++] = ':';
        notation->letters[at] = 0;
    }
}

static void notation_make(const struct command *command, struct notation *notation)
{
    memset(notation, 0, sizeof(*notation));
    notation->letters[0] = ':'; /* a missing argument is told apart */
    for (const struct option_def *const *table = command->tables; *table; table++) {
        for (const struct option_def *def = *table; def->name; def++)
            notation_add(notation, def);
    }
}

static const char *notation_name(const struct notation *notation, int value, char buf[64])
{
    if (value >= LONG_ONLY)
        snprintf(buf, 64, "--%s", notation->defs[value - LONG_ONLY]->name);
    else
        snprintf(buf, 64, "-%c", value);
    return buf;
}

static const struct option_def *notation_find(const struct notation *notation, int value)
{
    if (value >= LONG_ONLY)
        return notation->defs[value - LONG_ONLY];
    for (int i = 0; i < notation->count; i++) {
        if (notation->defs[i]->letter == value)
            return notation->defs[i];
    }
    return NULL;
}

static int unknown_option(const struct command *command, const struct notation *notation,
                          const char *word)
{
    char name[64];

    if (optopt >= LONG_ONLY)
        return usage_error(command, "option %s takes no value",
                           notation_name(notation, optopt, name));
    if (optopt) /* a letter, perhaps not the last of its word: `word` may be the one before */
        return usage_error(command, "unknown option %s", notation_name(notation, optopt, name));
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *meant = suggest(name, notation->names);
    if (meant)
        return usage_error(command, "unknown option --%s; did you mean --%s?", name, meant);
    return usage_error(command, "unknown option --%s", name);
}

/* A value that may be left out is the next word, too, if that is the name of a file, or a list of numbers
   where such are wanted. */
static void take_word(const struct option_def *def, char *const *argv)
{
    struct stat status;

    if (optarg || !def->argument || !is_optional(def->argument) || !argv[optind])
        return;
    if (strncmp(def->argument, "[PID", 4) == 0) {
        if (*argv[optind] && !argv[optind][strspn(argv[optind], "0123456789,")])
            optarg = argv[optind++];
        return;
    }
    if (stat(argv[optind], &status) == 0 && S_ISREG(status.st_mode))
        optarg = argv[optind++];
}

static int set_option(const struct command *command, const struct option_def *def, void *options)
{
    char why[128];

    if (def->set(options, def, optarg, why) == 0)
        return 0;
    return usage_error(command, "--%s: \"%s\" %s", def->name, optarg, why);
}

/* "-- PROGRAM ARGUMENTS" belongs to --isolate; what stands before it is ours. */
static int split_program(int argc, char **argv, struct common_options *common)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0 && i + 1 < argc) {
            common->program = argv + i + 1;
            argv[i] = NULL;
            return i;
        }
    }
    return argc;
}

int options_parse(const struct command *command, int argc, char **argv, void *options,
                  int *ret_argc, char ***ret_argv)
{
    struct common_options *common = options;
    struct notation notation;
    char name[64];
    int value, status = 0;

    notation_make(command, &notation);
    argc = split_program(argc, argv, common);
    opterr = 0;
    optind = 0;
    while (!status &&
           (value = getopt_long(argc, argv, notation.letters, notation.longs, NULL)) != -1) {
        if (value == '?') {
            status = unknown_option(command, &notation, argv[optind - 1]);
        } else if (value == ':') {
            status = usage_error(command, "option %s needs a value",
                                 notation_name(&notation, optopt, name));
        } else {
            take_word(notation_find(&notation, value), argv);
            status = set_option(command, notation_find(&notation, value), options);
        }
    }
    if (!status && common->program && !common->isolate && !common->help && !command->keep_origin)
        status = usage_error(command, "a program after \"--\" goes with --isolate");
    *ret_argc = argc - optind;
    *ret_argv = argv + optind;
    return status;
}

/* ---- help ---- */

const char *option_help(const struct option_def *def, char buf[OPTION_HELP])
{
    struct peer_protocol protocol;
    size_t len = 0;

    if (!def->takes)
        return def->help;
    for (size_t i = 0; peer_protocol(i, &protocol); i++) {
        if (def->takes(&protocol) && len < OPTION_HELP)
            len += (size_t)snprintf(buf + len, OPTION_HELP - len, "%s%s", len ? ", " : "",
                                    protocol.name);
    }
    if (len < OPTION_HELP)
        snprintf(buf + len, OPTION_HELP - len, ": %s", def->help);
    return buf;
}

static void print_option(const struct option_def *def)
{
    char left[48], help[OPTION_HELP];

    int len = def->letter ? snprintf(left, sizeof(left), "  -%c, --%s", def->letter, def->name)
                          : snprintf(left, sizeof(left), "      --%s", def->name);
    if (def->argument)
        snprintf(left + len, sizeof(left) - (size_t)len, " %s", def->argument);
    printf("%-28s%s%s\n", left, strlen(left) < 28 ? " " : "  ", option_help(def, help));
}

static void print_section(const struct command *command, const struct option_def *def)
{
    for (const struct help_section *section = command->sections; section && section->first; section++) {
        if (strcmp(section->first, def->name) == 0)
            printf("%s%s:\n", section == command->sections ? "" : "\n", section->heading);
    }
}

void options_print_help(const struct command *command)
{
    printf("usage: peer %s [options] %s\n\n%s\n\n", command->name, command->arguments,
           command->about);
    for (const struct option_def *const *table = command->tables; *table; table++) {
        for (const struct option_def *def = *table; def->name; def++) {
            print_section(command, def);
            print_option(def);
        }
    }
    printf("\nSee peer-%s(1) for more.\n", command->name);
}

/* ---- misspelt words ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) from one word to the other. */
static size_t distance(const char *a, const char *b)
{
    enum { WORD_MAX = 40 };
    size_t edits[WORD_MAX + 1][WORD_MAX + 1], a_len = strlen(a), b_len = strlen(b);

    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return SIZE_MAX;
    for (size_t i = 0; i <= a_len; i++) {
        for (size_t j = 0; j <= b_len; j++) {
            if (i == 0 || j == 0) {
                edits[i][j] = i + j;
                continue;
            }
            edits[i][j] = least(edits[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
                                least(edits[i - 1][j], edits[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                edits[i][j] = least(edits[i][j], edits[i - 2][j - 2] + 1);
        }
    }
    return edits[a_len][b_len];
}

const char *suggest(const char *text, const char *const *names)
{
    const char *best = NULL;
    size_t nearest = strlen(text) / 2 + 1;

    for (; *names; names++) {
        size_t far = distance(text, *names);
        if (strlen(text) >= 2 && strncmp(*names, text, strlen(text)) == 0)
            far = 0;
        if (far < nearest) {
            nearest = far;
            best = *names;
        }
    }
    return best;
}
