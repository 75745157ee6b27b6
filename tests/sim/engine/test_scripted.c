/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The test plays the rest of the world: it sends one frame at a time and looks at the exact answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>

#include "base/macro.h"
#include "support/craft.h"
#include "support/simnet.h"

enum { APP_PORT = 40000 };
#define APP_ISN UINT32_C(0x7fffff00) /* the numbers pass the border of signed ones */
static const char app_v4[] = "192.0.2.1", app_v6[] = "2001:db8::1";

static struct simnet *begin(const char *peers, enum frame_layer layer)
{
    struct simnet_config config = {.peers = peers, .layer = layer};

    return simnet_new(&config);
}

static struct simnet *begin_v4(void)
{
    return begin("198.18.0.2-198.18.0.9", FRAME_IP);
}

static struct craft_tcp segment(const char *peer, uint16_t port, uint8_t flags, uint32_t seq,
                                uint32_t ack)
{
    bool v6 = strchr(peer, ':') != NULL;

    return (struct craft_tcp){.src = simnet_addr(v6 ? app_v6 : app_v4),
                              .dst = simnet_addr(peer),
                              .src_port = APP_PORT,
                              .dst_port = port,
                              .flags = flags,
                              .seq = seq,
                              .ack = ack,
                              .window = 60000};
}

static void put_tcp(struct simnet *net, const struct craft_tcp *tcp)
{
    static struct crafted frame;

    craft_tcp_frame(&frame, tcp);
    simnet_put(net, frame.bytes, frame.len, NULL);
}

/* The next frame of the stack must be a segment. */
static struct craft_tcp take_tcp(struct simnet *net)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};

    assert_true(simnet_take(net, &frame));
    assert_true(checksum_verify(frame.data, frame.len, &frame.packet));
    assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
    tcp.payload = NULL; /* the frame goes with the next one */
    return tcp;
}

static void assert_silent(struct simnet *net)
{
    struct simnet_frame frame;

    assert_false(simnet_take(net, &frame));
}

/* ---- handshakes ---- */

static void check_options(const struct craft_tcp *tcp, uint16_t mss)
{
    assert_int_equal(tcp->mss, mss);
    assert_int_equal(tcp->scale, 7 + 1);
    assert_true(tcp->sack_ok);
    assert_true(tcp->timestamps);
}

static void syn_carries_mss_scale_sack_and_timestamps(void **state)
{
    struct simnet *net = begin_v4();

    (void)state;
    assert_non_null(end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, app_v4, 80));
    struct craft_tcp syn = take_tcp(net);
    assert_int_equal(syn.flags, CRAFT_SYN);
    assert_int_equal(syn.ack, 0);
    assert_int_equal(syn.ts_ecr, 0);
    assert_int_equal(syn.payload_len, 0);
    assert_int_equal(syn.window, 65535);
    check_options(&syn, 1460);
    assert_silent(net);
    simnet_end(net);

    net = begin("2001:2::2-2001:2::9", FRAME_IP);
    assert_non_null(end_connect(net, IPPROTO_TCP, "2001:2::3", 0, app_v6, 80));
    syn = take_tcp(net);
    check_options(&syn, 1440);
    simnet_end(net);
}

static void syn_ack_answers_only_the_options_that_were_offered(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = segment("198.18.0.5", 80, CRAFT_SYN, APP_ISN, 0);

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &syn);
    struct craft_tcp answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK);
    assert_int_equal(answer.ack, APP_ISN + 1);
    assert_int_equal(answer.mss, 1460);
    assert_int_equal(answer.scale, 0);
    assert_false(answer.sack_ok);
    assert_false(answer.timestamps);

    syn.src_port++;
    syn.mss = 1460;
    syn.scale = 1;
    syn.sack_ok = syn.timestamps = true;
    syn.ts_val = 777;
    put_tcp(net, &syn);
    answer = take_tcp(net);
    check_options(&answer, 1460);
    assert_int_equal(answer.ts_ecr, 777);
    simnet_end(net);
}

