/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Explicit congestion notification (RFC 3168), as Linux has it: accepted when a caller asks, asked
 * for when the stack is told to.
 *
 * lwIP knows nothing of it and looks at none of the bits, so they are read before it sees a segment
 * and written when one leaves (output.c). A segment that lwIP sends again has the bits of the time
 * before: they are taken off first.
 *
 *   asks      the first SYN has ECE and CWR; one that is sent again does not, since what was lost
 *             may have been lost for that
 *   on        the SYN-ACK had, or has, ECE. New data leaves as capable (ECT(0)); acknowledgements,
 *             and what is sent again, do not
 *   echoes    a packet came marked (CE): what leaves says ECE, until a segment with CWR comes
 *   reduced   our window shrank, for an ECE or for a loss: the next new data says CWR
 *
 * What an ECE does to the window is in recovery.c, where it needs SACK: without that we echo only,
 * and send nothing as capable.
 */
#include "stack/recovery.h"

enum { ECE = 0x40, CWR = 0x80, IP_ECN = 3, IP_ECT0 = 2, IP_CE = 3, MARK_ACKS = 2 };

static uint32_t ack_of(const uint8_t *tcp)
{
    return lwip_ntohl(((const struct tcp_hdr *)(const void *)tcp)->ackno);
}

static uint8_t ip_ecn(const uint8_t *ip)
{
    return (ip[0] >> 4 == 6 ? ip[1] >> 4 : ip[1]) & IP_ECN;
}

bool ecn_is_asked(const struct packet *packet, const uint8_t *ip)
{
    return (packet->tcp_flags & (ECE | CWR)) == (ECE | CWR) && ip_ecn(ip) == 0;
}

static void read_answer(struct stack *stack, struct stack_conn *conn, const uint8_t *tcp)
{
    const uint8_t both = TCP_SYN | TCP_ACK;

    if (!(tcp[13] & TCP_SYN) || ((tcp[13] & both) == both && ack_of(tcp) != conn_tcp(conn)->snd_nxt))
        return;
    conn->ecn = (tcp[13] & (both | ECE | CWR)) == (both | ECE) ? ECN_ON : 0;
    stack->stats.ecn += conn->ecn != 0;
}

/* The mark of this packet, after what the sender says about those before it. */
static void read_mark(struct stack *stack, struct stack_conn *conn, uint8_t ecn, bool reduced)
{
    if (reduced)
        conn->ecn &= (uint8_t)~ECN_ECHOES;
    if (ecn == IP_CE) {
        conn->ecn |= ECN_ECHOES;
        stack->stats.ecn_marked++;
    }
    /* A sender with a window of one segment must not wait for us. */
    if (reduced || ecn == IP_CE)
        conn->quick_acks = MAX(conn->quick_acks, (uint8_t)MARK_ACKS);
}

void ecn_read(struct stack *stack, struct stack_conn *conn, const struct frame *frame,
              const struct packet *packet)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    const uint8_t *tcp = frame->data + packet->transport_at;

    if (pcb->state == SYN_SENT) {
        read_answer(stack, conn, tcp);
        return;
    }
    if (!(conn->ecn & ECN_ON) || packet->tcp_flags & (TCP_SYN | TCP_RST))
        return;
    if (packet->payload_len)
        read_mark(stack, conn, ip_ecn(frame->data + packet->ip_at), packet->tcp_flags & CWR);
    if (packet->tcp_flags & ECE && pcb->snd_nxt != pcb->lastack &&
        TCP_SEQ_GEQ(ack_of(tcp), pcb->lastack)) {
        stack->news.congested = true;
        stack->news.flight = pcb->snd_nxt - pcb->lastack;
    }
}

void ecn_note_reduced(struct stack_conn *conn)
{
    if (conn->ecn & ECN_ON)
        conn->ecn |= ECN_REDUCED;
}

static void set_capable(uint8_t *ip)
{
    ip[1] |= (uint8_t)(ip[0] >> 4 == 6 ? IP_ECT0 << 4 : IP_ECT0);
}

static uint8_t syn_bits(const struct stack *stack, const struct stack_conn *conn, uint8_t flags)
{
    if (flags & TCP_ACK)
        return (conn ? conn->ecn & ECN_ON : stack->call_asks_ecn) ? ECE : 0;
    return conn && conn->ecn & ECN_ASKS && conn_tcp(conn)->nrtx == 0 ? ECE | CWR : 0;
}

void ecn_write(const struct stack *stack, uint8_t *ip, uint8_t *tcp, uint32_t payload, bool is_new,
               struct frame_offload *offload)
{
    struct stack_conn *conn = stack->current;
    uint8_t bits = 0;

    if (tcp[13] & TCP_SYN) {
        bits = syn_bits(stack, conn, tcp[13]);
    } else if (conn && conn->ecn & ECN_ON) {
        bits = conn->ecn & ECN_ECHOES ? ECE : 0;
        if (payload && is_new && conn_tcp(conn)->flags & TF_SACK) {
            set_capable(ip);
            if (conn->ecn & ECN_REDUCED) {
                bits |= CWR;
                conn->ecn &= (uint8_t)~ECN_REDUCED;
                offload->gso_type |= offload->gso_type ? FRAME_GSO_ECN : 0;
            }
        }
    }
    tcp[13] = (uint8_t)((tcp[13] & ~(ECE | CWR)) | bits);
}
