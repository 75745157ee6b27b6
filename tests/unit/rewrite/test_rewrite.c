/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rewriting.h"

static struct crafted packet;

enum what { TCP, UDP, ECHO };
static const char *const peers[2] = {"198.18.0.1-198.18.0.9", "2001:db8:7::1-2001:db8:7::9"};
static const char *const first[2] = {"198.18.0.1", "2001:db8:7::1"};
static const char *const inside[2] = {"198.18.0.1", "2001:db8:7::1"};
static const char *const target[2] = {"192.0.2.80", "2001:db8::80"};

static void make(enum what what, struct ends ends)
{
    if (what == TCP)
        make_tcp(&packet, ends, CRAFT_SYN);
    else if (what == UDP)
        make_udp(&packet, ends);
    else
        make_echo(&packet, ends, false);
}

static void a_flow_goes_out_from_a_peer_and_its_answers_come_back(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        int v = i % 2;
        enum what what = (enum what)(i / 2);
        uint16_t port = what == ECHO ? 0 : 80;
        struct world world;
        struct packet seen;
        world_begin(&world, peers[v], (struct rewrite_config){0});

        make(what, (struct ends){inside[v], 40000, target[v], port});
        assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
        make(what, (struct ends){inside[v], 40001, target[v], port});
        assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
        see(&packet, &seen);
        assert_addr(&seen.src, v ? "2001:db8:7::2" : "198.18.0.2");
        assert_addr(&seen.dst, target[v]);
        assert_int_equal(world.flow->outside_port, 40001);
        assert_int_equal(world.flow->peer_index, 1);
        assert_int_equal(world.flow->packets_out, 1);

        assert_int_equal(world_answer(&world, &packet, CRAFT_SYN | CRAFT_ACK), 0);
        see(&packet, &seen);
        assert_addr(&seen.src, target[v]);
        assert_addr(&seen.dst, inside[v]);
        if (what != ECHO)
            assert_int_equal(seen.dst_port, 40001);
        assert_int_equal(world.flow->packets_in, 1);
        assert_int_equal(world.flow->bytes_in, packet.len);
        assert_int_equal(world_stats(&world).flows, 2);
        world_end(&world);
    }
}

static void what_is_of_no_flow_is_not_let_in(void **state)
{
    struct world world;

    (void)state;
    for (int v = 0; v < 2; v++) {
        world_begin(&world, peers[v], (struct rewrite_config){0});
        make_udp(&packet, (struct ends){inside[v], 40000, target[v], 53});
        assert_int_equal(world_move(&world, 0, &packet, NULL), 0);

        make_udp(&packet, (struct ends){target[v], 54, first[v], 40000});
        assert_int_equal(world_move(&world, -1, &packet, NULL), -ENOENT);
        make_udp(&packet, (struct ends){target[v], 53, first[v], 40001});
        assert_int_equal(world_move(&world, -1, &packet, NULL), -ENOENT);
        make_tcp(&packet, (struct ends){target[v], 53, first[v], 40000}, CRAFT_SYN);
        assert_int_equal(world_move(&world, -1, &packet, NULL), -ENOENT);
        make_echo(&packet, (struct ends){target[v], 40000, first[v], 0}, false);
        assert_int_equal(world_move(&world, -1, &packet, NULL), -ENOENT);
        make_udp(&packet, (struct ends){target[!v], 53, first[!v], 40000});
        assert_int_equal(world_move(&world, -1, &packet, NULL), -ENOENT);
        world_end(&world);
    }
}

/* An echo request for a peer is the stack's, even if the peer has pinged with that id. */
static void a_request_is_not_taken_for_a_reply(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){0});
    make_echo(&packet, (struct ends){inside[0], 5, target[0], 0}, false);
    assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
    make_echo(&packet, (struct ends){target[0], 5, first[0], 0}, false);
    assert_int_equal(world_move(&world, -1, &packet, NULL), -ENOENT);
    make_echo(&packet, (struct ends){target[0], 0, first[0], 5}, true);
    assert_int_equal(world_move(&world, -1, &packet, NULL), 0);
    make_echo(&packet, (struct ends){inside[0], 0, target[0], 5}, true);
    assert_int_equal(world_move(&world, 0, &packet, NULL), -EPROTONOSUPPORT);
    world_end(&world);
}

static void a_target_is_asked_for_once_a_flow(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){0});
    for (int i = 0; i < 3; i++) {
        make_udp(&packet, (struct ends){inside[0], 40000, target[0], 53});
        assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
    }
    assert_int_equal(world.asks, 1);
    assert_addr(&world.asked, target[0]);

    world.refuses = true;
    make_udp(&packet, (struct ends){inside[0], 40000, target[0], 53});
    assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
    make_udp(&packet, (struct ends){inside[0], 40000, target[0], 54});
    assert_int_equal(world_move(&world, 0, &packet, NULL), -EPERM);
    assert_int_equal(world_stats(&world).not_allowed, 1);
    assert_int_equal(world_stats(&world).flows, 1);
    world_end(&world);
}

