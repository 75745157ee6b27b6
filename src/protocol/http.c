/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTP/1.1 requests, one at a time on each connection. What is asked for is made once (http_ask.c),
 * and so are the bytes that say it (http_request.c): they are sent without a copy. http/ says where
 * an answer ends.
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
#include "protocol/http.h"

#include "http/body.h"
#include "protocol/http2_inside.h"
#include "protocol/table.h"

#include "base/error.h"
#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    bool interim;           /* a 1xx came before the answer */
    bool go_on;             /* and it was 100 (Continue) */
    bool acts;              /* the head said more than how it ends */
    struct http_made *next; /* where a redirect leads that is followed */
    struct http_jar *jar;   /* the user's */
};

static struct http_client *http_of(const struct client *client)
{
    return client_own(client);
}

static struct http_run *run_of(const struct client *client)
{
    return client_run(client);
}

/* ---- the request ---- */

static const struct http_request *text_of(const struct client *client,
                                          const struct request *request)
{
    const struct http_made *made = request_kept(request);

    return made ? &made->text : &run_of(client)->requests[request_target(request)];
}

static size_t request_len(const struct client *client, const struct request *request)
{
    const struct http_request *text = text_of(client, request);
    size_t len = client_is_last(client) ? text->last_len : text->len;

    return http_of(client)->awaits ? len - text->body_len : len;
}

void http_complete(struct client *client, struct request *request, unsigned status)
{
    const struct http_run *run = run_of(client);
    bool right = !run->expects || (status < PEER_STATUS_CODES && run->expected[status]);

    request_answered(request, status, right);
}

/* Sends (the rest of) the request. */
static void http_send(struct client *client, struct request *request)
{
    const struct http_request *text = text_of(client, request);
    size_t len = request_len(client, request);

    if (request_sent(request) == len)
        return;
    http_of(client)->taken |= request_sent(request) > 0; /* there is room again */
    const char *from = client_is_last(client) ? text->last_text : text->text;
    bool all = request_kept(request) ? request_send_copy(request, from, len)
                                     : request_send(request, from, len);
    if (all && http_of(client)->answered)
        http_complete(client, request, http_of(client)->status);
}

/* ---- cookies: a user has them, who goes on with the next connection ---- */

struct http_jar *http_jar_of(struct client *client, struct http_jar **jar)
{
    struct http_run *run = run_of(client);

    if (!*jar && run->jars) {
        *jar = run->jars;
        run->jars = *http_jar_next(*jar);
    } else if (!*jar) {
        *jar = http_jar_new(client_config(client)->tls);
    }
    return *jar;
}

void http_jar_leave(struct client *client, struct http_jar **jar)
{
    if (!*jar)
        return;
    *http_jar_next(*jar) = run_of(client)->jars;
    run_of(client)->jars = *jar;
    *jar = NULL;
}

const char *http_path_of(const struct client *client, const struct request *request)
{
    const struct http_made *made = request_kept(request);

    return made && made->path ? made->path : run_of(client)->asks.at[request_target(request)].path;
}

/* Without memory it says none. */
void http_say_cookies(struct client *client, struct request *request, struct http_jar **jar)
{
    struct http_run *run = run_of(client);
    const struct http_made *before = request_kept(request);
    char *header = NULL;

    if (http_jar_of(client, jar))
        header = http_jar_header(*jar, http_path_of(client, request), client_now(client));
    if (!header && !before)
        return;
    struct http_made *made = http_made_new(&run->asks.at[request_target(request)], before, header,
                                           client_config(client)->requests_per_connection);
    free(header);
    if (made)
        request_keep(request, made);
}

static void http_ask(struct client *client, struct request *request)
{
    struct http_client *http = http_of(client);

    if (run_of(client)->keeps_cookies)
        http_say_cookies(client, request, &http->jar);
    const struct http_request *text = text_of(client, request);

    http->parsing = http->answered = http->taken = false;
    http->awaits = text->expects;
    if (text->closes)
        client_end_after(client, true);
    if (http->awaits)
        client_nudge_at(client, client_now(client) + HTTP_CONTINUE_NS);
    http_send(client, request);
}

static void send_body(struct client *client, struct request *request)
{
    http_of(client)->awaits = false;
    http_send(client, request);
}

static bool http_nudge(struct client *client, struct request *request, uint64_t now_ns)
{
    if (!http_of(client)->awaits)
        return true;
    if (request_started_ns(request) + HTTP_CONTINUE_NS > now_ns) {
        client_nudge_at(client, request_started_ns(request) + HTTP_CONTINUE_NS);
        return false;
    }
    send_body(client, request);
    return true;
}

/* ---- the answer ---- */

