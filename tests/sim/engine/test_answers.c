/* SPDX-License-Identifier: BSD-3-Clause */
/* What else a machine answers: ICMP, fragments, ARP and neighbour solicitations. */
#include "scripted.h"

/* ---- ICMP ---- */

static void datagram_to_a_closed_port_is_quoted_back(void **state)
{
    static struct crafted frame;
    static uint8_t payload[200];

    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
        struct peer_addr from = simnet_addr(v6 ? app_v6 : app_v4);
        struct peer_addr to = simnet_addr(v6 ? "2001:2::4" : "198.18.0.4");
        struct simnet_frame answer;
        craft_udp_frame(&frame, &from, 999, &to, 53, payload, sizeof(payload));
        simnet_put(net, frame.bytes, frame.len, NULL);
        assert_true(simnet_take(net, &answer));
        assert_true(checksum_verify(answer.data, answer.len, &answer.packet));
        assert_int_equal(answer.packet.kind, PACKET_ICMP);
        assert_true(peer_addr_equal(&answer.packet.src, &to));
        assert_true(peer_addr_equal(&answer.packet.dst, &from));
        const uint8_t *icmp = answer.data + answer.packet.transport_at;
        assert_int_equal(icmp[0], v6 ? 1 : 3);
        assert_int_equal(icmp[1], v6 ? 4 : 3);
        assert_memory_equal(icmp + 8, frame.bytes, v6 ? 48 : 28);
        simnet_end(net);
    }
}

static void echo_requests_are_answered(void **state)
{
    static struct crafted frame;
    static uint8_t payload[1400];

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 3);
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
        struct peer_addr from = simnet_addr(v6 ? app_v6 : app_v4);
        struct peer_addr to = simnet_addr(v6 ? "2001:2::9" : "198.18.0.9");
        struct simnet_frame answer;
        craft_icmp_frame(&frame, &from, &to, v6 ? 128 : 8, 0, 0xabcd0001, payload, sizeof(payload));
        simnet_put(net, frame.bytes, frame.len, NULL);
        assert_true(simnet_take(net, &answer));
        assert_true(checksum_verify(answer.data, answer.len, &answer.packet));
        assert_true(peer_addr_equal(&answer.packet.src, &to));
        const uint8_t *icmp = answer.data + answer.packet.transport_at;
        assert_int_equal(icmp[0], v6 ? 129 : 0);
        assert_int_equal(craft_get32(icmp + 4), 0xabcd0001);
        assert_memory_equal(icmp + 8, payload, sizeof(payload));
        assert_silent(net);
        simnet_end(net);
    }
}

static void whom_no_answer_could_reach_gets_none(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {{"0.0.0.0", "198.18.0.4"},
                 {"224.0.0.5", "198.18.0.4"},
                 {"255.255.255.255", "198.18.0.4"},
                 {"ff02::1", "2001:2::4"}};
    static struct crafted frame;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct peer_addr from = simnet_addr(cases[i].from), to = simnet_addr(cases[i].to);
        struct simnet *net = from.family == 6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
        struct craft_tcp syn = segment(cases[i].to, 80, CRAFT_SYN, APP_ISN, 0);

        syn.src = from;
        simnet_listen(net, IPPROTO_TCP, 80, NULL);
        put_tcp(net, &syn);
        syn.dst_port = 81;
        put_tcp(net, &syn);
        craft_udp_frame(&frame, &from, 999, &to, 53, "x", 1);
        simnet_put(net, frame.bytes, frame.len, NULL);
        assert_silent(net);
        simnet_end(net);
    }
}

/* The packet is longer than its datagram, by bytes that are none of it. */
static void a_datagram_ends_where_it_says(void **state)
{
    static struct crafted frame;

    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
        struct peer_addr from = simnet_addr(v6 ? app_v6 : app_v4);
        struct peer_addr to = simnet_addr(v6 ? "2001:2::4" : "198.18.0.4");

        simnet_listen(net, IPPROTO_UDP, 53, NULL);
        uint8_t *udp = craft_ip(&frame, &from, &to, IPPROTO_UDP, 8 + 5 + 4);
        memset(udp, 0, 8);
        craft_put16(udp, 999);
        craft_put16(udp + 2, 53);
        craft_put16(udp + 4, 8 + 5);
        memcpy(udp + 8, "helloREST", 9);
        craft_sum(&from, &to, IPPROTO_UDP, udp, 8 + 5, 6);
        simnet_put(net, frame.bytes, frame.len, NULL);
        struct end *end = simnet_accepted(net);
        assert_non_null(end);
        assert_int_equal(end->received + end->flow.conn.rx_bytes, 5);
        simnet_end(net);
    }
}

