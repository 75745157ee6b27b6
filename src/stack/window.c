/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receive window, as large and as quick to grow as Linux's.
 *
 * lwIP would announce all that may ever wait to be read (TCP_WND) from the handshake on. So a part
 * of it is kept from lwIP: a connection begins with the window of its SYN, as many segments as fit
 * into 64 KiB. Two values grow from there, by what the owner takes:
 *
 *   limit   the window with nothing unread. Grows by twice what was taken, or came behind a gap (so
 *           threefold in a round trip at the most), up to
 *   clamp   what pays: four times what was taken in the best round trip so far, so that the
 *           sender's slow start is never in want of a window (dynamic right-sizing)
 *
 * So who reads slowly, or is sent little, has a small window, and who is sent much has all of it
 * within some round trips. Without window scaling it stays what the SYN said.
 *
 * Room is announced by the next segment that leaves, when it is a segment or half of the window
 * (RFC 1122, 4.2.3.3), and by one of its own when it doubles what little the sender still has.
 */
#include "stack/internal.h"

enum {
    UNIT = 1 << TCP_RCV_SCALE, /* of window_limit and window_best */
    BEST_TIMES = 4,
    MARGIN_SEGMENTS = 16,
};

static uint16_t to_units(uint64_t bytes)
{
    return (uint16_t)((MIN(bytes, (uint64_t)TCP_WND) + UNIT - 1) / UNIT);
}

/* As much of it as this peer ever announces. */
static uint32_t window_most(const struct stack_conn *conn, uint32_t window)
{
    return conn->facts && conn->facts->window ? MIN(window, conn->facts->window) : window;
}

/* In the event of the handshake's end, before lwIP announces anything but a SYN's window. */
void window_start(const struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t headers = IP_IS_V6_VAL(pcb->remote_ip) ? IP6_HLEN + TCP_HLEN : IP_HLEN + TCP_HLEN;
    uint32_t stamps = conn->flags & CONN_PASSIVE && pcb->flags & TF_TIMESTAMP ? 12 : 0;
    uint32_t segment = stack->mtu > headers + stamps ? stack->mtu - headers - stamps : 0;
    uint32_t window = window_most(conn, shape_syn_window(segment));

    if (pcb->flags & TF_WND_SCALE) {
        uint32_t margin = MARGIN_SEGMENTS * segment;
        conn->window_limit = to_units(window);
        conn->window_best =
            (uint16_t)(window > margin ? (window - margin) / BEST_TIMES / UNIT : 0);
        window = conn->window_limit * UNIT;
    }
    conn->window_seq = pcb->rcv_nxt;
    conn->window_since_ms = (uint16_t)(stack->now_ns / NS_PER_MS);
    pcb->rcv_wnd = pcb->rcv_ann_wnd = window;
    pcb->rcv_ann_right_edge = pcb->rcv_nxt + window;
}

/* What pays, in units. */
static uint16_t clamp_of(const struct stack_conn *conn)
{
    uint64_t best = (uint64_t)conn->window_best * UNIT;

    uint64_t pays = BEST_TIMES * best + MARGIN_SEGMENTS * conn->segment_bytes;
    return to_units(window_most(conn, (uint32_t)MIN(pays, (uint64_t)TCP_WND)));
}

static uint32_t raise_limit(struct stack_conn *conn, size_t len)
{
    uint16_t clamp = clamp_of(conn);
    if (conn->window_limit >= clamp)
        return 0;
    uint16_t grown = MIN((uint16_t)(clamp - conn->window_limit), to_units(2 * (uint64_t)len));

    conn->window_limit = (uint16_t)(conn->window_limit + grown);
    return grown * UNIT;
}

/* By how much the window grows, `len` bytes having been taken. */
static uint32_t grow(const struct stack *stack, struct stack_conn *conn, size_t len)
{
    uint16_t now_ms = (uint16_t)(stack->now_ns / NS_PER_MS);
    uint32_t gone_ms = (uint16_t)(now_ms - conn->window_since_ms);
    uint32_t taken = conn_tcp(conn)->rcv_nxt - conn->rx_bytes - conn->window_seq;

    if (gone_ms * 1000 > conn->srtt_us) { /* a round trip */
        conn->window_best = MAX(conn->window_best, to_units(taken));
        conn->window_seq += taken;
        conn->window_since_ms = now_ms;
    }
    return raise_limit(conn, len);
}

/* Without SACK the acknowledgements must stay alike, or nobody counts them as duplicates. */
void window_gap(struct stack_conn *conn, size_t len)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    if (!(pcb->flags & TF_SACK) || !(pcb->flags & TF_WND_SCALE) || conn->flags & CONN_MANNERED)
        return;
    pcb->rcv_wnd += raise_limit(conn, len);
    pcb->rcv_ann_wnd = pcb->rcv_wnd;
}

void window_opens(struct stack *stack, struct stack_conn *conn, size_t len)
{
    if (!conn->pcb || (conn->flags & CONN_MANNERED && manners_window_opens(stack, conn, len)))
        return;
    struct tcp_pcb *pcb = conn_tcp(conn);
    int32_t edge = (int32_t)(pcb->rcv_ann_right_edge - pcb->rcv_nxt);
    uint32_t had = (uint32_t)MAX(edge, 0), most = window_most(conn, TCP_WND_MAX(pcb));

    if (pcb->flags & TF_WND_SCALE) {
        len += grow(stack, conn, len);
        most = conn->window_limit * UNIT;
    }
    pcb->rcv_wnd = (tcpwnd_size_t)MIN(pcb->rcv_wnd + len, (size_t)TCP_WND_MAX(pcb));
    if (pcb->rcv_wnd < had + MIN(most / 2, conn->segment_bytes))
        return;
    pcb->rcv_ann_wnd = pcb->rcv_wnd;
    if (had > most / 2 || pcb->rcv_wnd / 2 < had)
        return;
    context_enter(stack, conn);
    tcp_ack_now(pcb);
    (void)tcp_output(pcb);
    context_leave(stack);
}

void window_close(struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);
    tcpwnd_size_t window = pcb->rcv_wnd;

    pcb->rcv_wnd = TCP_WND_MAX(pcb);
    (void)tcp_close(pcb);
    if (tcp_active_pcbs)
        tcp_active_pcbs->rcv_wnd = window;
}
