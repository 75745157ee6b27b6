/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a loss costs, in virtual time: nothing where later segments tell of it, an RTO (a round trip
 * and 200 ms, as Linux has it) where nothing follows, 1 s for the first SYN. One way of the wire takes 10 ms; lwIP's tick of 10 ms is the
 * precision of every timer.
 */
#include "support/simtest.h"

enum { SYN = 2, FIN = 1, ACK = 16 };
static const uint64_t one_way_ns = 10 * NS_PER_MS, tick_ns = 10 * NS_PER_MS;
static const uint64_t rto_ns = 2 * 10 * NS_PER_MS + 200 * NS_PER_MS; /* of such a wire */

/* Loses the first `times` frames of a kind, from the `skip`-th on. */
struct loss {
    enum { LOSE_DATA, LOSE_SYN, LOSE_SYNACK, LOSE_FIN, LOSE_BARE_ACK, LOSE_ALL } what;
    uint8_t from; /* last byte of the sender's address, 0: any */
    int skip, times;
    int lost;
};

static bool is_of(const struct loss *loss, const struct simnet_frame *frame)
{
    const struct packet *packet = &frame->packet;
    uint8_t flags = packet->tcp_flags;

    if (packet->kind != PACKET_TCP || (loss->from && packet->src.bytes[3] != loss->from))
        return false;
    switch (loss->what) {
    case LOSE_DATA:
        return packet->payload_len > 0;
    case LOSE_SYN:
        return (flags & (SYN | ACK)) == SYN;
    case LOSE_SYNACK:
        return (flags & (SYN | ACK)) == (SYN | ACK);
    case LOSE_FIN:
        return flags & FIN;
    case LOSE_BARE_ACK:
        return flags == ACK && packet->payload_len == 0;
    case LOSE_ALL:
        return true;
    }
    return false;
}

static unsigned lose(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct loss *loss = user;

    (void)delay_ns;
    if (!is_of(loss, frame) || loss->skip-- > 0 || loss->lost >= loss->times)
        return 1;
    loss->lost++;
    return 0;
}

struct pair {
    struct simnet *net;
    struct end *client, *server;
    uint64_t start_ns;
};

/* A client that sends `bytes` to a server, which sends nothing. */
static struct pair begin(struct loss *loss, uint64_t bytes)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9",
                                   .delay_ns = one_way_ns,
                                   .fate = loss ? lose : NULL,
                                   .user = loss};
    struct end like = {.close_when_done = true};
    struct pair pair = {.net = simnet_new(&config)};

    simnet_listen(pair.net, IPPROTO_TCP, 80, &like);
    pair.start_ns = simnet_now_ns(pair.net);
    pair.client = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", 80);
    assert_non_null(pair.client);
    pair.client->to_send = bytes;
    return pair;
}

static bool all_received(void *user)
{
    struct pair *pair = user;

    pair->server = simnet_accepted(pair->net);
    return pair->server && pair->server->received == pair->client->to_send;
}

/* Until the server has all: how long after the start. */
static uint64_t run_until_received(struct pair *pair)
{
    assert_true(simnet_run(pair->net, all_received, pair, pair->start_ns + 600 * NS_PER_S));
    assert_false(pair->server->wrong);
    return simnet_now_ns(pair->net) - pair->start_ns;
}

#define assert_between(value, least, most) assert_in_range(value, least, most)

static void handshake_and_data_without_loss_take_one_and_a_half_round_trips(void **state)
{
    struct pair pair = begin(NULL, 5000);

    (void)state;
    assert_int_equal(run_until_received(&pair), 3 * one_way_ns);
    simnet_end(pair.net);
}

static bool both_are_open(void *user)
{
    struct pair *pair = user;

    pair->server = simnet_accepted(pair->net);
    return end_is_open(pair->client) && pair->server && end_is_open(pair->server);
}

/* Nothing is left of the handshake: holding idle connections costs nothing, from the beginning. */
static void idle_connections_have_no_timer(void **state)
{
    struct pair pair = begin(NULL, 0);

    (void)state;
    assert_true(simnet_run(pair.net, both_are_open, &pair, pair.start_ns + NS_PER_S));
    assert_true(simnet_next_ns(pair.net) == TIMER_NEVER);
    simnet_end(pair.net);
}

