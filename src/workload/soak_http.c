/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP/1.1 requests, one at a time on each connection. The request is the same bytes every time
 * (soak_request.c), sent without a copy; http/ says where an answer ends.
 *
 * Most services answer the same request with the same bytes for at least a second (the Date). The
 * last short answer that came in one piece is kept with its meaning; one that is equal to it, byte
 * for byte, has the same and is not parsed again.
 *
 * An answer may come before all of a large request was sent. If the connection goes on, so does the
 * request, to its end: what came next would be taken for the rest of its body. If the answer says
 * that the connection is closed, or is an error, the rest is not sent and the connection ends
 * (RFC 9112 9.3, 9.5).
 *
 * A kept connection may be closed by the application at the very moment at which the next request
 * goes. That is no answer, but no fault of the application's either (RFC 9112 9.3.1).
 */
#include "workload/soak.h"

#include "base/macro.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How long a body waits for 100 (Continue): some servers know nothing of it (RFC 9110 10.1.1). */
#define CONTINUE_NS NS_PER_S

/* ---- the request ---- */

static size_t request_len(const struct soak_flow *flow)
{
    const struct soak_request *request = &flow->soak->request;
    size_t len = flow->last ? request->last_len : request->len;

    return flow->awaits ? len - request->body_len : len;
}

/* The answer is complete, and so is the request, or it is given up. */
static void http_complete(struct soak_flow *flow)
{
    soak_answered(flow, flow->http.status);
}

/* Sends (the rest of) the request. */
static void http_send(struct soak_flow *flow)
{
    const struct soak_request *request = &flow->soak->request;
    const char *text = flow->last ? request->last_text : request->text;
    size_t len = request_len(flow);

    if (flow->out_at == len)
        return;
    flow->taken |= flow->out_at > 0; /* there is room again */
    ssize_t done = soak_write(flow, text + flow->out_at, len - flow->out_at, FLOW_WRITE_STABLE);
    if (done > 0)
        flow->out_at += (uint64_t)done;
    else if (done < 0 && done != -EAGAIN && flow->flow.state != FLOW_ENDED) /* of which one hears */
        soak_fail(flow, SOAK_CLOSED_EARLY, "closed before the request was sent");
    if (flow->answered && flow->out_at == len)
        http_complete(flow);
}

static void http_request(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    flow->parsing = flow->answered = flow->taken = false;
    flow->awaits = soak->request.expects;
    if (flow->awaits && !timer_armed(&soak->expect))
        (void)timer_arm(soak->flows->timers, &soak->expect, soak_now(soak) + CONTINUE_NS);
    http_send(flow);
}

static void send_body(struct soak_flow *flow)
{
    flow->awaits = false;
    http_send(flow);
}

/* Requests that are under way are in the order of their beginning. */
void soak_http_expect_fire(struct timer *timer, uint64_t now_ns)
{
    struct soak *soak = list_entry(timer, struct soak, expect);
    struct list *node = soak->busy.next;

    while (node != &soak->busy) {
        struct soak_flow *flow = list_entry(node, struct soak_flow, node);
        node = node->next;
        if (!flow->awaits)
            continue;
        if (flow->started_ns + CONTINUE_NS > now_ns) {
            (void)timer_arm(soak->flows->timers, timer, flow->started_ns + CONTINUE_NS);
            return;
        }
        send_body(flow);
        if (flow->state != SOAK_BUSY) /* others may have gone with it */
            node = soak->busy.next;
    }
}

/* ---- the answer ---- */

/* What is queued counts as sent, but not against an error: its sender has seen no more than was
   acknowledged with it. */
static bool ends_upload(const struct soak_flow *flow, bool early)
{
    if (flow->http.status < 400 || !flow->soak->request.body_len)
        return false;
    return early || flow_unacked(&flow->flow) > 0;
}

