/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes go straight from the receive queue into the send queue; what does not fit stays received
 * and unread, so that the window closes on a caller who does not read. http answers are made into
 * `out`, and no further request is parsed while an answer waits there.
 *
 * A UDP flow has no end of its own: it is given up when it was silent for UDP_IDLE_NS, or for longer
 * than all others when there are UDP_CALLERS_MAX. Nothing is lost by that: its next datagram makes a
 * new one.
 */
#include "serve/serve.h"

#include "base/macro.h"
#include "http/server.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_BYTES = 1024, PEEK_VECTORS = 16 };
_Static_assert((int)OUT_BYTES >= (int)HTTP_REFUSAL_BYTES, "a refusal fits");
#define UDP_IDLE_NS (30 * NS_PER_S)
/* About a kilobyte each; anybody can be as many callers as there are addresses and ports. */
enum { UDP_CALLERS_MAX = 4096 };

struct serve_flow {
    struct flow flow; /* first */
    struct serve *serve;
    struct list node;
    struct stack_tuple tuple;
    struct timer idle; /* UDP */
    struct http *http; /* http only */
    bool eof;
};

struct http {
    struct http_server server;
    bool close;        /* after what is in `out` */
    uint64_t requests; /* on this connection */
    size_t out_len, out_at;
    char out[OUT_BYTES];
};

enum serve_kind serve_kind_parse(const char *text)
{
    static const struct {
        const char *name;
        enum serve_kind kind;
    } kinds[] = {{"echo", SERVE_ECHO}, {"discard", SERVE_DISCARD}, {"http", SERVE_HTTP}};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(text, kinds[i].name) == 0)
            return kinds[i].kind;
    }
    return SERVE_NONE;
}

void serve_init(struct serve *serve, struct flows *flows, enum serve_kind kind)
{
    *serve = (struct serve){.flows = flows, .kind = kind};
    list_init(&serve->open);
}

static void serve_end(struct serve_flow *served)
{
    if (list_empty(&served->node))
        return;
    list_remove(&served->node);
    served->serve->open_count--;
    timer_cancel(served->serve->flows->timers, &served->idle);
    served->serve = NULL;
    flow_free(&served->flow);
}

void serve_done(struct serve *serve)
{
    while (!list_empty(&serve->open))
        serve_end(list_entry(serve->open.next, struct serve_flow, node));
}

static void serve_release(struct flow *flow)
{
    struct serve_flow *served = (struct serve_flow *)(void *)flow;

    if (served->http)
        http_server_done(&served->http->server);
    free(served->http);
    free(served);
}

/* Takes up to what `take` accepts of the received bytes. `take` returns the count, <= 0: stop. */
static void each_received(struct serve_flow *served,
                          ssize_t (*take)(struct serve_flow *served, const struct iovec *iov))
{
    struct iovec iov[PEEK_VECTORS];
    int count;

    while ((count = flow_peek(&served->flow, iov, PEEK_VECTORS)) > 0) {
        size_t taken = 0;
        bool stop = false;
        for (int i = 0; i < count && !stop; i++) {
            ssize_t done = take(served, &iov[i]);
            taken += done > 0 ? (size_t)done : 0;
            stop = done < (ssize_t)iov[i].iov_len;
        }
        served->serve->bytes_received += taken;
        flow_consume(&served->flow, taken);
        if (stop)
            return;
    }
}

static ssize_t count_sent(struct serve_flow *served, ssize_t done)
{
    if (done > 0)
        served->serve->bytes_sent += (uint64_t)done;
    return done;
}

static ssize_t take_discard(struct serve_flow *served, const struct iovec *iov)
{
    (void)served;
    return (ssize_t)iov->iov_len;
}

static ssize_t take_echo(struct serve_flow *served, const struct iovec *iov)
{
    return count_sent(served, flow_write(&served->flow, iov->iov_base, iov->iov_len, 0));
}

/* ---- http ---- */

static void http_answer(struct serve_flow *served)
{
    struct http *http = served->http;
    char peer[PEER_ENDPOINT_TEXT], caller[PEER_ENDPOINT_TEXT], body[OUT_BYTES / 2];

    http->close = !http->server.keeps;
    peer_endpoint_format(&served->tuple.local, served->tuple.local_port, peer);
    peer_endpoint_format(&served->tuple.remote, served->tuple.remote_port, caller);
    int body_len = snprintf(body, sizeof(body),
                            "Hello from the peer at %s.\nYou are %s, this is your request %llu.\n",
                            peer, caller, (unsigned long long)++http->requests);
    int len = snprintf(http->out, sizeof(http->out),
                       "HTTP/1.1 200 OK\r\nServer: peer\r\nContent-Type: text/plain\r\n"
                       "Content-Length: %d\r\n%s\r\n%s",
                       body_len, http->close ? "Connection: close\r\n" : "",
                       http->server.head ? "" : body);
    http->out_len = (size_t)len;
    served->serve->requests++;
}

