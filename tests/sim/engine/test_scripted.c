/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP, segment by segment. */
#include "scripted.h"

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
    assert_int_equal(syn.window, 64240);
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

static void what_is_faster_than_the_answer_to_a_call_refuses_nothing(void **state)
{
    static const uint8_t early[] = {CRAFT_ACK, CRAFT_FIN | CRAFT_ACK};
    struct simnet *net = begin_v4();

    (void)state;
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, app_v4, 80);
    struct craft_tcp syn = take_tcp(net);
    struct craft_tcp tcp = segment("198.18.0.2", syn.src_port, 0, APP_ISN + 1, syn.seq + 1);
    tcp.src_port = 80;
    for (size_t i = 0; i < ARRAY_SIZE(early); i++) {
        tcp.flags = early[i];
        put_tcp(net, &tcp);
        assert_silent(net);
    }
    tcp.flags = CRAFT_ACK; /* of another connection: that is refused, and asked once more */
    tcp.ack = syn.seq + 2;
    put_tcp(net, &tcp);
    struct craft_tcp answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_RST);
    assert_int_equal(answer.seq, syn.seq + 2);
    simnet_forget(net);
    tcp.flags = CRAFT_SYN | CRAFT_ACK;
    tcp.seq = APP_ISN;
    tcp.ack = syn.seq + 1;
    put_tcp(net, &tcp);
    assert_int_equal(take_tcp(net).flags, CRAFT_ACK);
    assert_true(end_is_open(end));
    simnet_end(net);
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

static void reset_in_the_window_ends_and_outside_does_not(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};
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
    struct craft_tcp open = {0}, answer = {0};
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

    assert_int_equal(flow_write_room(&end->flow), 4 << 20);
    end->to_send = 10;
    end_pump(end);
    assert_int_equal(flow_write_room(&end->flow), (4 << 20) - 10);
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
    struct craft_tcp open = {0}, answer = {0};
    struct end *end = accept_one(net, "198.18.0.5", &open);

    (void)state;
    struct craft_tcp update = shut_window(net, end, &open);
    uint64_t start_ns = simnet_now_ns(net);
    for (int i = 0; i < 2; i++) { /* probes at 210 and 620 ms: one byte old, and no byte in them */
        simnet_run_for(net, (uint64_t)(i ? 410 : 220) * NS_PER_MS);
        answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_ACK);
        assert_int_equal(answer.payload_len, 0);
        assert_int_equal(answer.seq, open.seq + 10);
        assert_silent(net);
    }
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
    struct craft_tcp open = {0};
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

/* What came back from a timeout is acknowledged with the window shut. */
static void waiting_bytes_that_are_acknowledged_end_the_probing(void **state)
{
    (void)state;
    for (int i = 2; i < 12; i += 3) {
        struct simnet *net = begin_v4();
        struct craft_tcp open = {0};
        struct end *end = accept_one(net, "198.18.0.5", &open);
        struct craft_tcp ack = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 1, open.seq + 11);
        uint32_t late = 2000; /* bytes */
        end->to_send = 10;
        end_pump(end);
        ack.window = 5000;
        put_tcp(net, &ack);
        end->to_send += late;
        end_pump(end);
        /* On their way; then the timeout, and the window shuts. */
        simnet_run_for(net, 250 * NS_PER_MS);
        ack.window = 0;
        ack.seq = APP_ISN + 1;
        ack.ack = open.seq + 12;
        put_tcp(net, &ack);
        simnet_run_for(net, (uint64_t)(i + 3) * 100 * NS_PER_MS); /* a probe at 200 ms */
        ack.ack = open.seq + 11 + late;
        ack.window = i & 1 ? 0 : 3000;
        put_tcp(net, &ack);
        simnet_run_for(net, 1000 * NS_PER_S);
        assert_int_equal(end->end_ns, 0);
        assert_true(simnet_next_ns(net) == TIMER_NEVER);
        simnet_end(net);
    }
}

