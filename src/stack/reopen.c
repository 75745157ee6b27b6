/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A window that shrank below what is under way, and opens again (RFC 9293, 3.8.6).
 *
 * A receiver that is short of memory throws away what comes, and says so by a window of nothing. Once
 * its reader has made room it announces that, and nothing else will ever come of it: what it threw
 * away it does not know. So what was sent beyond the old end of its window, a round trip ago at least,
 * is lost, and leaves at once as far as the new window goes. That is no sign of a full network: no
 * window of ours shrinks, no RTO becomes longer.
 *
 * But where the way reorders, an old window of nothing may come behind the one that opened it. Who has
 * taken anything beyond the old end has refused nothing there.
 *
 * A segment that is larger than the new window has to be cut. That is done where an RTO leaves all
 * segments (context.c: tcp_split_for_window), so then it is as if one had struck, without its
 * consequences; likewise without SACK, where repair is lwIP's.
 */
#include "stack/recovery.h"

enum { TICK_US = STACK_TICK_NS / 1000 };

/* lwIP's cwnd must be that of the connection. */
void reopen_by_timeout(struct tcp_pcb *pcb)
{
    u8_t nrtx = pcb->nrtx;

    tcp_rexmit_rto(pcb);
    pcb->nrtx = nrtx;
}

static bool has_taken_beyond(const struct stack *stack, const struct stack_conn *conn, uint32_t edge)
{
    const struct tcp_news *news = &stack->news;
    bool taken = conn->recovery && TCP_SEQ_GT(conn->recovery->fack, edge);

    for (unsigned i = 0; i < news->block_count; i++)
        taken |= TCP_SEQ_GT(news->blocks[i].right, edge);
    return taken || TCP_SEQ_GT(conn_tcp(conn)->lastack, edge);
}

void reopen_note(struct stack *stack, struct stack_conn *conn, uint32_t edge)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t ticks = stack->now_tick - conn->probe_tick; /* since what is new left last */

    if (!pcb->unacked || pcb->flags & TF_RTO || pcb->snd_wnd == 0 ||
        !TCP_SEQ_GT(pcb->lastack + pcb->snd_wnd, edge) || TCP_SEQ_GEQ(edge, pcb->snd_nxt) ||
        ticks < conn->srtt_us / TICK_US || has_taken_beyond(stack, conn, edge))
        return;
    if (!(pcb->flags & TF_SACK)) {
        reopen_by_timeout(pcb);
        return;
    }
    stack->news.reopened = true;
    stack->news.edge = edge;
}
