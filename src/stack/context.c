/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rule of this directory: every call into lwIP that can touch a connection lies between
 * context_enter and context_leave.
 *
 * lwIP finds and ages connections by walking global lists (tcp_active_pcbs and friends), so its
 * cost for each segment grows with the number of connections. Here no connection is on a list while
 * nobody works on it: enter puts the one at hand on the list of its state, alone, and makes the one
 * netif look like its peer; leave takes it off again and looks at what became of it. lwIP stays
 * unmodified and every walk has one step.
 *
 * lwIP's timers count ticks that it expects to be told of. Nobody tells it: the count of ticks
 * since a timer was started is put into the control block on enter (from rtime_tick, probe_tick)
 * and read back on leave, which then knows the connection's next deadline and arms one timer for
 * it. Deadlines that move away leave the timer where it is; it finds nothing to do when it fires
 * and moves on. But that of the handshake ends with it: who holds many idle connections would come
 * by each of them once more, a second later. An idle connection has no timer.
 *
 * Times that lwIP would get wrong with its coarse clock are set right on leave: the RTO's floor of
 * 200 ms above the round trip and its back-off, the RTT of the handshake, the first congestion window (RFC 6928).
 */
#include "stack/recovery.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

struct stack *stack_singleton;

/* Makes the netif be `peer`: address and, on TAP, MAC. */
void context_identity(struct stack *stack, uint64_t peer)
{
    struct netif *netif = &stack->netif;
    if (stack->peer == peer)
        return;
    stack->peer = peer;

    struct peer_addr addr = addr_set_at(stack->peers, peer);
    if (addr.family == 6) {
        addr_to_lwip(&addr, &netif->ip6_addr[0]);
        netif->ip6_addr_state[0] = IP6_ADDR_PREFERRED;
    } else {
        addr_to_lwip(&addr, &netif->ip_addr);
    }
    if (stack->layer == FRAME_ETHERNET) {
        struct peer_mac mac = mac_add(stack->first_mac, peer);
        memcpy(netif->hwaddr, mac.bytes, sizeof(mac.bytes));
    }
}

static void tcp_restore(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    pcb->next = NULL;
    switch (pcb->state) {
    case TIME_WAIT:
        tcp_tw_pcbs = pcb;
        break;
    case CLOSED:
        tcp_bound_pcbs = pcb;
        break;
    default:
        tcp_active_pcbs = pcb;
        break;
    }
    if (pcb->rtime >= 0)
        pcb->rtime = (s16_t)MIN(stack->now_tick - conn->rtime_tick, 0x7ffeu);
    /* A frame of a connection that is open may be longer than the MTU: see output.c. */
    stack->netif.mtu = pcb->state == SYN_SENT || pcb->state == SYN_RCVD || pcb->state == CLOSED
                           ? stack->mtu
                           : 0xffff;
}

void context_enter(struct stack *stack, struct stack_conn *conn)
{
    stack->current = conn;
    stack->ts_offset = conn->ts_offset;
    tcp_ticks = stack->now_tick;
    context_identity(stack, conn->peer);
    if (conn->protocol == IPPROTO_TCP) {
        tcp_restore(stack, conn);
    } else {
        conn_udp(conn)->next = NULL;
        udp_pcbs = conn_udp(conn);
        stack->netif.mtu = stack->mtu;
    }
}

/* The handshake's round trip is the first sample (RFC 6298, 2.2): lwIP would go on measuring until
   the first data is acknowledged, however long the connection is idle before. */
static void tcp_take_handshake_rtt(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    pcb->rttest = 0;
    if (conn->retransmits) { /* whose answer was it? (Karn) */
        pcb->sa = 0;
        pcb->sv = STACK_RTO_UNKNOWN_TICKS;
        return;
    }
    if (!conn->rtt_start_ns)
        return; /* when was the call? */
    uint64_t rtt_ns = stack->now_ns - conn->rtt_start_ns;
    uint32_t ticks = (uint32_t)MIN(rtt_ns / STACK_TICK_NS, 3000u);
    pcb->sa = (s16_t)(ticks << 3);
    pcb->sv = (s16_t)MAX(ticks * 2, 1u);
    conn->srtt_us = (uint32_t)MAX(rtt_ns / 1000, 1u);
}

