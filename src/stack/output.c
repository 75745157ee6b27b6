/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where lwIP's packets become frames.
 *
 * What lwIP hands down is a chain of pbufs; it goes out as one vector, without a copy. IPv4 header
 * checksums are made here. TCP and UDP checksums are not: the frame says FRAME_NEEDS_CSUM and
 * carries the pseudo-header's sum, and whoever takes it (the device, an impaired link, a capture)
 * completes it if it must.
 *
 * Super-segments: once a connection is open its `mss` in lwIP is raised to a multiple of the real
 * one, so that lwIP builds, queues and acknowledges up to 64 KiB at a time; such a frame leaves
 * with gso_size = the real payload size. A segment must stay well below the window that is
 * offered, or it would have to wait for all of it: a quarter of the largest window seen. `mss`
 * only ever grows, since lwIP requires queued segments to fit.
 *
 * Acknowledgements: lwIP sends one as soon as a segment is worked on, before the owner knows of it;
 * then the owner answers, with a segment that acknowledges the same. So a bare acknowledgement of
 * news for the owner is held back until he has heard them (stack_deliver, in the same iteration),
 * and goes out only when nothing else did. One in two at the most is held, since a sender may wait
 * for them; one that tells of a gap, or nothing new, never is.
 *
 * At the start of a connection (`quick_acks`) none is held or delayed, that of the handshake first
 * of all, as Linux does: until an answer has left soon after what it answers ("ping-pong"), or so
 * many were sent. The other side's FIN is not hurried. `frugal` is without all that.
 *
 * On TAP the Ethernet source is written from the IP source: lwIP may send a packet that waited for
 * an ARP answer long after its netif has become another peer.
 */
#include "stack/internal.h"

#include "base/rng.h"
#include "packet/bytes.h"
#include "packet/segment.h"

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "netif/ethernet.h"

#include <string.h>

enum { ARP_REQUEST_CODE = 1 };

/* lwIP 2.2.1 cuts IPv4 into pieces of a multiple of 8 bytes, but takes for the last what would fit
   into the MTU as such: unless MTU - 20 is a multiple too, up to 7 bytes are left behind that. */
uint16_t output_mtu(uint16_t mtu, uint8_t family, uint32_t bytes)
{
    if (family == 6 || bytes <= mtu)
        return mtu;
    return (uint16_t)(mtu - (mtu - IP_HLEN) % 8);
}

/* As Linux: a start that depends on who talks to whom, so that no two machines count alike. */
uint16_t output_ip_id(struct stack *stack, const struct peer_addr *from, const struct peer_addr *to)
{
    struct {
        uint8_t from[4], to[4];
    } input;

    memcpy(input.from, from->bytes, 4);
    memcpy(input.to, to->bytes, 4);
    return (uint16_t)(siphash(stack->id_key, &input, sizeof(input)) + stack->ip_id++);
}

/* A connection's, or what belongs to none: of who talks to whom. */
static uint16_t flow_id(const struct stack *stack, const uint8_t *ip)
{
    const struct stack_conn *conn = stack->current;
    uint8_t addresses[36];

    if (conn)
        return conn->ip_id;
    memcpy(addresses, ip + 8, 32);
    memset(addresses + 32, 0, 4);
    if (ip[6] == IPPROTO_TCP || ip[6] == IPPROTO_UDP)
        memcpy(addresses + 32, ip + IP6_HLEN, 4);
    return (uint16_t)siphash(stack->id_key, addresses, sizeof(addresses));
}

uint16_t output_flow_id(const struct stack *stack, const struct stack_tuple *tuple)
{
    uint8_t ip[IP6_HLEN + 4];

    memcpy(ip + 8, tuple->local.bytes, 16);
    memcpy(ip + 24, tuple->remote.bytes, 16);
    ip[6] = IPPROTO_TCP;
    put16(ip + IP6_HLEN, tuple->local_port);
    put16(ip + IP6_HLEN + 2, tuple->remote_port);
    return flow_id(stack, ip);
}

