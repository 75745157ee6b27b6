/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the loss of one particular segment costs, in virtual time and therefore exactly; how
 * connections begin and end; what an idle one costs. The wire takes 1 ms each way.
 */
#include "support/wire.h"

enum { RTT_MS = 2, TICK_MS = 10, BLOCK = 1000 };

struct world {
    struct wire wire;
    struct wire_flow client, server;
    uint64_t lose_number;  /* this frame is lost; 0: none */
    uint8_t lose_flags;    /* the first frame with these TCP flags is lost */
    uint32_t lose_payload; /* the lose_payload-th frame with payload is lost */
    uint32_t payloads;
    bool lost;
};

static bool loses(void *user, uint64_t number, const struct packet *packet)
{
    struct world *world = user;

    if (packet->payload_len)
        world->payloads++;
    bool hit =
        (world->lose_number && number == world->lose_number) ||
        (world->lose_flags && packet->tcp_flags == world->lose_flags) ||
        (world->lose_payload && packet->payload_len && world->payloads == world->lose_payload);
    if (!hit || world->lost)
        return false;
    world->lost = true;
    return true;
}

static struct flow *accept_one(void *user, struct stack_listener *listener,
                               const struct stack_tuple *tuple)
{
    struct world *world = user;

    (void)listener;
    (void)tuple;
    world->server.wire = &world->wire;
    flow_init_accepted(&world->server.flow, engine_flows(world->wire.engine), &wire_flow_ops);
    return &world->server.flow;
}

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    wire_init(&world->wire, "198.18.0.2-198.18.0.9", false, 7);
    world->wire.loses = loses;
    world->wire.accept = accept_one;
    world->wire.user = world;
    wire_listen(&world->wire, IPPROTO_TCP, "198.18.0.3", 7);
    return world;
}

static void world_free(struct world *world)
{
    wire_done(&world->wire);
    free(world);
}

static void call(struct world *world)
{
    assert_int_equal(
        wire_connect(&world->wire, &world->client, IPPROTO_TCP, "198.18.0.2", "198.18.0.3", 7), 0);
}

static void open_both(struct world *world)
{
    call(world);
    wire_run(&world->wire, 20 * NS_PER_MS, NULL);
    assert_true(world->client.seen & FLOW_CONNECTED);
    assert_true(world->server.seen & FLOW_ACCEPTED);
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
    uint64_t start_ns = world->wire.now_ns;

    (void)state;
    open_both(world);
    assert_int_equal(ms_since(world, start_ns, world->client.connected_ns), RTT_MS);
    assert_int_equal(world->client.flow.handshake_us, RTT_MS * 1000);
    world_free(world);
}

static void lost_syn_is_sent_again_after_a_second(void **state)
{
    struct world *world = world_new();
    uint64_t start_ns = world->wire.now_ns;

    (void)state;
    world->lose_number = 1;
    call(world);
    wire_run(&world->wire, 5 * NS_PER_S, NULL);
    assert_true(world->client.seen & FLOW_CONNECTED);
    assert_in_range(ms_since(world, start_ns, world->client.connected_ns), 1000,
                    1000 + RTT_MS + 2 * TICK_MS);
    world_free(world);
}

static void lost_answer_to_a_syn_is_sent_again_after_a_second(void **state)
{
    struct world *world = world_new();
    uint64_t start_ns = world->wire.now_ns;

    (void)state;
    world->lose_number = 2;
    call(world);
    wire_run(&world->wire, 5 * NS_PER_S, NULL);
    assert_true(world->client.seen & FLOW_CONNECTED);
    assert_in_range(ms_since(world, start_ns, world->client.connected_ns), 1000,
                    1000 + RTT_MS + 2 * TICK_MS);
    world_free(world);
}