static void syn_with_bytes_or_strange_options_is_answered(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = segment("198.18.0.5", 80, CRAFT_SYN, APP_ISN, 0);

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    syn.payload = "early";
    syn.payload_len = 5;
    syn.mss = 1; /* too small to be true */
    put_tcp(net, &syn);
    struct craft_tcp answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK);
    simnet_end(net);
}

/* An accepted connection; `*ret` is the peer's answer, whose ack and seq are the starting points.
 */
static struct end *accept_one(struct simnet *net, const char *peer, struct craft_tcp *ret)
{
    struct craft_tcp tcp = segment(peer, 80, CRAFT_SYN, APP_ISN, 0);

    tcp.mss = 1460;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &tcp);
    *ret = take_tcp(net);
    tcp = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, ret->seq + 1);
    put_tcp(net, &tcp);
    struct end *end = simnet_accepted(net);
    assert_non_null(end);
    assert_true(end_is_open(end));
    assert_silent(net);
    return end;
}

/* ---- initial sequence numbers (RFC 6528) ---- */

static uint32_t isn_for(struct simnet *net, uint16_t from_port, uint16_t to_port)
{
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", from_port, app_v4, to_port);

    assert_non_null(end);
    uint32_t isn = take_tcp(net).seq;
    end_free(end);
    simnet_run_for(net, NS_PER_MS);
    simnet_forget(net);
    return isn;
}

static void initial_numbers_differ_and_grow_for_the_same_tuple(void **state)
{
    struct simnet *net = begin_v4();

    (void)state;
    uint32_t first = isn_for(net, 50000, 80);
    uint32_t other = isn_for(net, 50001, 80), third = isn_for(net, 50000, 81);
    assert_true(first != other && first != third && other != third);
    assert_true(other - first > 100000 && first - other > 100000);
    simnet_run_for(net, 100 * NS_PER_MS);
    uint32_t again = isn_for(net, 50000, 80);
    assert_in_range(again - first, 25000, 27000); /* one every 4 us */
    simnet_end(net);
}

/* ---- closed ports (RFC 9293, 3.10.7.1) ---- */

static void syn_to_a_closed_port_is_reset(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = segment("198.18.0.4", 81, CRAFT_SYN, APP_ISN, 0);

    (void)state;
    put_tcp(net, &syn);
    struct craft_tcp answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_RST | CRAFT_ACK);
    assert_int_equal(answer.seq, 0);
    assert_int_equal(answer.ack, APP_ISN + 1);
    assert_int_equal(answer.src_port, 81);
    assert_int_equal(answer.dst_port, APP_PORT);
    assert_silent(net);
    simnet_end(net);
}

/* Without ACK the number is zero, whatever stands in the field. */
static void garbage_in_the_ack_field_of_a_syn_is_not_believed(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = segment("198.18.0.4", 81, CRAFT_SYN, APP_ISN, 0x12345678);

    (void)state;
    put_tcp(net, &syn);
    struct craft_tcp answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_RST | CRAFT_ACK);
    assert_int_equal(answer.seq, 0);
    simnet_end(net);
}

static void stray_ack_is_reset_with_its_own_number(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp stray = segment("198.18.0.4", 81, CRAFT_ACK, 1000, 0xfffffffe);

    (void)state;
    stray.payload = "bytes";
    stray.payload_len = 5;
    put_tcp(net, &stray);
    struct craft_tcp answer = take_tcp(net);
    assert_true(answer.flags & CRAFT_RST);
    assert_int_equal(answer.seq, 0xfffffffe);
    assert_silent(net);
    simnet_end(net);
}

static void reset_is_never_answered(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp rst = segment("198.18.0.4", 81, CRAFT_RST, 1000, 0);

    (void)state;
    put_tcp(net, &rst);
    rst.flags = CRAFT_RST | CRAFT_ACK;
    put_tcp(net, &rst);
    rst.flags = CRAFT_RST | CRAFT_SYN;
    put_tcp(net, &rst);
    simnet_listen(net, IPPROTO_TCP, 81, NULL);
    put_tcp(net, &rst);
    rst.flags = CRAFT_RST;
    put_tcp(net, &rst);
    assert_silent(net);
    simnet_end(net);
}

