/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection whose owner has closed it while much was left to send, and a window that shuts. */
#include "scripted.h"

enum { WINDOW = 3000, LEFT = 130000 };

/* Acknowledges all that is new; how much that was. */
static uint32_t take_data(struct simnet *net, struct craft_tcp *tcp, bool *fin)
{
    struct simnet_frame frame;
    struct craft_tcp seen = {0};
    uint32_t before = tcp->ack;

    while (simnet_take(net, &frame)) {
        assert_true(craft_see_tcp(frame.data, &frame.packet, &seen));
        assert_int_equal(seen.flags & CRAFT_RST, 0);
        if (seen.seq == tcp->ack)
            tcp->ack += seen.payload_len;
        *fin = *fin || (seen.flags & CRAFT_FIN && seen.seq + seen.payload_len == tcp->ack);
    }
    return tcp->ack - before;
}

/* The peer has LEFT bytes to send and is closed; behind the first window it may send WINDOW bytes
   in 4 s. `eof`: the other side had closed first. Until its FIN has come; returns how long that
   took. */
static uint64_t drain(struct simnet *net, struct craft_tcp *tcp, bool eof)
{
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, "198.18.0.5", &open);
    uint64_t start_ns = simnet_now_ns(net);
    bool fin = false;
    uint32_t taken = 0;

    *tcp = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1);
    tcp->window = WINDOW;
    put_tcp(net, tcp);
    end->to_send = LEFT;
    end_pump(end);
    if (eof) {
        tcp->flags = CRAFT_ACK | CRAFT_FIN;
        put_tcp(net, tcp);
        tcp->flags = CRAFT_ACK;
        tcp->seq++;
    }
    flow_close(&end->flow);
    while (!fin) {
        taken += take_data(net, tcp, &fin);
        simnet_run_for(net, 4 * NS_PER_S);
        if (!fin)
            put_tcp(net, tcp);
        assert_true(simnet_now_ns(net) - start_ns < 600 * NS_PER_S);
    }
    assert_int_equal(taken, LEFT);
    simnet_forget(net);
    return simnet_now_ns(net) - start_ns;
}

static void what_is_left_after_a_close_may_take_its_time(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp tcp = {0};

    (void)state;
    assert_true(drain(net, &tcp, true) > 70 * NS_PER_S); /* LAST-ACK ends after 60 s without life */
    tcp.ack++;
    put_tcp(net, &tcp);
    assert_int_equal(simnet_counts(net).closed, 1);
    put_tcp(net, &tcp); /* nobody is there any more */
    assert_int_equal(take_tcp(net).flags, CRAFT_RST);
    simnet_end(net);
}

static void the_other_fin_is_waited_for_from_our_own_on(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp tcp = {0};

    (void)state;
    assert_true(drain(net, &tcp, false) > 70 * NS_PER_S);
    tcp.ack++;
    put_tcp(net, &tcp);
    simnet_run_for(net, 15 * NS_PER_S);
    assert_silent(net);
    tcp.flags = CRAFT_ACK | CRAFT_FIN;
    put_tcp(net, &tcp);
    struct craft_tcp last = take_tcp(net);
    assert_int_equal(last.flags, CRAFT_ACK);
    assert_int_equal(last.ack, tcp.seq + 1);
    assert_int_equal(simnet_counts(net).closed, 1);
    simnet_end(net);
}

static void nobody_at_all_is_waited_for_a_minute(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp tcp = {0};

    (void)state;
    (void)drain(net, &tcp, true);
    simnet_run_for(net, 70 * NS_PER_S);
    assert_int_equal(simnet_counts(net).ended, 1);
    simnet_end(net);
}

/* As Linux since 6.5. A window that is only smaller may come of a segment that was overtaken. */
static void a_window_that_shuts_counts_with_nothing_else_new(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, "198.18.0.5", &open);
    struct craft_tcp tcp = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1);

    (void)state;
    tcp.window = 50;
    put_tcp(net, &tcp);
    end->to_send = 100;
    end_pump(end);
    assert_int_equal(take_tcp(net).payload_len, 100);
    tcp.ack += 100;
    tcp.window = 5000;
    put_tcp(net, &tcp);

    tcp.window = 0;
    put_tcp(net, &tcp);
    end->to_send += 100;
    end_pump(end);
    assert_silent(net);
    simnet_run_for(net, 230 * NS_PER_MS);
    struct craft_tcp probe = take_tcp(net);
    assert_int_equal(probe.payload_len, 0);
    assert_int_equal(probe.seq, tcp.ack - 1);
    tcp.window = 5000;
    put_tcp(net, &tcp);
    assert_int_equal(take_tcp(net).payload_len, 100);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_left_after_a_close_may_take_its_time),
        TEST(the_other_fin_is_waited_for_from_our_own_on),
        TEST(nobody_at_all_is_waited_for_a_minute),
        TEST(a_window_that_shuts_counts_with_nothing_else_new),
    };
    return cmocka_run_group_tests_name("closing", tests, NULL, NULL);
}
