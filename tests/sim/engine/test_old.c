/* SPDX-License-Identifier: BSD-3-Clause */
/* Duplicates that the network kept for a while: timestamps tell (RFC 7323, 5), and TIME-WAIT. */
#include "scripted.h"

static const char peer[] = "198.18.0.5";

/* An accepted connection with timestamps: the application's clock says 100000. */
static struct end *accept_stamped(struct simnet *net, struct craft_tcp *ret_say)
{
    struct craft_tcp syn = segment(peer, 80, CRAFT_SYN, APP_ISN, 0);

    syn.mss = 1460;
    syn.timestamps = true;
    syn.ts_val = 100000;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &syn);
    struct craft_tcp open = take_tcp(net);
    *ret_say = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1);
    ret_say->timestamps = true;
    ret_say->ts_val = 100000;
    ret_say->ts_ecr = open.ts_val;
    put_tcp(net, ret_say);
    struct end *end = simnet_accepted(net);
    assert_non_null(end);
    assert_silent(net);
    return end;
}

static void put_bytes(struct simnet *net, struct craft_tcp *say, uint32_t ts_val)
{
    say->ts_val = ts_val;
    say->payload = "\1\2\3";
    say->payload_len = 3;
    put_tcp(net, say);
    say->payload_len = 0;
}

static void old_bytes_are_acknowledged_and_not_taken(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp say = {0};
    struct end *end = accept_stamped(net, &say);

    (void)state;
    put_bytes(net, &say, 200000);
    say.seq += 3;
    simnet_run_for(net, 100 * NS_PER_MS);
    assert_int_equal(take_tcp(net).ts_ecr, 200000);
    for (int i = 0; i < 3; i++) { /* each of them: the sender repeats what is not acknowledged */
        put_bytes(net, &say, 150000);
        struct craft_tcp answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_ACK);
        assert_int_equal(answer.ack, say.seq);
        assert_int_equal(answer.ts_ecr, 200000);
        assert_silent(net);
    }
    assert_int_equal(end->received + end->flow.conn.rx_bytes, 3);
    put_bytes(net, &say, 200000); /* the same age is not old */
    assert_int_equal(end->received + end->flow.conn.rx_bytes, 6);
    simnet_end(net);
}

/* As Linux has it: one tick is within what two processors of one machine may differ by. */
static void bytes_that_are_a_tick_older_are_taken(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp say = {0};
    struct end *end = accept_stamped(net, &say);

    (void)state;
    put_bytes(net, &say, 99999);
    say.seq += 3;
    simnet_run_for(net, 100 * NS_PER_MS);
    struct craft_tcp answer = take_tcp(net);
    assert_int_equal(answer.ack, say.seq);
    assert_int_equal(answer.ts_ecr, 100000); /* the clock is not set back */
    put_bytes(net, &say, 99998);
    assert_int_equal(take_tcp(net).ack, say.seq);
    assert_int_equal(end->received + end->flow.conn.rx_bytes, 3);
    simnet_end(net);
}

/* The clock comes round; and the border of signed numbers is none. */
static void later_is_later_across_the_clocks_end(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp say = {0};
    struct end *end = accept_stamped(net, &say);
    static const uint32_t clock[] = {0x7ffffff0, 0x80000010, 0xfffffff0, 0x10, 0x20};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(clock); i++) {
        put_bytes(net, &say, clock[i]);
        say.seq += 3;
        simnet_run_for(net, 100 * NS_PER_MS);
        assert_int_equal(end->received + end->flow.conn.rx_bytes, 3 * (i + 1));
    }
    simnet_end(net);
}

static void a_reset_has_no_age(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp say = {0};
    struct end *end = accept_stamped(net, &say);

    (void)state;
    say.flags = CRAFT_RST | CRAFT_ACK;
    say.ts_val = 50000;
    put_tcp(net, &say);
    assert_int_equal(end->how, PEER_END_RESET);
    simnet_end(net);
}

