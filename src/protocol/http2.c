/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests over HTTP/2 (RFC 9113), each a stream of its connection. nghttp2 has the frames, HPACK and
 * flow control; what is asked for is that of HTTP/1.1 (http2_request.c).
 *
 * nghttp2 must not be freed, nor be asked to write, while it calls us. So what it tells only marks
 * streams: those that are over stand in a row (`over`) until what came is read, and are
 * then told to the run, which asks for more. Frames are written when all of that is done, those of
 * many streams together.
 *
 * What a server did not look at is asked again: streams beyond those that a GOAWAY names, and
 * REFUSED_STREAM (9113 8.7). nghttp2 closes the former as it does the latter.
 */
#include "protocol/http2_inside.h"

#include "protocol/table.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What may come of bodies before it is taken: as browsers have it. It is taken at once. */
enum { STREAM_WINDOW = 4 << 20, CONNECTION_WINDOW = 16 << 20 };
/* More than any frame of ours, which are as long as SETTINGS_MAX_FRAME_SIZE is without being set. */
enum { FRAME_ROOM = 16384 + 512 };

/* ---- writing ---- */

/* What the flow did not take is kept: less than a frame. */
static int keep_rest(struct http2_client *http2, const char *data, size_t len)
{
    char *rest = malloc(len);

    if (!rest)
        return -ENOMEM;
    memcpy(rest, data, len);
    free(http2->rest);
    http2->rest = rest;
    http2->rest_len = len;
    return 0;
}

/* Writes `len` bytes. Whether all were taken; `status` is -ENOMEM when the rest cannot be kept. */
static bool put(struct client *client, const char *data, size_t len, int *status)
{
    struct http2_client *http2 = http2_of(client);
    ssize_t done = client_write(client, data, len, 0);

    if (done < 0 && done != -EAGAIN && done != -ENOMEM) /* the connection is over, which is told */
        return false;
    if (done == (ssize_t)len)
        return true;
    *status = keep_rest(http2, data + MAX(done, 0), len - (size_t)MAX(done, 0));
    return false;
}

static bool put_rest(struct client *client, int *status)
{
    struct http2_client *http2 = http2_of(client);
    char *rest = http2->rest;

    if (!rest)
        return true;
    http2->rest = NULL;
    bool all = put(client, rest, http2->rest_len, status);
    free(rest);
    return all;
}

/* As many frames as there is room for, in one piece. Returns how many bytes. */
static ssize_t gather(struct client *client, char *out, size_t room)
{
    const uint8_t *data;
    size_t len = 0;

    while (len < room) {
        ssize_t part = nghttp2_session_mem_send(http2_of(client)->session, &data);
        if (part < 0)
            return part;
        if (part == 0)
            break;
        memcpy(out + len, data, (size_t)part);
        len += (size_t)part;
    }
    return (ssize_t)len;
}

int http2_flush(struct client *client)
{
    char *scratch = (char *)client_scratch(client);
    int status = 0;

    while (put_rest(client, &status) && !http2_of(client)->raw_id) {
        size_t room =
            MIN(flow_write_room(client_flow(client)), (size_t)SOAK_SCRATCH_BYTES - FRAME_ROOM);
        ssize_t len = room ? gather(client, scratch, room) : 0;
        if (len < 0)
            return -ENOMEM;
        if (len == 0 || !put(client, scratch, (size_t)len, &status))
            break;
    }
    return status;
}

int http2_put(struct client *client, const void *frames, size_t len)
{
    int status = 0;

    if (put_rest(client, &status))
        (void)put(client, frames, len, &status);
    return status;
}

/* ---- what became of streams ---- */

/* nghttp2 says why, unless it is the end that is wrong. */
static void lose_wrong(struct client *client, struct request *request)
{
    struct http2_run *run = http2_run_of(client);
    const char *why = run->why[0] ? run->why : "it ends elsewhere than its headers say";

    if (http2_stream_of(request)->error != NGHTTP2_PROTOCOL_ERROR && !run->why[0])
        why = nghttp2_http2_strerror(http2_stream_of(request)->error);
    request_lose(request, PEER_SOAK_BAD_ANSWER, "the answer is no HTTP/2: %s", why);
    run->why[0] = 0;
}

static void http2_ask(struct client *client, struct request *request);

/* The next hop, by this connection if it takes one more. */
static void follow(struct client *client, struct request *request, struct http_made *next)
{
    request_keep(request, next);
    *http2_stream_of(request) = (struct http2_stream){.id = 0};
    if (client_is_last(client)) {
        request_go_elsewhere(request);
        return;
    }
    request_go_on(request);
    http2_ask(client, request);
}

