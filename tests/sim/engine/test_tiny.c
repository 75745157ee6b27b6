/* SPDX-License-Identifier: BSD-3-Clause */
/* An application that writes a few bytes at a time, on a way whose queue is short. */
#include "scripted.h"

enum { TINY = 7, WRITES = 2000, QUEUE = 20, PORT = 80 };

static const char far[] = "198.18.0.3";

/* Each millisecond so many packets pass, and no more; of the first of all none. */
struct way {
    uint64_t ms;
    uint32_t passed, sent, most; /* the latter: in any one after the first */
    uint64_t blocked_ns;
};

static unsigned pass(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct way *way = user;
    uint64_t ms = frame->at_ns / NS_PER_MS;

    (void)delay_ns;
    if (!frame->packet.payload_len)
        return 1;
    if (ms != way->ms) {
        way->ms = ms;
        way->passed = way->sent = 0;
    }
    way->sent++;
    if (frame->at_ns < way->blocked_ns)
        return 0;
    way->most = MAX(way->most, way->sent);
    return way->passed++ < QUEUE;
}

static void write_all(struct way *way, uint64_t blocked_ns, uint64_t most_ns)
{
    struct simnet_config config = {
        .peers = "198.18.0.2-198.18.0.3", .layer = FRAME_IP, .fate = pass, .user = way};
    struct simnet *net = simnet_new(&config);

    simnet_listen(net, IPPROTO_TCP, PORT, NULL);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, far, PORT);
    assert_true(simnet_run(net, end_is_open, end, simnet_now_ns(net) + NS_PER_S));
    simnet_run_for(net, 10 * NS_PER_MS);
    way->blocked_ns = simnet_now_ns(net) + blocked_ns;
    end->write_most = TINY;
    end->to_send = TINY * WRITES;
    end_pump(end);
    uint64_t begun_ns = simnet_now_ns(net);
    while (simnet_counts(net).bytes < TINY * WRITES && simnet_now_ns(net) < begun_ns + most_ns)
        simnet_run_for(net, NS_PER_MS);
    assert_int_equal(simnet_counts(net).bytes, TINY * WRITES);
    assert_int_equal(simnet_counts(net).wrong, 0);
    simnet_end(net);
}

/* A window of one segment is one packet, not as many as its bytes would be. */
static void an_rto_sends_few_packets(void **state)
{
    struct way way = {0};

    (void)state;
    write_all(&way, 10 * NS_PER_MS, 2 * NS_PER_S);
    assert_true(way.most <= QUEUE);
}

/* lwIP sends the first by itself, and without SACK all of them. */
static void a_first_rto_and_what_follows_are_few_packets(void **state)
{
    (void)state;
    for (int sack = 0; sack < 2; sack++) {
        struct simnet *net = begin_v4();
        struct craft_tcp call = segment("198.18.0.2", PORT, CRAFT_SYN, APP_ISN, 0);
        unsigned packets = 0;

        call.mss = 1460;
        call.sack_ok = sack;
        simnet_listen(net, IPPROTO_TCP, PORT, NULL);
        put_tcp(net, &call);
        struct craft_tcp said = take_tcp(net);
        said = segment("198.18.0.2", PORT, CRAFT_ACK, APP_ISN + 1, said.seq + 1);
        put_tcp(net, &said);
        struct end *end = simnet_accepted(net);
        end->write_most = TINY;
        end->to_send = 500 * TINY;
        end_pump(end);
        simnet_forget(net);
        simnet_run_for(net, 310 * NS_PER_MS);
        for (struct simnet_frame frame; simnet_take(net, &frame);)
            packets++;
        assert_in_range(packets, 1, 3); /* a probe may be among them */
        /* All arrived. What is written next finds a window of two segments or so. */
        said.ack += 500 * TINY;
        put_tcp(net, &said);
        simnet_forget(net);
        end->to_send += 500 * TINY;
        end_pump(end);
        packets = 0;
        for (struct simnet_frame frame; simnet_take(net, &frame);)
            packets++;
        assert_in_range(packets, 1, 10 + 3); /* ten as they are written, the rest joined */
        simnet_end(net);
    }
}

/* The queue overflows from the first; what it dropped gets through before long. */
static void a_short_queue_is_not_flooded_for_ever(void **state)
{
    struct way way = {0};

    (void)state;
    write_all(&way, 0, 2 * NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_rto_sends_few_packets),
        TEST(a_first_rto_and_what_follows_are_few_packets),
        TEST(a_short_queue_is_not_flooded_for_ever),
    };
    return cmocka_run_group_tests_name("tiny", tests, NULL, NULL);
}
