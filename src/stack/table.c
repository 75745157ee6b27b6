/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The 5-tuple table: every connection, UDP flow and TIME-WAIT remainder is found here in O(1),
 * instead of by lwIP's walk along its lists.
 *
 * Chained buckets, doubled when there is one entry a bucket on average. An entry keeps 32 bits of
 * its hash, so that nearly every comparison that touches lwIP's control block is a hit.
 *
 * The hash is siphash under a key of the run, so whoever talks to the peers cannot choose addresses
 * that fall into one bucket. That holds for each table that a packet reaches:
 *
 *   connections and what remains of them   here
 *   places of ports, of pairs of addresses ports.c (reached by our own calls only)
 *   limits of ICMP errors                  answer.c
 *   callers that are known, and their set  siege.c
 *   wires of the peers                     engine/wires.c
 *
 * Fragments, neighbours and listeners are lists of bounded length.
 */
#include "stack/internal.h"

#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

uint32_t table_hash(const struct stack *stack, uint8_t protocol, const struct stack_tuple *tuple)
{
    struct {
        uint16_t local_port, remote_port;
        uint8_t protocol, family, zero[2];
        uint8_t addresses[32];
    } input = {.local_port = tuple->local_port,
               .remote_port = tuple->remote_port,
               .protocol = protocol,
               .family = tuple->local.family};
    size_t len = tuple->local.family == 6 ? 16 : 4;

    memcpy(input.addresses, tuple->local.bytes, len);
    memcpy(input.addresses + len, tuple->remote.bytes, len);
    uint64_t hash = siphash(stack->table_key, &input, offsetof(typeof(input), addresses) + 2 * len);
    return (uint32_t)(hash ^ hash >> 32);
}

static void table_insert(struct stack *stack, struct stack_conn *conn)
{
    struct stack_conn **bucket = &stack->table[conn->hash >> (32 - stack->table_bits)];

    conn->hash_next = *bucket;
    *bucket = conn;
}

/* Makes room for one more. */
int table_reserve(struct stack *stack)
{
    uint64_t size = stack->table ? (uint64_t)1 << stack->table_bits : 0;
    if (stack->table_used < size || stack->table_bits == 31)
        return 0;

    uint32_t bits = stack->table ? stack->table_bits + 1 : 8;
    struct stack_conn **old = stack->table;
    struct stack_conn **table = calloc((size_t)1 << bits, sizeof(struct stack_conn *));
    if (!table)
        return -ENOMEM;
    stack->table = table;
    stack->table_bits = bits;
    for (uint64_t i = 0; i < size; i++) {
        struct stack_conn *next;
        for (struct stack_conn *conn = old[i]; conn; conn = next) {
            next = conn->hash_next;
            table_insert(stack, conn);
        }
    }
    free(old);
    return 0;
}

void table_add(struct stack *stack, struct stack_conn *conn, uint32_t hash)
{
    conn->hash = hash;
    table_insert(stack, conn);
    stack->table_used++;
}

void table_remove(struct stack *stack, struct stack_conn *conn)
{
    struct stack_conn **link = &stack->table[conn->hash >> (32 - stack->table_bits)];

    while (*link && *link != conn)
        link = &(*link)->hash_next;
    if (!*link)
        return;
    *link = conn->hash_next;
    conn->hash_next = NULL;
    stack->table_used--;
    stack->table_removals++;
}

static bool conn_matches(const struct stack_conn *conn, uint8_t protocol, const ip_addr_t *local,
                         const ip_addr_t *remote, const struct stack_tuple *tuple)
{
    if (conn->protocol != protocol)
        return false;
    const struct ip_pcb *ip = conn->pcb;
    uint16_t local_port, remote_port;
    if (protocol == IPPROTO_TCP) {
        local_port = conn_tcp(conn)->local_port;
        remote_port = conn_tcp(conn)->remote_port;
    } else {
        local_port = conn_udp(conn)->local_port;
        remote_port = conn_udp(conn)->remote_port;
    }
    return local_port == tuple->local_port && remote_port == tuple->remote_port &&
           ip_addr_eq(&ip->local_ip, local) && ip_addr_eq(&ip->remote_ip, remote);
}

struct stack_conn *table_find(const struct stack *stack, uint8_t protocol,
                              const struct stack_tuple *tuple)
{
    if (!stack->table_used)
        return NULL;
    ip_addr_t local, remote;
    addr_to_lwip(&tuple->local, &local);
    addr_to_lwip(&tuple->remote, &remote);

    uint32_t hash = table_hash(stack, protocol, tuple);
    struct stack_conn *conn = stack->table[hash >> (32 - stack->table_bits)];
    for (; conn; conn = conn->hash_next) {
        if (conn->hash == hash && conn_matches(conn, protocol, &local, &remote, tuple))
            return conn;
    }
    return NULL;
}

struct stack_listener *listener_by_id(const struct stack *stack, uint16_t id)
{
    struct list *node;

    list_each(node, &stack->listeners)
    {
        struct stack_listener *listener = list_entry(node, struct stack_listener, node);
        if (id && listener->id == id)
            return listener;
    }
    return NULL;
}

struct stack_listener *listener_find(const struct stack *stack, uint8_t protocol,
                                     const struct stack_tuple *tuple)
{
    struct stack_listener *any = NULL;
    struct list *node;

    list_each(node, &stack->listeners)
    {
        struct stack_listener *listener = list_entry(node, struct stack_listener, node);
        if (listener->protocol != protocol || listener->port != tuple->local_port)
            continue;
        if (listener->at.family == 0)
            any = listener;
        else if (peer_addr_equal(&listener->at, &tuple->local))
            return listener;
    }
    return any;
}
