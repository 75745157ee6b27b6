/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where frames become lwIP's packets.
 *
 * A frame is looked at before lwIP sees it: for which peer is it (an ARP or neighbour request:
 * which peer does it ask for), is its checksum right unless the kernel vouches for it, and which
 * connection or listener does it belong to. Then the netif takes on that peer's identity, the
 * connection's lists are put in place, and lwIP runs. What lwIP keeps of it: see hold.c.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include "packet/bytes.h"
#include "packet/segment.h"

#include "lwip/etharp.h"
#include "lwip/nd6.h"
#include "netif/ethernet.h"

#include <assert.h>
#include <string.h>

/* Hands a packet to lwIP's IP layer; the lists are in place. */
void input_run_ip(struct stack *stack, struct frame *frame, const struct packet *packet,
                  uint64_t *charged)
{
    frame->len = MIN(frame->len, packet->ip_at + packet->ip_len); /* Ethernet padding */
    if (BYTE_ORDER == BIG_ENDIAN && packet->kind == PACKET_TCP && !packet->fragment)
        old_suit_lwip(frame->data + packet->transport_at,
                      (uint32_t)(packet->payload_at - packet->transport_at));
    struct pbuf *p = hold_frame(stack, frame, packet->ip_at, charged);
    if (!p)
        return;
    NETIF_SET_CHECKSUM_CTRL(&stack->netif, NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_CHECK_IP);
    if (packet->ip_version == 6)
        ip6_input(p, &stack->netif);
    else
        ip4_input(p, &stack->netif);
}

static void ip_run(struct stack *stack, struct frame *frame, const struct packet *packet)
{
    input_run_ip(stack, frame, packet, &stack->held_bytes);
}

/* Acknowledges what was never sent, or was acknowledged more than a window ago: whoever sent this
   does not know the connection (RFC 9293, 3.10.7.4; RFC 5961, 5). */
static bool acknowledges_nonsense(const struct tcp_pcb *pcb, uint32_t ack)
{
    return TCP_SEQ_GT(ack, pcb->snd_nxt) || TCP_SEQ_LT(ack, pcb->lastack - pcb->snd_wnd_max);
}

/* What lwIP should not see: bytes with a senseless acknowledgement, which it would take, an
   acknowledgement that does not belong to this connection and says nothing new, and bytes behind a
   gap that are too many for the window, which it would queue and later trip over. */
static bool is_stray(const struct stack_conn *conn, const struct frame *frame,
                     const struct packet *packet)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    const uint8_t *tcp = frame->data + packet->transport_at;
    uint32_t seq = get32(tcp + 4), ack = get32(tcp + 8), edge = pcb->rcv_nxt + pcb->rcv_wnd;

    if (pcb->state < ESTABLISHED || pcb->state == TIME_WAIT)
        return false;
    if (acknowledges_nonsense(pcb, ack))
        return true;
    uint32_t len = packet->payload_len + (packet->tcp_flags & TCP_FIN);
    if (len)
        return TCP_SEQ_GT(seq, pcb->rcv_nxt) && TCP_SEQ_GT(seq + len, edge);
    return TCP_SEQ_LEQ(ack, pcb->lastack) && !TCP_SEQ_BETWEEN(seq, pcb->rcv_nxt, edge);
}

/* Whether a segment that does not belong may be answered: now and then, as Linux does. lwIP answers
   each, some of them twice: two sides that disagree would then talk about it without end, and twice
   as much with every round trip. */
static bool challenge_allowed(struct stack *stack, struct stack_conn *conn)
{
    if (conn->challenge_tick && stack->now_tick - conn->challenge_tick < LIMIT_CHALLENGE_TICKS) {
        stack->stats.limits[STACK_LIMIT_CHALLENGES]++;
        return false;
    }
    conn->challenge_tick = stack->now_tick;
    return true;
}

static void answer_stray(struct stack *stack, struct stack_conn *conn)
{
    if (!challenge_allowed(stack, conn))
        return;
    context_enter(stack, conn);
    (void)tcp_send_empty_ack(conn_tcp(conn));
    context_leave(stack);
}

/* What fills a gap is acknowledged at once (RFC 5681, 4.2), and so is more than one segment in a
   frame, and what comes first; lwIP would wait for more. When the owner answers, the answer serves
   (see output.c). */
