/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TAP, IPv4: ARP, which lwIP does, within bounds.
 *
 * lwIP's table has few places, takes in whoever asks for a peer, and gives the place of the oldest
 * away, which is that of the local machine. So in a second so many strangers get into it, by asking
 * or by being asked for; packets that wait for an answer are bounded by their bytes. Beyond that who
 * asks is not remembered, and answered so many times in a millisecond: he asks again. Packets go to the machine behind the device, whose MAC
 * is known: there is nobody else on this segment, but where the device was joined to a bridge.
 *
 * ND needs none of this: the peers ask for nobody (output.c), and what they are asked costs nothing
 * that stays.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include "lwip/etharp.h"
#include "netif/ethernet.h"

#include <string.h>

enum { ETHERNET_BYTES = 14, ARP_BYTES = 28, ARP_REPLY_CODE = 2 };

static void count_second(struct stack *stack)
{
    const uint64_t second = stack->now_ns / NS_PER_S;

    if (stack->neighbour_second == second)
        return;
    stack->neighbour_second = second;
    stack->neighbours = 0;
}

static bool is_known(struct stack *stack, const ip4_addr_t *addr)
{
    struct eth_addr *mac;
    const ip4_addr_t *at;

    return etharp_find_addr(&stack->netif, addr, &mac, &at) >= 0;
}

/* Is there no room for one more, neither in the table nor in the queues? */
static bool is_pressed(const struct stack *stack)
{
    return stack->neighbours >= LIMIT_NEIGHBOURS_IN_A_SECOND ||
           (uint64_t)lwip_stats.memp[MEMP_ARP_QUEUE]->used * stack->mtu > LIMIT_NEIGHBOUR_BYTES;
}

void neighbour_asked(struct stack *stack)
{
    count_second(stack);
    stack->neighbours++;
}

err_t neighbour_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    struct stack *stack = netif->state;
    struct eth_addr mac;

    if (is_pressed(stack)) {
        count_second(stack);
        if (is_pressed(stack) && !is_known(stack, to)) {
            stack->stats.limits[STACK_LIMIT_NEIGHBOURS]++;
            memcpy(mac.addr, stack->local_mac.bytes, sizeof(mac.addr));
            return ethernet_output(netif, p,
                                   (const struct eth_addr *)(const void *)netif->hwaddr, &mac,
                                   ETHTYPE_IP);
        }
    }
    return etharp_output(netif, p, to);
}

/* An answer costs the kernel's time, which callers need. */
static bool may_answer(struct stack *stack)
{
    const uint64_t now_ms = stack->now_ns / NS_PER_MS;

    if (stack->askers_ms != now_ms) {
        stack->askers_ms = now_ms;
        stack->askers = 0;
    }
    return stack->askers++ < LIMIT_STRANGERS_IN_A_MS;
}

/* The answer to a request, made of it. */
static void answer(struct stack *stack, struct frame *frame)
{
    uint8_t *arp = frame->data + ETHERNET_BYTES, asker[10];
    struct iovec iov = {frame->data, ETHERNET_BYTES + ARP_BYTES};
    const struct frame_offload offload = {0};

    memcpy(asker, arp + 8, sizeof(asker));
    memcpy(frame->data, asker, 6);
    memcpy(frame->data + 6, stack->netif.hwaddr, 6);
    arp[7] = ARP_REPLY_CODE;
    memcpy(arp + 8, stack->netif.hwaddr, 6);
    memcpy(arp + 14, arp + 24, 4);
    memcpy(arp + 18, asker, sizeof(asker));
    stack->ops->output(stack->user, stack->peer, &iov, 1, &offload);
}

bool neighbour_input(struct stack *stack, struct frame *frame, const struct packet *packet)
{
    uint8_t *arp = frame->data + ETHERNET_BYTES;
    ip4_addr_t asker;

    memcpy(&asker.addr, arp + 14, sizeof(asker.addr));
    count_second(stack);
    if (is_known(stack, &asker))
        return false;
    if (stack->neighbours < LIMIT_NEIGHBOURS_IN_A_SECOND) {
        stack->neighbours++;
        return false;
    }
    stack->stats.limits[STACK_LIMIT_NEIGHBOURS]++;
    if (packet->arp_op == ARP_REQUEST) {
        if (may_answer(stack) && !peer_addr_equal(&packet->src, &packet->dst)) /* that one announces itself */
            answer(stack, frame);
        return true;
    }
    memset(arp + 24, 0, 4); /* for nobody: whom lwIP has asked it finds, and takes in nobody else */
    return false;
}
