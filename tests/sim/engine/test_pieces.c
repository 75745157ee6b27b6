/* SPDX-License-Identifier: BSD-3-Clause */
/* Datagrams in pieces, of any size, over any MTU, behind any headers. */
#include "scripted.h"

/* What is sent by one peer and comes back from another, and echo requests of the same size. */
static void exchange(uint32_t mtu, bool v6, size_t bytes)
{
    struct simnet_config config = {.peers = v6 ? "2001:2::2-2001:2::9" : "198.18.0.2-198.18.0.9",
                                   .mtu = mtu};
    struct simnet *net = simnet_new(&config);
    struct end like = {.echo = true};
    static uint8_t payload[70000];

    simnet_listen(net, IPPROTO_UDP, 7, &like);
    struct end *end = end_connect(net, IPPROTO_UDP, v6 ? "2001:2::2" : "198.18.0.2", 0,
                                  v6 ? "2001:2::3" : "198.18.0.3", 7);
    for (size_t i = 0; i < bytes; i++)
        payload[i] = (uint8_t)(i * 7);
    end->read_most = SIZE_MAX;
    assert_int_equal(flow_write(&end->flow, payload, bytes, 0), bytes);
    simnet_run_for(net, NS_PER_S);
    struct iovec iov[128];
    static uint8_t got[70000];
    int count = flow_peek(&end->flow, iov, 128);
    assert_int_equal(iov_total(iov, count), bytes);
    iov_gather(iov, count, got);
    assert_memory_equal(got, payload, bytes);

    struct stack_ping ping = {.from = simnet_addr(v6 ? "2001:2::2" : "198.18.0.2"),
                              .to = simnet_addr(v6 ? "2001:2::3" : "198.18.0.3"),
                              .size = (uint16_t)bytes};
    struct stack_icmp reply;
    assert_int_equal(stack_ping(simnet_stack(net), &ping), 0);
    simnet_run_for(net, NS_PER_S);
    assert_true(simnet_take_ping(net, &reply));
    assert_int_equal(reply.bytes, bytes);
    simnet_end(net);
}

static void every_size_around_a_border_comes_back(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        for (uint32_t mtu = 1400; mtu < 1408; mtu++) {
            uint32_t most = mtu - (v6 ? 48 : 28);
            for (uint32_t bytes = most - 2; bytes < most + 3; bytes++)
                exchange(mtu, v6, bytes);
            uint32_t piece = (mtu - (v6 ? 48 : 20)) & ~7u;
            for (uint32_t bytes = 2 * piece - 10; bytes < 2 * piece + 10; bytes++)
                exchange(mtu, v6, bytes);
        }
    }
}

/* A packet of the size of the MTU is not cut. */
static void what_fits_leaves_whole(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9", .mtu = 1405};
    struct simnet *net = simnet_new(&config);
    static uint8_t payload[1405 - 28];
    struct end *end = end_connect(net, IPPROTO_UDP, "198.18.0.2", 0, app_v4, 7);
    struct simnet_frame frame;

    (void)state;
    assert_int_equal(flow_write(&end->flow, payload, sizeof(payload), 0), sizeof(payload));
    assert_true(simnet_take(net, &frame));
    assert_int_equal(frame.len, 1405);
    assert_false(frame.packet.fragment);
    assert_silent(net);
    simnet_end(net);
}

/* ---- IPv6 extension headers around the fragment header ---- */

static const uint8_t options[8] = {0, 0, 1, 4, 0, 0, 0, 0}; /* PadN */

/* Bytes `from` to `to` of `whole` (the fragmentable part, which begins with `protocol`), behind
   `before` options headers. */
static void put_piece(struct simnet *net, int before, uint8_t protocol, const uint8_t *whole,
                      uint32_t from, uint32_t to, bool more)
{
    static struct crafted frame;
    struct peer_addr src = simnet_addr(app_v6), dst = simnet_addr("2001:2::4");
    uint8_t *at = craft_ip(&frame, &src, &dst, before ? IPPROTO_DSTOPTS : IPPROTO_FRAGMENT,
                           (size_t)before * 8 + 8 + to - from);

    for (int i = 1; i <= before; i++, at += 8) {
        memcpy(at, options, 8);
        at[0] = i < before ? IPPROTO_DSTOPTS : IPPROTO_FRAGMENT;
    }
    memset(at, 0, 8);
    at[0] = protocol;
    craft_put16(at + 2, from | more);
    craft_put32(at + 4, 77);
    memcpy(at + 8, whole + from, to - from);
    simnet_put(net, frame.bytes, frame.len, NULL);
}

static void headers_around_a_fragment_do_not_hide_it(void **state)
{
    static struct crafted udp;
    static uint8_t payload[3000], whole[4000];
    struct peer_addr src = simnet_addr(app_v6), dst = simnet_addr("2001:2::4");
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 11);
    craft_udp_frame(&udp, &src, 999, &dst, 53, payload, sizeof(payload));
    for (int before = 0; before <= 2; before++) {
        for (uint32_t behind = 0; behind <= 2; behind++) {
            for (size_t o = 0; o < ARRAY_SIZE(orders); o++) {
                struct simnet *net = begin("2001:2::2-2001:2::9", FRAME_IP);
                struct end like = {.read_most = SIZE_MAX};
                uint32_t len = behind * 8 + (uint32_t)udp.len - 40;
                for (uint32_t i = 0; i < behind; i++) {
                    memcpy(whole + i * 8, options, 8);
                    whole[i * 8] = i + 1 < behind ? IPPROTO_DSTOPTS : IPPROTO_UDP;
                }
                memcpy(whole + behind * 8, udp.bytes + 40, udp.len - 40);
                simnet_listen(net, IPPROTO_UDP, 53, &like);
                for (int i = 0; i < 3; i++) {
                    uint32_t n = (uint32_t)orders[o][i], from = n * 1200;
                    put_piece(net, before, behind ? IPPROTO_DSTOPTS : IPPROTO_UDP, whole, from,
                              n == 2 ? len : from + 1200, n < 2);
                }
                struct end *end = simnet_accepted(net);
                assert_non_null(end);
                struct iovec iov[16];
                static uint8_t got[4096];
                int count = flow_peek(&end->flow, iov, 16);
                assert_int_equal(iov_total(iov, count), sizeof(payload));
                iov_gather(iov, count, got);
                assert_memory_equal(got, payload, sizeof(payload));
                simnet_end(net);
            }
        }
    }
}

