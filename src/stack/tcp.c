/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP connections: the calls of stack.h on one side, lwIP's one event function on the other.
 *
 * The event function runs inside lwIP, so it only keeps what was received and marks what happened;
 * the owner hears of it from stack_deliver. Received pbufs are kept in arrival order, linked by
 * their `next`, as lwIP's packet queues are: `tot_len` is never used across two of them.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include "base/rng.h"

#include <peer/flow.h>
#include <stdlib.h>
#include <string.h>

static void rx_append(struct stack_conn *conn, struct pbuf *p)
{
    struct pbuf *last = p;
    uint32_t bytes = p->len;

    if (conn->rx_tail && hold_joins(conn->rx_tail, p)) {
        conn->rx_bytes += bytes;
        return;
    }

    while (last->next) {
        last = last->next;
        bytes += last->len;
    }
    if (conn->rx_tail)
        ((struct pbuf *)conn->rx_tail)->next = p;
    else
        conn->rx_head = p;
    conn->rx_tail = last;
    conn->rx_bytes += bytes;
}

/* lwIP says ERR_ABRT when it gives up, and when bytes come for what the owner has closed. */
static uint8_t end_of(const struct stack *stack, const struct stack_conn *conn, err_t error)
{
    switch (error) {
    case ERR_RST:
        return conn->flags & (CONN_OPEN | CONN_PASSIVE) ? PEER_END_RESET : PEER_END_REFUSED;
    case ERR_CLSD:
        return PEER_END_CLOSED;
    default:
        if (!(conn->flags & CONN_OPEN) && conn->icmp_type)
            return PEER_END_UNREACHABLE; /* a router had said so */
        return stack->receiving ? PEER_END_LOCAL : PEER_END_TIMEOUT;
    }
}

err_t lwip_tcp_event(void *arg, struct tcp_pcb *pcb, enum lwip_event event, struct pbuf *p,
                     u16_t size, err_t error)
{
    struct stack *stack = stack_singleton;
    struct stack_conn *conn = arg;

    (void)pcb;
    (void)size;
    if (!conn || conn->flags & CONN_TIME_WAIT) {
        if (p)
            pbuf_free(p);
        return ERR_OK;
    }
    switch (event) {
    case LWIP_EVENT_ACCEPT: /* or a call that crossed another: see cross.c */
        window_start(stack, conn);
        conn_mark(stack, conn, conn->flags & CONN_PASSIVE ? STACK_ACCEPTED : STACK_CONNECTED);
        break;
    case LWIP_EVENT_CONNECTED:
        window_start(stack, conn);
        conn_mark(stack, conn, STACK_CONNECTED);
        break;
    case LWIP_EVENT_SENT:
        conn_mark(stack, conn, STACK_WRITABLE);
        break;
    case LWIP_EVENT_RECV:
        if (p)
            rx_append(conn, p);
        conn_mark(stack, conn, p ? STACK_READABLE : STACK_EOF);
        break;
    case LWIP_EVENT_ERR:
        if (conn->end == PEER_END_NONE)
            conn->end = end_of(stack, conn, error);
        break;
    case LWIP_EVENT_POLL:
        break;
    }
    return ERR_OK;
}

static int conn_check_local(struct stack *stack, struct stack_conn *conn,
                            const struct stack_tuple *tuple)
{
    int64_t peer = addr_set_find(stack->peers, &tuple->local);
    if (peer < 0)
        return -EADDRNOTAVAIL;
    if (tuple->local.family != tuple->remote.family)
        return -EAFNOSUPPORT;
    if (stack->stats.conns >= stack->max_conns)
        return -ENOSPC;
    conn->peer = (uint64_t)peer;
    list_init(&conn->ready);
    return table_reserve(stack);
}

/* Checks, chooses a port, and takes the place in the table. The caller sets conn->pcb first. */
static int conn_claim(struct stack *stack, struct stack_conn *conn, uint8_t protocol,
                      struct stack_tuple *tuple)
{
    int status = conn_check_local(stack, conn, tuple);
    if (status < 0)
        return status;
    conn->protocol = protocol;
    if (tuple->local_port == 0)
        return port_choose(stack, protocol, tuple);
    struct stack_conn *other = table_find(stack, protocol, tuple);
    if (other && !(other->flags & CONN_TIME_WAIT))
        return -EADDRINUSE;
    if (other)
        time_wait_free(stack, other);
    return 0;
}

static void conn_set_size_rule(struct stack *stack, struct stack_conn *conn)
{
    if (stack->ops->real_size && stack->ops->real_size(stack->user, conn->peer))
        conn->flags |= CONN_REAL_SIZE;
}

