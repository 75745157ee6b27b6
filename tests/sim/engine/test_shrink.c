/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A receiver without memory: it throws away what is in its window, and announces one that is
 * smaller than what is under way (RFC 9293, 3.8.6, "shrinking the window").
 */
#include "scripted.h"

#include <peer/flow.h>

enum { SCALE = 10, MSS = 1460, SEGMENT = 1448, BYTES = 1 << 20, PORT = 80 };

static const char peer[] = "198.18.0.2";

/* The receiving kernel: what it has, and up to where it takes anything. */
struct receiver {
    struct simnet *net;
    struct end *end;
    uint16_t port;
    bool stamps;
    uint32_t first, next, window, ts_ecr;
};

static struct craft_tcp answer(const struct receiver *receiver)
{
    struct craft_tcp tcp = segment(peer, receiver->port, CRAFT_ACK, APP_ISN + 1, receiver->next);

    tcp.src_port = PORT;
    tcp.window = (uint16_t)(receiver->window >> SCALE);
    tcp.timestamps = receiver->stamps;
    tcp.ts_val = (uint32_t)(simnet_now_ns(receiver->net) / NS_PER_MS) + 1;
    tcp.ts_ecr = receiver->ts_ecr;
    return tcp;
}

static void speak(const struct receiver *receiver)
{
    struct craft_tcp tcp = answer(receiver);

    put_tcp(receiver->net, &tcp);
}

static struct receiver open_one(bool offload, bool sack, bool stamps)
{
    struct simnet_config config = {.peers = peer, .layer = FRAME_IP, .offload = offload};
    struct receiver receiver = {.net = simnet_new(&config), .stamps = stamps};

    receiver.end = end_connect(receiver.net, IPPROTO_TCP, peer, 0, app_v4, PORT);
    struct craft_tcp syn = take_tcp(receiver.net);
    struct craft_tcp syn_ack =
        segment(peer, syn.src_port, CRAFT_SYN | CRAFT_ACK, APP_ISN, syn.seq + 1);
    syn_ack.src_port = PORT;
    syn_ack.mss = MSS;
    syn_ack.scale = SCALE + 1;
    syn_ack.sack_ok = sack;
    syn_ack.timestamps = stamps;
    syn_ack.ts_val = 1;
    syn_ack.ts_ecr = syn.ts_val;
    put_tcp(receiver.net, &syn_ack);
    (void)take_tcp(receiver.net);
    receiver.first = receiver.next = syn.seq + 1;
    receiver.port = syn.src_port;
    receiver.window = 62 << SCALE;
    speak(&receiver);
    return receiver;
}

static bool is_acceptable(const struct receiver *receiver, const struct craft_tcp *tcp)
{
    return tcp->seq + tcp->payload_len - receiver->next <= receiver->window ||
           tcp->seq - receiver->next <= receiver->window;
}

/* Takes what comes as long as there is `memory`, and answers; what it throws away it does not. */
static void hear(struct receiver *receiver, uint32_t memory)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};

    while (simnet_take(receiver->net, &frame)) {
        assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
        uint32_t old = receiver->next - tcp.seq, fresh = tcp.payload_len - old;
        if (!tcp.payload_len || (old < tcp.payload_len && fresh > memory))
            continue;
        if (old < tcp.payload_len && is_acceptable(receiver, &tcp)) {
            fresh = MIN(fresh, receiver->window);
            memory -= fresh;
            receiver->next += fresh;
            receiver->ts_ecr = tcp.ts_val;
        }
        speak(receiver);
    }
}

/* Takes so much, and nothing of what follows: all that was announced is under way then. */
static void fill_the_window(struct receiver *receiver)
{
    receiver->end->to_send = BYTES;
    end_pump(receiver->end);
    hear(receiver, 200000);
    assert_true(receiver->next - receiver->first > 150000);
}

/* It has had room for one segment more, and has thrown away the rest. */
static void shrink(struct receiver *receiver, uint32_t window)
{
    receiver->next += SEGMENT;
    receiver->window = window;
    for (int copies = 0; copies < 4; copies++)
        speak(receiver);
    simnet_forget(receiver->net);
}

static void hear_for(struct receiver *receiver, int ms)
{
    for (int i = 0; i < ms; i++) {
        simnet_run_for(receiver->net, NS_PER_MS);
        hear(receiver, UINT32_MAX);
    }
}

static const struct {
    bool offload, sack, stamps;
} kinds[] = {{true, true, true},   {true, true, false},  {true, false, true},
             {true, false, false}, {false, true, true},  {false, true, false},
             {false, false, true}, {false, false, false}};

/* What is under way was thrown away, and the window is smaller than any of it. */
static void what_is_lost_beyond_a_smaller_window_is_sent_again(void **state)
{
    static const uint32_t windows[] = {40, 14, 3, 1};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds) * ARRAY_SIZE(windows); i++) {
        const size_t kind = i / ARRAY_SIZE(windows);
        struct receiver receiver =
            open_one(kinds[kind].offload, kinds[kind].sack, kinds[kind].stamps);
        fill_the_window(&receiver);
        shrink(&receiver, windows[i % ARRAY_SIZE(windows)] << SCALE);
        uint32_t before = receiver.next;
        hear_for(&receiver, 500);
        assert_true(receiver.next != before);
        receiver.window = 62 << SCALE;
        speak(&receiver);
        hear_for(&receiver, 500);
        assert_int_equal(receiver.next - receiver.first, BYTES);
        simnet_end(receiver.net);
    }
}

