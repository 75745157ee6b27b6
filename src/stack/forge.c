/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that no connection of ours would send, made by hand and sent from a peer's address: stray
 * segments, a router's "fragmentation needed", the SYNs of a flood.
 */
#include "stack/internal.h"

#include "packet/bytes.h"

#include "arch/hooks.h"

#include <string.h>

enum { ETHERNET_BYTES = 14, PMTU_QUOTE = 20, FLOOD_PORTS = 1024 };
enum { V4_UNREACHABLE = 3, V4_FRAGMENTATION_NEEDED = 4, V6_TOO_BIG = 2, ICMP_HEADER = 8 };

static uint32_t ip_header_bytes(uint8_t family)
{
    return family == 6 ? IP6_HLEN : IP_HLEN;
}

/* What stands in an IP header. */
struct ip_header {
    const struct peer_addr *src, *dst;
    uint8_t protocol, ttl, tos;
    uint32_t payload; /* bytes that follow */
};

/* `ip` is zeroed. */
static void put_ip(uint8_t *ip, const struct ip_header *header)
{
    if (header->src->family == 6) {
        ip[0] = (uint8_t)(0x60 | header->tos >> 4);
        ip[1] = (uint8_t)(header->tos << 4);
        put16(ip + 4, header->payload);
        ip[6] = header->protocol;
        ip[7] = header->ttl;
        memcpy(ip + 8, header->src->bytes, 16);
        memcpy(ip + 24, header->dst->bytes, 16);
        return;
    }
    ip[0] = 0x45;
    ip[1] = header->tos;
    put16(ip + 2, IP_HLEN + header->payload);
    ip[6] = 0x40; /* don't fragment */
    ip[8] = header->ttl;
    ip[9] = header->protocol;
    memcpy(ip + 12, header->src->bytes, 4);
    memcpy(ip + 16, header->dst->bytes, 4);
    uint16_t sum = checksum_finish(checksum_add(0, ip, IP_HLEN));
    memcpy(ip + 10, &sum, sizeof(sum));
}

/* A zeroed frame for an IP packet of `len` bytes from `src`, to `mac` (NULL: the local machine's);
   *ret_ip is where the packet begins. */
static struct frame *frame_for(struct stack *stack, const struct peer_addr *src, const uint8_t *mac,
                               uint32_t len, uint64_t *ret_peer, uint8_t **ret_ip)
{
    int64_t peer = addr_set_find(stack->peers, src);
    uint32_t at = stack->layer == FRAME_ETHERNET ? ETHERNET_BYTES : 0;
    struct frame *frame = peer < 0 ? NULL : frame_get(stack->frames, at + len);

    if (!frame)
        return NULL;
    memset(frame->data, 0, frame->len);
    if (at) {
        struct peer_mac own = mac_add(stack->first_mac, (uint64_t)peer);
        memcpy(frame->data, mac ? mac : stack->local_mac.bytes, 6);
        memcpy(frame->data + 6, own.bytes, 6);
        put16(frame->data + 12, src->family == 6 ? 0x86dd : 0x0800);
    }
    *ret_peer = (uint64_t)peer;
    *ret_ip = frame->data + at;
    return frame;
}

static void send_frame(struct stack *stack, uint64_t peer, struct frame *frame)
{
    struct iovec iov = {frame->data, frame->len};
    struct frame_offload offload = {0};

    stack->ops->output(stack->user, peer, &iov, 1, &offload);
    frame_put(frame);
}

void forge_tcp(struct stack *stack, const struct forged_segment *segment)
{
    const struct stack_tuple *tuple = &segment->tuple;
    uint32_t header = TCP_HLEN + segment->options_len, tcp_len = header + segment->payload_len;
    uint32_t at = ip_header_bytes(tuple->local.family);
    uint64_t peer;
    uint8_t *ip;
    struct frame *frame =
        frame_for(stack, &tuple->local, segment->mac, at + tcp_len, &peer, &ip);

    if (!frame)
        return;
    uint8_t *tcp = ip + at;
    put_ip(ip, &(struct ip_header){.src = &tuple->local,
                                   .dst = &tuple->remote,
                                   .protocol = IPPROTO_TCP,
                                   .payload = tcp_len,
                                   .ttl = TCP_TTL,
                                   .tos = segment->tos});
    put16(tcp, tuple->local_port);
    put16(tcp + 2, tuple->remote_port);
    put32(tcp + 4, segment->seq);
    put32(tcp + 8, segment->ack);
    tcp[12] = (uint8_t)(header / 4 << 4);
    tcp[13] = segment->flags;
    put16(tcp + 14, segment->window);
    if (segment->options_len)
        memcpy(tcp + TCP_HLEN, segment->options, segment->options_len);
    if (segment->payload_len)
        memcpy(tcp + header, segment->payload, segment->payload_len);
    uint64_t sum = checksum_pseudo(&tuple->local, &tuple->remote, IPPROTO_TCP, tcp_len);
    uint16_t checksum = checksum_finish(checksum_add(sum, tcp, tcp_len));
    memcpy(tcp + 16, &checksum, sizeof(checksum));
    if (tuple->local.family == 6)
        output_flow_label(stack, ip);
    send_frame(stack, peer, frame);
}

