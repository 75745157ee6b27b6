/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of connections between two peers in virtual time: readers that rest, sides that close in
 * every order, states that last, ports that come again, and many of everything.
 */
#include "support/simtest.h"

static const uint64_t one_way_ns = NS_PER_MS;

struct pair {
    struct simnet *net;
    struct end *client, *server;
};

static unsigned fate_of(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    const bool *cut = user;

    (void)frame;
    (void)delay_ns;
    return !*cut;
}

/* An open connection; `like` is what the server does. `*cut` cuts the wire when it becomes true. */
static struct pair open_pair(const struct end *like, bool offload, const bool *cut)
{
    static const bool never;
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9",
                                   .offload = offload,
                                   .delay_ns = one_way_ns,
                                   .fate = fate_of,
                                   .user = (void *)(uintptr_t)(cut ? cut : &never)};
    struct pair pair = {.net = simnet_new(&config)};

    simnet_listen(pair.net, IPPROTO_TCP, 80, like);
    pair.client = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 40000, "198.18.0.3", 80);
    assert_non_null(pair.client);
    simnet_run_for(pair.net, 100 * NS_PER_MS);
    pair.server = simnet_accepted(pair.net);
    assert_non_null(pair.server);
    assert_true(end_is_open(pair.client) && end_is_open(pair.server));
    return pair;
}

static enum peer_flow_state state_of(const struct end *end)
{
    static struct peer_flow_info info;

    flow_info(&end->flow, &info);
    return info.state;
}

static struct stack_stats stats_of(struct simnet *net)
{
    struct stack_stats stats;

    stack_get_stats(simnet_stack(net), &stats);
    return stats;
}

/* ---- windows ---- */

static void resting_reader_shuts_the_window_and_loses_nothing(void **state)
{
    (void)state;
    for (int offload = 0; offload < 2; offload++) {
        struct end like = {.read_most = SIZE_MAX};
        struct pair pair = open_pair(&like, offload, NULL);
        pair.client->to_send = 20 << 20;
        end_pump(pair.client);
        simnet_run_for(pair.net, 20 * NS_PER_S);
        struct peer_flow_info info;
        flow_info(&pair.server->flow, &info);
        /* The whole window, and no more: as nothing is read it is the first one, 45 segments with
           timestamps, told in units of 128 bytes. */
        assert_in_range(info.unread, 45 * 1448, 45 * 1448 + 128);
        uint64_t frames = simnet_frames(pair.net);
        simnet_run_for(pair.net, 3600 * NS_PER_S);
        assert_int_equal(pair.client->end_ns, 0);            /* the other side answers: for ever */
        assert_true(simnet_frames(pair.net) - frames < 700); /* a probe and its answer in 12.8 s */

        uint64_t start_ns = simnet_now_ns(pair.net);
        pair.server->read_most = 0;
        end_pump(pair.server);
        simnet_run_for(pair.net, NS_PER_S); /* at once: no probe is waited for */
        assert_int_equal(pair.server->received, 20 << 20);
        assert_false(pair.server->wrong);
        assert_true(pair.server->readable_ns - start_ns < NS_PER_S);
        simnet_end(pair.net);
    }
}

static void slow_reader_gets_every_byte(void **state)
{
    (void)state;
    for (int offload = 0; offload < 2; offload++) {
        struct end like = {.read_most = SIZE_MAX};
        struct pair pair = open_pair(&like, offload, NULL);
        pair.client->to_send = 10 << 20;
        end_pump(pair.client);
        for (int i = 0; i < 4000 && pair.server->received < pair.client->to_send; i++) {
            simnet_run_for(pair.net, 5 * NS_PER_MS);
            pair.server->read_most = 3000;
            end_pump(pair.server);
            pair.server->read_most = SIZE_MAX;
        }
        assert_int_equal(pair.server->received, 10 << 20);
        assert_false(pair.server->wrong);
        simnet_end(pair.net);
    }
}

static void probes_without_any_answer_end_the_connection(void **state)
{
    struct end like = {.read_most = SIZE_MAX};
    bool cut = false;
    struct pair pair = open_pair(&like, true, &cut);

    (void)state;
    pair.client->to_send = 20 << 20;
    end_pump(pair.client);
    simnet_run_for(pair.net, 20 * NS_PER_S);
    cut = true;
    assert_true(
        simnet_run(pair.net, end_is_over, pair.client, simnet_now_ns(pair.net) + 7200 * NS_PER_S));
    assert_int_equal(pair.client->how, PEER_END_TIMEOUT);
    simnet_end(pair.net);
}