static void ack_to_a_listening_port_is_reset(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp stray = segment("198.18.0.4", 80, CRAFT_ACK, 1000, 5000);

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &stray);
    struct craft_tcp answer = take_tcp(net);
    assert_true(answer.flags & CRAFT_RST);
    assert_int_equal(answer.seq, 5000);
    assert_null(simnet_accepted(net));
    simnet_end(net);
}

static void broken_checksum_is_no_frame(void **state)
{
    static struct crafted frame;
    struct simnet *net = begin_v4();
    struct craft_tcp syn = segment("198.18.0.4", 81, CRAFT_SYN, APP_ISN, 0);
    struct stack_stats stats;

    (void)state;
    craft_tcp_frame(&frame, &syn);
    frame.bytes[30] ^= 1;
    simnet_put(net, frame.bytes, frame.len, NULL);
    assert_silent(net);
    stack_get_stats(simnet_stack(net), &stats);
    assert_int_equal(stats.bad, 1);
    simnet_end(net);
}

/* ---- open connections ---- */

static void data_is_acknowledged_and_a_gap_is_reported(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open, answer;
    struct end *end = accept_one(net, "198.18.0.5", &open);

    (void)state;
    struct craft_tcp data = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 101, open.seq + 1);
    static const uint8_t zeros[100];
    data.payload = zeros;
    data.payload_len = sizeof(zeros);
    put_tcp(net, &data);
    answer = take_tcp(net); /* at once: it tells of the gap */
    assert_int_equal(answer.flags, CRAFT_ACK);
    assert_int_equal(answer.ack, APP_ISN + 1);
    data.seq = APP_ISN + 1;
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.ack, APP_ISN + 201);
    assert_int_equal(end->received, 200);
    simnet_end(net);
}

static void gaps_are_told_by_selective_acknowledgements(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = segment("198.18.0.5", 80, CRAFT_SYN, APP_ISN, 0), answer;
    static const uint8_t zeros[100];

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    syn.mss = 1460;
    syn.sack_ok = true;
    put_tcp(net, &syn);
    answer = take_tcp(net);
    struct craft_tcp data = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 1, answer.seq + 1);
    put_tcp(net, &data);
    data.payload = zeros;
    data.payload_len = sizeof(zeros);
    data.seq = APP_ISN + 201;
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.sacks, 1);
    assert_int_equal(answer.sack[0][0], APP_ISN + 201);
    assert_int_equal(answer.sack[0][1], APP_ISN + 301);
    data.seq = APP_ISN + 401;
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.sacks, 2);
    assert_int_equal(answer.sack[0][0], APP_ISN + 401); /* the latest first (RFC 2018, 4) */
    assert_int_equal(answer.sack[1][0], APP_ISN + 201);
    simnet_end(net);
}

static void reset_in_the_window_ends_and_outside_does_not(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open;
    struct end *end = accept_one(net, "198.18.0.5", &open);

    (void)state;
    struct craft_tcp rst =
        segment("198.18.0.5", 80, CRAFT_RST, APP_ISN + 1 + 0x70000000u, open.seq + 1);
    put_tcp(net, &rst);
    assert_int_equal(end->end_ns, 0);
    simnet_forget(net);
    /* RFC 5961, 3.2: in the window but not exact is a challenge, exact is the end. */
    rst.seq = APP_ISN + 1 + 1000;
    put_tcp(net, &rst);
    assert_int_equal(end->end_ns, 0);
    struct craft_tcp challenge = take_tcp(net);
    assert_int_equal(challenge.flags, CRAFT_ACK);
    assert_int_equal(challenge.ack, APP_ISN + 1);
    rst.seq = APP_ISN + 1;
    put_tcp(net, &rst);
    assert_true(end_is_over(end));
    assert_int_equal(end->how, PEER_END_RESET);
    assert_silent(net);
    simnet_end(net);
}

