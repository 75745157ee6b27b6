/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The answer to a packet that may not go where it wants to, or does not fit there. It looks as if the
 * destination had sent it: a router's address there is none. Of the packet as much is quoted as fits
 * into the 576 or 1280 bytes that every host takes.
 */
#include "rewrite/icmp.h"
#include "rewrite/rewrite.h"

#include "packet/checksum.h"
#include "packet/fields.h"
#include "packet/parse.h"

#include <netinet/in.h>

enum { LONGEST4 = 576, LONGEST6 = 1280 };
enum { CODE4_PROHIBITED = 13, CODE4_TOO_BIG = 4, CODE6_PROHIBITED = 1 };
enum { TOS_CONTROL = 0xc0, TTL4 = 64, HOPS6 = 255 };

/* What the error says, in the words of each version. */
struct message {
    uint8_t type4, code4, type6, code6;
    uint32_t rest; /* of the header */
};

static bool is_broadcast(const struct peer_addr *addr)
{
    static const uint8_t ones[4] = {255, 255, 255, 255};

    return addr->family == 4 && memcmp(addr->bytes, ones, sizeof(ones)) == 0;
}

/* An address that one host has. */
static bool is_unicast(const struct peer_addr *addr)
{
    return !addr_is_multicast(addr) && !addr_is_unspecified(addr) && !is_broadcast(addr);
}

static bool is_later_fragment(const uint8_t *packet, const struct packet *parsed)
{
    if (!parsed->fragment)
        return false;
    return parsed->ip_version == 4 ? (get16(packet + 6) & 0x1fff) != 0 : parsed->transport_at == 0;
}

static bool may_answer(const uint8_t *packet, size_t len, struct packet *parsed)
{
    if (packet_parse(packet, len, FRAME_IP, parsed) < 0 && parsed->kind != PACKET_IP)
        return false;
    if (parsed->ip_version == 0 || is_later_fragment(packet, parsed))
        return false;
    /* What a solicitation is for stands in place of its destination, which is multicast. */
    if (parsed->kind == PACKET_ND_SOLICIT || !is_unicast(&parsed->src) || !is_unicast(&parsed->dst))
        return false;
    if (parsed->protocol != (parsed->ip_version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
        return true;
    return parsed->kind == PACKET_ICMP &&
           !icmp_is_error(parsed->ip_version, packet[parsed->transport_at]);
}

static size_t answer4(const struct packet *parsed, const struct message *message, size_t quoted,
                      uint8_t *ip)
{
    size_t len = IP4_HEADER + ICMP_HEADER + quoted;
    uint8_t *icmp = ip + IP4_HEADER;

    ip[0] = 0x45;
    ip[1] = TOS_CONTROL;
    put16(ip + 2, (uint32_t)len);
    ip[8] = TTL4;
    ip[9] = IPPROTO_ICMP;
    memcpy(ip + 12, parsed->dst.bytes, 4);
    memcpy(ip + 16, parsed->src.bytes, 4);
    put_checksum(ip + 10, checksum_finish(checksum_add(0, ip, IP4_HEADER)));
    icmp[0] = message->type4;
    icmp[1] = message->code4;
    put32(icmp + 4, message->rest);
    put_checksum(icmp + ICMP_CHECKSUM_AT,
                 checksum_finish(checksum_add(0, icmp, ICMP_HEADER + quoted)));
    return len;
}

static size_t answer6(const struct packet *parsed, const struct message *message, size_t quoted,
                      uint8_t *ip)
{
    uint32_t icmp_len = ICMP_HEADER + (uint32_t)quoted;
    uint8_t *icmp = ip + IP6_HEADER;

    ip[0] = 0x60;
    put16(ip + 4, icmp_len);
    ip[6] = IPPROTO_ICMPV6;
    ip[7] = HOPS6;
    memcpy(ip + 8, parsed->dst.bytes, 16);
    memcpy(ip + 24, parsed->src.bytes, 16);
    icmp[0] = message->type6;
    icmp[1] = message->code6;
    put32(icmp + 4, message->rest);
    uint64_t sum = checksum_pseudo(&parsed->dst, &parsed->src, IPPROTO_ICMPV6, icmp_len);
    put_checksum(icmp + ICMP_CHECKSUM_AT, checksum_finish(checksum_add(sum, icmp, icmp_len)));
    return IP6_HEADER + (size_t)icmp_len;
}

static size_t answer(const uint8_t *packet, size_t len, const struct message *message, uint8_t *buf,
                     size_t room)
{
    struct packet parsed;

    if (!may_answer(packet, len, &parsed))
        return 0;
    size_t longest = MIN(room, (size_t)(parsed.ip_version == 4 ? LONGEST4 : LONGEST6));
    size_t headers = (parsed.ip_version == 4 ? IP4_HEADER : IP6_HEADER) + ICMP_HEADER;
    size_t least = (size_t)(parsed.transport_at - parsed.ip_at) + 8; /* of the transport */
    if (longest < headers + MIN(least, (size_t)parsed.ip_len))
        return 0;
    size_t quoted = MIN((size_t)parsed.ip_len, longest - headers);

    memset(buf, 0, headers);
    memcpy(buf + headers, packet, quoted);
    return parsed.ip_version == 4 ? answer4(&parsed, message, quoted, buf)
                                  : answer6(&parsed, message, quoted, buf);
}

size_t rewrite_prohibit(const uint8_t *packet, size_t len, uint8_t *buf, size_t room)
{
    static const struct message message = {ICMP4_UNREACHABLE, CODE4_PROHIBITED, ICMP6_UNREACHABLE,
                                           CODE6_PROHIBITED, 0};

    return answer(packet, len, &message, buf, room);
}

size_t rewrite_too_big(const uint8_t *packet, size_t len, uint16_t mtu, uint8_t *buf, size_t room)
{
    const struct message message = {ICMP4_UNREACHABLE, CODE4_TOO_BIG, ICMP6_TOO_BIG, 0, mtu};

    return answer(packet, len, &message, buf, room);
}
