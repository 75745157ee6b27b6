/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "packets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const struct sample *sample_named(const char *name)
{
    for (int i = 0; i < SAMPLES; i++) {
        if (strcmp(samples[i].name, name) == 0)
            return &samples[i];
    }
    fail_msg("no sample %s", name);
    return NULL;
}

static void reads_every_header_of_known_packets(void **state)
{
    static const struct {
        const char *name;
        enum packet_kind kind;
        uint8_t version, protocol;
        uint16_t transport_at, payload_at;
        uint32_t payload_len;
    } cases[] = {
        {"syn4", PACKET_TCP, 4, IPPROTO_TCP, 20, 60, 0},
        {"data6", PACKET_TCP, 6, IPPROTO_TCP, 40, 72, 5},
        {"fin4", PACKET_TCP, 4, IPPROTO_TCP, 20, 40, 0},
        {"sack4", PACKET_TCP, 4, IPPROTO_TCP, 20, 60, 0},
        {"udp4", PACKET_UDP, 4, IPPROTO_UDP, 20, 28, 3},
        {"udp6", PACKET_UDP, 6, IPPROTO_UDP, 40, 48, 4},
        {"echo4", PACKET_ICMP, 4, IPPROTO_ICMP, 20, 0, 0},
        {"echo6", PACKET_ICMP, 6, IPPROTO_ICMPV6, 40, 0, 0},
        {"unreachable4", PACKET_ICMP, 4, IPPROTO_ICMP, 20, 0, 0},
        {"toobig6", PACKET_ICMP, 6, IPPROTO_ICMPV6, 40, 0, 0},
        {"options4", PACKET_UDP, 4, IPPROTO_UDP, 24, 32, 3},
        {"extensions6", PACKET_UDP, 6, IPPROTO_UDP, 56, 64, 4},
        {"fragment4", PACKET_IP, 4, IPPROTO_UDP, 0, 0, 0},
        {"first_fragment6", PACKET_UDP, 6, IPPROTO_UDP, 48, 56, 16},
        {"next_fragment6", PACKET_IP, 6, IPPROTO_UDP, 0, 0, 0},
        {"atomic6", PACKET_UDP, 6, IPPROTO_UDP, 48, 56, 4},
        {"arp_request", PACKET_ARP, 0, 0, 0, 0, 0},
        {"arp_reply", PACKET_ARP, 0, 0, 0, 0, 0},
        {"solicit", PACKET_ND_SOLICIT, 6, IPPROTO_ICMPV6, 54, 0, 0},
        {"advertisement", PACKET_ICMP, 6, IPPROTO_ICMPV6, 54, 0, 0},
        {"padded_ack4", PACKET_TCP, 4, IPPROTO_TCP, 34, 54, 0},
        {"vlan", PACKET_OTHER, 0, 0, 0, 0, 0},
    };

    (void)state;
    assert_int_equal(sizeof(cases) / sizeof(cases[0]), SAMPLES);
    for (int i = 0; i < SAMPLES; i++) {
        const struct sample *sample = sample_named(cases[i].name);
        struct packet packet;
        assert_int_equal(packet_parse(sample->bytes, sample->len, sample->layer, &packet), 0);
        assert_int_equal(packet.kind, cases[i].kind);
        assert_int_equal(packet.ip_version, cases[i].version);
        assert_int_equal(packet.protocol, cases[i].protocol);
        assert_int_equal(packet.transport_at, cases[i].transport_at);
        assert_int_equal(packet.payload_at, cases[i].payload_at);
        assert_int_equal(packet.payload_len, cases[i].payload_len);
    }
}

static void assert_addr(const struct peer_addr *addr, uint8_t family, const void *bytes)
{
    static const uint8_t zero[16];
    size_t len = family == 6 ? 16 : 4;

    assert_int_equal(addr->family, family);
    assert_memory_equal(addr->bytes, bytes, len);
    assert_memory_equal(addr->bytes + len, zero, 16 - len);
}

static const uint8_t peer4[] = {198, 18, 0, 2}, local4[] = {192, 0, 2, 1};
static const uint8_t peer6[16] = {0x20, 1, 0, 2, [15] = 2};
static const uint8_t local6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1};

static void reads_addresses_ports_and_flags(void **state)
{
    struct packet packet;

    (void)state;
    assert_int_equal(packet_parse(syn4, sizeof(syn4), FRAME_IP, &packet), 0);
    assert_addr(&packet.src, 4, peer4);
    assert_addr(&packet.dst, 4, local4);
    assert_int_equal(packet.src_port, 40000);
    assert_int_equal(packet.dst_port, 80);
    assert_int_equal(packet.tcp_flags, 2);
    assert_int_equal(packet.ip_len, sizeof(syn4));
    assert_false(packet.fragment);
    assert_int_equal(packet_parse(extensions6, sizeof(extensions6), FRAME_IP, &packet), 0);
    assert_addr(&packet.src, 6, peer6);
    assert_addr(&packet.dst, 6, local6);
    assert_int_equal(packet.src_port, 4001);
    assert_int_equal(packet.dst_port, 4002);
}

