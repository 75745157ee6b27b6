/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragments: the first finds the flow, the later ones follow it by the packet's id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rewriting.h"

enum { PAYLOAD = 3000, STEP = 1200, PARTS = 3 };

static const char *const peers[2] = {"198.18.0.2-198.18.0.9", "2001:db8:7::2-2001:db8:7::9"};
static const char *const first[2] = {"198.18.0.2", "2001:db8:7::2"};
static const char *const inside[2] = {"198.18.0.1", "2001:db8:7::1"};
static const char *const target[2] = {"192.0.2.80", "2001:db8::80"};

static struct crafted whole, parts[PARTS], together;

/* Bytes `from` to `to` of what follows the IPv6 header. */
static void fragment6(struct crafted *out, uint32_t id, uint32_t from, uint32_t to)
{
    uint32_t total = (uint32_t)whole.len - 40;

    to = to < total ? to : total;
    memcpy(out->bytes, whole.bytes, 40);
    uint8_t *header = out->bytes + 40;
    header[0] = out->bytes[6];
    out->bytes[6] = IPPROTO_FRAGMENT;
    header[1] = 0;
    craft_put16(header + 2, from | (to < total));
    craft_put32(header + 4, id);
    memcpy(header + 8, whole.bytes + 40 + from, to - from);
    out->len = 48 + to - from;
    craft_put16(out->bytes + 4, (uint32_t)out->len - 40);
}

static void split(int v, uint16_t id)
{
    craft_put16(whole.bytes + 4, v ? (uint32_t)whole.len - 40 : id);
    for (uint32_t i = 0; i < PARTS; i++) {
        if (v)
            fragment6(&parts[i], id, i * STEP, (i + 1) * STEP);
        else
            craft_fragment(&parts[i], &whole, i * STEP, (i + 1) * STEP);
    }
}

static void make(int v, bool echo, struct ends ends, uint16_t id)
{
    static uint8_t payload[PAYLOAD];
    struct peer_addr src = addr(ends.src), dst = addr(ends.dst);

    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 7);
    if (echo)
        craft_icmp_frame(&whole, &src, &dst, v ? 128 : 8, 0, (uint32_t)ends.src_port << 16, payload,
                         PAYLOAD);
    else
        craft_udp_frame(&whole, &src, ends.src_port, &dst, ends.dst_port, payload, PAYLOAD);
    split(v, id);
}

/* The packet that its receiver puts together. */
static void assemble(int v)
{
    size_t header = v ? 48 : 20;

    memcpy(together.bytes, parts[0].bytes, v ? 40 : 20);
    together.len = v ? 40 : 20;
    for (int i = 0; i < PARTS; i++) {
        memcpy(together.bytes + together.len, parts[i].bytes + header, parts[i].len - header);
        together.len += parts[i].len - header;
    }
    if (v) {
        together.bytes[6] = parts[0].bytes[40];
        craft_put16(together.bytes + 4, (uint32_t)together.len - 40);
        return;
    }
    craft_put16(together.bytes + 2, (uint32_t)together.len);
    memset(together.bytes + 6, 0, 2);
    memset(together.bytes + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, together.bytes, 20));
    memcpy(together.bytes + 10, &sum, 2);
}

static void fragments_are_one_packet_at_the_other_end(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        int v = i % 2;
        struct world world;
        struct packet seen;
        world_begin(&world, peers[v], (struct rewrite_config){0});
        make(v, i / 2, (struct ends){inside[v], 40000, target[v], 53}, 77);
        for (int n = 0; n < PARTS; n++)
            assert_int_equal(world_move(&world, 0, &parts[n], NULL), 0);
        assemble(v);
        see(&together, &seen);
        assert_addr(&seen.src, first[v]);
        assert_true(sums_right(&together, NULL));
        assert_int_equal(world.flow->packets_out, PARTS);
        assert_int_equal(world_stats(&world).fragments_out, PARTS);

        whole = together;
        turn_round(&whole, NULL);
        split(v, 78);
        for (int n = 0; n < PARTS; n++)
            assert_int_equal(world_move(&world, -1, &parts[n], NULL), 0);
        assemble(v);
        see(&together, &seen);
        assert_addr(&seen.dst, inside[v]);
        assert_true(sums_right(&together, NULL));
        assert_int_equal(world_stats(&world).fragments_in, PARTS);
        world_end(&world);
    }
}

/* ---- out of order ---- */

static unsigned late_count;

static void keep_late(const uint8_t *packet, size_t len)
{
    struct crafted *part =
        &parts[PARTS - 1 - late_count % PARTS]; /* as they came, the last first */

    memcpy(part->bytes, packet, len);
    part->len = len;
    late_count++;
}

/* A new flow; what its target answers is in parts. */
static void begin_and_answer(struct world *world, int v)
{
    world_begin(world, peers[v], (struct rewrite_config){0});
    world->late = keep_late;
    late_count = 0;
    make_udp(&whole, (struct ends){inside[v], 40000, target[v], 53});
    assert_int_equal(world_move(world, 0, &whole, NULL), 0);
    make(v, false, (struct ends){target[v], 53, first[v], 40000}, 90);
}

