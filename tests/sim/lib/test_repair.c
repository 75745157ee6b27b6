/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the loss of one particular segment costs, in virtual time and therefore exactly; how
 * connections begin and end; what an idle one costs. The wire takes 1 ms each way.
 */
#include "support/simtest.h"

enum { RTT_MS = 2, TICK_MS = 10, BLOCK = 1000, PORT = 7 };

struct world {
    struct simnet *net;
    struct end *client, *server;
    uint64_t lose_number;  /* this frame is lost; 0: none */
    uint8_t lose_flags;    /* the first frame with these TCP flags is lost */
    uint32_t lose_payload; /* the lose_payload-th frame with payload is lost */
    uint32_t payloads;
    bool lost;
};

static const struct end idle = {.read_most = SIZE_MAX}; /* neither reads nor writes by itself */

static unsigned fate(void *user, const struct simnet_frame *frame, uint64_t *delay_ns)
{
    struct world *world = user;
    const struct packet *packet = &frame->packet;

    (void)delay_ns;
    if (packet->payload_len)
        world->payloads++;
    bool hit =
        (world->lose_number && frame->number == world->lose_number) ||
        (world->lose_flags && packet->tcp_flags == world->lose_flags) ||
        (world->lose_payload && packet->payload_len && world->payloads == world->lose_payload);
    if (!hit || world->lost)
        return 1;
    world->lost = true;
    return 0;
}

static struct world *world_with(uint64_t seed, uint64_t handshake_ns)
{
    struct world *world = calloc(1, sizeof(*world));
    struct simnet_config config = {.peers = "198.18.0.2-198.18.0.9",
                                   .seed = seed,
                                   .handshake_ns = handshake_ns,
                                   .fate = fate,
                                   .user = world};

    assert_non_null(world);
    world->net = simnet_new(&config);
    simnet_listen(world->net, IPPROTO_TCP, PORT, &idle);
    return world;
}

static struct world *world_new(void)
{
    return world_with(7, 0);
}

static void world_free(struct world *world)
{
    simnet_end(world->net);
    free(world);
}

static void call_at(struct world *world, uint8_t protocol, const char *to, uint16_t port)
{
    world->client = end_connect_like(world->net, &idle, protocol, "198.18.0.2", 0, to, port);
    assert_non_null(world->client);
}

static void call(struct world *world)
{
    call_at(world, IPPROTO_TCP, "198.18.0.3", PORT);
}

static void open_both(struct world *world)
{
    call(world);
    simnet_run_for(world->net, 20 * NS_PER_MS);
    world->server = simnet_accepted(world->net);
    assert_non_null(world->server);
    assert_true(world->client->events & FLOW_CONNECTED);
    assert_true(world->server->events & FLOW_ACCEPTED);
}

static uint64_t ms_since(const struct world *world, uint64_t start_ns, uint64_t at_ns)
{
    (void)world;
    assert_true(at_ns >= start_ns);
    return (at_ns - start_ns) / NS_PER_MS;
}

static void handshake_takes_one_round_trip(void **state)
{
    struct world *world = world_new();
    uint64_t start_ns = simnet_now_ns(world->net);

    (void)state;
    open_both(world);
    assert_int_equal(ms_since(world, start_ns, world->client->open_ns), RTT_MS);
    assert_int_equal(world->client->flow.handshake_ns, RTT_MS * NS_PER_MS);
    world_free(world);
}

/* The frame of this number is lost. */
static void assert_opens_a_second_later(uint64_t lost)
{
    struct world *world = world_new();
    uint64_t start_ns = simnet_now_ns(world->net);

    world->lose_number = lost;
    call(world);
    simnet_run_for(world->net, 5 * NS_PER_S);
    assert_true(world->client->events & FLOW_CONNECTED);
    assert_in_range(ms_since(world, start_ns, world->client->open_ns), 1000,
                    1000 + RTT_MS + 2 * TICK_MS);
    world_free(world);
}

static void lost_syn_is_sent_again_after_a_second(void **state)
{
    (void)state;
    assert_opens_a_second_later(1);
}

