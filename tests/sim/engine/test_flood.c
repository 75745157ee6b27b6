/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that are never finished, more than anybody can remember, and honest ones among them. */
#include "scripted.h"

enum { FLOOD = 10000, HALF_OPEN_MOST = 1024, STRANGERS_IN_A_MS = 20 };

static struct craft_tcp call_from(bool v6, uint32_t source, uint16_t port)
{
    struct craft_tcp syn =
        segment(v6 ? "2001:2::4" : "198.18.0.4", 80, CRAFT_SYN, APP_ISN + source, 0);

    craft_put16(syn.src.bytes + (v6 ? 12 : 1), source >> 8);
    syn.src.bytes[v6 ? 14 : 3] = (uint8_t)source;
    syn.src_port = port;
    syn.mss = 1460;
    syn.sack_ok = syn.timestamps = true;
    syn.scale = 8;
    syn.ts_val = 4242;
    return syn;
}

static uint64_t conns(struct simnet *net)
{
    struct stack_stats stats;

    stack_get_stats(simnet_stack(net), &stats);
    return stats.conns;
}

/* As fast as strangers are heard. */
static void flood(struct simnet *net, bool v6, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i % STRANGERS_IN_A_MS == 0)
            simnet_run_for(net, NS_PER_MS);
        struct craft_tcp syn = call_from(v6, i, 1000);
        put_tcp(net, &syn);
        struct craft_tcp answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK);
        assert_int_equal(answer.ack, syn.seq + 1);
        assert_silent(net);
    }
}

/* An honest call, whose answer is `*ret`; the acknowledgement that is due then. */
static struct craft_tcp call(struct simnet *net, struct craft_tcp *syn, struct craft_tcp *ret)
{
    put_tcp(net, syn);
    *ret = take_tcp(net);
    struct craft_tcp ack = *syn;
    ack.flags = CRAFT_ACK;
    ack.seq++;
    ack.ack = ret->seq + 1;
    ack.mss = 0;
    ack.sack_ok = false;
    ack.scale = 0;
    ack.ts_val++;
    ack.ts_ecr = ret->ts_val;
    ack.timestamps = ret->timestamps;
    return ack;
}

static void a_flood_is_answered_and_not_remembered(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
        struct stack_listener *listener = simnet_listen(net, IPPROTO_TCP, 80, NULL);
        uint64_t before = stack_pool_used();
        flood(net, v6, FLOOD);
        assert_int_equal(conns(net), HALF_OPEN_MOST);
        assert_int_equal(stack_listener_cookies(listener), FLOOD - HALF_OPEN_MOST);
        assert_true(stack_pool_used() - before <= 4 * HALF_OPEN_MOST);
        simnet_run_for(net, 64 * NS_PER_S); /* as long as a call is half-open */
        assert_int_equal(conns(net), 0);
        assert_int_equal(stack_pool_used(), before);
        simnet_end(net);
    }
}

static void an_honest_caller_gets_through_with_all_options(void **state)
{
    static const char hello[] = "hello";

    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct simnet *net = v6 ? begin("2001:2::2-2001:2::9", FRAME_IP) : begin_v4();
        struct end like = {.echo = true};
        simnet_listen(net, IPPROTO_TCP, 80, &like);
        flood(net, v6, HALF_OPEN_MOST + 5);
        struct craft_tcp syn = call_from(v6, 0x40000, 777), answer;
        struct craft_tcp ack = call(net, &syn, &answer);
        assert_int_equal(answer.mss, v6 ? 1440 : 1460);
        assert_true(answer.sack_ok && answer.timestamps);
        assert_int_equal(answer.scale, 7 + 1);
        assert_int_equal(answer.ts_ecr, 4242);
        assert_int_equal(conns(net), HALF_OPEN_MOST);

        put_tcp(net, &ack);
        assert_silent(net);
        struct end *end = simnet_accepted(net);
        assert_non_null(end);
        assert_true(end_is_open(end));
        struct peer_flow_info info = {0};
        stack_conn_info(simnet_stack(net), &end->flow.conn, &info);
        assert_true(info.sack && info.timestamps);
        assert_int_equal(info.send_scale, 7);
        assert_int_equal(info.mss, (v6 ? 1440 : 1460) - 12);

        ack.payload = hello;
        ack.payload_len = 5;
        ack.flags = CRAFT_ACK | CRAFT_PSH;
        put_tcp(net, &ack);
        assert_int_equal(take_tcp(net).payload_len, 0); /* the first question: at once */
        struct craft_tcp back = take_tcp(net);
        assert_int_equal(back.seq, answer.seq + 1);
        assert_int_equal(back.ack, ack.seq + 5);
        assert_int_equal(back.payload_len, 5);
        assert_true((int32_t)(back.ts_val - answer.ts_val) >= 0);
        simnet_end(net);
    }
}

