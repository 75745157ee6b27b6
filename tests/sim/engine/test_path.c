/* SPDX-License-Identifier: BSD-3-Clause */
/* What routers on the way say: which errors end a handshake, and what is too big is made smaller. */
#include "scripted.h"

static const char peer_v4[] = "198.18.0.5", peer_v6[] = "2001:2::5";
enum { QUOTE_MAX = 68 };

/* A router sends an ICMP error about `sent`, of which it quotes the headers. */
static void complain(struct simnet *net, const struct simnet_frame *sent, uint8_t type,
                     uint8_t code, uint32_t rest)
{
    static struct crafted frame;
    bool v6 = sent->packet.ip_version == 6;
    struct peer_addr router = simnet_addr(v6 ? "2001:db8::fe" : "192.0.2.254");
    uint8_t quote[QUOTE_MAX];
    size_t len = v6 ? 48 : 28;

    memcpy(quote, sent->data, len);
    craft_icmp_frame(&frame, &router, &sent->packet.src, type, code, rest, quote, len);
    simnet_put(net, frame.bytes, frame.len, NULL);
}

/* ---- handshakes ---- */

static struct end *call(struct simnet **ret_net, bool v6, struct simnet_frame *ret_syn)
{
    *ret_net = v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
    struct end *end = end_connect(*ret_net, IPPROTO_TCP, v6 ? peer_v6 : peer_v4, 0,
                                  v6 ? app_v6 : app_v4, 80);
    assert_true(simnet_take(*ret_net, ret_syn));
    return end;
}

struct complaint {
    uint8_t type, code;
};

static void expect_the_end(bool v6, struct complaint what)
{
    struct simnet *net;
    struct simnet_frame syn;
    struct end *end = call(&net, v6, &syn);

    complain(net, &syn, what.type, what.code, 0);
    assert_true(end_is_over(end));
    assert_int_equal(end->how, PEER_END_UNREACHABLE);
    assert_int_equal(end->icmp_type, what.type);
    assert_int_equal(end->icmp_code, what.code);
    assert_silent(net);
    simnet_end(net);
}

static void fatal_errors_end_a_handshake(void **state)
{
    static const struct complaint v4[] = {{3, 2}, {3, 3}, {3, 9}, {3, 10}, {3, 13}};
    static const struct complaint v6[] = {{1, 1}, {1, 4}, {1, 5}, {1, 6}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(v4); i++)
        expect_the_end(false, v4[i]);
    for (size_t i = 0; i < ARRAY_SIZE(v6); i++)
        expect_the_end(true, v6[i]);
}

/* The SYN goes again, and the answer to it is welcome. */
static void expect_patience(bool v6, struct complaint what, uint32_t rest)
{
    struct simnet *net;
    struct simnet_frame syn;
    struct craft_tcp seen = {0};
    struct end *end = call(&net, v6, &syn);

    assert_true(craft_see_tcp(syn.data, &syn.packet, &seen));
    complain(net, &syn, what.type, what.code, rest);
    assert_false(end_is_over(end));
    simnet_run_for(net, 1100 * NS_PER_MS);
    assert_int_equal(take_tcp(net).flags, CRAFT_SYN);
    struct craft_tcp answer = {.src = seen.dst,
                               .dst = seen.src,
                               .src_port = 80,
                               .dst_port = seen.src_port,
                               .flags = CRAFT_SYN | CRAFT_ACK,
                               .seq = APP_ISN,
                               .ack = seen.seq + 1,
                               .window = 60000,
                               .mss = 1400};
    put_tcp(net, &answer);
    assert_true(end_is_open(end));
    simnet_end(net);
}

