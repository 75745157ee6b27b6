/* SPDX-License-Identifier: BSD-3-Clause */
/* What a peer keeps of what it is sent, in bytes, while nobody takes it or its rest never comes. */
#include "scripted.h"

enum { MIB = 1 << 20, SEGMENT = 1400, CALLERS = 30 };
/* The bounds, and what may come on top: the share of each connection, in buffers of 2 KiB. */
enum { HELD_MOST = 24 * MIB + CALLERS * 8192, PIECES_MOST = 4 * MIB + 4096 };

static uint8_t payload[SEGMENT];

static struct stack_stats stats_of(struct simnet *net)
{
    struct stack_stats stats;

    stack_get_stats(simnet_stack(net), &stats);
    return stats;
}

/* A caller with a large window whose handshake is done; what it has to send next. */
static struct craft_tcp open_caller(struct simnet *net, uint16_t port)
{
    struct craft_tcp tcp = segment("198.18.0.4", 80, CRAFT_SYN, APP_ISN, 0);

    tcp.src_port = port;
    tcp.mss = 1460;
    tcp.scale = 8;
    put_tcp(net, &tcp);
    struct craft_tcp answer = take_tcp(net);
    tcp = segment("198.18.0.4", 80, CRAFT_ACK, APP_ISN + 1, answer.seq + 1);
    tcp.src_port = port;
    put_tcp(net, &tcp);
    tcp.flags |= CRAFT_PSH;
    tcp.payload = payload;
    tcp.payload_len = SEGMENT;
    return tcp;
}

/* One who sent much to an owner who read it: the window is as large as there is. */
static struct craft_tcp open_wide(struct simnet *net, uint16_t port)
{
    struct craft_tcp tcp = open_caller(net, port);
    struct end *end = simnet_accepted(net);
    size_t read_most = end->read_most;

    end->read_most = 0;
    for (uint32_t at = 0; at < 3 * MIB; at += SEGMENT, tcp.seq += SEGMENT) {
        if (at % MIB < SEGMENT)
            simnet_run_for(net, NS_PER_MS);
        put_tcp(net, &tcp);
        simnet_forget(net);
    }
    end->received = 0;
    end->read_most = read_most;
    return tcp;
}

/* Each caller sends `bytes`, from `gap` bytes behind the next on, whatever is answered. */
static void send_all(struct simnet *net, struct craft_tcp callers[CALLERS], uint32_t bytes,
                     uint32_t gap)
{
    for (uint32_t at = 0; at < bytes; at += SEGMENT) {
        for (int i = 0; i < CALLERS; i++) {
            struct craft_tcp tcp = callers[i];
            tcp.seq += gap + at;
            put_tcp(net, &tcp);
            simnet_forget(net);
        }
    }
}

static void open_callers(struct simnet *net, struct craft_tcp callers[CALLERS],
                         struct end *ends[CALLERS], bool wide)
{
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = wide ? open_wide(net, (uint16_t)(APP_PORT + i))
                          : open_caller(net, (uint16_t)(APP_PORT + i));
        ends[i] = simnet_accepted(net);
    }
}

static void what_nobody_reads_is_bounded_in_all(void **state)
{
    struct simnet *net = begin_v4();
    struct end like = {.read_most = SIZE_MAX}, *ends[CALLERS];
    struct craft_tcp callers[CALLERS];

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    open_callers(net, callers, ends, true);
    send_all(net, callers, 2 * MIB, 0);
    assert_in_range(stats_of(net).held_bytes, 20 * MIB, HELD_MOST);
    assert_true(stats_of(net).limits[STACK_LIMIT_UNREAD] > 0);
    assert_true(stats_of(net).limits[STACK_LIMIT_GAPS] > 10000); /* what came after those */

    for (int i = 0; i < CALLERS; i++) { /* all is well for who is read again */
        ends[i]->read_most = 0;
        end_pump(ends[i]);
        simnet_run_for(net, NS_PER_S);
        simnet_forget(net);
        callers[i].seq += (uint32_t)ends[i]->received;
        uint64_t before = ends[i]->received;
        put_tcp(net, &callers[i]);
        assert_int_equal(ends[i]->received, before + SEGMENT);
    }
    assert_int_equal(stats_of(net).held_bytes, 0);
    simnet_end(net);
}

static void a_single_connection_has_its_window(void **state)
{
    struct simnet *net = begin_v4();
    struct end like = {.read_most = SIZE_MAX};

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    struct craft_tcp tcp = open_wide(net, APP_PORT);
    for (uint32_t at = 0; at < 3 * MIB; at += SEGMENT, tcp.seq += SEGMENT) {
        put_tcp(net, &tcp);
        simnet_forget(net);
    }
    assert_true(simnet_accepted(net)->flow.conn.rx_bytes >= 3 * MIB);
    assert_int_equal(stats_of(net).limits[STACK_LIMIT_UNREAD], 0);
    simnet_end(net);
}

