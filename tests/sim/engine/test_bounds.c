/* SPDX-License-Identifier: BSD-3-Clause */
/* What others can make a peer keep and say has bounds, and what they cost is counted. */
#include "scripted.h"

enum { HALF_OPEN_LISTENER = 1024, HALF_OPEN_ALL = 4096, STRANGERS_IN_A_MS = 20 };

static struct stack_stats stats_of(struct simnet *net)
{
    struct stack_stats stats;

    stack_get_stats(simnet_stack(net), &stats);
    return stats;
}

static struct craft_tcp call_to(uint16_t port, uint32_t caller)
{
    struct craft_tcp syn = segment("198.18.0.4", port, CRAFT_SYN, APP_ISN + caller, 0);

    craft_put16(syn.src.bytes + 1, caller >> 8);
    syn.src.bytes[3] = (uint8_t)caller;
    syn.mss = 1460;
    return syn;
}

/* As fast as strangers are heard; each call has an answer. */
static void call_often(struct simnet *net, uint16_t port, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct craft_tcp syn = call_to(port, i);
        if (i % STRANGERS_IN_A_MS == 0)
            simnet_run_for(net, NS_PER_MS);
        put_tcp(net, &syn);
        assert_int_equal(take_tcp(net).flags, CRAFT_SYN | CRAFT_ACK);
    }
}

static void what_one_listener_bears_is_not_another_s(void **state)
{
    struct simnet *net = begin_v4();
    struct stack_listener *first = simnet_listen(net, IPPROTO_TCP, 80, NULL);
    struct stack_listener *second = simnet_listen(net, IPPROTO_TCP, 81, NULL);

    (void)state;
    call_often(net, 80, HALF_OPEN_LISTENER + 10);
    assert_int_equal(stack_listener_cookies(first), 10);
    call_often(net, 81, 10);
    assert_int_equal(stack_listener_cookies(second), 0);
    assert_int_equal(stats_of(net).conns, HALF_OPEN_LISTENER + 10);
    simnet_run_for(net, 64 * NS_PER_S); /* as long as a call is half-open */
    assert_int_equal(stats_of(net).conns, 0);
    call_often(net, 80, HALF_OPEN_LISTENER); /* what was given up counts no more */
    assert_int_equal(stack_listener_cookies(first), 10);
    simnet_end(net);
}

static void all_listeners_together_bear_so_many(void **state)
{
    struct simnet *net = begin_v4();

    (void)state;
    for (uint16_t port = 80; port < 86; port++) {
        struct stack_listener *listener = simnet_listen(net, IPPROTO_TCP, port, NULL);
        call_often(net, port, 1000);
        assert_int_equal(stack_listener_cookies(listener),
                         port < 84 ? 0 : port == 84 ? 5000 - HALF_OPEN_ALL : 1000);
    }
    assert_int_equal(stats_of(net).conns, HALF_OPEN_ALL);
    assert_int_equal(stats_of(net).limits[STACK_LIMIT_HALF_OPEN], 6000 - HALF_OPEN_ALL);
    simnet_end(net);
}

/* A listener that is gone takes its callers with it, for the count. */
static void a_listener_that_ended_leaves_no_count(void **state)
{
    struct simnet *net = begin_v4();

    (void)state;
    for (int round = 0; round < 3; round++) {
        struct stack_listener *listener = simnet_listen(net, IPPROTO_TCP, 80, NULL);
        call_often(net, 80, 900);
        assert_int_equal(stack_listener_cookies(listener), 0);
        stack_listener_free(simnet_stack(net), listener);
        simnet_run_for(net, 64 * NS_PER_S); /* as long as a call is half-open */
    }
    simnet_end(net);
}

/* ---- segments that do not belong ---- */

/* Sends the same thing a thousand times within `ns`; how many answers there were. */
static uint32_t repeat(struct simnet *net, const struct craft_tcp *tcp, uint64_t ns)
{
    struct simnet_frame frame;
    uint32_t answers = 0;

    for (int i = 0; i < 1000; i++) {
        put_tcp(net, tcp);
        while (simnet_take(net, &frame))
            answers++;
        simnet_run_for(net, ns / 1000);
    }
    while (simnet_take(net, &frame))
        answers++;
    return answers;
}