static void http_continue_it(struct http *http)
{
    http->out_len = strlen(http_continue);
    memcpy(http->out, http_continue, http->out_len);
}

static void http_refuse(struct http *http)
{
    http->out_len = http_server_refuse(&http->server, http->out);
    http->close = true;
}

static void http_do(struct serve_flow *served, enum http_wants wants)
{
    struct http *http = served->http;

    if (wants == HTTP_WANTS_MORE)
        return;
    http->out_at = 0;
    if (wants == HTTP_WANTS_ANSWER)
        http_answer(served);
    else if (wants == HTTP_WANTS_CONTINUE)
        http_continue_it(http);
    else
        http_refuse(http);
}

/* Sends what is in `out`; true when all of it went. The last answer and the FIN leave as one segment:
   in two, a caller that has read the answer is often quicker to close than the FIN is to come, and the
   TIME-WAIT, with its port, is his. */
static bool http_flush(struct serve_flow *served)
{
    struct http *http = served->http;
    const int more = http->close ? FLOW_WRITE_MORE : 0;

    while (http->out_at < http->out_len) {
        ssize_t done = count_sent(served, flow_write(&served->flow, http->out + http->out_at,
                                                     http->out_len - http->out_at, more));
        if (done <= 0)
            return false;
        http->out_at += (size_t)done;
    }
    if (http->close && http->out_len) {
        http->out_len = http->out_at = 0;
        flow_shutdown(&served->flow);
    }
    return true;
}

static ssize_t take_http(struct serve_flow *served, const struct iovec *iov)
{
    struct http *http = served->http;
    const char *data = iov->iov_base;
    size_t at = 0;

    while (at < iov->iov_len) {
        enum http_wants wants;
        if (!http_flush(served))
            break;
        if (http->close) /* whatever still comes is not answered */
            return (ssize_t)iov->iov_len;
        at += http_server_take(&http->server, data + at, iov->iov_len - at, &wants);
        http_do(served, wants);
        (void)http_flush(served);
    }
    return (ssize_t)at;
}

/* ---- events ---- */

static void serve_read(struct serve_flow *served)
{
    static ssize_t (*const takes[])(struct serve_flow *, const struct iovec *) = {
        [SERVE_ECHO] = take_echo, [SERVE_DISCARD] = take_discard, [SERVE_HTTP] = take_http};

    if (served->http)
        (void)http_flush(served);
    each_received(served, takes[served->serve->kind]);
}

static void serve_read_datagrams(struct serve_flow *served)
{
    struct iovec iov[PEEK_VECTORS];
    uint8_t datagram[65536];
    int count;

    while ((count = flow_peek(&served->flow, iov, PEEK_VECTORS)) > 0) {
        size_t len = MIN(iov_total(iov, count), sizeof(datagram));
        if (served->serve->kind == SERVE_ECHO) {
            iov_gather(iov, count, datagram);
            (void)count_sent(served, flow_write(&served->flow, datagram, len, 0));
        }
        served->serve->bytes_received += len;
        flow_consume(&served->flow, len);
    }
    struct serve *serve = served->serve;
    (void)timer_arm(serve->flows->timers, &served->idle, serve->flows->now_ns + UDP_IDLE_NS);
    list_remove(&served->node); /* the oldest come first */
    list_add_tail(&serve->open, &served->node);
    if (serve->open_count > UDP_CALLERS_MAX)
        serve_end(list_entry(serve->open.next, struct serve_flow, node));
}

static void serve_event(struct flow *flow, unsigned events)
{
    struct serve_flow *served = (struct serve_flow *)(void *)flow;

    if (!served->serve)
        return;
    served->serve->accepted += (events & FLOW_ACCEPTED) != 0;
    if (flow_is_udp(flow)) {
        serve_read_datagrams(served);
        return;
    }
    served->eof |= (events & FLOW_EOF) != 0;
    if (events & FLOW_END) {
        serve_end(served);
        return;
    }
    if (events & (FLOW_READABLE | FLOW_WRITABLE | FLOW_EOF))
        serve_read(served);
    if (served->eof && !flow_unread(flow) &&
        (!served->http || served->http->out_at == served->http->out_len))
        flow_shutdown(flow);
}

static void idle_fire(struct timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    serve_end(list_entry(timer, struct serve_flow, idle));
}

static const struct flow_ops serve_ops = {.event = serve_event, .release = serve_release};

struct flow *serve_accept(struct serve *serve, const struct stack_tuple *tuple)
{
    struct serve_flow *served = calloc(1, sizeof(*served));
    struct http *http = serve->kind == SERVE_HTTP ? calloc(1, sizeof(*http)) : NULL;

    if (!served || (serve->kind == SERVE_HTTP && !http)) {
        free(served);
        free(http);
        return NULL;
    }
    served->serve = serve;
    served->tuple = *tuple;
    served->http = http;
    timer_init(&served->idle, idle_fire);
    list_add_tail(&serve->open, &served->node);
    serve->open_count++;
    flow_init_accepted(&served->flow, serve->flows, &serve_ops);
    return &served->flow;
}