/* RFC 6437, as Linux: each flow has a random label. ND has none. */
void output_flow_label(const struct stack *stack, uint8_t *ip)
{
    if (ip[6] == IPPROTO_ICMPV6 && ip[7] == 255 && ip[IP6_HLEN] >= 133)
        return;
    uint32_t label = flow_id(stack, ip) * UINT32_C(0x9e3779b1) >> 12;
    ip[1] = (uint8_t)((ip[1] & 0xf0) | label >> 16);
    put16(ip + 2, label);
}

/* ---- identifications ---- */

/* How many packets a frame is on the wire. */
static uint16_t packet_count(uint32_t payload, const struct frame_offload *offload)
{
    uint32_t each = offload->gso_size;

    return (uint16_t)(each ? (payload + each - 1) / each : 1);
}

/* IPv4, as Linux: a connection counts its own packets from a random start; what is sent without one
   (the answer to a SYN too, and what a TIME-WAIT says) has 0, since it may not be cut. What may be
   cut, and what a UDP server sends, is counted by lwIP for all, from a start for each pair of
   addresses. */
static void set_ip_id(struct stack *stack, uint8_t *ip, const uint8_t *tcp, bool cut,
                      uint16_t packets)
{
    struct stack_conn *conn = stack->current;
    uint16_t id = 0;

    if (conn && !cut && !(conn->flags & CONN_TIME_WAIT) &&
        !(tcp && ((tcp[13] & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) || tcp[13] == TCP_RST))) {
        id = conn->ip_id;
        conn->ip_id = (uint16_t)(id + packets);
    } else if (!tcp) {
        struct {
            uint8_t addresses[8];
        } pair;
        memcpy(&pair, ip + 12, sizeof(pair));
        id = (uint16_t)(siphash(stack->id_key, &pair, sizeof(pair)) + ((uint32_t)ip[4] << 8) +
                        ip[5]);
    }
    ip[4] = (uint8_t)(id >> 8);
    ip[5] = (uint8_t)id;
}

/* The path takes less than before. lwIP requires that what it has queued fits its mss. */
static void lower_mss(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    uint16_t segment = conn->manners && conn->manners->segment_whole
                           ? conn->manners->segment_whole
                           : conn->segment_bytes;

    if (pcb->unsent || pcb->unacked)
        return;
    pcb->mss = (u16_t)(segment + (pcb->flags & TF_TIMESTAMP ? 12 : 0));
    conn->flags &= (uint16_t)~CONN_MSS_FALLS;
}

void output_apply_segment_size(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    if (conn->flags & CONN_MSS_FALLS)
        lower_mss(conn);
    if (!stack->super_segments || conn->flags & CONN_REAL_SIZE)
        return;
    uint32_t options = pcb->flags & TF_TIMESTAMP ? 12 : 0;
    uint32_t most = MIN(pcb->snd_wnd_max / 4, (uint32_t)STACK_SUPER_BYTES);
    uint32_t payload = most - most % conn->segment_bytes;
    if (payload > conn->segment_bytes && payload + options > pcb->mss)
        pcb->mss = (u16_t)(payload + options);
}

/* Is this packet an acknowledgement to be held back? Whatever else leaves says all that one
   said. */
static bool holds_ack(struct stack *stack, const uint8_t *ip, uint32_t len)
{
    struct stack_conn *conn = stack->current;
    if (!conn || conn->protocol != IPPROTO_TCP)
        return false;
    uint32_t header = ip[0] >> 4 == 6 ? IP6_HLEN : (uint32_t)(ip[0] & 15) * 4;
    const uint8_t *tcp = ip + header;
    bool bare = tcp[13] == TCP_ACK && len == header + (uint32_t)(tcp[12] >> 4) * 4;
    bool held = conn->flags & CONN_ACK_HELD;
    enum tcp_state state = conn_tcp(conn)->state;

    conn->flags &= (uint16_t)~CONN_ACK_HELD;
    if (!bare || held || !stack->receiving || !stack->progress ||
        (state != ESTABLISHED && state != CLOSE_WAIT))
        return false;
    if (conn->quick_acks && state == ESTABLISHED) {
        conn->quick_acks--;
        return false;
    }
    conn->flags |= CONN_ACK_HELD;
    conn_mark(stack, conn, STACK_HELD);
    return true;
}

