/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a machine answers by itself, in the words of Linux: resets to segments of no connection,
 * ICMP errors to datagrams and protocols that nobody takes, and silence where that is the answer.
 *
 * ICMP errors are limited as Linux limits them: so many a second to one address (icmp_ratelimit),
 * and so many a second in all (icmp_msgs_per_sec, icmp_msgs_burst). Each peer is a machine with
 * limits of its own. They are buckets in a table that is found by a keyed hash; when two share a
 * place the later one begins anew, which lets a few more answers pass and bounds the memory.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include "base/rng.h"
#include "packet/bytes.h"

#include <string.h>

enum { V4_TIME_EXCEEDED = 11, V6_TIME_EXCEEDED = 3, PIECES_MISSING = 1 };
enum { V4_UNREACHABLE = 3, V4_NO_PROTOCOL = 2, V4_NO_PORT = 3, V4_PARAMETER = 12 };
enum { V6_UNREACHABLE = 1, V6_NO_PORT = 4, V6_PARAMETER = 4, V6_FIELD = 0, V6_NEXT_HEADER = 1 };
enum { ND_ADVERTISEMENT = 136, ND_TARGET_MAC = 2 };
#define ND_SOLICITED UINT32_C(0x40000000)
#define ND_OVERRIDE  UINT32_C(0x20000000)
enum {
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_RECORD = 7,
    OPTION_STAMPS = 68,
    OPTION_LOOSE = 131, /* source routes */
    OPTION_STRICT = 137,
    OPTION_ALERT = 148,
};

enum {
    ERROR_BYTES_V4 = 576,  /* an error quotes what fits into this (RFC 1812, 4.3.2.3) */
    ERROR_BYTES_V6 = 1280, /* RFC 4443, 2.4 */
    ERROR_HEADER = 8,
    TOS_INTERNETWORK_CONTROL = 0xc0,
    ECN_MASK = 3,
};

/* The source of a frame's Ethernet header, to which the answer goes; NULL on TUN. */
static const uint8_t *asker_mac(const struct stack *stack, const struct frame *frame)
{
    return stack->layer == FRAME_ETHERNET ? frame->data + 6 : NULL;
}

