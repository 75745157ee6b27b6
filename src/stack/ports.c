/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Port numbers and initial sequence numbers.
 *
 * TCP ports are chosen as by Linux (RFC 6056, 3.3.4): a start that depends on source, destination,
 * its port and a key; then each connection takes the next even port but a few, the odd ones when
 * these are all in use, and the rest when all that Linux clients use are. UDP ports are random: a
 * counter goes through a permutation of the range, so each comes once in a round.
 * A tuple in TIME-WAIT for a second or more may be taken again, as RFC 6191 allows with timestamps.
 */
#include "stack/internal.h"

#include "base/rng.h"

#include "arch/hooks.h"

#include <string.h>

enum {
    EPHEMERAL_FIRST = 32768, /* net.ipv4.ip_local_port_range */
    EPHEMERAL_COUNT = 28232,
    /* on to the last, and from the first that needs no privilege */
    REST_FIRST = EPHEMERAL_FIRST + EPHEMERAL_COUNT,
    REST_COUNT = PEER_PORTS - EPHEMERAL_COUNT,
    TCP_STEP_MOST = 8,
};

struct port_range {
    uint32_t first, stride, count;
};

static const struct port_range tcp_ranges[] = {
    {EPHEMERAL_FIRST, 2, EPHEMERAL_COUNT / 2},
    {EPHEMERAL_FIRST + 1, 2, EPHEMERAL_COUNT / 2},
    {REST_FIRST, 1, REST_COUNT},
};
static const struct port_range udp_ranges[] = {
    {EPHEMERAL_FIRST, 1, EPHEMERAL_COUNT},
    {REST_FIRST, 1, REST_COUNT},
};

/* A permutation of 0 to 65535, for each `key` another: a Feistel network of two bytes. */
static uint32_t permute(uint32_t value, uint64_t key)
{
    uint32_t left = value >> 8, right = value & 255;

    for (int round = 0; round < 4; round++, key >>= 16) {
        uint32_t mixed = (right + 1) * (uint32_t)((key & 0xffff) | 1) * 0x9e3779b1u;
        uint32_t next = left ^ (mixed >> 24);
        left = right;
        right = next;
    }
    return left << 8 | right;
}

/* Likewise of 0 to `count` - 1: what falls out goes on until it is in. */
static uint32_t permute_below(uint32_t value, uint32_t count, uint64_t key)
{
    do {
        value = permute(value, key);
    } while (value >= count);
    return value;
}

static uint16_t port_at(const struct port_range *range, uint32_t position)
{
    uint32_t port = range->first + range->stride * position;

    if (port > PEER_PORT_MAX)
        port = PEER_PORT_ANY_USER + (port - PEER_PORT_MAX - 1);
    return (uint16_t)port;
}

static bool port_free(struct stack *stack, uint8_t protocol, const struct stack_tuple *tuple)
{
    struct stack_conn *conn = table_find(stack, protocol, tuple);
    if (!conn)
        return true;
    if (!(conn->flags & CONN_TIME_WAIT) || conn->flags & CONN_VANISHED)
        return false;
    uint32_t age = stack->now_tick - conn_tcp(conn)->tmr;
    if ((uint64_t)age * STACK_TICK_NS < NS_PER_S)
        return false;
    time_wait_free(stack, conn);
    return true;
}

/* How many ranges of a key were found full, until any connection has ended. */
static size_t ranges_full(const struct stack *stack, uint64_t key)
{
    const struct port_hint *hint = &stack->port_hints[key % ARRAY_SIZE(stack->port_hints)];
    return hint->key == key && hint->removals == stack->table_removals ? hint->full : 0;
}

static void ranges_set_full(struct stack *stack, uint64_t key, size_t full)
{
    stack->port_hints[key % ARRAY_SIZE(stack->port_hints)] =
        (struct port_hint){.key = key, .removals = stack->table_removals, .full = full};
}

/* The first port of a range that is free, from a place on; false: none is. */
static bool range_search(struct stack *stack, uint8_t protocol, const struct port_range *range,
                         uint64_t key, uint32_t start, struct stack_tuple *tuple)
{
    for (uint32_t i = 0; i < range->count; i++) {
        uint32_t position = (start + i) % range->count;
        if (protocol == IPPROTO_UDP)
            position = permute_below(position, range->count, key);
        tuple->local_port = port_at(range, position);
        if (!port_free(stack, protocol, tuple))
            continue;
        if (protocol == IPPROTO_TCP)
            stack->port_turns[key % PORT_TURNS] +=
                i + 1 + peer_lwip_random() % TCP_STEP_MOST;
        return true;
    }
    return false;
}

int port_choose(struct stack *stack, uint8_t protocol, struct stack_tuple *tuple)
{
    struct {
        uint8_t local[16], remote[16];
        uint64_t port;
    } input = {.port = (uint64_t)tuple->remote_port << 8 | protocol};
    memcpy(input.local, tuple->local.bytes, 16);
    memcpy(input.remote, tuple->remote.bytes, 16);
    uint64_t key = siphash(stack->port_key, &input, sizeof(input));
    bool udp = protocol == IPPROTO_UDP;
    const struct port_range *ranges = udp ? udp_ranges : tcp_ranges;
    size_t count = udp ? ARRAY_SIZE(udp_ranges) : ARRAY_SIZE(tcp_ranges);
    uint32_t start = udp ? stack->port_turn++
                         : stack->port_turns[key % PORT_TURNS] + (uint32_t)(key >> 40);

    for (size_t r = ranges_full(stack, key); r < count; r++) {
        if (range_search(stack, protocol, &ranges[r], key, start, tuple))
            return 0;
        ranges_set_full(stack, key, r + 1);
    }
    tuple->local_port = 0;
    return -EADDRINUSE;
}

/* RFC 6528: ISN = M + F(tuple, key), M a counter that ticks every 4 us. */
u32_t peer_hook_tcp_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
                        u16_t remote_port)
{
    struct stack *stack = stack_singleton;
    struct peer_addr local, remote;
    if (stack->cookie)
        return *stack->cookie;
    struct {
        uint8_t local[16], remote[16];
        uint16_t local_port, remote_port;
        uint8_t zero[4];
    } input = {.local_port = local_port, .remote_port = remote_port};

    addr_from_lwip(local_ip, &local);
    addr_from_lwip(remote_ip, &remote);
    memcpy(input.local, local.bytes, 16);
    memcpy(input.remote, remote.bytes, 16);
    uint64_t hash = siphash(stack->isn_key, &input, sizeof(input));
    return (u32_t)(stack->now_ns / 4000 + hash);
}

uint32_t clock_offset(const struct stack *stack, const struct stack_tuple *tuple)
{
    struct {
        uint8_t local[16], remote[16];
        uint32_t ports;
    } input = {.ports = (uint32_t)tuple->local_port << 16 | tuple->remote_port};

    memcpy(input.local, tuple->local.bytes, 16);
    memcpy(input.remote, tuple->remote.bytes, 16);
    return (uint32_t)siphash(stack->clock_key, &input, sizeof(input));
}

uint32_t peer_lwip_random(void)
{
    struct stack *stack = stack_singleton;
    if (!stack)
        return 0; /* lwip_init asks for a first port, which we never use */
    uint64_t input = stack->random++;
    return (uint32_t)siphash(stack->port_key, &input, sizeof(input));
}
