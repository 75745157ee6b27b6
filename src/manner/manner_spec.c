/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Specifications of manners. What does not fit is refused with the word that does not.
 */
#include "manner/manner.h"

#include "base/error.h"
#include "base/macro.h"
#include "base/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct word {
    const char *text;
    size_t len;
};
#define QUOTE(word) (int)(word).len, (word).text

struct reader {
    const struct manner_context *context;
    struct peer_error *error;
    struct manner_spec spec;
    struct word name;
    bool value_given;
};
#define REFUSE(reader, ...) error_set((reader)->error, PEER_ERROR_USAGE, EINVAL, __VA_ARGS__)

/* What `word` begins with up to one of `ends`, taken off it; the end itself goes too. */
static struct word cut(struct word *word, const char *ends)
{
    struct word part = *word;

    part.len = 0;
    while (part.len < word->len && !strchr(ends, part.text[part.len]))
        part.len++;
    size_t gone = part.len + (part.len < word->len ? 1 : 0);
    word->text += gone;
    word->len -= gone;
    return part;
}

/* ---- numbers with units ---- */

struct unit {
    const char *name;
    double factor;
};
static const struct unit time_units[] = {{"ns", 1},   {"us", 1e3},   {"ms", 1e6},   {"s", 1e9},
                                         {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}, {NULL, 0}};
static const struct unit size_units[] = {
    {"b", 1},         {"kb", 1e3}, {"kib", 1024},         {"mb", 1e6},
    {"mib", 1048576}, {"gb", 1e9}, {"gib", 1073741824.0}, {NULL, 0}};
static const struct unit rate_units[] = {{"b/s", 1},    {"kb/s", 1e3},      {"kib/s", 1024},
                                         {"mb/s", 1e6}, {"mib/s", 1048576}, {NULL, 0}};
static const struct unit count_units[] = {{"/s", 1}, {"k/s", 1e3}, {NULL, 0}};
static const struct unit share_units[] = {{"%", 0.01}, {NULL, 0}};

enum number { NUMBER_OK, NUMBER_NONE, NUMBER_BARE, NUMBER_OTHER_UNIT };

static enum number read_number(struct word word, const struct unit *units, double *ret)
{
    char text[32], *end;

    if (word.len == 0 || word.len >= sizeof(text) ||
        !((*word.text >= '0' && *word.text <= '9') || *word.text == '.'))
        return NUMBER_NONE;
    memcpy(text, word.text, word.len);
    text[word.len] = 0;
    size_t digits = strspn(text, "0123456789.");
    char kept = text[digits];
    text[digits] = 0;
    double value = strtod(text, &end);
    if (*end)
        return NUMBER_NONE;
    text[digits] = kept;
    if (!text[digits])
        return NUMBER_BARE;
    for (; units->name; units++) {
        if (strcasecmp(text + digits, units->name) == 0) {
            *ret = value * units->factor;
            return NUMBER_OK;
        }
    }
    return NUMBER_OTHER_UNIT;
}

/* ---- the name ---- */

static const char *name_list(bool udp, char *buf, size_t room)
{
    size_t len = 0;
    const struct manner *manner;

    *buf = 0;
    for (size_t i = 0; (manner = manner_at(i)); i++) {
        if (manner->udp >= udp && len < room)
            len += (size_t)snprintf(buf + len, room - len, "%s%s", len ? ", " : "", manner->name);
    }
    return buf;
}

static int unknown_manner(struct reader *reader)
{
    const char *names[MANNERS_MAX + 1] = {0};

    for (size_t i = 0; manner_at(i); i++)
        names[i] = manner_at(i)->name;
    const char *meant = suggest_word(reader->name.text, reader->name.len, names);
    if (meant)
        return REFUSE(reader, "\"%.*s\" is no manner; did you mean \"%s\"?", QUOTE(reader->name),
                      meant);
    return REFUSE(reader, "\"%.*s\" is no manner; `peer_manner()` lists them",
                  QUOTE(reader->name));
}

