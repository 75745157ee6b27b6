/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Simultaneous open (RFC 9293, 3.5): two SYNs cross. lwIP takes a SYN in SYN-SENT for nothing, and
 * one with an acknowledgement in SYN-RECEIVED for a repetition. So the first makes lwIP's control
 * block what a caller's is, its options having been read, and our SYN goes again, acknowledging;
 * the second is shown to lwIP as the acknowledgement that it is. Linux may want to hear that
 * acknowledged, though it is its own turn.
 */
#include "stack/internal.h"

#include "packet/bytes.h"

#include <string.h>

static bool is_plain_syn(uint8_t flags)
{
    return (flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

bool cross_before(const struct stack_conn *conn, uint8_t *tcp, const struct packet *packet)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t seq = get32(tcp + 4);

    if (pcb->state == SYN_SENT)
        return is_plain_syn(packet->tcp_flags) && !(conn->flags & CONN_VANISHED);
    bool answer = (tcp[13] & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK);
    if (conn->flags & CONN_PASSIVE || pcb->state != SYN_RCVD || !answer)
        return false;
    if (seq + 1 != pcb->rcv_nxt || get32(tcp + 8) != pcb->snd_nxt)
        return false;
    tcp[13] &= (uint8_t)~TCP_SYN;
    seq = lwip_htonl(seq + 1);
    memcpy(tcp + 4, &seq, sizeof(seq));
    return true;
}

/* lwIP has read the options of the SYN and no more. */
static void to_syn_received(const struct stack *stack, struct tcp_pcb *pcb, uint32_t seq,
                            uint16_t window)
{
    pcb->rcv_nxt = pcb->rcv_ann_right_edge = seq + 1;
    pcb->snd_wnd = pcb->snd_wnd_max = window;
    pcb->snd_wl1 = seq - 1;
    pcb->mss = tcp_eff_send_mss(pcb->mss, &pcb->local_ip, &pcb->remote_ip);
    pcb->state = SYN_RCVD;
    pcb->tmr = stack->now_tick;
}

void cross_after(const struct stack *stack, uint32_t seq, uint16_t window)
{
    struct tcp_pcb *pcb = tcp_active_pcbs;

    if (!pcb)
        return;
    if (pcb->state == SYN_SENT) {
        u8_t nrtx = pcb->nrtx;
        to_syn_received(stack, pcb, seq, window);
        (void)tcp_rexmit(pcb); /* not a repetition */
        pcb->nrtx = nrtx;
    } else {
        tcp_ack_now(pcb);
    }
    (void)tcp_output(pcb);
}
