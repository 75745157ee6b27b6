/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Repair of losses by selective acknowledgements (RFC 2018, 6675), and by time (RFC 8985).
 *
 * lwIP sends SACK blocks but reads none: with two losses in a window, or when what it sends again
 * is lost too, it waits for its RTO. So the blocks of a segment are read before lwIP sees it, and
 * after lwIP has worked on it, before the connection is put away, they are laid over pcb->unacked
 * (scoreboard.c):
 *
 *   SACKED   segments that a block covers whole
 *   LOST     segments with three packets SACKed above them, or, if fewer come, that are still
 *            missing a quarter of a round trip after the first of those. Where the way was
 *            seen to reorder only the time counts
 *   RESENT   segments that were sent again. What was sent after that having arrived they are LOST
 *            again. When that was is in a table beside the list (resent.c).
 *
 * A LOST segment is sent by moving it from unacked to the head of unsent, where tcp_output finds it
 * and puts it back. All that is moved must leave in that one call, or else it is put back here:
 * tcp_write may append to the last unsent segment. tcp_output compares distances from the first
 * unacknowledged byte with pcb->cwnd; so that is set to our window plus what is SACKED or LOST, and
 * is not in the network. While lwIP works on an acknowledgement its cwnd is 0, since only after
 * that is known what may leave; its own count of duplicates is kept from reaching three.
 *
 * After an RTO lwIP has all segments in unsent, to send them one after the other. They are taken
 * back: all that is not SACKED is LOST then, and leaves as the window allows. A second RTO for the
 * same data takes the blocks back, too, and so does the first when the oldest data is SACKED: who
 * has it would have acknowledged it, so the receiver has dropped what it had promised (RFC 2018, 8).
 *
 * Of a loss at the end nothing tells: see probe.c.
 *
 * Connections of real size, whose link is impaired, keep their struct recovery from the second
 * window on: the congestion window is theirs then (congestion.c). The others, whose segments may be
 * super-segments, have one while something is missing. A super-segment that a block covers in part
 * is missing. Without SACK all is lwIP's.
 */
#include "stack/recovery.h"

#include <stdlib.h>

enum { START_UNITS = 10 };

/* ---- what a segment tells ---- */

void recovery_read(struct stack *stack, struct stack_conn *conn, const uint8_t *tcp,
                   uint32_t header, uint32_t payload)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;

    uint32_t ack = lwip_ntohl(((const struct tcp_hdr *)(const void *)tcp)->ackno);

    stack->news = (struct tcp_news){0};
    if (pcb->flags & (TF_SACK | TF_TIMESTAMP))
        news_read(&stack->news, pcb, tcp, header);
    stack->news.echo_ms -= conn->ts_offset;
    if (conn->flags & CONN_RESENT && TCP_SEQ_GT(ack, pcb->lastack) &&
        TCP_SEQ_LEQ(ack, pcb->snd_nxt))
        rtt_resent_acked(stack, conn, ack);
    if (!recovery)
        return;
    if (TCP_SEQ_GT(ack, pcb->lastack) && TCP_SEQ_LEQ(ack, pcb->snd_nxt))
        scoreboard_note_late(conn, ack);
    pcb->dupacks = 0; /* fast retransmission is ours */
    if (payload == 0 || recovery->state != RECOVERY_OPEN) {
        recovery->held = true;
        pcb->cwnd = 0;
    }
}

/* ---- birth and death ---- */

static void clear_bits(struct tcp_seg *seg, uint8_t bits)
{
    for (; seg; seg = seg->next)
        seg->flags &= (u8_t)~bits;
}

static struct recovery *start(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = calloc(1, sizeof(*recovery));
    if (!recovery)
        return NULL;

    recovery->una = recovery->fack = pcb->lastack;
    recovery->nxt = pcb->snd_nxt;
    recovery->timer_ns = TIMER_NEVER;
    recovery->state = pcb->flags & TF_RTO ? RECOVERY_TIMEOUT : RECOVERY_OPEN;
    recovery->min_rtt_us = conn->srtt_us;
    recovery->unit = conn->segment_bytes;
    if (!(conn->flags & CONN_REAL_SIZE))
        recovery->unit = MAX(recovery->unit, (uint32_t)pcb->mss);
    congestion_init(recovery, pcb);
    conn->recovery = recovery;
    return recovery;
}

