/* SPDX-License-Identifier: BSD-3-Clause */
/* All packets of a flow have one number, whatever kind they are of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rewriting.h"

enum { STEP = 1200 };

static const char *const inside[2] = {"198.18.0.1", "2001:db8:7::1"};
static const char *const target[2] = {"192.0.2.80", "2001:db8::80"};
static const char *const other[2] = {"192.0.2.81", "2001:db8::81"};
static const char *const loopback[2] = {"127.0.0.1", "::1"};

static struct crafted packet, part, error;

static struct rewrite_sort *sort_of(struct rewrite_sort_config config)
{
    struct rewrite_sort *sort;

    config.secret[0] = 7;
    config.secret[1] = 11;
    assert_int_equal(rewrite_sort_new(&config, &sort), 0);
    return sort;
}

static int find(struct rewrite_sort *sort, unsigned side, struct crafted *what, uint64_t *ret_number)
{
    const struct rewrite_packet raw = {what->bytes, what->len, NULL, 0};

    return rewrite_sort_find(sort, side, &raw, NS_PER_S, ret_number);
}

static uint64_t number(struct rewrite_sort *sort, struct crafted *what)
{
    uint64_t found = 0;

    assert_int_equal(find(sort, 0, what, &found), 0);
    return found;
}

static struct crafted *udp(int v, const char *to, uint16_t from_port, size_t len)
{
    static uint8_t payload[3000];
    struct peer_addr src = addr(inside[v]), dst = addr(to);

    craft_udp_frame(&packet, &src, from_port, &dst, 53, payload, len);
    return &packet;
}

static void segments_of_a_connection_are_one_flow(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct rewrite_sort *sort = sort_of((struct rewrite_sort_config){.by_destination = false});
        const struct ends ends = {inside[v], 40000, target[v], 80};
        make_tcp(&packet, ends, CRAFT_SYN);
        const uint64_t syn = number(sort, &packet);
        make_tcp(&packet, ends, CRAFT_ACK);
        assert_int_equal(number(sort, &packet), syn);
        make_tcp(&packet, (struct ends){inside[v], 40001, target[v], 80}, CRAFT_SYN);
        assert_int_not_equal(number(sort, &packet), syn);
        rewrite_sort_free(sort);
    }
}

static void fragments_have_the_number_of_their_first(void **state)
{
    (void)state;
    struct rewrite_sort *sort = sort_of((struct rewrite_sort_config){.by_destination = false});
    uint64_t found;

    const uint64_t small = number(sort, udp(0, target[0], 40000, 10));
    udp(0, target[0], 40000, 3000);
    craft_put16(packet.bytes + 4, 77);
    craft_fragment(&part, &packet, STEP, 2 * STEP); /* nobody has seen the first one */
    assert_int_equal(find(sort, 0, &part, &found), -ENOENT);
    craft_fragment(&part, &packet, 0, STEP);
    assert_int_equal(number(sort, &part), small);
    for (uint32_t i = 1; i < 3; i++) {
        craft_fragment(&part, &packet, i * STEP, (i + 1) * STEP);
        assert_int_equal(number(sort, &part), small);
        assert_int_equal(find(sort, 1, &part, &found), -ENOENT); /* of another program */
    }
    craft_put16(packet.bytes + 4, 78);
    craft_fragment(&part, &packet, STEP, 2 * STEP);
    assert_int_equal(find(sort, 0, &part, &found), -ENOENT);
    rewrite_sort_free(sort);
}

static void an_error_belongs_to_what_it_is_about(void **state)
{
    static uint8_t payload[10];

    (void)state;
    for (int v = 0; v < 2; v++) {
        struct rewrite_sort *sort = sort_of((struct rewrite_sort_config){.by_destination = false});
        struct peer_addr near = addr(inside[v]), far = addr(target[v]);
        const uint64_t sent = number(sort, udp(v, target[v], 40000, 10));
        /* The answer, for which nobody listens any more. */
        craft_udp_frame(&packet, &far, 53, &near, 40000, payload, sizeof(payload));
        craft_icmp_frame(&error, &near, &far, v ? 1 : 3, v ? 4 : 3, 0, packet.bytes, packet.len);
        assert_int_equal(number(sort, &error), sent);
        rewrite_sort_free(sort);
    }
}

static void by_destination_the_address_alone_counts(void **state)
{
    (void)state;
    for (int v = 0; v < 2; v++) {
        struct rewrite_sort *sort = sort_of(
            (struct rewrite_sort_config){.by_destination = true, .localhost = addr(target[v])});
        const uint64_t first = number(sort, udp(v, target[v], 40000, 10));
        assert_int_equal(number(sort, udp(v, target[v], 40001, 20)), first);
        assert_int_equal(number(sort, udp(v, loopback[v], 40002, 20)), first);
        assert_int_not_equal(number(sort, udp(v, other[v], 40000, 10)), first);
        rewrite_sort_free(sort);
    }
}

static void what_says_nothing_has_no_number(void **state)
{
    (void)state;
    struct rewrite_sort *sort = sort_of((struct rewrite_sort_config){.by_destination = false});
    uint64_t found;

    udp(0, target[0], 40000, 100);
    packet.len = 19; /* cut in its header */
    assert_int_equal(find(sort, 0, &packet, &found), -ENOENT);
    packet.len = 0;
    assert_int_equal(find(sort, 0, &packet, &found), -ENOENT);
    rewrite_sort_free(sort);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_of_a_connection_are_one_flow),
        cmocka_unit_test(fragments_have_the_number_of_their_first),
        cmocka_unit_test(an_error_belongs_to_what_it_is_about),
        cmocka_unit_test(by_destination_the_address_alone_counts),
        cmocka_unit_test(what_says_nothing_has_no_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