static void soft_errors_end_no_handshake(void **state)
{
    static const struct complaint v4[] = {{3, 0}, {3, 1}, {3, 5}, {3, 11}, {3, 12}, {11, 0}, {12, 0}};
    static const struct complaint v6[] = {{1, 0}, {1, 3}, {3, 0}, {4, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(v4); i++)
        expect_patience(false, v4[i], 0);
    for (size_t i = 0; i < ARRAY_SIZE(v6); i++)
        expect_patience(true, v6[i], 0);
    expect_patience(false, (struct complaint){3, 4}, 1300);
    expect_patience(true, (struct complaint){2, 0}, 1300);
}

static void the_timeout_names_the_soft_error(void **state)
{
    struct simnet *net;
    struct simnet_frame syn;
    struct end *end = call(&net, false, &syn);

    (void)state;
    complain(net, &syn, 3, 1, 0);
    assert_true(end->events & FLOW_UNREACHABLE);
    simnet_run_for(net, 200 * NS_PER_S);
    assert_true(end_is_over(end));
    assert_int_equal(end->how, PEER_END_UNREACHABLE);
    assert_int_equal(end->icmp_type, 3);
    assert_int_equal(end->icmp_code, 1);
    simnet_end(net);
}

/* Who quotes a number that is not under way has not seen the connection. */
static void a_quote_that_was_guessed_is_ignored(void **state)
{
    struct simnet *net;
    struct simnet_frame syn;
    static uint8_t guess[64];

    (void)state;
    for (uint32_t off = 1; off < 5; off++) {
        struct end *end = call(&net, false, &syn);
        memcpy(guess, syn.data, MIN(syn.len, sizeof(guess)));
        craft_put32(guess + 24, craft_get32(guess + 24) + (off & 1 ? off + 1 : -off));
        syn.data = guess;
        complain(net, &syn, 3, 3, 0);
        assert_false(end_is_over(end));
        simnet_end(net);
    }
}

/* ---- too big ---- */

static struct end *accept_from(struct simnet *net, const char *peer, bool sack)
{
    struct craft_tcp syn = segment(peer, 80, CRAFT_SYN, APP_ISN, 0);

    syn.mss = 1440;
    syn.sack_ok = sack;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &syn);
    struct craft_tcp open = take_tcp(net);
    syn = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1);
    put_tcp(net, &syn);
    assert_non_null(simnet_accepted(net));
    return simnet_accepted(net);
}

/* Takes all that leaves and acknowledges it; returns how long the longest packet was. */
static uint32_t take_all(struct simnet *net, const char *peer, uint32_t *next, uint32_t *ret_bytes)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};
    uint32_t longest = 0;

    while (simnet_take(net, &frame)) {
        longest = MAX(longest, frame.len);
        assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
        if (!tcp.payload_len || tcp.seq != *next)
            continue;
        *next += tcp.payload_len;
        *ret_bytes += tcp.payload_len;
    }
    struct craft_tcp ack = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, *next);
    put_tcp(net, &ack);
    return longest;
}

static void expect_smaller(bool v6, bool sack, uint32_t mtu, uint32_t then)
{
    const char *peer = v6 ? peer_v6 : peer_v4;
    struct simnet *net = v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
    struct end *end = accept_from(net, peer, sack);
    struct simnet_frame first;
    struct craft_tcp seen = {0};
    uint32_t bytes = 0;

    end->to_send = 20000;
    end_pump(end);
    assert_true(simnet_take(net, &first));
    assert_true(craft_see_tcp(first.data, &first.packet, &seen));
    assert_int_equal(seen.payload_len, 1440);
    uint32_t next = seen.seq, at_once = seen.payload_len, asked = 0;
    complain(net, &first, v6 ? 2 : 3, v6 ? 0 : 4, mtu);
    /* What was under way comes again at once; the same complaint once more changes nothing. */
    while (simnet_take(net, &first)) {
        assert_true(craft_see_tcp(first.data, &first.packet, &seen));
        asked += first.len <= then;
        if (first.len > then || seen.seq != next)
            continue;
        next += seen.payload_len;
        bytes += seen.payload_len;
    }
    assert_true(asked > 0);
    assert_true(bytes >= at_once);
    for (int i = 0; i < 50 && bytes < 20000; i++) {
        assert_true(take_all(net, peer, &next, &bytes) <= then);
        simnet_run_for(net, NS_PER_MS);
    }
    assert_int_equal(bytes, 20000);
    assert_int_equal(end->end_ns, 0);
    end->to_send += 3000; /* and from now on */
    end_pump(end);
    assert_int_equal(take_all(net, peer, &next, &bytes), then);
    simnet_end(net);
}

