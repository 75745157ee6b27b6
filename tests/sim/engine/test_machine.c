/* SPDX-License-Identifier: BSD-3-Clause */
/* What a machine answers by itself, field by field, as Linux does. */
#include "scripted.h"

static const char peer_v4[] = "198.18.0.4", peer_v6[] = "2001:2::4";
static struct crafted frame;

static struct simnet *begin_family(bool v6)
{
    return v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
}

/* ---- resets (RFC 9293, 3.10.7.1) ---- */

static void check_bare_reset(struct simnet *net, uint32_t seq)
{
    struct simnet_frame answer;
    struct craft_tcp tcp = {0};

    assert_true(simnet_take(net, &answer));
    assert_true(checksum_verify(answer.data, answer.len, &answer.packet));
    assert_true(craft_see_tcp(answer.data, &answer.packet, &tcp));
    assert_int_equal(tcp.flags, CRAFT_RST);
    assert_int_equal(tcp.seq, seq);
    assert_int_equal(tcp.ack, 0);
    assert_int_equal(tcp.window, 0);
    if (answer.packet.ip_version == 4) {
        assert_int_equal(craft_get16(answer.data + 4), 0);
        assert_int_equal(craft_get16(answer.data + 6), 0x4000);
    }
    assert_silent(net);
}

static void what_acknowledges_is_reset_without_an_acknowledgement(void **state)
{
    static const uint8_t flags[] = {CRAFT_ACK, CRAFT_SYN | CRAFT_ACK, CRAFT_FIN | CRAFT_ACK,
                                    CRAFT_FIN | CRAFT_PSH | CRAFT_ACK};

    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = begin_family(v6);
        simnet_listen(net, IPPROTO_TCP, 80, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
            for (uint16_t port = 80; port <= 81; port++) { /* of a listener and of nobody */
                struct craft_tcp stray =
                    segment(v6 ? peer_v6 : peer_v4, port, flags[i], 1000, 0xfffffff0);
                put_tcp(net, &stray);
                check_bare_reset(net, 0xfffffff0);
            }
        }
        simnet_end(net);
    }
}

static void listener_is_silent_to_what_is_no_call(void **state)
{
    static const uint8_t flags[] = {
        CRAFT_SYN | CRAFT_FIN,       CRAFT_FIN, CRAFT_RST, 0, CRAFT_RST | CRAFT_ACK,
        CRAFT_FIN | CRAFT_PSH | 0x20};
    struct simnet *net = begin_v4();

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        struct craft_tcp odd = segment(peer_v4, 80, flags[i], 1000, 77);
        put_tcp(net, &odd);
        assert_silent(net);
    }
    assert_null(simnet_accepted(net));
    simnet_end(net);
}

/* ---- ICMP errors ---- */

static void put_udp(struct simnet *net, bool v6, size_t bytes)
{
    static uint8_t payload[1400];
    struct peer_addr from = simnet_addr(v6 ? app_v6 : app_v4);
    struct peer_addr to = simnet_addr(v6 ? peer_v6 : peer_v4);

    craft_udp_frame(&frame, &from, 999, &to, 53, payload, bytes);
    simnet_put(net, frame.bytes, frame.len, NULL);
}

/* Takes an error about `frame`; `len` is that of the whole IP packet. */
static void check_error(struct simnet *net, bool v6, uint8_t type, uint8_t code, uint32_t rest,
                        uint32_t len)
{
    struct simnet_frame answer;

    assert_true(simnet_take(net, &answer));
    assert_true(checksum_verify(answer.data, answer.len, &answer.packet));
    assert_int_equal(answer.packet.kind, PACKET_ICMP);
    assert_int_equal(answer.len, len);
    const uint8_t *icmp = answer.data + answer.packet.transport_at;
    assert_int_equal(icmp[0], type);
    assert_int_equal(icmp[1], code);
    assert_int_equal(craft_get32(icmp + 4), rest);
    assert_memory_equal(icmp + 8, frame.bytes, len - (v6 ? 48 : 28));
    if (!v6) {
        assert_int_equal(answer.data[1], 0xc0);
        assert_int_equal(craft_get16(answer.data + 6), 0);
    }
}

