/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets, errors, names: most words of a report are from outside, and may be anything. They get
 * into the page by page_text and page_json alone.
 */
#include "report/page.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void page_bytes(struct page *page, const void *bytes, size_t len)
{
    if (len > page->room - page->len) {
        size_t room = 2 * (page->room + len) + 4096;
        char *larger = page->failed ? NULL : realloc(page->bytes, room);
        if (!larger) {
            page->failed = true;
            return;
        }
        page->bytes = larger;
        page->room = room;
    }
    if (len)
        memcpy(page->bytes + page->len, bytes, len);
    page->len += len;
}

/* ---- UTF-8 (RFC 3629) ---- */

static unsigned continued(const unsigned char *at, size_t count, unsigned code)
{
    for (size_t i = 1; i <= count; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    return code;
}

/* The character at `text` and how many bytes it has; 0 for what is none, a byte long. */
static unsigned take_char(const char *text, size_t *ret_len)
{
    static const unsigned least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text;
    size_t more = *at < 0xc2 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : *at < 0xf5 ? 3 : 0;

    *ret_len = 1;
    if (*at < 0x80)
        return *at;
    if (!more)
        return 0;
    unsigned code = continued(at, more, *at & (0x3fu >> more));
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *ret_len = more + 1;
    return code;
}

static bool is_shown(unsigned code)
{
    if (code < 0x20)
        return code == '\n' || code == '\t';
    if (code >= 0x7f && code < 0xa0)
        return false;
    return !(code == 0x200e || code == 0x200f || code == 0x61c || code == 0xfeff ||
             (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
             code >= 0xe0000 || (code & 0xfffe) == 0xfffe);
}

/* ---- words from outside ---- */

static const char *entity(unsigned code)
{
    switch (code) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void page_text(struct page *page, const char *text)
{
    size_t len;

    for (; *text; text += len) {
        unsigned code = take_char(text, &len);
        const char *instead = is_shown(code) ? entity(code) : "\xef\xbf\xbd";
        page_bytes(page, instead ? instead : text, instead ? strlen(instead) : len);
    }
}

void page_format(struct page *page, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    page_text(page, text);
}

void page_json(struct page *page, const char *text)
{
    char escaped[8];
    size_t len;

    page_html(page, "\"");
    for (; *text; text += len) {
        unsigned code = take_char(text, &len);
        if (!is_shown(code)) {
            page_html(page, "\\ufffd");
        } else if (entity(code) || code == '\\' || code < 0x20) {
            snprintf(escaped, sizeof(escaped), "\\u%04x", code);
            page_bytes(page, escaped, 6);
        } else {
            page_bytes(page, text, len);
        }
    }
    page_html(page, "\"");
}

void page_json_number(struct page *page, double number)
{
    char text[32];

    if (!isfinite(number)) {
        page_html(page, "null");
        return;
    }
    page_bytes(page, text, (size_t)snprintf(text, sizeof(text), "%.6g", number));
}