static int check_name(struct reader *reader)
{
    const struct manner_context *context = reader->context;
    const struct manner *manner = reader->spec.manner;
    char list[256];

    if (context->udp && !manner->udp)
        return REFUSE(reader, "\"%s\" is no manner of UDP; those are %s", manner->name,
                      name_list(true, list, sizeof(list)));
    if (context->accepts && manner_never_opens(manner))
        return REFUSE(reader, "\"%s\" is a caller's manner; a listener has no use for it",
                      manner->name);
    if (!context->shares && !context->accepts && !manner->begin)
        return REFUSE(reader, "\"%s\" is no manner of one connection; \"peer soak\" has it",
                      manner->name);
    if (manner->http2 && !context->shares)
        return REFUSE(reader, "\"%s\" is a manner of HTTP/2, which \"peer soak\" speaks",
                      manner->name);
    if (manner->moves && context->peers < 2)
        return REFUSE(reader,
                      "\"%s\" needs a second peer to go on from; give more addresses with "
                      "`from`",
                      manner->name);
    return 0;
}

static int read_name(struct reader *reader)
{
    for (size_t i = 0; manner_at(i); i++) {
        const struct manner *manner = manner_at(i);
        if (strlen(manner->name) == reader->name.len &&
            strncmp(manner->name, reader->name.text, reader->name.len) == 0) {
            reader->spec.manner = manner;
            reader->spec.value = manner->value;
            reader->spec.when = manner->when;
            return check_name(reader);
        }
    }
    return unknown_manner(reader);
}

/* ---- share and value ---- */

static const struct {
    const struct unit *units;
    const char *example, *what;
} values[] = {
    [MANNER_NO_VALUE] = {NULL, NULL, NULL},
    [MANNER_BYTES_PER_S] = {rate_units, "10B/s", "bytes a second"},
    [MANNER_PER_S] = {count_units, "1000/s", "a count a second"},
    [MANNER_BYTES] = {size_units, "1280B", "a size"},
};

static int read_share(struct reader *reader, struct word word, double share)
{
    const char *name = reader->spec.manner->name;

    if (!reader->spec.manner->begin)
        return REFUSE(reader,
                      "\"%.*s\" after \"%s\": it is no share of the flows, but a count: "
                      "%s:1000/s",
                      QUOTE(word), name, name);
    if (!reader->context->shares)
        return REFUSE(reader,
                      "\"%.*s\" after \"%s\": there is one flow, of which there is no share",
                      QUOTE(word), name);
    if (reader->spec.share >= 0)
        return REFUSE(reader, "\"%.*s\" after \"%s\": it has a share already", QUOTE(word), name);
    if (share > 1)
        return REFUSE(reader, "\"%.*s\" is over 100%%", QUOTE(word));
    if (share <= 0)
        return REFUSE(reader, "\"%.*s\" is a share of nothing", QUOTE(word));
    reader->spec.share = share;
    return 0;
}

static int no_value(struct reader *reader, struct word word, enum number fault)
{
    const struct manner *manner = reader->spec.manner;
    const char *example = values[manner->unit].example;

    if (fault == NUMBER_BARE && example)
        return REFUSE(reader, "\"%.*s\" after \"%s\" has no unit; a share is written 5%%, %s %s",
                      QUOTE(word), manner->name, values[manner->unit].what, example);
    if (fault == NUMBER_BARE)
        return REFUSE(reader, "\"%.*s\" after \"%s\" has no unit; a share is written %.*s%%",
                      QUOTE(word), manner->name, QUOTE(word));
    if (example)
        return REFUSE(reader,
                      "\"%.*s\" after \"%s\" is neither a share such as 5%% nor %s such as %s",
                      QUOTE(word), manner->name, values[manner->unit].what, example);
    return REFUSE(reader,
                  "\"%.*s\" after \"%s\" is no share such as 5%%, and it takes nothing else",
                  QUOTE(word), manner->name);
}

static int read_value(struct reader *reader, struct word word)
{
    const struct manner *manner = reader->spec.manner;
    double value = 0;

    if (read_number(word, share_units, &value) == NUMBER_OK)
        return read_share(reader, word, value);
    enum number fault = manner->unit ? read_number(word, values[manner->unit].units, &value)
                        : read_number(word, size_units, &value) == NUMBER_BARE ? NUMBER_BARE
                                                                               : NUMBER_OTHER_UNIT;
    if (fault != NUMBER_OK)
        return no_value(reader, word, fault);
    if (reader->value_given)
        return REFUSE(reader, "\"%.*s\" after \"%s\": it has a value already", QUOTE(word),
                      manner->name);
    if (value < (double)manner->min || value > (double)manner->max)
        return REFUSE(reader, "\"%.*s\" after \"%s\" is out of range: %llu to %llu", QUOTE(word),
                      manner->name, (unsigned long long)manner->min,
                      (unsigned long long)manner->max);
    reader->spec.value = (uint64_t)value;
    reader->value_given = true;
    return 0;
}