static void tcp_after_open(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    timer_cancel(stack->timers, &conn->timer); /* of the SYN: it would find nothing to do */
    tcp_take_handshake_rtt(stack, conn);
    /* A SYN that was sent again is over; lwIP would take the first data for it. */
    tcp_clear_flags(pcb, TF_RTO);
    pcb->nrtx = 0;
    conn->backoff = 0;
    /* A segment must have room for options: lwIP takes them off without looking. */
    pcb->mss = MAX(pcb->mss, (u16_t)STACK_MSS_MIN);
    pcb->snd_wnd_max = MAX(pcb->snd_wnd_max, 2u * STACK_MSS_MIN);
    if (conn->facts && conn->facts->mss)
        pcb->mss = MIN(pcb->mss, conn->facts->mss);
    uint16_t options = pcb->flags & TF_TIMESTAMP ? 12 : 0;
    conn->segment_bytes = (uint16_t)(pcb->mss - options);
    pcb->ssthresh = TCP_SND_BUF;
    pcb->cwnd = conn->flags & CONN_REAL_SIZE ? 10u * conn->segment_bytes : TCP_SND_BUF;
    if (conn_half_open(conn)) {
        struct stack_tuple tuple;
        syncookie_settled(stack, conn);
        if (stack_conn_tuple(conn, &tuple))
            siege_met(stack, &tuple.remote);
    }
    conn->flags = (uint16_t)((conn->flags | CONN_OPEN) & ~CONN_RESENT);
    if (conn->flags & CONN_MANNERED)
        manners_after_open(conn);
    output_apply_segment_size(stack, conn);
}

/* As Linux: the round trip, and four times its deviation or 200 ms, doubled with each time; lwIP
   doubles an RTT that may be zero ticks. */
static void tcp_clamp_rto(const struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    if (pcb->state == SYN_SENT || pcb->state == SYN_RCVD) {
        int linear = pcb->state == SYN_SENT ? STACK_SYN_LINEAR : 0;
        int ticks = (LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL) << MIN(MAX(pcb->nrtx - linear, 0), 6);
        pcb->rto = (s16_t)(ticks + STACK_BEGUN_TICK);
        return;
    }
    int base = (pcb->sa >> 3) + MAX((int)pcb->sv, (int)STACK_RTO_MIN_TICKS);
    int backoff = MIN(rtt_timeouts(pcb) + conn->backoff, 10);
    pcb->rto = (s16_t)(MIN(base << backoff, (int)STACK_RTO_MAX_TICKS) + STACK_BEGUN_TICK);
}

static uint64_t tick_ns(uint32_t now_tick, uint64_t now_ns, uint32_t tick)
{
    int32_t ahead = (int32_t)(tick - now_tick);
    uint64_t start = now_ns - now_ns % STACK_TICK_NS;
    return ahead <= 0 ? start : start + (uint64_t)ahead * STACK_TICK_NS;
}

/* When a window is shut: after an RTO, doubled each time, as Linux probes. */
static uint32_t persist_ticks(const struct stack_conn *conn)
{
    uint64_t rto = (uint64_t)(conn_tcp(conn)->rto - STACK_BEGUN_TICK);
    uint64_t ticks = rto << MIN(conn->probes, 16);
    return (uint32_t)MIN(ticks, (uint64_t)STACK_RTO_MAX_TICKS) + STACK_BEGUN_TICK;
}

/* How long a state may last, in ticks since pcb->tmr; 0 for ever. */
static uint32_t state_ticks(const struct tcp_pcb *pcb)
{
    switch (pcb->state) {
    case FIN_WAIT_2:
        return pcb->flags & TF_RXCLOSED ? STACK_FIN_WAIT_2_TICKS : 0;
    case SYN_RCVD:
        return STACK_SYN_RCVD_TICKS;
    case LAST_ACK:
    case TIME_WAIT:
        return 2 * TCP_MSL / TCP_SLOW_INTERVAL + 1;
    default:
        return 0;
    }
}