/* A buffer for each would be a thousand times as much. */
static void bytes_that_come_one_by_one_lie_together(void **state)
{
    struct simnet *net = begin_v4();
    struct end like = {.read_most = SIZE_MAX};

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    struct craft_tcp tcp = open_caller(net, APP_PORT);
    struct end *end = simnet_accepted(net);
    for (uint32_t i = 0; i < 20000; i++, tcp.seq++) {
        payload[0] = (uint8_t)(i * 31 >> 3);
        tcp.payload_len = 1;
        put_tcp(net, &tcp);
        simnet_forget(net);
    }
    assert_in_range(stats_of(net).held_bytes, 20000, 30000);
    struct iovec iov[16];
    int count = flow_peek(&end->flow, iov, 16);
    static uint8_t got[20000];
    assert_int_equal(iov_total(iov, count), sizeof(got));
    iov_gather(iov, count, got);
    for (uint32_t i = 0; i < sizeof(got); i++)
        assert_int_equal(got[i], (uint8_t)(i * 31 >> 3));
    memset(payload, 0, sizeof(payload));
    simnet_end(net);
}

static void what_lies_behind_gaps_is_bounded_in_all(void **state)
{
    struct simnet *net = begin_v4();
    struct end *ends[CALLERS];
    struct craft_tcp callers[CALLERS];

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    open_callers(net, callers, ends, true);
    send_all(net, callers, 2 * MIB, SEGMENT);
    assert_in_range(stats_of(net).held_bytes, 20 * MIB, HELD_MOST);
    assert_true(stats_of(net).limits[STACK_LIMIT_GAPS] > 10000);
    for (int i = 0; i < CALLERS; i++) {
        put_tcp(net, &callers[i]); /* the gap is filled */
        assert_true(ends[i]->received > 100 * SEGMENT);
    }
    assert_int_equal(stats_of(net).held_bytes, 0);
    simnet_end(net);
}

static void what_nobody_acknowledges_is_bounded_in_all(void **state)
{
    struct simnet *net = begin_v4();
    struct end like = {.echo = true}, *ends[CALLERS];
    struct craft_tcp callers[CALLERS];

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    open_callers(net, callers, ends, false);
    send_all(net, callers, 3 * MIB, 0);
    struct stack_stats stats = stats_of(net);
    assert_in_range(stats.queued_bytes, 20 * MIB, HELD_MOST);
    assert_true(stats.limits[STACK_LIMIT_QUEUED] > 0);
    for (int i = 0; i < CALLERS; i++) {
        struct craft_tcp reset = callers[i];
        reset.flags = CRAFT_RST;
        reset.payload_len = 0;
        reset.seq += ends[i]->flow.conn.rx_bytes + (uint32_t)ends[i]->received;
        put_tcp(net, &reset);
    }
    assert_int_equal(stats_of(net).queued_bytes, 0);
    simnet_end(net);
}

static void small_datagrams_are_bounded_by_their_buffers(void **state)
{
    struct simnet *net = begin_v4();
    struct end like = {.read_most = SIZE_MAX};
    struct crafted frame;
    struct peer_addr src = simnet_addr(app_v4), dst = simnet_addr("198.18.0.4");

    (void)state;
    simnet_listen(net, IPPROTO_UDP, 7, &like);
    for (uint32_t i = 0; i < 30000; i++) {
        craft_udp_frame(&frame, &src, (uint16_t)(4000 + i % 20), &dst, 7, "x", 1);
        simnet_put(net, frame.bytes, frame.len, NULL);
    }
    assert_in_range(stats_of(net).held_bytes, MIB, HELD_MOST);
    assert_true(stats_of(net).limits[STACK_LIMIT_UNREAD] > 10000);
    simnet_end(net);
}

/* ---- fragments ---- */

static void put_fragment(struct simnet *net, uint32_t id, const char *peer, size_t bytes,
                         uint32_t from, uint32_t to)
{
    static uint8_t long_payload[4000];
    struct peer_addr src = simnet_addr(app_v4), dst = simnet_addr(peer);
    struct crafted whole, frame;

    src.bytes[3] = (uint8_t)(1 + (id >> 16));
    craft_udp_frame(&whole, &src, 4000, &dst, 7, long_payload, bytes);
    craft_put16(whole.bytes + 4, id);
    craft_fragment(&frame, &whole, from, to);
    simnet_put(net, frame.bytes, frame.len, NULL);
}

