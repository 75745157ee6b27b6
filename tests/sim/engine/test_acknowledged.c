/* SPDX-License-Identifier: BSD-3-Clause */
/* When a peer says that it received something, and that it has room again. */
#include "scripted.h"

enum { FIRST_WINDOW = 44 * 1460 };
static const char peer[] = "198.18.0.5";
static const char bytes[65535];

/* A device that takes super-segments. */
static struct simnet *begin_offloaded(void)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9", .offload = true};

    return simnet_new(&config);
}

/* The application sends `len` bytes, in a super-segment of `gso` bytes each, 0: in a segment. */
static void send_bytes(struct simnet *net, struct craft_tcp *tcp, uint32_t len, uint16_t gso)
{
    static struct crafted frame;
    struct frame_offload offload = {.gso_type = gso ? FRAME_GSO_TCPV4 : 0, .gso_size = gso};

    tcp->payload = bytes;
    tcp->payload_len = len;
    craft_tcp_frame(&frame, tcp);
    simnet_put(net, frame.bytes, frame.len, &offload);
    tcp->seq += len;
}

/* The newest acknowledgement says all that those before it said. */
static struct craft_tcp take_last(struct simnet *net)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};

    while (simnet_take(net, &frame))
        assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
    return tcp;
}

static struct end *accept_reader(struct simnet *net, struct craft_tcp *ret_tcp)
{
    struct craft_tcp open = {0};
    struct end *end = accept_one(net, peer, &open);

    *ret_tcp = segment(peer, 80, CRAFT_ACK, APP_ISN + 1, open.seq + 1);
    assert_int_equal(open.scale, 0);
    return end;
}

/* ---- without window scaling the window stays that of the handshake ---- */

static void room_in_a_small_window_is_told_in_time(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp tcp = {0};

    (void)state;
    accept_reader(net, &tcp);
    /* One frame of a segment each, so that nothing but the window is a reason. */
    for (uint32_t sent = 0; sent < 4 * FIRST_WINDOW; sent += 1460) {
        send_bytes(net, &tcp, 1460, 0);
        struct craft_tcp told = take_last(net);
        if (told.flags)
            assert_true(told.window > FIRST_WINDOW - FIRST_WINDOW / 4 - 1460);
        else
            simnet_run_for(net, NS_PER_MS);
    }
    simnet_end(net);
}

static void a_reader_that_goes_on_after_a_pause_says_so_at_once(void **state)
{
    struct simnet *net = begin_offloaded();
    struct craft_tcp tcp = {0};
    struct end *end = accept_reader(net, &tcp);

    (void)state;
    end->read_most = SIZE_MAX;
    for (int i = 0; i < 5; i++)
        send_bytes(net, &tcp, FIRST_WINDOW / 5, 1460);
    struct craft_tcp shut = take_last(net);
    assert_int_equal(shut.ack, tcp.seq);
    assert_int_equal(shut.window, 0);
    simnet_run_for(net, 6 * NS_PER_S);
    assert_silent(net);

    end->read_most = 0;
    end_pump(end);
    struct craft_tcp told = take_last(net);
    assert_int_equal(told.ack, tcp.seq);
    assert_true(told.window > FIRST_WINDOW - FIRST_WINDOW / 4);
    simnet_end(net);
}

/* Who reads a little at a time tells of each doubling, and of no single byte. */
static void small_reads_tell_of_what_is_much(void **state)
{
    struct simnet *net = begin_offloaded();
    struct craft_tcp tcp = {0};
    struct end *end = accept_reader(net, &tcp);
    uint32_t window = 0, told_times = 0;

    (void)state;
    end->read_most = SIZE_MAX;
    for (int i = 0; i < 5; i++)
        send_bytes(net, &tcp, FIRST_WINDOW / 5, 1460);
    (void)take_last(net);
    for (uint32_t taken = 0; taken < FIRST_WINDOW; taken += 100) {
        flow_consume(&end->flow, 100);
        struct craft_tcp told = take_last(net);
        if (!told.flags)
            continue;
        assert_true(told.window >= 2 * window);
        assert_true(told.window >= 536);
        window = told.window;
        told_times++;
    }
    assert_true(window > FIRST_WINDOW / 2);
    assert_in_range(told_times, 3, 12);
    simnet_end(net);
}

/* ---- the first acknowledgements ---- */

