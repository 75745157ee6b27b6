/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SCRIPTED_H
#define SCRIPTED_H

/*
 * The test plays the rest of the world: it sends one frame at a time and looks at the exact answer.
 */
#include "support/craft.h"
#include "support/simtest.h"

enum { APP_PORT = 40000 };
#define APP_ISN UINT32_C(0x7fffff00) /* the numbers pass the border of signed ones */
static const char app_v4[] = "192.0.2.1", app_v6[] = "2001:db8::1";

static inline struct simnet *begin(const char *peers, enum frame_layer layer)
{
    struct simnet_config config = {.peers = peers, .layer = layer};

    return simnet_new(&config);
}

static inline struct simnet *begin_v4(void)
{
    return begin("198.18.0.2-198.18.0.9", FRAME_IP);
}

static inline struct craft_tcp segment(const char *peer, uint16_t port, uint8_t flags, uint32_t seq,
                                       uint32_t ack)
{
    bool v6 = strchr(peer, ':') != NULL;

    return (struct craft_tcp){.src = simnet_addr(v6 ? app_v6 : app_v4),
                              .dst = simnet_addr(peer),
                              .src_port = APP_PORT,
                              .dst_port = port,
                              .flags = flags,
                              .seq = seq,
                              .ack = ack,
                              .window = 60000};
}

static inline void put_tcp(struct simnet *net, const struct craft_tcp *tcp)
{
    static struct crafted frame;

    craft_tcp_frame(&frame, tcp);
    simnet_put(net, frame.bytes, frame.len, NULL);
}

/* The next frame of the stack must be a segment. */
static inline struct craft_tcp take_tcp(struct simnet *net)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};

    assert_true(simnet_take(net, &frame));
    if (!(frame.offload.flags & FRAME_NEEDS_CSUM)) /* or the device makes it */
        assert_true(checksum_verify(frame.data, frame.len, &frame.packet));
    assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
    tcp.payload = NULL; /* the frame goes with the next one */
    return tcp;
}

static inline void assert_silent(struct simnet *net)
{
    struct simnet_frame frame;

    assert_false(simnet_take(net, &frame));
}

/* An accepted connection; `*ret` is the peer's answer, whose ack and seq are the starting
   points. */
static inline struct end *accept_one(struct simnet *net, const char *peer, struct craft_tcp *ret)
{
    struct craft_tcp tcp = segment(peer, 80, CRAFT_SYN, APP_ISN, 0);

    tcp.mss = 1460;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &tcp);
    *ret = take_tcp(net);
    tcp = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, ret->seq + 1);
    put_tcp(net, &tcp);
    struct end *end = simnet_accepted(net);
    assert_non_null(end);
    assert_true(end_is_open(end));
    assert_silent(net);
    return end;
}

#endif
