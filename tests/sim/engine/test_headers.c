/* SPDX-License-Identifier: BSD-3-Clause */
/* The IP headers of what a peer sends: as Linux writes them, flags, names, classes and labels. */
#include "scripted.h"

static const char peer_v4[] = "198.18.0.4", peer_v6[] = "2001:2::4";
static struct crafted request;

static struct simnet *begin_family(bool v6)
{
    return v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
}

static struct peer_addr app_of(bool v6)
{
    return simnet_addr(v6 ? app_v6 : app_v4);
}

static struct peer_addr peer_of(bool v6)
{
    return simnet_addr(v6 ? peer_v6 : peer_v4);
}

static struct simnet_frame take(struct simnet *net)
{
    struct simnet_frame frame;

    assert_true(simnet_take(net, &frame));
    assert_true(frame.packet.fragment || frame.offload.flags & FRAME_NEEDS_CSUM ||
                checksum_verify(frame.data, frame.len, &frame.packet));
    return frame;
}

/* ---- fields ---- */

static uint16_t id_of(const struct simnet_frame *frame)
{
    return craft_get16(frame->data + 4);
}

static uint16_t flags_of(const struct simnet_frame *frame)
{
    return craft_get16(frame->data + 6);
}

static uint8_t class_of(const struct simnet_frame *frame)
{
    const uint8_t *ip = frame->data;

    if (ip[0] >> 4 == 4)
        return ip[1];
    return (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

static uint8_t hops_of(const struct simnet_frame *frame)
{
    return frame->data[frame->data[0] >> 4 == 4 ? 8 : 7];
}

static uint32_t label_of(const struct simnet_frame *frame)
{
    return craft_get32(frame->data) & 0xfffff;
}

static void set_class(struct crafted *frame, uint8_t class)
{
    uint8_t *ip = frame->bytes;

    if (ip[0] >> 4 == 6) {
        ip[0] = (uint8_t)(0x60 | class >> 4);
        ip[1] = (uint8_t)(class << 4);
        return;
    }
    ip[1] = class;
    memset(ip + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, ip, 20));
    memcpy(ip + 10, &sum, 2);
}

/* ---- echo replies ---- */

static void put_echo(struct simnet *net, bool v6, uint8_t class)
{
    static const uint8_t payload[100];
    struct peer_addr from = app_of(v6), to = peer_of(v6);

    craft_icmp_frame(&request, &from, &to, v6 ? 128 : 8, 9, 0xabcd0001, payload, sizeof(payload));
    if (!v6)
        craft_put16(request.bytes + 6, 0x4000);
    set_class(&request, class);
    simnet_put(net, request.bytes, request.len, NULL);
}

/* Neither flags nor names of the request; its code and class. */
static void an_echo_reply_has_a_header_of_its_own(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = begin_family(v6);
        uint16_t id = 0;
        for (int i = 0; i < 3; i++) {
            put_echo(net, v6, 0x48);
            struct simnet_frame reply = take(net);
            assert_int_equal(reply.data[reply.packet.transport_at], v6 ? 129 : 0);
            assert_int_equal(reply.data[reply.packet.transport_at + 1], 9);
            assert_int_equal(class_of(&reply), 0x48);
            assert_int_equal(hops_of(&reply), 64);
            if (v6)
                continue;
            assert_int_equal(flags_of(&reply), 0);
            assert_int_not_equal(id_of(&reply), 0x1234);
            assert_true(i == 0 || id_of(&reply) == (uint16_t)(id + 1));
            id = id_of(&reply);
        }
        simnet_end(net);
    }
}

/* ---- the time ---- */

static void whoever_asks_for_the_time_is_told(void **state)
{
    static const uint8_t stamps[12] = {1, 2, 3, 4};
    struct simnet *net = begin_v4();
    struct peer_addr from = app_of(false), to = peer_of(false);

    (void)state;
    simnet_run_for(net, UINT64_C(86400) * NS_PER_S); /* the clock begins anew at midnight */
    craft_icmp_frame(&request, &from, &to, 13, 0, 0xabcd0001, stamps, sizeof(stamps));
    simnet_put(net, request.bytes, request.len, NULL);
    struct simnet_frame reply = take(net);
    const uint8_t *icmp = reply.data + reply.packet.transport_at;
    uint32_t now_ms = (uint32_t)(simnet_now_ns(net) / NS_PER_MS % 86400000);
    assert_int_equal(icmp[0], 14);
    assert_int_equal(reply.len, 20 + 20);
    assert_int_equal(craft_get32(icmp + 4), 0xabcd0001);
    assert_int_equal(craft_get32(icmp + 8), 0x01020304);
    assert_int_equal(craft_get32(icmp + 12), now_ms);
    assert_int_equal(craft_get32(icmp + 16), now_ms);
    assert_int_equal(flags_of(&reply), 0);

    craft_icmp_frame(&request, &from, &to, 13, 0, 0xabcd0001, stamps, 8); /* too short */
    simnet_put(net, request.bytes, request.len, NULL);
    assert_silent(net);
    simnet_end(net);
}

/* ---- resets ---- */