/* One byte a write: lwIP keeps each as a buffer of its own. */
static void tiny_writes_arrive_in_order(void **state)
{
    (void)state;
    for (int offload = 0; offload < 2; offload++) {
        struct pair pair = open_pair(NULL, offload, NULL);
        pair.client->write_most = 1;
        pair.client->to_send = 20000;
        end_pump(pair.client);
        simnet_run_for(pair.net, 60 * NS_PER_S);
        assert_int_equal(pair.server->received, 20000);
        assert_false(pair.server->wrong);
        simnet_end(pair.net);
    }
}

/* While nothing is acknowledged, what is written is bounded, and the rest follows. */
static void tiny_writes_while_the_window_is_shut_are_bounded(void **state)
{
    struct end like = {.read_most = SIZE_MAX};
    struct pair pair = open_pair(&like, true, NULL);

    (void)state;
    pair.client->write_most = 700;
    pair.client->to_send = 6 << 20;
    end_pump(pair.client);
    simnet_run_for(pair.net, 60 * NS_PER_S);
    assert_true(pair.client->sent <= 8 << 20);
    pair.server->read_most = 0;
    end_pump(pair.server);
    simnet_run_for(pair.net, 60 * NS_PER_S);
    assert_int_equal(pair.server->received, 6 << 20);
    assert_false(pair.server->wrong);
    simnet_end(pair.net);
}

/* ---- endings ---- */

static void half_closed_connection_carries_the_other_way(void **state)
{
    struct end like = {.read_most = 0};
    struct pair pair = open_pair(&like, true, NULL);

    (void)state;
    pair.client->shut_when_sent = true;
    end_pump(pair.client);
    simnet_run_for(pair.net, NS_PER_S);
    assert_true(pair.server->eof_ns);
    assert_int_equal(state_of(pair.client), PEER_FLOW_FIN_WAIT_2);
    assert_int_equal(state_of(pair.server), PEER_FLOW_CLOSE_WAIT);
    simnet_run_for(pair.net, 600 * NS_PER_S); /* it lasts as long as the owner likes */
    pair.server->to_send = 1 << 20;
    pair.server->close_when_done = true;
    end_pump(pair.server);
    simnet_run_for(pair.net, NS_PER_S);
    assert_int_equal(pair.client->received, 1 << 20);
    assert_false(pair.client->wrong);
    assert_int_equal(pair.client->how, PEER_END_CLOSED);
    assert_int_equal(pair.server->how, PEER_END_CLOSED);
    assert_int_equal(stats_of(pair.net).time_wait, 1);
    simnet_end(pair.net);
}

static void both_sides_close_at_once(void **state)
{
    struct pair pair = open_pair(NULL, false, NULL);

    (void)state;
    flow_close(&pair.client->flow);
    flow_close(&pair.server->flow);
    simnet_run_for(pair.net, 10 * NS_PER_MS);
    assert_int_equal(pair.client->how, PEER_END_CLOSED);
    assert_int_equal(pair.server->how, PEER_END_CLOSED);
    assert_int_equal(stats_of(pair.net).time_wait, 2);
    simnet_run_for(pair.net, 59 * NS_PER_S);
    assert_int_equal(stats_of(pair.net).time_wait, 2);
    simnet_run_for(pair.net, 2 * NS_PER_S); /* 60 s, as Linux */
    assert_int_equal(stats_of(pair.net).time_wait, 0);
    assert_true(simnet_next_ns(pair.net) == TIMER_NEVER);
    simnet_end(pair.net);
}

static void time_wait_is_taken_over_by_a_new_connection(void **state)
{
    struct pair pair = open_pair(NULL, false, NULL);

    (void)state;
    pair.server->close_when_done = true;
    flow_close(&pair.client->flow); /* the caller is in TIME-WAIT */
    simnet_run_for(pair.net, NS_PER_S);
    assert_int_equal(stats_of(pair.net).time_wait, 1);
    struct end *again = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 40000, "198.18.0.3", 80);
    assert_non_null(again);
    simnet_run_for(pair.net, NS_PER_S);
    assert_true(end_is_open(again));
    assert_int_equal(stats_of(pair.net).time_wait, 0);

    struct end *server = simnet_accepted(pair.net);
    again->close_when_done = true;
    flow_close(&server->flow); /* now the listener's side is */
    simnet_run_for(pair.net, NS_PER_S);
    assert_int_equal(stats_of(pair.net).time_wait, 1);
    again = end_connect(pair.net, IPPROTO_TCP, "198.18.0.2", 40000, "198.18.0.3", 80);
    assert_non_null(again);
    simnet_run_for(pair.net, NS_PER_S);
    assert_true(end_is_open(again));
    simnet_end(pair.net);
}