/* The owner has heard the news; has he answered? */
void output_held_ack(struct stack *stack, struct stack_conn *conn)
{
    conn->flags &= (uint16_t)~CONN_ACK_HELD;
    if (!conn->pcb || conn->flags & CONN_TIME_WAIT)
        return;
    context_enter(stack, conn);
    (void)tcp_send_empty_ack(conn_tcp(conn));
    context_leave(stack);
}

/* Counts what leaves twice and starts timing what leaves first. Returns whether it does. */
static bool note_segment(struct stack *stack, const uint8_t *tcp, uint32_t payload)
{
    struct stack_conn *conn = stack->current;
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t seq = lwip_ntohl(((const struct tcp_hdr *)(const void *)tcp)->seqno);
    uint8_t flags = tcp[13];

    if (payload == 0 && !(flags & (TCP_SYN | TCP_FIN)))
        return true;
    bool first = flags & TCP_SYN ? pcb->nrtx == 0 : TCP_SEQ_GEQ(seq, pcb->snd_nxt);
    if (!first) {
        bool seen = !(conn->flags & CONN_VANISHED);
        conn->retransmits += seen;
        stack->stats.retransmits += seen;
        if (flags & TCP_SYN) {
            stack->stats.syn_retransmits += seen;
            stack->stats.syn_repeated += seen && pcb->nrtx == 1;
        }
        if (!(conn->flags & CONN_RESENT)) {
            conn->flags |= CONN_RESENT;
            conn->resent_ms = (uint32_t)(stack->now_ns / NS_PER_MS);
            conn->resent_end = pcb->snd_nxt;
        }
        /* Karn. With SACK only what was sent twice itself tells nothing. */
        if (!conn->recovery || seq + payload == conn->rtt_seq)
            conn->flags &= (uint16_t)~CONN_RTT_RUNS;
        return false;
    }
    if (!payload)
        return true;
    conn->probe_tick = stack->now_tick;
    if (!(conn->flags & CONN_RTT_RUNS)) {
        conn->flags |= CONN_RTT_RUNS;
        conn->rtt_seq = seq + payload;
        conn->rtt_start_ns = stack->now_ns;
    }
    if (conn->quick_acks && conn->arrived_ns &&
        stack->now_ns - conn->arrived_ns < STACK_DELAYED_ACK_TICKS * (uint64_t)STACK_TICK_NS)
        conn->quick_acks = 0; /* an answer: more will follow, and acknowledge */
    return true;
}

static void offload_tcp(struct stack *stack, uint8_t *ip, uint8_t *tcp, uint32_t tcp_len,
                        struct frame_offload *offload)
{
    bool v6 = ip[0] >> 4 == 6;
    uint32_t header = (uint32_t)(tcp[12] >> 4) * 4;
    uint32_t payload = tcp_len - header;
    bool ours = stack->current && stack->current->protocol == IPPROTO_TCP;
    bool is_new = ours && !stack->arp_answered && note_segment(stack, tcp, payload);

    if (ours && payload == 0 && !(tcp[13] & (TCP_SYN | TCP_FIN)))
        shape_bare(stack->current, tcp);

    uint32_t segment = stack->mtu - (uint32_t)(tcp - ip) - header;
    if (stack->current && stack->current->segment_bytes)
        segment = MIN(segment, stack->current->segment_bytes);
    if (payload > segment) {
        offload->gso_type = v6 ? FRAME_GSO_TCPV6 : FRAME_GSO_TCPV4;
        offload->gso_size = (uint16_t)segment;
    }
    if (ours ? stack->current->ecn : stack->call_asks_ecn)
        ecn_write(stack, ip, tcp, payload, is_new, offload);
}