static void takes_the_asked_for_address_of_arp_and_neighbour_requests(void **state)
{
    struct packet packet;

    (void)state;
    assert_int_equal(packet_parse(arp_request, sizeof(arp_request), FRAME_ETHERNET, &packet), 0);
    assert_int_equal(packet.arp_op, 1);
    assert_int_equal(packet.arp_at, 14);
    assert_addr(&packet.src, 4, local4);
    assert_addr(&packet.dst, 4, peer4);
    assert_int_equal(packet_parse(solicit, sizeof(solicit), FRAME_ETHERNET, &packet), 0);
    assert_addr(&packet.src, 6, local6);
    assert_addr(&packet.dst, 6, peer6);
}

static void ignores_what_follows_the_ip_packet(void **state)
{
    struct packet packet;

    (void)state;
    assert_int_equal(packet_parse(padded_ack4, sizeof(padded_ack4), FRAME_ETHERNET, &packet), 0);
    assert_int_equal(packet.ip_at, 14);
    assert_int_equal(packet.ip_len, sizeof(padded_ack4) - 14 - 6);
    assert_int_equal(packet.payload_len, 0);
}

static void knows_fragments(void **state)
{
    struct packet packet;

    (void)state;
    (void)packet_parse(fragment4, sizeof(fragment4), FRAME_IP, &packet);
    assert_true(packet.fragment);
    (void)packet_parse(first_fragment6, sizeof(first_fragment6), FRAME_IP, &packet);
    assert_true(packet.fragment);
    (void)packet_parse(next_fragment6, sizeof(next_fragment6), FRAME_IP, &packet);
    assert_true(packet.fragment);
    (void)packet_parse(atomic6, sizeof(atomic6), FRAME_IP, &packet);
    assert_false(packet.fragment);
}

/* A packet with one field set to what it must not be. */
struct damage {
    const char *name;
    size_t at;
    uint8_t value;
    enum packet_kind kind; /* how far it was read */
};

static void refuses_lengths_that_do_not_fit(void **state)
{
    static const struct damage cases[] = {
        {"syn4", 0, 0x44, PACKET_OTHER},      /* IHL 16 */
        {"syn4", 0, 0x40, PACKET_OTHER},      /* IHL 0 */
        {"udp4", 0, 0x4f, PACKET_OTHER},      /* IHL 60 of 31 bytes */
        {"syn4", 3, 19, PACKET_OTHER},        /* total length below the header's */
        {"syn4", 3, 61, PACKET_IP},           /* total length above the frame's */
        {"syn4", 3, 59, PACKET_IP},           /* TCP header beyond the total length */
        {"syn4", 32, 0x40, PACKET_IP},        /* data offset 16 */
        {"syn4", 32, 0xb0, PACKET_IP},        /* data offset 44 */
        {"fin4", 32, 0x60, PACKET_IP},        /* data offset beyond the packet */
        {"udp4", 25, 7, PACKET_IP},           /* UDP length below the header's */
        {"udp4", 25, 12, PACKET_IP},          /* UDP length above what is left */
        {"udp6", 45, 0, PACKET_IP},           /* UDP length 0, a jumbogram's */
        {"udp6", 5, 13, PACKET_IP},           /* payload length above the frame's */
        {"udp6", 5, 7, PACKET_IP},            /* too little for a UDP header */
        {"echo4", 3, 27, PACKET_IP},          /* too little for an ICMP header */
        {"extensions6", 41, 3, PACKET_IP},    /* extension longer than the packet */
        {"solicit", 14 + 5, 23, PACKET_ICMP}, /* no room for a target */
        {"udp6", 6, 60, PACKET_IP},           /* "extension" 0x0fa1: 161 * 8 + 8 bytes */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sample *sample = sample_named(cases[i].name);
        uint8_t *copy = malloc(sample->len);
        struct packet packet;
        memcpy(copy, sample->bytes, sample->len);
        copy[cases[i].at] = cases[i].value;
        assert_int_equal(packet_parse(copy, sample->len, sample->layer, &packet), -EBADMSG);
        assert_int_equal(packet.kind, cases[i].kind);
        free(copy);
    }
}

static void takes_a_dubious_solicitation_for_ordinary_icmp(void **state)
{
    static const struct damage cases[] = {
        {"solicit", 14 + 7, 64, PACKET_ICMP},    /* came through a router */
        {"solicit", 14 + 41, 1, PACKET_ICMP},    /* code */
        {"solicit", 14 + 48, 0xff, PACKET_ICMP}, /* multicast target */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t copy[sizeof(solicit)];
        struct packet packet;
        memcpy(copy, solicit, sizeof(copy));
        copy[cases[i].at] = cases[i].value;
        assert_int_equal(packet_parse(copy, sizeof(copy), FRAME_ETHERNET, &packet), 0);
        assert_int_equal(packet.kind, PACKET_ICMP);
        assert_int_equal(packet.dst.bytes[0], 0xff);
    }
}