/* Nobody sends a thing twice that is only on its way. */
static void slow_wire_makes_no_repairs(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9", .delay_ns = 90 * NS_PER_MS};
    struct pair pair = {.net = simnet_new(&config)};
    struct end like = {.to_send = 300000, .shut_when_sent = true, .close_when_done = true};

    (void)state;
    simnet_listen(pair.net, IPPROTO_TCP, 80, &like);
    pair.client = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", 80);
    pair.client->to_send = 300000;
    pair.client->shut_when_sent = pair.client->close_when_done = true;
    assert_true(
        simnet_run(pair.net, end_is_over, pair.client, simnet_now_ns(pair.net) + NS_PER_S * 60));
    assert_false(pair.client->wrong);
    struct stack_stats stats;
    stack_get_stats(simnet_stack(pair.net), &stats);
    assert_int_equal(stats.retransmits, 0);
    simnet_end(pair.net);
}

static void lost_syn_costs_one_second(void **state)
{
    struct loss loss = {.what = LOSE_SYN, .times = 1};
    struct pair pair = begin(&loss, 0);

    (void)state;
    assert_true(simnet_run(pair.net, end_is_open, pair.client, pair.start_ns + 10 * NS_PER_S));
    assert_int_equal(loss.lost, 1);
    assert_between(pair.client->open_ns - pair.start_ns, NS_PER_S - tick_ns + 2 * one_way_ns,
                   NS_PER_S + tick_ns + 2 * one_way_ns);
    simnet_end(pair.net);
}

static void two_lost_syns_cost_two_seconds(void **state)
{
    struct loss loss = {.what = LOSE_SYN, .times = 2};
    struct pair pair = begin(&loss, 0);

    (void)state;
    assert_true(simnet_run(pair.net, end_is_open, pair.client, pair.start_ns + 10 * NS_PER_S));
    assert_between(pair.client->open_ns - pair.start_ns, 2 * NS_PER_S - tick_ns + 2 * one_way_ns,
                   2 * NS_PER_S + 2 * tick_ns + 2 * one_way_ns);
    simnet_end(pair.net);
}

static void lost_syn_ack_costs_one_second(void **state)
{
    struct loss loss = {.what = LOSE_SYNACK, .times = 1};
    struct pair pair = begin(&loss, 0);

    (void)state;
    assert_true(simnet_run(pair.net, end_is_open, pair.client, pair.start_ns + 10 * NS_PER_S));
    assert_between(pair.client->open_ns - pair.start_ns, NS_PER_S - tick_ns + one_way_ns,
                   NS_PER_S + tick_ns + 2 * one_way_ns);
    simnet_end(pair.net);
}

static void lost_last_ack_of_the_handshake_is_repaired_by_data(void **state)
{
    struct loss loss = {.what = LOSE_BARE_ACK, .from = 2, .times = 1};
    struct pair pair = begin(&loss, 5000);

    (void)state;
    assert_int_equal(run_until_received(&pair), 3 * one_way_ns);
    simnet_end(pair.net);
}

/* 40 segments, the 15th is lost: what follows it tells, so it comes again after one round trip. */
static void segment_lost_in_the_middle_is_repaired_at_once(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .skip = 14, .times = 1};
    struct pair pair = begin(&loss, 40 * 1448);

    (void)state;
    uint64_t took_ns = run_until_received(&pair);
    assert_int_equal(loss.lost, 1);
    assert_int_equal(pair.client->flow.conn.retransmits, 1);
    assert_true(took_ns <= 11 * one_way_ns);
    simnet_end(pair.net);
}

static void retransmits_are_known_after_the_end(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .skip = 14, .times = 1};
    struct pair pair = begin(&loss, 40 * 1448);
    struct peer_flow_info info;

    (void)state;
    run_until_received(&pair);
    flow_reset(&pair.client->flow);
    flow_info(&pair.client->flow, &info);
    assert_int_equal(info.state, PEER_FLOW_CLOSED);
    assert_int_equal(info.retransmits, 1);
    simnet_end(pair.net);
}

/* Only two segments follow: too few to tell at once, but a quarter of a round trip later. */
static void segment_with_little_behind_it_is_repaired_soon(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .skip = 2, .times = 1};
    struct pair pair = begin(&loss, 5 * 1448);

    (void)state;
    uint64_t took_ns = run_until_received(&pair);
    assert_int_equal(took_ns, 5 * one_way_ns + one_way_ns / 2);
    simnet_end(pair.net);
}

static void a_lost_single_segment_costs_an_rto(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .times = 1};
    struct pair pair = begin(&loss, 1000);

    (void)state;
    uint64_t took_ns = run_until_received(&pair);
    assert_between(took_ns, 3 * one_way_ns + rto_ns, 3 * one_way_ns + rto_ns + tick_ns);
    assert_int_equal(pair.client->flow.conn.retransmits, 1);
    simnet_end(pair.net);
}

