/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happened to a frame, in words for the comment of a capture. Times are cut to microseconds;
 * whoever needs the rest has the figure.
 */
#include "link/internal.h"
#include "link/link.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/macro.h"

struct text {
    char *buf;
    size_t len, room;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text->buf + text->len, text->room - text->len, format, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < text->room - text->len);
    text->len += (size_t)len;
}

/* One more thing that happened follows. */
static void put_comma(struct text *text)
{
    if (text->len)
        put(text, ", ");
}

static void put_percent(struct text *text, uint32_t share)
{
    char buf[VALUE_TEXT];

    put(text, " %s", value_format_percent(share, buf));
}

const char *loss_format(const struct link_spec *spec, char buf[LOSS_TEXT])
{
    struct text text = {buf, 0, LOSS_TEXT};

    buf[0] = '\0';
    if (!spec->gemodel && spec->loss.share) {
        put(&text, "loss");
        put_percent(&text, spec->loss.share);
        if (spec->loss.correlation)
            put_percent(&text, spec->loss.correlation);
    }
    if (!spec->gemodel)
        return buf;
    bool bad = spec->gilbert.bad_loss != LINK_WHOLE, good = spec->gilbert.good_loss != 0;
    put(&text, "loss gemodel");
    put_percent(&text, spec->gilbert.to_bad);
    if (bad || good || spec->gilbert.to_good != LINK_WHOLE - spec->gilbert.to_bad)
        put_percent(&text, spec->gilbert.to_good);
    if (bad || good)
        put_percent(&text, spec->gilbert.bad_loss);
    if (good)
        put_percent(&text, spec->gilbert.good_loss);
    return buf;
}

static void put_delay(struct text *text, uint64_t ns)
{
    char buf[VALUE_TEXT];

    if (ns >= NS_PER_US)
        ns -= ns % NS_PER_US;
    put_comma(text);
    put(text, "delayed %s", value_format_time(ns, buf));
}

static void put_end(struct text *text, const struct link_fate *fate, const struct link_spec *spec)
{
    char loss[LOSS_TEXT];

    put_comma(text);
    if (fate->outcome == LINK_LOST)
        put(text, "dropped: %s", loss_format(spec, loss));
    else if (fate->outcome == LINK_OVERFLOW)
        put(text, "dropped: queue full (limit %u)", spec->limit);
    else
        put(text, "dropped: out of memory");
}

const char *link_fate_format(const struct link_fate *fate, const struct link_spec *spec,
                             char buf[LINK_FATE_TEXT])
{
    struct text text = {buf, 0, LINK_FATE_TEXT};

    buf[0] = '\0';
    if (fate->duplicate)
        put(&text, "duplicate");
    if (fate->corrupted) {
        put_comma(&text);
        put(&text, "corrupted byte %u bit %u", fate->corrupt_at, fate->corrupt_bit);
    }
    if (fate->reordered) {
        put_comma(&text);
        put(&text, "reordered");
    }
    if (fate->outcome != LINK_PASSED)
        put_end(&text, fate, spec);
    else if (fate->delay_ns)
        put_delay(&text, fate->delay_ns);
    return buf;
}
