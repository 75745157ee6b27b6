/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_REWRITING_H
#define TESTS_REWRITING_H

#include "support/craft.h"

#include "base/rng.h"
#include "rewrite/rewrite.h"

#include <errno.h>
#include <stdio.h>

/*
 * A table of address translation, programs and applications around it. All of these functions look
 * at the checksums of what comes out, and that what was refused is as it was.
 */

struct world {
    struct addr_set peers;
    struct timers timers;
    struct rewrite *rewrite;
    uint64_t now_ns;
    uint64_t begun, ended;
    struct rewrite_flow *flow; /* of the latest packet */
    struct peer_addr asked;    /* the latest target */
    uint64_t asks;
    bool refuses;
    void (*late)(const uint8_t *packet, size_t len);
};

static inline struct peer_addr addr(const char *text)
{
    struct peer_addr result;

    assert_int_equal(peer_addr_parse(text, &result), 0);
    return result;
}

static bool world_allowed(void *user, const struct peer_addr *to)
{
    struct world *world = user;

    world->asked = *to;
    world->asks++;
    return !world->refuses;
}

static void world_begun(void *user, struct rewrite_flow *flow)
{
    struct world *world = user;

    world->begun++;
    assert_null(flow->user);
    flow->user = world;
}

static void world_ended(void *user, struct rewrite_flow *flow)
{
    struct world *world = user;

    world->ended++;
    assert_ptr_equal(flow->user, world);
}

static void world_late(void *user, struct rewrite_flow *flow, uint8_t *late, size_t len)
{
    struct world *world = user;

    assert_ptr_equal(flow->user, world);
    assert_non_null(world->late);
    world->late(late, len);
}

/* What `config` leaves out is one side with all of `from`, and a table of 1000. */
static inline void world_begin(struct world *world, const char *from, struct rewrite_config config)
{
    *world = (struct world){.now_ns = 1000 * NS_PER_S};
    assert_int_equal(addr_set_parse(from, &world->peers, NULL), 0);
    timers_init(&world->timers);
    struct rewrite_side all = {0, world->peers.count};
    config.peers = &world->peers;
    if (!config.sides) {
        config.sides = &all;
        config.side_count = 1;
    }
    config.timers = &world->timers;
    config.max_flows = config.max_flows ? config.max_flows : 1000;
    config.allowed = world_allowed;
    config.begun = world_begun;
    config.ended = world_ended;
    config.user = world;
    config.late = world_late;
    assert_int_equal(rewrite_new(&config, &world->rewrite), 0);
}

static inline void world_end(struct world *world)
{
    rewrite_free(world->rewrite);
    assert_int_equal(world->begun, world->ended);
    assert_int_equal(world->timers.count, 0);
    timers_done(&world->timers);
    addr_set_done(&world->peers);
}

static inline void world_pass(struct world *world, uint64_t ns)
{
    uint64_t end_ns = world->now_ns + ns;

    while (timers_next(&world->timers) <= end_ns) {
        world->now_ns = timers_next(&world->timers);
        timers_run(&world->timers, world->now_ns, 1000);
    }
    world->now_ns = end_ns;
}

static inline struct rewrite_stats world_stats(const struct world *world)
{
    struct rewrite_stats stats;

    rewrite_get_stats(world->rewrite, &stats);
    return stats;
}

/* Complete, or made so. */
static inline bool sums_right(const struct crafted *packet, const struct frame_offload *offload)
{
    static struct crafted copy;
    struct frame_offload rest = offload ? *offload : (struct frame_offload){0};
    struct packet parsed;

    memcpy(copy.bytes, packet->bytes, packet->len);
    if (checksum_complete(copy.bytes, packet->len, &rest) < 0)
        return false;
    (void)packet_parse(copy.bytes, packet->len, FRAME_IP, &parsed);
    return checksum_verify(copy.bytes, packet->len, &parsed);
}

/* `side` is that of the program, or -1 for what comes in. */
static inline int world_move(struct world *world, int side, struct crafted *packet,
                             struct frame_offload *offload)
{
    static struct crafted before;
    struct rewrite_packet frame = {packet->bytes, packet->len, offload, 0};
    bool right = sums_right(packet, offload);