void forge_icmp(struct stack *stack, const struct forged_icmp *message)
{
    bool v6 = message->from.family == 6;
    uint8_t protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    uint32_t at = ip_header_bytes(message->from.family), len = ICMP_HEADER + message->quote_len;
    uint64_t peer;
    uint8_t *ip;
    struct frame *frame = frame_for(stack, &message->from, message->mac, at + len, &peer, &ip);

    if (!frame)
        return;
    uint8_t *icmp = ip + at;
    icmp[0] = message->type;
    icmp[1] = message->code;
    put32(icmp + 4, message->rest);
    memcpy(icmp + ICMP_HEADER, message->quote, message->quote_len);
    uint64_t sum = v6 ? checksum_pseudo(&message->from, &message->to, protocol, len) : 0;
    uint16_t checksum = checksum_finish(checksum_add(sum, icmp, len));
    memcpy(icmp + 2, &checksum, sizeof(checksum));
    put_ip(ip, &(struct ip_header){.src = &message->from,
                                   .dst = &message->to,
                                   .protocol = protocol,
                                   .payload = len,
                                   .ttl = message->hops ? message->hops : ICMP_TTL,
                                   .tos = message->tos});
    if (v6) {
        output_flow_label(stack, ip);
    } else {
        put16(ip + 4, output_ip_id(stack, &message->from, &message->to));
        ip[6] = 0; /* a router may cut it */
        memset(ip + 10, 0, 2);
        checksum = checksum_finish(checksum_add(0, ip, IP_HLEN));
        memcpy(ip + 10, &checksum, sizeof(checksum));
    }
    send_frame(stack, peer, frame);
}

/* ---- stray segments ---- */

/* A port of the peer that has no connection to the same place. */
static uint16_t port_of_nobody(const struct stack *stack, struct stack_tuple tuple)
{
    do {
        tuple.local_port = (uint16_t)(tuple.local_port < PEER_PORT_MAX ? tuple.local_port + 1
                                                                       : PEER_PORT_ANY_USER);
    } while (table_find(stack, IPPROTO_TCP, &tuple));
    return tuple.local_port;
}

int stack_stray(struct stack *stack, struct stack_conn *conn)
{
    static const char text[] = "stray";
    if (conn->protocol != IPPROTO_TCP || !conn->pcb || !(conn->flags & CONN_OPEN) ||
        conn->flags & CONN_TIME_WAIT)
        return -ENOTCONN;
    if (conn->flags & CONN_VANISHED)
        return 0;
    const struct tcp_pcb *pcb = conn->pcb;
    struct forged_segment segment = {
        .seq = pcb->snd_nxt,
        .ack = pcb->rcv_nxt,
        .flags = TCP_ACK | TCP_PSH,
        .window = (uint16_t)TCPWND_MIN16(RCV_WND_SCALE(pcb, pcb->rcv_ann_wnd)),
        .payload = text,
        .payload_len = sizeof(text) - 1};

    stack_conn_tuple(conn, &segment.tuple);
    struct forged_segment other = segment, old = segment, beyond = segment;
    other.tuple.local_port = port_of_nobody(stack, segment.tuple);
    old.flags = TCP_ACK;
    old.ack--;
    old.payload_len = 0;
    beyond.seq += 1u << 30; /* the largest window there can be (RFC 7323, 2.3) */
    forge_tcp(stack, &other);
    forge_tcp(stack, &old);
    forge_tcp(stack, &beyond);
    return 0;
}

/* ---- a router on the way ---- */

/* The beginning of a packet that the application may just have sent. TCP's sequence number must be
   of a byte in flight, or the kernel does not believe it: the first that we have not acknowledged.
 */