/* flow_close on one side, nothing on the other: the closer has gone after 60 s. */
static void fin_wait_2_of_a_closed_flow_ends(void **state)
{
    struct pair pair = open_pair(NULL, false, NULL);
    uint64_t start_ns = simnet_now_ns(pair.net);

    (void)state;
    flow_close(&pair.client->flow);
    assert_true(simnet_run(pair.net, end_is_over, pair.client, start_ns + 600 * NS_PER_S));
    assert_in_range(pair.client->end_ns - start_ns, 59 * NS_PER_S, 61 * NS_PER_S);
    simnet_run_for(pair.net, NS_PER_S);
    assert_true(simnet_next_ns(pair.net) == TIMER_NEVER);
    simnet_end(pair.net);
}

static void reset_in_the_middle_ends_both_and_frees_all(void **state)
{
    struct end like = {.to_send = 1 << 28};
    struct pair pair = open_pair(&like, true, NULL);

    (void)state;
    pair.client->to_send = 1 << 28;
    end_pump(pair.client);
    simnet_run_for(pair.net, 3 * NS_PER_MS + 300);
    assert_true(pair.client->received > 0 && pair.server->received > 0);
    assert_true(pair.client->received < 1 << 28);
    flow_reset(&pair.client->flow);
    simnet_run_for(pair.net, NS_PER_S);
    assert_int_equal(pair.client->how, PEER_END_LOCAL);
    assert_int_equal(pair.server->how, PEER_END_RESET);
    assert_int_equal(stats_of(pair.net).conns, 0);
    assert_true(simnet_next_ns(pair.net) == TIMER_NEVER);
    simnet_end(pair.net);
}

/* RFC 2525, 2.17 */
static void close_with_unread_bytes_resets(void **state)
{
    struct end like = {.read_most = SIZE_MAX};
    struct pair pair = open_pair(&like, false, NULL);

    (void)state;
    pair.client->to_send = 100;
    end_pump(pair.client);
    simnet_run_for(pair.net, NS_PER_S);
    flow_close(&pair.server->flow);
    simnet_run_for(pair.net, NS_PER_S);
    assert_int_equal(pair.client->how, PEER_END_RESET);
    assert_int_equal(pair.server->how, PEER_END_LOCAL);
    simnet_end(pair.net);
}

static void closed_flow_that_is_freed_still_sends_all_it_has(void **state)
{
    struct end like = {.read_most = 0, .close_when_done = true};
    struct pair pair = open_pair(&like, false, NULL);

    (void)state;
    pair.client->to_send = 3 << 20;
    end_pump(pair.client);
    assert_int_equal(pair.client->sent, 3 << 20);
    flow_close(&pair.client->flow);
    end_free(pair.client);
    simnet_run_for(pair.net, 10 * NS_PER_S);
    assert_int_equal(pair.server->received, 3 << 20);
    assert_false(pair.server->wrong);
    assert_int_equal(pair.server->how, PEER_END_CLOSED);
    assert_int_equal(stats_of(pair.net).conns, 0);
    simnet_end(pair.net);
}

static void refused_connection_says_so_after_a_round_trip(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9"};
    struct simnet *net = simnet_new(&config);
    struct end *end = end_connect(net, IPPROTO_TCP, "198.18.0.2", 0, "198.18.0.3", 80);

    (void)state;
    uint64_t start_ns = simnet_now_ns(net);
    assert_true(simnet_run(net, end_is_over, end, start_ns + NS_PER_S));
    assert_int_equal(end->how, PEER_END_REFUSED);
    assert_int_equal(end->end_ns - start_ns, 2 * NS_PER_MS);
    simnet_end(net);
}

/* Both call each other from and to the same ports before either hears of it. */
static void calls_that_cross_become_one_connection_or_end(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9"};
    struct simnet *net = simnet_new(&config);
    struct end *a = end_connect(net, IPPROTO_TCP, "198.18.0.2", 5000, "198.18.0.3", 6000);
    struct end *b = end_connect(net, IPPROTO_TCP, "198.18.0.3", 6000, "198.18.0.2", 5000);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    simnet_run_for(net, 300 * NS_PER_S);
    assert_true((end_is_open(a) && end_is_open(b)) || (end_is_over(a) && end_is_over(b)));
    simnet_end(net);
}