static void closed_udp_port_is_quoted_as_far_as_it_fits(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = begin_family(v6);
        put_udp(net, v6, 200);
        check_error(net, v6, v6 ? 1 : 3, v6 ? 4 : 3, 0, (uint32_t)frame.len + (v6 ? 48 : 28));
        put_udp(net, v6, 1400);
        check_error(net, v6, v6 ? 1 : 3, v6 ? 4 : 3, 0, v6 ? 1280 : 576);
        assert_silent(net);
        simnet_end(net);
    }
}

static int count_errors(struct simnet *net, bool v6, int datagrams)
{
    struct simnet_frame answer;
    int count = 0;

    for (int i = 0; i < datagrams; i++) {
        put_udp(net, v6, 10);
        count += simnet_take(net, &answer);
    }
    return count;
}

static void errors_to_one_address_are_limited(void **state)
{
    struct stack_stats stats;

    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = begin_family(v6);
        assert_int_equal(count_errors(net, v6, 100), 6);
        simnet_run_for(net, (v6 ? 200 : 2000) * NS_PER_MS);
        assert_int_equal(count_errors(net, v6, 100), 2);
        simnet_run_for(net, 60 * NS_PER_S);
        assert_int_equal(count_errors(net, v6, 100), 6);
        stack_get_stats(simnet_stack(net), &stats);
        assert_int_equal(stats.limits[STACK_LIMIT_ERRORS], 300 - 14);
        simnet_end(net);
    }
}

static void errors_of_one_machine_are_limited_and_others_go_on(void **state)
{
    struct simnet *net = begin_v4();
    struct peer_addr from = simnet_addr("10.0.0.0"), to = simnet_addr(peer_v4);
    struct simnet_frame answer;
    int count = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        craft_put16(from.bytes + 2, (uint32_t)i + 1);
        craft_udp_frame(&frame, &from, 999, &to, 53, "x", 1);
        simnet_put(net, frame.bytes, frame.len, NULL);
        count += simnet_take(net, &answer);
    }
    assert_in_range(count, 50, 60); /* two buckets may share a place */
    to = simnet_addr("198.18.0.5");
    craft_udp_frame(&frame, &from, 999, &to, 53, "x", 1);
    simnet_put(net, frame.bytes, frame.len, NULL);
    assert_true(simnet_take(net, &answer));
    simnet_end(net);
}

static void unknown_protocol_is_unreachable_and_what_linux_knows_is_not(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = begin_family(v6);
        struct peer_addr from = simnet_addr(v6 ? app_v6 : app_v4);
        struct peer_addr to = simnet_addr(v6 ? peer_v6 : peer_v4);
        for (size_t len = 0; len <= 20; len += 20) {
            memset(craft_ip(&frame, &from, &to, 200, len), 7, len);
            simnet_put(net, frame.bytes, frame.len, NULL);
            check_error(net, v6, v6 ? 4 : 3, v6 ? 1 : 2, v6 ? 6 : 0,
                        (uint32_t)frame.len + (v6 ? 48 : 28));
        }
        const uint8_t known[] = {IPPROTO_IGMP, IPPROTO_PIM, IPPROTO_UDPLITE};
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
            memset(craft_ip(&frame, &from, &to, known[i], 8), 7, 8);
            simnet_put(net, frame.bytes, frame.len, NULL);
            assert_silent(net);
        }
        memset(craft_ip(&frame, &from, &to, IPPROTO_NONE, 8), 7, 8); /* nothing, in IPv6 alone */
        simnet_put(net, frame.bytes, frame.len, NULL);
        if (v6)
            assert_silent(net);
        else
            check_error(net, false, 3, 2, 0, (uint32_t)frame.len + 28);
        simnet_end(net);
    }
}