static void fragments_that_came_too_early_are_not_lost(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct world world;
        struct packet seen;
        begin_and_answer(&world, v);
        for (int n = PARTS - 1; n > 0; n--)
            assert_int_equal(world_move(&world, -1, &parts[n], NULL), -ENOENT);
        assert_int_equal(late_count, 0);
        assert_int_equal(world_move(&world, -1, &parts[0], NULL), 0);
        assert_int_equal(late_count, PARTS - 1);
        assemble(v);
        see(&together, &seen);
        assert_addr(&seen.dst, inside[v]);
        assert_true(sums_right(&together, NULL));
        assert_int_equal(world.flow->packets_in, PARTS);
        assert_int_equal(world_stats(&world).fragments_late, PARTS - 1);
        world_end(&world);
    }
}

static void early_fragments_are_held_for_half_a_minute(void **state)
{
    static const uint64_t waits_ns[] = {30 * NS_PER_S - 1, 30 * NS_PER_S};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(waits_ns); i++) {
        struct world world;
        begin_and_answer(&world, 0);
        assert_int_equal(world_move(&world, -1, &parts[1], NULL), -ENOENT);
        world_pass(&world, waits_ns[i]);
        assert_int_equal(world_move(&world, -1, &parts[0], NULL), 0);
        assert_int_equal(late_count, 1 - i);
        world_end(&world);
    }
}

/* Those of others make nobody wait, and a flood of them pushes out the oldest. */
static void early_fragments_are_few(void **state)
{
    struct world world;

    (void)state;
    begin_and_answer(&world, 0);
    assert_int_equal(world_move(&world, -1, &parts[1], NULL), -ENOENT);
    struct crafted first_part = parts[0];
    for (uint16_t id = 1000; id < 1064; id++) {
        assert_int_equal(late_count, 0);
        make(0, false, (struct ends){target[0], 53, "198.18.0.5", 40000}, id);
        assert_int_equal(world_move(&world, -1, &parts[1], NULL), -ENOENT);
    }
    assert_int_equal(world_move(&world, -1, &parts[0], NULL), -ENOENT);
    assert_int_equal(world_move(&world, -1, &first_part, NULL), 0);
    assert_int_equal(late_count, 0);
    world_end(&world);
}

/* ---- unknown ones ---- */

static void a_part_of_an_unknown_packet_is_refused(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct world world;
        world_begin(&world, peers[v], (struct rewrite_config){0});
        make(v, false, (struct ends){inside[v], 40000, target[v], 53}, 77);
        assert_int_equal(world_move(&world, 0, &parts[1], NULL), -ENOENT);
        assert_int_equal(world_move(&world, 0, &parts[0], NULL), 0);
        split(v, 78);
        assert_int_equal(world_move(&world, 0, &parts[1], NULL), -ENOENT);
        assert_int_equal(world_stats(&world).fragments_lost, 2);
        assert_int_equal(world_move(&world, -1, &parts[2], NULL), -ENOENT); /* the stack's */
        world_end(&world);
    }
}

static void ids_are_forgotten_after_half_a_minute(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct world world;
        world_begin(&world, peers[v], (struct rewrite_config){0});
        make(v, false, (struct ends){inside[v], 40000, target[v], 53}, 77);
        assert_int_equal(world_move(&world, 0, &parts[0], NULL), 0);
        world_pass(&world, 30 * NS_PER_S - 1);
        assert_int_equal(world_move(&world, 0, &parts[1], NULL), 0);
        world_pass(&world, 1);
        assert_int_equal(world_move(&world, 0, &parts[2], NULL), -ENOENT);
        world_end(&world);
    }
}

/* The next flow in that slot must not get them. */
static void a_forgotten_flow_takes_its_fragments_along(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){.max_flows = 1});
    make(0, false, (struct ends){inside[0], 40000, target[0], 53}, 77);
    assert_int_equal(world_move(&world, 0, &parts[0], NULL), 0);
    make_udp(&whole, (struct ends){inside[0], 40001, target[0], 53});
    assert_int_equal(world_move(&world, 0, &whole, NULL), 0);
    assert_int_equal(world.ended, 1);
    assert_int_equal(world_move(&world, 0, &parts[1], NULL), -ENOENT);
    world_end(&world);
}

/* Copies of a program may use the same ids, and a reused id is that of the latest packet. */
static void an_id_belongs_to_its_side_and_its_latest_packet(void **state)
{
    const struct rewrite_side sides[] = {{0, 2}, {2, 2}};
    struct world world;
    struct packet seen;

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){.sides = sides, .side_count = 2});
    for (unsigned side = 0; side < 2; side++) {
        make(0, false, (struct ends){inside[0], 40000, target[0], 53}, 77);
        assert_int_equal(world_move(&world, (int)side, &parts[0], NULL), 0);
        if (side == 0)
            assert_int_equal(world_move(&world, 1, &parts[1], NULL), -ENOENT);
    }
    assert_int_equal(world_move(&world, 0, &parts[1], NULL), 0);
    see(&parts[1], &seen);
    assert_addr(&seen.src, "198.18.0.2");
    make(0, false, (struct ends){inside[0], 40001, target[0], 53}, 77);
    assert_int_equal(world_move(&world, 0, &parts[0], NULL), 0);
    assert_int_equal(world_move(&world, 0, &parts[1], NULL), 0);
    see(&parts[1], &seen);
    assert_addr(&seen.src, "198.18.0.3");
    world_end(&world);
}