static void lost_answer_to_a_syn_is_sent_again_after_a_second(void **state)
{
    (void)state;
    assert_opens_a_second_later(2);
}

/* Writes blocks, a segment each, loses one of them, and says when all had arrived. */
static uint64_t time_to_deliver(int blocks, uint32_t lose)
{
    struct world *world = world_new();
    uint8_t block[BLOCK] = {0};

    open_both(world);
    uint64_t start_ns = simnet_now_ns(world->net);
    world->payloads = 0;
    world->lose_payload = lose;
    for (int i = 0; i < blocks; i++)
        assert_int_equal(flow_write(&world->client->flow, block, BLOCK, 0), BLOCK);
    simnet_run_for(world->net, 10 * NS_PER_S);
    assert_int_equal(world->server->flow.conn.rx_bytes, blocks * BLOCK);
    uint64_t ms = ms_since(world, start_ns, world->server->readable_ns);
    if (lose)
        assert_int_equal(world->client->flow.conn.retransmits >= 1, 1);
    world_free(world);
    return ms;
}

static void segments_arrive_after_half_a_round_trip(void **state)
{
    (void)state;
    assert_int_equal(time_to_deliver(8, 0), RTT_MS / 2);
}

static void lost_segment_with_others_behind_it_costs_a_round_trip(void **state)
{
    (void)state;
    assert_in_range(time_to_deliver(8, 2), RTT_MS, 3 * RTT_MS);
}

static void lost_last_segment_costs_no_more_than_a_linux_client(void **state)
{
    (void)state;
    /* 200 ms is the floor of Linux's RTO; a probe may be quicker. */
    assert_in_range(time_to_deliver(8, 8), RTT_MS, 200 + RTT_MS + 3 * TICK_MS);
    assert_in_range(time_to_deliver(1, 1), RTT_MS, 200 + RTT_MS + 3 * TICK_MS);
}

static void lost_fin_is_sent_again(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_both(world);
    uint64_t start_ns = simnet_now_ns(world->net);
    world->lose_flags = 0x11; /* FIN and ACK */
    flow_shutdown(&world->client->flow);
    simnet_run_for(world->net, 5 * NS_PER_S);
    assert_true(world->lost);
    assert_true(world->server->events & FLOW_EOF);
    assert_true(simnet_now_ns(world->net) - start_ns <= 5 * NS_PER_S);
    world_free(world);
}

static void half_close_leaves_the_other_way_open(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_both(world);
    flow_shutdown(&world->client->flow);
    simnet_run_for(world->net, NS_PER_S);
    assert_int_equal(flow_write(&world->client->flow, "x", 1, 0), -EPIPE);
    assert_int_equal(flow_write(&world->server->flow, "hello", 5, 0), 5);
    simnet_run_for(world->net, NS_PER_S);
    assert_int_equal(world->client->flow.conn.rx_bytes, 5);
    flow_consume(&world->client->flow, 5);
    flow_shutdown(&world->server->flow);
    simnet_run_for(world->net, NS_PER_S);
    assert_int_equal(world->client->how, PEER_END_CLOSED);
    assert_int_equal(world->server->how, PEER_END_CLOSED);
    world_free(world);
}

static void both_close_at_once(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_both(world);
    flow_close(&world->client->flow);
    flow_close(&world->server->flow);
    simnet_run_for(world->net, NS_PER_S);
    assert_int_equal(world->client->how, PEER_END_CLOSED);
    assert_int_equal(world->server->how, PEER_END_CLOSED);
    world_free(world);
}

static void reset_ends_the_other_side(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_both(world);
    flow_reset(&world->client->flow);
    assert_int_equal(world->client->how, PEER_END_LOCAL);
    simnet_run_for(world->net, NS_PER_S);
    assert_int_equal(world->server->how, PEER_END_RESET);
    world_free(world);
}

static void closed_port_refuses(void **state)
{
    struct world *world = world_new();

    (void)state;
    call_at(world, IPPROTO_TCP, "198.18.0.3", 8);
    simnet_run_for(world->net, NS_PER_S);
    assert_int_equal(world->client->how, PEER_END_REFUSED);
    world_free(world);
}

