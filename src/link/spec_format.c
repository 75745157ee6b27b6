/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A spec as text: the words in one order, the values in the largest unit that is exact, and nothing
 * that is so anyway. Parsing that text gives the same spec.
 */
#include "link/internal.h"

#include <assert.h>
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
    put_chance(text, "loss", &spec->loss);
    if (!spec->gemodel)
        return;
    put_word(text, "loss gemodel");
    put_percent(text, spec->gilbert.to_bad);
    bool bad = spec->gilbert.bad_loss != LINK_WHOLE, good = spec->gilbert.good_loss != 0;
    if (bad || good || spec->gilbert.to_good != LINK_WHOLE - spec->gilbert.to_bad)
        put_percent(text, spec->gilbert.to_good);
    if (bad || good)
        put_percent(text, spec->gilbert.bad_loss);
    if (good)
        put_percent(text, spec->gilbert.good_loss);
}

static void put_rate(struct text *text, const struct link_spec *spec)
{
    char buf[VALUE_TEXT];

    if (spec->rate_bit == 0)
        return;
    put_word(text, "rate");
    put(text, " %s", value_format_rate(spec->rate_bit, buf));
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

const char *link_spec_format_loss(const struct link_spec *spec, char buf[LINK_SPEC_TEXT])
{
    struct text text = {buf, 0};

    buf[0] = '\0';
    put_loss(&text, spec);
    return buf;
}
