/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACKET_PARSE_H
#define PACKET_PARSE_H

#include "frame.h"

#include <peer/addr.h>
#include <stdbool.h>

/**
 * Reads the headers of a frame from outside; believes no length in it. Offsets are from the start
 * of the frame. Returns 0, or -EBADMSG when a length does not fit (what was read so far is in
 * `ret`, `kind` tells how far that is: PACKET_IP when the IP header is sound but what is above it
 * is not). Of a packet that was cut, as an ICMP error quotes it, addresses, protocol and, with 8
 * bytes of transport, `transport_at` and ports are in `ret` although the result is -EBADMSG.
 */
enum packet_kind {
    PACKET_OTHER, /* not IP, not ARP, or broken */
    PACKET_ARP,   /* src/dst = sender and target protocol address */
    PACKET_TCP,
    PACKET_UDP,
    PACKET_ICMP,       /* ICMP or ICMPv6 */
    PACKET_ND_SOLICIT, /* neighbour solicitation: dst = the TARGET, not the multicast group */
    PACKET_IP,         /* another protocol above IP, or a fragment that is not the first */
};

struct packet {
    enum packet_kind kind;
    bool fragment;         /* part of a fragmented IP packet (first part too) */
    uint8_t ip_version;    /* 4, 6, 0 */
    uint8_t protocol;      /* IPPROTO_* of the transport, extension headers skipped */
    uint8_t tcp_flags;     /* TCP only */
    uint16_t ip_at;        /* offset of the IP header; 0 on TUN, 14 on TAP */
    uint16_t transport_at; /* offset of the transport header, 0 when there is none */
    uint16_t payload_at;   /* offset of the payload (TCP, UDP) */
    uint32_t ip_len;       /* bytes of the IP packet by its own header (<= frame) */
    uint32_t payload_len;
    uint16_t src_port, dst_port; /* TCP, UDP; host order */
    uint16_t arp_op;
    uint16_t arp_at;
    struct peer_addr src, dst;
};

int packet_parse(const void *data, size_t len, enum frame_layer layer, struct packet *ret);

#endif
