/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors both ways, and the one made here. What is quoted must be, for who gets it, what they
 * sent: to the byte, as far as it was quoted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rewriting.h"

static const char *const peers[2] = {"198.18.0.2-198.18.0.9", "2001:db8:7::2-2001:db8:7::9"};
static const char *const first[2] = {"198.18.0.2", "2001:db8:7::2"};
static const char *const inside[2] = {"198.18.0.1", "2001:db8:7::1"};
static const char *const target[2] = {"192.0.2.80", "2001:db8::80"};
static const char *const router[2] = {"203.0.113.1", "2001:db8:ff::1"};
static const char *const loopback[2] = {"127.0.0.1", "::1"};

enum what { TCP, UDP, ECHO };

static struct crafted packet, sent, error;

static void make(enum what what, struct ends ends)
{
    if (what == TCP)
        make_tcp(&packet, ends, CRAFT_SYN);
    else if (what == UDP)
        make_udp(&packet, ends);
    else
        make_echo(&packet, ends, false);
}

/* An error about `about`, of which `quoted` bytes are in it. */
static void make_error(int v, const char *from, const char *to, const struct crafted *about,
                       size_t quoted)
{
    struct peer_addr src = addr(from), dst = addr(to);

    quoted = quoted < about->len ? quoted : about->len;
    craft_icmp_frame(&error, &src, &dst, v ? 2 : 3, v ? 0 : 4, 1400, about->bytes, quoted);
}

static void assert_quotes(int v, const struct crafted *about)
{
    size_t at = v ? 48 : 28;

    assert_memory_equal(error.bytes + at, about->bytes, error.len - at);
}

/* A new flow that goes to `to`; `sent` is its packet inside, `packet` outside. */
static void begin(struct world *world, int v, enum what what, bool localhost)
{
    const char *to = localhost ? loopback[v] : target[v];

    world_begin(world, peers[v], (struct rewrite_config){.localhost = addr(target[v])});
    make(what, (struct ends){inside[v], 40000, to, 80});
    sent = packet;
    assert_int_equal(world_move(world, 0, &packet, NULL), 0);
}

static void one_error_in(int v, enum what what, bool localhost, const char *from)
{
    static const size_t lengths[] = {48, 60, 1000}; /* 8 bytes of transport; 20 of IPv4's; all */
    struct world world;
    struct packet seen;

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        size_t quoted = lengths[i] - (v || i == 2 ? 0 : 20);
        begin(&world, v, what, localhost);
        uint64_t last_ns = world.flow->last_ns;
        world_pass(&world, NS_PER_S);
        make_error(v, from, first[v], &packet, quoted);
        assert_int_equal(world_move(&world, -1, &error, NULL), 0);
        see(&error, &seen);
        assert_addr(&seen.dst, inside[v]);
        assert_addr(&seen.src, localhost && from == target[v] ? loopback[v] : from);
        assert_quotes(v, &sent);
        assert_int_equal(world.flow->last_ns, last_ns); /* kept alive by no error */
        assert_int_equal(world.flow->state, REWRITE_OPENING);
        assert_int_equal(world_stats(&world).errors_in, 1);
        world_end(&world);
    }
}

static void errors_reach_the_program(void **state)
{
    (void)state;
    for (int i = 0; i < 24; i++) {
        int v = i % 2;
        one_error_in(v, (enum what)(i / 2 % 3), i / 6 % 2, i / 12 ? router[v] : target[v]);
    }
}

/* The program's kernel has no use for what came. */
static void errors_of_the_program_reach_the_application(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        int v = i % 2;
        enum what what = (enum what)(i / 2 % 3);
        bool localhost = i / 6;
        struct world world;
        struct packet seen;
        begin(&world, v, what, localhost);
        turn_round(&packet, NULL);
        sent = packet; /* what the application sent */
        assert_int_equal(world_move(&world, -1, &packet, NULL), 0);
        make_error(v, inside[v], localhost ? loopback[v] : target[v], &packet, 1000);
        assert_int_equal(world_move(&world, 0, &error, NULL), 0);
        see(&error, &seen);
        assert_addr(&seen.src, first[v]);
        assert_addr(&seen.dst, target[v]);
        assert_quotes(v, &sent);
        assert_int_equal(world_stats(&world).errors_out, 1);
        world_end(&world);
    }
}

/* RFC 768: none is none, in a quote too. */
static void a_quoted_datagram_without_checksum_has_none(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){0});
    make(UDP, (struct ends){inside[0], 40000, target[0], 80});
    memset(packet.bytes + 26, 0, 2);
    sent = packet;
    assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
    make_error(0, router[0], first[0], &packet, 28);
    assert_int_equal(world_move(&world, -1, &error, NULL), 0);
    assert_quotes(0, &sent);
    world_end(&world);
}

