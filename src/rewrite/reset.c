/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The answer to a segment of a connection that nobody knows any more, as the other end's machine would
 * give it: otherwise the program would send it again for minutes.
 */
#include "rewrite/rewrite.h"

#include "packet/checksum.h"
#include "packet/fields.h"
#include "packet/parse.h"

#include <netinet/in.h>
#include <string.h>

enum { TTL = 64 };

static uint8_t *put_ip(const struct packet *parsed, uint8_t *ip)
{
    if (parsed->ip_version == 6) {
        ip[0] = 0x60;
        put16(ip + 4, TCP_HEADER);
        ip[6] = IPPROTO_TCP;
        ip[7] = TTL;
        memcpy(ip + 8, parsed->dst.bytes, 16);
        memcpy(ip + 24, parsed->src.bytes, 16);
        return ip + IP6_HEADER;
    }
    ip[0] = 0x45;
    put16(ip + 2, IP4_HEADER + TCP_HEADER);
    ip[6] = 0x40; /* not to be fragmented */
    ip[8] = TTL;
    ip[9] = IPPROTO_TCP;
    memcpy(ip + 12, parsed->dst.bytes, 4);
    memcpy(ip + 16, parsed->src.bytes, 4);
    put_checksum(ip + 10, checksum_finish(checksum_add(0, ip, IP4_HEADER)));
    return ip + IP4_HEADER;
}

/* RFC 9293, 3.10.7.1: it has the number that the segment acknowledges, or acknowledges the segment. */
static void put_tcp(const uint8_t *segment, const struct packet *parsed, uint8_t *tcp)
{
    const bool acknowledges = parsed->tcp_flags & TCP_ACK;
    const uint32_t length =
        parsed->payload_len + !!(parsed->tcp_flags & TCP_SYN) + !!(parsed->tcp_flags & TCP_FIN);

    put16(tcp, parsed->dst_port);
    put16(tcp + 2, parsed->src_port);
    if (acknowledges)
        put32(tcp + 4, get32(segment + 8));
    else
        put32(tcp + 8, get32(segment + 4) + length);
    tcp[12] = TCP_HEADER / 4 << 4;
    tcp[13] = TCP_RST | (acknowledges ? 0 : TCP_ACK);
    const uint64_t pseudo = checksum_pseudo(&parsed->dst, &parsed->src, IPPROTO_TCP, TCP_HEADER);
    put_checksum(tcp + TCP_CHECKSUM_AT, checksum_finish(checksum_add(pseudo, tcp, TCP_HEADER)));
}

size_t rewrite_reset(const uint8_t *packet, size_t len, uint8_t *buf, size_t room)
{
    struct packet parsed;

    if (packet_parse(packet, len, FRAME_IP, &parsed) < 0 || parsed.kind != PACKET_TCP ||
        parsed.fragment || parsed.tcp_flags & TCP_RST || addr_is_multicast(&parsed.dst) ||
        addr_is_multicast(&parsed.src))
        return 0;
    const size_t whole = (parsed.ip_version == 4 ? IP4_HEADER : IP6_HEADER) + TCP_HEADER;
    if (room < whole)
        return 0;
    memset(buf, 0, whole);
    put_tcp(packet + parsed.transport_at, &parsed, put_ip(&parsed, buf));
    return whole;
}
