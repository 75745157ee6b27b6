/* SPDX-License-Identifier: BSD-3-Clause */
/* Which peer and port a flow gets, how long it lives, and who goes when the table is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rewriting.h"

#define PEERS  "198.18.0.1-198.18.0.9"
#define INSIDE "198.18.0.1"
#define TARGET "192.0.2.80"
#define OTHER  "192.0.2.81"

static struct crafted packet;

/* Sends, and says by whom it left: the last byte of the peer's address. */
static int send_udp(struct world *world, unsigned side, uint16_t port, const char *to)
{
    make_udp(&packet, (struct ends){INSIDE, port, to, 53});
    int status = world_move(world, (int)side, &packet, NULL);
    return status < 0 ? status : packet.bytes[15];
}

static int send_tcp(struct world *world, uint16_t port, uint8_t flags)
{
    make_tcp(&packet, (struct ends){INSIDE, port, TARGET, 80}, flags);
    int status = world_move(world, 0, &packet, NULL);
    return status < 0 ? status : packet.bytes[15];
}

/* From the application to the peer that the latest flow has. */
static int answer_tcp(struct world *world, const struct rewrite_flow *flow, uint8_t flags)
{
    struct peer_addr peer = rewrite_addr(flow, flow->peer);
    char text[PEER_ADDR_TEXT];

    peer_addr_format(&peer, text);
    make_tcp(&packet, (struct ends){TARGET, 80, text, flow->outside_port}, flags);
    return world_move(world, -1, &packet, NULL);
}

static struct rewrite_flow *open_tcp(struct world *world, uint16_t port)
{
    assert_true(send_tcp(world, port, CRAFT_SYN) > 0);
    struct rewrite_flow *flow = world->flow;
    assert_int_equal(flow->state, REWRITE_OPENING);
    assert_int_equal(answer_tcp(world, flow, CRAFT_SYN | CRAFT_ACK), 0);
    assert_int_equal(flow->state, REWRITE_OPENING);
    assert_true(send_tcp(world, port, CRAFT_ACK) > 0);
    assert_int_equal(flow->state, REWRITE_OPEN);
    return flow;
}

/* ---- peers ---- */

static void each_connection_has_the_next_peer(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    for (int i = 0; i < 20; i++)
        assert_int_equal(send_udp(&world, 0, (uint16_t)(40000 + i), TARGET), 1 + i % 9);
    assert_int_equal(send_udp(&world, 0, 40000, TARGET), 1);
    assert_int_equal(send_udp(&world, 0, 40000, OTHER), 3); /* another 5-tuple */
    world_end(&world);
}

static void each_destination_has_one_peer(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){.spread = REWRITE_DESTINATION});
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_udp(&world, 0, (uint16_t)(40000 + i), TARGET), 1);
        assert_int_equal(send_udp(&world, 0, (uint16_t)(40000 + i), OTHER), 2);
    }
    world_pass(&world, 3600 * NS_PER_S);
    assert_int_equal(world_stats(&world).flows, 0);
    assert_int_equal(send_udp(&world, 0, 40000, OTHER), 2);
    world_end(&world);
}

static void a_run_has_one_peer(void **state)
{
    const struct rewrite_side sides[] = {{0, 3}, {3, 6}};
    struct world world;

    (void)state;
    world_begin(&world, PEERS,
                (struct rewrite_config){.spread = REWRITE_RUN, .sides = sides, .side_count = 2});
    for (int i = 0; i < 5; i++) {
        assert_int_equal(send_udp(&world, 0, (uint16_t)(40000 + i), TARGET), 1);
        assert_int_equal(send_udp(&world, 1, (uint16_t)(40000 + i), OTHER), 4);
    }
    world_end(&world);
}