static void unknown_protocol_behind_a_header_is_pointed_at(void **state)
{
    struct simnet *net = begin_family(true);
    struct peer_addr from = simnet_addr(app_v6), to = simnet_addr(peer_v6);

    (void)state;
    memcpy(craft_ip(&frame, &from, &to, IPPROTO_DSTOPTS, 12), "\xc8\0\1\4\0\0\0\0abcd", 12);
    simnet_put(net, frame.bytes, frame.len, NULL);
    check_error(net, true, 4, 1, 40, (uint32_t)frame.len + 48);
    /* Options for each hop stand first or are none. */
    static const char hops[] = "\0\0\1\4\0\0\0\0\x3a\0\1\4\0\0\0\0\x80\0abcdef";
    memcpy(craft_ip(&frame, &from, &to, IPPROTO_DSTOPTS, 24), hops, 24);
    simnet_put(net, frame.bytes, frame.len, NULL);
    check_error(net, true, 4, 1, 40, (uint32_t)frame.len + 48);
    simnet_end(net);
}

/* ---- IPv4 options ---- */

/* A datagram to an open port with options; returns whether it came in. */
static bool put_options(struct simnet *net, const char *options, size_t len)
{
    struct peer_addr from = simnet_addr(app_v4), to = simnet_addr(peer_v4);
    static uint16_t port = 1000;

    craft_udp_frame(&frame, &from, ++port, &to, 53, "hello", 5);
    memmove(frame.bytes + 20 + len, frame.bytes + 20, frame.len - 20);
    memcpy(frame.bytes + 20, options, len);
    frame.len += len;
    frame.bytes[0] = (uint8_t)(0x45 + len / 4);
    craft_put16(frame.bytes + 2, (uint32_t)frame.len);
    memset(frame.bytes + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, frame.bytes, 20 + len));
    memcpy(frame.bytes + 10, &sum, 2);
    struct end *before = simnet_accepted(net);
    simnet_put(net, frame.bytes, frame.len, NULL);
    return simnet_accepted(net) != before;
}

static void options_are_taken_dropped_or_complained_about(void **state)
{
    static const struct {
        const char *options;
        uint8_t pointer; /* of the complaint */
        bool taken;
    } cases[] = {
        {"\1\1\1\0", 0, true},                /* nothing */
        {"\x94\4\0\0", 0, true},              /* router alert */
        {"\7\7\4\0\0\0\0\0", 0, true},        /* record route, room for one */
        {"\7\7\x08\0\0\0\0\0", 0, true},      /* and full */
        {"\x83\7\4\x0a\x63\0\1\0", 0, false}, /* source routes: dropped */
        {"\x89\7\4\x0a\x63\0\1\0", 0, false},
        {"\7\xff\4\0", 20, false},       /* longer than the header */
        {"\1\7\1\0", 21, false},         /* shorter than itself */
        {"\7\7\3\0\0\0\0\0", 22, false}, /* points into itself */
        {"\7\7\6\0\0\0\0\0", 22, false}, /* half an address left */
        {"\x94\3\0\0", 21, false},
    };
    struct end like = {.read_most = SIZE_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct simnet *net = begin_v4();
        size_t len = cases[i].options[1] == 7 && cases[i].options[0] != 1 ? 8 : 4;
        simnet_listen(net, IPPROTO_UDP, 53, &like);
        assert_int_equal(put_options(net, cases[i].options, len), cases[i].taken);
        if (cases[i].pointer)
            check_error(net, false, 12, 0, (uint32_t)cases[i].pointer << 24,
                        (uint32_t)frame.len + 28);
        assert_silent(net);
        simnet_end(net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_acknowledges_is_reset_without_an_acknowledgement),
        TEST(listener_is_silent_to_what_is_no_call),
        TEST(closed_udp_port_is_quoted_as_far_as_it_fits),
        TEST(errors_to_one_address_are_limited),
        TEST(errors_of_one_machine_are_limited_and_others_go_on),
        TEST(unknown_protocol_is_unreachable_and_what_linux_knows_is_not),
        TEST(unknown_protocol_behind_a_header_is_pointed_at),
        TEST(options_are_taken_dropped_or_complained_about),
    };
    return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