void recovery_free(struct stack_conn *conn)
{
    if (conn->recovery)
        free(conn->recovery->resent);
    free(conn->recovery);
    conn->recovery = NULL;
}

/* lwIP goes on from here, with our window or its own. */
static void hand_back(struct stack_conn *conn, bool window)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    clear_bits(pcb->unacked, SEG_SACKED | SEG_LOST | SEG_RESENT);
    clear_bits(pcb->unsent, SEG_SACKED | SEG_LOST | SEG_RESENT);
    if (window) {
        pcb->cwnd = conn->recovery->cwnd;
        pcb->ssthresh = conn->recovery->ssthresh;
        pcb->bytes_acked = 0;
    }
    recovery_free(conn);
}

/* ---- sending ---- */

static void enter_repair(struct stack_conn *conn);
static uint32_t catch_up(const struct stack *stack, struct stack_conn *conn);

static void set_window(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    pcb->cwnd = conn->recovery->cwnd + conn->recovery->sacked + conn->recovery->lost;
    pcb->ssthresh = conn->recovery->ssthresh;
}

bool recovery_in_window(const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
    return seg_seq(seg) + seg->len - pcb->lastack <= pcb->snd_wnd;
}

static bool may_leave(const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
    /* A reference of somebody else: it has not even left yet (it waits for an ARP answer). */
    return seg->p->ref == 1 && recovery_in_window(pcb, seg);
}

/* Notes that `seg`, unlinked from unacked, is sent again. */
static void note_resent(struct stack *stack, struct stack_conn *conn, struct tcp_seg *seg)
{
    struct recovery *recovery = conn->recovery;

    if (seg->flags & SEG_LOST)
        recovery->lost -= TCP_TCPLEN(seg);
    seg->flags = (u8_t)((seg->flags | SEG_RESENT) & ~SEG_LOST);
    recovery->repair_sent += TCP_TCPLEN(seg);
    if (recovery->doubtful_count < ARRAY_SIZE(recovery->doubtful))
        recovery->doubtful[recovery->doubtful_count] = seg_seq(seg);
    recovery->doubtful_count++;
    resent_note(recovery, seg_seq(seg), conn_tcp(conn)->snd_nxt, stack->now_ns);
    if (TCP_SEQ_LEQ(seg_seq(seg), recovery->una))
        conn_tcp(conn)->rtime = 0; /* the RTO is counted from here */
}

void recovery_put_back(struct tcp_pcb *pcb)
{
    struct tcp_seg **at = &pcb->unacked;

    while (pcb->unsent && TCP_SEQ_LEQ(seg_end(pcb->unsent), pcb->snd_nxt)) {
        struct tcp_seg *seg = pcb->unsent;
        pcb->unsent = seg->next;
        while (*at && TCP_SEQ_LT(seg_seq(*at), seg_seq(seg)))
            at = &(*at)->next;
        seg->next = *at;
        *at = seg;
    }
}

/* lwIP's fast retransmission moves the oldest segment to `unsent`, where it stays when the window
   has shrunk below it. An RTO would put it behind the others, and nothing would ever leave. */
void recovery_sort(struct tcp_pcb *pcb)
{
    struct tcp_seg *seg;

    while ((seg = pcb->unsent) && pcb->unacked && TCP_SEQ_LT(seg_seq(seg), seg_seq(pcb->unacked))) {
        pcb->unsent = seg->next;
        seg->next = pcb->unacked;
        pcb->unacked = seg;
    }
}

/* Sends the segments of `list`, which were unlinked from unacked, and what the window lets
   follow. */
