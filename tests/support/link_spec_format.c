/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A spec as text: the words in one order, the values in the largest unit that is exact, and nothing
 * that is so anyway. Parsing that text gives the same spec.
 */
#include "support/link_spec_format.h"

#include "base/macro.h"
#include "link/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
    char *buf;
    size_t len;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text->buf + text->len, LINK_SPEC_TEXT - text->len, format, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < LINK_SPEC_TEXT - text->len);
    text->len += (size_t)len;
}

static void put_percent(struct text *text, uint32_t share)
{
    char buf[VALUE_TEXT];

    put(text, " %s", value_format_percent(share, buf));
}

static void put_time(struct text *text, uint64_t ns)
{
    char buf[VALUE_TEXT];

    put(text, " %s", value_format_time(ns, buf));
}

static void put_word(struct text *text, const char *word)
{
    put(text, text->len ? " %s" : "%s", word);
}

static void put_chance(struct text *text, const char *word, const struct link_chance *chance)
{
    if (chance->share == 0)
        return;
    put_word(text, word);
    put_percent(text, chance->share);
    if (chance->correlation)
        put_percent(text, chance->correlation);
}

static void put_delay(struct text *text, const struct link_spec *spec)
{
    static const char *const names[] = {"uniform", "normal", "pareto"};

    if (spec->delay_ns == 0 && spec->jitter_ns == 0)
        return;
    put_word(text, "delay");
    put_time(text, spec->delay_ns);
    if (spec->jitter_ns == 0)
        return;
    put_time(text, spec->jitter_ns);
    if (spec->delay_correlation)
        put_percent(text, spec->delay_correlation);
    if (spec->distribution != LINK_UNIFORM)
        put(text, " distribution %s", names[spec->distribution]);
}

static void put_loss(struct text *text, const struct link_spec *spec)
{
    char buf[LOSS_TEXT];

    if (*loss_format(spec, buf))
        put_word(text, buf);
}

static void put_rate(struct text *text, const struct link_spec *spec)
{
    static const char *const names[] = {"bit", "kbit", "mbit", "gbit"};
    uint64_t bit = spec->rate_bit;
    size_t i = 0;

    if (bit == 0)
        return;
    for (; i + 1 < ARRAY_SIZE(names) && bit % 1000 == 0; i++)
        bit /= 1000;
    put_word(text, "rate");
    put(text, " %" PRIu64 "%s", bit, names[i]);
}

const char *link_spec_format(const struct link_spec *spec, char buf[LINK_SPEC_TEXT])
{
    struct text text = {buf, 0};

    buf[0] = '\0';
    put_delay(&text, spec);
    put_loss(&text, spec);
    put_chance(&text, "duplicate", &spec->duplicate);
    put_chance(&text, "reorder", &spec->reorder);
    if (spec->reorder.share && spec->gap != 1)
        put(&text, " gap %u", spec->gap);
    put_chance(&text, "corrupt", &spec->corrupt);
    put_rate(&text, spec);
    if (spec->limit != LINK_LIMIT_DEFAULT) {
        put_word(&text, "limit");
        put(&text, " %u", spec->limit);
    }
    if (text.len == 0)
        put(&text, "none");
    return buf;
}