static void pieces_without_an_end_are_bounded_and_others_become_whole(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9", .mtu = 4000};
    struct simnet *net = simnet_new(&config);
    struct end like = {.echo = true};
    struct simnet_frame frame;
    uint32_t errors = 0;

    (void)state;
    simnet_listen(net, IPPROTO_UDP, 7, &like);
    for (uint32_t i = 0; i < 20000; i++) {
        put_fragment(net, 0x20000 + i, i % 3 ? "198.18.0.4" : "198.18.0.5", 3900,
                     i % 2 ? 0 : 1400, 3200);
        assert_in_range(stats_of(net).piece_bytes, 0, PIECES_MOST);
        if (i % 100 == 0) { /* an honest datagram */
            put_fragment(net, i, i % 200 ? "198.18.0.4" : "198.18.0.6", 2000, 0, 1400);
            put_fragment(net, i, i % 200 ? "198.18.0.4" : "198.18.0.6", 2000, 1400, 4000);
            assert_true(simnet_take(net, &frame));
            assert_int_equal(frame.packet.protocol, IPPROTO_UDP);
            simnet_forget(net);
        }
        assert_silent(net); /* room that was needed is no error */
        simnet_run_for(net, NS_PER_MS / 10);
    }
    assert_true(stats_of(net).limits[STACK_LIMIT_PIECES] > 15000);
    assert_true(stats_of(net).piece_bytes > 0);
    simnet_run_for(net, 40 * NS_PER_S);
    assert_int_equal(stats_of(net).piece_bytes, 0);
    while (simnet_take(net, &frame)) { /* "time exceeded", as often as Linux says it */
        assert_int_equal(frame.packet.protocol, IPPROTO_ICMP);
        assert_int_equal(frame.data[20], 11);
        assert_int_equal(frame.data[21], 1);
        assert_memory_equal(frame.data + 12, frame.data + 28 + 16, 4); /* the peer's own words */
        errors++;
    }
    assert_in_range(errors, 1, 100);
    simnet_end(net);
}

/* ---- ARP ---- */

static const uint8_t app_mac[6] = {0x02, 0xaa, 0, 0, 0, 1};

static void put_arp(struct simnet *net, uint8_t op, uint32_t sender, const char *target)
{
    uint8_t arp[42] = {0};

    memset(arp, 255, 6);
    memcpy(arp + 6, app_mac, 6);
    memcpy(arp + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00", 9);
    arp[21] = op;
    memcpy(arp + 22, app_mac, 6);
    craft_put32(arp + 28, sender);
    memcpy(arp + 38, simnet_addr(target).bytes, 4);
    simnet_put(net, arp, sizeof(arp), NULL);
}

/* A flood of those who ask, or answer without having been asked, is not remembered: who was there
   before has no need to be asked for again. Strangers are answered 20 times in a millisecond. */
static void who_asks_for_everybody_displaces_nobody(void **state)
{
    static const uint32_t app = 0xc0000201; /* app_v4 */
    struct simnet *net = begin("198.18.0.2-198.18.0.9", FRAME_ETHERNET);
    struct simnet_frame frame;

    (void)state;
    put_arp(net, 1, app, "198.18.0.4");
    simnet_forget(net);
    for (uint32_t i = 0; i < 20000; i++) {
        bool asks = i % 4 != 0;
        if (i % 20 == 0)
            simnet_run_for(net, NS_PER_MS);
        put_arp(net, asks ? 1 : 2, 0x0a000000 + i, "198.18.0.4");
        if (asks) {
            assert_true(simnet_take(net, &frame));
            assert_int_equal(frame.packet.kind, PACKET_ARP);
            assert_int_equal(frame.data[21], 2);
            assert_memory_equal(frame.data, app_mac, 6);
            assert_memory_equal(frame.data + 6, frame.data + 22, 6);
            assert_memory_equal(frame.data + 28, simnet_addr("198.18.0.4").bytes, 4);
            assert_int_equal(craft_get32(frame.data + 38), 0x0a000000 + i);
        }
        assert_silent(net);
    }
    assert_true(stats_of(net).limits[STACK_LIMIT_NEIGHBOURS] > 19000);
    for (uint32_t i = 0; i < 32; i++) /* of this second, if one has just begun */
        put_arp(net, 1, 0x0c000000 + i, "198.18.0.4");
    simnet_forget(net);
    simnet_run_for(net, NS_PER_MS);
    uint32_t answers = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        put_arp(net, 1, 0x0b000000 + i, "198.18.0.4");
        answers += simnet_take(net, &frame);
    }
    assert_int_equal(answers, 20);
    put_arp(net, 1, app, "198.18.0.4"); /* who is known is answered at once */
    assert_true(simnet_take(net, &frame));
    assert_int_equal(frame.data[21], 2);
    struct craft_tcp syn = segment("198.18.0.4", 80, CRAFT_SYN, APP_ISN, 0);
    struct crafted out;
    craft_tcp_frame(&out, &syn);
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    craft_ethernet(&out, (const uint8_t[]){0x02, 0, 0, 0, 0, 3}, app_mac);
    simnet_put(net, out.bytes, out.len, NULL);
    assert_true(simnet_take(net, &frame));
    assert_int_equal(frame.packet.kind, PACKET_TCP);
    assert_memory_equal(frame.data, app_mac, 6);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_nobody_reads_is_bounded_in_all),
        TEST(a_single_connection_has_its_window),
        TEST(bytes_that_come_one_by_one_lie_together),
        TEST(what_lies_behind_gaps_is_bounded_in_all),
        TEST(what_nobody_acknowledges_is_bounded_in_all),
        TEST(small_datagrams_are_bounded_by_their_buffers),
        TEST(pieces_without_an_end_are_bounded_and_others_become_whole),
        TEST(who_asks_for_everybody_displaces_nobody),
    };
    return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