/* What must not be skipped by who does not know it (RFC 8200, 4.2) is not. */
static void unknown_options_that_forbid_it_are_dropped(void **state)
{
    struct simnet *net = begin("2001:2::2-2001:2::9", FRAME_IP);
    static uint8_t whole[16];
    static struct crafted frame;
    struct peer_addr src = simnet_addr(app_v6), dst = simnet_addr("2001:2::4");
    struct stack_stats stats;

    (void)state;
    uint8_t *at = craft_ip(&frame, &src, &dst, IPPROTO_DSTOPTS, 8 + 8 + sizeof(whole));
    memcpy(at, "\x2c\0\x7e\4\0\0\0\0\x11\0\0\1\0\0\0\1", 16);
    memcpy(at + 16, whole, sizeof(whole));
    simnet_put(net, frame.bytes, frame.len, NULL);
    stack_get_stats(simnet_stack(net), &stats);
    assert_int_equal(stats.bad, 1);
    simnet_end(net);
}

/* RFC 8200, 4.5: a piece that is not the last is a multiple of 8, and none ends beyond 65535; the
   error names the field and quotes the packet from its first byte. */
static void a_piece_in_no_place_is_answered(void **state)
{
    static const struct {
        uint32_t from, len, field;
        bool more;
    } pieces[] = {{0, 503, 4, true}, {800, 1, 4, true}, {65528, 8, 42, false},
                  {65528, 16, 42, true}};
    static uint8_t whole[65528 + 16];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        struct simnet *net = begin("2001:2::2-2001:2::9", FRAME_IP);
        struct simnet_frame frame;
        uint32_t len = pieces[i].len;

        put_piece(net, 0, IPPROTO_UDP, whole, pieces[i].from, pieces[i].from + len,
                  pieces[i].more);
        assert_true(simnet_take(net, &frame));
        assert_int_equal(frame.len, 40 + 8 + 40 + 8 + len);
        const uint8_t *error = frame.data + 40, *quote = error + 8;
        assert_int_equal(error[0], 4); /* parameter problem: */
        assert_int_equal(error[1], 0); /* erroneous field */
        assert_int_equal(craft_get32(error + 4), pieces[i].field);
        assert_int_equal(quote[0] >> 4, 6);
        assert_int_equal(quote[6], IPPROTO_FRAGMENT);
        assert_int_equal(craft_get16(quote + 42), pieces[i].from | pieces[i].more);
        assert_silent(net);
        simnet_end(net);
    }
}

/* Linux waits 30 s for the rest (ipfrag_time), and 60 s in IPv6 (RFC 8200, 4.5). */
static void a_piece_waits_for_the_rest_as_long_as_in_linux(void **state)
{
    static const struct {
        bool v6;
        uint32_t seconds;
    } waits[] = {{false, 30}, {true, 60}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
        bool v6 = waits[i].v6;
        struct simnet *net =
            begin(v6 ? "2001:2::2-2001:2::9" : "198.18.0.2-198.18.0.9", FRAME_IP);
        static const uint8_t whole[64];
        static struct crafted frame;
        struct peer_addr src = simnet_addr(app_v4), dst = simnet_addr("198.18.0.4");
        struct simnet_frame error;

        if (v6) {
            put_piece(net, 0, IPPROTO_UDP, whole, 0, sizeof(whole), true);
        } else {
            memset(craft_ip(&frame, &src, &dst, IPPROTO_UDP, sizeof(whole)), 0, sizeof(whole));
            craft_put16(frame.bytes + 6, 0x2000);
            craft_put16(frame.bytes + 10, 0);
            uint16_t sum = checksum_finish(checksum_add(0, frame.bytes, 20));
            memcpy(frame.bytes + 10, &sum, sizeof(sum));
            simnet_put(net, frame.bytes, frame.len, NULL);
        }
        simnet_run_for(net, (waits[i].seconds - 1) * NS_PER_S);
        assert_silent(net);
        simnet_run_for(net, 3 * NS_PER_S);
        assert_true(simnet_take(net, &error)); /* time exceeded, reassembly */
        assert_int_equal(error.data[v6 ? 40 : 20], v6 ? 3 : 11);
        assert_int_equal(error.data[v6 ? 41 : 21], 1);
        simnet_end(net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_size_around_a_border_comes_back),
        TEST(what_fits_leaves_whole),
        TEST(headers_around_a_fragment_do_not_hide_it),
        TEST(unknown_options_that_forbid_it_are_dropped),
        TEST(a_piece_in_no_place_is_answered),
        TEST(a_piece_waits_for_the_rest_as_long_as_in_linux),
    };
    return cmocka_run_group_tests_name("pieces", tests, NULL, NULL);
}