/* The probe tells of the one before it, which then leaves at once. */
static void a_lost_tail_costs_two_round_trips(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .skip = 3, .times = 2};
    struct pair pair = begin(&loss, 5 * 1448);

    (void)state;
    uint64_t took_ns = run_until_received(&pair);
    assert_int_equal(loss.lost, 2);
    assert_between(took_ns, 11 * one_way_ns, 11 * one_way_ns + 3 * tick_ns);
    assert_int_equal(pair.client->flow.conn.retransmits, 2);
    simnet_end(pair.net);
}

/* The probe of the tail, after an RTO here, takes no back-off with it: 1 + 1 + 2 + 4. */
static void timeout_doubles_when_the_repair_is_lost_too(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .times = 4};
    struct pair pair = begin(&loss, 1000);

    (void)state;
    uint64_t took_ns = run_until_received(&pair);
    assert_between(took_ns, 3 * one_way_ns + 8 * rto_ns, 3 * one_way_ns + 8 * rto_ns + 4 * tick_ns);
    simnet_end(pair.net);
}

/* A way of a second: half of it is more than 200 ms, so the deviation counts. Two round trips and
   200 ms, for an acknowledgement that may be delayed, are less than that RTO of three. */
static void a_single_segment_on_a_long_way_is_probed_after_two_round_trips(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .times = 1};
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9",
                                   .delay_ns = 250 * NS_PER_MS,
                                   .fate = lose,
                                   .user = &loss};
    struct pair pair = {.net = simnet_new(&config)};
    struct end like = {.close_when_done = true};

    (void)state;
    simnet_listen(pair.net, IPPROTO_TCP, 80, &like);
    pair.start_ns = simnet_now_ns(pair.net);
    pair.client = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", 80);
    pair.client->to_send = 1000;
    uint64_t took_ns = run_until_received(&pair), probe_ns = (500 + 1000 + 200 + 250) * NS_PER_MS;
    assert_between(took_ns, probe_ns, probe_ns + 2 * tick_ns);
    simnet_end(pair.net);
}

/* The last of a long transfer is lost after idle time: the RTO is still the floor. */
static void lost_tail_after_a_pause_costs_an_rto(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .skip = 10, .times = 1};
    struct pair pair = begin(&loss, 10 * 1448);

    (void)state;
    run_until_received(&pair);
    simnet_run_for(pair.net, 400 * NS_PER_S);
    uint64_t start_ns = simnet_now_ns(pair.net);
    pair.client->to_send += 100;
    end_pump(pair.client);
    run_until_received(&pair);
    assert_int_equal(loss.lost, 1);
    assert_between(simnet_now_ns(pair.net) - start_ns, one_way_ns + rto_ns,
                   one_way_ns + rto_ns + tick_ns);
    simnet_end(pair.net);
}

static void lost_fin_costs_an_rto(void **state)
{
    struct loss loss = {.what = LOSE_FIN, .from = 2, .times = 1};
    struct pair pair = begin(&loss, 1000);

    (void)state;
    run_until_received(&pair);
    simnet_run_for(pair.net, 100 * NS_PER_MS); /* acknowledged, too */
    uint64_t start_ns = simnet_now_ns(pair.net);
    pair.client->shut_when_sent = pair.client->close_when_done = true;
    end_pump(pair.client);
    assert_true(simnet_run(pair.net, end_is_over, pair.server, pair.start_ns + 60 * NS_PER_S));
    assert_int_equal(loss.lost, 1);
    assert_between(pair.server->eof_ns - start_ns, one_way_ns + rto_ns,
                   one_way_ns + rto_ns + tick_ns);
    assert_int_equal(pair.server->how, PEER_END_CLOSED);
    assert_true(simnet_run(pair.net, end_is_over, pair.client, pair.start_ns + 60 * NS_PER_S));
    assert_int_equal(pair.client->how, PEER_END_CLOSED);
    simnet_end(pair.net);
}

/* The side that closes second: its FIN is lost, and the first one waits for it in FIN-WAIT-2. */
static void lost_second_fin_costs_an_rto(void **state)
{
    struct loss loss = {.what = LOSE_FIN, .from = 3, .times = 1};
    struct pair pair = begin(&loss, 1000);

    (void)state;
    pair.client->shut_when_sent = pair.client->close_when_done = true;
    assert_true(simnet_run(pair.net, end_is_over, pair.client, pair.start_ns + 60 * NS_PER_S));
    assert_int_equal(loss.lost, 1);
    assert_int_equal(pair.client->how, PEER_END_CLOSED);
    assert_between(pair.client->end_ns - pair.start_ns, 5 * one_way_ns + rto_ns,
                   5 * one_way_ns + rto_ns + tick_ns);
    simnet_end(pair.net);
}

