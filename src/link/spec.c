/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The grammar: a table of words, each with a function that takes its values. A value that may be
 * left out is there when the next word begins like a number, so values are never confused with
 * words. What depends on two words (reordering needs a delay) is checked at the end, since they
 * come in any order, and quotes the word that lacks the other.
 *
 * A profile is a text of this grammar, parsed into the same spec before the words after it.
 */
#include "link/internal.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/macro.h"
#include "base/suggest.h"

enum { QUOTE_MAX = 40 };
enum { DELAY, DISTRIBUTION, LOSS, DUPLICATE, REORDER, GAP, CORRUPT, RATE, LIMIT, KEYWORDS };

struct parser {
    const char *at; /* what is not read yet */
    enum link_direction direction;
    struct link_spec spec;
    struct word current;        /* the word whose values are read; len 0 before the first */
    struct word seen[KEYWORDS]; /* text NULL when the word did not occur */
    bool profile_allowed;       /* nothing was read yet */
    struct peer_error *error;   /* may be NULL */
};

struct keyword {
    const char *name;
    int (*parse)(struct parser *parser);
};

#define QUOTE(word)         (int)MIN((word).len, (size_t)QUOTE_MAX), (word).text
#define REFUSE(parser, ...) error_set((parser)->error, PEER_ERROR_USAGE, EINVAL, __VA_ARGS__)

static struct word peek_word(struct parser *parser)
{
    struct word word;

    while (isspace((unsigned char)*parser->at))
        parser->at++;
    word.text = parser->at;
    word.len = 0;
    while (word.text[word.len] && !isspace((unsigned char)word.text[word.len]))
        word.len++;
    return word;
}

static void skip_word(struct parser *parser, struct word word)
{
    parser->at = word.text + word.len;
}

static const struct link_profile *find_profile(struct word word)
{
    static const struct link_profile none = {"none", "", "", ""};
    size_t count;
    const struct link_profile *profiles = link_profiles(&count);

    for (size_t i = 0; i < count; i++)
        if (word_is(word, profiles[i].name))
            return &profiles[i];
    return word_is(word, none.name) ? &none : NULL;
}

/* The names of some profiles begin with a digit, too. */
static bool looks_like_value(struct word word)
{
    return word.len && strchr("0123456789.+-", word.text[0]) && !find_profile(word);
}

/* ---- values, and what is said of wrong ones ---- */

static int refuse_time(struct parser *parser, struct word word, enum value_fault fault)
{
    switch (fault) {
    case VALUE_NO_UNIT:
        return REFUSE(parser,
                      "\"%.*s\" has no unit; write %.*sms or %.*sus "
                      "(tc takes a bare number for microseconds)",
                      QUOTE(word), QUOTE(word), QUOTE(word));
    case VALUE_WRONG_UNIT:
        return REFUSE(parser, "\"%.*s\" is no time; the units are ns, us, ms and s", QUOTE(word));
    case VALUE_TOO_LARGE:
        return REFUSE(parser, "\"%.*s\" is too long; an hour (3600s) is the most", QUOTE(word));
    default:
        return REFUSE(parser, "\"%.*s\" is no time; write one like 50ms", QUOTE(word));
    }
}

static int refuse_rate(struct parser *parser, struct word word, enum value_fault fault)
{
    switch (fault) {
    case VALUE_NO_UNIT:
        return REFUSE(parser,
                      "\"%.*s\" has no unit; write %.*smbit or %.*skbit "
                      "(tc takes a bare number for bits a second)",
                      QUOTE(word), QUOTE(word), QUOTE(word));
    case VALUE_WRONG_UNIT:
        return REFUSE(parser,
                      "\"%.*s\" is no rate; the units are bit, kbit, mbit, gbit (bits a second) "
                      "and bps, kbps, mbps, gbps (bytes a second)",
                      QUOTE(word));
    case VALUE_TOO_LARGE:
        return REFUSE(parser, "\"%.*s\" is too fast; 100tbit is the most", QUOTE(word));
    default:
        return REFUSE(parser, "\"%.*s\" is no rate; write one like 10mbit", QUOTE(word));
    }
}

static int refuse_percent(struct parser *parser, struct word word, enum value_fault fault)
{
    if (fault == VALUE_TOO_LARGE)
        return REFUSE(parser, "\"%.*s\" is over 100%%", QUOTE(word));
    return REFUSE(parser, "\"%.*s\" is no percentage; write one like 2%%", QUOTE(word));
}

