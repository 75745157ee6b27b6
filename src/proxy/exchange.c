/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An answer may be several: interim ones (RFC 9110 15.2) come before the one that ends the exchange.
 * A server may answer before it has all of the request.
 */
#include "proxy/exchange.h"

#include "base/macro.h"

#include <errno.h>
#include <stdio.h>

void proxy_exchange_begin(struct proxy_exchange *exchange, const struct proxy_request *request)
{
    *exchange = (struct proxy_exchange){
        .asked = request->asked,
        .upgrades = request->upgrades,
        .client_keeps = request->keeps,
    };
    exchange->request_over = http_body_begin(&exchange->request, (enum http_body_kind)request->body,
                                             request->body_length);
}

ssize_t proxy_exchange_take_request(struct proxy_exchange *exchange, const char *data, size_t len,
                                    const char **ret_why)
{
    bool over;

    if (exchange->request_over || !len)
        return 0;
    const ssize_t taken = http_body_take(&exchange->request, data, len, &over, ret_why);
    if (taken >= 0)
        exchange->request_over = over;
    return taken;
}

static void end_answer(struct proxy_exchange *exchange)
{
    exchange->in_body = false;
    exchange->answer_over = true;
}

static int read_head(struct proxy_exchange *exchange, const char *text, size_t len,
                     char why[HTTP_WHY])
{
    struct http_head head;

    if (http_answer_parse(text, len, &head, why) < 0)
        return -EINVAL;
    const enum http_body_kind kind = http_answer_body(&head, (enum http_asked)exchange->asked, why);
    if (kind == HTTP_BODY_BAD)
        return -EINVAL;
    if (kind == HTTP_BODY_TUNNEL && !exchange->upgrades) {
        snprintf(why, HTTP_WHY, "a change of protocol that nobody asked for");
        return -EINVAL;
    }
    if (head.status < 200 && kind != HTTP_BODY_TUNNEL)
        return 0;
    exchange->tunnel = kind == HTTP_BODY_TUNNEL;
    exchange->server_keeps = http_keeps(&head, kind);
    exchange->client_keeps &= exchange->server_keeps;
    exchange->in_body = true;
    if (http_body_begin(&exchange->answer, kind, head.length))
        end_answer(exchange);
    return 0;
}

static ssize_t take_head(struct proxy_exchange *exchange, const char *data, size_t len,
                         char why[HTTP_WHY])
{
    const char *text;
    size_t text_len;

    const ssize_t taken = http_collect(&exchange->collect, data, len, &text, &text_len);
    if (taken < 0) {
        snprintf(why, HTTP_WHY, "an answer's head of more than %d bytes", HTTP_HEAD_MOST);
        return -EINVAL;
    }
    const struct http_collect *held = &exchange->collect;
    if (!text && !http_answer_begins(held->text, held->len)) {
        snprintf(why, HTTP_WHY, "an answer that is none of HTTP/1");
        return -EINVAL;
    }
    if (text && read_head(exchange, text, text_len, why) < 0)
        return -EINVAL;
    if (text)
        http_collect_done(&exchange->collect);
    exchange->answer_begun = true;
    return taken;
}

static ssize_t take_body(struct proxy_exchange *exchange, const char *data, size_t len,
                         char why[HTTP_WHY])
{
    const char *text = NULL;
    bool over;

    const ssize_t taken = http_body_take(&exchange->answer, data, len, &over, &text);
    if (taken < 0)
        snprintf(why, HTTP_WHY, "%s", text);
    else if (over)
        end_answer(exchange);
    return taken;
}

ssize_t proxy_exchange_take_answer(struct proxy_exchange *exchange, const char *data, size_t len,
                                   char why[HTTP_WHY])
{
    size_t at = 0;

    while (at < len && !exchange->answer_over) {
        const ssize_t taken = exchange->in_body ? take_body(exchange, data + at, len - at, why)
                                                : take_head(exchange, data + at, len - at, why);
        if (taken < 0)
            return taken;
        at += (size_t)taken;
    }
    return (ssize_t)at;
}

bool proxy_exchange_end(struct proxy_exchange *exchange)
{
    if (exchange->in_body && exchange->answer.kind == HTTP_BODY_TO_END)
        end_answer(exchange);
    return exchange->answer_over;
}

void proxy_exchange_done(struct proxy_exchange *exchange)
{
    http_collect_done(&exchange->collect);
}
