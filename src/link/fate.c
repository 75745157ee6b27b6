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
    size_t len;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One more thing that happened. */
static void put(struct text *text, const char *format, ...)
{
    va_list args;

    if (text->len)
        text->len += (size_t)snprintf(text->buf + text->len, LINK_FATE_TEXT - text->len, ", ");
    va_start(args, format);
    int len = vsnprintf(text->buf + text->len, LINK_FATE_TEXT - text->len, format, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < LINK_FATE_TEXT - text->len);
    text->len += (size_t)len;
}

static void put_delay(struct text *text, uint64_t ns)
{
    char buf[VALUE_TEXT];

    if (ns >= NS_PER_US)
        ns -= ns % NS_PER_US;
    put(text, "delayed %s", value_format_time(ns, buf));
}

const char *link_fate_format(const struct link_fate *fate, const struct link_spec *spec,
                             char buf[LINK_FATE_TEXT])
{
    struct text text = {buf, 0};
    char loss[LINK_SPEC_TEXT];

    buf[0] = '\0';
    if (fate->duplicate)
        put(&text, "duplicate");
    if (fate->corrupted)
        put(&text, "corrupted byte %u bit %u", fate->corrupt_at, fate->corrupt_bit);
    if (fate->reordered)
        put(&text, "reordered");
    if (fate->outcome == LINK_LOST)
        put(&text, "dropped: %s", link_spec_format_loss(spec, loss));
    else if (fate->outcome == LINK_OVERFLOW)
        put(&text, "dropped: queue full (limit %u)", spec->limit);
    else if (fate->outcome == LINK_NO_MEMORY)
        put(&text, "dropped: out of memory");
    else if (fate->delay_ns)
        put_delay(&text, fate->delay_ns);
    return buf;
}