static void send_list(struct stack_conn *conn, struct tcp_seg *list, struct tcp_seg *last)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    set_window(conn);
    if (list) {
        last->next = pcb->unsent;
        pcb->unsent = list;
        pcb->cwnd = MAX(pcb->cwnd, pcb->snd_nxt - pcb->lastack);
    }
    (void)tcp_output(pcb);
    if (list) {
        recovery_put_back(pcb);
        set_window(conn);
    }
}

/* Sends again what is LOST, as the window allows, then what is new. */
static void send_lost(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;
    struct tcp_seg *list = NULL, **last = &list, *tail = NULL;
    uint32_t pipe = recovery_pipe(recovery, pcb);

    for (struct tcp_seg **at = &pcb->unacked; recovery->lost && *at;) {
        struct tcp_seg *seg = *at;
        if (!(seg->flags & SEG_LOST) || !may_leave(pcb, seg)) {
            at = &seg->next;
            continue;
        }
        collapse_at(conn, seg);
        if (pipe + TCP_TCPLEN(seg) > recovery->cwnd && pipe)
            break;
        *at = seg->next;
        seg->next = NULL;
        *last = tail = seg;
        last = &seg->next;
        pipe += TCP_TCPLEN(seg);
        note_resent(stack, conn, seg);
    }
    send_list(conn, list, tail);
}

/* What ends beyond `edge` is LOST, not by the network's fault. */
static void lose_beyond(struct stack_conn *conn, uint32_t edge)
{
    struct recovery *recovery = conn->recovery;

    if (recovery->state <= RECOVERY_CWR) {
        uint32_t cwnd = recovery->cwnd;
        enter_repair(conn);
        recovery->cwnd = recovery->ssthresh = cwnd;
    }
    for (struct tcp_seg *seg = conn_tcp(conn)->unacked; seg; seg = seg->next) {
        if (seg->flags & (SEG_SACKED | SEG_LOST) || !TCP_SEQ_GT(seg_end(seg), edge))
            continue;
        seg->flags |= SEG_LOST;
        recovery->lost += TCP_TCPLEN(seg);
    }
}

void recovery_resend(struct stack *stack, struct stack_conn *conn)
{
    if (!conn->recovery && !start(conn))
        return;
    (void)catch_up(stack, conn);
    lose_beyond(conn, conn_tcp(conn)->lastack);
    send_lost(stack, conn);
}

void recovery_send_to(struct stack_conn *conn, uint32_t end)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    pcb->cwnd = end - pcb->lastack;
    (void)tcp_output(pcb);
    set_window(conn);
}

void recovery_send_again(struct stack *stack, struct stack_conn *conn, struct tcp_seg **at)
{
    struct tcp_seg *seg = *at;

    if (!may_leave(conn_tcp(conn), seg))
        return;
    *at = seg->next;
    seg->next = NULL;
    note_resent(stack, conn, seg);
    send_list(conn, seg, seg);
}

/* ---- the course of things ---- */

static void enter_repair(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;

    if (recovery->state != RECOVERY_CWR) { /* once a round trip is enough */
        congestion_reduce(recovery, pcb->snd_nxt - pcb->lastack);
        ecn_note_reduced(conn);
    }
    recovery->state = RECOVERY_REPAIR;
    recovery->point = pcb->snd_nxt;
    recovery->probing = false;
}

/* The way is nearly full, and nothing lost: as after a loss, without a repair (RFC 3168, 6.1.2). */
static void enter_cwr(struct stack *stack, struct stack_conn *conn, uint32_t flight)
{
    struct recovery *recovery = conn->recovery;

    congestion_reduce(recovery, flight);
    ecn_note_reduced(conn);
    stack->stats.ecn_reduced++;
    recovery->state = RECOVERY_CWR;
    recovery->point = conn_tcp(conn)->snd_nxt;
}

/* lwIP's RTO put all into unsent and sent the first. False: the window is shut, there is nothing to
   be sent, and lwIP's persist timer takes over. */