static void acknowledge_now(struct stack_conn *conn, const struct packet *packet)
{
    struct tcp_pcb *pcb = tcp_active_pcbs; /* NULL: it ended by this frame */

    if (!pcb || pcb != conn->pcb)
        return;
    if (pcb->ooseq)
        window_gap(conn, packet->payload_len);
    if (!(pcb->flags & TF_ACK_DELAY))
        return;
    tcp_ack_now(pcb);
    (void)tcp_output(pcb);
}

static void acknowledge_old(struct stack *stack, struct stack_conn *conn)
{
    context_enter(stack, conn);
    (void)tcp_send_empty_ack(conn_tcp(conn));
    context_leave(stack);
}

/* What came twice is told by the first SACK block (RFC 2883). True: it is there, and the others are
   in `sacks` until lwIP has answered. They do not change meanwhile: nothing is new. */
static bool tell_twice(struct tcp_pcb *pcb, const uint8_t *tcp, const struct packet *packet,
                       struct tcp_sack_range *sacks)
{
    uint32_t seq = get32(tcp + 4), end = seq + packet->payload_len + (packet->tcp_flags & TCP_FIN);

    if (end == seq || TCP_SEQ_GT(end, pcb->rcv_nxt) || !(pcb->flags & TF_SACK) ||
        pcb->state < ESTABLISHED)
        return false;
    memcpy(sacks, pcb->rcv_sacks, sizeof(pcb->rcv_sacks));
    memcpy(pcb->rcv_sacks + 1, sacks, sizeof(pcb->rcv_sacks) - sizeof(*sacks));
    pcb->rcv_sacks[0].left = seq;
    pcb->rcv_sacks[0].right = end;
    return true;
}

static void acknowledge_twice(struct stack *stack, struct stack_conn *conn,
                              const struct frame *frame, const struct packet *packet)
{
    struct tcp_sack_range sacks[LWIP_TCP_MAX_SACK_NUM];
    struct tcp_pcb *pcb = conn_tcp(conn);
    bool twice = tell_twice(pcb, frame->data + packet->transport_at, packet, sacks);

    acknowledge_old(stack, conn);
    if (twice)
        memcpy(pcb->rcv_sacks, sacks, sizeof(sacks));
}

/* A SYN or RST for a connection that is there, who sent it does not know it, or would like to end
   it without knowing where it stands (RFC 5961, 3.2 and 4.2). A SYN again, of a call that has its
   answer, draws another one. */
static enum old_verdict old_by_flags(struct stack *stack, struct stack_conn *conn,
                                     const uint8_t *tcp, const struct packet *packet)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);

    if (!(packet->tcp_flags & (TCP_SYN | TCP_RST)) || pcb->state < SYN_RCVD ||
        pcb->state == TIME_WAIT)
        return OLD_NOT;
    if (packet->tcp_flags & TCP_RST)
        return TCP_SEQ_BETWEEN(get32(tcp + 4), pcb->rcv_nxt + 1, pcb->rcv_nxt + pcb->rcv_wnd)
                   ? OLD_WORD
                   : OLD_NOT;
    if (pcb->state == SYN_RCVD) /* with ACK it may be the answer to a call that crossed: cross.c */
        return packet->tcp_flags & TCP_ACK || challenge_allowed(stack, conn) ? OLD_NOT : OLD_SILENT;
    return OLD_WORD;
}

/* To a call that waits for its answer: right in what it acknowledges, but no answer. It was faster than
   that one, and is not refused, as lwIP would (RFC 9293, 3.10.7.3). */
