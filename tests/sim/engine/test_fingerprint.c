/* SPDX-License-Identifier: BSD-3-Clause */
/* What a connection's packets look like from outside: as those of Linux. */
#include "scripted.h"

static const uint8_t *options_of(const struct simnet_frame *frame)
{
    return frame->data + frame->packet.transport_at + 20;
}

static uint32_t header_of(const struct simnet_frame *frame)
{
    return (uint32_t)(frame->packet.payload_at - frame->packet.transport_at);
}

static uint16_t id_of(const struct simnet_frame *frame)
{
    return craft_get16(frame->data + 4);
}

static struct simnet_frame take(struct simnet *net)
{
    struct simnet_frame frame;

    assert_true(simnet_take(net, &frame));
    assert_true(frame.offload.flags & FRAME_NEEDS_CSUM ||
                checksum_verify(frame.data, frame.len, &frame.packet));
    return frame;
}

static void check_syn(const struct simnet_frame *syn, uint16_t mss, uint16_t window)
{
    const uint8_t *tcp = syn->data + syn->packet.transport_at, *options = options_of(syn);

    assert_int_equal(header_of(syn), 40);
    assert_int_equal(craft_get16(tcp + 14), window);
    assert_memory_equal(options, "\2\4", 2);
    assert_int_equal(craft_get16(options + 2), mss);
    assert_memory_equal(options + 4, "\4\2\10\12", 4);
    assert_int_equal(craft_get32(options + 12), 0);
    assert_memory_equal(options + 16, "\1\3\3\7", 4);
    if (syn->packet.ip_version == 4)
        assert_int_equal(craft_get16(syn->data + 6), 0x4000);
}

/* The first and those that are sent again. */
static void a_syn_has_options_and_window_of_linux(void **state)
{
    static const struct {
        const char *peers, *from, *to;
        uint32_t mtu;
        uint16_t mss, window;
    } cases[] = {{"198.18.0.2-198.18.0.9", "198.18.0.2", app_v4, 1500, 1460, 64240},
                 {"198.18.0.2-198.18.0.9", "198.18.0.2", app_v4, 9000, 8960, 62720},
                 {"2001:2::2-2001:2::9", "2001:2::3", app_v6, 1500, 1440, 64800}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct simnet_config config = {.peers = cases[i].peers, .mtu = cases[i].mtu};
        struct simnet *net = simnet_new(&config);
        assert_non_null(end_connect(net, IPPROTO_TCP, cases[i].from, 0, cases[i].to, 80));
        struct simnet_frame syn = take(net);
        check_syn(&syn, cases[i].mss, cases[i].window);
        simnet_run_for(net, 1500 * NS_PER_MS);
        syn = take(net);
        check_syn(&syn, cases[i].mss, cases[i].window);
        simnet_end(net);
    }
}

static void an_answer_to_a_syn_has_what_was_asked_for_in_order(void **state)
{
    static const struct {
        bool sack, stamps, scale;
        const char *after_mss;
        size_t len;
        uint16_t window;
    } cases[] = {
        {true, true, true, "\4\2\10\12", 20, 65160},
        {false, true, true, "\1\1\10\12", 20, 65160},
        {true, false, true, "\1\1\4\2\1\3\3\7", 12, 64240},
        {false, false, true, "\1\3\3\7", 8, 64240},
        {false, false, false, "", 4, 64240},
    };
    struct simnet *net = begin_v4();

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct craft_tcp syn = segment("198.18.0.4", 80, CRAFT_SYN, APP_ISN, 0);
        syn.src_port = (uint16_t)(5000 + i);
        syn.mss = 1460;
        syn.sack_ok = cases[i].sack;
        syn.timestamps = cases[i].stamps;
        syn.scale = cases[i].scale ? 8 : 0;
        put_tcp(net, &syn);
        struct simnet_frame answer = take(net);
        assert_int_equal(header_of(&answer), 20 + cases[i].len);
        assert_memory_equal(options_of(&answer) + 4, cases[i].after_mss,
                            MIN(strlen(cases[i].after_mss), cases[i].len - 4));
        assert_int_equal(craft_get16(answer.data + answer.packet.transport_at + 14),
                         cases[i].window);
        assert_int_equal(id_of(&answer), 0);
        assert_int_equal(craft_get16(answer.data + 6), 0x4000);
    }
    simnet_end(net);
}

/* What JA4TScan measures: an answer that nobody acknowledges leaves 5 times more, then all is over. */
static void an_answer_is_sent_again_after_1_2_4_8_and_16_seconds(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = segment("198.18.0.4", 80, CRAFT_SYN, APP_ISN, 0);
    struct stack_stats stats;

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &syn);
    assert_int_equal(take_tcp(net).flags, CRAFT_SYN | CRAFT_ACK);
    uint64_t start_ns = simnet_now_ns(net);
    for (uint64_t at_s = 1; at_s < 63; at_s = 2 * at_s + 1) {
        simnet_run_for(net, start_ns + at_s * NS_PER_S - 50 * NS_PER_MS - simnet_now_ns(net));
        assert_silent(net);
        simnet_run_for(net, 100 * NS_PER_MS);
        assert_int_equal(take_tcp(net).flags, CRAFT_SYN | CRAFT_ACK);
    }
    simnet_run_for(net, 31 * NS_PER_S);
    stack_get_stats(simnet_stack(net), &stats);
    assert_int_equal(stats.conns, 1);
    simnet_run_for(net, NS_PER_S);
    assert_silent(net);
    stack_get_stats(simnet_stack(net), &stats);
    assert_int_equal(stats.conns, 0);
    simnet_end(net);
}

