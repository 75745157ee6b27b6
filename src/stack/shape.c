/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments that lwIP writes otherwise than Linux does: SYNs, whose options have another order and
 * whose window another size, resets, and what has no bytes.
 */
#include "stack/internal.h"

#include "packet/bytes.h"

#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"

#include <string.h>

uint16_t shape_syn_window(uint32_t mss)
{
    return (uint16_t)MIN(65536 - (mss ? 65536 % mss : 0), 65535u);
}

struct syn_options {
    const uint8_t *mss, *scale, *sack, *stamps; /* NULL: not there */
};

static struct syn_options find_options(const uint8_t *tcp)
{
    const uint8_t *at = tcp + TCP_HLEN, *end = tcp + (tcp[12] >> 4) * 4;
    struct syn_options found = {0};

    for (; at < end && *at; at += *at == 1 ? 1 : at[1]) {
        if (*at == 2)
            found.mss = at;
        else if (*at == 3)
            found.scale = at;
        else if (*at == 4)
            found.sack = at;
        else if (*at == 8)
            found.stamps = at;
    }
    return found;
}

/* MSS, SACK permitted with timestamps, window scale. Returns where they end. */
static uint8_t *order_options(uint8_t *to, const struct syn_options *found)
{
    if (found->mss) {
        memcpy(to, found->mss, 4);
        to += 4;
    }
    if (found->stamps) {
        memcpy(to, found->sack ? "\4\2" : "\1\1", 2);
        memcpy(to + 2, found->stamps, 10);
        to += 12;
    } else if (found->sack) {
        memcpy(to, "\1\1\4\2", 4);
        to += 4;
    }
    if (found->scale) {
        *to = 1;
        memcpy(to + 1, found->scale, 3);
        to += 4;
    }
    return to;
}

/* What this peer does not offer. A window that needs no scale has none, so that it is exact. */
static void leave_out(const struct stack_facts *facts, struct syn_options *found)
{
    if (facts->no_timestamps)
        found->stamps = NULL;
    if (facts->no_sack)
        found->sack = NULL;
    if (facts->window && facts->window <= UINT16_MAX)
        found->scale = NULL;
}

struct pbuf *shape_syn(const struct stack *stack, struct pbuf *p, uint32_t at, struct pbuf *copy,
                       uint8_t *bytes)
{
    const struct stack_facts *facts = stack->current ? stack->current->facts : NULL;
    uint8_t *ip = bytes + at;

    if (p->next || p->len > SHAPE_SYN_BYTES)
        return p;
    memcpy(bytes, p->payload, p->len);
    bool v6 = ip[0] >> 4 == 6;
    uint8_t *tcp = ip + (v6 ? IP6_HLEN : (ip[0] & 15) * 4);
    const uint8_t *source = (const uint8_t *)p->payload + (tcp - bytes);
    struct syn_options found = find_options(source);
    if (facts)
        leave_out(facts, &found);
    uint8_t *end = order_options(tcp + TCP_HLEN, &found);
    uint32_t len = (uint32_t)(end - ip) - (v6 ? IP6_HLEN : 0);

    tcp[12] = (uint8_t)((end - tcp) / 4 << 4);
    ip[v6 ? 4 : 2] = (uint8_t)(len >> 8);
    ip[v6 ? 5 : 3] = (uint8_t)len;
    if (found.mss && tcp[14] == 255 && tcp[15] == 255) {
        uint32_t mss = (uint32_t)found.mss[2] << 8 | found.mss[3];
        if (facts && facts->mss) {
            mss = facts->mss;
            put16(tcp + TCP_HLEN + 2, mss);
        }
        bool answer = tcp[13] & TCP_ACK; /* Linux counts its timestamps then */
        uint16_t window = shape_syn_window(answer && found.stamps ? mss - 12 : mss);
        put16(tcp + 14, facts && facts->window ? MIN(facts->window, window) : window);
    }
    *copy = (struct pbuf){.payload = bytes,
                          .len = (u16_t)(end - bytes),
                          .tot_len = (u16_t)(end - bytes),
                          .ref = 1};
    return copy;
}

/* A reset to what came before the connection was open tells nothing but that (as Linux); one of an
   open connection announces its window, lwIP's the largest that there could be. */
void shape_reset(const struct stack *stack, uint8_t *tcp)
{
    if (!stack->current || stack->current->protocol != IPPROTO_TCP || !(tcp[13] & TCP_ACK))
        return;
    const struct tcp_pcb *pcb = conn_tcp(stack->current);
    if (stack->current->flags & CONN_OPEN)
        put16(tcp + 14, RCV_WND_SCALE(pcb, pcb->rcv_ann_wnd));
    if (!stack->receiving || pcb->state > SYN_RCVD)
        return;
    tcp[13] = TCP_RST;
    memset(tcp + 8, 0, 4);
    memset(tcp + 14, 0, 2);
}

/* As tcp_acceptable_seq in Linux. Windows are rounded to their scale, so less than that is no
   matter. */
void shape_bare(const struct stack_conn *conn, uint8_t *tcp)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t beyond = pcb->snd_nxt - pcb->lastack - pcb->snd_wnd;

    if (conn->flags & CONN_OPEN && (int32_t)beyond >= 1 << pcb->snd_scale &&
        get32(tcp + 4) == pcb->snd_nxt)
        put32(tcp + 4, pcb->snd_nxt - beyond);
}
