/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What nghttp2 tells of a connection, and what a run has of it. Nothing is done here but to mark
 * streams and connections: see http2.c.
 */
#include "protocol/http2_inside.h"

#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- redirects and cookies ---- */

struct http_made *http2_take_hop(struct http2_client *http2, int32_t id)
{
    struct http2_hop **at = &http2->hops;

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct http2_hop *hop = *at;
    if (!hop)
        return NULL;
    struct http_made *made = hop->made;
    *at = hop->next;
    free(hop);
    return made;
}

/* Without memory it is not followed. */
static void keep_hop(struct client *client, const struct request *request, struct http_text value)
{
    struct http_run *run = client_run(client);
    struct http2_client *http2 = http2_of(client);
    const struct http2_stream *stream = http2_stream_of(request);

    free(http2_take_hop(http2, stream->id));
    struct http2_hop *hop = malloc(sizeof(*hop));
    if (!hop)
        return;
    *hop = (struct http2_hop){.next = http2->hops, .id = stream->id};
    hop->made = http_made_follow(&run->asks, client_config(client), request_target(request),
                                 request_kept(request), stream->status, value);
    http2->hops = hop;
    if (!hop->made)
        (void)http2_take_hop(http2, stream->id);
}

/* What a field says to who follows redirects or keeps cookies. */
static void act_on(struct client *client, const struct request *request, struct http_text name,
                   struct http_text value)
{
    const struct http_run *run = client_run(client);
    struct http_jar **jar = &http2_of(client)->jar;

    if (run->follows && http_text_is(name, "location"))
        keep_hop(client, request, value);
    if (run->keeps_cookies && http_text_is(name, "set-cookie") && http_jar_of(client, jar))
        http_jar_set(*jar, value, http_path_of(client, request), client_now(client));
}

/* ---- what nghttp2 tells ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct request *request = http2_request_at(session, frame->hd.stream_id);

    (void)user;
    if (request)
        request_first_byte(request);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct request *request = http2_request_at(session, frame->hd.stream_id);

    (void)flags;
    if (!request)
        return 0;
    struct http2_stream *stream = http2_stream_of(request);
    stream->head_bytes += (uint32_t)(name_len + value_len) + 32; /* as RFC 9113 6.5.2 counts */
    if (name_len && *name == ':' && value_len == 3)
        stream->status =
            (uint16_t)((value[0] - '0') * 100 + (value[1] - '0') * 10 + value[2] - '0');
    if (stream->head_bytes <= HTTP_HEAD_MOST) {
        act_on(user, request, (struct http_text){(const char *)name, name_len},
               (struct http_text){(const char *)value, value_len});
        return 0;
    }
    snprintf(http2_run_of(user)->why, sizeof(http2_run_of(user)->why),
             "a head of more than %d bytes", HTTP_HEAD_MOST);
    stream->wrong = true;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Nobody takes the rest of the body of a request that was answered by an error. */
static void on_answer_end(nghttp2_session *session, struct request *request)
{
    struct http2_stream *stream = http2_stream_of(request);

    stream->ended = true;
    if (stream->status >= 400 && !stream->posted)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
}

void http2_send_body(nghttp2_session *session, struct http2_stream *stream)
{
    stream->awaits = false;
    (void)nghttp2_session_resume_data(session, stream->id);
}

static void on_answer_frame(nghttp2_session *session, struct request *request,
                            const nghttp2_frame *frame)
{
    struct http2_stream *stream = http2_stream_of(request);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    bool tunnel = stream->connects && stream->status / 100 == 2;

    if (ends || tunnel) /* a tunnel's protocol nobody here speaks */
        on_answer_end(session, request);
    if (tunnel && !ends)
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
    if (stream->awaits && (stream->status == 100 || (ends && stream->status < 400)))
        http2_send_body(session, stream);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2_client *http2 = http2_of(user);
    struct request *request = http2_request_at(session, frame->hd.stream_id);

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        if (request)
            on_answer_frame(session, request, frame);
        return 0;
    case NGHTTP2_RST_STREAM:
        if (request)
            http2_stream_of(request)->reset = true;
        return 0;
    case NGHTTP2_SETTINGS:
        http2->limits |= !(frame->hd.flags & NGHTTP2_FLAG_ACK);
        return 0;
    case NGHTTP2_PUSH_PROMISE: /* sent before it heard that we take none */
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
                                         frame->push_promise.promised_stream_id, NGHTTP2_CANCEL);
    case NGHTTP2_GOAWAY:
        http2->leaves = true;
        http2->leaving = frame->goaway.error_code;
        return 0;
    default:
        return 0;
    }
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct http2_client *http2 = http2_of(user);
    struct request *request = http2_request_at(session, id);

    if (!request)
        return 0;
    http2_stream_of(request)->error = error;
    if (http2->over)
        http2_stream_of(http2->over_last)->next = request;
    else
        http2->over = request;
    http2->over_last = request;
    return 0;
}