/* ---- datagrams ---- */

static void exchange_datagrams(const char *peers, const char *from, const char *to, size_t bytes,
                               bool offload)
{
    struct simnet_config config = {.peers = peers, .offload = offload};
    struct simnet *net = simnet_new(&config);
    struct end like = {.echo = true};

    simnet_listen(net, IPPROTO_UDP, 53, &like);
    struct end *client = end_connect(net, IPPROTO_UDP, from, 0, to, 53);
    assert_non_null(client);
    client->receive_phase = 0; /* the echo of its own */
    client->write_most = bytes;
    client->to_send = 3 * bytes;
    end_pump(client);
    simnet_run_for(net, NS_PER_S);
    struct end *server = simnet_accepted(net);
    assert_non_null(server);
    assert_int_equal(server->received, 3 * bytes);
    assert_int_equal(client->received, 3 * bytes);
    assert_false(server->wrong || client->wrong);
    simnet_run_for(net, 5 * NS_PER_S);
    assert_true(simnet_next_ns(net) == TIMER_NEVER);
    simnet_end(net);
}

static void datagrams_of_all_sizes_come_back(void **state)
{
    static const size_t sizes[] = {1, 500, 1452, 1453, 1472, 1473, 2953, 9000, 40000, 65000};

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
        exchange_datagrams("198.18.0.2-198.18.0.9", "198.18.0.2", "198.18.0.3", sizes[i / 2],
                           i & 1);
        exchange_datagrams("2001:2::2-2001:2::9", "2001:2::2", "2001:2::3", sizes[i / 2], i & 1);
    }
}

static void longest_datagrams_come_back_and_longer_ones_are_refused(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9"};
    static uint8_t bytes[65536];

    (void)state;
    exchange_datagrams("198.18.0.2-198.18.0.9", "198.18.0.2", "198.18.0.3", 65507, false);
    exchange_datagrams("2001:2::2-2001:2::9", "2001:2::2", "2001:2::3", 65487, false);
    struct simnet *net = simnet_new(&config);
    struct end *end = end_connect(net, IPPROTO_UDP, "198.18.0.2", 0, "198.18.0.3", 53);
    assert_int_equal(flow_write(&end->flow, bytes, 65508, 0), -EMSGSIZE);
    simnet_end(net);
    config.peers = "2001:2::2-2001:2::9";
    net = simnet_new(&config);
    end = end_connect(net, IPPROTO_UDP, "2001:2::2", 0, "2001:2::3", 53);
    assert_int_equal(flow_write(&end->flow, bytes, 65488, 0), -EMSGSIZE);
    simnet_end(net);
}

static void closed_udp_port_is_reported_to_the_flow(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9"};
    struct simnet *net = simnet_new(&config);
    struct end *end = end_connect(net, IPPROTO_UDP, "198.18.0.2", 0, "198.18.0.3", 53);

    (void)state;
    end->write_most = end->to_send = 100;
    end_pump(end);
    simnet_run_for(net, NS_PER_S);
    assert_true(end->events & FLOW_UNREACHABLE);
    assert_int_equal(end->icmp_type, 3);
    assert_int_equal(end->icmp_code, 3);
    assert_int_equal(end->end_ns, 0); /* the flow stays */
    simnet_end(net);
}

static void resting_reader_of_datagrams_is_bounded(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9"};
    struct simnet *net = simnet_new(&config);
    struct end like = {.read_most = SIZE_MAX};

    (void)state;
    simnet_listen(net, IPPROTO_UDP, 53, &like);
    struct end *client = end_connect(net, IPPROTO_UDP, "198.18.0.2", 0, "198.18.0.3", 53);
    client->write_most = 1000;
    for (int i = 0; i < 50; i++) {
        client->to_send += 100000;
        end_pump(client);
        simnet_run_for(net, NS_PER_MS * 10);
    }
    struct peer_flow_info info;
    flow_info(&simnet_accepted(net)->flow, &info);
    assert_in_range(info.unread, 1 << 19, 1 << 20);
    simnet_end(net);
}

/* ---- many ---- */

static const char *peer_name(int number, char text[PEER_ADDR_TEXT])
{
    snprintf(text, PEER_ADDR_TEXT, "198.18.%d.%d", number / 250, 2 + number % 250);
    return text;
}