static bool take_over_timeout(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;
    struct tcp_seg *seg, **at = &pcb->unacked;
    uint8_t clear = SEG_LOST | SEG_RESENT;

    if (!pcb->unacked || pcb->persist_backoff)
        return false;
    if (pcb->nrtx > 1 || pcb->unacked->flags & SEG_SACKED) {
        clear |= SEG_SACKED;
        recovery->sacked = 0;
    }
    clear_bits(pcb->unacked, clear);
    clear_bits(pcb->unsent, clear);
    recovery->resent_count = 0;
    recovery->reorder_ns = 0;
    recovery->probing = false;
    for (; *at; at = &(*at)->next) {
        (*at)->flags |= SEG_RESENT;
        resent_note(recovery, seg_seq(*at), pcb->snd_nxt, stack->now_ns);
    }
    while ((seg = pcb->unsent) && TCP_SEQ_LEQ(seg_end(seg), pcb->snd_nxt)) {
        pcb->unsent = seg->next;
        seg->next = NULL;
        if (!(seg->flags & SEG_SACKED))
            seg->flags |= SEG_LOST;
        *at = seg;
        at = &seg->next;
    }
    tcp_clear_flags(pcb, TF_RTO);
    congestion_timeout(recovery, pcb->snd_nxt - pcb->lastack, recovery->state == RECOVERY_TIMEOUT);
    ecn_note_reduced(conn);
    recovery->state = RECOVERY_TIMEOUT;
    recovery->point = pcb->snd_nxt;
    return true;
}

void recovery_undo_timeout(struct stack_conn *conn)
{
    struct recovery *recovery = conn->recovery;

    recovery->probe_resent = false;
    if (recovery->state != RECOVERY_TIMEOUT)
        return;
    clear_bits(conn_tcp(conn)->unacked, SEG_LOST);
    recovery->lost = 0;
    recovery->state = RECOVERY_OPEN;
    congestion_undo(recovery);
}

static void take_echo(const struct stack *stack, struct stack_conn *conn)
{
    uint32_t age_ms = (uint32_t)(stack->now_ns / NS_PER_MS) - stack->news.echo_ms;

    if (stack->news.has_echo && age_ms < 60000)
        congestion_sample(conn->recovery, age_ms * 1000, conn->recovery->una,
                          conn_tcp(conn)->snd_nxt);
}

/* What an acknowledgement means for the window; `flight` is what was under way before. */
static void adjust_window(struct stack *stack, struct stack_conn *conn, uint32_t flight,
                          uint32_t delivered, bool progress)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;
    bool limited = flight + 2 * recovery->unit > recovery->cwnd ||
                   (recovery->cwnd < recovery->ssthresh && 2 * flight > recovery->cwnd);

    if (recovery->state == RECOVERY_REPAIR || recovery->state == RECOVERY_CWR)
        congestion_repair(recovery, recovery_pipe(recovery, pcb), delivered, progress);
    else if (limited)
        congestion_grow(recovery, delivered, conn->srtt_us, stack->now_ns);
    else
        recovery->epoch_ns = 0;
}

static void repair(struct stack *stack, struct stack_conn *conn, uint32_t acked)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;
    uint32_t sacked = recovery->sacked, out = sacked + recovery->lost, newly_lost = 0;
    uint32_t before = pcb->snd_nxt - pcb->lastack + acked;
    uint32_t flight = before > out ? before - out : 0;

    scoreboard_note_duplicate(stack, recovery);
    if (recovery->probing && TCP_SEQ_GEQ(pcb->lastack, recovery->probe_end))
        probe_acked(stack, conn, flight);
    /* An ECE comes until our CWR has arrived, which is behind `point`. */
    uint32_t end = recovery->point + (recovery->state == RECOVERY_CWR);
    if (recovery->state != RECOVERY_OPEN && TCP_SEQ_GEQ(pcb->lastack, end)) {
        congestion_repaired(recovery);
        recovery->state = RECOVERY_OPEN;
    }
    if (recovery->reorder_ns && TCP_SEQ_GEQ(pcb->lastack, recovery->reorder_seq))
        recovery->reorder_ns = 0;
    recovery->timer_ns = TIMER_NEVER;
    if (scoreboard_has_marks(stack, recovery)) {
        resent_forget_acked(recovery, stack->now_ns);
        scoreboard_mark_sacked(stack, conn);
        newly_lost = scoreboard_mark_lost(stack, conn);
    }
    if (stack->news.congested && recovery->state == RECOVERY_OPEN)
        enter_cwr(stack, conn, flight);
    if (recovery->lost && recovery->state <= RECOVERY_CWR)
        enter_repair(conn);
    adjust_window(stack, conn, flight, acked + recovery->sacked - sacked, acked && !newly_lost);
}