/* Whatever the other side says of itself, segments have room for options and bytes. */
static void tiny_mss_and_window_in_a_handshake_do_no_harm(void **state)
{
    static const uint16_t mss[] = {1, 11, 12, 13, 48, 1460},
                          windows[] = {0, 1, 2, 23, 24, 25, 1000};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(mss) * ARRAY_SIZE(windows); i++) {
        struct simnet *net = begin_v4();
        struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, app_v4, APP_PORT);
        struct craft_tcp syn = take_tcp(net), last = {0};
        struct craft_tcp answer =
            segment("198.18.0.2", syn.src_port, CRAFT_SYN | CRAFT_ACK, APP_ISN, syn.seq + 1);
        answer.mss = mss[i % ARRAY_SIZE(mss)];
        answer.window = windows[i / ARRAY_SIZE(mss)];
        answer.timestamps = true;
        answer.ts_ecr = syn.ts_val;
        end->to_send = 3000;
        put_tcp(net, &answer);
        assert_true(end_is_open(end));
        simnet_run_for(net, NS_PER_S);
        struct simnet_frame frame;
        while (simnet_take(net, &frame)) {
            assert_true(craft_see_tcp(frame.data, &frame.packet, &last));
            assert_true(last.payload_len <= 1460);
        }
        simnet_end(net);
    }
}

/* RFC 5961, 10: or two sides that disagree would talk about it without end. */
static void acknowledgements_that_do_not_belong_are_answered_twice_a_second(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, "198.18.0.5", &open);
    struct craft_tcp strange[2];

    (void)state;
    strange[0] = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 0x40000000u, open.seq + 1);
    strange[1] = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1000); /* not sent */
    for (int kind = 0; kind < 2; kind++) {
        int answers = 0;
        simnet_run_for(net, 10 * NS_PER_S);
        for (int i = 0; i < 1000; i++) { /* for 10 s */
            put_tcp(net, &strange[kind]);
            struct simnet_frame frame;
            struct craft_tcp answer = {0};
            while (simnet_take(net, &frame)) {
                assert_true(craft_see_tcp(frame.data, &frame.packet, &answer));
                assert_int_equal(answer.seq, open.seq + 1);
                assert_int_equal(answer.ack, APP_ISN + 1);
                answers++;
            }
            simnet_run_for(net, 10 * NS_PER_MS);
        }
        assert_in_range(answers, 19, 21);
    }
    assert_int_equal(end->end_ns, 0);
    simnet_end(net);
}

/* Bytes behind a gap that reach over the window's edge, then the gap is filled. */
static void bytes_over_the_window_do_no_harm(void **state)
{
    static uint8_t zeros[6000];
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, "198.18.0.5", &open);
    uint32_t window = 44 * 1460; /* no scale was offered */

    (void)state;
    end->read_most = SIZE_MAX;
    struct craft_tcp data = segment("198.18.0.5", 80, CRAFT_ACK, 0, open.seq + 1);
    data.payload = zeros;
    data.payload_len = sizeof(zeros);
    for (uint32_t over = 0; over <= sizeof(zeros); over += 100) {
        data.seq = APP_ISN + 1 + window - (uint32_t)sizeof(zeros) + over;
        data.flags = over % 200 ? CRAFT_ACK : CRAFT_ACK | CRAFT_FIN;
        put_tcp(net, &data);
    }
    data.flags = CRAFT_ACK;
    for (uint32_t at = 0; at < window + sizeof(zeros); at += (uint32_t)sizeof(zeros)) {
        data.seq = APP_ISN + 1 + at;
        put_tcp(net, &data);
    }
    struct peer_flow_info info;
    flow_info(&end->flow, &info);
    assert_int_equal(info.unread, window);
    simnet_end(net);
}

/* Every other byte, one a segment: each would hold a buffer for as long as the first is missing. */
static void bytes_behind_a_gap_are_bounded(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, "198.18.0.5", &open);
    struct craft_tcp data = segment("198.18.0.5", 80, CRAFT_ACK, 0, open.seq + 1);

    (void)state;
    data.payload = "x";
    data.payload_len = 1;
    for (uint32_t i = 0; i < 6000; i++) {
        data.seq = APP_ISN + 2 + 2 * i;
        put_tcp(net, &data);
    }
    assert_in_range(stack_pool_used(), 2000, 4200);
    assert_int_equal(end->received, 0);
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