static void offload_udp(const struct stack *stack, uint32_t udp_len, struct frame_offload *offload)
{
    if (!stack->burst_segment || udp_len <= (uint32_t)stack->burst_segment + UDP_HLEN)
        return;
    offload->gso_type = FRAME_GSO_UDP_L4;
    offload->gso_size = stack->burst_segment;
}

static uint16_t fold(uint64_t sum)
{
    return (uint16_t)~checksum_finish(sum);
}

/* Leaves the pseudo-header's sum in the checksum field at `offset` of the transport header. */
static void request_checksum(uint8_t *frame, uint8_t *transport, uint16_t offset, uint64_t pseudo,
                             struct frame_offload *offload)
{
    uint16_t sum = fold(pseudo);

    memcpy(transport + offset, &sum, sizeof(sum));
    offload->flags = FRAME_NEEDS_CSUM;
    offload->csum_start = (uint16_t)(transport - frame);
    offload->csum_offset = offset;
}

/* What lwIP does otherwise than Linux: an echo reply has its request's traffic class and no more
   hops than other packets, the names of packets in pieces are random. */
static void finish_ip6(const struct stack *stack, uint8_t *ip)
{
    if (stack->echoes) {
        ip[0] = (uint8_t)(0x60 | stack->echo_class >> 4);
        ip[1] = (uint8_t)(stack->echo_class << 4);
        ip[7] = ICMP_TTL;
    }
    if (ip[6] == IPPROTO_FRAGMENT) {
        uint8_t whole[36];
        memcpy(whole, ip + 8, 32);
        memcpy(whole + 32, ip + IP6_HLEN + 4, 4);
        uint64_t name = siphash(stack->id_key, whole, sizeof(whole));
        memcpy(ip + IP6_HLEN + 4, &name, 4);
    }
    output_flow_label(stack, ip);
}

/* Finishes the IP header and fills `offload`. All headers are in the first pbuf: lwIP allocates
   them in one piece. Returns the index of the sender. */
static int64_t finish_ip(struct stack *stack, uint8_t *frame, uint8_t *ip, uint32_t len,
                         struct frame_offload *offload)
{
    struct peer_addr src = {0}, dst = {0};
    uint8_t protocol, header;
    bool fragment = false;

    if (ip[0] >> 4 == 4) {
        header = (uint8_t)((ip[0] & 15) * 4);
        protocol = ip[9];
        fragment = (ip[6] & 0x3f) || ip[7];
        if ((protocol == IPPROTO_TCP || (protocol == IPPROTO_UDP && !fragment)) &&
            !(stack->current && stack->current->flags & CONN_MAY_FRAGMENT))
            ip[6] |= 0x40; /* don't fragment, as every client does */
        src.family = dst.family = 4;
        memcpy(src.bytes, ip + 12, 4);
        memcpy(dst.bytes, ip + 16, 4);
    } else {
        header = 40;
        protocol = ip[6];
        finish_ip6(stack, ip);
        src.family = dst.family = 6;
        memcpy(src.bytes, ip + 8, 16);
        memcpy(dst.bytes, ip + 24, 16);
    }
    uint8_t *transport = ip + header;
    if (protocol == IPPROTO_TCP) {
        if (transport[13] & TCP_RST)
            shape_reset(stack, transport);
        offload_tcp(stack, ip, transport, len - header, offload);
        request_checksum(frame, transport, 16, checksum_pseudo(&src, &dst, protocol, len - header),
                         offload);
    } else if (protocol == IPPROTO_UDP && !fragment && !transport[6] && !transport[7]) {
        offload_udp(stack, len - header, offload);
        request_checksum(frame, transport, 6, checksum_pseudo(&src, &dst, protocol, len - header),
                         offload);
    }
    if (src.family == 4) {
        const uint8_t *tcp = protocol == IPPROTO_TCP ? transport : NULL;
        bool unbound = stack->current && stack->current->flags & CONN_PASSIVE;
        bool cut = !tcp && (fragment || protocol != IPPROTO_UDP || unbound);
        uint32_t above = protocol == IPPROTO_TCP ? (uint32_t)(transport[12] >> 4) * 4 : UDP_HLEN;
        set_ip_id(stack, ip, tcp, cut, packet_count(len - header - above, offload));
        memset(ip + 10, 0, 2);
        uint16_t sum = checksum_finish(checksum_add(0, ip, header));
        memcpy(ip + 10, &sum, sizeof(sum));
    }
    return addr_set_find(stack->peers, &src);
}