static void sides_take_from_their_own_slice(void **state)
{
    const struct rewrite_side sides[] = {{0, 2}, {2, 3}};
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){.sides = sides, .side_count = 2});
    for (int i = 0; i < 6; i++) {
        assert_int_equal(send_udp(&world, 0, (uint16_t)(40000 + i), TARGET), 1 + i % 2);
        assert_int_equal(send_udp(&world, 1, (uint16_t)(40000 + i), TARGET), 3 + i % 3);
        assert_int_equal(world.flow->side, 1);
    }
    world_end(&world);
}

static void slices_outside_the_peers_are_refused(void **state)
{
    static const struct rewrite_side bad[] = {{0, 0}, {0, 3}, {1, 2}, {3, 1}, {2, UINT64_MAX}};
    struct addr_set peers;
    struct rewrite *rewrite;

    (void)state;
    assert_int_equal(addr_set_parse("198.18.0.1-198.18.0.2", &peers, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct rewrite_config config = {
            .peers = &peers, .sides = &bad[i], .side_count = 1, .max_flows = 1};
        assert_int_equal(rewrite_new(&config, &rewrite), -EINVAL);
    }
    addr_set_done(&peers);
}

/* ---- ports ---- */

/* RFC 4787 REQ-1 as far as it goes: one outside port of a socket towards everybody. */
static void a_socket_keeps_its_port_towards_all(void **state)
{
    static const enum rewrite_spread spreads[] = {REWRITE_CONNECTION, REWRITE_DESTINATION,
                                                  REWRITE_RUN};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(spreads); i++) {
        struct world world;
        world_begin(&world, PEERS, (struct rewrite_config){.spread = spreads[i]});
        for (int to = 1; to < 30; to++) {
            char text[PEER_ADDR_TEXT];
            snprintf(text, sizeof(text), "192.0.2.%d", to);
            assert_true(send_udp(&world, 0, 40000, text) > 0);
            assert_int_equal(world.flow->outside_port, 40000);
        }
        world_end(&world);
    }
}

/* Two addresses of the program's machine, one peer: every port is used before one is missing. */
static void ports_are_found_until_none_is_left(void **state)
{
    enum { PORTS = 65536 - 1024 };
    struct world world;

    (void)state;
    world_begin(&world, "198.18.0.1", (struct rewrite_config){.max_flows = 70000});
    for (int port = 1024; port < 65536 - 2; port++)
        assert_int_equal(send_udp(&world, 0, (uint16_t)port, TARGET), 1);
    for (int i = 0; i < 3; i++) {
        make_udp(&packet, (struct ends){"198.18.0.77", 2000, TARGET, 53});
        packet.bytes[20] = (uint8_t)(0x20 + i); /* another source port */
        assert_int_equal(world_move(&world, 0, &packet, NULL), i < 2 ? 0 : -EADDRINUSE);
        if (i < 2)
            assert_true(world.flow->outside_port >= 65534);
    }
    assert_int_equal(world_stats(&world).no_port, 1);
    assert_int_equal(world_stats(&world).flows, PORTS);
    world_end(&world);
}

/* ---- TCP ---- */

static void a_segment_that_opens_nothing_is_unknown(void **state)
{
    static const uint8_t flags[] = {CRAFT_ACK, CRAFT_SYN | CRAFT_ACK, CRAFT_RST, CRAFT_FIN, 0};
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        assert_int_equal(send_tcp(&world, 40000, flags[i]), -ENOENT);
    assert_int_equal(world.begun, 0);
    world_end(&world);
}

/* Only an answer and its acknowledgement open a connection. */
static void a_connection_opens_with_a_handshake(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    assert_int_equal(send_tcp(&world, 40000, CRAFT_SYN), 1);
    struct rewrite_flow *flow = world.flow;
    assert_int_equal(send_tcp(&world, 40000, CRAFT_ACK), 1);
    assert_int_equal(answer_tcp(&world, flow, CRAFT_ACK), 0); /* of an earlier life of the port */
    assert_int_equal(send_tcp(&world, 40000, CRAFT_ACK), 1);
    assert_int_equal(flow->state, REWRITE_OPENING);
    assert_int_equal(answer_tcp(&world, flow, CRAFT_SYN | CRAFT_ACK), 0);
    assert_int_equal(send_tcp(&world, 40000, CRAFT_SYN), 1);
    assert_int_equal(flow->state, REWRITE_OPENING);
    assert_int_equal(send_tcp(&world, 40000, CRAFT_ACK), 1);
    assert_int_equal(flow->state, REWRITE_OPEN);
    world_end(&world);
}