static void a_reset_has_the_class_of_what_it_answers(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = begin_family(v6);
        struct craft_tcp stray = segment(v6 ? peer_v6 : peer_v4, 81, CRAFT_ACK, 1000, 77);
        craft_tcp_frame(&request, &stray);
        set_class(&request, 0x4b); /* congestion is not its business */
        simnet_put(net, request.bytes, request.len, NULL);
        struct simnet_frame reset = take(net);
        assert_int_equal(class_of(&reset), 0x48);
        simnet_end(net);
    }
}

/* ---- datagrams ---- */

static void send_datagram(struct end *end, size_t len)
{
    static const uint8_t payload[4000];

    assert_int_equal(flow_write(&end->flow, payload, len, 0), len);
}

static void a_client_counts_its_datagrams_which_are_not_cut(void **state)
{
    struct simnet *net = begin_v4();
    struct end *end = end_connect(net, IPPROTO_UDP, peer_v4, 0, app_v4, 53);

    (void)state;
    send_datagram(end, 100);
    struct simnet_frame frame = take(net);
    uint16_t id = id_of(&frame);
    assert_int_equal(flags_of(&frame), 0x4000);
    send_datagram(end, 100);
    frame = take(net);
    assert_int_equal(id_of(&frame), (uint16_t)(id + 1));
    send_datagram(end, 2000); /* in pieces of one name */
    frame = take(net);
    assert_int_equal(flags_of(&frame), 0x2000);
    id = id_of(&frame);
    frame = take(net);
    assert_int_equal(flags_of(&frame) & 0xe000, 0);
    assert_int_equal(id_of(&frame), id);
    simnet_end(net);
}

/* ---- labels (RFC 6437) ---- */

static struct simnet_frame call(struct simnet *net, uint16_t port, struct craft_tcp *ret)
{
    struct craft_tcp syn = segment(peer_v6, 80, CRAFT_SYN, APP_ISN, 0);

    syn.src_port = port;
    put_tcp(net, &syn);
    struct simnet_frame answer = take(net);
    assert_true(craft_see_tcp(answer.data, &answer.packet, ret));
    return answer;
}

static void each_connection_has_a_label_and_keeps_it(void **state)
{
    struct simnet *net = begin_family(true);
    struct end like = {.echo = true};
    uint32_t seen[8];

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    for (uint16_t i = 0; i < ARRAY_SIZE(seen); i++) {
        struct craft_tcp answer = {0};
        struct simnet_frame frame = call(net, (uint16_t)(5000 + i), &answer);
        seen[i] = label_of(&frame);
        for (uint16_t j = 0; j < i; j++)
            assert_int_not_equal(seen[i], seen[j]);
        struct craft_tcp data =
            segment(peer_v6, 80, CRAFT_ACK | CRAFT_PSH, APP_ISN + 1, answer.seq + 1);
        data.src_port = (uint16_t)(5000 + i);
        data.payload = "hello";
        data.payload_len = 5;
        put_tcp(net, &data);
        simnet_run_for(net, NS_PER_MS);
        for (int frames = 0; simnet_take(net, &frame); frames++)
            assert_int_equal(label_of(&frame), seen[i]);
    }
    simnet_end(net);
}

static void what_belongs_to_no_connection_has_a_label_too(void **state)
{
    struct simnet *net = begin_family(true);
    struct peer_addr from = app_of(true), to = peer_of(true);

    (void)state;
    put_echo(net, true, 0);
    struct simnet_frame frame = take(net);
    uint32_t echo = label_of(&frame);
    assert_int_not_equal(echo, 0);
    craft_udp_frame(&request, &from, 999, &to, 53, "?", 1);
    simnet_put(net, request.bytes, request.len, NULL);
    frame = take(net);
    assert_int_equal(frame.data[frame.packet.transport_at], 1);
    assert_int_not_equal(label_of(&frame), 0);
    struct craft_tcp stray = segment(peer_v6, 81, CRAFT_ACK, 1000, 77);
    put_tcp(net, &stray);
    frame = take(net);
    assert_int_not_equal(label_of(&frame), 0);
    simnet_end(net);
}

static void pieces_of_a_datagram_have_random_names(void **state)
{
    struct simnet *net = begin_family(true);
    struct end *end = end_connect(net, IPPROTO_UDP, peer_v6, 0, app_v6, 53);
    uint32_t last = 0;

    (void)state;
    for (int i = 0; i < 4; i++) {
        send_datagram(end, 2000);
        struct simnet_frame frame = take(net);
        uint32_t label = label_of(&frame), name = craft_get32(frame.data + 44);
        assert_true(name - last > 1000 && last - name > 1000);
        frame = take(net);
        assert_int_equal(craft_get32(frame.data + 44), name);
        assert_int_equal(label_of(&frame), label);
        assert_int_not_equal(label, 0);
        last = name;
    }
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_echo_reply_has_a_header_of_its_own),
        TEST(whoever_asks_for_the_time_is_told),
        TEST(a_reset_has_the_class_of_what_it_answers),
        TEST(a_client_counts_its_datagrams_which_are_not_cut),
        TEST(each_connection_has_a_label_and_keeps_it),
        TEST(what_belongs_to_no_connection_has_a_label_too),
        TEST(pieces_of_a_datagram_have_random_names),
    };
    return cmocka_run_group_tests_name("headers", tests, NULL, NULL);
}