/* Due at the tick `at`? Keeps the earliest in `next` (relative to now). */
static void consider(const struct stack *stack, uint32_t at, int32_t *next)
{
    int32_t ahead = (int32_t)(at - stack->now_tick);
    if (ahead < *next)
        *next = ahead;
}

/* Ticks from now until lwIP's coarse timer has something to do for `conn`; INT32_MAX: nothing. */
static int32_t slow_due(const struct stack *stack, const struct stack_conn *conn)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    int32_t next = INT32_MAX;

    if (conn->flags & CONN_PERSISTS)
        consider(stack, conn->probe_tick + persist_ticks(conn), &next);
    else if (pcb->rtime >= 0)
        consider(stack, conn->rtime_tick + (uint16_t)pcb->rto, &next);
    if (state_ticks(pcb))
        consider(stack, pcb->tmr + state_ticks(pcb), &next);
    if (pcb->ooseq)
        consider(stack, pcb->tmr + (uint32_t)pcb->rto * TCP_OOSEQ_TIMEOUT, &next);
    if (pcb->flags & TF_NAGLEMEMERR)
        consider(stack, stack->now_tick + 1, &next);
    return next;
}

static int32_t fast_due(const struct stack *stack, const struct stack_conn *conn)
{
    int32_t next = INT32_MAX;

    if (conn->flags & CONN_ACK_WAITS)
        consider(stack, conn->ack_tick + STACK_DELAYED_ACK_TICKS, &next);
    if (conn_tcp(conn)->flags & TF_CLOSEPEND)
        consider(stack, stack->now_tick + 1, &next);
    return next;
}

static uint64_t repair_due_ns(const struct stack *stack, const struct stack_conn *conn)
{
    if (!conn->recovery && !conn_tcp(conn)->unacked)
        return TIMER_NEVER;
    return recovery_due_ns(stack, conn);
}

void conn_set_timer(struct stack *stack, struct stack_conn *conn, uint64_t deadline_ns)
{
    if (!conn->timer.fire)
        timer_init(&conn->timer, context_timer_fire);
    if (!timer_armed(&conn->timer) || deadline_ns < conn->timer.deadline_ns)
        (void)timer_arm(stack->timers, &conn->timer, deadline_ns);
}

static void tcp_schedule(struct stack *stack, struct stack_conn *conn)
{
    int32_t slow = slow_due(stack, conn), fast = fast_due(stack, conn);
    int32_t next = MIN(slow, fast);
    uint64_t due_ns = repair_due_ns(stack, conn);

    if (next != INT32_MAX) {
        uint32_t tick = stack->now_tick + (uint32_t)MAX(next, 1);
        due_ns = MIN(due_ns, tick_ns(stack->now_tick, stack->now_ns, tick));
    }
    if (due_ns != TIMER_NEVER)
        conn_set_timer(stack, conn, due_ns);
}

/* As tcp_split_unsent_seg() alone, but FIN and PSH go to the second part: lwIP adds them to it and
   does not take them from the first, which would then end the connection before its last bytes. */
static bool split_unsent(struct tcp_pcb *pcb, uint16_t at)
{
    if (tcp_split_unsent_seg(pcb, at) != ERR_OK)
        return false;
    /* By hand: lwIP's macro changes signs where lwip_htons() does nothing. */
    const uint16_t flags = lwip_htons(TCP_FIN | TCP_PSH);
    struct tcp_hdr *header = pcb->unsent->tcphdr;
    header->_hdrlen_rsvd_flags = (uint16_t)(header->_hdrlen_rsvd_flags & ~(unsigned)flags);
    return true;
}

/* A full window that shrank below the next segment: send what fits instead of waiting for the
   persist timer, which super-segments would otherwise meet often. The beginning of one that is to
   be sent again may be acknowledged. */
static void tcp_split_for_window(struct tcp_pcb *pcb)
{
    struct tcp_seg *seg = pcb->unsent;

    if (pcb->persist_backoff == 0 || !seg || pcb->unacked || pcb->snd_wnd == 0)
        return;
    uint32_t fits = pcb->lastack - seg_seq(seg) + pcb->snd_wnd;
    if (seg->len <= fits)
        return;
    if (split_unsent(pcb, (uint16_t)fits))
        (void)tcp_output(pcb);
}