struct piece_of {
    struct stack *stack;
    uint64_t peer;
};

static void emit_piece(void *user, struct frame *frame)
{
    const struct piece_of *of = user;
    struct iovec iov = {frame->data, frame->len};

    of->stack->ops->output(of->stack->user, of->peer, &iov, 1, &frame->offload);
    frame_put(frame);
}

static void emit(struct stack *stack, struct pbuf *p, uint64_t peer,
                 const struct frame_offload *offload)
{
    struct iovec iov[STACK_IOV_MAX];
    struct frame *flat = NULL;
    int count = 0;

    if (stack->current && stack->current->flags & CONN_MANNERED &&
        manners_output(stack, p, peer, offload))
        return;
    for (struct pbuf *q = p; q; q = q->next) {
        if (!q->len)
            continue;
        if (count == STACK_IOV_MAX) { /* many small writes in one segment: one copy */
            flat = frame_get(stack->frames, p->tot_len);
            if (!flat)
                return;
            pbuf_copy_partial(p, flat->data, p->tot_len, 0);
            iov[0] = (struct iovec){flat->data, p->tot_len};
            count = 1;
            break;
        }
        iov[count++] = (struct iovec){q->payload, q->len};
    }
    if (offload->gso_type == FRAME_GSO_NONE || stack->super_segments || stack->udp_segments)
        stack->ops->output(stack->user, peer, iov, count, offload);
    else /* queued before the path shrank, for a device that cuts nothing */
        (void)segment_split(&(struct frame_parts){iov, count, offload}, stack->layer, stack->frames,
                            emit_piece, &(struct piece_of){stack, peer});
    frame_put(flat);
}

/* TUN: a packet is a frame. */
static err_t send_packet(struct stack *stack, struct pbuf *p)
{
    struct frame_offload offload = {0};
    int64_t peer = finish_ip(stack, p->payload, p->payload, p->tot_len, &offload);

    emit(stack, p, peer < 0 ? stack->peer : (uint64_t)peer, &offload);
    return ERR_OK;
}

static bool is_syn(const uint8_t *ip)
{
    if (ip[0] >> 4 == 6)
        return ip[6] == IPPROTO_TCP && ip[IP6_HLEN + 13] & TCP_SYN;
    return ip[9] == IPPROTO_TCP && ip[(ip[0] & 15) * 4 + 13] & TCP_SYN;
}

/* Apart, so that the others need no room for a copy. */
static __attribute__((noinline)) err_t send_syn(struct stack *stack, struct pbuf *p)
{
    uint8_t bytes[SHAPE_SYN_BYTES];
    struct pbuf copy;

    return send_packet(stack, shape_syn(stack, p, 0, &copy, bytes));
}

static err_t output_packet(struct netif *netif, struct pbuf *p)
{
    struct stack *stack = netif->state;

    if (holds_ack(stack, p->payload, p->tot_len))
        return ERR_OK;
    return is_syn(p->payload) ? send_syn(stack, p) : send_packet(stack, p);
}

static err_t output_ip4(struct netif *netif, struct pbuf *p, const ip4_addr_t *dest)
{
    (void)dest;
    return output_packet(netif, p);
}

static err_t output_ip6(struct netif *netif, struct pbuf *p, const ip6_addr_t *dest)
{
    (void)dest;
    return output_packet(netif, p);
}