/* IPv6: what answered the SYN had the same label. */
static uint16_t first_ip_id(const struct stack *stack, const struct stack_tuple *tuple)
{
    return tuple->local.family == 6 ? output_flow_id(stack, tuple) : (uint16_t)peer_lwip_random();
}

int stack_set_facts(const struct stack *stack, struct stack_conn *conn, uint8_t family,
                    const struct stack_facts *facts)
{
    const uint32_t headers = family == 6 ? IP6_HLEN + TCP_HLEN : IP_HLEN + TCP_HLEN;

    if (facts->mss && (facts->mss < STACK_FACTS_MSS_MIN || facts->mss + headers > stack->mtu))
        return -EINVAL;
    conn->facts = malloc(sizeof(*facts));
    if (!conn->facts)
        return -ENOMEM;
    *conn->facts = *facts;
    return 0;
}

void conn_apply_facts(const struct stack_conn *conn)
{
    struct ip_pcb *ip = conn->pcb;

    if (!conn->facts)
        return;
    ip->ttl = conn->facts->ttl ? conn->facts->ttl : ip->ttl;
    ip->tos = (u8_t)(conn->facts->dscp << 2);
}

int stack_tcp_connect(struct stack *stack, struct stack_conn *conn, struct stack_tuple *tuple)
{
    ip_addr_t local, remote;
    int status = conn_claim(stack, conn, IPPROTO_TCP, tuple);
    if (status < 0)
        return status;
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb)
        return -ENOMEM;

    addr_to_lwip(&tuple->local, &local);
    addr_to_lwip(&tuple->remote, &remote);
    conn->pcb = pcb;
    conn->rtt_start_ns = stack->now_ns;
    conn->ip_id = first_ip_id(stack, tuple);
    conn->ts_offset = clock_offset(stack, tuple);
    conn->quick_acks = stack->frugal ? 0 : STACK_QUICK_ACKS;
    conn->ecn = stack->ecn ? ECN_ASKS : 0;
    conn_set_size_rule(stack, conn);
    pcb->callback_arg = conn;
    conn_apply_facts(conn);
    tcp_nagle_disable(pcb);
    ip_addr_copy(pcb->local_ip, local);
    pcb->local_port = tuple->local_port;
    table_add(stack, conn, table_hash(stack, IPPROTO_TCP, tuple));
    stack->stats.conns++;

    context_enter(stack, conn);
    pcb->tmr = stack->now_tick;
    err_t error = tcp_connect(pcb, &remote, tuple->remote_port, NULL);
    context_leave(stack);
    conn->rtt_start_ns = stack->now_ns; /* the SYN took its time to leave */
    if (error != ERR_OK) {
        stack_abort(stack, conn, false);
        return errno_from_lwip(error);
    }
    return 0;
}

/* A SYN came for a listener and lwIP made a control block of it. */
struct stack_conn *tcp_adopt(struct stack *stack, struct stack_listener *listener,
                             const struct stack_tuple *tuple)
{
    struct tcp_pcb *pcb = tcp_active_pcbs;
    struct stack_conn *conn = NULL;

    tcp_active_pcbs = NULL;
    if (table_reserve(stack) == 0)
        conn = stack->ops->accept(stack->user, listener, tuple);
    if (!conn) {
        tcp_active_pcbs = pcb;
        tcp_abandon(pcb, 1);
        return NULL;
    }
    list_init(&conn->ready);
    conn->protocol = IPPROTO_TCP;
    conn->flags |= CONN_PASSIVE;
    conn->peer = stack->peer;
    conn->pcb = pcb;
    conn->rtt_start_ns = stack->now_ns;
    conn->ip_id = first_ip_id(stack, tuple);
    conn->ts_offset = stack->ts_offset;
    conn->quick_acks = stack->frugal ? 0 : STACK_QUICK_ACKS;
    conn->ecn = stack->call_asks_ecn ? ECN_ON : 0;
    stack->stats.ecn += conn->ecn != 0;
    conn->rtime_tick = stack->now_tick; /* the SYN-ACK's timer began just now */
    conn_set_size_rule(stack, conn);
    pcb->callback_arg = conn;
    tcp_nagle_disable(pcb);
    table_add(stack, conn, table_hash(stack, IPPROTO_TCP, tuple));
    stack->stats.conns++;
    syncookie_called(stack, listener, conn);
    context_enter(stack, conn);
    context_leave(stack);
    return conn;
}