/* What cannot be told by a timestamp is not promised. */
static void a_caller_without_timestamps_gets_neither_scale_nor_sack(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = call_from(false, 0x40000, 777), answer;

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    flood(net, false, HALF_OPEN_MOST);
    syn.timestamps = false;
    struct craft_tcp ack = call(net, &syn, &answer);
    assert_int_equal(answer.mss, 1460);
    assert_false(answer.sack_ok || answer.timestamps || answer.scale);
    put_tcp(net, &ack);
    assert_true(end_is_open(simnet_accepted(net)));
    simnet_end(net);
}

/* The first bytes, when the acknowledgement before them was lost. */
static void data_open_a_forgotten_call_too(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = call_from(false, 0x40000, 777), answer;
    struct end like = {.read_most = SIZE_MAX};

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    flood(net, false, HALF_OPEN_MOST);
    struct craft_tcp ack = call(net, &syn, &answer);
    ack.payload = "hello";
    ack.payload_len = 5;
    put_tcp(net, &ack);
    assert_true(end_is_open(simnet_accepted(net)));
    assert_int_equal(simnet_accepted(net)->flow.conn.rx_bytes, 5);
    simnet_end(net);
}

static void what_was_never_sent_is_not_believed(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = call_from(false, 0x40000, 777), answer;

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    flood(net, false, HALF_OPEN_MOST);
    struct craft_tcp ack = call(net, &syn, &answer);
    for (int bit = 0; bit < 32; bit++) {
        struct craft_tcp wrong = ack;
        wrong.ack = (ack.ack - 1) ^ 1u << bit;
        wrong.ack++;
        put_tcp(net, &wrong);
        assert_int_equal(take_tcp(net).flags, CRAFT_RST);
    }
    struct craft_tcp other = ack;
    other.seq++;
    put_tcp(net, &other);
    assert_int_equal(take_tcp(net).flags, CRAFT_RST);
    other = ack;
    other.src_port++;
    put_tcp(net, &other);
    assert_int_equal(take_tcp(net).flags, CRAFT_RST);

    simnet_run_for(net, 200 * NS_PER_S);
    simnet_forget(net);
    put_tcp(net, &ack); /* too late */
    assert_int_equal(take_tcp(net).flags, CRAFT_RST);
    assert_int_equal(conns(net), 0);
    simnet_end(net);
}

/* A flood from an address that is there: its kernel resets each answer. */
static void callers_that_desert_are_forgotten_at_once(void **state)
{
    struct simnet *net = begin_v4();
    struct stack_listener *listener = simnet_listen(net, IPPROTO_TCP, 80, NULL);

    (void)state;
    for (uint16_t port = 1000; port < 3000; port++) {
        struct craft_tcp syn = call_from(false, 1, port);
        if (port % STRANGERS_IN_A_MS == 0)
            simnet_run_for(net, NS_PER_MS);
        put_tcp(net, &syn);
        struct craft_tcp answer = take_tcp(net);
        struct craft_tcp reset = syn;
        reset.flags = CRAFT_RST;
        reset.seq = answer.ack;
        reset.mss = 0;
        reset.sack_ok = reset.timestamps = false;
        reset.scale = 0;
        put_tcp(net, &reset);
        assert_silent(net);
        assert_int_equal(conns(net), 0);
    }
    assert_int_equal(stack_listener_cookies(listener), 2000 - 256);
    simnet_run_for(net, 3 * NS_PER_S);
    struct craft_tcp syn = call_from(false, 2, 5000), answer;
    struct craft_tcp ack = call(net, &syn, &answer);
    assert_int_equal(conns(net), 1); /* as usual */
    put_tcp(net, &ack);
    assert_true(end_is_open(simnet_accepted(net)));
    simnet_end(net);
}