/* lwIP compares bytes: a congestion window that is smaller than the next segment, which may be larger
   than those before a loss were, would hold it back for ever when nothing is under way. One segment
   may always be. */
static void tcp_let_one_leave(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    if (pcb->unacked || !pcb->unsent || pcb->unsent->len <= pcb->cwnd || pcb->state < ESTABLISHED)
        return;
    pcb->cwnd = pcb->unsent->len;
    if (conn->recovery)
        conn->recovery->cwnd = MAX(conn->recovery->cwnd, pcb->cwnd);
    (void)tcp_output(pcb);
}

static void rtt_update(struct stack *stack, struct stack_conn *conn, const struct tcp_pcb *pcb)
{
    if (!(conn->flags & CONN_RTT_RUNS) || !TCP_SEQ_GEQ(pcb->lastack, conn->rtt_seq))
        return;
    conn->flags &= (uint16_t)~CONN_RTT_RUNS;
    conn_take_rtt(conn, stack->now_ns - conn->rtt_start_ns);
}

/* lwIP's persist timer stops only when a segment is sent, and it insists on finding one that waits
   and none on its way. But the one that waited may be acknowledged without being sent: it was a
   probe, or it came back from a timeout. */
static void tcp_check_persist(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    if (pcb->persist_backoff == 0 || (pcb->unsent && !pcb->unacked))
        return;
    pcb->persist_backoff = 0;
    conn->flags &= (uint16_t)~CONN_PERSISTS;
    if (pcb->unacked && pcb->rtime < 0)
        pcb->rtime = 0;
}

static void tcp_save(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    if (conn->events & (STACK_CONNECTED | STACK_ACCEPTED) && !(conn->flags & CONN_OPEN))
        tcp_after_open(stack, conn);
    tcp_let_one_leave(conn);
    tcp_split_for_window(pcb);
    tcp_check_persist(conn);
    tcp_clamp_rto(conn);
    rtt_update(stack, conn, pcb);
    if (pcb->rtime >= 0)
        conn->rtime_tick = stack->now_tick - (uint16_t)pcb->rtime;
    if (pcb->persist_backoff == 0) {
        conn->flags &= (uint16_t)~CONN_PERSISTS;
    } else if (!(conn->flags & CONN_PERSISTS)) {
        conn->flags |= CONN_PERSISTS;
        conn->probe_tick = stack->now_tick;
        conn->probes = 0;
    }
    if (!(pcb->flags & TF_ACK_DELAY)) {
        conn->flags &= (uint16_t)~CONN_ACK_WAITS;
    } else if (!(conn->flags & CONN_ACK_WAITS)) {
        conn->flags |= CONN_ACK_WAITS;
        conn->ack_tick = stack->now_tick;
    }
    if (conn->flags & CONN_COPIES)
        hold_queue(stack, conn);
    tcp_schedule(stack, conn);
}

/* Off the list that it is on, with or without a control block. */
static void time_wait_forget(struct stack *stack, struct stack_conn *conn)
{
    list_remove(&conn->ready);
    if (conn->flags & CONN_VANISHED)
        manners_ghost_gone(stack, conn);
    else
        stack->stats.time_wait--;
}

/* lwIP freed the control block, with or without saying so. */
static void tcp_gone(struct stack *stack, struct stack_conn *conn)
{
    recovery_free(conn);
    conn->pcb = NULL;
    table_remove(stack, conn);
    timer_cancel(stack->timers, &conn->timer);
    if (conn->flags & CONN_TIME_WAIT) {
        time_wait_forget(stack, conn);
        arena_put(conn);
        return;
    }
    hold_queue(stack, conn);
    stack->stats.conns--;
    if (conn_half_open(conn))
        syncookie_deserted(stack, conn);
    if (conn->end == PEER_END_NONE)
        conn->end = conn->flags & CONN_OPEN ? PEER_END_CLOSED : PEER_END_RESET;
    conn_mark(stack, conn, STACK_CLOSED);
}