static void tell_over(struct client *client, struct request *request)
{
    const struct http2_stream *stream = http2_stream_of(request);
    struct http_made *next = http2_take_hop(http2_of(client), stream->id);
    bool refused = stream->unsent || (stream->error == NGHTTP2_REFUSED_STREAM &&
                                      !request_is_answered(request) && !stream->wrong);

    if (stream->ended && !stream->wrong && stream->posted && next) {
        follow(client, request, next);
        return;
    }
    free(next);
    if (stream->ended && !stream->wrong)
        http_complete(client, request, stream->status);
    else if (refused && request_put_back(request))
        return;
    else if (refused)
        request_lose(request, PEER_SOAK_RESET, "the server refuses its streams again and again");
    else if (stream->reset)
        request_lose(request, PEER_SOAK_RESET, "the stream was reset: %s",
                     nghttp2_http2_strerror(stream->error));
    else
        lose_wrong(client, request);
}

static uint32_t slots(const struct client *client)
{
    uint32_t most = nghttp2_session_get_remote_settings(http2_of(client)->session,
                                                        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    return MIN(most, MAX(client_config(client)->streams, 1u));
}

/* Tells the run what was marked while frames were read and written. Whether there was anything. */
static bool tell(struct client *client)
{
    struct http2_client *http2 = http2_of(client);
    bool limits = http2->limits || http2->leaves, told = limits || http2->over;
    struct request *request;

    if (http2->leaves)
        client_end_after(client, true);
    while (!client_is_over(client) && (request = http2->over)) {
        http2->over = http2_stream_of(request)->next;
        tell_over(client, request);
    }
    if (client_is_over(client))
        return false;
    http2->limits = http2->leaves = false;
    if (limits)
        client_ready(client, slots(client));
    return told && !client_is_over(client);
}

static void http2_asked(struct client *client)
{
    if (!http2_of(client)->session) /* not open yet */
        return;
    http2_do_deeds(client);
    do {
        if (http2_flush(client) < 0) {
            client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
            return;
        }
        if (http2_of(client)->broken) {
            client_fail(client, PEER_SOAK_BAD_ANSWER, "the answer is no HTTP/2: %s",
                        http2_run_of(client)->why);
            return;
        }
    } while (tell(client));
}

/* ---- a request ---- */

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct request *owner = http2_request_at(session, id);

    (void)source;
    (void)user;
    if (!owner)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    struct http2_stream *stream = http2_stream_of(owner);
    if (stream->awaits)
        return NGHTTP2_ERR_DEFERRED;
    size_t len = MIN(room, stream->body_len - stream->sent);
    memcpy(out, stream->body + stream->sent, len);
    stream->sent += len;
    stream->posted = stream->sent == stream->body_len;
    if (stream->posted)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

static void submit(struct client *client, struct request *request, const struct http2_request *text)
{
    const nghttp2_data_provider body = {.read_callback = read_body};
    struct http2_stream *stream = http2_stream_of(request);

    stream->body = text->body;
    stream->body_len = text->body_len;
    stream->connects = text->connects;
    stream->posted = !text->body_len;
    stream->awaits = text->expects;
    stream->id = nghttp2_submit_request(http2_of(client)->session, NULL, text->fields, text->count,
                                        stream->posted ? NULL : &body, request);
    if (stream->id < 0)
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "no stream can be opened: %s",
                    nghttp2_strerror(stream->id));
    else if (stream->awaits)
        client_nudge_at(client, client_now(client) + HTTP_CONTINUE_NS);
}

/* One of its own: nghttp2 copies its fields, and the body stays with the request. */
static void submit_made(struct client *client, struct request *request,
                        const struct http_made *made)
{
    struct http2_request text = {.count = 0};

    if (http2_request_make(&text, &made->text, http2_run_of(client)->scheme) < 0) {
        http2_request_done(&text);
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
        return;
    }
    for (size_t i = 0; i < text.count; i++)
        text.fields[i].flags = NGHTTP2_NV_FLAG_NONE;
    submit(client, request, &text);
    http2_request_done(&text);
}

static void http2_ask(struct client *client, struct request *request)
{
    struct http2_run *run = http2_run_of(client);

    if (((const struct http_run *)client_run(client))->keeps_cookies)
        http_say_cookies(client, request, &http2_of(client)->jar);
    if (request_kept(request))
        submit_made(client, request, request_kept(request));
    else
        submit(client, request, &run->requests[request_target(request)]);
}

static bool http2_nudge(struct client *client, struct request *request, uint64_t now_ns)
{
    if (!http2_stream_of(request)->awaits)
        return true;
    if (request_started_ns(request) + HTTP_CONTINUE_NS > now_ns) {
        client_nudge_at(client, request_started_ns(request) + HTTP_CONTINUE_NS);
        return false;
    }
    http2_send_body(http2_of(client)->session, http2_stream_of(request));
    http2_asked(client);
    return true;
}

