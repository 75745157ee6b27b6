/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What routers say of a connection's way: ICMP errors that quote one of its packets.
 *
 * "Too big" (RFC 1191, 8201) makes what the connection sends smaller, for as long as it lives;
 * what is unacknowledged is sent again at once, in smaller pieces, and that is no sign of a full
 * network: no window shrinks. lwIP's segments stay as they are when some are queued: they leave as
 * super-segments of the new size, which whoever takes them cuts. A router that says nothing (a
 * black hole) is not probed for, as by default on Linux (net.ipv4.tcp_mtu_probing).
 *
 * Of the rest only a handshake takes notice. Errors that Linux takes for fatal end it; others are
 * soft (RFC 1122, 4.2.3.9; RFC 5461): its owner hears of them, and it goes on.
 *
 * Anybody can send an ICMP error: the quoted number must be one that is under way (RFC 5927, 4).
 */
#include "stack/recovery.h"

/* Linux's net.ipv4.route.min_pmtu: below that routers may cut what we send. */
enum { V4_PATH_MIN = 552 };

static uint16_t path_mtu(const struct stack *stack, uint8_t family, uint32_t said)
{
    uint32_t least = family == 6 ? PEER_MTU_MIN_V6 : V4_PATH_MIN;

    return (uint16_t)MIN(MAX(said, least), (uint32_t)stack->mtu);
}

static void send_again(struct stack *stack, struct stack_conn *conn)
{
    struct tcp_pcb *pcb = conn_tcp(conn);

    context_enter(stack, conn);
    if (!pcb->unacked || pcb->flags & TF_RTO) {
        /* nothing is under way, or all of it will be sent again */
    } else if (pcb->flags & TF_SACK) {
        recovery_resend(stack, conn);
    } else {
        u8_t nrtx = pcb->nrtx;
        tcp_rexmit_rto(pcb);
        pcb->nrtx = nrtx;
    }
    context_leave(stack);
}

static void tcp_too_big(struct stack *stack, struct stack_conn *conn, uint8_t family, uint32_t said)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);
    uint32_t header = (family == 6 ? (uint32_t)IP6_HLEN : IP_HLEN) + TCP_HLEN +
                      (pcb->flags & TF_TIMESTAMP ? 12u : 0u);
    uint16_t segment = (uint16_t)(path_mtu(stack, family, said) - header);

    if (family == 4 && said < V4_PATH_MIN)
        conn->flags |= CONN_MAY_FRAGMENT;
    if (conn->manners && conn->manners->segment_whole > segment)
        conn->manners->segment_whole = segment;
    if (segment >= conn->segment_bytes)
        return;
    conn->segment_bytes = segment;
    conn->flags |= CONN_MSS_FALLS;
    send_again(stack, conn);
}

void path_too_big(struct stack *stack, struct stack_conn *conn, uint8_t family, uint32_t mtu)
{
    if (conn->protocol == IPPROTO_TCP) {
        if (conn->flags & CONN_OPEN)
            tcp_too_big(stack, conn, family, mtu);
        return;
    }
    uint16_t most = path_mtu(stack, family, mtu);
    if (!conn->segment_bytes || most < conn->segment_bytes)
        conn->segment_bytes = most;
}

bool path_is_quoted(const struct stack_conn *conn, uint32_t seq)
{
    const struct tcp_pcb *pcb = conn_tcp(conn);

    return TCP_SEQ_BETWEEN(seq, pcb->lastack, pcb->snd_nxt);
}

/* As Linux has it (icmp_err_convert, icmpv6_err_convert). */
bool path_is_fatal(uint8_t family, uint8_t type, uint8_t code)
{
    static const uint32_t v4_codes = 1u << 2 | 1u << 3 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 9 |
                                     1u << 10 | 1u << 13 | 1u << 14 | 1u << 15;
    static const uint32_t v6_codes = 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6;

    if (code > 15 || type != (family == 6 ? 1 : 3))
        return false;
    return (family == 6 ? v6_codes : v4_codes) >> code & 1;
}