    memcpy(before.bytes, packet->bytes, packet->len);
    world->flow = NULL;
    int status =
        side < 0 ? rewrite_in(world->rewrite, &frame, world->now_ns, &world->flow)
                 : rewrite_out(world->rewrite, (unsigned)side, &frame, world->now_ns, &world->flow);
    if (status < 0)
        assert_memory_equal(before.bytes, packet->bytes, packet->len);
    else if (right)
        assert_true(sums_right(packet, offload));
    assert_true(status <= 0 && (status == 0) == (world->flow != NULL));
    return status;
}

/* A packet's ends turned round; its checksums stay right, but for an echo, which gets a new one. */
static inline void turn_round(struct crafted *packet, const struct frame_offload *offload)
{
    struct packet parsed;
    uint8_t swap[16], *ip = packet->bytes;

    (void)packet_parse(ip, packet->len, FRAME_IP, &parsed);
    size_t len = parsed.ip_version == 4 ? 4 : 16;
    uint8_t *src = ip + (len == 4 ? 12 : 8), *transport = ip + parsed.transport_at;
    memcpy(swap, src, len);
    memcpy(src, src + len, len);
    memcpy(src + len, swap, len);
    if (parsed.transport_at == 0)
        return;
    if (parsed.kind == PACKET_TCP || parsed.kind == PACKET_UDP) {
        memcpy(swap, transport, 2);
        memcpy(transport, transport + 2, 2);
        memcpy(transport + 2, swap, 2);
    } else if (parsed.kind == PACKET_ICMP) {
        uint16_t before, after, sum;
        memcpy(&before, transport, 2);
        transport[0] ^= len == 4 ? 8 : 1; /* request and reply */
        memcpy(&after, transport, 2);
        if (offload && offload->flags & FRAME_NEEDS_CSUM)
            return; /* the pseudo-header's sum is the same */
        memcpy(&sum, transport + 2, 2);
        sum = checksum_finish((uint64_t)(uint16_t)~sum + (uint16_t)~before + after);
        memcpy(transport + 2, &sum, 2);
    }
}

/* ---- single packets ---- */

struct ends {
    const char *src;
    uint16_t src_port;
    const char *dst;
    uint16_t dst_port;
};

static inline void make_tcp(struct crafted *packet, struct ends ends, uint8_t flags)
{
    struct craft_tcp tcp = {.src = addr(ends.src),
                            .dst = addr(ends.dst),
                            .src_port = ends.src_port,
                            .dst_port = ends.dst_port,
                            .seq = 7000,
                            .flags = flags,
                            .window = 1000};

    craft_tcp_frame(packet, &tcp);
}

static inline void make_udp(struct crafted *packet, struct ends ends)
{
    struct peer_addr src = addr(ends.src), dst = addr(ends.dst);

    craft_udp_frame(packet, &src, ends.src_port, &dst, ends.dst_port, "datagram", 8);
}

/* `type` as in ICMP for IPv4; the port of src is the id. */
static inline void make_echo(struct crafted *packet, struct ends ends, bool reply)
{
    struct peer_addr src = addr(ends.src), dst = addr(ends.dst);
    uint8_t type = src.family == 4 ? (reply ? 0 : 8) : (reply ? 129 : 128);
    uint32_t id = reply ? ends.dst_port : ends.src_port;

    craft_icmp_frame(packet, &src, &dst, type, 0, id << 16 | 1, "echo", 4);
}

/* The other end answers what left last; what comes to the program is in `packet`. */
static inline int world_answer(struct world *world, struct crafted *packet, uint8_t tcp_flags)
{
    struct packet parsed;

    turn_round(packet, NULL);
    (void)packet_parse(packet->bytes, packet->len, FRAME_IP, &parsed);
    if (parsed.kind == PACKET_TCP) {
        uint8_t *tcp = packet->bytes + parsed.transport_at;
        tcp[13] = tcp_flags;
        craft_sum(&parsed.src, &parsed.dst, IPPROTO_TCP, tcp, parsed.ip_len - parsed.transport_at,
                  16);
    }
    return world_move(world, -1, packet, NULL);
}

static inline void see(const struct crafted *packet, struct packet *parsed)
{
    assert_int_equal(packet_parse(packet->bytes, packet->len, FRAME_IP, parsed), 0);
}

static inline void assert_addr(const struct peer_addr *have, const char *want)
{
    char text[PEER_ADDR_TEXT];

    assert_string_equal(peer_addr_format(have, text), want);
}

#endif