/* ---- what a connection counts ---- */

static void identifications_begin_at_random_and_count_packets(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9", .offload = true};
    struct simnet *net = simnet_new(&config);
    uint16_t last = 0;

    (void)state;
    for (int i = 0; i < 8; i++) {
        struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, app_v4, 80);
        struct simnet_frame frame = take(net);
        struct craft_tcp syn = {0};
        uint16_t id = id_of(&frame);
        assert_true(craft_see_tcp(frame.data, &frame.packet, &syn));
        assert_true((uint16_t)(id - last) > 16 && (uint16_t)(last - id) > 16);
        last = id;

        struct craft_tcp answer =
            segment("198.18.0.2", syn.src_port, CRAFT_SYN | CRAFT_ACK, APP_ISN, syn.seq + 1);
        answer.src_port = 80;
        answer.mss = 1460;
        put_tcp(net, &answer);
        frame = take(net);
        assert_int_equal(id_of(&frame), (uint16_t)(id + 1));
        end->to_send = 20000;
        end_pump(end);
        id = (uint16_t)(id + 2);
        while (simnet_take(net, &frame)) { /* a super-segment is many packets */
            uint32_t most = frame.offload.gso_size ? frame.offload.gso_size : 1460;
            assert_int_equal(id_of(&frame), id);
            id = (uint16_t)(id + (frame.packet.payload_len + most - 1) / most);
        }
        end_free(end);
        simnet_forget(net);
    }
    simnet_end(net);
}

static uint32_t stamp_of(struct simnet *net, const char *from, uint16_t port, const char *to)
{
    struct end *end = end_connect(net, IPPROTO_TCP, from, port, to, 80);
    struct simnet_frame syn = take(net);
    uint32_t stamp = craft_get32(options_of(&syn) + 8);

    end_free(end);
    simnet_forget(net);
    return stamp;
}

/* The same connection again goes on with its clock: old segments of it stay old. */
static void each_connection_has_a_clock_of_its_own(void **state)
{
    static const struct {
        const char *from, *to;
        uint16_t port;
    } others[] = {{"198.18.0.3", "192.0.2.1", 4000},
                  {"198.18.0.2", "192.0.2.2", 4000},
                  {"198.18.0.2", "192.0.2.1", 4001}};
    struct simnet *net = begin_v4();

    (void)state;
    uint32_t first = stamp_of(net, "198.18.0.2", 4000, "192.0.2.1");
    assert_int_equal(stamp_of(net, "198.18.0.2", 4000, "192.0.2.1"), first);
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        uint32_t other = stamp_of(net, others[i].from, others[i].port, others[i].to);
        assert_true(other - first > 10000 && first - other > 10000);
    }
    simnet_run_for(net, 70 * NS_PER_MS);
    assert_int_equal(stamp_of(net, "198.18.0.2", 4000, "192.0.2.1"), first + 70);
    simnet_end(net);
}

/* ---- ports (RFC 6056) ---- */

/* As those of Linux: even, and on by a few, from another start for each destination. */
static void tcp_ports_go_on_by_small_even_steps(void **state)
{
    struct simnet *net = begin_v4();
    uint16_t starts[2] = {0};

    (void)state;
    for (uint16_t server = 0; server < 2; server++) {
        uint16_t last = 0;
        bool differ = false;
        for (int i = 0; i < 20; i++) {
            struct end *end =
                end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, app_v4, (uint16_t)(80 + server));
            struct stack_tuple tuple;
            assert_true(stack_conn_tuple(&end->flow.conn, &tuple));
            assert_in_range(tuple.local_port, 32768, 60998);
            assert_int_equal(tuple.local_port % 2, 0);
            uint16_t step = (uint16_t)(tuple.local_port - last);
            if (i == 0)
                starts[server] = tuple.local_port;
            else if (tuple.local_port > last) /* it may begin anew */
                assert_in_range(step, 2, 16);
            differ |= i > 0 && step != 2;
            last = tuple.local_port;
        }
        assert_true(differ);
    }
    assert_int_not_equal(starts[0], starts[1]);
    simnet_end(net);
}

static void udp_ports_are_not_consecutive_and_come_once(void **state)
{
    static uint8_t used[65536];
    struct simnet *net = begin_v4();
    uint16_t last = 0;
    int near = 0;

    (void)state;
    memset(used, 0, sizeof(used));
    for (int i = 0; i < 2000; i++) {
        struct end *end = end_connect(net, IPPROTO_UDP, "198.18.0.2", 0, app_v4, 53);
        struct stack_tuple tuple;
        assert_true(stack_conn_tuple(&end->flow.conn, &tuple));
        assert_in_range(tuple.local_port, 32768, 60999);
        assert_false(used[tuple.local_port]++);
        near += (uint16_t)(tuple.local_port - last + 8) <= 16;
        last = tuple.local_port;
    }
    assert_in_range(near, 0, 20); /* about one is expected */
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_syn_has_options_and_window_of_linux),
        TEST(an_answer_to_a_syn_has_what_was_asked_for_in_order),
        TEST(an_answer_is_sent_again_after_1_2_4_8_and_16_seconds),
        TEST(identifications_begin_at_random_and_count_packets),
        TEST(each_connection_has_a_clock_of_its_own),
        TEST(tcp_ports_go_on_by_small_even_steps),
        TEST(udp_ports_are_not_consecutive_and_come_once),
    };
    return cmocka_run_group_tests_name("fingerprint", tests, NULL, NULL);
}