static void fin_is_acknowledged_and_ours_follows(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open, answer;
    struct end *end = accept_one(net, "198.18.0.5", &open);

    (void)state;
    struct craft_tcp fin =
        segment("198.18.0.5", 80, CRAFT_FIN | CRAFT_ACK, APP_ISN + 1, open.seq + 1);
    put_tcp(net, &fin);
    assert_true(end->events & FLOW_EOF);
    answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_ACK);
    assert_int_equal(answer.ack, APP_ISN + 2);
    flow_close(&end->flow);
    answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_FIN | CRAFT_ACK);
    assert_int_equal(answer.seq, open.seq + 1);
    struct craft_tcp ack = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 2, open.seq + 2);
    put_tcp(net, &ack);
    assert_int_equal(end->how, PEER_END_CLOSED);
    assert_silent(net);
    simnet_end(net);
}

/* The peer sends ten bytes; they are acknowledged, but there is no room for more. Returns the
   segment that said so. */
static struct craft_tcp shut_window(struct simnet *net, struct end *end,
                                    const struct craft_tcp *open)
{
    struct craft_tcp shut = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 1, open->seq + 11);

    end->to_send = 10;
    end_pump(end);
    assert_int_equal(take_tcp(net).payload_len, 10);
    shut.window = 0;
    put_tcp(net, &shut);
    end->to_send += 5000;
    end_pump(end);
    assert_silent(net);
    return shut;
}

static void shut_window_is_probed_and_opens_by_an_update(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open, answer;
    struct end *end = accept_one(net, "198.18.0.5", &open);

    (void)state;
    struct craft_tcp update = shut_window(net, end, &open);
    uint64_t start_ns = simnet_now_ns(net);
    simnet_run_for(net, 650 * NS_PER_MS); /* probes at 200 and 600 ms */
    answer = take_tcp(net);
    assert_int_equal(answer.payload_len, 1);
    assert_int_equal(answer.seq, open.seq + 11);
    answer = take_tcp(net);
    assert_int_equal(answer.payload_len, 1);
    assert_silent(net);
    simnet_run_for(net, 60 * NS_PER_S);
    assert_int_equal(end->end_ns, 0);
    simnet_forget(net);
    assert_true(simnet_now_ns(net) > start_ns);

    update.window = 60000;
    put_tcp(net, &update);
    answer = take_tcp(net);
    assert_int_equal(answer.payload_len, 1460);
    assert_int_equal(answer.seq, open.seq + 11);
    simnet_end(net);
}

/* A probe that is acknowledged with the window still shut: the other side is there, so the
   connection lives as long as it goes on. */
static void answered_probes_keep_the_connection_for_ever(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open;
    struct end *end = accept_one(net, "198.18.0.5", &open);

    (void)state;
    struct craft_tcp update = shut_window(net, end, &open);
    for (int i = 0; i < 3600; i++) {
        simnet_run_for(net, NS_PER_S);
        struct simnet_frame frame;
        while (simnet_take(net, &frame))
            put_tcp(net, &update);
    }
    assert_int_equal(end->end_ns, 0);
    update.window = 60000;
    put_tcp(net, &update);
    assert_int_equal(take_tcp(net).seq, open.seq + 11);
    simnet_end(net);
}

static void wrong_ack_of_a_syn_is_reset(void **state)
{
    struct simnet *net = begin_v4();

    (void)state;
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, app_v4, APP_PORT);
    struct craft_tcp syn = take_tcp(net);
    struct craft_tcp answer =
        segment("198.18.0.2", syn.src_port, CRAFT_SYN | CRAFT_ACK, APP_ISN, syn.seq + 77);
    put_tcp(net, &answer);
    assert_int_equal(end->open_ns, 0);
    struct craft_tcp rst = take_tcp(net);
    assert_true(rst.flags & CRAFT_RST);
    assert_int_equal(rst.seq, syn.seq + 77);
    simnet_end(net);
}