/* IPv6's traffic class is the same. */
static uint8_t packet_tos(const struct frame *frame, const struct packet *packet)
{
    const uint8_t *ip = frame->data + packet->ip_at;

    if (packet->ip_version == 4)
        return ip[1];
    return (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

/* RFC 9293, 3.10.7.1: what has an acknowledgement is answered with its number, without ACK. */
void answer_reset(struct stack *stack, const struct frame *frame, const struct packet *packet)
{
    const uint8_t *tcp = frame->data + packet->transport_at;
    struct forged_segment reset = {.tuple = {.local = packet->dst,
                                             .remote = packet->src,
                                             .local_port = packet->dst_port,
                                             .remote_port = packet->src_port},
                                   .mac = asker_mac(stack, frame),
                                   .flags = TCP_RST,
                                   .tos = (uint8_t)(packet_tos(frame, packet) & ~ECN_MASK)};

    if (packet->tcp_flags & TCP_RST)
        return;
    if (packet->tcp_flags & TCP_ACK) {
        reset.seq = get32(tcp + 8);
    } else {
        reset.flags |= TCP_ACK;
        reset.ack = get32(tcp + 4) + packet->payload_len + !!(packet->tcp_flags & TCP_SYN) +
                    !!(packet->tcp_flags & TCP_FIN);
    }
    forge_tcp(stack, &reset);
}

/* ---- ICMP errors ---- */

static bool bucket_allows(struct answer_bucket *buckets, uint64_t key, uint64_t now_ns,
                          uint32_t interval_ms, uint32_t burst)
{
    struct answer_bucket *bucket = &buckets[key % ANSWER_BUCKETS];
    uint32_t now_ms = (uint32_t)(now_ns / NS_PER_MS), full_ms = interval_ms * burst;

    if (bucket->key != key) {
        *bucket = (struct answer_bucket){.key = key, .credit_ms = full_ms, .since_ms = now_ms};
    } else {
        uint32_t passed_ms = MIN(now_ms - bucket->since_ms, full_ms);
        bucket->credit_ms = MIN(bucket->credit_ms + passed_ms, full_ms);
        bucket->since_ms = now_ms;
    }
    if (bucket->credit_ms < interval_ms)
        return false;
    bucket->credit_ms -= interval_ms;
    return true;
}

/* May the machine `from` send one more error to `to`? */
static bool error_allowed(struct stack *stack, const struct peer_addr *from,
                          const struct peer_addr *to)
{
    struct {
        uint8_t from[16], to[16];
    } input;
    uint32_t interval_ms = from->family == 6 ? LIMIT_ERROR_V6_MS : LIMIT_ERROR_V4_MS;

    memset(&input, 0, sizeof(input));
    memcpy(input.from, from->bytes, 16);
    uint64_t machine = siphash(stack->answer_key, &input, 16);
    memcpy(input.to, to->bytes, 16);
    uint64_t target = siphash(stack->answer_key, &input, sizeof(input));
    bool allowed =
        bucket_allows(stack->targets, target, stack->now_ns, interval_ms, LIMIT_ERROR_BURST) &&
        bucket_allows(stack->machines, machine, stack->now_ns, LIMIT_ERROR_MACHINE_MS, LIMIT_ERROR_MACHINE_BURST);
    stack->stats.limits[STACK_LIMIT_ERRORS] += !allowed;
    return allowed;
}

/* An error about `frame`; `rest` is bytes 4 to 7 of its header. */
static void answer_error(struct stack *stack, const struct frame *frame,
                         const struct packet *packet, uint8_t type, uint8_t code, uint32_t rest)
{
    bool v6 = packet->ip_version == 6;
    uint32_t ip_header = v6 ? IP6_HLEN : IP_HLEN;
    uint32_t most = MIN((uint32_t)(v6 ? ERROR_BYTES_V6 : ERROR_BYTES_V4), (uint32_t)stack->mtu);
    const uint8_t *quote = frame->data + packet->ip_at;

    if (!error_allowed(stack, &packet->dst, &packet->src))
        return;
    struct forged_icmp error = {.from = packet->dst,
                                .to = packet->src,
                                .mac = asker_mac(stack, frame),
                                .type = type,
                                .code = code,
                                .rest = rest,
                                .quote = quote,
                                .quote_len = MIN(packet->ip_len, most - ip_header - ERROR_HEADER)};
    if (!v6)
        error.tos = (uint8_t)((quote[1] & 0x1e) | TOS_INTERNETWORK_CONTROL);
    forge_icmp(stack, &error);
}

void answer_port_unreachable(struct stack *stack, const struct frame *frame,
                             const struct packet *packet)
{
    if (packet->ip_version == 6)
        answer_error(stack, frame, packet, V6_UNREACHABLE, V6_NO_PORT, 0);
    else
        answer_error(stack, frame, packet, V4_UNREACHABLE, V4_NO_PORT, 0);
}

/* Where the last "next header" of an IPv6 packet stands, as parse.c went. */
static uint32_t last_next_header(const uint8_t *ip, const struct packet *packet)
{
    uint32_t field = 6, at = IP6_HLEN, end = packet->ip_len;

    if (packet->transport_at)
        end = (uint32_t)(packet->transport_at - packet->ip_at);
    while (at < end) {
        bool fragment = ip[field] == IPPROTO_FRAGMENT;
        field = at;
        at += fragment ? 8 : (ip[at + 1] + 1u) * 8;
    }
    return field;
}

void answer_unknown_protocol(struct stack *stack, const struct frame *frame,
                             const struct packet *packet)
{
    bool v6 = packet->ip_version == 6;

    if (packet->protocol == IPPROTO_IGMP || packet->protocol == IPPROTO_PIM ||
        packet->protocol == IPPROTO_UDPLITE || (v6 && packet->protocol == IPPROTO_NONE))
        return; /* Linux knows them */
    if (v6)
        answer_error(stack, frame, packet, V6_PARAMETER, V6_NEXT_HEADER,
                     last_next_header(frame->data + packet->ip_at, packet));
    else
        answer_error(stack, frame, packet, V4_UNREACHABLE, V4_NO_PROTOCOL, 0);
}

void answer_bad_field(struct stack *stack, const struct frame *frame, const struct packet *packet,
                      uint32_t field)
{
    answer_error(stack, frame, packet, V6_PARAMETER, V6_FIELD, field);
}

void answer_time_exceeded(struct stack *stack, const uint8_t *quote, uint32_t len)
{
    struct packet packet;

    (void)packet_parse(quote, len, FRAME_IP, &packet); /* it is cut, its addresses are there */
    const bool v6 = packet.src.family == 6;
    const int64_t peer = packet.src.family ? addr_set_find(stack->peers, &packet.dst) : -1;
    if (peer < 0 || !error_allowed(stack, &packet.dst, &packet.src))
        return;
    forge_icmp(stack, &(struct forged_icmp){.from = packet.dst,
                                            .to = packet.src,
                                            .tos = v6 ? 0 : TOS_INTERNETWORK_CONTROL,
                                            .type = v6 ? V6_TIME_EXCEEDED : V4_TIME_EXCEEDED,
                                            .code = PIECES_MISSING,
                                            .quote = quote,
                                            .quote_len = len});
}

/* ---- neighbours (RFC 4861, 7.2.4) ---- */

/* As Linux: who asks the peer alone knows its MAC and is only told that it is right; who asks for
   an address before he takes it (RFC 4862, 5.4) has none, so all hear the answer. */
void answer_solicitation(struct stack *stack, const struct frame *frame,
                         const struct packet *packet)
{
    static const uint8_t nobody[16], all_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    static const struct peer_addr all = {.family = 6, .bytes = {0xff, 2, [15] = 1}};
    const uint8_t *ip = frame->data + packet->ip_at;
    uint8_t body[24] = {[16] = ND_TARGET_MAC, [17] = 1};
    bool to_all = memcmp(packet->src.bytes, nobody, 16) == 0, to_group = ip[24] == 0xff;
    struct peer_mac mac = mac_add(stack->first_mac, stack->peer);

    if (!checksum_verify(frame->data, frame->len, packet)) {
        stack->stats.bad++;
        return;
    }
    memcpy(body, packet->dst.bytes, 16);
    memcpy(body + 18, mac.bytes, 6);
    bool ethernet = stack->layer == FRAME_ETHERNET;
    forge_icmp(stack, &(struct forged_icmp){
                          .from = packet->dst,
                          .to = to_all ? all : packet->src,
                          .mac = ethernet && to_all ? all_mac : asker_mac(stack, frame),
                          .type = ND_ADVERTISEMENT,
                          .hops = 255,
                          .rest = (to_all ? 0 : ND_SOLICITED) | (to_group ? ND_OVERRIDE : 0),
                          .quote = body,
                          .quote_len = ethernet && to_group ? sizeof(body) : 16});
}

/* ---- IPv4 options ---- */

/* Checks one option of `len` bytes, its own length being sound. Returns the offset in it of what is
   wrong, or -1. RFC 791, 3.1, with what Linux makes of it. */
static int option_fault(const uint8_t *option, uint32_t len)
{
    bool stamps = option[0] == OPTION_STAMPS;

    switch (option[0]) {
    case OPTION_LOOSE:
    case OPTION_STRICT:
    case OPTION_RECORD:
    case OPTION_STAMPS:
        if (len < (stamps ? 4 : 3))
            return 1;
        if (option[2] < (stamps ? 5 : 4))
            return 2;
        /* Room for one more entry, or none. */
        return option[0] != OPTION_LOOSE && option[0] != OPTION_STRICT && option[2] <= len &&
                       option[2] + 3u > len
                   ? 2
                   : -1;
    case OPTION_ALERT:
        return len < 4 ? 1 : -1;
    default:
        return -1;
    }
}

/* The offset in the header of what is wrong with its options, or 0. */
static uint32_t options_fault(const uint8_t *ip, uint32_t header, bool *ret_routed)
{
    for (uint32_t at = IP_HLEN; at < header && ip[at] != OPTION_END;) {
        if (ip[at] == OPTION_NOP) {
            at++;
            continue;
        }
        uint32_t len = at + 1 < header ? ip[at + 1] : 0;
        if (len < 2 || len > header - at)
            return at;
        int fault = option_fault(ip + at, len);
        if (fault >= 0)
            return at + (uint32_t)fault;
        *ret_routed |= ip[at] == OPTION_LOOSE || ip[at] == OPTION_STRICT;
        at += len;
    }
    return 0;
}

bool answer_bad_options(struct stack *stack, const struct frame *frame, const struct packet *packet)
{
    const uint8_t *ip = frame->data + packet->ip_at;
    bool routed = false;

    if (packet->ip_version != 4 || ip[0] == 0x45)
        return false;
    uint32_t header = (uint32_t)(ip[0] & 15) * 4;
    if (checksum_finish(checksum_add(0, ip, header)) != 0)
        return true;
    uint32_t fault = options_fault(ip, header, &routed);
    if (fault && !(ip[6] & 0x1f) && !ip[7])
        answer_error(stack, frame, packet, V4_PARAMETER, 0, fault << 24);
    return fault || routed;
}
