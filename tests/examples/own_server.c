/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A test of a server in the test's own process: ten remote machines say hello to it; one of them
 * vanishes in the middle of its request, and one resets. No root is needed.
 *
 *     $ cc -o own_server own_server.c $(pkg-config --cflags --libs peer cmocka)
 *     $ ./own_server
 *     [       OK ] ten_machines_and_two_bad_ones
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <peer/manner.h>
#include <peer/process.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PEERS = 10, PORT = 7, VANISHES = 3, RESETS = 5 };

/* ---- the server under test: says back what it hears, and counts how its callers ended ---- */

struct server {
    int listener, callers[PEERS];
    int count, ended, broken;
};

static void server_open(struct server *server, struct peer_net *net)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct peer_error error = {0};

    *server = (struct server){0};
    server->listener = peer_net_socket(net, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, &error);
    if (server->listener < 0)
        fail_msg("%s", error.text);
    inet_pton(AF_INET, "192.0.2.1", &at.sin_addr);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(server->listener, PEERS), 0);
}

static void server_hear(struct server *server, int *caller)
{
    char bytes[100];
    ssize_t len = recv(*caller, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (len > 0) /* who has reset is told so */
        len = send(*caller, bytes, (size_t)len, MSG_NOSIGNAL);
    if (len == 0 || (len < 0 && errno != EAGAIN)) {
        server->ended++;
        server->broken += len < 0;
        close(*caller);
        *caller = -1;
    }
}

static void server_close(struct server *server)
{
    for (int i = 0; i < server->count; i++) {
        if (server->callers[i] >= 0)
            close(server->callers[i]);
    }
    close(server->listener);
}

static void server_turn(struct server *server)
{
    int caller;

    while ((caller = accept(server->listener, NULL, NULL)) >= 0)
        server->callers[server->count++] = caller;
    for (int i = 0; i < server->count; i++) {
        if (server->callers[i] >= 0)
            server_hear(server, &server->callers[i]);
    }
}

/* ---- the test ---- */

struct remote {
    struct peer_flow *flow;
    char heard[16];
    size_t len;
    enum peer_end end;
};

static void act(struct remote *remote, const struct peer_event *event)
{
    struct iovec iov;

    if (event->type == PEER_EVENT_CONNECTED)
        assert_int_equal(peer_flow_write(event->flow, "hello", 5), 5);
    while (event->type == PEER_EVENT_READABLE && peer_flow_peek(event->flow, &iov, 1) > 0) {
        memcpy(remote->heard + remote->len, iov.iov_base, iov.iov_len);
        remote->len += iov.iov_len;
        peer_flow_consume(event->flow, iov.iov_len);
        if (remote->len == 5)
            peer_flow_close(event->flow);
    }
    if (event->type == PEER_EVENT_CLOSED)
        remote->end = event->end;
}

static void call(struct peer_net *net, struct remote *remote, int i)
{
    const struct peer_connect_config config = {
        .to = {4, {192, 0, 2, 1}},
        .to_port = PORT,
        .manners = i == VANISHES ? "vanish" : i == RESETS ? "reset" : NULL,
        .user = remote,
    };
    struct peer_error error = {0};

    if (peer_connect(net, &config, &remote->flow, &error) < 0)
        fail_msg("%s", error.text);
}

static void ten_machines_and_two_bad_ones(void **state)
{
    const struct peer_net_config config = {
        .from = "198.18.0.1-198.18.0.10", .local = "192.0.2.1/24", .isolate = true};
    struct remote remotes[PEERS] = {0};
    struct peer_error error = {0};
    struct peer_event event;
    struct server server;
    struct peer_net *net;
    int well = 0;

    (void)state;
    if (peer_net_new(&config, &net, &error) < 0)
        fail_msg("%s", error.text);
    server_open(&server, net);
    for (int i = 0; i < PEERS; i++)
        call(net, &remotes[i], i);
    /* All but the one that vanished come to an end. */
    while (server.ended < PEERS - 1 || well < PEERS - 2) {
        assert_int_equal(peer_net_wait(net, 1000000), 0);
        server_turn(&server);
        while (peer_net_pop_event(net, &event)) {
            act(peer_flow_user(event.flow), &event);
            well += event.type == PEER_EVENT_CLOSED && event.end == PEER_END_CLOSED;
        }
    }
    assert_int_equal(server.count, PEERS);
    assert_int_equal(server.broken, 1); /* the one that reset */
    for (int i = 0; i < PEERS; i++) {
        if (i != VANISHES && i != RESETS)
            assert_memory_equal(remotes[i].heard, "hello", 5);
        peer_flow_free(remotes[i].flow);
    }
    server_close(&server);
    peer_net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ten_machines_and_two_bad_ones)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