static void leaves_other_frames_alone(void **state)
{
    static const struct damage cases[] = {
        {"arp_request", 15, 6, PACKET_OTHER}, /* IEEE 802 hardware */
        {"arp_request", 18, 8, PACKET_OTHER}, /* 8-byte hardware address */
        {"arp_request", 12, 0x88, PACKET_OTHER},
        {"syn4", 0, 0x55, PACKET_OTHER},
        {"udp4", 9, 132, PACKET_IP}, /* SCTP */
        {"udp4", 9, 58, PACKET_IP},  /* ICMPv6 over IPv4 means nothing */
        {"udp6", 6, 1, PACKET_IP},   /* and the other way round */
        {"udp6", 6, 59, PACKET_IP},  /* no next header */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sample *sample = sample_named(cases[i].name);
        uint8_t copy[256];
        struct packet packet;
        memcpy(copy, sample->bytes, sample->len);
        copy[cases[i].at] = cases[i].value;
        assert_int_equal(packet_parse(copy, sample->len, sample->layer, &packet), 0);
        assert_int_equal(packet.kind, cases[i].kind);
    }
}

static void refuses_a_version_that_the_ethertype_denies(void **state)
{
    uint8_t copy[sizeof(padded_ack4)];
    struct packet packet;

    (void)state;
    memcpy(copy, padded_ack4, sizeof(copy));
    copy[14] = 0x65;
    assert_int_equal(packet_parse(copy, sizeof(copy), FRAME_ETHERNET, &packet), -EBADMSG);
    assert_int_equal(packet.kind, PACKET_OTHER);
}

/* Eight extension headers are walked, nine are not. */
static void bounds_the_walk_through_extension_headers(void **state)
{
    (void)state;
    for (int count = 7; count <= 9; count++) {
        uint8_t frame[40 + 9 * 8 + 8] = {0};
        size_t len = 40 + (size_t)count * 8 + 8;
        struct packet packet;
        memcpy(frame, udp6, 40);
        frame[5] = (uint8_t)(len - 40);
        frame[6] = IPPROTO_DSTOPTS;
        for (int i = 0; i < count; i++)
            frame[40 + i * 8] = i == count - 1 ? IPPROTO_UDP : IPPROTO_DSTOPTS;
        memcpy(frame + len - 8, (uint8_t[]){0, 1, 0, 2, 0, 8, 0, 0}, 8);
        int status = packet_parse(frame, len, FRAME_IP, &packet);
        assert_int_equal(status, count <= 8 ? 0 : -EBADMSG);
        assert_int_equal(packet.kind, count <= 8 ? PACKET_UDP : PACKET_IP);
    }
}

/* What an ICMP error quotes: the IP header and eight bytes, of a packet that was longer. */
static void reads_a_cut_quote_as_far_as_it_goes(void **state)
{
    struct packet packet;

    (void)state;
    assert_int_equal(packet_parse(syn4, 28, FRAME_IP, &packet), -EBADMSG);
    assert_int_equal(packet.kind, PACKET_IP);
    assert_int_equal(packet.protocol, IPPROTO_TCP);
    assert_int_equal(packet.transport_at, 20);
    assert_int_equal(packet.src_port, 40000);
    assert_int_equal(packet.dst_port, 80);
    assert_addr(&packet.src, 4, peer4);
    assert_addr(&packet.dst, 4, local4);
    assert_int_equal(packet.ip_len, 28);

    assert_int_equal(packet_parse(syn4, 27, FRAME_IP, &packet), -EBADMSG);
    assert_int_equal(packet.transport_at, 0);
    assert_addr(&packet.dst, 4, local4);

    assert_int_equal(packet_parse(extensions6, 64, FRAME_IP, &packet), -EBADMSG);
    assert_int_equal(packet.protocol, IPPROTO_UDP);
    assert_int_equal(packet.transport_at, 56);
    assert_int_equal(packet.dst_port, 4002);

    assert_int_equal(packet_parse(fragment4, 28, FRAME_IP, &packet), -EBADMSG);
    assert_int_equal(packet.transport_at, 0);
    assert_true(packet.fragment);
}

static void reads_a_super_segment(void **state)
{
    static uint8_t frame[65535];
    struct packet packet;

    (void)state;
    memcpy(frame, fin4, sizeof(fin4));
    frame[2] = frame[3] = 0xff;
    assert_int_equal(packet_parse(frame, sizeof(frame), FRAME_IP, &packet), 0);
    assert_int_equal(packet.ip_len, 65535);
    assert_int_equal(packet.payload_len, 65535 - 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_header_of_known_packets),
        cmocka_unit_test(reads_addresses_ports_and_flags),
        cmocka_unit_test(takes_the_asked_for_address_of_arp_and_neighbour_requests),
        cmocka_unit_test(ignores_what_follows_the_ip_packet),
        cmocka_unit_test(knows_fragments),
        cmocka_unit_test(refuses_lengths_that_do_not_fit),
        cmocka_unit_test(takes_a_dubious_solicitation_for_ordinary_icmp),
        cmocka_unit_test(leaves_other_frames_alone),
        cmocka_unit_test(refuses_a_version_that_the_ethertype_denies),
        cmocka_unit_test(bounds_the_walk_through_extension_headers),
        cmocka_unit_test(reads_a_cut_quote_as_far_as_it_goes),
        cmocka_unit_test(reads_a_super_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