/* What is queued counts as sent, but not against an error: its sender has seen no more than was
   acknowledged with it. */
static bool ends_upload(struct client *client, const struct request *request, bool early)
{
    if (http_of(client)->status < 400 || !text_of(client, request)->body_len)
        return false;
    return early || flow_unacked(client_flow(client)) > 0;
}

/* The next hop, by this connection if it can carry one more. */
static void follow(struct client *client, struct request *request)
{
    struct http_client *http = http_of(client);

    request_keep(request, http->next);
    http->next = NULL;
    if (http->keeps && !client_is_last(client)) {
        request_go_on(request);
        http_ask(client, request);
        return;
    }
    client_end_after(client, !http->keeps);
    request_go_elsewhere(request);
}

static void http_answered(struct client *client, struct request *request)
{
    const struct http_client *http = http_of(client);
    bool early = request_sent(request) != request_len(client, request) || http->awaits;

    if (http->next && !early) {
        follow(client, request);
        return;
    }

    if (!http->keeps) {
        client_end_after(client, !http->tunnel); /* a tunnel's protocol nobody here speaks */
    } else if (ends_upload(client, request, early)) {
        client_end_after(client, true);
    } else if (early) {
        http_of(client)->answered = true;
        send_body(client, request);
        return;
    }
    http_complete(client, request, http_of(client)->status);
}

/* What came is all of an answer: next time its bytes are enough, if they answer the same question. */
static void answer_keep(const struct client *client, enum http_asked asked, const char *data,
                        size_t len)
{
    struct known_answer *answer = &run_of(client)->answer;

    if (len > sizeof(answer->bytes) || http_of(client)->tunnel || http_of(client)->acts)
        return;
    answer->asked = asked;
    memcpy(answer->bytes, data, len);
    answer->len = len;
    answer->status = http_of(client)->status;
    answer->keeps = http_of(client)->keeps;
}

/* Its meaning is in the flow's client then. */
static bool answer_is_known(struct client *client, const struct request *request, const char *data,
                            size_t len)
{
    const struct known_answer *answer = &run_of(client)->answer;

    if (http_of(client)->parsing || len != answer->len || memcmp(data, answer->bytes, len) != 0 ||
        text_of(client, request)->asked != answer->asked)
        return false;
    http_of(client)->status = answer->status;
    http_of(client)->keeps = answer->keeps;
    http_of(client)->tunnel = false;
    return true;
}

/* 205 has no body, but RFC 7231 6.3.6 let it say so by an empty chunked one. */
static bool ends_by_empty_chunk(const struct http_head *head, bool more)
{
    return head->status == 205 && head->coding == HTTP_CODING_CHUNKED && more;
}

enum found { FOUND_MORE, FOUND_END, FOUND_WRONG };

/* What a head says to who follows redirects or keeps cookies. */
static void act_on(struct client *client, const struct http_head *head, const char *text,
                   size_t len)
{
    struct http_client *http = http_of(client);
    struct http_run *run = run_of(client);
    const struct request *request = client_request(client);
    struct http_text rest = http_head_fields(text, len), name, value, location = {NULL, 0};

    while (http_next_field(&rest, &name, &value)) {
        if (http_text_is(name, "location"))
            location = value;
        if (!run->keeps_cookies || !http_text_is(name, "set-cookie"))
            continue;
        http->acts = true;
        if (http_jar_of(client, &http->jar))
            http_jar_set(http->jar, value, http_path_of(client, request), client_now(client));
    }
    free(http->next);
    http->next = NULL;
    if (!run->follows || !location.at)
        return;
    http->next = http_made_follow(&run->asks, client_config(client), request_target(request),
                                  request_kept(request), head->status, location);
    http->acts = true; /* the next one may be followed where this is not */
}

/* `more`: something follows the head. */
static enum found read_head(struct client *client, enum http_asked asked, const char *text,
                            size_t len, bool more, char why[HTTP_WHY])
{
    struct http_head head;

    if (http_answer_parse(text, len, &head, why) < 0)
        return FOUND_WRONG;
    enum http_body_kind kind = http_answer_body(&head, asked, why);
    if (kind == HTTP_BODY_BAD)
        return FOUND_WRONG;
    if (head.status / 100 == 1 && kind != HTTP_BODY_TUNNEL) { /* the real one follows */
        http_of(client)->interim = true;
        http_of(client)->go_on |= head.status == 100;
        return FOUND_MORE;
    }
    if (ends_by_empty_chunk(&head, more))
        kind = HTTP_BODY_CHUNKED;
    if (run_of(client)->follows || run_of(client)->keeps_cookies)
        act_on(client, &head, text, len);
    http_of(client)->status = head.status;
    http_of(client)->keeps = http_keeps(&head, kind);
    http_of(client)->tunnel = kind == HTTP_BODY_TUNNEL;
    http_of(client)->in_body = !http_body_begin(&http_of(client)->body, kind, head.length);
    return http_of(client)->in_body ? FOUND_MORE : FOUND_END;
}