static void nothing_goes_to_groups_or_to_loopback(void **state)
{
    static const char *const bad[] = {"224.0.0.251", "127.0.0.1", "0.0.0.0"};
    static const char *const bad6[] = {"ff02::fb", "::1", "::"};
    struct world world;

    (void)state;
    for (int v = 0; v < 2; v++) {
        world_begin(&world, peers[v], (struct rewrite_config){0});
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
            make_udp(&packet, (struct ends){inside[v], 5353, v ? bad6[i] : bad[i], 5353});
            assert_int_equal(world_move(&world, 0, &packet, NULL), -EPERM);
        }
        assert_int_equal(world.asks, 0);
        world_end(&world);
    }
}

/* Other protocols, the other family, ICMP that is neither echo nor error. */
static void what_cannot_be_translated_is_refused(void **state)
{
    struct peer_addr src = addr(inside[1]), group = addr("ff02::2"), dst = addr(target[1]);
    struct world world;

    (void)state;
    world_begin(&world, peers[1], (struct rewrite_config){0});
    craft_icmp_frame(&packet, &src, &group, 133, 0, 0, NULL, 0);
    assert_int_equal(world_move(&world, 0, &packet, NULL), -EPROTONOSUPPORT);
    craft_ip(&packet, &src, &dst, IPPROTO_SCTP, 12);
    assert_int_equal(world_move(&world, 0, &packet, NULL), -EPROTONOSUPPORT);
    make_udp(&packet, (struct ends){inside[0], 40000, target[0], 53});
    assert_int_equal(world_move(&world, 0, &packet, NULL), -EPROTONOSUPPORT);
    assert_int_equal(world_stats(&world).unsupported, 3);
    world_end(&world);
}

static void broken_packets_are_refused_both_ways(void **state)
{
    struct world world;
    struct frame_offload offload = {.flags = FRAME_NEEDS_CSUM, .csum_start = 20, .csum_offset = 16};

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){0});
    make_udp(&packet, (struct ends){inside[0], 40000, target[0], 53});
    assert_int_equal(world_move(&world, 0, &packet, &offload), -EBADMSG); /* TCP's place */
    packet.len -= 3;
    assert_int_equal(world_move(&world, 0, &packet, NULL), -EBADMSG);
    assert_int_equal(world_move(&world, -1, &packet, NULL), -EBADMSG);
    packet.bytes[0] = 0x55;
    assert_int_equal(world_move(&world, 0, &packet, NULL), -EBADMSG);
    packet.len = 0;
    assert_int_equal(world_move(&world, 0, &packet, NULL), -EBADMSG);
    assert_int_equal(world_stats(&world).malformed, 4);
    assert_int_equal(world_stats(&world).malformed_in, 1);
    world_end(&world);
}

/* ---- localhost ---- */

static void loopback_leads_to_the_application(void **state)
{
    static const char *const loopback[2] = {"127.0.0.1", "::1"};
    struct world world;
    struct packet seen;

    (void)state;
    for (int v = 0; v < 2; v++) {
        world_begin(&world, peers[v], (struct rewrite_config){.localhost = addr(target[v])});
        make_tcp(&packet, (struct ends){loopback[v], 40000, loopback[v], 80}, CRAFT_SYN);
        assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
        assert_addr(&world.asked, target[v]);
        see(&packet, &seen);
        assert_addr(&seen.src, first[v]);
        assert_addr(&seen.dst, target[v]);
        assert_int_equal(world_answer(&world, &packet, CRAFT_SYN | CRAFT_ACK), 0);
        see(&packet, &seen);
        assert_addr(&seen.src, loopback[v]);
        assert_addr(&seen.dst, loopback[v]);
        assert_int_equal(seen.src_port, 80);

        make_tcp(&packet, (struct ends){loopback[v], 40000, loopback[v], 80}, CRAFT_ACK);
        assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
        assert_int_equal(world.flow->state, REWRITE_OPEN);
        world_end(&world);
    }
}

/* The same application by two of its names: to it the flows must differ. */
static void two_names_of_one_target_do_not_collide(void **state)
{
    struct world world;
    struct packet one, other;

    (void)state;
    world_begin(&world, "198.18.0.1", (struct rewrite_config){.localhost = addr(target[0])});
    make_udp(&packet, (struct ends){inside[0], 40000, "127.0.0.1", 53});
    assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
    see(&packet, &one);
    make_udp(&packet, (struct ends){inside[0], 40000, target[0], 53});
    assert_int_equal(world_move(&world, 0, &packet, NULL), 0);
    see(&packet, &other);
    assert_int_equal(one.src_port, 40000);
    assert_int_not_equal(other.src_port, 40000);
    assert_true(other.src_port >= 1024);
    assert_int_equal(world_answer(&world, &packet, 0), 0);
    see(&packet, &other);
    assert_addr(&other.src, target[0]);
    assert_int_equal(other.dst_port, 40000);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_goes_out_from_a_peer_and_its_answers_come_back),
        cmocka_unit_test(what_is_of_no_flow_is_not_let_in),
        cmocka_unit_test(a_request_is_not_taken_for_a_reply),
        cmocka_unit_test(a_target_is_asked_for_once_a_flow),
        cmocka_unit_test(nothing_goes_to_groups_or_to_loopback),
        cmocka_unit_test(what_cannot_be_translated_is_refused),
        cmocka_unit_test(broken_packets_are_refused_both_ways),
        cmocka_unit_test(loopback_leads_to_the_application),
        cmocka_unit_test(two_names_of_one_target_do_not_collide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
