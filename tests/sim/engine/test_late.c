/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way becomes longer all at once: what was sent is late, not lost. One way took 0.3 ms, then
 * 200 ms, which is more than an RTO.
 */
#include "scripted.h"

#include <peer/flow.h>

static const uint64_t long_way_ns = 200 * NS_PER_MS;

/* The application answers each segment with bytes by an acknowledgement, a round trip later. */
struct far_end {
    struct simnet *net;
    struct end *end;
    struct craft_tcp say;
    uint64_t answer_ns[64]; /* when an answer arrives, */
    uint32_t answer_ack[64], answer_echo[64];
    unsigned put, taken;
    unsigned segments; /* that came, */
    uint32_t heard;    /* and the number of the next byte that was not sent before */
};

static void open_like(struct far_end *far, struct simnet *net, bool timestamps, bool sack)
{
    static const char peer[] = "198.18.0.5";
    struct craft_tcp syn = segment(peer, 80, CRAFT_SYN, APP_ISN, 0);

    memset(far, 0, sizeof(*far));
    far->net = net;
    syn.mss = 1460;
    syn.sack_ok = sack;
    syn.timestamps = timestamps;
    syn.ts_val = 1000;
    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    put_tcp(net, &syn);
    struct craft_tcp open = take_tcp(net);
    simnet_run_for(net, 600 * NS_PER_US);
    far->say = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1);
    far->say.timestamps = timestamps;
    far->say.ts_val = 1001;
    far->say.ts_ecr = open.ts_val;
    put_tcp(net, &far->say);
    far->end = simnet_accepted(net);
    far->heard = open.seq + 1;
    assert_non_null(far->end);
}

static void open_connection(struct far_end *far, struct simnet *net, bool timestamps)
{
    open_like(far, net, timestamps, timestamps); /* without either, all is lwIP's */
}

static void listen_to(struct far_end *far)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};

    while (simnet_take(far->net, &frame)) {
        assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
        if (!tcp.payload_len)
            continue;
        bool news = tcp.seq == far->heard;
        unsigned at = far->put++ % ARRAY_SIZE(far->answer_ns);
        far->segments++;
        if (news)
            far->heard = tcp.seq + tcp.payload_len;
        far->answer_ns[at] = simnet_now_ns(far->net) + 2 * long_way_ns;
        far->answer_ack[at] = far->heard;
        far->answer_echo[at] = tcp.ts_val;
    }
}

static void run(struct far_end *far, uint64_t ns)
{
    uint64_t end_ns = simnet_now_ns(far->net) + ns;

    while (simnet_now_ns(far->net) < end_ns) {
        simnet_run_for(far->net, NS_PER_MS);
        listen_to(far);
        unsigned at = far->taken % ARRAY_SIZE(far->answer_ns);
        if (far->taken == far->put || far->answer_ns[at] > simnet_now_ns(far->net))
            continue;
        far->taken++;
        far->say.ack = far->answer_ack[at];
        far->say.ts_ecr = far->answer_echo[at];
        far->say.ts_val++;
        put_tcp(far->net, &far->say);
        listen_to(far);
    }
}

static struct peer_flow_info info_of(const struct far_end *far)
{
    struct peer_flow_info info;

    flow_info(&far->end->flow, &info);
    return info;
}

static void say_something(struct far_end *far, uint64_t bytes)
{
    far->end->to_send += bytes;
    end_pump(far->end);
    listen_to(far);
}

static void one_timeout_teaches_the_round_trip(void **state)
{
    struct simnet *net = begin_v4();
    struct far_end far;

    (void)state;
    open_connection(&far, net, true);
    for (int i = 0; i < 20; i++) {
        say_something(&far, 3);
        run(&far, NS_PER_S);
    }
    assert_in_range(info_of(&far).retransmits, 1, 2);
    assert_int_equal(far.segments, 20 + info_of(&far).retransmits);
    assert_in_range(info_of(&far).rtt_ns, 390 * NS_PER_MS, 410 * NS_PER_MS);
    assert_true(info_of(&far).rto_ns > 400 * NS_PER_MS);
    simnet_end(net);
}

/* Nothing can be timed while all is sent twice, so the RTO stays doubled until it is long enough. */
static void without_timestamps_it_is_learnt_too(void **state)
{
    struct simnet *net = begin_v4();
    struct far_end far;

    (void)state;
    open_connection(&far, net, false);
    for (int i = 0; i < 20; i++) {
        say_something(&far, 3);
        run(&far, 2 * NS_PER_S);
    }
    assert_in_range(info_of(&far).retransmits, 1, 4);
    assert_true(info_of(&far).rto_ns > 400 * NS_PER_MS);
    simnet_end(net);
}

/* One acknowledgement in four is lost: the next one answers what was sent again, and echoes what was
   sent first. */
static void lost_acknowledgements_do_not_stretch_the_rto(void **state)
{
    struct simnet *net = begin_v4();
    struct far_end far;

    (void)state;
    open_like(&far, net, true, false);
    for (int i = 0; i < 80; i++) {
        struct craft_tcp first = {0};
        struct simnet_frame again;
        far.end->to_send += 3;
        end_pump(far.end);
        first = take_tcp(net);
        simnet_run_for(net, NS_PER_MS);
        while (i % 4 == 0 && !simnet_take(net, &again))
            simnet_run_for(net, NS_PER_MS);
        far.say.ack = first.seq + first.payload_len;
        far.say.ts_ecr = first.ts_val;
        far.say.ts_val++;
        put_tcp(net, &far.say);
        simnet_forget(net);
        assert_in_range(info_of(&far).rto_ns, 200 * NS_PER_MS, 2 * 210 * NS_PER_MS);
    }
    assert_int_equal(info_of(&far).retransmits, 20);
    simnet_end(net);
}

/* Of many segments the first is sent again, no other; and the window is what it was. */
static void what_was_only_late_costs_no_window(void **state)
{
    struct simnet *net = begin_v4();
    struct far_end far;

    (void)state;
    open_connection(&far, net, true);
    uint64_t before = info_of(&far).cwnd;
    say_something(&far, 8 * 1448);
    run(&far, 3 * NS_PER_S);
    assert_in_range(info_of(&far).retransmits, 1, 2);
    assert_int_equal(info_of(&far).queued, 0);
    assert_true(info_of(&far).cwnd >= before);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_timeout_teaches_the_round_trip),
        TEST(without_timestamps_it_is_learnt_too),
        TEST(lost_acknowledgements_do_not_stretch_the_rto),
        TEST(what_was_only_late_costs_no_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