static void many_connections(int count, bool super)
{
    struct simnet_config config = {.peers = "198.18.0.0-198.18.15.255", .offload = super};
    struct simnet *net = simnet_new(&config);
    struct end like = {.echo = true, .close_when_done = true, .drop_when_ended = true};
    char from[PEER_ADDR_TEXT], to[PEER_ADDR_TEXT];

    simnet_listen(net, IPPROTO_TCP, 80, &like);
    for (int i = 0; i < count; i++) {
        struct end *end = end_connect(net, IPPROTO_TCP, peer_name(i % 1000, from), 0,
                                      peer_name((i * 7 + 13) % 1000, to), 80);
        assert_non_null(end);
        end->to_send = (uint64_t)(i % 30) * 999;
        end->shut_when_sent = end->close_when_done = end->drop_when_ended = true;
        if (i % 100 == 99)
            simnet_run_for(net, NS_PER_MS);
    }
    simnet_run_for(net, 10 * NS_PER_S);
    struct simnet_counts counts = simnet_counts(net);
    assert_int_equal(counts.open, 2 * (uint64_t)count);
    assert_int_equal(counts.closed, 2 * (uint64_t)count);
    assert_int_equal(counts.wrong, 0);
    assert_int_equal(stats_of(net).conns, 0);
    assert_int_equal(engine_flows(simnet_engine(net))->count, 0);
    assert_int_equal(stats_of(net).retransmits, 0);
    simnet_run_for(net, 70 * NS_PER_S);
    assert_int_equal(stats_of(net).time_wait, 0);
    assert_true(simnet_next_ns(net) == TIMER_NEVER);
    simnet_end(net);
}

static void ten_thousand_connections_open_transfer_and_close(void **state)
{
    (void)state;
    many_connections(10000, false);
    many_connections(10000, true);
}

static void idle_connections_have_no_timers(void **state)
{
    struct simnet_config config = {.peers = "198.18.0.0-198.18.15.255"};
    struct simnet *net = simnet_new(&config);
    struct end like = {.echo = true};
    char from[PEER_ADDR_TEXT];
    struct end *first = NULL;

    (void)state;
    simnet_listen(net, IPPROTO_TCP, 80, &like);
    for (int i = 0; i < 1000; i++) {
        struct end *end = end_connect(net, IPPROTO_TCP, peer_name(i, from), 0, "198.18.15.1", 80);
        assert_non_null(end);
        end->to_send = 1000;
        first = first ? first : end;
    }
    simnet_run_for(net, 2 * NS_PER_S);
    assert_int_equal(simnet_counts(net).open, 2000);
    assert_int_equal(simnet_counts(net).bytes, 2 * 1000 * 1000);
    uint64_t frames = simnet_frames(net);
    assert_true(simnet_next_ns(net) == TIMER_NEVER);
    simnet_run_for(net, 86400 * NS_PER_S);
    assert_int_equal(simnet_frames(net), frames);
    first->to_send += 1000; /* and it still works a day later */
    end_pump(first);
    simnet_run_for(net, NS_PER_S);
    assert_int_equal(first->received, 2000);
    assert_false(first->wrong);
    simnet_end(net);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        TEST(resting_reader_shuts_the_window_and_loses_nothing),
        TEST(slow_reader_gets_every_byte),
        TEST(probes_without_any_answer_end_the_connection),
        TEST(tiny_writes_arrive_in_order),
        TEST(tiny_writes_while_the_window_is_shut_are_bounded),
        TEST(half_closed_connection_carries_the_other_way),
        TEST(both_sides_close_at_once),
        TEST(time_wait_is_taken_over_by_a_new_connection),
        TEST(fin_wait_2_of_a_closed_flow_ends),
        TEST(reset_in_the_middle_ends_both_and_frees_all),
        TEST(close_with_unread_bytes_resets),
        TEST(closed_flow_that_is_freed_still_sends_all_it_has),
        TEST(refused_connection_says_so_after_a_round_trip),
        TEST(calls_that_cross_become_one_connection_or_end),
        TEST(datagrams_of_all_sizes_come_back),
        TEST(longest_datagrams_come_back_and_longer_ones_are_refused),
        TEST(closed_udp_port_is_reported_to_the_flow),
        TEST(resting_reader_of_datagrams_is_bounded),
        TEST(ten_thousand_connections_open_transfer_and_close),
        TEST(idle_connections_have_no_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