static void http_answered(struct soak_flow *flow)
{
    bool early = flow->out_at != request_len(flow) || flow->awaits;

    if (!flow->http.keeps) {
        flow->last = true;
        flow->remote_closes = !flow->http.tunnel; /* of which nobody here speaks the protocol */
    } else if (ends_upload(flow, early)) {
        flow->last = flow->remote_closes = true;
    } else if (early) {
        flow->answered = true;
        send_body(flow);
        return;
    }
    http_complete(flow);
}

/* What came is all of an answer: next time its bytes are enough. */
static void answer_keep(const struct soak_flow *flow, const char *data, size_t len)
{
    struct soak_answer *answer = &flow->soak->answer;

    if (len > sizeof(answer->bytes) || flow->http.tunnel)
        return;
    memcpy(answer->bytes, data, len);
    answer->len = len;
    answer->status = flow->http.status;
    answer->keeps = flow->http.keeps;
}

/* Its meaning is in flow->http then. */
static bool answer_is_known(struct soak_flow *flow, const char *data, size_t len)
{
    const struct soak_answer *answer = &flow->soak->answer;

    if (flow->parsing || len != answer->len || memcmp(data, answer->bytes, len) != 0)
        return false;
    flow->http.status = answer->status;
    flow->http.keeps = answer->keeps;
    flow->http.tunnel = false;
    return true;
}

/* 205 has no body, but RFC 7231 6.3.6 let it say so by an empty chunked one. */
static bool ends_by_empty_chunk(const struct http_head *head, bool more)
{
    return head->status == 205 && head->coding == HTTP_CODING_CHUNKED && more;
}

enum found { FOUND_MORE, FOUND_END, FOUND_WRONG };

/* `more`: something follows the head. */
static enum found read_head(struct soak_flow *flow, const char *text, size_t len, bool more,
                            char why[HTTP_WHY])
{
    struct http_head head;

    if (http_answer_parse(text, len, &head, why) < 0)
        return FOUND_WRONG;
    enum http_body_kind kind = http_answer_body(&head, flow->soak->request.asked, why);
    if (kind == HTTP_BODY_BAD)
        return FOUND_WRONG;
    if (head.status / 100 == 1 && kind != HTTP_BODY_TUNNEL) { /* the real one follows */
        flow->http.interim = true;
        flow->http.go_on |= head.status == 100;
        return FOUND_MORE;
    }
    if (ends_by_empty_chunk(&head, more))
        kind = HTTP_BODY_CHUNKED;
    flow->http.status = head.status;
    flow->http.keeps = http_keeps(&head, kind);
    flow->http.tunnel = kind == HTTP_BODY_TUNNEL;
    flow->http.in_body = !http_body_begin(&flow->http.body, kind, head.length);
    return flow->http.in_body ? FOUND_MORE : FOUND_END;
}

static enum found take_head(struct soak_flow *flow, const char *data, size_t len, size_t *at,
                            char why[HTTP_WHY])
{
    struct http_collect *collect = &flow->http.collect;
    const char *text;
    size_t text_len;

    ssize_t taken = http_collect(collect, data + *at, len - *at, &text, &text_len);
    if (taken < 0) {
        snprintf(why, HTTP_WHY, "a head of more than %d bytes", HTTP_HEAD_MOST);
        return FOUND_WRONG;
    }
    *at += (size_t)taken;
    if (!text && http_answer_begins(collect->text, collect->len))
        return FOUND_MORE;
    if (!text) { /* nor will it ever be one */
        text = collect->text;
        text_len = collect->len;
    }
    enum found found = read_head(flow, text, text_len, *at < len, why);
    http_collect_done(collect);
    return found;
}

static enum found take_body(struct soak_flow *flow, const char *data, size_t len, size_t *at,
                            char why[HTTP_WHY])
{
    const char *words;
    bool over;

    ssize_t taken = http_body_take(&flow->http.body, data + *at, len - *at, &over, &words);
    if (taken < 0) {
        snprintf(why, HTTP_WHY, "%s", words);
        return FOUND_WRONG;
    }
    *at += (size_t)taken;
    return over ? FOUND_END : FOUND_MORE;
}