/* The next word, which must be there, with something in it that can be a value. */
static int take_value(struct parser *parser, const char *needs, struct word *ret_word)
{
    struct word word = peek_word(parser);

    if (word.len == 0)
        return REFUSE(parser, "\"%.*s\" needs %s after it", QUOTE(parser->current), needs);
    if (!looks_like_value(word))
        return REFUSE(parser, "\"%.*s\" needs %s after it, not \"%.*s\"", QUOTE(parser->current),
                      needs, QUOTE(word));
    skip_word(parser, word);
    *ret_word = word;
    return 0;
}

static int take_time(struct parser *parser, uint64_t *ret_ns)
{
    struct word word;

    int status = take_value(parser, "a time, like 50ms,", &word);
    if (status < 0)
        return status;
    enum value_fault fault = value_time(word, ret_ns);
    return fault == VALUE_OK ? 0 : refuse_time(parser, word, fault);
}

static int take_percent(struct parser *parser, uint32_t *ret_share)
{
    struct word word;

    int status = take_value(parser, "a percentage, like 2%,", &word);
    if (status < 0)
        return status;
    enum value_fault fault = value_percent(word, ret_share);
    return fault == VALUE_OK ? 0 : refuse_percent(parser, word, fault);
}

/* 1 when a value follows and was taken, 0 when none follows. */
static int take_percent_if_any(struct parser *parser, uint32_t *ret_share)
{
    if (!looks_like_value(peek_word(parser)))
        return 0;
    int status = take_percent(parser, ret_share);
    return status < 0 ? status : 1;
}

static int take_count(struct parser *parser, uint32_t max, uint32_t *ret_count)
{
    struct word word;
    uint32_t count;

    int status = take_value(parser, "a number of packets", &word);
    if (status < 0)
        return status;
    enum value_fault fault = value_count(word, max, &count);
    if (fault == VALUE_TOO_LARGE)
        return REFUSE(parser, "\"%.*s\" is too many; %u is the most", QUOTE(word), max);
    if (fault != VALUE_OK)
        return REFUSE(parser, "\"%.*s\" is no number of packets", QUOTE(word));
    if (count == 0)
        return REFUSE(parser, "\"%.*s\" after \"%.*s\": the least is 1", QUOTE(word),
                      QUOTE(parser->current));
    *ret_count = count;
    return 0;
}

/* CORRELATION of something that `present` says is there. */
static int take_correlation(struct parser *parser, bool present, uint32_t *ret_share)
{
    struct word word = peek_word(parser);
    uint32_t share;

    int status = take_percent_if_any(parser, &share);
    if (status <= 0)
        return status;
    if (!present)
        return REFUSE(parser, "\"%.*s\" is a correlation without a value: \"%.*s\" is zero",
                      QUOTE(word), QUOTE(parser->current));
    *ret_share = share;
    return 0;
}

static int take_chance(struct parser *parser, struct link_chance *ret_chance)
{
    struct link_chance chance = {0};

    int status = take_percent(parser, &chance.share);
    if (status == 0)
        status = take_correlation(parser, chance.share > 0, &chance.correlation);
    if (status == 0)
        *ret_chance = chance;
    return status;
}

/* ---- words ---- */

static bool was_seen(const struct parser *parser, int keyword)
{
    return parser->seen[keyword].text;
}

static int parse_delay(struct parser *parser)
{
    struct link_spec *spec = &parser->spec;

    spec->jitter_ns = 0;
    spec->delay_correlation = 0;
    if (!was_seen(parser, DISTRIBUTION))
        spec->distribution = LINK_UNIFORM; /* that of a profile went with its jitter */
    int status = take_time(parser, &spec->delay_ns);
    struct word word = peek_word(parser);
    if (status < 0 || !looks_like_value(word))
        return status;
    if (word.text[word.len - 1] == '%')
        return REFUSE(parser,
                      "\"%.*s\" stands where the jitter belongs; a correlation comes after it: "
                      "delay 50ms 10ms 25%%",
                      QUOTE(word));
    status = take_time(parser, &spec->jitter_ns);
    if (status < 0)
        return status;
    return take_correlation(parser, spec->jitter_ns > 0, &spec->delay_correlation);
}

static const char *const distributions[] = {"uniform", "normal", "pareto", NULL};

static int parse_distribution(struct parser *parser)
{
    struct word word = peek_word(parser);

    for (uint8_t i = 0; distributions[i]; i++) {
        if (word_is(word, distributions[i])) {
            skip_word(parser, word);
            parser->spec.distribution = i;
            return 0;
        }
    }
    if (word.len == 0)
        return REFUSE(parser, "\"distribution\" needs uniform, normal or pareto after it");
    return REFUSE(parser, "\"%.*s\" is no distribution; there are uniform, normal and pareto",
                  QUOTE(word));
}

