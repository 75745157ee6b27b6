/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The net in libuv's loop, beside a server and a timer that are libuv's own. A peer calls the server
 * ten times, a hundredth of a second apart. No root is needed.
 *
 *     $ cc -o loop_libuv loop_libuv.c $(pkg-config --cflags --libs peer libuv)
 *     $ ./loop_libuv
 *     10 calls, 10 ended in order
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <peer/peer.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { CALLS = 10, PORT = 7 };

static struct peer_net *net;
static uv_poll_t peers;
static uv_timer_t beat;
static uv_tcp_t server;
static int called, ended, failed;

/* uv_run returns when nothing is open any more. */
static void stop(void)
{
    uv_close((uv_handle_t *)&peers, NULL);
    uv_close((uv_handle_t *)&beat, NULL);
    uv_close((uv_handle_t *)&server, NULL);
}

/* ---- the peers ---- */

static void take_events(uv_poll_t *handle, int status, int events)
{
    struct peer_event event;

    (void)handle, (void)events;
    if (status < 0 || peer_net_dispatch(net) < 0)
        failed = 1;
    while (peer_net_pop_event(net, &event)) {
        if (event.type == PEER_EVENT_EOF)
            peer_flow_close(event.flow);
        if (event.type == PEER_EVENT_CLOSED) {
            ended += event.end == PEER_END_CLOSED;
            failed |= event.end != PEER_END_CLOSED;
            peer_flow_free(event.flow);
        }
    }
    if ((failed || ended == CALLS) && !uv_is_closing((uv_handle_t *)&peers))
        stop();
}

static void call(uv_timer_t *timer)
{
    const struct peer_connect_config config = {.to = {4, {192, 0, 2, 1}}, .to_port = PORT};
    struct peer_error error = {0};
    struct peer_flow *flow;

    if (peer_connect(net, &config, &flow, &error) < 0) {
        fprintf(stderr, "loop: %s\n", error.text);
        failed = 1;
    }
    if (++called == CALLS || failed)
        uv_timer_stop(timer);
}

/* ---- the server under test ---- */

static void forget(uv_handle_t *caller)
{
    free(caller);
}

static void serve(uv_stream_t *listener, int status)
{
    uv_tcp_t *caller = malloc(sizeof(*caller));

    if (status < 0 || !caller)
        abort();
    uv_tcp_init(listener->loop, caller);
    uv_accept(listener, (uv_stream_t *)caller);
    uv_close((uv_handle_t *)caller, forget); /* a short service */
}

/* A socket that was made in the peers' namespace is libuv's from then on. */
static int open_server(uv_loop_t *loop, struct peer_error *error)
{
    struct sockaddr_in at;
    int fd = peer_net_socket(net, AF_INET, SOCK_STREAM, 0, error);

    if (fd < 0)
        return fd;
    uv_ip4_addr("192.0.2.1", PORT, &at);
    uv_tcp_init(loop, &server);
    uv_tcp_open(&server, fd);
    uv_tcp_bind(&server, (struct sockaddr *)&at, 0);
    return uv_listen((uv_stream_t *)&server, CALLS, serve);
}

int main(void)
{
    const struct peer_net_config config = {
        .from = "198.18.0.1", .local = "192.0.2.1/24", .isolate = true};
    struct peer_error error = {.text = "the server cannot listen"};
    uv_loop_t *loop = uv_default_loop();

    if (peer_net_new(&config, &net, &error) < 0 || open_server(loop, &error) < 0) {
        fprintf(stderr, "loop: %s\n", error.text);
        peer_net_free(net);
        return 1;
    }
    uv_poll_init(loop, &peers, peer_net_fd(net));
    uv_poll_start(&peers, UV_READABLE, take_events);
    uv_timer_init(loop, &beat);
    uv_timer_start(&beat, call, 10, 10);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    printf("%d calls, %d ended in order\n", called, ended);
    peer_net_free(net); /* after the loop: the descriptor that it polled is the net's */
    return failed;
}