static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct request *request = http2_request_at(session, frame->hd.stream_id);

    (void)error, (void)user;
    if (request && frame->hd.type == NGHTTP2_HEADERS)
        http2_stream_of(request)->unsent = true;
    return 0;
}

/* Made printable. */
static void keep_words(struct http2_run *run, const char *text, size_t len)
{
    len = MIN(len, sizeof(run->why) - 1);
    for (size_t i = 0; i < len; i++)
        run->why[i] = isprint((unsigned char)text[i]) ? text[i] : '.';
    run->why[len] = 0;
}

static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct http2_run *run = http2_run_of(user);
    struct request *request = http2_request_at(session, frame->hd.stream_id);

    if (!run->why[0])
        keep_words(run, nghttp2_strerror(error), strlen(nghttp2_strerror(error)));
    if (request)
        http2_stream_of(request)->wrong = true;
    return 0;
}

static int on_words(nghttp2_session *session, int error, const char *text, size_t len, void *user)
{
    (void)session, (void)error;
    keep_words(http2_run_of(user), text, len);
    return 0;
}

/* What breaks the rules of a connection is answered by GOAWAY, with the reason in words. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    const nghttp2_goaway *goaway = &frame->goaway;

    (void)session;
    if (frame->hd.type != NGHTTP2_GOAWAY || goaway->error_code == NGHTTP2_NO_ERROR)
        return 0;
    http2_of(user)->broken = true;
    struct http2_run *run = http2_run_of(user);
    if (goaway->opaque_data_len)
        keep_words(run, (const char *)goaway->opaque_data, goaway->opaque_data_len);
    else if (!run->why[0])
        snprintf(run->why, sizeof(run->why), "%s", nghttp2_http2_strerror(goaway->error_code));
    return 0;
}

/* ---- the run ---- */

static int make_callbacks(struct http2_run *run)
{
    if (nghttp2_session_callbacks_new(&run->callbacks) != 0 ||
        nghttp2_option_new(&run->option) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(run->callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(run->callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(run->callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(run->callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(run->callbacks, on_not_sent);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(run->callbacks, on_invalid);
    nghttp2_session_callbacks_set_on_frame_send_callback(run->callbacks, on_sent);
    nghttp2_session_callbacks_set_error_callback2(run->callbacks, on_words);
    nghttp2_option_set_no_closed_streams(run->option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(run->option, UINT32_MAX);
    return 0;
}

static int make_requests(struct http2_run *run, const struct http_run *http, const char *scheme)
{
    int status = 0;

    run->requests = calloc(http->count, sizeof(*run->requests));
    if (!run->requests)
        return -ENOMEM;
    for (; run->count < http->count && status == 0; run->count++)
        status =
            http2_request_make(&run->requests[run->count], &http->requests[run->count], scheme);
    return status;
}

int http2_run_new(const struct http_run *http, const char *scheme, struct http2_run **ret_run)
{
    struct http2_run *run = calloc(1, sizeof(*run));

    if (!run)
        return -ENOMEM;
    run->scheme = scheme;
    if (make_callbacks(run) < 0 || make_requests(run, http, scheme) < 0) {
        http2_run_free(run);
        return -ENOMEM;
    }
    *ret_run = run;
    return 0;
}

void http2_run_free(struct http2_run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->count; i++)
        http2_request_done(&run->requests[i]);
    free(run->requests);
    nghttp2_session_callbacks_del(run->callbacks);
    nghttp2_option_del(run->option);
    free(run);
}
