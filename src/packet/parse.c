/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Headers are read outside in: Ethernet, ARP or IP, extension headers, transport. Each step gets
 * the span of bytes it may look at, checks that its own header fits, and hands on what is left.
 *
 * `kind` follows the reading: PACKET_OTHER until the IP header is known to be sound, PACKET_IP
 * until the transport header is, then the transport. So whoever sees PACKET_TCP may read a TCP
 * header. A packet whose IP length is more than there is (the quote in an ICMP error) is read as
 * far as it goes and still refused at the end.
 *
 * The number of IPv6 extension headers is limited: it bounds the time a frame can cost, and keeps
 * every offset within 16 bits.
 */
#include "packet/parse.h"

#include "packet/fields.h"

#include <errno.h>
#include <netinet/in.h>

enum { ETHERTYPE_IP4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IP6 = 0x86dd };
enum { IP4_MORE_FRAGMENTS = 0x2000, IP4_OFFSET = 0x1fff };
enum { IP6_MORE_FRAGMENTS = 0x0001, IP6_OFFSET = 0xfff8 };
enum { EXTENSIONS_MAX = 8 };
enum { QUOTE_BYTES = 8 }; /* what an ICMP error quotes of the transport at least (RFC 792) */

static void addr_set4(struct peer_addr *addr, const uint8_t *bytes)
{
    *addr = (struct peer_addr){.family = 4};
    memcpy(addr->bytes, bytes, 4);
}

static void addr_set6(struct peer_addr *addr, const uint8_t *bytes)
{
    addr->family = 6;
    memcpy(addr->bytes, bytes, 16);
}

static int parse_tcp(const uint8_t *tcp, uint32_t len, struct packet *ret)
{
    if (len < TCP_HEADER)
        return -EBADMSG;
    uint32_t header = (uint32_t)(tcp[12] >> 4) * 4;
    if (header < TCP_HEADER || header > len)
        return -EBADMSG;
    ret->kind = PACKET_TCP;
    ret->tcp_flags = tcp[13];
    ret->payload_at = (uint16_t)(ret->transport_at + header);
    ret->payload_len = len - header;
    return 0;
}

static int parse_udp(const uint8_t *udp, uint32_t len, struct packet *ret)
{
    if (len < UDP_HEADER)
        return -EBADMSG;
    uint32_t udp_len = get16(udp + 4);
    if (ret->fragment)
        udp_len = len; /* its length is that of the whole datagram */
    if (udp_len < UDP_HEADER || udp_len > len)
        return -EBADMSG;
    ret->kind = PACKET_UDP;
    ret->payload_at = (uint16_t)(ret->transport_at + UDP_HEADER);
    ret->payload_len = udp_len - UDP_HEADER;
    return 0;
}

static int parse_icmp(const uint8_t *ip, const uint8_t *icmp, uint32_t len, struct packet *ret)
{
    if (len < ICMP_HEADER)
        return -EBADMSG;
    ret->kind = PACKET_ICMP;
    if (ret->ip_version == 4 || icmp[0] != ICMP6_ND_SOLICIT || ret->fragment)
        return 0;
    if (len < ND_SOLICIT_BYTES)
        return -EBADMSG;
    /* RFC 4861 7.1.1; one that fails these is an ICMPv6 message of no interest. */
    if (ip[7] == 255 && icmp[1] == 0 && icmp[8] != 0xff) {
        ret->kind = PACKET_ND_SOLICIT;
        addr_set6(&ret->dst, icmp + 8);
    }
    return 0;
}

/* The transport's header: `len` bytes at `at`; `cut` when the packet should have been longer. */
static int parse_transport(const uint8_t *data, uint32_t at, uint32_t len, bool cut,
                           struct packet *ret)
{
    const uint8_t *transport = data + at;
    bool ports = ret->protocol == IPPROTO_TCP || ret->protocol == IPPROTO_UDP;

