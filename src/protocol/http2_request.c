/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request of HTTP/1.1, which is checked and complete, written for HTTP/2. Whatever made the former
 * is thereby asked for in both versions alike.
 */
#include "protocol/http2_request.h"

#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of the connection, not of the request (RFC 9113 8.2.2), or said otherwise. */
static bool is_left_out(struct http_text name, struct http_text value)
{
    static const char *const names[] = {
        "Connection",     "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade",
        "HTTP2-Settings", "Host"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (http_text_is(name, names[i]))
            return true;
    }
    return http_text_is(name, "TE") && !http_text_is(value, "trailers");
}

static void add(struct http2_request *request, struct http_text name, struct http_text value)
{
    request->fields[request->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.at,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.at,
        .valuelen = value.len,
        .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE,
    };
}

static void add_word(struct http2_request *request, const char *name, struct http_text value)
{
    add(request, (struct http_text){name, strlen(name)}, value);
}

static struct http_text find_host(struct http_text fields)
{
    struct http_text name, value;

    while (http_next_field(&fields, &name, &value)) {
        if (http_text_is(name, "Host"))
            return value;
    }
    return (struct http_text){NULL, 0};
}

static struct http_text word_of(const char **at)
{
    struct http_text word = {*at, strcspn(*at, " ")};

    *at += word.len + 1;
    return word;
}

static void add_start(struct http2_request *request, const char *scheme, struct http_text fields)
{
    const char *at = request->text;
    struct http_text method = word_of(&at), target = word_of(&at), host = find_host(fields);

    request->connects = method.len == 7 && memcmp(method.at, "CONNECT", 7) == 0;
    add_word(request, ":method", method);
    if (!request->connects)
        add_word(request, ":scheme", (struct http_text){scheme, strlen(scheme)});
    if (request->connects)
        add_word(request, ":authority", target);
    else if (host.len)
        add_word(request, ":authority", host);
    if (!request->connects)
        add_word(request, ":path", target);
}

/* A body that comes in one chunk is what that chunk has. */
static void unchunk(struct http2_request *request)
{
    const uint8_t *line = memchr(request->body, '\n', request->body_len);
    const size_t end = strlen("\r\n0\r\n\r\n"), none = strlen("0\r\n\r\n");

    if (request->body_len <= none || !line) {
        request->body_len = 0;
        return;
    }
    request->body_len -= (size_t)(line + 1 - request->body) + end;
    request->body = line + 1;
}

static void add_fields(struct http2_request *request, struct http_text fields)
{
    struct http_text name, value;

    while (http_next_field(&fields, &name, &value)) {
        if (is_left_out(name, value))
            continue;
        for (char *byte = (char *)(uintptr_t)name.at; byte < name.at + name.len; byte++)
            *byte = (char)tolower((unsigned char)*byte);
        add(request, name, value);
    }
}

static size_t count_lines(const char *text, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < len; i++)
        count += text[i] == '\n';
    return count;
}

int http2_request_make(struct http2_request *request, const struct http_request *from,
                       const char *scheme)
{
    const char *text = from->text ? from->text : from->last_text;
    size_t len = from->text ? from->len : from->last_len, head_len = len - from->body_len;

    request->text = malloc(head_len + 1);
    request->fields = calloc(count_lines(text, head_len) + 4, sizeof(*request->fields));
    if (!request->text || !request->fields)
        return -ENOMEM;
    memcpy(request->text, text, head_len);
    request->text[head_len] = 0;
    request->body = (const uint8_t *)text + head_len;
    request->body_len = from->body_len;
    request->expects = from->expects;
    struct http_head head = {0};
    char why[HTTP_WHY];
    (void)http_request_parse(request->text, head_len, &head, why);
    if (head.coding == HTTP_CODING_CHUNKED || head.coding == HTTP_CODING_LAST)
        unchunk(request);
    struct http_text fields = http_head_fields(request->text, head_len);
    add_start(request, scheme, fields);
    add_fields(request, fields);
    return 0;
}

void http2_request_done(struct http2_request *request)
{
    free(request->text);
    free(request->fields);
}