/* ---- ICMP ---- */

static void refuse_with(uint8_t type, uint8_t code)
{
    static struct crafted frame;
    struct simnet *net = begin_v4();
    struct simnet_frame syn;
    uint8_t quote[28];

    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, app_v4, 80);
    assert_true(simnet_take(net, &syn));
    memcpy(quote, syn.data, sizeof(quote));
    struct peer_addr from = simnet_addr("192.0.2.254"), to = simnet_addr("198.18.0.2");
    craft_icmp_frame(&frame, &from, &to, type, code, 0, quote, sizeof(quote));
    simnet_put(net, frame.bytes, frame.len, NULL);
    assert_true(end_is_over(end));
    assert_int_equal(end->how, PEER_END_UNREACHABLE);
    assert_int_equal(end->icmp_type, type);
    assert_int_equal(end->icmp_code, code);
    assert_silent(net);
    simnet_end(net);
}

static void unreachable_during_the_handshake_ends_it(void **state)
{
    (void)state;
    for (uint8_t code = 0; code < 4; code++)
        refuse_with(3, code);
    refuse_with(3, 13);
}

static void icmp_errors_do_not_end_what_is_open(void **state)
{
    static struct crafted frame;
    struct simnet *net = begin_v4();
    struct craft_tcp open;
    struct end *end = accept_one(net, "198.18.0.5", &open);
    struct simnet_frame sent;
    uint8_t quote[28];

    (void)state;
    end->to_send = 10;
    end_pump(end);
    assert_true(simnet_take(net, &sent));
    memcpy(quote, sent.data, sizeof(quote));
    struct peer_addr from = simnet_addr("192.0.2.254"), to = simnet_addr("198.18.0.5");
    craft_icmp_frame(&frame, &from, &to, 3, 1, 0, quote, sizeof(quote));
    simnet_put(net, frame.bytes, frame.len, NULL);
    assert_int_equal(end->end_ns, 0);
    simnet_end(net);
}

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

#define TEST(name) cmocka_unit_test_teardown(name, simnet_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(syn_carries_mss_scale_sack_and_timestamps),
        TEST(syn_ack_answers_only_the_options_that_were_offered),
        TEST(syn_with_bytes_or_strange_options_is_answered),
        TEST(initial_numbers_differ_and_grow_for_the_same_tuple),
        TEST(syn_to_a_closed_port_is_reset),
        TEST(garbage_in_the_ack_field_of_a_syn_is_not_believed),
        TEST(stray_ack_is_reset_with_its_own_number),
        TEST(reset_is_never_answered),
        TEST(ack_to_a_listening_port_is_reset),
        TEST(broken_checksum_is_no_frame),
        TEST(data_is_acknowledged_and_a_gap_is_reported),
        TEST(gaps_are_told_by_selective_acknowledgements),
        TEST(reset_in_the_window_ends_and_outside_does_not),
        TEST(fin_is_acknowledged_and_ours_follows),
        TEST(shut_window_is_probed_and_opens_by_an_update),
        TEST(answered_probes_keep_the_connection_for_ever),
        TEST(wrong_ack_of_a_syn_is_reset),
        TEST(unreachable_during_the_handshake_ends_it),
        TEST(icmp_errors_do_not_end_what_is_open),
        TEST(datagram_to_a_closed_port_is_quoted_back),
        TEST(echo_requests_are_answered),
        TEST(frames_for_nobody_are_ignored),
        TEST(fragments_in_any_order_make_one_datagram),
        TEST(fragments_that_never_complete_are_given_up),
        TEST(longest_ipv6_fragments_do_no_harm),
        TEST(fragments_in_fragments_do_no_harm),
        TEST(arp_is_answered_with_each_peers_own_mac),
        TEST(peer_asks_for_the_local_mac_before_it_sends),
        TEST(solicitation_is_answered_with_each_peers_own_mac),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