/* Its address has changed since the first fragment came: the rest is for nobody. */
static void who_roamed_gets_no_rest(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct world world;
        struct packet seen;
        begin_and_answer(&world, v);
        assert_int_equal(world_move(&world, -1, &parts[0], NULL), 0);
        assert_int_equal(rewrite_roam(world.rewrite, world.flow, world.now_ns), 0);
        assert_int_equal(world_move(&world, -1, &parts[1], NULL), -ESHUTDOWN);

        make(v, false, (struct ends){inside[v], 40000, target[v], 53}, 91);
        assert_int_equal(world_move(&world, 0, &parts[0], NULL), 0);
        assert_int_equal(rewrite_roam(world.rewrite, world.flow, world.now_ns), 0);
        assert_int_equal(world_move(&world, 0, &parts[1], NULL), 0);
        see(&parts[1], &seen);
        assert_addr(&seen.src, v ? "2001:db8:7::4" : "198.18.0.4");
        world_end(&world);
    }
}

/* RFC 791: of IPv4 the protocol is a part of what its id counts in. */
static void ids_of_protocols_are_apart(void **state)
{
    struct world world;
    struct packet seen;

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){0});
    make(0, false, (struct ends){inside[0], 40000, target[0], 53}, 77);
    struct crafted later = parts[1];
    assert_int_equal(world_move(&world, 0, &parts[0], NULL), 0);
    make(0, true, (struct ends){inside[0], 40000, target[0], 0}, 77);
    assert_int_equal(world_move(&world, 0, &parts[0], NULL), 0);
    assert_int_equal(world_move(&world, 0, &later, NULL), 0);
    see(&later, &seen);
    assert_addr(&seen.src, first[0]);
    world_end(&world);
}

/* A checksum over more than is there cannot be made by a device, nor a part be split. */
static void a_fragment_has_no_offload(void **state)
{
    static const struct frame_offload offloads[] = {
        {.flags = FRAME_NEEDS_CSUM, .csum_start = 20, .csum_offset = 6},
        {.gso_type = FRAME_GSO_UDP_L4, .gso_size = 100},
    };
    struct world world;

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){0});
    make(0, false, (struct ends){inside[0], 40000, target[0], 53}, 77);
    for (size_t i = 0; i < ARRAY_SIZE(offloads); i++) {
        struct frame_offload offload = offloads[i];
        assert_int_equal(world_move(&world, 0, &parts[0], &offload), -EBADMSG);
        assert_int_equal(world_move(&world, 0, &parts[1], &offload), -EBADMSG);
    }
    world_end(&world);
}

/* RFC 1858: the checksum would be in a later one, where nobody could tell it from data. */
static void a_first_fragment_without_checksum_is_refused(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, peers[0], (struct rewrite_config){0});
    make_tcp(&whole, (struct ends){inside[0], 40000, target[0], 53}, CRAFT_SYN);
    craft_fragment(&parts[0], &whole, 0, 8);
    assert_int_equal(world_move(&world, 0, &parts[0], NULL), -EBADMSG);
    world_end(&world);
}

/* RFC 6946: an "atomic" fragment is a whole packet. */
static void an_atomic_fragment_is_whole(void **state)
{
    struct world world;
    struct packet seen;

    (void)state;
    world_begin(&world, peers[1], (struct rewrite_config){0});
    make_udp(&whole, (struct ends){inside[1], 40000, target[1], 53});
    fragment6(&parts[0], 1, 0, PAYLOAD);
    assert_int_equal(world_move(&world, 0, &parts[0], NULL), 0);
    see(&parts[0], &seen);
    assert_addr(&seen.src, first[1]);
    assert_int_equal(world_stats(&world).fragments_out, 0);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragments_are_one_packet_at_the_other_end),
        cmocka_unit_test(fragments_that_came_too_early_are_not_lost),
        cmocka_unit_test(early_fragments_are_held_for_half_a_minute),
        cmocka_unit_test(early_fragments_are_few),
        cmocka_unit_test(a_part_of_an_unknown_packet_is_refused),
        cmocka_unit_test(ids_are_forgotten_after_half_a_minute),
        cmocka_unit_test(a_forgotten_flow_takes_its_fragments_along),
        cmocka_unit_test(an_id_belongs_to_its_side_and_its_latest_packet),
        cmocka_unit_test(who_roamed_gets_no_rest),
        cmocka_unit_test(ids_of_protocols_are_apart),
        cmocka_unit_test(a_fragment_has_no_offload),
        cmocka_unit_test(a_first_fragment_without_checksum_is_refused),
        cmocka_unit_test(an_atomic_fragment_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