/* Sends `count` calls of strangers at one moment, and returns how many of them are answered. */
static uint32_t crowd(struct simnet *net, uint32_t first, uint32_t count)
{
    struct simnet_frame frame;
    uint32_t answered = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct craft_tcp syn = call_from(false, first + i, 1000);
        put_tcp(net, &syn);
        answered += simnet_take(net, &frame);
    }
    return answered;
}

static void who_was_there_before_is_heard_in_a_crowd(void **state)
{
    struct simnet *net = begin_v4();
    struct end like = {.echo = true};
    struct stack_listener *listener = simnet_listen(net, IPPROTO_TCP, 80, &like);
    struct craft_tcp answer, syn = call_from(false, 0x40000, 700), ack = call(net, &syn, &answer);

    (void)state;
    put_tcp(net, &ack); /* in quiet times */
    assert_non_null(simnet_accepted(net));
    flood(net, false, HALF_OPEN_MOST);
    simnet_run_for(net, NS_PER_MS);
    assert_int_equal(crowd(net, 0x10000, 500), STRANGERS_IN_A_MS);
    assert_int_equal(stack_listener_unheard(listener), 500 - STRANGERS_IN_A_MS);
    for (uint16_t port = 701; port < 801; port++) {
        syn = call_from(false, 0x40000, port);
        put_tcp(net, &syn);
        answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK);
    }
    simnet_run_for(net, NS_PER_MS);
    assert_int_equal(crowd(net, 0x20000, 500), STRANGERS_IN_A_MS);
    simnet_end(net);
}

/* As a flood is that comes from where somebody honest is. */
static void a_call_without_options_is_a_stranger_s(void **state)
{
    struct simnet *net = begin_v4();
    struct end like = {.echo = true};
    struct craft_tcp answer, syn = call_from(false, 0x40000, 700);

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    struct craft_tcp ack = call(net, &syn, &answer);
    put_tcp(net, &ack);
    assert_non_null(simnet_accepted(net));
    flood(net, false, HALF_OPEN_MOST);
    simnet_run_for(net, NS_PER_MS);
    uint32_t answered = 0;
    for (uint16_t port = 1000; port < 1500; port++) {
        struct craft_tcp bare = call_from(false, 0x40000, port);
        struct simnet_frame frame;
        bare.mss = 0;
        bare.sack_ok = bare.timestamps = false;
        bare.scale = 0;
        put_tcp(net, &bare);
        answered += simnet_take(net, &frame);
    }
    assert_int_equal(answered, STRANGERS_IN_A_MS);
    syn = call_from(false, 0x40000, 701); /* and he is heard */
    put_tcp(net, &syn);
    answer = take_tcp(net);
    assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK);
    simnet_end(net);
}

static void a_stranger_who_got_through_is_one_no_more(void **state)
{
    struct simnet *net = begin_v4();
    struct end like = {.echo = true};
    struct craft_tcp answer, syn, ack;

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    flood(net, false, HALF_OPEN_MOST);
    simnet_run_for(net, NS_PER_MS);
    syn = call_from(false, 0x40000, 700);
    ack = call(net, &syn, &answer); /* by a cookie */
    put_tcp(net, &ack);
    assert_non_null(simnet_accepted(net));
    (void)crowd(net, 0x10000, 500);
    syn = call_from(false, 0x40000, 701);
    put_tcp(net, &syn);
    answer = take_tcp(net);
    assert_int_equal(answer.ack, syn.seq + 1);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flood_is_answered_and_not_remembered),
        TEST(an_honest_caller_gets_through_with_all_options),
        TEST(a_caller_without_timestamps_gets_neither_scale_nor_sack),
        TEST(data_open_a_forgotten_call_too),
        TEST(what_was_never_sent_is_not_believed),
        TEST(callers_that_desert_are_forgotten_at_once),
        TEST(who_was_there_before_is_heard_in_a_crowd),
        TEST(a_call_without_options_is_a_stranger_s),
        TEST(a_stranger_who_got_through_is_one_no_more),
    };
    return cmocka_run_group_tests_name("flood", tests, NULL, NULL);
}