/* TAP: the only neighbour is the local machine, whose MAC the device told us. */
static err_t output_ip6_ethernet(struct netif *netif, struct pbuf *p, const ip6_addr_t *dest)
{
    struct stack *stack = netif->state;
    struct eth_addr to;

    memcpy(to.addr, stack->local_mac.bytes, sizeof(to.addr));
    if (ip6_addr_ismulticast(dest)) { /* RFC 2464, 7 */
        to.addr[0] = to.addr[1] = 0x33;
        memcpy(to.addr + 2, &dest->addr[3], 4);
    }
    return ethernet_output(netif, p, (const struct eth_addr *)(const void *)netif->hwaddr, &to,
                           ETHTYPE_IPV6);
}

/* Whose packet is it that waited for an ARP answer? Nobody works on that connection now. */
static struct stack_conn *find_owner(const struct stack *stack, const uint8_t *ip)
{
    const uint8_t *ports = ip + (ip[0] & 15) * 4;
    struct stack_tuple tuple = {.local = {.family = 4}, .remote = {.family = 4}};

    if ((ip[9] != IPPROTO_TCP && ip[9] != IPPROTO_UDP) || ip[6] & 0x1f || ip[7])
        return NULL;
    memcpy(tuple.local.bytes, ip + 12, 4);
    memcpy(tuple.remote.bytes, ip + 16, 4);
    tuple.local_port = (uint16_t)(ports[0] << 8 | ports[1]);
    tuple.remote_port = (uint16_t)(ports[2] << 8 | ports[3]);
    return table_find(stack, ip[9], &tuple);
}

static err_t output_ethernet(struct netif *netif, struct pbuf *p)
{
    struct stack *stack = netif->state;
    struct frame_offload offload = {0};
    uint8_t *frame = p->payload, bytes[SHAPE_SYN_BYTES];
    struct pbuf copy;
    int64_t peer = -1;
    bool arp = frame[12] == 0x08 && frame[13] == 0x06;

    if (stack->arp_answered && !arp)
        stack->current = find_owner(stack, frame + 14);
    if (arp) {
        struct peer_addr sender = {.family = 4};
        memcpy(sender.bytes, frame + 14 + 14, 4);
        peer = addr_set_find(stack->peers, &sender);
        if (frame[14 + 7] == ARP_REQUEST_CODE)
            neighbour_asked(stack);
    } else {
        if (holds_ack(stack, frame + 14, p->tot_len - 14u))
            return ERR_OK;
        if (is_syn(frame + 14)) {
            p = shape_syn(stack, p, 14, &copy, bytes);
            frame = p->payload;
        }
        peer = finish_ip(stack, frame, frame + 14, p->tot_len - 14u, &offload);
    }
    if (peer < 0)
        peer = (int64_t)stack->peer;
    struct peer_mac mac = mac_add(stack->first_mac, (uint64_t)peer);
    memcpy(frame + 6, mac.bytes, sizeof(mac.bytes));
    emit(stack, p, (uint64_t)peer, &offload);
    if (stack->arp_answered)
        stack->current = NULL;
    return ERR_OK;
}

err_t output_init(struct netif *netif)
{
    struct stack *stack = netif->state;

    netif->name[0] = 'p';
    netif->name[1] = 'r';
    netif->mtu = stack->mtu;
    if (stack->layer == FRAME_ETHERNET) {
        netif->hwaddr_len = 6;
        netif->flags = NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
        netif->output = neighbour_output;
        netif->output_ip6 = output_ip6_ethernet;
        netif->linkoutput = output_ethernet;
    } else {
        netif->flags = NETIF_FLAG_LINK_UP;
        netif->output = output_ip4;
        netif->output_ip6 = output_ip6;
    }
    return ERR_OK;
}

err_t output_nowhere4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    (void)netif;
    (void)p;
    (void)to;
    return ERR_OK;
}

err_t output_nowhere6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    (void)netif;
    (void)p;
    (void)to;
    return ERR_OK;
}