static void http2_lost(struct client *client, struct request *request)
{
    nghttp2_session *session = http2_of(client)->session;
    int32_t id = http2_stream_of(request)->id;

    (void)nghttp2_session_set_stream_user_data(session, id, NULL);
    (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    (void)http2_flush(client);
}

/* ---- what came ---- */

static enum taken wrong(struct client *client, const char *text)
{
    client_fail(client, PEER_SOAK_BAD_ANSWER, "the answer is no HTTP/2: %s", text);
    return TAKEN_WRONG;
}

static enum taken http2_take(struct client *client, struct request *request, const char *data,
                             size_t len, size_t *ret_used)
{
    struct http2_client *http2 = http2_of(client);

    (void)request;
    *ret_used = len;
    if (!http2->session) /* it asks nothing */
        return TAKEN_MORE;
    if (!http2->spoke && len >= 5 && memcmp(data, "HTTP/", 5) == 0)
        return wrong(client, "the server answers in HTTP/1");
    if (!http2->spoke)
        http2_run_of(client)->why[0] = 0;
    http2->spoke = true;
    ssize_t done = nghttp2_session_mem_recv(http2->session, (const uint8_t *)data, len);
    return done < 0 ? wrong(client, nghttp2_strerror((int)done)) : TAKEN_MORE;
}

static void http2_taken(struct client *client, struct request *request, enum taken taken)
{
    (void)request, (void)taken;
    (void)tell(client);
}

static void http2_eof(struct client *client, struct request *request)
{
    const struct http2_client *http2 = http2_of(client);

    if (http2->leaving)
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "closed before the answer was complete: %s",
                    nghttp2_http2_strerror(http2->leaving));
    else
        client_fail(client, PEER_SOAK_CLOSED_EARLY,
                    request_is_answered(request) ? "closed in the middle of an answer"
                                                 : "closed without an answer");
}

/* ---- a connection ---- */

static int begin_session(struct client *client)
{
    const struct http2_run *run = http2_run_of(client);
    struct http2_client *http2 = http2_of(client);
    http2->shut = http2_is_shut(client);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, http2->shut ? 0 : STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MOST},
    };

    int status = nghttp2_session_client_new2(&http2->session, run->callbacks, client, run->option);
    if (status == 0)
        status = nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
                                         ARRAY_SIZE(settings));
    if (status == 0 && !http2->shut)
        status = nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0,
                                                       CONNECTION_WINDOW);
    return status;
}

/* Requests leave with the preface: nobody waits for the server's SETTINGS (RFC 9113 3.4). */
static void http2_opened(struct client *client)
{
    if (begin_session(client) != 0) {
        client_fail(client, PEER_SOAK_CLOSED_EARLY, "out of memory");
        return;
    }
    client_counts(client)->http2++;
    client_ready(client, slots(client));
}

static void http2_closing(struct client *client)
{
    nghttp2_session *session = http2_of(client)->session;

    if (session && nghttp2_session_terminate_session(session, NGHTTP2_NO_ERROR) == 0)
        (void)http2_flush(client);
}

static void http2_let_go(struct client *client)
{
    struct http2_client *http2 = http2_of(client);

    nghttp2_session_del(http2->session);
    while (http2->hops)
        free(http2_take_hop(http2, http2->hops->id));
    http_jar_leave(client, &http2->jar);
    free(http2->rest);
    *http2 = (struct http2_client){0};
}

/* ---- the protocol ---- */

static int http2_prepare(void *own, struct peer_soak_config *config, struct peer_error *error)
{
    struct http_run *run = own;
    int status = http_prepare(own, config, error);

    if (status == 0 && http2_run_new(run, "http", &run->http2) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return status;
}

const struct protocol_ops http2_ops = {.kind = PROTOCOL_ASKS,
                                       .unasked = true,
                                       .any_order = true,
                                       .opened = http2_opened,
                                       .ask = http2_ask,
                                       .asked = http2_asked,
                                       .take = http2_take,
                                       .taken = http2_taken,
                                       .eof = http2_eof,
                                       .lost = http2_lost,
                                       .closing = http2_closing,
                                       .let_go = http2_let_go,
                                       .nudge = http2_nudge};

const struct protocol protocol_http2 = {
    .name = "http2",
    .scheme = "h2c",
    .port = 80,
    .takes = PROTOCOL_TAKES_PATH | PROTOCOL_TAKES_HEADERS | PROTOCOL_TAKES_BODY |
             PROTOCOL_TAKES_EXPECT | PROTOCOL_TAKES_STREAMS | PROTOCOL_TAKES_TARGETS |
             PROTOCOL_TAKES_FOLLOW,
    .tcp = &http2_ops,
    .run_bytes = sizeof(struct http_run),
    .client_bytes = sizeof(struct http2_client),
    .request_bytes = sizeof(struct http2_stream),
    .prepare = http2_prepare,
    .count_targets = http_count_targets,
    .name_target = http_name_target,
    .done = http_done,
};
