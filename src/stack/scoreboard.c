/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the receiver has, and what is lost (RFC 6675: "scoreboard"): the blocks of an acknowledgement,
 * laid over pcb->unacked as the bits of its segments. See recovery.c, which decides what then leaves.
 */
#include "stack/recovery.h"

enum { DUP_PACKETS = 3, PATIENCE_MAX = 16 };

/* ---- what arrived ---- */

static bool covered(const struct tcp_news *news, const struct tcp_seg *seg)
{
    for (unsigned i = 0; i < news->block_count; i++) {
        if (TCP_SEQ_GEQ(seg_seq(seg), news->blocks[i].left) &&
            TCP_SEQ_LEQ(seg_end(seg), news->blocks[i].right))
            return true;
    }
    return false;
}

static void segment_arrived(struct stack *stack, struct stack_conn *conn, struct tcp_seg *seg)
{
    struct recovery *recovery = conn->recovery;

    if (seg->flags & SEG_RESENT) {
        struct resent *entry = resent_find(recovery, seg_seq(seg));
        if (entry)
            resent_arrived(recovery, entry, stack->now_ns);
        if (recovery->probing && recovery->probe_resent && seg_end(seg) == recovery->probe_end) {
            recovery->reorder_ns = 1; /* what was sent before the probe is long overdue */
            recovery->reorder_seq = recovery->fack;
        }
    } else if (conn->flags & CONN_RTT_RUNS && seg_end(seg) == conn->rtt_seq) {
        conn->flags &= (uint16_t)~CONN_RTT_RUNS;
        conn_take_rtt(conn, stack->now_ns - conn->rtt_start_ns);
    }
    seg->flags = (u8_t)((seg->flags | SEG_SACKED) & ~SEG_LOST);
}

/* It arrives after what was sent later, and was sent once (RFC 8985, 6.2: "reordering_seen"). After an
   RTO it is not known any more how often something was sent. */
static bool is_late(const struct recovery *recovery, const struct tcp_seg *seg, uint32_t fack)
{
    return recovery->state != RECOVERY_TIMEOUT && !(seg->flags & (SEG_SACKED | SEG_RESENT)) &&
           TCP_SEQ_LEQ(seg_end(seg), fack);
}

void scoreboard_note_late(struct stack_conn *conn, uint32_t ack)
{
    struct recovery *recovery = conn->recovery;

    if (!recovery->sacked || recovery->reorders)
        return;
    for (const struct tcp_seg *seg = conn_tcp(conn)->unacked; seg; seg = seg->next) {
        if (TCP_SEQ_GT(seg_end(seg), ack))
            return;
        recovery->reorders |= is_late(recovery, seg, recovery->fack);
    }
}

void scoreboard_mark_sacked(struct stack *stack, struct stack_conn *conn)
{
    struct recovery *recovery = conn->recovery;
    const struct tcp_news *news = &stack->news;
    const uint32_t fack = recovery->fack;

    recovery->sacked = recovery->sacked_packets = 0;
    for (unsigned i = 0; i < news->block_count; i++) {
        if (TCP_SEQ_GT(news->blocks[i].right, recovery->fack))
            recovery->fack = news->blocks[i].right;
    }
    for (struct tcp_seg *seg = conn_tcp(conn)->unacked; seg; seg = seg->next) {
        if (!(seg->flags & SEG_SACKED) && news->block_count && covered(news, seg)) {
            recovery->reorders |= is_late(recovery, seg, fack);
            segment_arrived(stack, conn, seg);
        }
        if (seg->flags & SEG_SACKED) {
            recovery->sacked += TCP_TCPLEN(seg);
            recovery->sacked_packets += seg_packets(conn, seg);
        }
    }
}

/* ---- what is lost ---- */

/* How much later than what was sent after it something may arrive (RFC 8985, 6.2). */
static uint64_t reorder_window_ns(const struct stack_conn *conn)
{
    const struct recovery *recovery = conn->recovery;
    uint32_t window_us = recovery->min_rtt_us / 4 * (1u + recovery->patience);

    if (recovery->state > RECOVERY_CWR && !recovery->reorders)
        return 0;
    return MAX(MIN(window_us, conn->srtt_us), 1000u) * NS_PER_US;
}

/* Has `deadline_ns` come? Otherwise there will be a timer for it. */
static bool is_due(struct recovery *recovery, uint64_t deadline_ns, uint64_t now_ns)
{
    if (deadline_ns <= now_ns)
        return true;
    recovery->timer_ns = MIN(recovery->timer_ns, deadline_ns);
    return false;
}