/* Reads on in an answer, up to its end or to the end of what came. */
static enum found read_answer(struct soak_flow *flow, const char *data, size_t len,
                              char why[HTTP_WHY])
{
    enum found found = FOUND_MORE;
    size_t at = 0;

    while (at < len && found == FOUND_MORE)
        found = flow->http.in_body ? take_body(flow, data, len, &at, why)
                                   : take_head(flow, data, len, &at, why);
    if (found == FOUND_END && at < len && !flow->http.tunnel) {
        snprintf(why, HTTP_WHY, "bytes follow its end");
        return FOUND_WRONG;
    }
    return found;
}

/* What came is consumed before anything is sent for it, so that its acknowledgement rides along. */
static void http_take(struct soak_flow *flow, const char *data, size_t len)
{
    bool begins = !flow->parsing;
    char why[HTTP_WHY];

    if (begins) {
        soak_said(flow, data, len);
        flow->parsing = true;
        flow->http.in_body = flow->http.interim = flow->http.go_on = false;
    }
    enum found found = read_answer(flow, data, len, why);
    if (found == FOUND_WRONG) {
        soak_fail(flow, SOAK_BAD_ANSWER, "the answer is no HTTP: %s", why);
        return;
    }
    if (found == FOUND_END && begins && !flow->http.interim)
        answer_keep(flow, data, len);
    flow_consume(&flow->flow, len);
    if (found == FOUND_END)
        http_answered(flow);
    else if (flow->awaits && flow->http.go_on)
        send_body(flow);
}

static void http_readable(struct soak_flow *flow)
{
    struct iovec iov;

    while (flow->state != SOAK_CLOSED && flow_peek(&flow->flow, &iov, 1) > 0) {
        if (flow->state != SOAK_BUSY || flow->answered) {
            soak_fail(flow, SOAK_BAD_ANSWER, "bytes came that nobody asked for");
            return;
        }
        soak_first_byte(flow);
        flow->soak->measure.counts.bytes_received += iov.iov_len;
        if (answer_is_known(flow, iov.iov_base, iov.iov_len)) {
            flow_consume(&flow->flow, iov.iov_len);
            http_answered(flow);
        } else {
            http_take(flow, iov.iov_base, iov.iov_len);
        }
    }
}

/* ---- the end ---- */

/* A connection that had carried an answer ended before the application took any of the next
   request. */
static bool was_idle(const struct soak_flow *flow)
{
    return flow->requests > 1 && !flow->first_byte && !flow->taken;
}

static void closed_idle(struct soak_flow *flow)
{
    if (flow->soak->request.idempotent)
        soak_repeat(flow);
    else
        soak_fail(flow, SOAK_CLOSED_IDLE, "closed while idle, just as the request went");
}

/* Some answers end with the connection. A FIN that acknowledges the request is no accident: the
   application had it, and gave no answer. */
static void http_eof(struct soak_flow *flow)
{
    bool by_the_end =
        flow->parsing && flow->http.in_body && flow->http.body.kind == HTTP_BODY_TO_END;

    if (flow->answered) { /* it takes no more of the request */
        flow->last = true;
        http_complete(flow);
    } else if (by_the_end) {
        http_answered(flow);
    } else if (was_idle(flow) && flow_unacked(&flow->flow) == flow->out_at) {
        closed_idle(flow);
    } else {
        soak_fail(flow, SOAK_CLOSED_EARLY,
                  flow->first_byte ? "closed in the middle of an answer"
                                   : "closed without an answer");
    }
}

/* To an RST one does not see whether the request was read. It mostly was not: a connection that is
   closed with bytes unread, or that bytes reach after it was closed, is reset. */
static bool http_reset(struct soak_flow *flow)
{
    if (!was_idle(flow))
        return false;
    closed_idle(flow);
    return true;
}

static void http_let_go(struct soak_flow *flow)
{
    http_collect_done(&flow->http.collect);
}

const struct soak_ops soak_http = {.answers = true,
                                   .request = http_request,
                                   .readable = http_readable,
                                   .writable = http_send,
                                   .eof = http_eof,
                                   .reset = http_reset,
                                   .let_go = http_let_go};
