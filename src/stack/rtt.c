/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a round trip takes (RFC 6298).
 *
 * One segment at a time is timed, from when it leaves to its acknowledgement, unless it was sent
 * again (Karn): whose answer would that be? lwIP's own timing, which times such segments too, is
 * off; its estimate is fed from here.
 *
 * When the way has become longer than the RTO, everything is sent twice and nothing could ever be
 * timed. So what acknowledges something that was sent again is timed by the timestamp that it
 * echoes (RFC 7323, 4). When that is older than the first of what was sent again, nothing had been
 * lost, only late (Eifel, RFC 3522): the estimate is at least this round trip at once, and the
 * timeout's consequences are undone (RFC 4015, 3.3). But it may be an acknowledgement that was lost.
 * What was sent again came twice then; that is acknowledged a usual round trip later, with the old
 * echo, and nothing was timed: the wait for the RTO would be in it, and each such loss would make the
 * RTO three times as long. While nothing could be timed, as without timestamps, the RTO stays backed
 * off (RFC 6298, 5.7).
 */
#include "stack/recovery.h"

enum { ECHO_MAX_MS = 600000, RTT_MAX_TICKS = 3000, BACKOFF_MAX = 10, TICK_US = STACK_TICK_NS / 1000 };

static int rtt_ticks(uint64_t rtt_ns)
{
    return (int)MIN(rtt_ns / STACK_TICK_NS, (uint64_t)RTT_MAX_TICKS);
}

void conn_take_rtt(struct stack_conn *conn, uint64_t rtt_ns)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    uint64_t sample = MIN(rtt_ns / 1000, (uint64_t)UINT32_MAX / 8);
    int ticks = rtt_ticks(rtt_ns), error = ticks - (pcb->sa >> 3);

    conn->backoff = 0;
    if (!conn->srtt_us) { /* the first */
        conn->srtt_us = (uint32_t)MAX(sample, 1u);
        pcb->sa = (s16_t)(ticks << 3);
        pcb->sv = (s16_t)MAX(2 * ticks, 1);
        return;
    }
    conn->srtt_us = (uint32_t)((conn->srtt_us * 7ull + sample) / 8);
    pcb->sa = (s16_t)(pcb->sa + error);
    pcb->sv = (s16_t)(pcb->sv + (error < 0 ? -error : error) - (pcb->sv >> 2));
}

/* It was late, not lost: expect no less from now on. */
static void adapt(struct stack_conn *conn, uint64_t rtt_ns)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    int ticks = rtt_ticks(rtt_ns);

    conn->srtt_us = MAX(conn->srtt_us, (uint32_t)(rtt_ns / 1000));
    pcb->sa = (s16_t)MAX((int)pcb->sa, ticks << 3);
    pcb->sv = (s16_t)MAX((int)pcb->sv, 2 * ticks);
    conn->backoff = 0;
}

/* lwIP had put all into unsent, to send it again. */
static void undo_timeout(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    if (!(pcb->flags & TF_RTO) || pcb->persist_backoff)
        return;
    recovery_put_back(pcb);
    tcp_clear_flags(pcb, TF_RTO);
    pcb->cwnd = MAX(pcb->cwnd, conn->undo_cwnd);
    pcb->ssthresh = MAX(pcb->ssthresh, conn->undo_ssthresh);
}

/* lwIP counts what it sends again for duplicate acknowledgements as well. */
int rtt_timeouts(const struct tcp_pcb *pcb)
{
    return pcb->nrtx - (pcb->nrtx && pcb->flags & TF_INFR ? 1 : 0);
}

/* Whether this acknowledges what was sent again rather than what was sent first. */
static bool answers_copy(const struct stack *stack, const struct stack_conn *conn, bool timeout)
{
    uint32_t since = stack->now_tick - conn->rtime_tick;

    return stack->news.duplicate || (timeout && since <= 2 * (conn->srtt_us / TICK_US) + 1);
}

void rtt_resent_acked(const struct stack *stack, struct stack_conn *conn, uint32_t ack)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    const struct recovery *recovery = conn->recovery;
    bool late = (int32_t)(stack->news.echo_ms - conn->resent_ms) < 0;
    bool timeout = pcb->flags & TF_RTO || (recovery && recovery->state == RECOVERY_TIMEOUT);
    uint32_t age_ms = (uint32_t)(stack->now_ns / NS_PER_MS) - stack->news.echo_ms;

    if (TCP_SEQ_GEQ(ack, conn->resent_end))
        conn->flags &= (uint16_t)~CONN_RESENT;
    if (!stack->news.has_echo || age_ms > ECHO_MAX_MS ||
        (late && answers_copy(stack, conn, timeout))) {
        if (timeout)
            conn->backoff = (uint8_t)MIN(conn->backoff + rtt_timeouts(pcb), BACKOFF_MAX);
    } else if (late) {
        adapt(conn, age_ms * NS_PER_MS);
    } else if (age_ms) {
        conn_take_rtt(conn, age_ms * NS_PER_MS);
    }
    if (!stack->news.has_echo || age_ms > ECHO_MAX_MS || !late)
        return;
    if (recovery)
        recovery_undo_timeout(conn);
    else
        undo_timeout(conn);
}

void stack_conn_left(struct stack_conn *conn, uint64_t since_ns, uint64_t at_ns)
{
    if (conn->rtt_start_ns == since_ns)
        conn->rtt_start_ns = at_ns;
}