static struct tcp_pcb *listener_pcb(struct stack_listener *listener, uint8_t family)
{
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb)
        return NULL;
    IP_SET_TYPE_VAL(pcb->local_ip, family == 6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);
    if (listener->at.family)
        addr_to_lwip(&listener->at, &pcb->local_ip);
    pcb->local_port = listener->port;
    tcp_bound_pcbs = pcb;
    struct tcp_pcb *listening = tcp_listen(pcb);
    if (!listening)
        tcp_close(pcb);
    tcp_bound_pcbs = NULL;
    tcp_listen_pcbs.pcbs = NULL;
    return listening;
}

/* One that none of those that listen has, or 0. */
static uint16_t choose_listener_id(struct stack *stack)
{
    for (int tries = 0; tries <= UINT16_MAX; tries++) {
        uint16_t id = ++stack->listener_turn;
        if (id && !listener_by_id(stack, id))
            return id;
    }
    return 0;
}

int stack_listen(struct stack *stack, uint8_t protocol, const struct peer_addr *at, uint16_t port,
                 void *user, struct stack_listener **ret_listener)
{
    struct stack_tuple tuple = {.local = *at, .local_port = port};
    if (at->family && addr_set_find(stack->peers, at) < 0)
        return -EADDRNOTAVAIL;
    struct stack_listener *other = listener_find(stack, protocol, &tuple);
    if (other && other->at.family == at->family)
        return -EADDRINUSE;
    struct stack_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return -ENOMEM;

    listener->protocol = protocol;
    listener->at = *at;
    listener->port = port;
    listener->user = user;
    listener->id = choose_listener_id(stack);
    if (protocol == IPPROTO_TCP) {
        listener->pcb4 = listener_pcb(listener, 4);
        listener->pcb6 = listener_pcb(listener, 6);
    }
    list_add_tail(&stack->listeners, &listener->node);
    *ret_listener = listener;
    return 0;
}

static void listener_pcb_free(struct tcp_pcb *pcb)
{
    if (!pcb)
        return;
    pcb->next = NULL;
    tcp_listen_pcbs.pcbs = pcb;
    tcp_close(pcb);
    tcp_listen_pcbs.pcbs = NULL;
}

struct stack_listener *stack_listener_free(struct stack *stack, struct stack_listener *listener)
{
    (void)stack;
    if (!listener)
        return NULL;
    listener_pcb_free(listener->pcb4);
    listener_pcb_free(listener->pcb6);
    list_remove(&listener->node);
    free(listener);
    return NULL;
}

void *stack_listener_user(const struct stack_listener *listener)
{
    return listener->user;
}

uint64_t stack_listener_cookies(const struct stack_listener *listener)
{
    return listener->cookies;
}

uint64_t stack_listener_unheard(const struct stack_listener *listener)
{
    return listener->unheard;
}

static int write_check(const struct stack_conn *conn)
{
    if (!conn->pcb || conn->flags & CONN_SHUT)
        return -EPIPE;
    return conn->flags & CONN_OPEN ? 0 : -ENOTCONN;
}

/* A little one that waits, waits as by Nagle's rule: full ones before it leave. */
static void output_written(const struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    const bool waits = collapse_waits(conn);

    if (waits)
        tcp_nagle_enable(pcb);
    (void)tcp_output(pcb);
    if (waits)
        tcp_nagle_disable(pcb);
}

ssize_t stack_tcp_write(struct stack *stack, struct stack_conn *conn, const void *data, size_t len,
                        int flags)
{
    int status = write_check(conn);
    if (status < 0)
        return status;
    struct tcp_pcb *pcb = conn_tcp(conn);
    uint8_t how = flags & STACK_WRITE_STABLE ? 0 : TCP_WRITE_FLAG_COPY;
    size_t done = 0;

    if (!(flags & STACK_WRITE_STABLE))
        conn->flags |= CONN_COPIES;
    size_t room = hold_queue_room(stack, conn);
    context_enter(stack, conn);
    output_apply_segment_size(stack, conn);
    while (done < len) {
        size_t chunk = MIN(MIN(len - done, room - done), (size_t)0xffff);
        uint8_t more = flags & STACK_WRITE_MORE || chunk < len - done ? TCP_WRITE_FLAG_MORE : 0;
        if (chunk == 0 ||
            tcp_write(pcb, (const char *)data + done, (u16_t)chunk, how | more) != ERR_OK)
            break;
        done += chunk;
    }
    tcp_clear_flags(pcb, TF_NAGLEMEMERR);
    if (!(flags & STACK_WRITE_MORE) || done < len)
        output_written(conn);
    context_leave(stack);
    stack->stats.limits[STACK_LIMIT_QUEUED] += done < len && done == room && room < TCP_SND_BUF &&
                                               stack->queued_bytes > LIMIT_QUEUED_BYTES;
    return done || !len ? (ssize_t)done : -EAGAIN;
}