static void lost_acknowledgements_cost_nothing(void **state)
{
    struct loss loss = {.what = LOSE_BARE_ACK, .from = 3, .times = 2};
    struct pair pair = begin(&loss, 40 * 1448);

    (void)state;
    uint64_t took_ns = run_until_received(&pair);
    assert_int_equal(loss.lost, 2);
    assert_int_equal(pair.client->flow.conn.retransmits, 0);
    assert_true(took_ns <= 9 * one_way_ns);
    simnet_end(pair.net);
}

/* SYN and ten more: 1 + 1 + 1 + 1 + 1 + 2 + 4 + 8 + 16 + 32 + 64 s, as Linux. */
static void handshake_without_answer_ends_after_131_s(void **state)
{
    struct loss loss = {.what = LOSE_ALL, .times = 1000};
    struct pair pair = begin(&loss, 0);

    (void)state;
    assert_true(simnet_run(pair.net, end_is_over, pair.client, pair.start_ns + 300 * NS_PER_S));
    assert_int_equal(loss.lost, 11);
    assert_int_equal(pair.client->how, PEER_END_TIMEOUT);
    assert_between(pair.client->end_ns - pair.start_ns, 131 * NS_PER_S,
                   131 * NS_PER_S + 11 * tick_ns);
    simnet_end(pair.net);
}

/* A probe and 12 repairs of data: an RTO, doubled up to 120 s. */
static void data_without_answer_ends_the_connection(void **state)
{
    struct loss loss = {.what = LOSE_DATA, .times = 1000};
    struct pair pair = begin(&loss, 1000);

    (void)state;
    assert_true(simnet_run(pair.net, end_is_over, pair.client, pair.start_ns + 3600 * NS_PER_S));
    assert_int_equal(loss.lost, 14);
    assert_int_equal(pair.client->how, PEER_END_TIMEOUT);
    /* 1 + 1 + 2 + ... + 512 RTOs, then 3 of 120 s */
    uint64_t sum_ns = 2 * one_way_ns + 1024 * rto_ns + 3 * 120 * NS_PER_S;
    assert_between(pair.client->end_ns - pair.start_ns, sum_ns, sum_ns + 20 * tick_ns);
    simnet_end(pair.net);
}

/* lwIP counts its timer calls in 8 bits and leaves out a connection that was "seen" in this call:
   our own count must agree with it whatever other stacks the process had before. */
static void timers_run_in_every_stack_of_a_process(void **state)
{
    (void)state;
    for (int i = 0; i < 600; i++) {
        struct loss loss = {.what = LOSE_SYN, .times = 1};
        struct pair pair = begin(&loss, 0);
        assert_true(simnet_run(pair.net, end_is_open, pair.client, pair.start_ns + 10 * NS_PER_S));
        assert_true(pair.client->open_ns - pair.start_ns < 2 * NS_PER_S);
        simnet_end(pair.net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(handshake_and_data_without_loss_take_one_and_a_half_round_trips),
        TEST(idle_connections_have_no_timer),
        TEST(slow_wire_makes_no_repairs),
        TEST(lost_syn_costs_one_second),
        TEST(two_lost_syns_cost_two_seconds),
        TEST(lost_syn_ack_costs_one_second),
        TEST(lost_last_ack_of_the_handshake_is_repaired_by_data),
        TEST(segment_lost_in_the_middle_is_repaired_at_once),
        TEST(retransmits_are_known_after_the_end),
        TEST(segment_with_little_behind_it_is_repaired_soon),
        TEST(a_lost_single_segment_costs_an_rto),
        TEST(a_lost_tail_costs_two_round_trips),
        TEST(timeout_doubles_when_the_repair_is_lost_too),
        TEST(a_single_segment_on_a_long_way_is_probed_after_two_round_trips),
        TEST(lost_tail_after_a_pause_costs_an_rto),
        TEST(lost_fin_costs_an_rto),
        TEST(lost_second_fin_costs_an_rto),
        TEST(lost_acknowledgements_cost_nothing),
        TEST(handshake_without_answer_ends_after_131_s),
        TEST(data_without_answer_ends_the_connection),
        TEST(timers_run_in_every_stack_of_a_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
