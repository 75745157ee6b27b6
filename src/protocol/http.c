/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP/1.1 requests, one at a time on each connection. The request is the same bytes every time
 * (http_request.c), sent without a copy; http/ says where an answer ends.
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
#include "http/body.h"
#include "protocol/http_request.h"
#include "protocol/table.h"
#include "workload/soak.h"

#include "base/error.h"
#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How long a body waits for 100 (Continue): some servers know nothing of it (RFC 9110 10.1.1). */
#define CONTINUE_NS NS_PER_S

/* A flow's. */
struct http_client {
    struct http_collect collect;
    struct http_body body;
    uint16_t status;
    bool parsing;  /* some of this answer was taken */
    bool awaits;   /* the body is held back for 100 (Continue) */
    bool answered; /* before all of the request was sent, which goes on */
    bool taken;    /* some of the request was acknowledged before it was all sent */
    bool in_body, keeps, tunnel;
    bool interim; /* a 1xx came before the answer */
    bool go_on;   /* and it was 100 (Continue) */
};

/* An answer that came in one piece, and what it was found to mean. */
struct known_answer {
    char bytes[2048];
    size_t len; /* 0: none yet */
    uint16_t status;
    bool keeps;
};

/* The run's. */
struct http_run {
    struct http_request request;
    struct known_answer answer;
    bool expects; /* only `expected` statuses are right */
    bool expected[PEER_STATUS_CODES];
};

static struct http_client *client_of(const struct soak_flow *flow)
{
    return soak_flow_own(flow);
}

static struct http_run *run_of(const struct soak_flow *flow)
{
    return flow->soak->own;
}

/* ---- the request ---- */

static size_t request_len(const struct soak_flow *flow)
{
    const struct http_request *request = &run_of(flow)->request;
    size_t len = flow->last ? request->last_len : request->len;

    return client_of(flow)->awaits ? len - request->body_len : len;
}

/* The answer is complete, and so is the request, or it is given up. */
static void http_complete(struct soak_flow *flow)
{
    const struct http_run *run = run_of(flow);
    unsigned status = client_of(flow)->status;
    bool right = !run->expects || (status < PEER_STATUS_CODES && run->expected[status]);

    soak_answered(flow, status, right);
}

/* Sends (the rest of) the request. */
static void http_send(struct soak_flow *flow)
{
    const struct http_request *request = &run_of(flow)->request;
    const char *text = flow->last ? request->last_text : request->text;
    size_t len = request_len(flow);

    if (flow->out_at == len)
        return;
    client_of(flow)->taken |= flow->out_at > 0; /* there is room again */
    ssize_t done = soak_write(flow, text + flow->out_at, len - flow->out_at, FLOW_WRITE_STABLE);
    if (done > 0)
        flow->out_at += (uint64_t)done;
    else if (done < 0 && done != -EAGAIN && flow->flow.state != FLOW_ENDED) /* of which one hears */
        soak_fail(flow, SOAK_CLOSED_EARLY, "closed before the request was sent");
    if (client_of(flow)->answered && flow->out_at == len)
        http_complete(flow);
}

static void http_ask(struct soak_flow *flow)
{
    struct http_client *client = client_of(flow);

    client->parsing = client->answered = client->taken = false;
    client->awaits = run_of(flow)->request.expects;
    if (client->awaits)
        soak_nudge_at(flow->soak, soak_now(flow->soak) + CONTINUE_NS);
    http_send(flow);
}

static void send_body(struct soak_flow *flow)
{
    client_of(flow)->awaits = false;
    http_send(flow);
}