static enum found take_head(struct client *client, enum http_asked asked, const char *data,
                            size_t len, size_t *at, char why[HTTP_WHY])
{
    struct http_collect *collect = &http_of(client)->collect;
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
    enum found found = read_head(client, asked, text, text_len, *at < len, why);
    http_collect_done(collect);
    return found;
}

static enum found take_body(struct client *client, const char *data, size_t len, size_t *at,
                            char why[HTTP_WHY])
{
    const char *words;
    bool over;

    ssize_t taken = http_body_take(&http_of(client)->body, data + *at, len - *at, &over, &words);
    if (taken < 0) {
        snprintf(why, HTTP_WHY, "%s", words);
        return FOUND_WRONG;
    }
    *at += (size_t)taken;
    return over ? FOUND_END : FOUND_MORE;
}

/* Reads on in an answer, up to its end or to the end of what came. */
static enum found read_answer(struct client *client, enum http_asked asked, const char *data,
                              size_t len, char why[HTTP_WHY])
{
    enum found found = FOUND_MORE;
    size_t at = 0;

    while (at < len && found == FOUND_MORE)
        found = http_of(client)->in_body ? take_body(client, data, len, &at, why)
                                         : take_head(client, asked, data, len, &at, why);
    if (found == FOUND_END && at < len && !http_of(client)->tunnel) {
        snprintf(why, HTTP_WHY, "bytes follow its end");
        return FOUND_WRONG;
    }
    return found;
}

static enum taken http_take(struct client *client, struct request *request, const char *data,
                            size_t len, size_t *ret_used)
{
    struct http_client *http = http_of(client);
    bool begins = !http->parsing;
    char why[HTTP_WHY];

    *ret_used = len;
    if (http->answered) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "bytes came that nobody asked for");
        return TAKEN_WRONG;
    }
    if (answer_is_known(client, request, data, len))
        return TAKEN_ANSWER;
    if (begins) {
        http->parsing = true;
        http->in_body = http->interim = http->go_on = http->acts = false;
    }
    enum http_asked asked = text_of(client, request)->asked;
    enum found found = read_answer(client, asked, data, len, why);
    if (found == FOUND_WRONG) {
        client_fail(client, PEER_SOAK_BAD_ANSWER, "the answer is no HTTP: %s", why);
        return TAKEN_WRONG;
    }
    if (found == FOUND_END && begins && !http->interim)
        answer_keep(client, asked, data, len);
    if (found == FOUND_MORE)
        return TAKEN_MORE;
    return http->tunnel ? TAKEN_LAST : TAKEN_ANSWER;
}

static void http_taken(struct client *client, struct request *request, enum taken taken)
{
    if (taken == TAKEN_ANSWER)
        http_answered(client, request);
    else if (http_of(client)->awaits && http_of(client)->go_on)
        send_body(client, request);
}

/* ---- the end ---- */

/* A connection that had carried an answer ended before the application took any of the next
   request. */
static bool was_idle(const struct client *client, const struct request *request)
{
    return client_asked(client) > 1 && !request_is_answered(request) && !http_of(client)->taken;
}

static void closed_idle(struct client *client, struct request *request)
{
    if (text_of(client, request)->idempotent)
        request_repeat(request);
    else
        client_fail(client, PEER_SOAK_CLOSED_IDLE, "closed while idle, just as the request went");
}

/* Some answers end with the connection. A FIN that acknowledges the request is no accident: the
   application had it, and gave no answer. */
static void http_eof(struct client *client, struct request *request)
{
    const struct http_client *http = http_of(client);
    bool by_the_end = http->parsing && http->in_body && http->body.kind == HTTP_BODY_TO_END;

    if (http->answered) { /* it takes no more of the request */
        client_end_after(client, false);
        http_complete(client, request, http_of(client)->status);
    } else if (by_the_end && client_is_truncated(client)) {
        client_fail(client, PEER_SOAK_CLOSED_EARLY,
                    "closed without close_notify in an answer that has no other end");
    } else if (by_the_end) {
        http_answered(client, request);
    } else if (was_idle(client, request) &&
               flow_unacked(client_flow(client)) == request_sent(request)) {
        closed_idle(client, request);
    } else {
        client_fail(client, PEER_SOAK_CLOSED_EARLY,
                    request_is_answered(request) ? "closed in the middle of an answer"
                                                 : "closed without an answer");
    }
}