/* The SYN of the peer was sent again before. */
static void too_big_is_heard_after_a_slow_handshake(void **state)
{
    struct simnet *net;
    struct simnet_frame frame;
    struct craft_tcp seen = {0};
    struct end *end = call(&net, true, &frame);

    (void)state;
    simnet_run_for(net, 1100 * NS_PER_MS);
    struct craft_tcp syn = take_tcp(net);
    struct craft_tcp answer =
        segment(peer_v6, syn.src_port, CRAFT_SYN | CRAFT_ACK, APP_ISN, syn.seq + 1);
    answer.src_port = 80;
    answer.mss = 1440;
    answer.sack_ok = true;
    put_tcp(net, &answer);
    assert_true(end_is_open(end));
    simnet_forget(net);
    end->to_send = 5000;
    end_pump(end);
    assert_true(simnet_take(net, &frame));
    complain(net, &frame, 2, 0, 1300);
    uint32_t bytes = 0;
    while (simnet_take(net, &frame)) {
        assert_true(craft_see_tcp(frame.data, &frame.packet, &seen));
        bytes += frame.len <= 1300 ? seen.payload_len : 0;
    }
    assert_in_range(bytes, 5000, 6000);
    simnet_end(net);
}

static void too_big_makes_segments_smaller(void **state)
{
    (void)state;
    for (int sack = 0; sack < 2; sack++) {
        expect_smaller(false, sack, 1300, 1300);
        expect_smaller(false, sack, 600, 600);
        expect_smaller(false, sack, 68, 552); /* as Linux: no smaller, but may be cut */
        expect_smaller(false, sack, 0, 552);
        expect_smaller(true, sack, 1300, 1300);
        expect_smaller(true, sack, 1000, 1280);
    }
}

static void datagrams_are_cut_for_a_way_that_takes_less(void **state)
{
    static const uint8_t bytes[1400];

    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
        struct end *end = end_connect(net, IPPROTO_UDP, v6 ? peer_v6 : peer_v4, 0,
                                      v6 ? app_v6 : app_v4, 7);
        struct simnet_frame frame;

        assert_int_equal(flow_write(&end->flow, bytes, sizeof(bytes), 0), sizeof(bytes));
        assert_true(simnet_take(net, &frame));
        assert_false(frame.packet.fragment);
        complain(net, &frame, v6 ? 2 : 3, v6 ? 0 : 4, 1300);
        assert_silent(net); /* that one is lost */
        assert_int_equal(flow_write(&end->flow, bytes, sizeof(bytes), 0), sizeof(bytes));
        for (int i = 0; i < 2; i++) {
            assert_true(simnet_take(net, &frame));
            assert_true(frame.packet.fragment);
            assert_true(frame.len <= 1300);
        }
        assert_silent(net);
        assert_false(end->events & FLOW_UNREACHABLE);
        simnet_end(net);
    }
}

static void errors_do_not_end_what_is_open(void **state)
{
    struct simnet *net = begin_v4();
    struct end *end = accept_from(net, peer_v4, true);
    struct simnet_frame sent;

    (void)state;
    end->to_send = 10;
    end_pump(end);
    assert_true(simnet_take(net, &sent));
    for (uint8_t code = 0; code < 16; code++)
        complain(net, &sent, 3, code, 1300);
    assert_int_equal(end->end_ns, 0);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fatal_errors_end_a_handshake),
        TEST(soft_errors_end_no_handshake),
        TEST(the_timeout_names_the_soft_error),
        TEST(a_quote_that_was_guessed_is_ignored),
        TEST(too_big_makes_segments_smaller),
        TEST(too_big_is_heard_after_a_slow_handshake),
        TEST(datagrams_are_cut_for_a_way_that_takes_less),
        TEST(errors_do_not_end_what_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