static bool wants_start(const struct stack *stack, const struct stack_conn *conn,
                        const struct tcp_pcb *pcb)
{
    if (!(conn->flags & CONN_OPEN) || !(pcb->flags & TF_SACK))
        return false;
    if (stack->news.congested || !pcb->unacked)
        return stack->news.congested;
    return stack->news.block_count || stack->news.reopened ||
           (conn->flags & CONN_REAL_SIZE &&
            pcb->snd_nxt - pcb->lastack >= START_UNITS * (uint32_t)conn->segment_bytes);
}

/* Nothing is missing, as far as is known. */
static bool is_whole(const struct recovery *recovery)
{
    return recovery->state == RECOVERY_OPEN && !recovery->sacked && !recovery->lost &&
           !recovery->reorder_ns && !recovery->probing;
}

/* Accounts for what has left and what was acknowledged since; returns how much that was. */
static uint32_t catch_up(const struct stack *stack, struct stack_conn *conn)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;
    uint32_t acked = pcb->lastack - recovery->una;

    recovery->repair_sent += pcb->snd_nxt - recovery->nxt;
    recovery->nxt = pcb->snd_nxt;
    recovery->una = pcb->lastack;
    if (TCP_SEQ_LT(recovery->fack, recovery->una))
        recovery->fack = recovery->una;
    if (acked)
        take_echo(stack, conn);
    return acked;
}

void recovery_leave(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct recovery *recovery = conn->recovery;
    bool timeout = pcb->flags & TF_RTO;

    if (!recovery && (!wants_start(stack, conn, pcb) || !(recovery = start(conn))))
        return;
    if (timeout && !take_over_timeout(stack, conn)) {
        hand_back(conn, false);
        return;
    }
    if (stack->news.reopened && !recovery_in_window(pcb, pcb->unacked)) {
        hand_back(conn, true);
        reopen_by_timeout(pcb);
        return;
    }
    uint32_t acked = catch_up(stack, conn), flight = pcb->snd_nxt - pcb->lastack;
    if (stack->news.congested && !acked && flight < stack->news.flight)
        acked = stack->news.flight - flight; /* by what this began with */
    if (acked || stack->news.block_count || stack->news.congested || stack->news.reopened ||
        recovery->held || timeout) {
        repair(stack, conn, acked);
        if (stack->news.reopened)
            lose_beyond(conn, stack->news.edge);
        send_lost(stack, conn);
        recovery->held = false;
    }
    if (!(conn->flags & CONN_REAL_SIZE) && is_whole(recovery))
        hand_back(conn, true);
}

/* ---- timers ---- */

uint64_t recovery_due_ns(const struct stack *stack, const struct stack_conn *conn)
{
    uint64_t due_ns = probe_due_ns(stack, conn);

    return conn->recovery ? MIN(due_ns, conn->recovery->timer_ns) : due_ns;
}

void recovery_timer(struct stack *stack, struct stack_conn *conn)
{
    struct recovery *recovery = conn->recovery;

    if (recovery && recovery->timer_ns <= stack->now_ns) {
        (void)catch_up(stack, conn);
        repair(stack, conn, 0);
        send_lost(stack, conn);
        return;
    }
    if (!recovery && !start(conn)) {
        conn_tcp(conn)->rtime = 0; /* no memory: try again later */
        return;
    }
    (void)catch_up(stack, conn);
    probe_send(stack, conn);
}