static void frames_for_nobody_are_ignored(void **state)
{
    static struct crafted frame;
    struct simnet *net = begin_v4();
    struct peer_addr from = simnet_addr(app_v4), to = simnet_addr("198.18.0.10");
    struct stack_stats stats;

    (void)state;
    craft_icmp_frame(&frame, &from, &to, 8, 0, 1, "x", 1);
    simnet_put(net, frame.bytes, frame.len, NULL);
    assert_silent(net);
    stack_get_stats(simnet_stack(net), &stats);
    assert_int_equal(stats.ignored, 1);
    simnet_end(net);
}

/* ---- datagrams in pieces ---- */

static void put_in_pieces(struct simnet *net, const struct crafted *whole, const int *order,
                          int count)
{
    static struct crafted piece;

    for (int i = 0; i < count; i++) {
        uint32_t from = (uint32_t)order[i] * 1480;
        craft_fragment(&piece, whole, from, from + 1480);
        simnet_put(net, piece.bytes, piece.len, NULL);
    }
}

static void fragments_in_any_order_make_one_datagram(void **state)
{
    static struct crafted whole;
    static uint8_t payload[4000];
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}};
    struct peer_addr from = simnet_addr(app_v4), to = simnet_addr("198.18.0.4");

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        struct simnet *net = begin_v4();
        struct end like = {.read_most = SIZE_MAX};
        simnet_listen(net, IPPROTO_UDP, 53, &like);
        memset(payload, (int)i + 1, sizeof(payload));
        craft_udp_frame(&whole, &from, 999, &to, 53, payload, sizeof(payload));
        put_in_pieces(net, &whole, orders[i], 3);
        struct end *end = simnet_accepted(net);
        assert_non_null(end);
        struct iovec iov[64];
        int count = flow_peek(&end->flow, iov, 64);
        static uint8_t got[4096];
        assert_int_equal(iov_total(iov, count), sizeof(payload));
        iov_gather(iov, count, got);
        assert_memory_equal(got, payload, sizeof(payload));
        simnet_end(net);
    }
}

static void fragments_that_never_complete_are_given_up(void **state)
{
    static struct crafted whole;
    static uint8_t payload[4000];
    static const int only_first[] = {0, 1};
    struct simnet *net = begin_v4();
    struct peer_addr from = simnet_addr(app_v4), to = simnet_addr("198.18.0.4");
    uint64_t before = stack_pool_used();

    (void)state;
    craft_udp_frame(&whole, &from, 999, &to, 53, payload, sizeof(payload));
    put_in_pieces(net, &whole, only_first, 2);
    assert_true(stack_pool_used() > before);
    simnet_run_for(net, 60 * NS_PER_S);
    assert_int_equal(stack_pool_used(), before);
    assert_true(simnet_next_ns(net) == TIMER_NEVER); /* and nothing goes on for it */
    simnet_forget(net);
    simnet_end(net);
}

/* One fragment of an IPv6 datagram: `len` bytes at `offset`. */
static void put_fragment_v6(struct simnet *net, uint32_t offset, const uint8_t *bytes, uint32_t len,
                            bool more, bool extension)
{
    static struct crafted frame;
    struct peer_addr from = simnet_addr(app_v6), to = simnet_addr("2001:2::4");
    uint8_t *at = craft_ip(&frame, &from, &to, extension ? 60 : 44, len + 8 + (extension ? 8 : 0));

    if (extension) { /* eight bytes of destination options */
        memcpy(at, "\x2c\x00\x01\x04\x00\x00\x00\x00", 8);
        at += 8;
    }
    memset(at, 0, 8);
    at[0] = IPPROTO_UDP;
    craft_put16(at + 2, offset | (more ? 1 : 0));
    craft_put32(at + 4, 77);
    memcpy(at + 8, bytes, len);
    simnet_put(net, frame.bytes, frame.len, NULL);
}

/* A fragment in a fragment, and one behind a header that says it is whole. */
static void fragments_in_fragments_do_no_harm(void **state)
{
    static uint8_t bytes[1208];
    static struct crafted frame;
    struct peer_addr from = simnet_addr(app_v6), to = simnet_addr("2001:2::4");

    (void)state;
    for (uint32_t inner = 0; inner < 65536; inner += 61) {
        struct simnet *net = begin("2001:2::2-2001:2::9", FRAME_IP);
        bytes[0] = IPPROTO_UDP; /* the header inside */
        craft_put16(bytes + 2, inner);
        for (int i = 0; i < 2; i++) {
            uint8_t *at = craft_ip(&frame, &from, &to, 44, 8 + sizeof(bytes));
            memcpy(at, i ? "\x2c\x00\x00\x01\x00\x00\x00\x09" : "\x2c\0\0\0\0\0\0\x08", 8);
            memcpy(at + 8, bytes, sizeof(bytes));
            simnet_put(net, frame.bytes, frame.len, NULL);
        }
        uint8_t *at = craft_ip(&frame, &from, &to, 44, 8 + 8);
        memcpy(at, "\x2c\x00\x04\xb8\x00\x00\x00\x09\0\0\0\0\0\0\0\0", 16);
        simnet_put(net, frame.bytes, frame.len, NULL);
        simnet_run_for(net, 61 * NS_PER_S);
        simnet_end(net);
    }
}