static void after_24_days_of_silence_any_clock_is_right(void **state)
{
    (void)state;
    for (int days = 23; days <= 25; days += 2) {
        struct simnet *net = begin_v4();
        struct craft_tcp say = {0};
        struct end *end = accept_stamped(net, &say);

        simnet_run_for(net, (uint64_t)days * 86400 * NS_PER_S);
        put_bytes(net, &say, 99000);
        assert_int_equal(end->received + end->flow.conn.rx_bytes, days > 24 ? 3 : 0);
        simnet_end(net);
    }
}

/* An acknowledgement that was overtaken draws no answer, and does not set the clock back. */
static void an_overtaken_acknowledgement_is_no_offence(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp say = {0};

    (void)state;
    (void)accept_stamped(net, &say);
    put_bytes(net, &say, 100100);
    say.seq += 3;
    simnet_run_for(net, 100 * NS_PER_MS);
    (void)take_tcp(net);
    say.ts_val = 100050;
    put_tcp(net, &say);
    assert_silent(net);
    put_bytes(net, &say, 100060);
    assert_int_equal(take_tcp(net).ts_ecr, 100100);
    assert_silent(net);
    simnet_end(net);
}

static void all_segments_carry_timestamps_even_probes(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp say = {0};
    struct end *end = accept_stamped(net, &say);

    (void)state;
    say.window = 0;
    say.ts_val++;
    say.seq++;
    put_tcp(net, &say);
    simnet_forget(net);
    end->to_send = 100;
    end_pump(end);
    for (int i = 0; i < 8; i++) {
        while (simnet_run_for(net, 100 * NS_PER_MS), simnet_frames(net) == 0)
            ;
        struct simnet_frame frame;
        struct craft_tcp probe = {0};
        while (simnet_take(net, &frame)) {
            assert_true(craft_see_tcp(frame.data, &frame.packet, &probe));
            assert_true(probe.timestamps);
            assert_int_equal(probe.payload_len, 0);
        }
    }
    simnet_end(net);
}

/* ---- TIME-WAIT ---- */

/* The peer closes first. `say` is what the application would send next. */
static void into_time_wait(struct simnet *net, struct craft_tcp *say)
{
    struct end *end = accept_stamped(net, say);

    flow_close(&end->flow);
    struct craft_tcp fin = take_tcp(net);
    assert_int_equal(fin.flags, CRAFT_FIN | CRAFT_ACK);
    say->flags = CRAFT_FIN | CRAFT_ACK;
    say->ack = fin.seq + 1;
    put_tcp(net, say);
    assert_int_equal(take_tcp(net).ack, say->seq + 1);
    assert_int_equal(end->how, PEER_END_CLOSED);
}

static void the_last_acknowledgement_is_repeated(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp say = {0};

    (void)state;
    into_time_wait(net, &say);
    for (int i = 0; i < 5; i++) {
        simnet_run_for(net, 10 * NS_PER_S);
        put_tcp(net, &say);
        struct craft_tcp answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_ACK);
        assert_int_equal(answer.ack, say.seq + 1);
        assert_silent(net);
    }
    simnet_end(net);
}

