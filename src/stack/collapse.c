/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small segments that are sent again leave as one (as Linux: tcp_retrans_try_collapse).
 *
 * lwIP's congestion window, as ours, counts bytes, and an application that writes little at a time
 * has a segment for each write under way. After a loss a window of one segment would be some hundred
 * packets of a few bytes: a queue that has just overflowed would lose them all once more, with every
 * RTO. Put together they are the packets that the window means.
 *
 * Likewise what is new: when as many packets as the window is worth in full ones are under way, and
 * ten at least, a little one more waits for an acknowledgement, and what is written meanwhile joins
 * it. Linux counts packets.
 */
#include "stack/recovery.h"

enum { FEW_PACKETS = 10 };

static bool may_join(const struct stack_conn *conn, const struct tcp_seg *seg,
                     const struct tcp_seg *next)
{
    if (!next || (uint32_t)seg->len + next->len > conn->segment_bytes)
        return false;
    return !((seg->flags | next->flags) & SEG_SACKED) && !((seg->flags ^ next->flags) & SEG_LOST) &&
           seg_end(seg) == seg_seq(next) && seg->p->ref == 1 && next->p->ref == 1 &&
           !((TCPH_FLAGS(seg->tcphdr) | TCPH_FLAGS(next->tcphdr)) & (TCP_SYN | TCP_FIN));
}

/* The bytes of the one that follows stay where they are, without the header before them. */
static void join_next(struct tcp_pcb *pcb, struct tcp_seg *seg)
{
    struct tcp_seg *next = seg->next;
    uint16_t header = (uint16_t)(next->p->tot_len - next->len);

    pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen - pbuf_clen(seg->p) - pbuf_clen(next->p));
    pbuf_cat(seg->p, pbuf_free_header(next->p, header));
    pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen + pbuf_clen(seg->p));
    seg->len = (u16_t)(seg->len + next->len);
    seg->flags |= next->flags & SEG_RESENT;
    TCPH_SET_FLAG(seg->tcphdr, TCPH_FLAGS(next->tcphdr) & TCP_PSH);
    seg->next = next->next;
    next->p = NULL;
    tcp_seg_free(next);
}

void collapse_at(struct stack_conn *conn, struct tcp_seg *seg)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    const uint32_t end = seg_end(seg);

    while (may_join(conn, seg, seg->next) && recovery_in_window(pcb, seg->next))
        join_next(pcb, seg);
    /* Karn: what is timed would be sent again with what stands before it. */
    if (seg_end(seg) != end && TCP_SEQ_BETWEEN(conn->rtt_seq, seg_seq(seg) + 1, seg_end(seg)))
        conn->flags &= (uint16_t)~CONN_RTT_RUNS;
}

void collapse_all(struct stack_conn *conn)
{
    for (struct tcp_seg *seg = conn_tcp(conn)->unacked; seg; seg = seg->next)
        collapse_at(conn, seg);
}

bool collapse_waits(const struct stack_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t most = MAX(pcb->cwnd / conn->segment_bytes, (uint32_t)FEW_PACKETS), packets = 0;

    if (pcb->snd_queuelen < most) /* pbufs: one of each, or more */
        return false;
    for (const struct tcp_seg *seg = pcb->unacked; seg && packets < most; seg = seg->next)
        packets += seg->flags & SEG_SACKED ? 0 : seg_packets(conn, seg);
    return packets >= most;
}