size_t stack_tcp_write_room(const struct stack_conn *conn)
{
    if (write_check(conn) < 0)
        return 0;
    const struct tcp_pcb *pcb = conn->pcb;
    return pcb->snd_queuelen >= TCP_SND_QUEUELEN - 128
               ? 0
               : hold_queue_room(stack_singleton, conn);
}

size_t stack_tcp_queued(const struct stack_conn *conn)
{
    return conn->pcb ? TCP_SND_BUF - conn_tcp(conn)->snd_buf : 0;
}

int stack_peek(const struct stack_conn *conn, struct iovec *iov, int count)
{
    const struct pbuf *p = conn->rx_head;
    uint32_t offset = conn->rx_offset;
    int used = 0;

    while (p && used < count) {
        if (p->len > offset || conn->protocol == IPPROTO_UDP) {
            iov[used++] = (struct iovec){(char *)p->payload + offset, (size_t)(p->len - offset)};
        }
        offset = 0;
        if (conn->protocol == IPPROTO_UDP && p->tot_len == p->len)
            break; /* end of the datagram */
        p = p->next;
    }
    return used;
}

static void rx_drop_head(struct stack_conn *conn)
{
    struct pbuf *p = conn->rx_head;

    conn->rx_head = p->next;
    if (!p->next)
        conn->rx_tail = NULL;
    conn->rx_offset = 0;
    p->next = NULL;
    p->tot_len = p->len;
    pbuf_free(p);
}

static void udp_consume(struct stack_conn *conn)
{
    bool last = false;

    while (conn->rx_head && !last) {
        const struct pbuf *p = conn->rx_head;
        last = p->tot_len == p->len;
        conn->rx_bytes -= p->len;
        conn->charged_bytes -= hold_bytes(conn->rx_head);
        rx_drop_head(conn);
    }
}

void stack_consume(struct stack *stack, struct stack_conn *conn, size_t len)
{
    if (conn->protocol == IPPROTO_UDP) {
        udp_consume(conn);
        return;
    }
    size_t left = len = MIN(len, (size_t)conn->rx_bytes);
    while (conn->rx_head) {
        const struct pbuf *p = conn->rx_head;
        size_t here = (size_t)(p->len - conn->rx_offset);
        if (here > left) {
            conn->rx_offset += (uint32_t)left;
            break;
        }
        left -= here;
        rx_drop_head(conn);
    }
    conn->rx_bytes -= (uint32_t)len;
    if (len)
        window_opens(stack, conn, len);
}

int stack_tcp_shutdown(struct stack *stack, struct stack_conn *conn)
{
    if (!conn->pcb || !(conn->flags & CONN_OPEN))
        return -ENOTCONN;
    if (conn->flags & CONN_SHUT)
        return 0;
    conn->flags |= CONN_SHUT;
    context_enter(stack, conn);
    err_t error = tcp_shutdown(conn_tcp(conn), 0, 1);
    context_leave(stack);
    return error == ERR_MEM ? 0 : errno_from_lwip(error); /* TF_CLOSEPEND tries again */
}

void stack_close(struct stack *stack, struct stack_conn *conn)
{
    if (!conn->pcb)
        return;
    if (conn->protocol == IPPROTO_UDP) {
        conn->end = PEER_END_CLOSED;
        stack_abort(stack, conn, false);
        conn_mark(stack, conn, STACK_CLOSED);
        return;
    }
    bool vanished = conn->flags & CONN_VANISHED; /* nobody will hear of its end */
    if (conn->rx_bytes || vanished) {            /* RFC 2525, 2.17: say that bytes were lost */
        conn->end = PEER_END_LOCAL;
        stack_abort(stack, conn, true);
        conn_mark(stack, conn, STACK_CLOSED);
        return;
    }
    if (conn->flags & CONN_MANNERED)
        manners_before_close(conn);
    conn->flags |= CONN_SHUT;
    context_enter(stack, conn);
    /* lwIP counts FIN-WAIT-2 from the last segment, which may be long ago. */
    conn_tcp(conn)->tmr = stack->now_tick;
    window_close(conn);
    context_leave(stack);
}

