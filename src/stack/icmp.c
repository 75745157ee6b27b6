/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP and ICMPv6 as a client needs them: echo requests go out, replies and errors come back.
 * Answering echo requests is left to lwIP; whoever asks for the time is answered here.
 *
 * An error message quotes the packet it is about: with the quoted addresses and ports its flow is
 * found; path.c knows what it means. For a UDP flow it is news.
 */
#include "stack/internal.h"

#include "packet/bytes.h"

#include "lwip/inet_chksum.h"
#include "lwip/ip4.h"
#include "lwip/ip6.h"

#include <stdlib.h>
#include <string.h>

enum { V4_ECHO = 8, V4_ECHO_REPLY = 0, V4_UNREACHABLE = 3, V4_TIME_EXCEEDED = 11 };
enum { V4_TOO_BIG_CODE = 4, V6_TOO_BIG = 2 };
enum { V6_ECHO = 128, V6_ECHO_REPLY = 129, V6_UNREACHABLE = 1 };
enum { V4_STAMP = 13, V4_STAMP_REPLY = 14, STAMPS_BYTES = 12 };
enum { ICMP_HEADER = 8 };

struct ping_result {
    struct list node;
    struct stack_icmp icmp;
};

int stack_ping(struct stack *stack, const struct stack_ping *ping)
{
    int64_t peer = addr_set_find(stack->peers, &ping->from);
    if (peer < 0)
        return -EADDRNOTAVAIL;
    if (ping->from.family != ping->to.family)
        return -EAFNOSUPPORT;
    if (ping->size > stack_datagram_max(ping->from.family))
        return -EMSGSIZE;
    struct pbuf *p = pbuf_alloc(PBUF_IP, (u16_t)(ICMP_HEADER + ping->size), PBUF_RAM);
    if (!p)
        return -ENOMEM;

    bool v6 = ping->from.family == 6;
    uint8_t *icmp = p->payload;
    memset(icmp, 0, ICMP_HEADER);
    icmp[0] = v6 ? V6_ECHO : V4_ECHO;
    icmp[4] = (uint8_t)(ping->id >> 8);
    icmp[5] = (uint8_t)ping->id;
    icmp[6] = (uint8_t)(ping->sequence >> 8);
    icmp[7] = (uint8_t)ping->sequence;
    for (uint32_t i = 0; i < ping->size; i++)
        icmp[ICMP_HEADER + i] = (uint8_t)i;
    uint64_t sum = checksum_add(0, icmp, p->tot_len);
    if (v6)
        sum += checksum_pseudo(&ping->from, &ping->to, IPPROTO_ICMPV6, p->tot_len);
    uint16_t checksum = checksum_finish(sum);
    memcpy(icmp + 2, &checksum, sizeof(checksum));

    ip_addr_t from, to;
    addr_to_lwip(&ping->from, &from);
    addr_to_lwip(&ping->to, &to);
    context_identity(stack, (uint64_t)peer);
    stack->netif.mtu = output_mtu(stack->mtu, ping->from.family, IP_HLEN + p->tot_len);
    uint8_t ttl = ping->ttl ? ping->ttl : ICMP_TTL;
    err_t error = v6 ? ip6_output_if_src(p, ip_2_ip6(&from), ip_2_ip6(&to), ttl, 0, IPPROTO_ICMPV6,
                                         &stack->netif)
                     : ip4_output_if_src(p, ip_2_ip4(&from), ip_2_ip4(&to), ttl, 0, IPPROTO_ICMP,
                                         &stack->netif);
    pbuf_free(p);
    return errno_from_lwip(error);
}

static uint16_t be16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t be32(const uint8_t *bytes)
{
    return (uint32_t)be16(bytes) << 16 | be16(bytes + 2);
}

static void queue_result(struct stack *stack, const struct stack_icmp *icmp)
{
    struct ping_result *result = malloc(sizeof(*result));
    if (!result)
        return;
    result->icmp = *icmp;
    list_add_tail(&stack->pings, &result->node);
}

static bool is_too_big(const struct stack_icmp *icmp)
{
    return icmp->from.family == 6 ? icmp->type == V6_TOO_BIG
                                  : icmp->type == V4_UNREACHABLE && icmp->code == V4_TOO_BIG_CODE;
}

/* A UDP flow, or a handshake. */
static void conn_unreachable(struct stack *stack, struct stack_conn *conn,
                             const struct stack_icmp *icmp)
{
    conn->icmp_type = icmp->type;
    conn->icmp_code = icmp->code;
    bool udp = conn->protocol == IPPROTO_UDP;
    if (udp || !path_is_fatal(icmp->from.family, icmp->type, icmp->code)) {
        if (udp || !(conn->flags & CONN_PASSIVE)) /* nobody knows of that one yet */
            conn_mark(stack, conn, STACK_UNREACHABLE);
        return;
    }
    conn->end = PEER_END_UNREACHABLE;
    stack_abort(stack, conn, false);
    conn_mark(stack, conn, STACK_CLOSED);
}

/* The quoted packet is one of ours: from a peer. Tells whose it is. `rest`: the second word of the
   message, where a router puts its MTU. */