static int parse_gemodel(struct parser *parser)
{
    struct link_spec *spec = &parser->spec;
    uint32_t p, r, bad_loss = LINK_WHOLE, good_loss = 0;

    int status = take_percent(parser, &p);
    if (status < 0)
        return status;
    r = LINK_WHOLE - p; /* Bernoulli, when nothing more is said */
    status = take_percent_if_any(parser, &r);
    if (status > 0)
        status = take_percent_if_any(parser, &bad_loss);
    if (status > 0)
        status = take_percent_if_any(parser, &good_loss);
    if (status < 0)
        return status;
    memset(&spec->gilbert, 0, sizeof(spec->gilbert));
    spec->gemodel = p > 0 || good_loss > 0; /* else it stays good and loses nothing */
    if (spec->gemodel) {
        spec->gilbert.to_bad = p;
        spec->gilbert.to_good = r;
        spec->gilbert.bad_loss = bad_loss;
        spec->gilbert.good_loss = good_loss;
    }
    return 0;
}

static int parse_loss(struct parser *parser)
{
    struct word word = peek_word(parser);

    parser->spec.loss = (struct link_chance){0};
    parser->spec.gemodel = false;
    if (word_is(word, "gemodel")) {
        parser->current = word;
        skip_word(parser, word);
        return parse_gemodel(parser);
    }
    if (word_is(word, "state"))
        return REFUSE(parser, "\"state\" is not offered; \"loss gemodel\" makes bursts as well");
    if (word_is(word, "random"))
        skip_word(parser, word);
    return take_chance(parser, &parser->spec.loss);
}

static int parse_duplicate(struct parser *parser)
{
    return take_chance(parser, &parser->spec.duplicate);
}

static int parse_reorder(struct parser *parser)
{
    if (!was_seen(parser, GAP))
        parser->spec.gap = 1;
    return take_chance(parser, &parser->spec.reorder);
}

static int parse_gap(struct parser *parser)
{
    return take_count(parser, LINK_LIMIT_MAX, &parser->spec.gap);
}

static int parse_corrupt(struct parser *parser)
{
    return take_chance(parser, &parser->spec.corrupt);
}

static int parse_rate(struct parser *parser)
{
    struct word word;
    uint64_t bit;

    int status = take_value(parser, "a rate, like 10mbit,", &word);
    if (status < 0)
        return status;
    enum value_fault fault = value_rate(word, &bit);
    if (fault != VALUE_OK)
        return refuse_rate(parser, word, fault);
    if (bit == 0)
        return REFUSE(parser, "\"%.*s\" lets nothing through; \"loss 100%%\" says that",
                      QUOTE(word));
    parser->spec.rate_bit = bit;
    return 0;
}

static int parse_limit(struct parser *parser)
{
    return take_count(parser, LINK_LIMIT_MAX, &parser->spec.limit);
}

static const struct keyword keywords[KEYWORDS] = {
    [DELAY] = {"delay", parse_delay},       [DISTRIBUTION] = {"distribution", parse_distribution},
    [LOSS] = {"loss", parse_loss},          [DUPLICATE] = {"duplicate", parse_duplicate},
    [REORDER] = {"reorder", parse_reorder}, [GAP] = {"gap", parse_gap},
    [CORRUPT] = {"corrupt", parse_corrupt}, [RATE] = {"rate", parse_rate},
    [LIMIT] = {"limit", parse_limit},
};

/* ---- the whole ---- */

/* What the word at hand can have been meant to be: a profile only where one is allowed. */
static const char *meant(const struct parser *parser, struct word word)
{
    const char *names[64] = {NULL};
    size_t count, used = 0;
    const struct link_profile *profiles = link_profiles(&count);

    assert(KEYWORDS + count + 2 <= ARRAY_SIZE(names));
    for (size_t i = 0; i < KEYWORDS; i++)
        names[used++] = keywords[i].name;
    for (size_t i = 0; i < count && parser->profile_allowed; i++)
        names[used++] = profiles[i].name;
    if (parser->profile_allowed)
        names[used++] = "none";
    return suggest_word(word.text, word.len, names);
}

static bool is_value(struct word word)
{
    uint64_t number;
    uint32_t share;

    return value_percent(word, &share) == VALUE_OK || value_time(word, &number) == VALUE_OK ||
           value_rate(word, &number) == VALUE_OK;
}

