/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The net in libevent's loop, beside a server and a timer that are libevent's own. A peer calls the
 * server ten times, a hundredth of a second apart. No root is needed.
 *
 *     $ cc -o loop_libevent loop_libevent.c $(pkg-config --cflags --libs peer libevent)
 *     $ ./loop_libevent
 *     10 calls, 10 ended in order
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <peer/peer.h>
#include <stdio.h>
#include <unistd.h>

enum { CALLS = 10, PORT = 7 };

struct test {
    struct event_base *base;
    struct event *peers, *beat;
    struct evconnlistener *server;
    struct peer_net *net;
    int called, ended, failed;
};

/* ---- the peers ---- */

static void take_events(evutil_socket_t fd, short what, void *arg)
{
    struct test *test = arg;
    struct peer_event event;

    (void)fd, (void)what;
    if (peer_net_dispatch(test->net) < 0)
        test->failed = 1;
    while (peer_net_pop_event(test->net, &event)) {
        if (event.type == PEER_EVENT_EOF)
            peer_flow_close(event.flow);
        if (event.type == PEER_EVENT_CLOSED) {
            test->ended += event.end == PEER_END_CLOSED;
            test->failed |= event.end != PEER_END_CLOSED;
            peer_flow_free(event.flow);
        }
    }
    if (test->failed || test->ended == CALLS)
        event_base_loopbreak(test->base);
}

static void call(evutil_socket_t fd, short what, void *arg)
{
    const struct peer_connect_config config = {.to = {4, {192, 0, 2, 1}}, .to_port = PORT};
    struct peer_error error = {0};
    struct test *test = arg;
    struct peer_flow *flow;

    (void)fd, (void)what;
    if (peer_connect(test->net, &config, &flow, &error) < 0) {
        fprintf(stderr, "loop: %s\n", error.text);
        test->failed = 1;
    }
    if (++test->called == CALLS || test->failed)
        event_del(test->beat);
}

/* ---- the server under test ---- */

static void serve(struct evconnlistener *listener, evutil_socket_t caller, struct sockaddr *address,
                  int len, void *arg)
{
    (void)listener, (void)address, (void)len, (void)arg;
    evutil_closesocket(caller); /* a short service */
}

/* A socket that was made in the peers' namespace; libevent listens at it, and closes it. */
static int open_server(struct test *test, struct peer_error *error)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = peer_net_socket(test->net, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, error);

    if (fd < 0)
        return -1;
    inet_pton(AF_INET, "192.0.2.1", &at.sin_addr);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
        test->server =
            evconnlistener_new(test->base, serve, test, LEV_OPT_CLOSE_ON_FREE, CALLS, fd);
    if (!test->server)
        close(fd);
    return test->server ? 0 : -1;
}

int main(void)
{
    const struct peer_net_config config = {
        .from = "198.18.0.1", .local = "192.0.2.1/24", .isolate = true};
    const struct timeval often = {.tv_usec = 10000};
    struct peer_error error = {.text = "the server cannot listen"};
    struct test test = {.base = event_base_new()};

    if (!test.base || peer_net_new(&config, &test.net, &error) < 0 ||
        open_server(&test, &error) < 0) {
        fprintf(stderr, "loop: %s\n", error.text);
        return 1;
    }
    test.peers =
        event_new(test.base, peer_net_fd(test.net), EV_READ | EV_PERSIST, take_events, &test);
    test.beat = event_new(test.base, -1, EV_PERSIST, call, &test);
    event_add(test.peers, NULL);
    event_add(test.beat, &often);
    event_base_dispatch(test.base);
    printf("%d calls, %d ended in order\n", test.called, test.ended);
    event_free(test.beat);
    event_free(test.peers);
    evconnlistener_free(test.server);
    event_base_free(test.base);
    peer_net_free(test.net); /* after the events: the descriptor that was polled is the net's */
    return test.failed;
}
