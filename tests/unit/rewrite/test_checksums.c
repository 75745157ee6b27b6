/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random packets of every kind go out and come back. Their checksums are those of a full computation
 * (rewriting.h sees to it), and what comes back is what went out, to the byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rewriting.h"

enum { ROUNDS = 6000, LARGEST = 64000 };

static struct crafted packet, before;
static uint8_t noise[LARGEST];

struct random_packet {
    bool v6, localhost, partial, extended;
    uint8_t protocol;
    uint32_t payload_len;
    uint16_t port, to_port;
};

static bool chance(struct rng *rng, uint64_t of)
{
    return rng_below(rng, of) == 0;
}

static struct random_packet draw(struct rng *rng, bool v6, bool localhost)
{
    const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP};

    return (struct random_packet){.v6 = v6,
                                  .localhost = localhost,
                                  .partial = chance(rng, 3),
                                  .extended = chance(rng, 3),
                                  .protocol = protocols[rng_below(rng, 3)],
                                  .payload_len =
                                      (uint32_t)rng_below(rng, chance(rng, 20) ? LARGEST : 200),
                                  .port = (uint16_t)rng_next(rng),
                                  .to_port = (uint16_t)rng_next(rng)};
}

static void make_transport(const struct random_packet *drawn, struct rng *rng,
                           const struct peer_addr *src, const struct peer_addr *dst)
{
    const uint8_t *payload = noise + (LARGEST - drawn->payload_len);

    if (drawn->protocol == IPPROTO_TCP) {
        struct craft_tcp tcp = {.src = *src,
                                .dst = *dst,
                                .src_port = drawn->port,
                                .dst_port = drawn->to_port,
                                .seq = (uint32_t)rng_next(rng),
                                .flags = CRAFT_SYN,
                                .mss = 1460,
                                .timestamps = chance(rng, 2),
                                .payload = payload,
                                .payload_len = drawn->payload_len};
        craft_tcp_frame(&packet, &tcp);
    } else if (drawn->protocol == IPPROTO_UDP) {
        craft_udp_frame(&packet, src, drawn->port, dst, drawn->to_port, payload,
                        drawn->payload_len);
    } else {
        craft_icmp_frame(&packet, src, dst, drawn->v6 ? 128 : 8, 0, (uint32_t)drawn->port << 16,
                         payload, drawn->payload_len);
    }
}

/* IPv4 options, or two IPv6 extension headers. */
static void extend(bool v6)
{
    static const uint8_t options4[8] = {1, 1, 7, 5, 4, 0, 0, 0};
    static const uint8_t options6[16] = {60, 0, 1, 4, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0};
    size_t header = v6 ? 40 : 20, len = v6 ? sizeof(options6) : sizeof(options4);
    uint8_t *ip = packet.bytes;

    memmove(ip + header + len, ip + header, packet.len - header);
    memcpy(ip + header, v6 ? options6 : options4, len);
    packet.len += len;
    if (v6) {
        ip[header + 8] = ip[6];
        ip[6] = IPPROTO_HOPOPTS;
        craft_put16(ip + 4, (uint32_t)(packet.len - 40));
        return;
    }
    ip[0] = 0x47;
    craft_put16(ip + 2, (uint32_t)packet.len);
    memset(ip + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, ip, header + len));
    memcpy(ip + 10, &sum, 2);
}

/* The pseudo-header's sum in place of the checksum, and a super-segment where it is long. */
static struct frame_offload leave_checksum(const struct packet *parsed)
{
    bool tcp = parsed->kind == PACKET_TCP, udp = parsed->kind == PACKET_UDP;
    struct frame_offload offload = {.flags = FRAME_NEEDS_CSUM,
                                    .csum_start = parsed->transport_at,
                                    .csum_offset = tcp   ? 16
                                                   : udp ? 6
                                                         : 2};
    uint32_t len = parsed->ip_len - parsed->transport_at;
    bool pseudo = parsed->protocol != IPPROTO_ICMP;
    uint16_t sum = !pseudo ? 0
                           : (uint16_t)~checksum_finish(checksum_pseudo(&parsed->src, &parsed->dst,
                                                                        parsed->protocol, len));

    memcpy(packet.bytes + offload.csum_start + offload.csum_offset, &sum, 2);
    if (tcp && parsed->payload_len > 1400) {
        offload.gso_type = parsed->ip_version == 6 ? FRAME_GSO_TCPV6 : FRAME_GSO_TCPV4;
        offload.gso_size = 1400;
        offload.hdr_len = parsed->payload_at;
    }
    return offload;
}

static void go_and_come_back(struct world *world, const struct random_packet *drawn,
                             struct frame_offload *offload)
{
    struct packet parsed;