    if (cut && len < QUOTE_BYTES)
        return -EBADMSG;
    ret->transport_at = len ? (uint16_t)at : 0;
    if (ports && len >= QUOTE_BYTES) {
        ret->src_port = get16(transport);
        ret->dst_port = get16(transport + 2);
    }
    if (cut)
        return -EBADMSG;
    int status = 0;
    if (ret->protocol == IPPROTO_TCP)
        status = parse_tcp(transport, len, ret);
    else if (ret->protocol == IPPROTO_UDP)
        status = parse_udp(transport, len, ret);
    else if (ret->protocol == (ret->ip_version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
        status = parse_icmp(data + ret->ip_at, transport, len, ret);
    /* A first fragment may be too small for its transport header: reassembly will tell. */
    return ret->fragment && ret->kind == PACKET_IP ? 0 : status;
}

static int parse_ip4(const uint8_t *data, uint32_t at, size_t len, struct packet *ret)
{
    const uint8_t *ip = data + at;

    if (len < IP4_HEADER || ip[0] >> 4 != 4)
        return -EBADMSG;
    uint32_t header = (uint32_t)(ip[0] & 15) * 4;
    uint32_t total = get16(ip + 2);
    if (header < IP4_HEADER || header > len || total < header)
        return -EBADMSG;
    bool cut = total > len;
    uint16_t fragment = get16(ip + 6);

    ret->kind = PACKET_IP;
    ret->ip_version = 4;
    ret->ip_at = (uint16_t)at;
    ret->ip_len = cut ? (uint32_t)len : total;
    ret->protocol = ip[9];
    ret->fragment = fragment & (IP4_MORE_FRAGMENTS | IP4_OFFSET);
    addr_set4(&ret->src, ip + 12);
    addr_set4(&ret->dst, ip + 16);
    if (fragment & IP4_OFFSET)
        return cut ? -EBADMSG : 0;
    return parse_transport(data, at + header, ret->ip_len - header, cut, ret);
}

static bool is_extension(uint8_t protocol)
{
    return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
           protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT;
}

/*
 * Skips extension headers (RFC 8200 4) from `*at` on, `*left` bytes being there. `protocol` in
 * `ret` is the one at hand. Returns 1 when the walk ends at a fragment that is not the first.
 */
static int skip_extensions(const uint8_t *data, uint32_t *at, uint32_t *left, struct packet *ret)
{
    for (int i = 0; is_extension(ret->protocol); i++) {
        if (i && ret->protocol == IPPROTO_HOPOPTS)
            return 0; /* only the first header is one; here it is unknown (RFC 8200, 4) */
        const uint8_t *header = data + *at;
        if (i == EXTENSIONS_MAX || *left < 8)
            return -EBADMSG;
        bool is_fragment = ret->protocol == IPPROTO_FRAGMENT;
        uint32_t len = is_fragment ? 8 : (header[1] + 1u) * 8;
        if (len > *left)
            return -EBADMSG;
        ret->protocol = header[0];
        *at += len;
        *left -= len;
        if (is_fragment) {
            uint16_t fragment = get16(header + 2);
            /* Neither offset nor more: an "atomic" one, which is whole (RFC 6946). */
            ret->fragment |= (fragment & (IP6_MORE_FRAGMENTS | IP6_OFFSET)) != 0;
            if (fragment & IP6_OFFSET)
                return 1;
        }
    }
    return 0;
}

static int parse_ip6(const uint8_t *data, uint32_t at, size_t len, struct packet *ret)
{
    const uint8_t *ip = data + at;

    if (len < IP6_HEADER || ip[0] >> 4 != 6)
        return -EBADMSG;
    uint32_t total = IP6_HEADER + (uint32_t)get16(ip + 4);
    bool cut = total > len;

    ret->kind = PACKET_IP;
    ret->ip_version = 6;
    ret->ip_at = (uint16_t)at;
    ret->ip_len = cut ? (uint32_t)len : total;
    ret->protocol = ip[6];
    addr_set6(&ret->src, ip + 8);
    addr_set6(&ret->dst, ip + 24);
    uint32_t left = ret->ip_len - IP6_HEADER;
    at += IP6_HEADER;
    int status = skip_extensions(data, &at, &left, ret);
    if (status != 0)
        return status < 0 || cut ? -EBADMSG : 0;
    return parse_transport(data, at, left, cut, ret);
}

static int parse_arp(const uint8_t *data, size_t len, struct packet *ret)
{
    static const uint8_t ip4_over_ethernet[] = {0, 1, 8, 0, 6, 4};
    const uint8_t *arp = data + ETHERNET_HEADER;

    if (len < ETHERNET_HEADER + ARP_BYTES)
        return -EBADMSG;
    if (memcmp(arp, ip4_over_ethernet, sizeof(ip4_over_ethernet)) != 0)
        return 0;
    ret->kind = PACKET_ARP;
    ret->arp_at = ETHERNET_HEADER;
    ret->arp_op = get16(arp + 6);
    addr_set4(&ret->src, arp + 14);
    addr_set4(&ret->dst, arp + 24);
    return 0;
}

static int parse_ethernet(const uint8_t *data, size_t len, struct packet *ret)
{
    if (len < ETHERNET_HEADER)
        return -EBADMSG;
    switch (get16(data + 12)) {
    case ETHERTYPE_IP4:
        return parse_ip4(data, ETHERNET_HEADER, len - ETHERNET_HEADER, ret);
    case ETHERTYPE_IP6:
        return parse_ip6(data, ETHERNET_HEADER, len - ETHERNET_HEADER, ret);
    case ETHERTYPE_ARP:
        return parse_arp(data, len, ret);
    default: /* VLAN tags too: a peer is on an access port */
        return 0;
    }
}

int packet_parse(const void *data, size_t len, enum frame_layer layer, struct packet *ret)
{
    const uint8_t *frame = data;

    *ret = (struct packet){.kind = PACKET_OTHER};
    if (layer == FRAME_ETHERNET)
        return parse_ethernet(frame, len, ret);
    if (len == 0)
        return -EBADMSG;
    switch (frame[0] >> 4) {
    case 4:
        return parse_ip4(frame, 0, len, ret);
    case 6:
        return parse_ip6(frame, 0, len, ret);
    default:
        return 0;
    }
}