/* Requests that are under way are in the order of their beginning. */
static void http_nudge(struct soak *soak, uint64_t now_ns)
{
    struct list *node = soak->busy.next;

    while (node != &soak->busy) {
        struct soak_flow *flow = list_entry(node, struct soak_flow, node);
        node = node->next;
        if (!client_of(flow)->awaits)
            continue;
        if (flow->started_ns + CONTINUE_NS > now_ns) {
            soak_nudge_at(soak, flow->started_ns + CONTINUE_NS);
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
    if (client_of(flow)->status < 400 || !run_of(flow)->request.body_len)
        return false;
    return early || flow_unacked(&flow->flow) > 0;
}

static void http_answered(struct soak_flow *flow)
{
    bool early = flow->out_at != request_len(flow) || client_of(flow)->awaits;

    if (!client_of(flow)->keeps) {
        flow->last = true;
        flow->remote_closes = !client_of(flow)->tunnel; /* of which nobody here speaks the protocol */
    } else if (ends_upload(flow, early)) {
        flow->last = flow->remote_closes = true;
    } else if (early) {
        client_of(flow)->answered = true;
        send_body(flow);
        return;
    }
    http_complete(flow);
}

/* What came is all of an answer: next time its bytes are enough. */
static void answer_keep(const struct soak_flow *flow, const char *data, size_t len)
{
    struct known_answer *answer = &run_of(flow)->answer;

    if (len > sizeof(answer->bytes) || client_of(flow)->tunnel)
        return;
    memcpy(answer->bytes, data, len);
    answer->len = len;
    answer->status = client_of(flow)->status;
    answer->keeps = client_of(flow)->keeps;
}

/* Its meaning is in the flow's client then. */
static bool answer_is_known(struct soak_flow *flow, const char *data, size_t len)
{
    const struct known_answer *answer = &run_of(flow)->answer;

    if (client_of(flow)->parsing || len != answer->len || memcmp(data, answer->bytes, len) != 0)
        return false;
    client_of(flow)->status = answer->status;
    client_of(flow)->keeps = answer->keeps;
    client_of(flow)->tunnel = false;
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
    enum http_body_kind kind = http_answer_body(&head, run_of(flow)->request.asked, why);
    if (kind == HTTP_BODY_BAD)
        return FOUND_WRONG;
    if (head.status / 100 == 1 && kind != HTTP_BODY_TUNNEL) { /* the real one follows */
        client_of(flow)->interim = true;
        client_of(flow)->go_on |= head.status == 100;
        return FOUND_MORE;
    }
    if (ends_by_empty_chunk(&head, more))
        kind = HTTP_BODY_CHUNKED;
    client_of(flow)->status = head.status;
    client_of(flow)->keeps = http_keeps(&head, kind);
    client_of(flow)->tunnel = kind == HTTP_BODY_TUNNEL;
    client_of(flow)->in_body = !http_body_begin(&client_of(flow)->body, kind, head.length);
    return client_of(flow)->in_body ? FOUND_MORE : FOUND_END;
}

static enum found take_head(struct soak_flow *flow, const char *data, size_t len, size_t *at,
                            char why[HTTP_WHY])
{
    struct http_collect *collect = &client_of(flow)->collect;
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

    ssize_t taken = http_body_take(&client_of(flow)->body, data + *at, len - *at, &over, &words);
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
        found = client_of(flow)->in_body ? take_body(flow, data, len, &at, why)
                                   : take_head(flow, data, len, &at, why);
    if (found == FOUND_END && at < len && !client_of(flow)->tunnel) {
        snprintf(why, HTTP_WHY, "bytes follow its end");
        return FOUND_WRONG;
    }
    return found;
}

/* What came is consumed before anything is sent for it, so that its acknowledgement rides along. */
static void http_take(struct soak_flow *flow, const char *data, size_t len)
{
    bool begins = !client_of(flow)->parsing;
    char why[HTTP_WHY];

    if (begins) {
        soak_said(flow, data, len);
        client_of(flow)->parsing = true;
        client_of(flow)->in_body = client_of(flow)->interim = client_of(flow)->go_on = false;
    }
    enum found found = read_answer(flow, data, len, why);
    if (found == FOUND_WRONG) {
        soak_fail(flow, SOAK_BAD_ANSWER, "the answer is no HTTP: %s", why);
        return;
    }
    if (found == FOUND_END && begins && !client_of(flow)->interim)
        answer_keep(flow, data, len);
    flow_consume(&flow->flow, len);
    if (found == FOUND_END)
        http_answered(flow);
    else if (client_of(flow)->awaits && client_of(flow)->go_on)
        send_body(flow);
}

static void http_readable(struct soak_flow *flow)
{
    struct iovec iov;

    while (flow->state != SOAK_CLOSED && flow_peek(&flow->flow, &iov, 1) > 0) {
        if (flow->state != SOAK_BUSY || client_of(flow)->answered) {
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
    return flow->requests > 1 && !flow->first_byte && !client_of(flow)->taken;
}

static void closed_idle(struct soak_flow *flow)
{
    if (run_of(flow)->request.idempotent)
        soak_repeat(flow);
    else
        soak_fail(flow, SOAK_CLOSED_IDLE, "closed while idle, just as the request went");
}

/* Some answers end with the connection. A FIN that acknowledges the request is no accident: the
   application had it, and gave no answer. */
static void http_eof(struct soak_flow *flow)
{
    bool by_the_end =
        client_of(flow)->parsing && client_of(flow)->in_body && client_of(flow)->body.kind == HTTP_BODY_TO_END;

    if (client_of(flow)->answered) { /* it takes no more of the request */
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
    http_collect_done(&client_of(flow)->collect);
}

static const char *http_late(const struct soak_flow *flow)
{
    return client_of(flow)->answered ? "answered in time, but the rest of the request was not taken"
                                     : NULL;
}

/* ---- the run ---- */

/* "200", "200-299" or "2xx", up to a comma or the end: 0 and both ends, or -EINVAL. */
static int read_statuses(const char *text, size_t len, unsigned *first, unsigned *last)
{
    char word[16], after;

    if (len >= sizeof(word))
        return -EINVAL;
    memcpy(word, text, len);
    word[len] = 0;
    if (len == 3 && strcasecmp(word + 1, "xx") == 0 && isdigit((unsigned char)*word)) {
        *first = (unsigned)(*word - '0') * 100;
        *last = *first + 99;
    } else if (strspn(word, "0123456789-") != len) {
        return -EINVAL;
    } else if (sscanf(word, "%3u-%3u%c", first, last, &after) != 2) {
        if (sscanf(word, "%3u%c", first, &after) != 1)
            return -EINVAL;
        *last = *first;
    }
    return *first >= 100 && *first <= *last && *last < PEER_STATUS_CODES ? 0 : -EINVAL;
}

static int read_expect(struct soak *soak, struct peer_error *error)
{
    const char *text = soak->config.expect;
    struct http_run *run = soak->own;
    unsigned first, last;

    if (!text)
        return 0;
    soak->config.expect = NULL; /* the caller's string */
    run->expects = true;
    for (;;) {
        size_t len = strcspn(text, ",");
        if (read_statuses(text, len, &first, &last) < 0)
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "\"%.*s\" is no status to expect: 200, 200-299 or 2xx",
                             (int)MIN(len, (size_t)64), text);
        for (; first <= last; first++)
            run->expected[first] = true;
        if (!text[len])
            return 0;
        text += len + 1;
    }
}

static int http_prepare(struct soak *soak, struct peer_error *error)
{
    struct http_run *run = soak->own;
    int status = read_expect(soak, error);

    return status < 0 ? status : http_request_make(&run->request, &soak->config, error);
}

static void http_done(struct soak *soak)
{
    http_request_done(&((struct http_run *)soak->own)->request);
}

static const struct protocol_ops http_tcp = {.kind = PROTOCOL_ASKS,
                                             .request = http_ask,
                                             .readable = http_readable,
                                             .writable = http_send,
                                             .eof = http_eof,
                                             .reset = http_reset,
                                             .let_go = http_let_go,
                                             .late = http_late,
                                             .nudge = http_nudge};

const struct protocol protocol_http = {
    .name = "http",
    .scheme = "http",
    .port = 80,
    .takes = PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_HEADERS | PROTOCOL_TAKES_BODY,
    .tcp = &http_tcp,
    .run_bytes = sizeof(struct http_run),
    .flow_bytes = sizeof(struct http_client),
    .prepare = http_prepare,
    .done = http_done,
};