static int refuse_word(struct parser *parser, struct word word)
{
    struct word before = parser->current;

    if (looks_like_value(word) && before.len)
        return REFUSE(parser, "\"%.*s\" is one value too many after \"%.*s\"", QUOTE(word),
                      QUOTE(before));
    if (find_profile(word))
        return REFUSE(parser, "\"%.*s\" names a whole link; it comes first, and alone",
                      QUOTE(word));
    if (word_is(word, "correlation"))
        return REFUSE(parser, "\"correlation\" is no word here; a correlation is the percentage "
                              "after the value: loss 2%% 25%%");
    const char *guess = is_value(word) ? NULL : meant(parser, word);
    if (guess)
        return REFUSE(parser, "\"%.*s\" is no impairment; did you mean \"%s\"?", QUOTE(word),
                      guess);
    if (looks_like_value(word))
        return REFUSE(parser, "\"%.*s\" stands alone; say of what it is, as in \"delay 50ms\"",
                      QUOTE(word));
    return REFUSE(parser,
                  "\"%.*s\" is no impairment; there are delay, distribution, loss, duplicate, "
                  "reorder, gap, corrupt, rate, limit, and named links",
                  QUOTE(word));
}

static int parse_words(struct parser *parser);

static int parse_profile(struct parser *parser, const struct link_profile *profile)
{
    struct parser inner = {.spec = parser->spec};

    inner.at = parser->direction == LINK_UPLINK ? profile->uplink : profile->downlink;
    int status = parse_words(&inner);
    assert(status == 0); /* our own text, which the tests parse */
    parser->spec = inner.spec;
    return status;
}

static int parse_keyword(struct parser *parser, struct word word)
{
    for (size_t i = 0; i < KEYWORDS; i++) {
        if (!word_is(word, keywords[i].name))
            continue;
        if (parser->seen[i].text)
            return REFUSE(parser, "\"%.*s\" is there twice", QUOTE(word));
        parser->seen[i] = word;
        parser->current = word;
        skip_word(parser, word);
        return keywords[i].parse(parser);
    }
    return refuse_word(parser, word);
}

static int parse_words(struct parser *parser)
{
    int status = 0;

    while (status == 0) {
        struct word word = peek_word(parser);
        if (word.len == 0)
            break;
        const struct link_profile *profile = parser->profile_allowed ? find_profile(word) : NULL;
        if (profile) {
            skip_word(parser, word);
            parser->profile_allowed = false;
            status = parse_profile(parser, profile);
        } else {
            status = parse_keyword(parser, word);
            parser->profile_allowed = false;
        }
    }
    return status;
}

/* What one word needs of another. */
static int check_together(struct parser *parser)
{
    struct link_spec *spec = &parser->spec;

    if (was_seen(parser, DISTRIBUTION) && spec->jitter_ns == 0)
        return REFUSE(parser, "\"distribution\" needs a jitter, as in \"delay 50ms 10ms "
                              "distribution normal\"");
    if (was_seen(parser, GAP) && !was_seen(parser, REORDER) && spec->reorder.share == 0)
        return REFUSE(parser, "\"gap\" needs \"reorder\", as in \"reorder 25%% gap 5\"");
    if (was_seen(parser, REORDER) && spec->delay_ns == 0)
        return REFUSE(parser, "\"reorder\" needs a delay for other packets to overtake, as in "
                              "\"delay 10ms reorder 25%%\"");
    if (spec->delay_ns == 0 || spec->reorder.share == 0) {
        spec->reorder = (struct link_chance){0};
        spec->gap = 1;
    }
    return 0;
}

int link_spec_parse(const char *text, enum link_direction direction, struct link_spec *ret_spec,
                    struct peer_error *error)
{
    struct parser parser = {
        .at = text, .direction = direction, .profile_allowed = true, .error = error};

    link_spec_clear(&parser.spec);
    if (peek_word(&parser).len == 0)
        return REFUSE(&parser, "\"\" is no link; write one like \"delay 50ms loss 1%%\", or "
                               "\"none\"");
    int status = parse_words(&parser);
    if (status == 0)
        status = check_together(&parser);
    if (status == 0)
        *ret_spec = parser.spec;
    return status;
}

void link_spec_clear(struct link_spec *spec)
{
    *spec = (struct link_spec){.limit = LINK_LIMIT_DEFAULT, .gap = 1};
}

bool link_spec_is_clear(const struct link_spec *spec)
{
    return spec->delay_ns == 0 && spec->jitter_ns == 0 && spec->loss.share == 0 && !spec->gemodel &&
           spec->duplicate.share == 0 && spec->reorder.share == 0 && spec->corrupt.share == 0 &&
           spec->rate_bit == 0;
}