static void a_syn_in_time_wait_is_new_by_number_or_clock(void **state)
{
    static const struct {
        uint32_t seq_ahead, clock_ahead;
        uint8_t flags;
    } cases[] = {
        {1000, 0, CRAFT_SYN | CRAFT_ACK},
        {UINT32_C(0xfffffc00), 10, CRAFT_SYN | CRAFT_ACK},
        {UINT32_C(0xfffffc00), 0, CRAFT_ACK},
        {UINT32_C(0xfffffc00), UINT32_C(0xffffff00), CRAFT_ACK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct simnet *net = begin_v4();
        struct craft_tcp say = {0};

        into_time_wait(net, &say);
        struct craft_tcp syn = say;
        syn.flags = CRAFT_SYN;
        syn.seq += cases[i].seq_ahead;
        syn.ts_val += cases[i].clock_ahead;
        put_tcp(net, &syn);
        assert_int_equal(take_tcp(net).flags, cases[i].flags);
        simnet_end(net);
    }
}

/* Who forgot the connection answers our acknowledgement by a reset, and may then begin anew. */
static void a_reset_ends_time_wait(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp say = {0};

    (void)state;
    into_time_wait(net, &say);
    struct craft_tcp syn = say;
    syn.flags = CRAFT_SYN;
    syn.seq -= 100000;
    put_tcp(net, &syn);
    struct craft_tcp answer = take_tcp(net);
    struct craft_tcp reset = segment(peer, 80, CRAFT_RST, answer.ack, 0);
    put_tcp(net, &reset);
    assert_silent(net);
    put_tcp(net, &syn);
    assert_int_equal(take_tcp(net).flags, CRAFT_SYN | CRAFT_ACK);
    simnet_end(net);
}

/* RFC 9293, 3.10.7.4 and RFC 5961, 5: whoever sent it does not know the connection. */
static void bytes_with_a_senseless_acknowledgement_are_not_taken(void **state)
{
    static const uint8_t flags[] = {CRAFT_ACK, CRAFT_PSH | CRAFT_ACK, CRAFT_FIN | CRAFT_ACK};
    const int64_t beside[] = {1, 100, INT32_MAX, -60001, -INT32_MAX};
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, peer, &open);
    struct craft_tcp say = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1);

    (void)state;
    say.payload = "bytes";
    say.payload_len = 5;
    for (size_t i = 0; i < ARRAY_SIZE(beside) * ARRAY_SIZE(flags); i++) {
        say.flags = flags[i % ARRAY_SIZE(flags)];
        say.ack = open.seq + 1 + (uint32_t)beside[i / ARRAY_SIZE(flags)];
        put_tcp(net, &say);
        struct craft_tcp answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_ACK);
        assert_int_equal(answer.ack, APP_ISN + 1);
        put_tcp(net, &say); /* and so on: told once in a while */
        assert_silent(net);
        simnet_run_for(net, NS_PER_S);
    }
    assert_int_equal(end->received + end->flow.conn.rx_bytes, 0);
    assert_false(end->events & FLOW_EOF);
    say.flags = CRAFT_ACK;
    say.ack = open.seq + 1 - 60000; /* within the largest window */
    put_tcp(net, &say);
    assert_int_equal(end->received + end->flow.conn.rx_bytes, 5);
    simnet_end(net);
}

static void bytes_without_an_acknowledgement_are_not_taken(void **state)
{
    static const uint8_t flags[] = {0, CRAFT_PSH, CRAFT_FIN, CRAFT_FIN | CRAFT_PSH};
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, peer, &open);
    struct craft_tcp say = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, 0);

    (void)state;
    say.payload = "bytes";
    say.payload_len = 5;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        say.flags = flags[i];
        put_tcp(net, &say);
        assert_silent(net);
        simnet_run_for(net, NS_PER_S);
    }
    assert_silent(net);
    assert_int_equal(end->received + end->flow.conn.rx_bytes, 0);
    assert_false(end->events & FLOW_EOF);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(old_bytes_are_acknowledged_and_not_taken),
        TEST(bytes_that_are_a_tick_older_are_taken),
        TEST(later_is_later_across_the_clocks_end),
        TEST(a_reset_has_no_age),
        TEST(after_24_days_of_silence_any_clock_is_right),
        TEST(an_overtaken_acknowledgement_is_no_offence),
        TEST(all_segments_carry_timestamps_even_probes),
        TEST(the_last_acknowledgement_is_repeated),
        TEST(a_syn_in_time_wait_is_new_by_number_or_clock),
        TEST(a_reset_ends_time_wait),
        TEST(bytes_with_a_senseless_acknowledgement_are_not_taken),
        TEST(bytes_without_an_acknowledgement_are_not_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