/* Writes blocks, a segment each, loses one of them, and says when all had arrived. */
static uint64_t time_to_deliver(int blocks, uint32_t lose)
{
    struct world *world = world_new();
    uint8_t block[BLOCK] = {0};

    open_both(world);
    uint64_t start_ns = world->wire.now_ns;
    world->payloads = 0;
    world->lose_payload = lose;
    for (int i = 0; i < blocks; i++)
        assert_int_equal(flow_write(&world->client.flow, block, BLOCK, 0), BLOCK);
    wire_run(&world->wire, 10 * NS_PER_S, NULL);
    assert_int_equal(world->server.flow.conn.rx_bytes, blocks * BLOCK);
    uint64_t ms = ms_since(world, start_ns, world->server.readable_ns);
    if (lose)
        assert_int_equal(world->client.flow.conn.retransmits >= 1, 1);
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
    uint64_t start_ns = world->wire.now_ns;
    world->lose_flags = 0x11; /* FIN and ACK */
    flow_shutdown(&world->client.flow);
    wire_run(&world->wire, 5 * NS_PER_S, NULL);
    assert_true(world->lost);
    assert_true(world->server.seen & FLOW_EOF);
    assert_true(world->wire.now_ns - start_ns <= 5 * NS_PER_S);
    world_free(world);
}

static void half_close_leaves_the_other_way_open(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_both(world);
    flow_shutdown(&world->client.flow);
    wire_run(&world->wire, NS_PER_S, NULL);
    assert_int_equal(flow_write(&world->client.flow, "x", 1, 0), -EPIPE);
    assert_int_equal(flow_write(&world->server.flow, "hello", 5, 0), 5);
    wire_run(&world->wire, NS_PER_S, NULL);
    assert_int_equal(world->client.flow.conn.rx_bytes, 5);
    flow_consume(&world->client.flow, 5);
    flow_shutdown(&world->server.flow);
    wire_run(&world->wire, NS_PER_S, NULL);
    assert_int_equal(world->client.end, PEER_END_CLOSED);
    assert_int_equal(world->server.end, PEER_END_CLOSED);
    world_free(world);
}

static void both_close_at_once(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_both(world);
    flow_close(&world->client.flow);
    flow_close(&world->server.flow);
    wire_run(&world->wire, NS_PER_S, NULL);
    assert_int_equal(world->client.end, PEER_END_CLOSED);
    assert_int_equal(world->server.end, PEER_END_CLOSED);
    world_free(world);
}

static void reset_ends_the_other_side(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_both(world);
    flow_reset(&world->client.flow);
    assert_int_equal(world->client.end, PEER_END_LOCAL);
    wire_run(&world->wire, NS_PER_S, NULL);
    assert_int_equal(world->server.end, PEER_END_RESET);
    world_free(world);
}

static void closed_port_refuses(void **state)
{
    struct world *world = world_new();

    (void)state;
    assert_int_equal(
        wire_connect(&world->wire, &world->client, IPPROTO_TCP, "198.18.0.2", "198.18.0.3", 8), 0);
    wire_run(&world->wire, NS_PER_S, NULL);
    assert_int_equal(world->client.end, PEER_END_REFUSED);
    world_free(world);
}

static void closed_udp_port_is_reported(void **state)
{
    struct world *world = world_new();

    (void)state;
    assert_int_equal(
        wire_connect(&world->wire, &world->client, IPPROTO_UDP, "198.18.0.2", "198.18.0.3", 8), 0);
    assert_int_equal(flow_write(&world->client.flow, "x", 1, 0), 1);
    wire_run(&world->wire, NS_PER_S, NULL);
    assert_true(world->client.seen & FLOW_UNREACHABLE);
    assert_int_equal(world->client.flow.conn.icmp_type, 3);
    assert_int_equal(world->client.flow.conn.icmp_code, 3);
    world_free(world);
}

