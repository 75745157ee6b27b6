/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Datagrams for everybody: to the limited broadcast address, to the one of the local side's subnet,
 * to multicast groups, and on Ethernet whatever comes to everybody's MAC. Each peer with a listener
 * at the port has a copy, as if it had been sent to it alone: like a socket that is bound to any
 * address and has joined every group. It answers from its own address. A flow that a peer began
 * itself has a socket that is connected, and those hear no broadcasts.
 *
 * Nothing else is taken: no TCP, no echo requests (as Linux), and no datagram in pieces. Nobody
 * complains where nobody listens.
 */
#include "stack/internal.h"

#include <string.h>

/* A copy for each costs what a datagram costs, and the application has to hear as many answers: a
   single frame shall not keep the stack busy for long. */
enum { BROADCAST_PEERS_MAX = 1024 };

static bool is_for_everybody(const struct stack *stack, const struct frame *frame,
                             const struct peer_addr *to)
{
    static const uint8_t limited[4] = {255, 255, 255, 255};

    if (to->family == 6)
        return to->bytes[0] == 0xff;
    return memcmp(to->bytes, limited, 4) == 0 || to->bytes[0] >> 4 == 14 ||
           peer_addr_equal(to, &stack->broadcast) ||
           (stack->layer == FRAME_ETHERNET && frame->data[0] & 1);
}

/* An address that can be answered (RFC 1122, 3.2.1.3). */
static bool is_of_somebody(const struct peer_addr *from)
{
    static const uint8_t nobody[16] = {0};

    if (from->family == 6)
        return from->bytes[0] != 0xff && memcmp(from->bytes, nobody, 16) != 0;
    return from->bytes[0] < 224 && memcmp(from->bytes, nobody, 4) != 0;
}

static bool anybody_listens(const struct stack *stack, uint16_t port)
{
    struct list *node;

    list_each(node, &stack->listeners)
    {
        const struct stack_listener *listener = list_entry(node, struct stack_listener, node);
        if (listener->protocol == IPPROTO_UDP && listener->port == port)
            return true;
    }
    return false;
}

/* Has the peer a socket for it that is not connected to somebody? */
static bool peer_listens(const struct stack *stack, const struct stack_tuple *tuple)
{
    const struct stack_conn *conn = table_find(stack, IPPROTO_UDP, tuple);

    return conn ? conn->flags & CONN_PASSIVE && !(conn->flags & CONN_VANISHED)
                : listener_find(stack, IPPROTO_UDP, tuple) != NULL;
}

/* Peer number `peer` has a copy. Its checksums were right for the address that it had. */
static void deliver(struct stack *stack, const struct frame *frame, const struct packet *packet,
                    uint64_t peer, const struct peer_addr *to)
{
    struct frame *copy = frame_get(stack->frames, frame->len);
    struct packet read = *packet;

    if (!copy)
        return;
    memcpy(copy->data, frame->data, frame->len);
    copy->offload = frame->offload;
    copy->offload.flags |= FRAME_DATA_VALID;
    if (to->family == 6)
        memcpy(copy->data + packet->ip_at + 24, to->bytes, 16);
    else
        memcpy(copy->data + packet->ip_at + 16, to->bytes, 4);
    read.dst = *to;
    context_identity(stack, peer);
    input_transport(stack, copy, &read);
}

bool broadcast_input(struct stack *stack, const struct frame *frame, const struct packet *packet)
{
    uint64_t most = MIN(stack->peers->count, (uint64_t)BROADCAST_PEERS_MAX);

    if (packet->kind != PACKET_UDP || packet->fragment ||
        !is_for_everybody(stack, frame, &packet->dst) || !is_of_somebody(&packet->src) ||
        !anybody_listens(stack, packet->dst_port))
        return false;
    if (!(frame->offload.flags & (FRAME_NEEDS_CSUM | FRAME_DATA_VALID)) &&
        !checksum_verify(frame->data, frame->len, packet)) {
        stack->stats.bad++;
        return true;
    }
    for (uint64_t peer = 0; peer < most; peer++) {
        struct stack_tuple tuple = {.local = addr_set_at(stack->peers, peer),
                                    .remote = packet->src,
                                    .local_port = packet->dst_port,
                                    .remote_port = packet->src_port};
        if (tuple.local.family == packet->dst.family && peer_listens(stack, &tuple) &&
            !peer_addr_equal(&tuple.local, &packet->src))
            deliver(stack, frame, packet, peer, &tuple.local);
    }
    return true;
}