/* IPv6's length does not count its own header, so a whole may be longer than 65535 bytes: lwIP,
   which counts in 16 bits, must not see it. */
static void longest_ipv6_fragments_do_no_harm(void **state)
{
    static uint8_t bytes[65536];

    (void)state;
    for (uint32_t end = 65448; end <= 65535; end++) {
        for (int extension = 0; extension < 2; extension++) {
            struct simnet *net = begin("2001:2::2-2001:2::9", FRAME_IP);
            craft_put16(bytes + 2, 53);
            craft_put16(bytes + 4, end);
            simnet_listen(net, IPPROTO_UDP, 53, NULL);
            put_fragment_v6(net, 0, bytes, 32768, true, extension);
            put_fragment_v6(net, 32768, bytes, end - 32768, false, extension);
            simnet_run_for(net, 61 * NS_PER_S);
            simnet_end(net);
        }
    }
}

/* ---- Ethernet ---- */

static const uint8_t app_mac[6] = {2, 0, 0, 0, 0, 0xfe},
                     everyone[6] = {255, 255, 255, 255, 255, 255};

static size_t make_arp(uint8_t *frame, uint8_t op, const char *sender, const char *target)
{
    struct peer_addr from = simnet_addr(sender), to = simnet_addr(target);

    memcpy(frame, everyone, 6);
    memcpy(frame + 6, app_mac, 6);
    memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00", 9);
    frame[21] = op;
    memcpy(frame + 22, app_mac, 6);
    memcpy(frame + 28, from.bytes, 4);
    memset(frame + 32, 0, 6);
    memcpy(frame + 38, to.bytes, 4);
    return 42;
}

static void arp_is_answered_with_each_peers_own_mac(void **state)
{
    struct simnet *net = begin("198.18.0.2-198.18.0.9", FRAME_ETHERNET);
    struct simnet_frame answer;
    uint8_t frame[60];

    (void)state;
    for (uint8_t i = 0; i < 8; i++) {
        char target[PEER_ADDR_TEXT];
        struct peer_addr addr = simnet_addr("198.18.0.2");
        addr.bytes[3] = (uint8_t)(addr.bytes[3] + i);
        size_t len = make_arp(frame, 1, app_v4, peer_addr_format(&addr, target));
        simnet_put(net, frame, len, NULL);
        assert_true(simnet_take(net, &answer));
        uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(1 + i)};
        assert_memory_equal(answer.data, app_mac, 6);
        assert_memory_equal(answer.data + 6, mac, 6);
        assert_int_equal(answer.data[21], 2);
        assert_memory_equal(answer.data + 22, mac, 6);
        assert_memory_equal(answer.data + 28, addr.bytes, 4);
        assert_memory_equal(answer.data + 32, app_mac, 6);
        assert_silent(net);
    }
    size_t len = make_arp(frame, 1, app_v4, "198.18.0.10");
    simnet_put(net, frame, len, NULL);
    assert_silent(net);
    simnet_end(net);
}

static void peer_asks_for_the_local_mac_before_it_sends(void **state)
{
    struct simnet *net = begin("198.18.0.2-198.18.0.9", FRAME_ETHERNET);
    struct simnet_frame frame;
    uint8_t reply[60];

    (void)state;
    assert_non_null(end_connect(net, IPPROTO_TCP, "198.18.0.7", 0, app_v4, 80));
    assert_true(simnet_take(net, &frame));
    assert_int_equal(frame.packet.kind, PACKET_ARP);
    assert_int_equal(frame.packet.arp_op, 1);
    assert_memory_equal(frame.data, everyone, 6);
    uint8_t mac[6] = {2, 0, 0, 0, 0, 6};
    assert_memory_equal(frame.data + 6, mac, 6);
    assert_silent(net);
    size_t len = make_arp(reply, 2, app_v4, "198.18.0.7");
    memcpy(reply, mac, 6);
    memcpy(reply + 32, mac, 6);
    simnet_put(net, reply, len, NULL);
    assert_true(simnet_take(net, &frame));
    assert_int_equal(frame.packet.kind, PACKET_TCP);
    assert_memory_equal(frame.data, app_mac, 6);
    assert_memory_equal(frame.data + 6, mac, 6);
    uint16_t id = craft_get16(frame.data + 18); /* its connection counts it */
    simnet_run_for(net, NS_PER_S + 100 * NS_PER_MS);
    assert_true(simnet_take(net, &frame));
    assert_int_equal(craft_get16(frame.data + 18), (uint16_t)(id + 1));
    simnet_end(net);
}