static void put_quote(uint8_t *ip, const struct stack_conn *conn, const struct stack_tuple *tuple,
                      uint32_t len)
{
    uint32_t at = ip_header_bytes(tuple->local.family);
    uint8_t *transport = ip + at;

    put_ip(ip, &(struct ip_header){.src = &tuple->remote,
                                   .dst = &tuple->local,
                                   .protocol = conn->protocol,
                                   .payload = len - at,
                                   .ttl = 63});
    put16(transport, tuple->remote_port);
    put16(transport + 2, tuple->local_port);
    if (conn->protocol == IPPROTO_UDP) {
        put16(transport + 4, len - at);
        return;
    }
    put32(transport + 4, conn_tcp(conn)->rcv_nxt);
    put32(transport + 8, conn_tcp(conn)->snd_nxt);
    transport[12] = 5 << 4;
    transport[13] = TCP_ACK;
}

int stack_pmtu(struct stack *stack, struct stack_conn *conn, uint16_t mtu)
{
    struct stack_tuple tuple;
    if (conn->flags & CONN_TIME_WAIT || !stack_conn_tuple(conn, &tuple))
        return -ENOTCONN;
    bool v6 = tuple.local.family == 6;
    struct peer_addr router = addr_set_at(stack->peers, (conn->peer + 1) % stack->peers->count);
    uint32_t at = ip_header_bytes(tuple.local.family);
    uint32_t icmp_len = ICMP_HEADER + at + PMTU_QUOTE;
    uint64_t peer;
    uint8_t *ip;
    struct frame *frame = frame_for(stack, &router, NULL, at + icmp_len, &peer, &ip);
    if (!frame)
        return -ENOMEM;

    uint8_t *icmp = ip + at;
    uint8_t protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    put_ip(ip, &(struct ip_header){.src = &router,
                                   .dst = &tuple.remote,
                                   .protocol = protocol,
                                   .payload = icmp_len,
                                   .ttl = ICMP_TTL});
    icmp[0] = v6 ? V6_TOO_BIG : V4_UNREACHABLE;
    icmp[1] = v6 ? 0 : V4_FRAGMENTATION_NEEDED;
    put32(icmp + 4, mtu);
    put_quote(icmp + ICMP_HEADER, conn, &tuple, stack->mtu);
    uint64_t sum = v6 ? checksum_pseudo(&router, &tuple.remote, protocol, icmp_len) : 0;
    uint16_t checksum = checksum_finish(checksum_add(sum, icmp, icmp_len));
    memcpy(icmp + 2, &checksum, sizeof(checksum));
    send_frame(stack, peer, frame);
    return 0;
}

/* ---- a flood ---- */

int stack_syn(struct stack *stack, const struct stack_tuple *tuple)
{
    uint32_t mss = stack->mtu - ip_header_bytes(tuple->local.family) - TCP_HLEN;
    uint32_t now_ms = (uint32_t)(stack->now_ns / NS_PER_MS) + clock_offset(stack, tuple);
    /* MSS, SACK permitted, timestamps, window scale: as Linux orders them. */
    uint8_t options[20] = {2, 4, 0, 0, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, TCP_RCV_SCALE};
    ip_addr_t local, remote;

    if (addr_set_find(stack->peers, &tuple->local) < 0)
        return -EADDRNOTAVAIL;
    if (tuple->local.family != tuple->remote.family)
        return -EAFNOSUPPORT;
    if (tuple->local_port == 0 || tuple->local_port >= FLOOD_PORTS)
        return -EINVAL;
    addr_to_lwip(&tuple->local, &local);
    addr_to_lwip(&tuple->remote, &remote);
    put16(options + 2, MIN(mss, 65535u));
    put32(options + 8, now_ms);
    stack->floods = true;
    forge_tcp(stack,
              &(struct forged_segment){
                  .tuple = *tuple,
                  .seq = peer_hook_tcp_isn(&local, tuple->local_port, &remote, tuple->remote_port),
                  .flags = TCP_SYN,
                  .window = shape_syn_window(mss),
                  .options = options,
                  .options_len = sizeof(options),
              });
    return 0;
}

/* An answer to one of them? Nobody remembers, so nobody answers. */
bool forge_swallows(const struct stack *stack, const struct packet *packet)
{
    return stack->floods && packet->kind == PACKET_TCP && packet->dst_port < FLOOD_PORTS;
}