void stack_abort(struct stack *stack, struct stack_conn *conn, bool send_reset)
{
    if (!conn->pcb)
        return;
    void *pcb = conn->pcb;
    struct stack_tuple tuple;
    bool haunts = manners_remember(conn, &tuple);

    context_enter(stack, conn);
    table_remove(stack, conn);
    timer_cancel(stack->timers, &conn->timer);
    stack->stats.conns--;
    if (conn_half_open(conn))
        syncookie_settled(stack, conn);
    recovery_free(conn);
    if (conn->protocol == IPPROTO_TCP) {
        conn_tcp(conn)->callback_arg = NULL;
        tcp_abandon(pcb, send_reset);
        tcp_active_pcbs = tcp_bound_pcbs = tcp_tw_pcbs = NULL;
    } else {
        udp_remove(pcb);
        udp_pcbs = NULL;
    }
    conn->pcb = NULL;
    if (conn->protocol == IPPROTO_TCP)
        hold_queue(stack, conn);
    stack->current = NULL;
    if (haunts)
        manners_haunt(stack, conn, &tuple);
}

void stack_conn_done(struct stack *stack, struct stack_conn *conn)
{
    if (conn->pcb)
        stack_abort(stack, conn, true);
    while (conn->rx_head)
        rx_drop_head(conn);
    if (conn->ready.next)
        list_remove(&conn->ready);
    if (stack->opened == conn)
        stack->opened = NULL;
    if (conn->manners)
        manners_done(stack, conn);
    free(conn->facts);
    conn->facts = NULL;
    conn->events = 0;
    conn->rx_bytes = 0;
}

bool stack_conn_tuple(const struct stack_conn *conn, struct stack_tuple *ret_tuple)
{
    if (!conn->pcb)
        return false;
    const struct ip_pcb *ip = conn->pcb;
    addr_from_lwip(&ip->local_ip, &ret_tuple->local);
    addr_from_lwip(&ip->remote_ip, &ret_tuple->remote);
    bool tcp = conn->protocol == IPPROTO_TCP;
    ret_tuple->local_port = tcp ? conn_tcp(conn)->local_port : conn_udp(conn)->local_port;
    ret_tuple->remote_port = tcp ? conn_tcp(conn)->remote_port : conn_udp(conn)->remote_port;
    return true;
}

/* As ss(8) writes them. */
static enum peer_flow_state state_of(enum tcp_state state)
{
    static const enum peer_flow_state states[] = {
        [CLOSED] = PEER_FLOW_CLOSED,           [LISTEN] = PEER_FLOW_CLOSED,
        [SYN_SENT] = PEER_FLOW_SYN_SENT,       [SYN_RCVD] = PEER_FLOW_SYN_RECEIVED,
        [ESTABLISHED] = PEER_FLOW_ESTABLISHED, [FIN_WAIT_1] = PEER_FLOW_FIN_WAIT_1,
        [FIN_WAIT_2] = PEER_FLOW_FIN_WAIT_2,   [CLOSE_WAIT] = PEER_FLOW_CLOSE_WAIT,
        [CLOSING] = PEER_FLOW_CLOSING,         [LAST_ACK] = PEER_FLOW_LAST_ACK,
        [TIME_WAIT] = PEER_FLOW_TIME_WAIT,
    };
    return states[state];
}

void stack_conn_info(const struct stack *stack, const struct stack_conn *conn,
                     struct peer_flow_info *info)
{
    (void)stack;
    info->udp = conn->protocol == IPPROTO_UDP;
    info->unread = conn->rx_bytes;
    info->retransmits = conn->retransmits; /* what was counted outlives the control block */
    info->state = info->udp && conn->pcb ? PEER_FLOW_UNCONNECTED : PEER_FLOW_CLOSED;
    if (info->udp || !conn->pcb)
        return;
    const struct tcp_pcb *pcb = conn->pcb;
    info->state = state_of(pcb->state);
    info->mss = conn->segment_bytes;
    info->send_scale = pcb->flags & TF_WND_SCALE ? pcb->snd_scale : 0;
    info->receive_scale = pcb->flags & TF_WND_SCALE ? pcb->rcv_scale : 0;
    info->timestamps = pcb->flags & TF_TIMESTAMP;
    info->sack = pcb->flags & TF_SACK;
    info->ecn = conn->ecn & ECN_ON;
    info->rtt_ns = (uint64_t)conn->srtt_us * 1000;
    info->rto_ns = (uint64_t)MAX(pcb->rto - STACK_BEGUN_TICK, 0) * STACK_TICK_NS;
    info->send_window = pcb->snd_wnd;
    info->receive_window = pcb->rcv_wnd;
    info->cwnd = pcb->cwnd;
    info->ssthresh = pcb->ssthresh;
    info->in_flight = pcb->snd_nxt - pcb->lastack;
    info->queued = stack_tcp_queued(conn);
}
