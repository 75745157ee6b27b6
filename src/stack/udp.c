/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UDP flows: one connected lwIP control block a flow, found by the 5-tuple table like TCP. A
 * listener has none: the first datagram of a caller makes a flow of its own.
 *
 * What nobody takes is bounded, by the memory that it fills: further datagrams are lost, as they are
 * in a socket's receive buffer.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include "packet/bytes.h"

#include <stdlib.h>

static bool is_full(const struct stack *stack, const struct stack_conn *conn)
{
    return conn->charged_bytes >=
           (stack->held_bytes > LIMIT_HELD_BYTES ? LIMIT_HELD_SHARE : LIMIT_HELD_DATAGRAMS);
}

/* What follows behind the datagram in its packet is none of it: lwIP leaves it there. */
static void cut_rest(struct pbuf *p)
{
    const uint8_t *udp = (const uint8_t *)p->payload - UDP_HLEN;

    pbuf_realloc(p, (u16_t)MIN(get16(udp + 4) - UDP_HLEN, p->tot_len));
}

/* Called by lwIP. */
static void udp_received(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from,
                         u16_t port)
{
    struct stack *stack = stack_singleton;
    struct stack_conn *conn = arg;

    (void)pcb;
    (void)from;
    (void)port;
    if (is_full(stack, conn)) {
        stack->stats.limits[STACK_LIMIT_UNREAD]++;
        stack->stats.ignored++;
        pbuf_free(p);
        return;
    }
    cut_rest(p);
    if (conn->rx_tail)
        ((struct pbuf *)conn->rx_tail)->next = p;
    else
        conn->rx_head = p;
    conn->rx_bytes += p->tot_len;
    conn->charged_bytes += hold_bytes(p);
    for (; p->next; p = p->next)
        conn->charged_bytes += hold_bytes(p->next);
    conn->rx_tail = p;
    conn_mark(stack, conn, STACK_READABLE);
}

static int udp_open(struct stack *stack, struct stack_conn *conn, const struct stack_tuple *tuple)
{
    struct udp_pcb *pcb = udp_new();
    if (!pcb)
        return -ENOMEM;
    addr_to_lwip(&tuple->local, &pcb->local_ip);
    addr_to_lwip(&tuple->remote, &pcb->remote_ip);
    pcb->local_port = tuple->local_port;
    pcb->remote_port = tuple->remote_port;
    pcb->flags |= UDP_FLAGS_CONNECTED;
    udp_recv(pcb, udp_received, conn);
    conn->pcb = pcb;
    conn_apply_facts(conn);
    conn->ip_id = (uint16_t)peer_lwip_random();
    conn->protocol = IPPROTO_UDP;
    conn->flags |= CONN_OPEN;
    if (stack->ops->real_size && stack->ops->real_size(stack->user, conn->peer))
        conn->flags |= CONN_REAL_SIZE;
    list_init(&conn->ready);
    table_add(stack, conn, table_hash(stack, IPPROTO_UDP, tuple));
    stack->stats.conns++;
    return 0;
}

int stack_udp_connect(struct stack *stack, struct stack_conn *conn, struct stack_tuple *tuple)
{
    int64_t peer = addr_set_find(stack->peers, &tuple->local);
    if (peer < 0)
        return -EADDRNOTAVAIL;
    if (tuple->local.family != tuple->remote.family)
        return -EAFNOSUPPORT;
    if (stack->stats.conns >= stack->max_conns)
        return -ENOSPC;
    int status = table_reserve(stack);
    if (status == 0 && tuple->local_port == 0)
        status = port_choose(stack, IPPROTO_UDP, tuple);
    else if (status == 0 && table_find(stack, IPPROTO_UDP, tuple))
        status = -EADDRINUSE;
    if (status < 0)
        return status;
    conn->peer = (uint64_t)peer;
    return udp_open(stack, conn, tuple);
}

struct stack_conn *udp_adopt(struct stack *stack, struct stack_listener *listener,
                             struct stack_tuple *tuple)
{
    if (table_reserve(stack) < 0)
        return NULL;
    struct stack_conn *conn = stack->ops->accept(stack->user, listener, tuple);
    if (!conn)
        return NULL;
    conn->peer = stack->peer;
    conn->flags |= CONN_PASSIVE;
    if (udp_open(stack, conn, tuple) < 0) {
        list_init(&conn->ready);
        conn->end = PEER_END_RESET;
        conn_mark(stack, conn, STACK_CLOSED);
        return NULL;
    }
    conn_mark(stack, conn, STACK_ACCEPTED);
    return conn;
}

size_t stack_udp_write_room(const struct stack_conn *conn)
{
    return conn->pcb ? stack_datagram_max(IP_IS_V6_VAL(conn_udp(conn)->local_ip) ? 6 : 4) : 0;
}

static uint16_t udp_path_mtu(const struct stack *stack, const struct stack_conn *conn)
{
    return conn->segment_bytes ? conn->segment_bytes : stack->mtu;
}

/* `segment` is not 0 for a burst, which leaves whole. */
static int udp_send_packet(struct stack *stack, struct stack_conn *conn, const void *data,
                           size_t len, size_t segment)
{
    struct udp_pcb *pcb = conn_udp(conn);
    size_t ip_header = IP_IS_V6_VAL(pcb->local_ip) ? 40 : IP_HLEN;
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)len, PBUF_RAM);
    if (!p)
        return -ENOMEM;

    if (len)
        pbuf_take(p, data, (u16_t)len);
    context_enter(stack, conn);
    uint16_t mtu = udp_path_mtu(stack, conn);
    bool whole = segment || len + UDP_HLEN + ip_header <= mtu;
    stack->netif.mtu = segment ? 0xffff
                               : output_mtu(mtu, ip_header == IP_HLEN ? 4 : 6,
                                            (uint32_t)(len + UDP_HLEN + ip_header));
    stack->burst_segment = (uint16_t)segment;
    NETIF_SET_CHECKSUM_CTRL(&stack->netif, whole
                                               ? NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_GEN_UDP
                                               : NETIF_CHECKSUM_ENABLE_ALL);
    err_t error =
        udp_sendto_if_src(pcb, p, &pcb->remote_ip, pcb->remote_port, &stack->netif, &pcb->local_ip);
    stack->burst_segment = 0;
    context_leave(stack);
    pbuf_free(p);
    return errno_from_lwip(error);
}

int stack_udp_send(struct stack *stack, struct stack_conn *conn, const void *data, size_t len)
{
    if (!conn->pcb)
        return -EPIPE;
    if (len > stack_udp_write_room(conn))
        return -EMSGSIZE;
    return udp_send_packet(stack, conn, data, len, 0);
}

int stack_udp_send_burst(struct stack *stack, struct stack_conn *conn, const void *data, size_t len,
                         size_t segment)
{
    size_t ip_header, done = 0;

    if (!conn->pcb)
        return -EPIPE;
    ip_header = IP_IS_V6_VAL(conn_udp(conn)->local_ip) ? 40 : IP_HLEN;
    bool cut = stack->udp_segments && !(conn->flags & CONN_REAL_SIZE) && len > segment &&
               segment + UDP_HLEN + ip_header <= udp_path_mtu(stack, conn);
    if (!segment || len > STACK_SUPER_BYTES || len > segment * STACK_UDP_BURST)
        return -EMSGSIZE;
    if (cut)
        return udp_send_packet(stack, conn, data, len, segment);
    while (done < len) {
        size_t piece = MIN(segment, len - done);
        int status = stack_udp_send(stack, conn, (const char *)data + done, piece);
        if (status < 0)
            return status;
        done += piece;
    }
    return 0;
}