    before = packet;
    assert_true(sums_right(&packet, offload));
    assert_int_equal(world_move(world, 0, &packet, offload), 0);
    assert_true(sums_right(&packet, offload));
    see(&packet, &parsed);
    assert_true(addr_set_find(&world->peers, &parsed.src) >= 0);
    assert_addr(&parsed.dst, drawn->v6 ? "2001:db8::80" : "192.0.2.80");
    assert_int_equal(world->flow->bytes_out, packet.len);
    turn_round(&packet, offload);
    assert_int_equal(world_move(world, -1, &packet, offload), 0);
    assert_true(sums_right(&packet, offload));
    turn_round(&packet, offload);
    assert_int_equal(packet.len, before.len);
    assert_memory_equal(packet.bytes, before.bytes, packet.len);
    rewrite_forget(world->rewrite, world->flow);
}

static void one_packet(struct world *world, struct rng *rng, bool v6)
{
    struct random_packet drawn = draw(rng, v6, chance(rng, 4));
    struct peer_addr src = addr(v6 ? "2001:db8:7::1" : "198.18.0.1");
    struct peer_addr dst = addr(v6 ? "2001:db8::80" : "192.0.2.80");
    struct packet parsed;

    if (drawn.localhost)
        src = dst = addr(v6 ? "::1" : "127.0.0.1");
    make_transport(&drawn, rng, &src, &dst);
    if (drawn.extended)
        extend(v6);
    see(&packet, &parsed);
    struct frame_offload offload = {0};
    if (drawn.partial)
        offload = leave_checksum(&parsed);
    else if (drawn.protocol == IPPROTO_UDP && !v6 && chance(rng, 3))
        craft_put16(packet.bytes + parsed.transport_at + 6, 0);
    go_and_come_back(world, &drawn, &offload);
}

static void checksums_are_those_of_a_full_computation(void **state)
{
    struct world world;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 20);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)rng_next(&rng);
    for (int v6 = 0; v6 < 2; v6++) {
        struct peer_addr localhost = addr(v6 ? "2001:db8::80" : "192.0.2.80");
        world_begin(&world, v6 ? "2001:db8:7::/64" : "198.18.0.0/16",
                    (struct rewrite_config){.localhost = localhost});
        for (int i = 0; i < ROUNDS / 2; i++)
            one_packet(&world, &rng, v6);
        world_end(&world);
    }
}

/* RFC 768: a checksum that comes out as zero is sent as all ones. Every sum is tried. */
static void a_udp_checksum_never_becomes_none(void **state)
{
    struct world world;
    struct peer_addr src = addr("198.18.0.1"), dst = addr("192.0.2.80");
    int ones = 0;

    (void)state;
    world_begin(&world, "198.18.0.2-198.18.0.9", (struct rewrite_config){.spread = REWRITE_RUN});
    for (uint32_t i = 0; i < 65536; i++) {
        uint8_t payload[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        craft_udp_frame(&packet, &src, 40000, &dst, 53, payload, 2);
        if (craft_get16(packet.bytes + 26) == 0)
            craft_put16(packet.bytes + 26, 0xffff);
        before = packet;
        assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
        assert_int_not_equal(craft_get16(packet.bytes + 26), 0);
        ones += craft_get16(packet.bytes + 26) == 0xffff;
        turn_round(&packet, NULL);
        assert_int_equal(world_move(&world, -1, &packet, NULL), 0);
        turn_round(&packet, NULL);
        assert_memory_equal(packet.bytes, before.bytes, packet.len);
    }
    assert_true(ones == 1 || ones == 2); /* payloads 0 and 0xffff add the same */
    world_end(&world);
}

/* A wrong one must not be mended on the way: the receiver is to see that it is wrong. */
static void a_wrong_checksum_stays_wrong(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, "198.18.0.2-198.18.0.9", (struct rewrite_config){0});
    make_udp(&packet, (struct ends){"198.18.0.1", 40000, "192.0.2.80", 53});
    packet.bytes[27] ^= 1;
    assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
    assert_false(sums_right(&packet, NULL));
    world_end(&world);
}

/* In a frame of Ethernet the offload counts from the frame's start. */
static void offload_may_count_from_an_ethernet_header(void **state)
{
    struct world world;
    struct frame_offload offload = {
        .flags = FRAME_NEEDS_CSUM, .csum_start = 14 + 20, .csum_offset = 6};

    (void)state;
    world_begin(&world, "198.18.0.2-198.18.0.9", (struct rewrite_config){0});
    make_udp(&packet, (struct ends){"198.18.0.1", 40000, "192.0.2.80", 53});
    struct rewrite_packet frame = {packet.bytes, packet.len, &offload, 14};
    assert_int_equal(rewrite_out(world.rewrite, 0, &frame, world.now_ns, NULL), 0);
    frame.before = 0;
    assert_int_equal(rewrite_out(world.rewrite, 0, &frame, world.now_ns, NULL), -EBADMSG);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_a_full_computation),
        cmocka_unit_test(a_udp_checksum_never_becomes_none),
        cmocka_unit_test(a_wrong_checksum_stays_wrong),
        cmocka_unit_test(offload_may_count_from_an_ethernet_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