static void a_connection_closes_with_both_fins_or_a_reset(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    struct rewrite_flow *flow = open_tcp(&world, 40000);
    assert_int_equal(send_tcp(&world, 40000, CRAFT_FIN | CRAFT_ACK), 1);
    assert_int_equal(flow->state, REWRITE_OPEN); /* half closed: a download may take its time */
    assert_int_equal(answer_tcp(&world, flow, CRAFT_FIN | CRAFT_ACK), 0);
    assert_int_equal(flow->state, REWRITE_CLOSING);

    flow = open_tcp(&world, 40001);
    assert_int_equal(answer_tcp(&world, flow, CRAFT_RST), 0);
    assert_int_equal(flow->state, REWRITE_CLOSING);
    flow = open_tcp(&world, 40002);
    assert_int_equal(send_tcp(&world, 40002, CRAFT_RST), 3);
    assert_int_equal(flow->state, REWRITE_CLOSING);
    world_end(&world);
}

/* RFC 5961: the receiver may not believe it; then the connection goes on. */
static void a_reset_that_nobody_heeds_ends_nothing(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    struct rewrite_flow *flow = open_tcp(&world, 40000);
    assert_int_equal(answer_tcp(&world, flow, CRAFT_RST), 0);
    assert_int_equal(send_tcp(&world, 40000, CRAFT_ACK), 1);
    assert_int_equal(send_tcp(&world, 40000, CRAFT_ACK), 1);
    assert_int_equal(flow->state, REWRITE_CLOSING); /* may have been on the way */
    assert_int_equal(answer_tcp(&world, flow, CRAFT_ACK), 0);
    assert_int_equal(flow->state, REWRITE_OPEN);
    world_pass(&world, 120 * NS_PER_S);
    assert_int_equal(world_stats(&world).flows, 1);
    world_end(&world);
}

static void a_syn_after_the_end_is_a_new_flow(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    assert_int_equal(send_tcp(&world, 40000, CRAFT_SYN), 1);
    assert_int_equal(send_tcp(&world, 40000, CRAFT_SYN), 1); /* sent again */
    assert_int_equal(answer_tcp(&world, world.flow, CRAFT_RST | CRAFT_ACK), 0);
    assert_int_equal(send_tcp(&world, 40000, CRAFT_SYN), 2);
    assert_int_equal(world.begun, 2);
    assert_int_equal(world.ended, 1);
    world_end(&world);
}

/* ---- time ---- */

enum life {
    SYN_SENT,
    SYN_ANSWERED,
    ESTABLISHED,
    HALF_CLOSED,
    CLOSED,
    RESET,
    UDP,
    UDP_ANSWERED,
    ECHO
};

static void live(struct world *world, enum life life)
{
    struct rewrite_flow *flow;

    if (life == UDP || life == UDP_ANSWERED) {
        assert_int_equal(send_udp(world, 0, 40000, TARGET), 1);
        if (life == UDP_ANSWERED)
            assert_int_equal(world_answer(world, &packet, 0), 0);
        return;
    }
    if (life == ECHO) {
        make_echo(&packet, (struct ends){INSIDE, 7, TARGET, 0}, false);
        assert_int_equal(world_move(world, 0, &packet, NULL), 0);
        return;
    }
    if (life == SYN_SENT || life == SYN_ANSWERED) {
        assert_int_equal(send_tcp(world, 40000, CRAFT_SYN), 1);
        if (life == SYN_ANSWERED)
            assert_int_equal(answer_tcp(world, world->flow, CRAFT_SYN | CRAFT_ACK), 0);
        return;
    }
    flow = open_tcp(world, 40000);
    if (life == HALF_CLOSED || life == CLOSED)
        assert_int_equal(answer_tcp(world, flow, CRAFT_FIN | CRAFT_ACK), 0);
    if (life == CLOSED)
        assert_int_equal(send_tcp(world, 40000, CRAFT_FIN | CRAFT_ACK), 1);
    if (life == RESET)
        assert_int_equal(send_tcp(world, 40000, CRAFT_RST), 1);
}