static void solicitation_is_answered_with_each_peers_own_mac(void **state)
{
    static struct crafted frame;
    struct simnet *net = begin("2001:2::2-2001:2::9", FRAME_ETHERNET);
    struct simnet_frame answer;
    struct peer_addr from = simnet_addr(app_v6), target = simnet_addr("2001:2::5");
    struct peer_addr group = simnet_addr("ff02::1:ff00:5");
    uint8_t body[24] = {0}, to[6] = {0x33, 0x33, 0xff, 0, 0, 5}, mac[6] = {2, 0, 0, 0, 0, 4};

    (void)state;
    memcpy(body, target.bytes, 16);
    body[16] = 1;
    body[17] = 1;
    memcpy(body + 18, app_mac, 6);
    craft_icmp_frame(&frame, &from, &group, 135, 0, 0, body, sizeof(body));
    craft_ethernet(&frame, to, app_mac);
    simnet_put(net, frame.bytes, frame.len, NULL);
    assert_true(simnet_take(net, &answer));
    assert_memory_equal(answer.data, app_mac, 6);
    assert_memory_equal(answer.data + 6, mac, 6);
    assert_int_equal(answer.data[14 + 7], 255);
    const uint8_t *icmp = answer.data + answer.packet.transport_at;
    assert_int_equal(icmp[0], 136);
    assert_true(icmp[4] & 0x40); /* solicited */
    assert_memory_equal(icmp + 8, target.bytes, 16);
    assert_int_equal(icmp[24], 2);
    assert_memory_equal(icmp + 26, mac, 6);
    assert_silent(net);
    simnet_end(net);
}

/* Who asks one peer alone has its MAC already; whoever tries an address has none himself. */
static void solicitations_without_a_mac_are_answered_too(void **state)
{
    static struct crafted frame;
    static const struct {
        const char *from, *to;
        uint8_t flags;
        size_t len;
        const char *answered;
    } cases[] = {{"2001:db8::1", "2001:2::5", 0x40, 24, "2001:db8::1"},
                 {"2001:db8::1", "ff02::1:ff00:5", 0x60, 32, "2001:db8::1"},
                 {"::", "ff02::1:ff00:5", 0x20, 32, "ff02::1"}};
    struct simnet *net = begin("2001:2::2-2001:2::9", FRAME_ETHERNET);
    struct peer_addr target = simnet_addr("2001:2::5");
    uint8_t to_mac[6] = {2, 0, 0, 0, 0, 4};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct peer_addr from = simnet_addr(cases[i].from), to = simnet_addr(cases[i].to);
        struct peer_addr answered = simnet_addr(cases[i].answered);
        struct simnet_frame answer;
        craft_icmp_frame(&frame, &from, &to, 135, 0, 0, target.bytes, 16);
        craft_ethernet(&frame, to_mac, app_mac);
        simnet_put(net, frame.bytes, frame.len, NULL);
        assert_true(simnet_take(net, &answer));
        assert_true(checksum_verify(answer.data, answer.len, &answer.packet));
        const uint8_t *icmp = answer.data + answer.packet.transport_at;
        assert_int_equal(icmp[0], 136);
        assert_int_equal(icmp[4], cases[i].flags);
        assert_int_equal(answer.len, 14 + 40 + cases[i].len);
        assert_int_equal(answer.data[14 + 7], 255);
        assert_memory_equal(answer.data + 14 + 24, answered.bytes, 16);
        assert_int_equal(answer.data[0], i == 2 ? 0x33 : app_mac[0]);
    }
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(datagram_to_a_closed_port_is_quoted_back),
        TEST(echo_requests_are_answered),
        TEST(whom_no_answer_could_reach_gets_none),
        TEST(a_datagram_ends_where_it_says),
        TEST(frames_for_nobody_are_ignored),
        TEST(fragments_in_any_order_make_one_datagram),
        TEST(fragments_that_never_complete_are_given_up),
        TEST(longest_ipv6_fragments_do_no_harm),
        TEST(fragments_in_fragments_do_no_harm),
        TEST(arp_is_answered_with_each_peers_own_mac),
        TEST(peer_asks_for_the_local_mac_before_it_sends),
        TEST(solicitation_is_answered_with_each_peers_own_mac),
        TEST(solicitations_without_a_mac_are_answered_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