/* Both sides call (RFC 9293, 3.5). The other one may have our SYN first, or its SYN-ACK lost. */
static void calls_that_cross_make_one_connection(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct simnet *net = begin_v4();
        struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.5", 4000, app_v4, APP_PORT);
        struct craft_tcp syn = take_tcp(net);
        struct craft_tcp say = segment("198.18.0.5", 4000, CRAFT_SYN, APP_ISN, 0);

        say.mss = 1400;
        say.scale = 5 + 1;
        say.sack_ok = say.timestamps = true;
        say.ts_val = 5;
        put_tcp(net, &say);
        struct craft_tcp answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK);
        assert_int_equal(answer.seq, syn.seq);
        assert_int_equal(answer.ack, APP_ISN + 1);
        assert_int_equal(answer.ts_ecr, 5);
        assert_false(end_is_open(end));
        if (way == 1) { /* its SYN again: so is our answer */
            put_tcp(net, &say);
            assert_int_equal(take_tcp(net).flags, CRAFT_SYN | CRAFT_ACK);
        }
        say.mss = 0;
        say.scale = 0;
        say.sack_ok = false;
        say.ts_ecr = answer.ts_val;
        say.ack = answer.seq + 1;
        say.flags = way == 2 ? CRAFT_ACK : CRAFT_SYN | CRAFT_ACK;
        say.seq = way == 2 ? APP_ISN + 1 : APP_ISN;
        put_tcp(net, &say);
        assert_true(end_is_open(end));
        assert_true(end->events & FLOW_CONNECTED);
        simnet_forget(net);
        end->to_send = 1000;
        end_pump(end);
        struct craft_tcp data = take_tcp(net);
        assert_int_equal(data.payload_len, 1000);
        assert_int_equal(data.seq, syn.seq + 1);
        assert_int_equal(data.ack, APP_ISN + 1);
        simnet_end(net);
    }
}

/* What fits into a small window leaves; the end comes after the last byte, not after these. */
static void a_small_window_does_not_bring_the_end_forward(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, "198.18.0.5", &open);
    struct craft_tcp say = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 1, open.seq + 11);
    struct simnet_frame frame;
    struct craft_tcp data = {0};
    uint32_t sent = 0;

    (void)state;
    (void)shut_window(net, end, &open);
    simnet_forget(net);
    end->to_send += 2920;
    end->shut_when_sent = true;
    end_pump(end);
    say.window = 300;
    while (!(data.flags & CRAFT_FIN)) {
        uint32_t edge = say.ack + say.window;
        put_tcp(net, &say);
        while (simnet_take(net, &frame)) {
            assert_true(craft_see_tcp(frame.data, &frame.packet, &data));
            assert_int_equal(data.seq, say.ack);
            sent += (uint32_t)data.payload_len;
            say.ack += (uint32_t)data.payload_len;
        }
        assert_in_range(edge - say.ack, 0, say.window - 1); /* something came, and no more */
    }
    assert_int_equal(sent + 10, end->to_send);
    say.ack++;
    put_tcp(net, &say);
    assert_silent(net);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(syn_carries_mss_scale_sack_and_timestamps),
        TEST(syn_ack_answers_only_the_options_that_were_offered),
        TEST(syn_with_bytes_or_strange_options_is_answered),
        TEST(initial_numbers_differ_and_grow_for_the_same_tuple),
        TEST(what_is_faster_than_the_answer_to_a_call_refuses_nothing),
        TEST(syn_to_a_closed_port_is_reset),
        TEST(garbage_in_the_ack_field_of_a_syn_is_not_believed),
        TEST(stray_ack_is_reset_with_its_own_number),
        TEST(reset_is_never_answered),
        TEST(ack_to_a_listening_port_is_reset),
        TEST(broken_checksum_is_no_frame),
        TEST(reset_in_the_window_ends_and_outside_does_not),
        TEST(fin_is_acknowledged_and_ours_follows),
        TEST(shut_window_is_probed_and_opens_by_an_update),
        TEST(calls_that_cross_make_one_connection),
        TEST(answered_probes_keep_the_connection_for_ever),
        TEST(waiting_bytes_that_are_acknowledged_end_the_probing),
        TEST(tiny_mss_and_window_in_a_handshake_do_no_harm),
        TEST(acknowledgements_that_do_not_belong_are_answered_twice_a_second),
        TEST(bytes_over_the_window_do_no_harm),
        TEST(bytes_behind_a_gap_are_bounded),
        TEST(wrong_ack_of_a_syn_is_reset),
        TEST(a_small_window_does_not_bring_the_end_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