/* To an RST one does not see whether the request was read. It mostly was not: a connection that is
   closed with bytes unread, or that bytes reach after it was closed, is reset. */
static bool http_reset(struct client *client, struct request *request)
{
    if (!was_idle(client, request))
        return false;
    closed_idle(client, request);
    return true;
}

static void http_let_go(struct client *client)
{
    if (http_of(client)->next)
        free(http_of(client)->next);
    http_jar_leave(client, &http_of(client)->jar);
    http_collect_done(&http_of(client)->collect);
}

static const char *http_late(const struct client *client, const struct request *request)
{
    (void)request;
    return http_of(client)->answered ? "answered in time, but the rest of the request was not taken"
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

static int read_expect(struct http_run *run, struct peer_soak_config *config,
                       struct peer_error *error)
{
    const char *text = config->expect;
    unsigned first, last;

    if (!text)
        return 0;
    config->expect = NULL; /* the caller's string */
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

static int make_requests(struct http_run *run, struct peer_soak_config *config)
{
    const struct http_asks *asks = &run->asks;
    int status = 0;

    run->requests = calloc(asks->count, sizeof(*run->requests));
    if (!run->requests)
        return -ENOMEM;
    for (run->count = 0; run->count < asks->count && status == 0; run->count++)
        status = http_request_make(&run->requests[run->count], &asks->at[run->count],
                                   config->requests_per_connection);
    if (run->count == 1 && run->requests[0].closes)
        config->requests_per_connection = 1;
    return status;
}

/* A request says one list of cookies (RFC 6265 5.4). */
static int check_cookies(const struct http_run *run, struct peer_error *error)
{
    for (size_t i = 0; i < run->count; i++) {
        if (http_ask_has(&run->asks.at[i], "Cookie"))
            return error_set(error, PEER_ERROR_USAGE, EINVAL,
                             "cookies are kept, so no header Cookie can be given");
    }
    return 0;
}

static const char *http_offers(const void *own)
{
    const struct http_run *run = own;

    if (run->version == 2)
        return "h2";
    return run->version == 1 ? "http/1.1" : "h2,http/1.1";
}

static void http_opened(struct client *client)
{
    if (run_of(client)->version == 2)
        client_fail(client, PEER_SOAK_TLS_PROTOCOL, "the server agrees on no HTTP/2 (ALPN)");
    else
        client_ready(client, 1);
}

int http_prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    struct http_run *run = own;
    int status = read_expect(run, config, error);

    run->follows = config->follow;
    run->keeps_cookies = config->cookies;
    if (status == 0)
        status = http_asks_make(&run->asks, config, error);
    if (status < 0)
        return status;
    if (make_requests(run, config) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    if (!run->follows && !run->keeps_cookies)
        http_asks_release(&run->asks);
    run->version = config->http_version;
    if (config->tls && http2_run_new(run, "https", &run->http2) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return run->keeps_cookies ? check_cookies(run, error) : 0;
}

void http_done(void *own)
{
    struct http_run *run = own;

    http2_run_free(run->http2);
    for (size_t i = 0; i < run->count; i++)
        http_request_done(&run->requests[i]);
    free(run->requests);
    http_asks_done(&run->asks);
    while (run->jars) {
        struct http_jar *jar = run->jars;
        run->jars = *http_jar_next(jar);
        http_jar_free(jar);
    }
}

size_t http_count_targets(const void *own)
{
    const struct http_run *run = own;

    return run->asks.listed ? run->count : 0;
}

void http_name_target(const void *own, size_t index, char *out, size_t room)
{
    const struct http_ask *ask = &((const struct http_run *)own)->asks.at[index];

    snprintf(out, room, "%s %s", ask->method, ask->path);
}

static const struct protocol_ops http_tcp = {.kind = PROTOCOL_ASKS,
                                             .opened = http_opened,
                                             .ask = http_ask,
                                             .take = http_take,
                                             .taken = http_taken,
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
    .tls_scheme = "https",
    .tls_port = 443,
    .offers = http_offers,
    .other = &http2_ops,
    .other_alpn = "h2",
    .takes = PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_HEADERS | PROTOCOL_TAKES_BODY |
             PROTOCOL_TAKES_EXPECT | PROTOCOL_TAKES_TARGETS | PROTOCOL_TAKES_FOLLOW |
             PROTOCOL_TAKES_STREAMS,
    .tcp = &http_tcp,
    .run_bytes = sizeof(struct http_run),
    .client_bytes = MAX(sizeof(struct http_client), sizeof(struct http2_client)),
    .request_bytes = sizeof(struct http2_stream),
    .prepare = http_prepare,
    .count_targets = http_count_targets,
    .name_target = http_name_target,
    .done = http_done,
};