static void the_first_segments_are_acknowledged_at_once(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp tcp = {0};

    (void)state;
    accept_reader(net, &tcp);
    for (int i = 0; i < 16; i++) {
        send_bytes(net, &tcp, 100, 0);
        assert_int_equal(take_tcp(net).ack, tcp.seq);
        assert_silent(net);
        simnet_run_for(net, 100 * NS_PER_MS);
        assert_silent(net);
    }
    send_bytes(net, &tcp, 100, 0);
    assert_silent(net);
    simnet_run_for(net, 51 * NS_PER_MS);
    assert_int_equal(take_tcp(net).ack, tcp.seq);
    simnet_end(net);
}

/* An answer after a question: from then on there is no hurry. */
static void talk(struct simnet *net, struct end *end, struct craft_tcp *tcp)
{
    end->echo = true;
    send_bytes(net, tcp, 10, 0);
    struct craft_tcp answer = take_last(net);
    assert_int_equal(answer.payload_len, 10);
    assert_int_equal(answer.ack, tcp->seq);
    tcp->ack += 10;
    tcp->payload_len = 0;
    put_tcp(net, tcp);
    assert_silent(net);
    end->echo = false;
}

static void the_first_question_is_acknowledged_before_its_answer(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp tcp = {0};
    struct end *end = accept_reader(net, &tcp);

    (void)state;
    end->echo = true;
    send_bytes(net, &tcp, 10, 0);
    struct craft_tcp first = take_tcp(net);
    assert_int_equal(first.ack, tcp.seq);
    assert_int_equal(first.payload_len, 0);
    assert_int_equal(take_tcp(net).payload_len, 10);
    for (int i = 0; i < 3; i++) {
        send_bytes(net, &tcp, 10, 0);
        assert_int_equal(take_tcp(net).payload_len, 10);
        assert_silent(net);
    }
    simnet_end(net);
}

/* An answer that took its time is no talk: the next question is acknowledged at once, too. */
static void a_slow_answer_changes_nothing(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp tcp = {0};
    struct end *end = accept_reader(net, &tcp);

    (void)state;
    send_bytes(net, &tcp, 10, 0);
    assert_int_equal(take_tcp(net).payload_len, 0);
    simnet_run_for(net, 60 * NS_PER_MS);
    end->to_send = 10;
    end_pump(end);
    assert_int_equal(take_tcp(net).payload_len, 10);
    tcp.ack += 10;
    send_bytes(net, &tcp, 10, 0);
    assert_int_equal(take_tcp(net).ack, tcp.seq);
    simnet_end(net);
}

/* ---- delayed acknowledgements ---- */

static void a_single_segment_is_acknowledged_after_40_ms(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp tcp = {0};

    (void)state;
    talk(net, accept_reader(net, &tcp), &tcp);
    send_bytes(net, &tcp, 1460, 0);
    assert_silent(net);
    simnet_run_for(net, 51 * NS_PER_MS);
    assert_int_equal(take_tcp(net).ack, tcp.seq);
    assert_silent(net);
    simnet_end(net);
}

static void more_than_a_segment_in_a_frame_is_acknowledged_at_once(void **state)
{
    struct simnet *net = begin_offloaded();
    struct craft_tcp tcp = {0};

    (void)state;
    talk(net, accept_reader(net, &tcp), &tcp);
    for (uint32_t len = 1461; len < 20000; len += 1460 + 777) {
        send_bytes(net, &tcp, len, 1460);
        struct craft_tcp ack = take_tcp(net);
        assert_int_equal(ack.ack, tcp.seq);
        assert_int_equal(ack.payload_len, 0);
        assert_silent(net);
    }
    simnet_end(net);
}

/* The answer of the owner is the acknowledgement. */
static void an_answer_to_it_is_acknowledgement_enough(void **state)
{
    struct simnet *net = begin_offloaded();
    struct craft_tcp tcp = {0};
    struct end *end = accept_reader(net, &tcp);

    (void)state;
    talk(net, end, &tcp);
    end->echo = true;
    send_bytes(net, &tcp, 4000, 1460);
    uint32_t answered = 0;
    while (answered < 4000) {
        struct craft_tcp answer = take_tcp(net);
        assert_true(answer.payload_len > 0);
        assert_int_equal(answer.ack, tcp.seq);
        answered += answer.payload_len;
    }
    assert_silent(net);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(room_in_a_small_window_is_told_in_time),
        TEST(a_reader_that_goes_on_after_a_pause_says_so_at_once),
        TEST(small_reads_tell_of_what_is_much),
        TEST(the_first_segments_are_acknowledged_at_once),
        TEST(the_first_question_is_acknowledged_before_its_answer),
        TEST(a_slow_answer_changes_nothing),
        TEST(a_single_segment_is_acknowledged_after_40_ms),
        TEST(more_than_a_segment_in_a_frame_is_acknowledged_at_once),
        TEST(an_answer_to_it_is_acknowledgement_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