static void errors_about_nothing_known_are_left(void **state)
{
    struct world world;

    (void)state;
    for (int v = 0; v < 2; v++) {
        begin(&world, v, UDP, false);
        make_error(v, router[v], first[v], &packet,
                   v ? 47 : 27); /* not even both ports' checksum */
        assert_int_equal(world_move(&world, -1, &error, NULL), -ENOENT);
        make_error(v, router[v], peers[v][0] == '1' ? "198.18.0.3" : "2001:db8:7::3", &packet,
                   1000);
        assert_int_equal(world_move(&world, -1, &error, NULL), -ENOENT); /* to another peer */
        make_error(v, inside[v], target[v], &packet, 1000);
        assert_int_equal(world_move(&world, 0, &error, NULL), -ENOENT);
        world_answer(&world, &packet, 0);
        make_error(v, inside[v], router[v], &packet, 1000); /* of the program, to another */
        assert_int_equal(world_move(&world, 0, &error, NULL), -ENOENT);
        make_error(v, inside[v], target[v], &packet, 1000);
        assert_int_equal(world_move(&world, 0, &error, NULL), 0);
        make(UDP, (struct ends){first[v], 40001, target[v], 80});
        make_error(v, router[v], first[v], &packet, 1000);
        assert_int_equal(world_move(&world, -1, &error, NULL), -ENOENT);
        make_error(v, router[v], first[v], &packet, 0);
        assert_int_equal(world_move(&world, -1, &error, NULL), -ENOENT);
        world_end(&world);
    }
}

static void errors_about_a_left_address_find_nobody(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 0, UDP, false);
    assert_int_equal(rewrite_roam(world.rewrite, world.flow, world.now_ns), 0);
    make_error(0, target[0], first[0], &packet, 1000);
    assert_int_equal(world_move(&world, -1, &error, NULL), -ESHUTDOWN);
    world_end(&world);
}

/* ---- prohibited ---- */

static size_t prohibit(size_t room)
{
    static uint8_t answer[1280];
    size_t len = rewrite_prohibit(packet.bytes, packet.len, answer, room);

    assert_true(len <= room);
    memcpy(error.bytes, answer, len);
    error.len = len;
    return len;
}

static void a_refused_packet_is_answered(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        int v = i % 2;
        struct packet seen;
        make((enum what)(i / 2), (struct ends){inside[v], 40000, target[v], 80});
        assert_int_equal(prohibit(1280), (v ? 48 : 28) + packet.len);
        see(&error, &seen);
        assert_true(sums_right(&error, NULL));
        assert_addr(&seen.src, target[v]);
        assert_addr(&seen.dst, inside[v]);
        assert_int_equal(error.bytes[seen.transport_at], v ? 1 : 3);
        assert_int_equal(error.bytes[seen.transport_at + 1], v ? 1 : 13);
        assert_int_equal(craft_get32(error.bytes + seen.transport_at + 4), 0);
        assert_quotes(v, &packet);
    }
}

static void an_answer_is_no_longer_than_every_host_takes(void **state)
{
    static uint8_t payload[3000];

    (void)state;
    for (int v = 0; v < 2; v++) {
        struct peer_addr src = addr(inside[v]), dst = addr(target[v]);
        craft_udp_frame(&packet, &src, 1, &dst, 2, payload, sizeof(payload));
        assert_int_equal(prohibit(1280), v ? 1280 : 576);
        assert_true(sums_right(&error, NULL));
        assert_quotes(v, &packet);
        assert_int_equal(prohibit(200), 200);
        assert_true(sums_right(&error, NULL));
        assert_int_equal(prohibit(v ? 95 : 55), 0); /* the ports would be missing */
    }
}

static void some_packets_get_no_answer(void **state)
{
    static const struct ends ends[] = {
        {"198.18.0.1", 1, "224.0.0.1", 2},   {"198.18.0.1", 1, "255.255.255.255", 2},
        {"0.0.0.0", 1, "192.0.2.80", 2},     {"224.0.0.1", 1, "192.0.2.80", 2},
        {"2001:db8:7::1", 1, "ff02::fb", 2}, {"::", 1, "2001:db8::80", 2},
        {"ff02::1", 1, "2001:db8::80", 2},
    };
    struct crafted whole;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        make(UDP, ends[i]);
        assert_int_equal(prohibit(1280), 0);
    }
    for (int v = 0; v < 2; v++) {
        make(UDP, (struct ends){inside[v], 40000, target[v], 80});
        make_error(v, inside[v], target[v], &packet, 1000);
        packet = error;
        assert_int_equal(prohibit(1280), 0);
    }
    make(UDP, (struct ends){inside[0], 40000, target[0], 80});
    whole = packet;
    craft_fragment(&packet, &whole, 0, 8);
    assert_int_not_equal(prohibit(1280), 0);
    craft_fragment(&packet, &whole, 8, 16);
    assert_int_equal(prohibit(1280), 0);
    packet.len = 10;
    assert_int_equal(prohibit(1280), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_reach_the_program),
        cmocka_unit_test(errors_of_the_program_reach_the_application),
        cmocka_unit_test(a_quoted_datagram_without_checksum_has_none),
        cmocka_unit_test(errors_about_nothing_known_are_left),
        cmocka_unit_test(errors_about_a_left_address_find_nobody),
        cmocka_unit_test(a_refused_packet_is_answered),
        cmocka_unit_test(an_answer_is_no_longer_than_every_host_takes),
        cmocka_unit_test(some_packets_get_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
