/* SPDX-License-Identifier: BSD-3-Clause */
/* What is missing, and what came twice: how a peer tells of it. */
#include "scripted.h"

static void fill(struct craft_tcp *data)
{
    static const uint8_t zeros[100];

    data->payload = zeros;
    data->payload_len = sizeof(zeros);
}

static void data_is_acknowledged_and_a_gap_is_reported(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp open = {0}, answer = {0};
    struct end *end = accept_one(net, "198.18.0.5", &open);

    (void)state;
    struct craft_tcp data = segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 101, open.seq + 1);
    fill(&data);
    put_tcp(net, &data);
    answer = take_tcp(net); /* at once: it tells of the gap */
    assert_int_equal(answer.flags, CRAFT_ACK);
    assert_int_equal(answer.ack, APP_ISN + 1);
    data.seq = APP_ISN + 1;
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.ack, APP_ISN + 201);
    assert_int_equal(end->received, 200);
    simnet_end(net);
}

/* A caller who takes selective acknowledgements: what he sends next. */
static struct craft_tcp call_with_sack(struct simnet *net)
{
    struct craft_tcp syn = segment("198.18.0.5", 80, CRAFT_SYN, APP_ISN, 0);

    simnet_listen(net, IPPROTO_TCP, 80, NULL);
    syn.mss = 1460;
    syn.sack_ok = true;
    put_tcp(net, &syn);
    return segment("198.18.0.5", 80, CRAFT_ACK, APP_ISN + 1, take_tcp(net).seq + 1);
}

static void gaps_are_told_by_selective_acknowledgements(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp data = call_with_sack(net), answer;

    (void)state;
    put_tcp(net, &data);
    fill(&data);
    data.seq = APP_ISN + 201;
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.sacks, 1);
    assert_int_equal(answer.sack[0][0], APP_ISN + 201);
    assert_int_equal(answer.sack[0][1], APP_ISN + 301);
    data.seq = APP_ISN + 401;
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.sacks, 2);
    assert_int_equal(answer.sack[0][0], APP_ISN + 401); /* the latest first (RFC 2018, 4) */
    assert_int_equal(answer.sack[1][0], APP_ISN + 201);
    simnet_end(net);
}

/* RFC 2883; with all there, and before gaps, which are told of as before then. */
static void what_came_twice_is_told_by_the_first_block(void **state)
{
    struct simnet *net = begin_v4();
    struct craft_tcp data = call_with_sack(net), answer;

    (void)state;
    fill(&data);
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.sacks, 0);
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.sacks, 1);
    assert_int_equal(answer.sack[0][0], APP_ISN + 1);
    assert_int_equal(answer.sack[0][1], APP_ISN + 101);

    data.seq = APP_ISN + 201;
    put_tcp(net, &data);
    assert_int_equal(take_tcp(net).sacks, 1);
    data.seq = APP_ISN + 1;
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.sacks, 2);
    assert_int_equal(answer.sack[0][0], APP_ISN + 1);
    assert_int_equal(answer.sack[1][0], APP_ISN + 201);
    data.seq = APP_ISN + 401;
    put_tcp(net, &data);
    answer = take_tcp(net);
    assert_int_equal(answer.sacks, 2);
    assert_int_equal(answer.sack[0][0], APP_ISN + 401);
    assert_int_equal(answer.sack[1][0], APP_ISN + 201);
    simnet_end(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(data_is_acknowledged_and_a_gap_is_reported),
        TEST(gaps_are_told_by_selective_acknowledgements),
        TEST(what_came_twice_is_told_by_the_first_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