static void nobody_there_times_out(void **state)
{
    struct world *world = world_new();
    struct stack_tuple tuple = {
        .local = wire_addr("198.18.0.2"), .remote = wire_addr("192.0.2.1"), .remote_port = 80};

    (void)state;
    world->client.wire = &world->wire;
    flow_init(&world->client.flow, engine_flows(world->wire.engine), &wire_flow_ops);
    uint64_t start_ns = world->wire.now_ns;
    assert_int_equal(flow_connect(&world->client.flow, IPPROTO_TCP, &tuple, 3 * NS_PER_S), 0);
    wire_run(&world->wire, 100 * NS_PER_S, NULL);
    assert_int_equal(world->client.end, PEER_END_TIMEOUT);
    assert_int_equal(ms_since(world, start_ns, world->client.end_ns), 3000);
    assert_int_equal(world->wire.count, 4); /* at 0, 1, 2 s, and RST */
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
    wire_listen(&world->wire, IPPROTO_UDP, "198.18.0.3", 9);
    assert_int_equal(
        wire_connect(&world->wire, &world->client, IPPROTO_UDP, "198.18.0.2", "198.18.0.3", 9), 0);
    assert_int_equal(flow_write(&world->client.flow, large, sizeof(large), 0), sizeof(large));
    wire_run(&world->wire, NS_PER_S, NULL);
    int count = flow_peek(&world->server.flow, iov, 64);
    static uint8_t got[60000];
    assert_int_equal(iov_total(iov, count), sizeof(large));
    iov_gather(iov, count, got);
    assert_memory_equal(got, large, sizeof(large));
    world_free(world);
}

/* ---- many ---- */

enum { MANY = 1000 };
static struct wire_flow callers[MANY], servers[MANY];

static struct flow *accept_many(void *user, struct stack_listener *listener,
                                const struct stack_tuple *tuple)
{
    struct world *world = user;
    struct wire_flow *flow = &servers[world->payloads++];

    (void)listener;
    (void)tuple;
    flow->wire = &world->wire;
    flow_init_accepted(&flow->flow, engine_flows(world->wire.engine), &wire_flow_ops);
    return &flow->flow;
}

static void open_many(struct world *world)
{
    memset(callers, 0, sizeof(callers));
    memset(servers, 0, sizeof(servers));
    world->wire.accept = accept_many;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(
            wire_connect(&world->wire, &callers[i], IPPROTO_TCP, "198.18.0.2", "198.18.0.3", 7), 0);
    wire_run(&world->wire, NS_PER_S, NULL);
}

static void idle_connections_need_no_timer(void **state)
{
    struct world *world = world_new();

    (void)state;
    open_many(world);
    wire_run(&world->wire, 100 * NS_PER_S, NULL);
    for (int i = 0; i < MANY; i++)
        assert_true(callers[i].seen & FLOW_CONNECTED && servers[i].seen & FLOW_ACCEPTED);
    assert_true(engine_next_ns(world->wire.engine) == TIMER_NEVER);
    world_free(world);
}

static uint64_t digest_of_a_run(uint64_t seed)
{
    struct world *world = calloc(1, sizeof(*world));
    uint64_t digest;

    assert_non_null(world);
    wire_init(&world->wire, "198.18.0.2-198.18.0.9", false, seed);
    world->wire.user = world;
    wire_listen(&world->wire, IPPROTO_TCP, "198.18.0.3", 7);
    open_many(world);
    for (int i = 0; i < MANY; i++)
        flow_close(&callers[i].flow);
    wire_run(&world->wire, NS_PER_S, NULL);
    digest = world->wire.digest;
    world_free(world);
    return digest;
}

static void same_seed_same_frames(void **state)
{
    (void)state;
    uint64_t first = digest_of_a_run(5), second = digest_of_a_run(5), other = digest_of_a_run(6);

    assert_true(first == second);
    assert_true(first != other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_takes_one_round_trip),
        cmocka_unit_test(lost_syn_is_sent_again_after_a_second),
        cmocka_unit_test(lost_answer_to_a_syn_is_sent_again_after_a_second),
        cmocka_unit_test(segments_arrive_after_half_a_round_trip),
        cmocka_unit_test(lost_segment_with_others_behind_it_costs_a_round_trip),
        cmocka_unit_test(lost_last_segment_costs_no_more_than_a_linux_client),
        cmocka_unit_test(lost_fin_is_sent_again),
        cmocka_unit_test(half_close_leaves_the_other_way_open),
        cmocka_unit_test(both_close_at_once),
        cmocka_unit_test(reset_ends_the_other_side),
        cmocka_unit_test(closed_port_refuses),
        cmocka_unit_test(closed_udp_port_is_reported),
        cmocka_unit_test(nobody_there_times_out),
        cmocka_unit_test(datagrams_above_the_mtu_arrive_whole),
        cmocka_unit_test(idle_connections_need_no_timer),
        cmocka_unit_test(same_seed_same_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