static void closed_udp_port_is_reported(void **state)
{
    struct world *world = world_new();

    (void)state;
    call_at(world, IPPROTO_UDP, "198.18.0.3", 8);
    assert_int_equal(flow_write(&world->client->flow, "x", 1, 0), 1);
    simnet_run_for(world->net, NS_PER_S);
    assert_true(world->client->events & FLOW_UNREACHABLE);
    assert_int_equal(world->client->flow.conn.icmp_type, 3);
    assert_int_equal(world->client->flow.conn.icmp_code, 3);
    world_free(world);
}

static void nobody_there_times_out(void **state)
{
    struct world *world = world_with(7, 3 * NS_PER_S);
    uint64_t start_ns = simnet_now_ns(world->net);

    (void)state;
    call_at(world, IPPROTO_TCP, "192.0.2.1", 80);
    simnet_run_for(world->net, 100 * NS_PER_S);
    assert_int_equal(world->client->how, PEER_END_TIMEOUT);
    assert_int_equal(ms_since(world, start_ns, world->client->end_ns), 3000);
    assert_int_equal(simnet_frames(world->net), 4); /* at 0, 1, 2 s, and RST */
    world_free(world);
}

static void datagrams_above_the_mtu_arrive_whole(void **state)
{
    struct world *world = world_new();
    static uint8_t large[60000];
    struct iovec iov[64];

    (void)state;
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * 7);
    simnet_listen(world->net, IPPROTO_UDP, 9, &idle);
    call_at(world, IPPROTO_UDP, "198.18.0.3", 9);
    assert_int_equal(flow_write(&world->client->flow, large, sizeof(large), 0), sizeof(large));
    simnet_run_for(world->net, NS_PER_S);
    int count = flow_peek(&simnet_accepted(world->net)->flow, iov, 64);
    static uint8_t got[60000];
    assert_int_equal(iov_total(iov, count), sizeof(large));
    iov_gather(iov, count, got);
    assert_memory_equal(got, large, sizeof(large));
    world_free(world);
}

/* ---- many ---- */

enum { MANY = 1000 };
static struct end *callers[MANY];

static void open_many(struct world *world)
{
    for (int i = 0; i < MANY; i++) {
        call(world);
        callers[i] = world->client;
    }
    simnet_run_for(world->net, NS_PER_S);
}

static void idle_connections_need_no_timer(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_many(world);
    simnet_run_for(world->net, 100 * NS_PER_S);
    for (int i = 0; i < MANY; i++)
        assert_true(callers[i]->events & FLOW_CONNECTED);
    assert_int_equal(simnet_counts(world->net).open, 2 * MANY);
    assert_true(simnet_next_ns(world->net) == TIMER_NEVER);
    world_free(world);
}

static uint64_t hash_of_a_run(uint64_t seed)
{
    struct world *world = world_with(seed, 0);

    open_many(world);
    for (int i = 0; i < MANY; i++)
        flow_close(&callers[i]->flow);
    simnet_run_for(world->net, NS_PER_S);
    uint64_t hash = simnet_hash(world->net);
    world_free(world);
    return hash;
}

static void same_seed_same_frames(void **state)
{
    (void)state;
    uint64_t first = hash_of_a_run(5), second = hash_of_a_run(5), other = hash_of_a_run(6);

    assert_true(first == second);
    assert_true(first != other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(handshake_takes_one_round_trip),
        TEST(lost_syn_is_sent_again_after_a_second),
        TEST(lost_answer_to_a_syn_is_sent_again_after_a_second),
        TEST(segments_arrive_after_half_a_round_trip),
        TEST(lost_segment_with_others_behind_it_costs_a_round_trip),
        TEST(lost_last_segment_costs_no_more_than_a_linux_client),
        TEST(lost_fin_is_sent_again),
        TEST(half_close_leaves_the_other_way_open),
        TEST(both_close_at_once),
        TEST(reset_ends_the_other_side),
        TEST(closed_port_refuses),
        TEST(closed_udp_port_is_reported),
        TEST(nobody_there_times_out),
        TEST(datagrams_above_the_mtu_arrive_whole),
        TEST(idle_connections_need_no_timer),
        TEST(same_seed_same_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