static bool resent_is_lost(const struct stack *stack, const struct stack_conn *conn,
                           const struct tcp_seg *seg)
{
    struct recovery *recovery = conn->recovery;
    const struct resent *entry = resent_find(recovery, seg_seq(seg));

    if (!entry)
        return false;
    int32_t beyond = (int32_t)(recovery->fack - entry->sent_before);
    if (beyond <= 0 && (int32_t)(recovery->order_delivered - entry->order) <= 0)
        return false; /* nothing that was sent later has arrived */
    if (!recovery->reorders && beyond >= DUP_PACKETS * (int32_t)conn->segment_bytes)
        return true;
    uint64_t rtt_ns = MAX(conn->srtt_us, recovery->min_rtt_us) * NS_PER_US;
    uint64_t window_ns = recovery->min_rtt_us / 4 * NS_PER_US;
    return is_due(recovery, entry->at_ns + rtt_ns + window_ns, stack->now_ns);
}

/* `packets_above`: SACKed above it. `waits`: something is missing for which no time runs yet. */
static bool segment_is_lost(const struct stack *stack, const struct stack_conn *conn,
                            const struct tcp_seg *seg, uint32_t packets_above, bool *waits)
{
    struct recovery *recovery = conn->recovery;

    if (seg->flags & SEG_RESENT)
        return resent_is_lost(stack, conn, seg);
    if (!TCP_SEQ_LT(seg_seq(seg), recovery->fack))
        return false;
    if (!recovery->reorders && packets_above >= DUP_PACKETS)
        return true;
    if (recovery->reorder_ns && TCP_SEQ_LT(seg_seq(seg), recovery->reorder_seq))
        return is_due(recovery, recovery->reorder_ns, stack->now_ns);
    *waits = reorder_window_ns(conn) > 0;
    return !*waits;
}

uint32_t scoreboard_mark_lost(const struct stack *stack, const struct stack_conn *conn)
{
    struct recovery *recovery = conn->recovery;
    uint32_t above = recovery->sacked_packets, news = 0;
    bool waits = false;

    recovery->lost = 0;
    for (struct tcp_seg *seg = conn_tcp(conn)->unacked; seg; seg = seg->next) {
        if (seg->flags & SEG_SACKED) {
            above -= seg_packets(conn, seg);
            continue;
        }
        if (!(seg->flags & SEG_LOST) && segment_is_lost(stack, conn, seg, above, &waits)) {
            seg->flags |= SEG_LOST;
            news += TCP_TCPLEN(seg);
        }
        if (seg->flags & SEG_LOST)
            recovery->lost += TCP_TCPLEN(seg);
    }
    if (recovery->reorder_ns && recovery->reorder_ns <= stack->now_ns)
        recovery->reorder_ns = 0;
    if (waits && !recovery->reorder_ns) {
        recovery->reorder_ns = stack->now_ns + reorder_window_ns(conn);
        recovery->reorder_seq = recovery->fack;
    }
    if (waits)
        recovery->timer_ns = MIN(recovery->timer_ns, recovery->reorder_ns);
    return news;
}

bool scoreboard_has_marks(const struct stack *stack, const struct recovery *recovery)
{
    return stack->news.block_count || recovery->state != RECOVERY_OPEN || recovery->sacked ||
           recovery->lost || recovery->resent_count;
}

/* ---- what came twice ---- */

/* Strikes what came twice off the list of what was sent again; false when it is not there. */
static bool strike_doubtful(struct recovery *recovery, uint32_t seq)
{
    uint32_t count = recovery->doubtful_count;

    for (uint32_t i = 0; count <= ARRAY_SIZE(recovery->doubtful) && i < count; i++) {
        if (recovery->doubtful[i] == seq) {
            recovery->doubtful[i] = recovery->doubtful[--recovery->doubtful_count];
            return true;
        }
    }
    return false;
}

void scoreboard_note_duplicate(const struct stack *stack, struct recovery *recovery)
{
    if (!stack->news.duplicate || recovery->probing ||
        !strike_doubtful(recovery, stack->news.duplicate_seq))
        return;
    recovery->reorders = true;
    if (recovery->patience < PATIENCE_MAX)
        recovery->patience++;
    if (recovery->doubtful_count == 0 && recovery->state != RECOVERY_TIMEOUT &&
        recovery->state != RECOVERY_CWR) {
        recovery->state = RECOVERY_OPEN;
        congestion_undo(recovery);
    }
}