static void flows_age_by_what_they_are(void **state)
{
    static const struct {
        enum life life;
        uint64_t seconds;
    } cases[] = {
        {SYN_SENT, 240},     {SYN_ANSWERED, 240}, {ESTABLISHED, 7440},
        {HALF_CLOSED, 7440}, {CLOSED, 60},        {RESET, 60},
        {UDP, 300},          {UDP_ANSWERED, 300}, {ECHO, 60},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world world;
        world_begin(&world, PEERS, (struct rewrite_config){0});
        live(&world, cases[i].life);
        world_pass(&world, cases[i].seconds * NS_PER_S - 1);
        assert_int_equal(world_stats(&world).flows, 1);
        world_pass(&world, NS_PER_S + 1);
        assert_int_equal(world_stats(&world).flows, 0);
        assert_int_equal(world_stats(&world).aged, 1);
        assert_int_equal(world.timers.count, 0); /* an empty table wakes nobody */
        world_end(&world);
    }
}

static void packets_both_ways_keep_a_flow(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    for (int i = 0; i < 20; i++) {
        assert_int_equal(send_udp(&world, 0, 40000, TARGET), 1);
        world_pass(&world, 290 * NS_PER_S);
        assert_int_equal(world_answer(&world, &packet, 0), 0);
        world_pass(&world, 290 * NS_PER_S);
    }
    assert_int_equal(world.begun, 1);
    world_pass(&world, 11 * NS_PER_S);
    assert_int_equal(world.ended, 1);
    world_end(&world);
}

/* Flows of all ages at once; each goes in its own second. */
static void each_goes_in_its_own_time(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    for (int i = 0; i < 400; i++) {
        assert_true(send_udp(&world, 0, (uint16_t)(40000 + i), TARGET) > 0);
        assert_int_equal(world_stats(&world).flows, i < 301 ? i + 1 : 301);
        world_pass(&world, NS_PER_S);
    }
    world_end(&world);
}

/* However many are over at once, packets do not wait for all of them to go. */
static void a_crowd_goes_by_and_by(void **state)
{
    enum { CROWD = 10000 };

    (void)state;
    for (int open = 0; open < 2; open++) {
        struct world world;
        int calls = 1;
        world_begin(&world, PEERS, (struct rewrite_config){.max_flows = CROWD});
        for (int i = 0; i < CROWD; i++) {
            if (open)
                open_tcp(&world, (uint16_t)(1024 + i));
            else
                assert_true(send_udp(&world, 0, (uint16_t)(1024 + i), TARGET) > 0);
        }
        world_pass(&world, 290 * NS_PER_S); /* connections are looked at, having been half open */
        world.now_ns += (open ? 7440u - 289 : 300u - 289) * NS_PER_S;
        assert_int_equal(timers_run(&world.timers, world.now_ns, 100), 1);
        assert_in_range(world_stats(&world).flows, CROWD / 2, CROWD - 1);
        for (; world_stats(&world).flows; calls++)
            world_pass(&world, NS_PER_MS);
        assert_in_range(calls, 2, 10);
        world_end(&world);
    }
}

/* ---- a full table ---- */

