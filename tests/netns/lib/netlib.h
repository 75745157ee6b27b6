/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef NETLIB_H
#define NETLIB_H

/* The library as its callers have it, on a real device in a namespace of its own. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include <peer/peer.h>

#include "support/netns.h"

#define NETLIB_HOST "192.0.2.1"
enum { NETLIB_PORT = 80 };

static inline struct peer_addr netlib_addr(const char *text)
{
    struct peer_addr addr = {0};

    assert_int_equal(peer_addr_parse(text, &addr), 0);
    return addr;
}

static inline struct peer_net *netlib_new(const struct peer_net_config *config)
{
    struct peer_error error = {0};
    struct peer_net *net = NULL;

    if (peer_net_new(config, &net, &error) < 0)
        fail_msg("%s", error.text);
    return net;
}

/** Ten peers beside an isolated host. */
static inline struct peer_net *netlib_isolated(void)
{
    return netlib_new(&(struct peer_net_config){
        .isolate = true, .local = NETLIB_HOST "/24", .from = "198.18.0.1-198.18.0.10", .seed = 7});
}

/** A server's socket of this process on the host, that listens. */
static inline int netlib_server(struct peer_net *net, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct peer_error error = {0};

    int fd = peer_net_socket(net, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, &error);
    if (fd < 0)
        fail_msg("%s", error.text);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 100) < 0)
        fail_msg("port %d: %s", port, strerror(errno));
    return fd;
}

static inline struct peer_flow *netlib_connect(struct peer_net *net, uint16_t port)
{
    const struct peer_connect_config config = {.to = netlib_addr(NETLIB_HOST), .to_port = port};
    struct peer_flow *flow = NULL;

    assert_int_equal(peer_connect(net, &config, &flow, NULL), 0);
    return flow;
}

/** Waits for the next event of this kind, and passes over others. */
static inline struct peer_event netlib_await(struct peer_net *net, enum peer_event_type type)
{
    struct peer_event event = {.type = PEER_EVENT_NONE};

    for (;;) {
        while (peer_net_pop_event(net, &event)) {
            if (event.type == type)
                return event;
            if (event.type == PEER_EVENT_CLOSED)
                fail_msg("closed (%d), waiting for %d", event.end, type);
        }
        assert_int_equal(peer_net_wait(net, UINT64_MAX), 0);
    }
}

#endif