static void what_does_not_belong_is_answered_twice_a_second(void **state)
{
    static const struct {
        const char *what;
        uint8_t flags;
        uint32_t seq, ack;
    } rows[] = {{"SYN", CRAFT_SYN, 12345, 0},
                {"SYN of its own number", CRAFT_SYN, 0, 0},
                {"SYN-ACK", CRAFT_SYN | CRAFT_ACK, 12345, 1},
                {"RST in the window", CRAFT_RST, 1000, 0},
                {"RST with ACK", CRAFT_RST | CRAFT_ACK, 20, 1},
                {"acknowledges what was not sent", CRAFT_ACK, 1, 1000000},
                {"is beyond the window", CRAFT_ACK, 5000000, 1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct simnet *net = begin_v4();
        struct craft_tcp answer;
        struct end *end = accept_one(net, "198.18.0.4", &answer);
        struct craft_tcp tcp = segment("198.18.0.4", 80, rows[i].flags, APP_ISN + rows[i].seq,
                                       rows[i].ack ? answer.seq + rows[i].ack : 0);
        print_message("%s\n", rows[i].what);
        uint32_t answers = repeat(net, &tcp, 3 * NS_PER_S);
        assert_in_range(answers, 6, 7);
        assert_int_equal(stats_of(net).limits[STACK_LIMIT_CHALLENGES], 1000 - answers);
        assert_true(end_is_open(end));
        tcp = segment("198.18.0.4", 80, CRAFT_RST, APP_ISN + 1, 0); /* who knows ends it */
        put_tcp(net, &tcp);
        assert_true(end_is_over(end));
        simnet_end(net);
    }
}

static void a_call_that_has_its_answer_draws_few_more(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp syn = call_to(80, 7);

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    assert_in_range(repeat(net, &syn, NS_PER_S), 3, 4); /* and one by the timer */
    assert_int_equal(stats_of(net).conns, 1);
    simnet_end(net);
}

/* ---- a stranger in a crowd ---- */

/* So many that a millisecond has no room for anybody else. */
static void crowd(struct simnet *net, uint32_t first)
{
    for (uint32_t i = 0; i < 60; i++) {
        struct craft_tcp syn = call_to(80, first + i);
        put_tcp(net, &syn);
    }
    simnet_forget(net);
}

static void a_stranger_who_calls_again_is_heard(void **state)
{
    struct simnet_frame frame;

    (void)state;
    for (uint32_t again_ms = 900; again_ms <= 1300; again_ms += 100) {
        struct simnet *net = begin_v4();
        struct craft_tcp honest = call_to(80, 0x400000);
        simnet_listen(net, IPPROTO_TCP, 80, NULL);
        call_often(net, 80, HALF_OPEN_LISTENER);
        simnet_run_for(net, again_ms * NS_PER_MS); /* begins somewhere in a stretch of time */
        crowd(net, 0x10000);
        put_tcp(net, &honest);
        assert_false(simnet_take(net, &frame));
        for (uint32_t ms = 1; ms <= again_ms; ms++) {
            simnet_run_for(net, NS_PER_MS);
            crowd(net, 0x10000 + 60 * ms); /* each time others */
        }
        put_tcp(net, &honest);
        struct craft_tcp answer = take_tcp(net);
        assert_int_equal(answer.flags, CRAFT_SYN | CRAFT_ACK);
        assert_int_equal(answer.ack, honest.seq + 1);
        put_tcp(net, &honest); /* once */
        assert_false(simnet_take(net, &frame));
        simnet_end(net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_one_listener_bears_is_not_another_s),
        TEST(all_listeners_together_bear_so_many),
        TEST(a_listener_that_ended_leaves_no_count),
        TEST(what_does_not_belong_is_answered_twice_a_second),
        TEST(a_call_that_has_its_answer_draws_few_more),
        TEST(a_stranger_who_calls_again_is_heard),
    };
    return cmocka_run_group_tests_name("bounds", tests, NULL, NULL);
}