/* The connection is done for its owner; what remains lives on its own, in little memory. */
static void tcp_to_time_wait(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    struct stack_conn *rest = arena_get_zeroed(sizeof(*rest));

    if (rest) {
        rest->pcb = pcb;
        rest->peer = conn->peer;
        rest->ts_offset = conn->ts_offset;
        rest->ip_id = conn->ip_id;
        rest->protocol = IPPROTO_TCP;
        rest->flags = CONN_TIME_WAIT;
        pcb->callback_arg = rest;
        list_add_tail(&stack->time_wait, &rest->ready);
        stack->stats.time_wait++;
        table_add(stack, rest, conn->hash);
        uint32_t tick = pcb->tmr + state_ticks(pcb);
        conn_set_timer(stack, rest, tick_ns(stack->now_tick, stack->now_ns, tick));
    } else {
        tcp_abandon(pcb, 0);
    }
    conn->end = PEER_END_CLOSED;
    tcp_gone(stack, conn);
    if (stack->stats.time_wait > STACK_TIME_WAIT_MAX)
        time_wait_free(stack, list_entry(stack->time_wait.next, struct stack_conn, ready));
}

/* Forgets a TIME-WAIT remainder early. Must not be called between enter and leave of another. */
void time_wait_free(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *tw = tcp_tw_pcbs;

    if (conn->flags & CONN_VANISHED)
        manners_ghost_reset(stack, conn);
    table_remove(stack, conn);
    timer_cancel(stack->timers, &conn->timer);
    time_wait_forget(stack, conn);
    conn_tcp(conn)->next = NULL;
    tcp_tw_pcbs = conn_tcp(conn);
    tcp_abandon(conn_tcp(conn), 0);
    tcp_tw_pcbs = tw;
    arena_put(conn);
}

void context_leave(struct stack *stack)
{
    struct stack_conn *conn = stack->current;
    if (conn->protocol == IPPROTO_TCP) {
        bool time_wait = tcp_tw_pcbs != NULL;
        bool alive = time_wait || tcp_active_pcbs || tcp_bound_pcbs;
        if (tcp_active_pcbs &&
            (conn->recovery || stack->news.block_count || stack->news.congested ||
             stack->news.reopened || conn->flags & CONN_REAL_SIZE))
            recovery_leave(stack, conn);
        tcp_active_pcbs = tcp_tw_pcbs = tcp_bound_pcbs = NULL;
        if (!alive)
            tcp_gone(stack, conn);
        else if (time_wait && !(conn->flags & CONN_TIME_WAIT))
            tcp_to_time_wait(stack, conn);
        else
            tcp_save(stack, conn); /* of which something may leave */
    } else {
        udp_pcbs = NULL;
    }
    stack->current = NULL;
}

/* Is the window still shut? Asked by an acknowledgement that is one byte old, as Linux does, so
   that no byte is spent and all that an acknowledgement carries is in it; lwIP's own sends a byte
   of new data without a timestamp. */
static void probe_window(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    u32_t snd_nxt = pcb->snd_nxt;

    pcb->snd_nxt = pcb->lastack - 1;
    (void)tcp_send_empty_ack(pcb);
    pcb->snd_nxt = snd_nxt;
    pcb->persist_probe++;
    if (conn->probes < UINT8_MAX)
        conn->probes++;
}

/* lwIP would end SYN-RCVD and FIN-WAIT-2 after 20 s: it is told of no time that passed before they
   are to end. In a crowd of half-open calls those go that were answered a few times, as in Linux
   (reqsk_timer_handler). Returns what to put back. */
static uint32_t hide_age(const struct stack *stack, struct tcp_pcb *pcb)
{
    uint32_t began = pcb->tmr, most = state_ticks(pcb);
    bool ends_early = pcb->state == SYN_RCVD || pcb->state == FIN_WAIT_2;

    if (pcb->state == SYN_RCVD && pcb->nrtx >= 2 && stack->half_open > STACK_HALF_OPEN_CROWD) {
        pcb->tmr = stack->now_tick - most;
        return began;
    }
    if (ends_early && most && !pcb->ooseq && stack->now_tick - began < most)
        pcb->tmr = stack->now_tick;
    return began;
}