static bool is_early(const struct tcp_pcb *pcb, const uint8_t *tcp, const struct packet *packet)
{
    return pcb->state == SYN_SENT && get32(tcp + 8) == pcb->snd_nxt &&
           (packet->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK;
}

/* Answers a segment that lwIP should not see; false: it should. */
static bool tcp_refuses(struct stack *stack, struct stack_conn *conn, const struct frame *frame,
                        const struct packet *packet)
{
    enum old_verdict old = OLD_NOT;

    if (!(packet->tcp_flags & (TCP_ACK | TCP_RST | TCP_SYN)))
        return true; /* means nothing (RFC 9293, 3.10.7.4) */
    if (is_early(conn_tcp(conn), frame->data + packet->transport_at, packet))
        return true;
    if (packet->tcp_flags & (TCP_SYN | TCP_RST))
        old = old_by_flags(stack, conn, frame->data + packet->transport_at, packet);
    else if (is_stray(conn, frame, packet))
        old = OLD_WORD;
    else if (packet->payload_len && stack->held_bytes > LIMIT_HELD_BYTES &&
             hold_refuses(stack, conn, get32(frame->data + packet->transport_at + 4)))
        old = OLD_SILENT;
    else if (conn_tcp(conn)->flags & TF_TIMESTAMP)
        old = old_by_timestamp(stack, conn, frame->data + packet->transport_at, packet);
    if (old == OLD_WORD)
        answer_stray(stack, conn);
    else if (old == OLD_BYTES)
        acknowledge_twice(stack, conn, frame, packet);
    return old != OLD_NOT;
}

/* Three things that lwIP takes otherwise than Linux. What a connection has left to send after its
   close may take any time as long as it moves: lwIP counts from the close. The window of a segment
   that acknowledges news is news, though the segment's own bytes may be old, sent again. And a shut
   window counts in a segment that has nothing else that is new; one that is only smaller does not, it
   may have been overtaken. */
static void prepare_state(const struct stack *stack, struct tcp_pcb *pcb, const uint8_t *tcp,
                          const struct packet *packet)
{
    const uint32_t seq = get32(tcp + 4), ack = get32(tcp + 8);

    if (pcb->state == FIN_WAIT_1 || pcb->state == LAST_ACK)
        pcb->tmr = stack->now_tick;
    if (TCP_SEQ_LT(seq, pcb->snd_wl1) && TCP_SEQ_GT(ack, pcb->lastack) &&
        TCP_SEQ_LEQ(ack, pcb->snd_nxt) && pcb->state >= ESTABLISHED &&
        packet->tcp_flags & TCP_ACK)
        pcb->snd_wl1 = seq;
    if (!(tcp[14] | tcp[15]) && (packet->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK &&
        pcb->state >= ESTABLISHED && seq == pcb->snd_wl1 && ack == pcb->snd_wl2) {
        pcb->snd_wnd = 0;
        pcb->dupacks = 0;
    }
}

static void conn_run(struct stack *stack, struct stack_conn *conn, struct frame *frame,
                     const struct packet *packet)
{
    if (conn->protocol == IPPROTO_TCP && tcp_refuses(stack, conn, frame, packet)) {
        frame_put(frame);
        return;
    }
    uint32_t header = (uint32_t)(packet->payload_at - packet->transport_at);
    bool read = conn->protocol == IPPROTO_TCP && (recovery_wants(conn, header) || conn->ecn);

    context_enter(stack, conn);
    if (conn->protocol == IPPROTO_TCP) {
        conn_tcp(conn)->rttest = 0; /* timing is ours, see rtt.c */
        prepare_state(stack, conn_tcp(conn), frame->data + packet->transport_at, packet);
    }
    if (read)
        recovery_read(stack, conn, frame->data + packet->transport_at, header, packet->payload_len);
    if (conn->ecn)
        ecn_read(stack, conn, frame, packet);
    bool at_once = conn->protocol == IPPROTO_TCP &&
                   (conn_tcp(conn)->ooseq || (conn->quick_acks && packet->payload_len) ||
                    (frame->offload.gso_size && packet->payload_len > frame->offload.gso_size));
    uint8_t *tcp = frame->data + packet->transport_at;
    bool crosses = conn->protocol == IPPROTO_TCP && conn_tcp(conn)->state < ESTABLISHED &&
                   cross_before(conn, tcp, packet);
    uint32_t seq = crosses ? get32(tcp + 4) : 0;
    uint16_t window = (uint16_t)(crosses ? tcp[14] << 8 | tcp[15] : 0);
    struct tcp_sack_range sacks[LWIP_TCP_MAX_SACK_NUM];
    bool twice = conn->protocol == IPPROTO_TCP && tell_twice(conn_tcp(conn), tcp, packet, sacks);
    uint32_t edge = conn->protocol == IPPROTO_TCP ? reopen_edge(conn_tcp(conn)) : 0;
    bool shut = conn->protocol == IPPROTO_TCP && TCP_SEQ_GT(conn_tcp(conn)->snd_nxt, edge);
    stack->receiving = true;
    stack->progress = false;
    ip_run(stack, frame, packet);
    if (shut && tcp_active_pcbs)
        reopen_note(stack, conn, edge);
    if (twice && tcp_active_pcbs)
        memcpy(conn_tcp(conn)->rcv_sacks, sacks, sizeof(sacks));
    if (crosses)
        cross_after(stack, seq, window);
    if (at_once)
        acknowledge_now(conn, packet);
    stack->receiving = false;
    context_leave(stack);
    if (read || shut)
        stack->news = (struct tcp_news){0};
}

static void nobody_run(struct stack *stack, struct frame *frame, const struct packet *packet)
{
    if (packet->kind == PACKET_TCP)
        answer_reset(stack, frame, packet);
    else
        answer_port_unreachable(stack, frame, packet);
    frame_put(frame);
}

/* A listener takes a SYN, resets what acknowledges something, and is silent to the rest; SYN and
   FIN together are no call either (as Linux; RFC 9293, 3.10.7.2 leaves it open). */
static bool is_call(const struct packet *packet)
{
    return (packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static void call_run(struct stack *stack, struct stack_listener *listener, struct frame *frame,
                     const struct packet *packet, const struct stack_tuple *tuple)
{
    struct tcp_pcb *pcb = packet->ip_version == 6 ? listener->pcb6 : listener->pcb4;

    stack->ts_offset = clock_offset(stack, tuple);
    stack->call_asks_ecn = ecn_is_asked(packet, frame->data + packet->ip_at);
    pcb->next = NULL;
    tcp_listen_pcbs.pcbs = pcb;
    ip_run(stack, frame, packet);
    tcp_listen_pcbs.pcbs = NULL;
    if (tcp_active_pcbs)
        tcp_adopt(stack, listener, tuple);
    stack->call_asks_ecn = false;
}

/* The acknowledgement of a call that was answered and forgotten? Then the call is made up for. */
static bool resume_call(struct stack *stack, struct stack_listener *listener, struct frame *frame,
                        const struct packet *packet, const struct stack_tuple *tuple)
{
    struct packet call;
    uint32_t cookie;

    if ((packet->tcp_flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK ||
        stack->stats.conns >= stack->max_conns)
        return false;
    struct frame *syn = syncookie_syn(stack, frame, packet, tuple, &cookie);
    if (!syn)
        return false;
    int status = packet_parse(syn->data, syn->len, FRAME_IP, &call);
    assert(status == 0 && call.kind == PACKET_TCP);
    (void)status;
    syncookie_hush(stack, &cookie);
    call_run(stack, listener, syn, &call, tuple);
    syncookie_hush(stack, NULL);
    struct stack_conn *conn = table_find(stack, IPPROTO_TCP, tuple);
    if (!conn)
        return false;
    conn->rtt_start_ns = 0; /* nobody knows */
    conn_run(stack, conn, frame, packet);
    return true;
}

/* What is for a listener and is no call. */
static void no_call_run(struct stack *stack, struct stack_listener *listener, struct frame *frame,
                        const struct packet *packet, const struct stack_tuple *tuple)
{
    if (resume_call(stack, listener, frame, packet, tuple))
        return;
    if (packet->tcp_flags & TCP_ACK)
        answer_reset(stack, frame, packet);
    frame_put(frame);
}

static void listener_run(struct stack *stack, struct stack_listener *listener, struct frame *frame,
                         const struct packet *packet, struct stack_tuple *tuple)
{
    if (listener->protocol == IPPROTO_TCP && !is_call(packet)) {
        no_call_run(stack, listener, frame, packet, tuple);
        return;
    }
    if (stack->stats.conns >= stack->max_conns) {
        stack->stats.refused++;
        nobody_run(stack, frame, packet); /* as if nobody listened */
        return;
    }
    if (listener->protocol == IPPROTO_UDP) {
        struct stack_conn *conn = udp_adopt(stack, listener, tuple);
        if (conn)
            conn_run(stack, conn, frame, packet);
        else
            frame_put(frame);
        return;
    }
    if (syncookie_answers(stack, listener, frame, packet, tuple))
        frame_put(frame);
    else
        call_run(stack, listener, frame, packet, tuple);
}

static bool vouched(const struct frame *frame)
{
    return frame->offload.flags & (FRAME_NEEDS_CSUM | FRAME_DATA_VALID);
}

/* A new connection from the same port, or a reset; else it is answered. */
static bool time_wait_ends(struct stack *stack, struct stack_conn *conn,
                           const struct stack_tuple *tuple, struct frame *frame,
                           const struct packet *packet)
{
    enum old_verdict old = old_in_time_wait(conn, frame->data + packet->transport_at, packet);

    if (packet->tcp_flags & TCP_SYN && !listener_find(stack, IPPROTO_TCP, tuple))
        old = OLD_BYTES;
    if (old == OLD_NOT)
        time_wait_free(stack, conn);
    else if (old == OLD_BYTES)
        answer_stray(stack, conn);
    return old == OLD_NOT;
}

void input_transport(struct stack *stack, struct frame *frame, const struct packet *packet)
{
    struct stack_tuple tuple = {.local = packet->dst,
                                .remote = packet->src,
                                .local_port = packet->dst_port,
                                .remote_port = packet->src_port};

    if (!vouched(frame) && !checksum_verify(frame->data, frame->len, packet)) {
        stack->stats.bad++;
        frame_put(frame);
        return;
    }
    struct stack_conn *conn = table_find(stack, packet->protocol, &tuple);
    if (conn && conn->flags & CONN_VANISHED) {
        frame_put(frame);
        return;
    }
    if (conn && conn->flags & CONN_TIME_WAIT && packet->tcp_flags & (TCP_SYN | TCP_RST)) {
        if (!time_wait_ends(stack, conn, &tuple, frame, packet)) {
            frame_put(frame);
            return;
        }
        conn = NULL;
    }
    if (conn) {
        conn_run(stack, conn, frame, packet);
        return;
    }
    struct stack_listener *listener = listener_find(stack, packet->protocol, &tuple);
    if (listener)
        listener_run(stack, listener, frame, packet, &tuple);
    else if (forge_swallows(stack, packet))
        frame_put(frame);
    else
        nobody_run(stack, frame, packet);
}

void input_housekeep(struct stack *stack)
{
    if (!timer_armed(&stack->housekeeping))
        (void)timer_arm(stack->timers, &stack->housekeeping, stack->now_ns + NS_PER_S);
}

/* Reassembly, the ARP table and the memory of a siege age in seconds. Runs while there is something
   to age. */
static void housekeeping_fire(struct timer *timer, uint64_t now_ns)
{
    struct stack *stack = list_entry(timer, struct stack, housekeeping);

    if (now_ns > stack->now_ns)
        stack_set_now(stack, now_ns);
    if (stack->layer == FRAME_ETHERNET)
        etharp_tmr();
    const bool pieces = pieces_age(stack), siege = siege_ages(stack);
    if (pieces || siege || stack->layer == FRAME_ETHERNET)
        input_housekeep(stack);
}

static void echo_run(struct stack *stack, struct frame *frame, const struct packet *packet)
{
    icmp_before_echo(stack, frame->data + packet->ip_at);
    stack->echoes = true;
    ip_run(stack, frame, packet);
    stack->echoes = false;
}

/* Is the sender nobody, or everybody? No answer could reach whom it is for, and such are told of no
   error (RFC 1122, 3.2.2; RFC 4443, 2.4 e). */
static bool is_from_nobody(const struct packet *packet)
{
    const uint8_t *src = packet->src.bytes;
    const bool v6 = packet->ip_version == 6;

    if (packet->kind == PACKET_ND_SOLICIT) /* who looks for duplicates has no address yet */
        return false;
    return v6 ? src[0] == 0xff : !src[0] || (src[0] & 0xf0) == 0xe0 || get32(src) == UINT32_MAX;
}

/* A packet for the peer that the netif is now. */
void input_packet(struct stack *stack, struct frame *frame, struct packet *packet)
{
    stack->netif.mtu = output_mtu(stack->mtu, packet->ip_version, packet->ip_len);
    tcp_ticks = stack->now_tick;
    if (is_from_nobody(packet) || answer_bad_options(stack, frame, packet)) {
        stack->stats.bad++;
        frame_put(frame);
        return;
    }
    switch (packet->kind) {
    case PACKET_TCP:
    case PACKET_UDP:
        if (packet->fragment)
            pieces_input(stack, frame, packet);
        else
            input_transport(stack, frame, packet);
        break;
    case PACKET_ICMP:
        if (packet->fragment)
            pieces_input(stack, frame, packet);
        else if (stack_icmp_input(stack, frame, packet))
            frame_put(frame);
        else
            echo_run(stack, frame, packet);
        break;
    case PACKET_ND_SOLICIT:
        answer_solicitation(stack, frame, packet);
        frame_put(frame);
        break;
    default:
        if (packet->fragment) {
            pieces_input(stack, frame, packet);
        } else {
            answer_unknown_protocol(stack, frame, packet);
            frame_put(frame);
        }
        break;
    }
}

static void arp_input(struct stack *stack, struct frame *frame, const struct packet *packet)
{
    if (neighbour_input(stack, frame, packet)) {
        frame_put(frame);
        return;
    }
    struct pbuf *p = hold_frame(stack, frame, 0, &stack->held_bytes);
    if (!p)
        return;
    stack->arp_answered = true;
    ethernet_input(p, &stack->netif);
    stack->arp_answered = false;
}

/* TAP: is the frame for this peer's MAC, for everybody, or for the first peer, who may be the
   gateway of all others? On the wire of a real interface a real gateway's MAC may stand there. */
static bool ethernet_for_us(const struct stack *stack, const struct frame *frame, uint64_t peer)
{
    if (stack->any_mac || frame->data[0] & 1)
        return true;
    struct peer_mac mac = mac_add(stack->first_mac, peer);
    return memcmp(frame->data, mac.bytes, sizeof(mac.bytes)) == 0 ||
           memcmp(frame->data, stack->first_mac.bytes, sizeof(mac.bytes)) == 0;
}

/* Is it for no connection, but to be answered by the machine as such? */
static bool asks_for_machine(const struct packet *packet)
{
    return packet->kind == PACKET_ICMP || packet->kind == PACKET_ND_SOLICIT ||
           (packet->kind == PACKET_ARP && packet->arp_op == ARP_REQUEST);
}

static void frame_input(struct stack *stack, struct frame *frame)
{
    struct packet packet;

    if (packet_parse(frame->data, frame->len, stack->layer, &packet) < 0) {
        stack->stats.bad++;
        frame_put(frame);
        return;
    }
    int64_t peer = packet.kind == PACKET_OTHER ? -1 : addr_set_find(stack->peers, &packet.dst);
    if (peer < 0 && broadcast_input(stack, frame, &packet)) {
        frame_put(frame);
        return;
    }
    if (peer < 0 ||
        (stack->layer == FRAME_ETHERNET && !ethernet_for_us(stack, frame, (uint64_t)peer))) {
        stack->stats.ignored++;
        frame_put(frame);
        return;
    }
    if (stack->unplugged && asks_for_machine(&packet) &&
        manners_peer_is_gone(stack, (uint64_t)peer)) {
        frame_put(frame);
        return;
    }
    context_identity(stack, (uint64_t)peer);
    if (packet.kind == PACKET_ARP)
        arp_input(stack, frame, &packet);
    else
        input_packet(stack, frame, &packet);
}

static void segment_input(void *user, struct frame *frame)
{
    frame_input(user, frame);
}

/* TCP takes a super-segment whole; datagrams have borders, so a burst of them is cut first. */
void stack_input(struct stack *stack, struct frame *frame, uint64_t at_ns)
{
    assert(!stack->current);
    stack->arrival_ns = at_ns;
    if ((frame->offload.gso_type & ~FRAME_GSO_ECN) != FRAME_GSO_UDP_L4) {
        frame_input(stack, frame);
        return;
    }
    struct iovec part;
    const struct frame_parts parts = frame_whole(frame, &part);
    if (segment_split(&parts, stack->layer, stack->frames, segment_input, stack) < 0)
        stack->stats.bad++;
    frame_put(frame);
}

void input_init(struct stack *stack)
{
    timer_init(&stack->housekeeping, housekeeping_fire);
    if (stack->layer == FRAME_ETHERNET)
        input_housekeep(stack);
}

void input_done(struct stack *stack)
{
    timer_cancel(stack->timers, &stack->housekeeping);
    pieces_done(stack);
    siege_done(stack);
}