static void what_is_over_goes_first_when_full(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){.max_flows = 4});
    assert_int_equal(send_tcp(&world, 1, CRAFT_SYN), 1);
    open_tcp(&world, 2);
    assert_int_equal(send_udp(&world, 0, 3, TARGET), 3);
    assert_int_equal(world_answer(&world, &packet, 0), 0);
    open_tcp(&world, 4);
    assert_int_equal(send_tcp(&world, 4, CRAFT_RST), 4);

    assert_int_equal(send_tcp(&world, 5, CRAFT_SYN), 5); /* instead of the reset one */
    assert_int_equal(send_tcp(&world, 4, CRAFT_ACK), -ENOENT);
    assert_int_equal(send_tcp(&world, 1, CRAFT_SYN), 1);
    assert_int_equal(send_tcp(&world, 6, CRAFT_SYN), 6); /* of the unanswered ones the older */
    assert_int_equal(send_tcp(&world, 1, CRAFT_ACK), -ENOENT);
    assert_int_equal(send_tcp(&world, 5, CRAFT_SYN), 5);
    assert_int_equal(world_stats(&world).pushed_out, 2);
    assert_int_equal(world_stats(&world).flows_most, 4);
    world_end(&world);
}

static void an_open_connection_is_never_pushed_out(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){.max_flows = 3});
    for (int i = 0; i < 3; i++)
        open_tcp(&world, (uint16_t)(100 + i));
    assert_int_equal(send_tcp(&world, 200, CRAFT_SYN), -ENOSPC);
    assert_int_equal(send_udp(&world, 0, 200, TARGET), -ENOSPC);
    assert_int_equal(world_stats(&world).full, 2);
    for (int i = 0; i < 3; i++)
        assert_true(send_tcp(&world, (uint16_t)(100 + i), CRAFT_ACK) > 0);
    world_end(&world);
}

/* Of UDP flows with an answer the idle one goes, not the busy. */
static void an_idle_datagram_flow_makes_room(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){.max_flows = 2});
    for (uint16_t port = 1; port <= 2; port++) {
        assert_int_equal(send_udp(&world, 0, port, TARGET), port);
        assert_int_equal(world_answer(&world, &packet, 0), 0);
    }
    world_pass(&world, 60 * NS_PER_S);
    assert_int_equal(send_udp(&world, 0, 1, TARGET), 1);
    assert_int_equal(send_udp(&world, 0, 3, TARGET), 3);
    assert_int_equal(send_udp(&world, 0, 1, TARGET), 1);
    assert_int_equal(world.begun, 3);
    world_end(&world);
}

/* Somebody's datagrams do not end with another's beginning; a second later they may be over. */
static void a_busy_datagram_flow_is_not_pushed_out(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){.max_flows = 2});
    for (uint16_t port = 1; port <= 2; port++) {
        assert_int_equal(send_udp(&world, 0, port, TARGET), port);
        assert_int_equal(world_answer(&world, &packet, 0), 0);
        world_pass(&world, NS_PER_MS);
    }
    assert_int_equal(send_udp(&world, 0, 3, TARGET), -ENOSPC);
    world_pass(&world, NS_PER_S - 2 * NS_PER_MS);
    assert_int_equal(send_udp(&world, 0, 3, TARGET), 4); /* the refused one had its turn */
    assert_int_equal(send_udp(&world, 0, 2, TARGET), 2);
    assert_int_equal(world.ended, 1);
    world_end(&world);
}

/* ---- roaming ---- */

static int come_back(struct world *world, int peer, uint16_t port)
{
    char text[PEER_ADDR_TEXT];

    snprintf(text, sizeof(text), "198.18.0.%d", peer);
    make_udp(&packet, (struct ends){TARGET, 53, text, port});
    return world_move(world, -1, &packet, NULL);
}