/* A receiver refuses what begins beyond its window, also an acknowledgement of what it has sent. */
static void what_has_no_bytes_stays_within_a_smaller_window(void **state)
{
    static const uint8_t data[100];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct receiver receiver = open_one(kinds[i].offload, kinds[i].sack, kinds[i].stamps);
        fill_the_window(&receiver);
        shrink(&receiver, 3 << SCALE);
        struct craft_tcp tcp = answer(&receiver);
        tcp.payload = data;
        tcp.payload_len = sizeof(data);
        put_tcp(receiver.net, &tcp);
        struct craft_tcp ack = take_tcp(receiver.net);
        assert_int_equal(ack.ack, tcp.seq + sizeof(data));
        assert_int_equal(ack.seq, receiver.next + receiver.window);
        stack_abort(simnet_stack(receiver.net), &receiver.end->flow.conn, true);
        struct craft_tcp reset = take_tcp(receiver.net);
        assert_true(reset.flags & CRAFT_RST);
        assert_int_equal(reset.seq, receiver.next + receiver.window);
        simnet_end(receiver.net);
    }
}

static struct peer_flow_info info_of(const struct receiver *receiver)
{
    struct peer_flow_info info = {0};

    stack_conn_info(simnet_stack(receiver->net), &receiver->end->flow.conn, &info);
    return info;
}

/* It has no memory for what comes, and room again after a while. */
static void refuse_for(struct receiver *receiver, uint64_t ns, uint32_t window)
{
    simnet_forget(receiver->net);
    receiver->window = 0;
    speak(receiver);
    simnet_run_for(receiver->net, ns);
    simnet_forget(receiver->net);
    receiver->window = window;
    speak(receiver);
}

static const uint32_t openings[] = {60, 14, 2, 1};

/* Nothing else would ever tell that it is lost: the receiver does not know it. */
static void what_was_refused_leaves_when_the_window_opens(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds) * ARRAY_SIZE(openings); i++) {
        const size_t kind = i / ARRAY_SIZE(openings);
        const uint32_t window = openings[i % ARRAY_SIZE(openings)] << SCALE;
        struct receiver receiver =
            open_one(kinds[kind].offload, kinds[kind].sack, kinds[kind].stamps);
        fill_the_window(&receiver);
        for (int again = 0; again < 6; again++) {
            uint32_t before = receiver.next;
            uint64_t rto_ns = info_of(&receiver).rto_ns;
            refuse_for(&receiver, 30 * NS_PER_MS, window);
            hear(&receiver, 70000);
            assert_true(receiver.next != before);
            assert_true(info_of(&receiver).rto_ns <= rto_ns);
        }
        simnet_end(receiver.net);
    }
}

/* A window of nothing that the one behind it has overtaken: what came beyond it was taken, and tells. */
static void an_old_shut_window_refuses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct receiver receiver = open_one(kinds[i].offload, kinds[i].sack, kinds[i].stamps);
        if (kinds[i].sack) {
            fill_the_window(&receiver);
            refuse_for(&receiver, 30 * NS_PER_MS, 0);
            receiver.window = 62 << SCALE;
            struct craft_tcp tcp = answer(&receiver);
            tcp.sacks = 1;
            tcp.sack[0][0] = receiver.next + SEGMENT;
            tcp.sack[0][1] = receiver.next + 2 * SEGMENT;
            put_tcp(receiver.net, &tcp);
            struct simnet_frame frame;
            while (simnet_take(receiver.net, &frame)) {
                assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
                assert_true(!tcp.payload_len || tcp.seq != receiver.next);
            }
            simnet_run_for(receiver.net, 500 * NS_PER_MS); /* it was lost, then */
            assert_true(info_of(&receiver).retransmits > 0);
        }
        simnet_end(receiver.net);
    }
}

/* Of a window that stays shut nothing follows for the way. */
static void a_shut_window_does_not_back_off(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
        struct receiver receiver =
            open_one(kinds[kind].offload, kinds[kind].sack, kinds[kind].stamps);
        fill_the_window(&receiver);
        uint64_t rto_ns = info_of(&receiver).rto_ns;
        for (int again = 0; again < 4; again++) {
            uint32_t before = receiver.next;
            refuse_for(&receiver, NS_PER_S, 40 << SCALE);
            hear(&receiver, 70000);
            assert_true(receiver.next != before);
            assert_true(info_of(&receiver).rto_ns <= rto_ns);
        }
        simnet_end(receiver.net);
    }
}

/* As Linux: what acknowledges news tells the window, though its own bytes came before. */
static void an_older_segment_with_news_tells_the_window(void **state)
{
    static const uint8_t data[100];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct receiver receiver = open_one(kinds[i].offload, kinds[i].sack, kinds[i].stamps);
        struct craft_tcp first = answer(&receiver);
        first.payload = data;
        first.payload_len = sizeof(data);
        put_tcp(receiver.net, &first);
        struct craft_tcp bare = answer(&receiver);
        bare.seq += sizeof(data);
        put_tcp(receiver.net, &bare);
        simnet_forget(receiver.net);
        receiver.end->to_send = SEGMENT;
        end_pump(receiver.end);
        receiver.next += SEGMENT;
        receiver.window = 5 << SCALE;
        struct craft_tcp again = answer(&receiver);
        again.payload = data;
        again.payload_len = sizeof(data);
        put_tcp(receiver.net, &again);
        assert_int_equal(info_of(&receiver).send_window, 5 << SCALE);
        simnet_end(receiver.net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_refused_leaves_when_the_window_opens),
        TEST(an_old_shut_window_refuses_nothing),
        TEST(a_shut_window_does_not_back_off),
        TEST(an_older_segment_with_news_tells_the_window),
        TEST(what_is_lost_beyond_a_smaller_window_is_sent_again),
        TEST(what_has_no_bytes_stays_within_a_smaller_window),
    };
    return cmocka_run_group_tests_name("shrink", tests, NULL, NULL);
}
