/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A chunked body (RFC 9112 7.1) is read byte by byte but for its data, which is skipped. Extensions
 * and trailers mean nothing here. Lines may end with a bare LF, as in heads; their length is
 * bounded, for a body without end must not look like one that goes on.
 */
#include "http/body.h"

#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MOST = 16384, ROOM_FIRST = 1024 };

/* ---- heads ---- */

static bool make_room(struct http_collect *collect, size_t len)
{
    size_t room = MAX(collect->room, (uint32_t)ROOM_FIRST);

    while (room < len)
        room *= 2;
    if (collect->text && room == collect->room)
        return true;
    char *larger = realloc(collect->text, room);
    if (!larger)
        return false;
    collect->text = larger;
    collect->room = (uint32_t)room;
    return true;
}

/* Only here do bytes move: most heads come in one piece. */
static ssize_t append(struct http_collect *collect, const char *data, size_t len,
                      const char **ret_text, size_t *ret_len)
{
    size_t before = collect->len, all = before + MIN(len, (size_t)HTTP_HEAD_MOST + 1);

    if (!make_room(collect, all))
        return -ENOMEM;
    memcpy(collect->text + before, data, all - before);
    collect->len = (uint32_t)all;
    size_t head = http_head_length(collect->text, all, before);
    if (head ? head > HTTP_HEAD_MOST : all > HTTP_HEAD_MOST)
        return -E2BIG;
    if (!head)
        return (ssize_t)len;
    *ret_text = collect->text;
    *ret_len = head;
    return (ssize_t)(head - before);
}

ssize_t http_collect(struct http_collect *collect, const char *data, size_t len,
                     const char **ret_text, size_t *ret_len)
{
    *ret_text = NULL;
    if (collect->len)
        return append(collect, data, len, ret_text, ret_len);
    size_t head = http_head_length(data, MIN(len, (size_t)HTTP_HEAD_MOST), 0);
    if (!head)
        return append(collect, data, len, ret_text, ret_len);
    *ret_text = data;
    *ret_len = head;
    return (ssize_t)head;
}

void http_collect_done(struct http_collect *collect)
{
    free(collect->text);
    *collect = (struct http_collect){0};
}

/* ---- bodies ---- */

/* Where in a chunked body: before the size's first digit, in it, behind it ... */
enum step {
    SIZE_FIRST,
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_END,
    DATA_LF,
    TRAILER,
    TRAILER_LINE,
    END_LF
};

bool http_body_begin(struct http_body *body, enum http_body_kind kind, uint64_t length)
{
    *body = (struct http_body){.kind = (uint8_t)kind};
    if (kind == HTTP_BODY_LENGTH)
        body->left = length;
    return kind == HTTP_BODY_NONE || kind == HTTP_BODY_TUNNEL ||
           (kind == HTTP_BODY_LENGTH && length == 0);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The line with the size is over. */
static enum step after_size(struct http_body *body)
{
    body->line = 0;
    return body->left ? DATA : TRAILER;
}

static int read_size(struct http_body *body, char c, const char **ret_why)
{
    int digit = digit_of(c);

    if (digit >= 0) {
        if (body->left > INT64_MAX >> 4) {
            *ret_why = "a chunk's size is too large";
            return -EINVAL;
        }
        body->left = body->left << 4 | (unsigned)digit;
        return SIZE;
    }
    if (body->step == SIZE && c == '\n')
        return (int)after_size(body);
    if (body->step == SIZE && c == '\r')
        return SIZE_LF;
    if (body->step == SIZE && (c == ';' || c == ' ' || c == '\t'))
        return EXTENSION;
    *ret_why = "a chunk without a size";
    return -EINVAL;
}

/* The next step after one byte that is none of a chunk's data; over: -1 is never one. */
static int read_byte(struct http_body *body, char c, bool *ret_over, const char **ret_why)
{
    switch ((enum step)body->step) {
    case SIZE_FIRST:
    case SIZE:
        return read_size(body, c, ret_why);
    case EXTENSION:
        return c == '\n' ? (int)after_size(body) : EXTENSION;
    case SIZE_LF:
        *ret_why = "a chunk's size line that ends with CR alone";
        return c == '\n' ? (int)after_size(body) : -EINVAL;
    case DATA_END:
    case DATA_LF:
        body->line = 0;
        *ret_why = "a chunk longer than its size";
        if (c == '\n')
            return SIZE_FIRST;
        return c == '\r' && body->step == DATA_END ? DATA_LF : -EINVAL;
    case TRAILER:
        *ret_over = c == '\n';
        return c == '\r' ? END_LF : c == '\n' ? TRAILER : TRAILER_LINE;
    case TRAILER_LINE:
        return c == '\n' ? TRAILER : TRAILER_LINE;
    default: /* END_LF */
        *ret_over = c == '\n';
        *ret_why = "a CR alone behind the last chunk";
        return c == '\n' ? TRAILER : -EINVAL;
    }
}

static ssize_t take_chunks(struct http_body *body, const char *data, size_t len, bool *ret_over,
                           const char **ret_why)
{
    size_t at = 0;

    while (at < len && !*ret_over) {
        if (body->step == DATA) {
            size_t part = (size_t)MIN(body->left, (uint64_t)(len - at));
            at += part;
            body->left -= part;
            if (!body->left)
                body->step = DATA_END;
            continue;
        }
        int step = read_byte(body, data[at++], ret_over, ret_why);
        if (step >= 0 && ++body->line > LINE_MOST) {
            *ret_why = "a line of a chunked body is too long";
            step = -EINVAL;
        }
        if (step < 0)
            return -EINVAL;
        body->step = (uint8_t)step;
    }
    return (ssize_t)at;
}

ssize_t http_body_take(struct http_body *body, const char *data, size_t len, bool *ret_over,
                       const char **ret_why)
{
    *ret_over = false;
    if (body->kind == HTTP_BODY_CHUNKED)
        return take_chunks(body, data, len, ret_over, ret_why);
    if (body->kind == HTTP_BODY_TO_END)
        return (ssize_t)len;
    size_t part = (size_t)MIN(body->left, (uint64_t)len);
    body->left -= part;
    *ret_over = body->left == 0;
    return (ssize_t)part;
}