static void a_flow_that_roams_goes_on_from_another_peer(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    assert_int_equal(send_udp(&world, 0, 40000, TARGET), 1);
    struct rewrite_flow *flow = world.flow;
    assert_int_equal(rewrite_roam(world.rewrite, flow, world.now_ns), 0);
    assert_int_equal(flow->peer_index, 1);
    assert_int_equal(send_udp(&world, 0, 40000, TARGET), 2);
    assert_ptr_equal(world.flow, flow);
    assert_int_equal(flow->outside_port, 40000);
    assert_int_equal(come_back(&world, 2, 40000), 0);
    assert_int_equal(come_back(&world, 1, 40000), -ESHUTDOWN);
    assert_int_equal(world_stats(&world).gone, 1);
    assert_int_equal(world_stats(&world).roamed, 1);
    assert_int_equal(world_stats(&world).flows, 1);

    /* As long as somebody sends there, nobody answers; then the address is the stack's. */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(send_udp(&world, 0, 40000, TARGET), 2);
        world_pass(&world, 299 * NS_PER_S);
        assert_int_equal(come_back(&world, 1, 40000), -ESHUTDOWN);
    }
    world_pass(&world, 302 * NS_PER_S);
    assert_int_equal(come_back(&world, 1, 40000), -ENOENT);
    world_end(&world);
}

static void a_flow_may_roam_with_its_next_packet(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    assert_int_equal(send_udp(&world, 0, 40000, TARGET), 1);
    for (int i = 0; i < 2; i++) { /* until then nobody can know, however often it is asked for */
        assert_int_equal(rewrite_roam_next(world.rewrite, world.flow), 0);
        assert_int_equal(come_back(&world, 1, 40000), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send_udp(&world, 0, 40000, TARGET), 2);
        assert_int_equal(come_back(&world, 1, 40000), -ESHUTDOWN);
    }
    assert_int_equal(world_stats(&world).roamed, 1);
    world_end(&world);
}

static void a_flow_may_roam_back_to_where_it_was(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, "198.18.0.1-198.18.0.2", (struct rewrite_config){0});
    assert_int_equal(send_udp(&world, 0, 40000, TARGET), 1);
    struct rewrite_flow *flow = world.flow;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(rewrite_roam(world.rewrite, flow, world.now_ns), 0);
        assert_int_equal(flow->peer_index, (i + 1) % 2);
        assert_int_equal(flow->outside_port, 40000);
        assert_int_equal(come_back(&world, 2 - i % 2, 40000), 0);
        assert_int_equal(come_back(&world, 1 + i % 2, 40000), -ESHUTDOWN);
    }
    world_end(&world);
}

static void the_next_in_turn_is_another(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, "198.18.0.1-198.18.0.2", (struct rewrite_config){0});
    assert_int_equal(send_udp(&world, 0, 40000, TARGET), 1);
    struct rewrite_flow *flow = world.flow;
    assert_int_equal(send_udp(&world, 0, 40001, TARGET), 2);
    assert_int_equal(rewrite_roam(world.rewrite, flow, world.now_ns), 0);
    assert_int_equal(send_udp(&world, 0, 40000, TARGET), 2);
    world_end(&world);
}

/* With one address for all, the machine moves as a whole, and so do its new flows. */
static void a_run_roams_together(void **state)
{
    static const enum rewrite_spread spreads[] = {REWRITE_RUN, REWRITE_DESTINATION};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(spreads); i++) {
        struct world world;
        struct rewrite_flow *flows[3];
        world_begin(&world, PEERS, (struct rewrite_config){.spread = spreads[i]});
        for (int n = 0; n < 3; n++) {
            assert_int_equal(send_udp(&world, 0, (uint16_t)(40000 + n), TARGET), 1);
            flows[n] = world.flow;
        }
        for (int round = 2; round <= 3; round++) {
            for (int n = 0; n < 3; n++) {
                assert_int_equal(rewrite_roam(world.rewrite, flows[n], world.now_ns), 0);
                assert_int_equal(flows[n]->peer_index, round - 1);
            }
            assert_int_equal(send_udp(&world, 0, 50000, TARGET), 2); /* it stays, as it can */
        }
        assert_int_equal(send_udp(&world, 0, 50001, TARGET), 3);
        world_end(&world);
    }
}

