/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments become larger as the other side's window grows, the congestion window after a loss is
 * what it was worth before: a segment that is larger than that must not wait for ever.
 */
#include "scripted.h"

enum { SEGMENT = 1460, SCALE = 8, FIRST_WINDOW = 60000, LATER_WINDOW = 600000 };

struct talk {
    struct simnet *net;
    struct end *end;
    struct craft_tcp ours; /* the segment that the test sends next */
    uint32_t first, sent, seen; /* of the peer's bytes: where they begin, what left, and what of it
                                   the test has in order */
};

static struct talk start(uint16_t mss, bool sack)
{
    struct simnet_config config = {
        .peers = "198.18.0.3", .layer = FRAME_IP, .offload = true};
    struct talk talk = {.net = simnet_new(&config)};
    struct craft_tcp syn = segment("198.18.0.3", 80, CRAFT_SYN, APP_ISN, 0);

    syn.mss = mss;
    syn.scale = SCALE + 1;
    syn.sack_ok = sack;
    simnet_listen(talk.net, IPPROTO_TCP, 80, NULL);
    put_tcp(talk.net, &syn);
    struct craft_tcp answer = take_tcp(talk.net);
    talk.first = talk.sent = talk.seen = answer.seq + 1;
    talk.ours = segment("198.18.0.3", 80, CRAFT_ACK, APP_ISN + 1, talk.first);
    talk.ours.window = FIRST_WINDOW >> SCALE;
    put_tcp(talk.net, &talk.ours);
    talk.end = simnet_accepted(talk.net);
    assert_non_null(talk.end);
    return talk;
}

/* What left, of which the first byte of all may be lost. Returns how many bytes that were. */
static uint32_t take_all(struct talk *talk, bool lost)
{
    struct simnet_frame frame;
    struct craft_tcp tcp = {0};
    uint32_t bytes = 0;

    while (simnet_take(talk->net, &frame)) {
        assert_true(craft_see_tcp(frame.data, &frame.packet, &tcp));
        if (tcp.seq == talk->sent)
            talk->sent += tcp.payload_len;
        bytes += tcp.payload_len;
    }
    if (!lost)
        talk->seen = talk->sent;
    return bytes;
}

static void acknowledge(struct talk *talk, uint32_t window)
{
    talk->ours.ack = talk->seen;
    talk->ours.window = (uint16_t)(window >> SCALE);
    put_tcp(talk->net, &talk->ours);
}

static void say(struct talk *talk, uint32_t bytes)
{
    talk->end->to_send += bytes;
    end_pump(talk->end);
}

/* The first segment is lost, of which three words for the same byte tell. */
static void lose_one_by_duplicates(struct talk *talk)
{
    say(talk, FIRST_WINDOW);
    assert_true(take_all(talk, true) > 3 * SEGMENT);
    for (int i = 0; i < 3; i++)
        put_tcp(talk->net, &talk->ours);
    assert_true(take_all(talk, false) > 0);
}

static void lose_all_by_time(struct talk *talk)
{
    say(talk, 3 * SEGMENT);
    assert_int_equal(take_all(talk, true), 3 * SEGMENT);
    simnet_run_for(talk->net, 900 * NS_PER_MS);
    assert_true(take_all(talk, false) > 0);
}

static void all_goes_on(bool sack, void (*lose)(struct talk *talk))
{
    struct talk talk = start(SEGMENT, sack);
    const uint32_t bytes = 1000000;

    lose(&talk);
    acknowledge(&talk, LATER_WINDOW);
    say(&talk, bytes);
    for (int i = 0; i < 200 && talk.seen - talk.first != talk.end->to_send; i++) {
        (void)take_all(&talk, false);
        acknowledge(&talk, LATER_WINDOW);
        simnet_run_for(talk.net, NS_PER_MS);
    }
    assert_int_equal(talk.seen - talk.first, talk.end->to_send);
    simnet_end(talk.net);
}

static void a_loss_without_sack_does_not_stop_larger_segments(void **state)
{
    (void)state;
    all_goes_on(false, lose_one_by_duplicates);
}

static void a_timeout_without_sack_does_not_stop_larger_segments(void **state)
{
    (void)state;
    all_goes_on(false, lose_all_by_time);
}

static void a_timeout_does_not_stop_larger_segments(void **state)
{
    (void)state;
    all_goes_on(true, lose_all_by_time);
}

/* What is cut off for a small window is a connection's like all else: of its size. */
static void what_is_cut_off_for_a_window_is_of_the_connections_size(void **state)
{
    enum { SMALL = 536, WINDOW = 1024 };
    struct talk talk = start(SMALL, true);
    struct simnet_frame frame;

    (void)state;
    say(&talk, FIRST_WINDOW);
    (void)take_all(&talk, false);
    acknowledge(&talk, WINDOW);
    assert_true(simnet_take(talk.net, &frame));
    assert_int_equal(frame.packet.payload_len, WINDOW);
    assert_int_equal(frame.offload.gso_size, SMALL);
    simnet_end(talk.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_loss_without_sack_does_not_stop_larger_segments),
        TEST(a_timeout_without_sack_does_not_stop_larger_segments),
        TEST(a_timeout_does_not_stop_larger_segments),
        TEST(what_is_cut_off_for_a_window_is_of_the_connections_size),
    };
    return cmocka_run_group_tests_name("larger", tests, NULL, NULL);
}
