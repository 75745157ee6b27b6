/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request whose end nobody can tell is refused, and so is what comes after it: it may be a body.
 */
#include "http/server.h"

#include "base/macro.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char http_continue[] = "HTTP/1.1 100 Continue\r\n\r\n";

static enum http_wants refuse(struct http_server *server, unsigned status)
{
    server->refusal = (uint16_t)status;
    server->keeps = false;
    return HTTP_WANTS_REFUSAL;
}

/* The request is whole; the next one begins. */
static enum http_wants complete(struct http_server *server)
{
    server->in_body = false;
    return HTTP_WANTS_ANSWER;
}

static enum http_wants expect(struct http_server *server, const struct http_head *head, bool more)
{
    if (head->minor == 0) /* RFC 9110 10.1.1: not in HTTP/1.0 */
        return HTTP_WANTS_MORE;
    if (head->expects_others) {
        snprintf(server->why, sizeof(server->why), "an Expect that is not 100-continue");
        return refuse(server, 417);
    }
    return head->expects_continue && server->in_body && !more ? HTTP_WANTS_CONTINUE
                                                              : HTTP_WANTS_MORE;
}

static enum http_wants refuse_head(struct http_server *server, int status)
{
    return refuse(server, status == -EPROTONOSUPPORT ? 505 : 400);
}

/* `more`: the body has begun to come. */
static enum http_wants begin(struct http_server *server, const char *text, size_t len, bool more)
{
    struct http_head head;
    unsigned status = 400;

    int parsed = http_request_parse(text, len, &head, server->why);
    if (parsed < 0)
        return refuse_head(server, parsed);
    size_t method_len = MIN(head.method.len, sizeof(server->method) - 1);
    memcpy(server->method, head.method.at, method_len);
    server->method[method_len] = 0;
    server->head = http_asked_by(server->method) == HTTP_ASKED_HEAD;
    if (http_asked_by(server->method) == HTTP_ASKED_CONNECT) {
        snprintf(server->why, sizeof(server->why), "CONNECT: no proxy here");
        return refuse(server, 501);
    }
    enum http_body_kind kind = http_request_body(&head, &status, server->why);
    if (kind == HTTP_BODY_BAD)
        return refuse(server, status);
    server->keeps = http_keeps(&head, kind);
    server->in_body = !http_body_begin(&server->body, kind, head.length);
    enum http_wants wants = expect(server, &head, more);
    return wants != HTTP_WANTS_MORE || server->in_body ? wants : complete(server);
}

static size_t take_head(struct http_server *server, const char *data, size_t len,
                        enum http_wants *ret_wants)
{
    const char *text;
    size_t text_len;

    if (!server->collect.len && (*data == '\r' || *data == '\n'))
        return 1; /* between requests (RFC 9112 2.2) */
    ssize_t taken = http_collect(&server->collect, data, len, &text, &text_len);
    if (taken < 0) {
        snprintf(server->why, sizeof(server->why), "a head of more than %d bytes", HTTP_HEAD_MOST);
        *ret_wants = refuse(server, 431);
        return len;
    }
    if (!text) {
        int status = http_request_begins(server->collect.text, server->collect.len, server->why);
        if (status < 0)
            *ret_wants = refuse_head(server, status);
        return (size_t)taken;
    }
    *ret_wants = begin(server, text, text_len, (size_t)taken < len);
    http_collect_done(&server->collect);
    return (size_t)taken;
}

static size_t take_body(struct http_server *server, const char *data, size_t len,
                        enum http_wants *ret_wants)
{
    const char *why = NULL;
    bool over;

    ssize_t taken = http_body_take(&server->body, data, len, &over, &why);
    if (taken < 0) {
        snprintf(server->why, sizeof(server->why), "%s", why);
        *ret_wants = refuse(server, 400);
        return len;
    }
    if (over)
        *ret_wants = complete(server);
    return (size_t)taken;
}

size_t http_server_take(struct http_server *server, const char *data, size_t len,
                        enum http_wants *ret_wants)
{
    size_t at = 0;

    *ret_wants = HTTP_WANTS_MORE;
    while (at < len && *ret_wants == HTTP_WANTS_MORE)
        at += server->in_body ? take_body(server, data + at, len - at, ret_wants)
                              : take_head(server, data + at, len - at, ret_wants);
    return at;
}

void http_server_done(struct http_server *server)
{
    http_collect_done(&server->collect);
}

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {{400, "Bad Request"},
                   {417, "Expectation Failed"},
                   {431, "Request Header Fields Too Large"},
                   {501, "Not Implemented"},
                   {505, "HTTP Version Not Supported"}};

    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Refused";
}

size_t http_server_refuse(const struct http_server *server, char text[HTTP_REFUSAL_BYTES])
{
    int len = snprintf(text, HTTP_REFUSAL_BYTES,
                       "HTTP/1.1 %u %s\r\nServer: peer\r\nContent-Type: text/plain\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n%s%s",
                       server->refusal, reason(server->refusal), strlen(server->why) + 1,
                       server->head ? "" : server->why, server->head ? "" : "\n");
    return (size_t)len;
}