static void who_has_nowhere_to_go_stays(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, "198.18.0.1", (struct rewrite_config){0});
    assert_int_equal(send_udp(&world, 0, 40000, TARGET), 1);
    assert_int_equal(rewrite_roam(world.rewrite, world.flow, world.now_ns), -EADDRNOTAVAIL);
    world_end(&world);

    world_begin(&world, PEERS, (struct rewrite_config){.max_flows = 2});
    open_tcp(&world, 1);
    struct rewrite_flow *flow = open_tcp(&world, 2);
    assert_int_equal(rewrite_roam(world.rewrite, flow, world.now_ns), -ENOSPC);
    assert_int_equal(send_tcp(&world, 2, CRAFT_ACK), 2);
    world_end(&world);
}

/* The place at the old address is not taken from the one that roams. */
static void who_roams_is_not_pushed_out_for_it(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){.max_flows = 2});
    assert_int_equal(send_udp(&world, 0, 1, TARGET), 1);
    struct rewrite_flow *flow = world.flow;
    assert_int_equal(send_udp(&world, 0, 2, TARGET), 2);
    assert_int_equal(rewrite_roam(world.rewrite, flow, world.now_ns), 0);
    assert_int_equal(world.ended, 1);
    assert_int_equal(send_udp(&world, 0, 1, TARGET), 3);
    assert_int_equal(world.begun, 2);
    world_end(&world);
}

static void roam_it(void *user, struct rewrite_flow *flow)
{
    struct world *world = user;

    if (flow->inside_port % 2)
        rewrite_forget(world->rewrite, flow);
    else
        assert_int_equal(rewrite_roam(world->rewrite, flow, world->now_ns), 0);
}

static void every_flow_is_visited_once(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PEERS, (struct rewrite_config){0});
    for (int i = 0; i < 100; i++)
        assert_true(send_udp(&world, 0, (uint16_t)(40000 + i), TARGET) > 0);
    rewrite_each(world.rewrite, roam_it, &world);
    assert_int_equal(world_stats(&world).roamed, 50);
    assert_int_equal(world_stats(&world).flows, 50);
    assert_int_equal(world.ended, 50);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_connection_has_the_next_peer),
        cmocka_unit_test(each_destination_has_one_peer),
        cmocka_unit_test(a_run_has_one_peer),
        cmocka_unit_test(sides_take_from_their_own_slice),
        cmocka_unit_test(slices_outside_the_peers_are_refused),
        cmocka_unit_test(a_socket_keeps_its_port_towards_all),
        cmocka_unit_test(ports_are_found_until_none_is_left),
        cmocka_unit_test(a_segment_that_opens_nothing_is_unknown),
        cmocka_unit_test(a_connection_opens_with_a_handshake),
        cmocka_unit_test(a_connection_closes_with_both_fins_or_a_reset),
        cmocka_unit_test(a_reset_that_nobody_heeds_ends_nothing),
        cmocka_unit_test(a_syn_after_the_end_is_a_new_flow),
        cmocka_unit_test(flows_age_by_what_they_are),
        cmocka_unit_test(packets_both_ways_keep_a_flow),
        cmocka_unit_test(each_goes_in_its_own_time),
        cmocka_unit_test(a_crowd_goes_by_and_by),
        cmocka_unit_test(what_is_over_goes_first_when_full),
        cmocka_unit_test(an_open_connection_is_never_pushed_out),
        cmocka_unit_test(an_idle_datagram_flow_makes_room),
        cmocka_unit_test(a_busy_datagram_flow_is_not_pushed_out),
        cmocka_unit_test(a_flow_that_roams_goes_on_from_another_peer),
        cmocka_unit_test(a_flow_may_roam_with_its_next_packet),
        cmocka_unit_test(a_flow_may_roam_back_to_where_it_was),
        cmocka_unit_test(the_next_in_turn_is_another),
        cmocka_unit_test(a_run_roams_together),
        cmocka_unit_test(who_has_nowhere_to_go_stays),
        cmocka_unit_test(who_roams_is_not_pushed_out_for_it),
        cmocka_unit_test(every_flow_is_visited_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