static void error_input(struct stack *stack, struct stack_icmp *icmp, uint32_t rest,
                        const uint8_t *quoted, size_t len)
{
    struct packet inner;

    /* A quote is cut: its lengths need not fit, what was read of it counts. */
    (void)packet_parse(quoted, len, FRAME_IP, &inner);
    if (!inner.transport_at || (size_t)inner.transport_at + 8 > len)
        return;
    const uint8_t *transport = quoted + inner.transport_at;
    if (inner.protocol == IPPROTO_ICMP || inner.protocol == IPPROTO_ICMPV6) {
        if (transport[0] != V4_ECHO && transport[0] != V6_ECHO)
            return;
        icmp->id = be16(transport + 4);
        icmp->sequence = be16(transport + 6);
        queue_result(stack, icmp);
        return;
    }
    struct stack_tuple tuple = {.local = inner.src,
                                .remote = inner.dst,
                                .local_port = be16(transport),
                                .remote_port = be16(transport + 2)};
    struct stack_conn *conn = table_find(stack, inner.protocol, &tuple);
    if (!conn || conn->flags & CONN_TIME_WAIT)
        return;
    bool tcp = conn->protocol == IPPROTO_TCP;
    if (tcp && !path_is_quoted(conn, be32(transport + 4)))
        return;
    if (is_too_big(icmp))
        path_too_big(stack, conn, icmp->from.family, rest);
    else if (!tcp || !(conn->flags & CONN_OPEN))
        conn_unreachable(stack, conn, icmp);
}

/* What time is it there? In ms since midnight, UTC (RFC 792). */
static void answer_stamp(struct stack *stack, const struct frame *frame,
                         const struct packet *packet)
{
    const uint8_t *icmp = frame->data + packet->transport_at;
    uint64_t utc_ms = (stack->now_ns + stack->utc_ahead_ns) / NS_PER_MS;
    uint8_t stamps[STAMPS_BYTES]; /* sent, received, answered */

    memcpy(stamps, icmp + ICMP_HEADER, 4);
    put32(stamps + 4, (uint32_t)(utc_ms % 86400000));
    memcpy(stamps + 8, stamps + 4, 4);
    forge_icmp(stack, &(struct forged_icmp){
                          .from = packet->dst,
                          .to = packet->src,
                          .mac = stack->layer == FRAME_ETHERNET ? frame->data + 6 : NULL,
                          .tos = frame->data[packet->ip_at + 1],
                          .type = V4_STAMP_REPLY,
                          .rest = be32(icmp + 4),
                          .quote = stamps,
                          .quote_len = sizeof(stamps)});
}

/* Takes replies, errors and questions for the time; false when lwIP should see the packet. */
bool stack_icmp_input(struct stack *stack, const struct frame *frame, const struct packet *packet)
{
    const uint8_t *icmp = frame->data + packet->transport_at;
    size_t len = packet->ip_len - (size_t)(packet->transport_at - packet->ip_at);
    bool v6 = packet->ip_version == 6;

    if (len < ICMP_HEADER)
        return true;
    struct stack_icmp result = {.peer = packet->dst,
                                .from = packet->src,
                                .type = icmp[0],
                                .code = icmp[1],
                                .ttl = frame->data[packet->ip_at + (v6 ? 7 : 8)]};
    bool reply = icmp[0] == (v6 ? V6_ECHO_REPLY : V4_ECHO_REPLY);
    bool error = v6 ? icmp[0] >= V6_UNREACHABLE && icmp[0] <= 4
                    : icmp[0] == V4_UNREACHABLE || icmp[0] == V4_TIME_EXCEEDED || icmp[0] == 12;
    bool stamp = !v6 && icmp[0] == V4_STAMP && len >= ICMP_HEADER + STAMPS_BYTES;
    if (!reply && !error && !stamp)
        return false;
    if (!checksum_verify(frame->data, frame->len, packet)) {
        stack->stats.bad++;
        return true;
    }
    if (stamp) {
        answer_stamp(stack, frame, packet);
    } else if (reply) {
        result.id = be16(icmp + 4);
        result.sequence = be16(icmp + 6);
        result.bytes = (uint32_t)(len - ICMP_HEADER);
        queue_result(stack, &result);
    } else {
        uint32_t rest = v6 ? be32(icmp + 4) : be16(icmp + 6);
        error_input(stack, &result, rest, icmp + ICMP_HEADER, len - ICMP_HEADER);
    }
    return true;
}

/* lwIP answers an echo request in its own place, IPv4's header included. Linux writes a header of
   its own, which may be cut; only the type of service comes back. */
void icmp_before_echo(struct stack *stack, uint8_t *ip)
{
    if (ip[0] >> 4 == 6) {
        stack->echo_class = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
        return;
    }
    uint16_t id = stack->ip_id++; /* see set_ip_id in output.c */
    ip[4] = (uint8_t)(id >> 8);
    ip[5] = (uint8_t)id;
    ip[6] = 0;
}

void icmp_deliver(struct stack *stack, int *count)
{
    struct list *node;

    while ((node = list_pop(&stack->pings))) {
        struct ping_result *result = list_entry(node, struct ping_result, node);
        if (stack->ops->ping)
            stack->ops->ping(stack->user, &result->icmp);
        free(result);
        ++*count;
    }
}

void icmp_done(struct stack *stack)
{
    struct list *node;

    while ((node = list_pop(&stack->pings)))
        free(list_entry(node, struct ping_result, node));
}