/* ---- when ---- */

static const char *const state_names[] = {"syn", "connected", "request", NULL};

static int no_when(struct reader *reader, struct word word)
{
    double unused;
    const char *meant = suggest_word(word.text, word.len, state_names);

    if (read_number(word, time_units, &unused) == NUMBER_BARE)
        return REFUSE(reader,
                      "\"@%.*s\" has no unit; a time is written %.*ss, a count of bytes "
                      "%.*sB",
                      QUOTE(word), QUOTE(word), QUOTE(word));
    if (meant)
        return REFUSE(reader, "\"@%.*s\" is no time, size or state; did you mean \"@%s\"?",
                      QUOTE(word), meant);
    return REFUSE(reader,
                  "\"@%.*s\" is no time (10s), no count of bytes (4KiB) and no state (syn, "
                  "connected, request)",
                  QUOTE(word));
}

static int read_when(struct reader *reader, struct word word)
{
    struct manner_spec *spec = &reader->spec;
    double value = 0;

    if (manner_never_opens(spec->manner))
        return REFUSE(reader, "\"@%.*s\" after \"%s\": it is never connected, so there is no later",
                      QUOTE(word), spec->manner->name);
    spec->when_given = true;
    for (size_t i = 0; state_names[i]; i++) {
        if (strlen(state_names[i]) != word.len || strncmp(state_names[i], word.text, word.len) != 0)
            continue;
        spec->when = (enum manner_when)i;
        if (spec->when < spec->manner->earliest)
            return REFUSE(reader,
                          "\"@%.*s\" is too early for \"%s\"; \"@connected\" is the earliest",
                          QUOTE(word), spec->manner->name);
        return 0;
    }
    if (read_number(word, time_units, &value) == NUMBER_OK && value <= 1e16) {
        spec->when = MANNER_AT_TIME;
    } else if (read_number(word, size_units, &value) == NUMBER_OK && value <= 1e18) {
        spec->when = MANNER_AT_BYTES;
    } else {
        return no_when(reader, word);
    }
    spec->at = (uint64_t)value;
    return 0;
}

/* ---- all of it ---- */

static int read_spec(struct reader *reader, struct word word)
{
    struct word rest = word, when = {NULL, 0};
    const char *at = memchr(word.text, '@', word.len);

    snprintf(reader->spec.text, sizeof(reader->spec.text), "%.*s", QUOTE(word));
    if (at) {
        rest.len = (size_t)(at - word.text);
        when = (struct word){at + 1, word.len - rest.len - 1};
    }
    reader->name = cut(&rest, ":");
    int status = read_name(reader);
    bool colon = reader->name.text + reader->name.len < (at ? at : word.text + word.len);
    while (status == 0 && colon) {
        struct word value = cut(&rest, ":");
        status = read_value(reader, value);
        colon = rest.len > 0;
    }
    if (status == 0 && at)
        status = read_when(reader, when);
    return status;
}

static int check_sum(struct reader *reader, double *sum)
{
    struct manner_spec *spec = &reader->spec;

    if (!reader->context->shares || (reader->context->accepts && spec->share < 0))
        return 0;        /* all callers of a listener have those without a share, besides */
    if (spec->share < 0) /* all flows; a flood is none of them */
        spec->share = spec->manner->begin ? 1 : 0;
    *sum += spec->share;
    if (*sum > 1 + 1e-9)
        return REFUSE(reader, "\"%s\" makes it %.4g%% of the flows together; 100%% is the most%s",
                      spec->text, *sum * 100,
                      strchr(spec->text, '%') ? "" : " (without a share it is all of them)");
    return 0;
}

int manners_parse(const char *text, const struct manner_context *context,
                  struct manner_spec specs[MANNERS_MAX], struct peer_error *error)
{
    struct word all = {text ? text : "", text ? strlen(text) : 0};
    double sum = 0;
    int count = 0;

    while (all.len) {
        struct word word = cut(&all, ", \t\n");
        struct reader reader = {.context = context, .error = error, .spec = {.share = -1}};
        if (!word.len)
            continue;
        if (count == MANNERS_MAX)
            return REFUSE(&reader, "\"%.*s\" is one manner too many; %d is the most", QUOTE(word),
                          MANNERS_MAX);
        int status = read_spec(&reader, word);
        if (status == 0)
            status = check_sum(&reader, &sum);
        if (status < 0)
            return status;
        specs[count++] = reader.spec;
    }
    return count;
}