static void tcp_run_slow(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    tcp_check_persist(conn);
    recovery_sort(pcb);
    /* tcp_slowtmr counts up by one itself, before it looks. */
    tcp_ticks = stack->now_tick - 1;
    if (pcb->rtime > 0)
        pcb->rtime--;
    pcb->last_timer = stack->timer_calls++;
    if (conn->flags & CONN_PERSISTS) {
        /* lwIP looks after the window that is small, and gives up when no probe is answered. */
        bool due = (int32_t)(conn->probe_tick + persist_ticks(conn) - stack->now_tick) <= 0;
        pcb->persist_backoff = 1;
        pcb->persist_cnt = due && pcb->snd_wnd ? UINT8_MAX : 0;
        if (due && !pcb->snd_wnd && pcb->persist_probe < TCP_MAXRTX)
            probe_window(conn);
        if (due)
            conn->probe_tick = stack->now_tick;
    }
    if (pcb->rtime + 1 >= pcb->rto)
        collapse_all(conn);
    u8_t nrtx = pcb->nrtx;
    u32_t cwnd = pcb->cwnd, ssthresh = pcb->ssthresh;
    uint32_t began = hide_age(stack, pcb);
    tcp_slowtmr();
    if (tcp_active_pcbs)
        pcb->tmr = began;
    if (tcp_active_pcbs && pcb->nrtx > nrtx && !pcb->snd_wnd && !pcb->unacked) {
        /* The window is shut, nothing has left: that tells nothing of the way. */
        pcb->nrtx = nrtx;
        pcb->ssthresh = ssthresh;
    }
    if (!nrtx && tcp_active_pcbs && pcb->flags & TF_RTO) {
        conn->undo_cwnd = cwnd;
        conn->undo_ssthresh = ssthresh;
        ecn_note_reduced(conn);
    }
}

void context_timer_fire(struct timer *timer, uint64_t now_ns)
{
    struct stack *stack = stack_singleton;
    struct stack_conn *conn = list_entry(timer, struct stack_conn, timer);

    if (now_ns > stack->now_ns)
        stack_set_now(stack, now_ns);
    if (!conn->pcb)
        return;
    bool repair = repair_due_ns(stack, conn) <= stack->now_ns;
    if (fast_due(stack, conn) > 0 && slow_due(stack, conn) > 0 && !repair) {
        tcp_schedule(stack, conn); /* the deadline has moved away since */
        return;
    }
    context_enter(stack, conn);
    if (repair && tcp_active_pcbs)
        recovery_timer(stack, conn);
    if (fast_due(stack, conn) <= 0) {
        conn_tcp(conn)->last_timer = stack->timer_calls++;
        tcp_fasttmr();
    }
    if (tcp_active_pcbs || tcp_tw_pcbs) {
        if (slow_due(stack, conn) <= 0)
            tcp_run_slow(stack, conn);
    }
    context_leave(stack);
}

/* Of what the owner has not heard of, when did it come? */
static void note_arrival(const struct stack *stack, struct stack_conn *conn)
{
    if (!(conn->events & (STACK_READABLE | STACK_EOF)))
        conn->arrived_ns = stack->arrival_ns;
    conn->arrived_more_ns = (uint32_t)MIN(stack->arrival_ns - conn->arrived_ns, UINT32_MAX);
}

void conn_mark(struct stack *stack, struct stack_conn *conn, unsigned events)
{
    if (events & (STACK_READABLE | STACK_EOF))
        note_arrival(stack, conn);
    if (!conn->ready.next)
        list_init(&conn->ready);
    if (!conn->events)
        list_add_tail(&stack->ready, &conn->ready);
    if (conn == stack->current && events & (STACK_READABLE | STACK_CONNECTED | STACK_EOF))
        stack->progress = true;
    if (events & STACK_CONNECTED)
        stack->opened = conn;
    conn->events |= (uint8_t)events;
}
