/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tail-loss probe (RFC 8985, 7). A loss at the end, after which nothing arrives that could tell
 * of it, would cost an RTO and the congestion window. So two round trips after the last new data
 * left, or the last acknowledgement came, the last segment (or the next) is sent as a probe, whose
 * acknowledgement tells what is missing.
 *
 * As Linux: a single packet's acknowledgement may be delayed, so 200 ms more pass then; and never
 * more than until the RTO, in whose place the first probe goes that way. After it the RTO is
 * counted anew. So of a connection that is cut the first two repetitions are an RTO apart each.
 *
 * Precise to a tick, and never early: the first tick may be over at once.
 */
#include "stack/recovery.h"

enum { UNTIMED_TICKS = 100, TICK_US = STACK_TICK_NS / 1000 };

static bool wants_probe(const struct stack_conn *conn, const struct tcp_pcb *pcb)
{
    const struct recovery *recovery = conn->recovery;

    if (!pcb->unacked || !(pcb->flags & TF_SACK) || !(conn->flags & CONN_OPEN) || pcb->rtime < 0 ||
        pcb->nrtx || pcb->flags & TF_RTO)
        return false;
    return !recovery || !(recovery->probing || recovery->state > RECOVERY_CWR ||
                          recovery->sacked || recovery->reorder_ns);
}

static uint32_t wait_ticks(const struct stack_conn *conn, const struct tcp_pcb *pcb)
{
    bool single = !pcb->unacked->next && pcb->unacked->len <= conn->segment_bytes;
    uint32_t ticks = conn->srtt_us ? 2 * conn->srtt_us / TICK_US + 2 : UNTIMED_TICKS;

    return single ? ticks + STACK_RTO_MIN_TICKS : ticks;
}

uint64_t probe_due_ns(const struct stack *stack, const struct stack_conn *conn)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);

    if (!wants_probe(conn, pcb))
        return TIMER_NEVER;
    /* Since when: lwIP's RTO counts from the last acknowledgement, or what was sent first. */
    uint32_t gone = stack->now_tick - conn->rtime_tick, sent = stack->now_tick - conn->probe_tick;
    int32_t left = (int32_t)wait_ticks(conn, pcb) - (int32_t)MIN(gone, sent);
    left = MIN(left, (int32_t)pcb->rto - (int32_t)gone);
    uint64_t tick_ns = stack->now_ns - stack->now_ns % STACK_TICK_NS;
    return left <= 0 ? tick_ns : tick_ns + (uint64_t)left * STACK_TICK_NS;
}

void probe_send(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;
    struct tcp_seg **at = &pcb->unacked, *next = pcb->unsent;

    pcb->rtime = 0;
    recovery->probing = true;
    recovery->probe_resent = !next || !recovery_in_window(pcb, next);
    recovery->probe_end = recovery->probe_resent ? pcb->snd_nxt : seg_end(next);
    if (!recovery->probe_resent) {
        recovery_send_to(conn, recovery->probe_end);
        return;
    }
    while ((*at)->next)
        at = &(*at)->next;
    recovery_send_again(stack, conn, at);
}

void probe_acked(const struct stack *stack, struct stack_conn *conn, uint32_t flight)
{
    struct recovery *recovery = conn->recovery;

    recovery->probing = false;
    if (!recovery->probe_resent || stack->news.duplicate || recovery->state != RECOVERY_OPEN)
        return;
    congestion_reduce(recovery, flight);
    ecn_note_reduced(conn);
    recovery->cwnd = MIN(recovery->cwnd, recovery->ssthresh);
}
