/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACKET_FIELDS_H
#define PACKET_FIELDS_H

#include "packet/bytes.h"

#include <string.h>

/* Header fields: their sizes, places and flags. */

/* A checksum is in network order already, as checksum_finish gives it. */
static inline void put_checksum(uint8_t *bytes, uint16_t checksum)
{
    memcpy(bytes, &checksum, sizeof(checksum));
}

enum {
    ETHERNET_HEADER = 14,
    ARP_BYTES = 28, /* IPv4 over Ethernet */
    IP4_HEADER = 20,
    IP6_HEADER = 40,
    TCP_HEADER = 20,
    UDP_HEADER = 8,
    ICMP_HEADER = 8,
    ND_SOLICIT_BYTES = 24,
};
enum {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_CWR = 0x80
};
enum { UDP_CHECKSUM_AT = 6, TCP_CHECKSUM_AT = 16 }; /* in their headers */
enum { ICMP_CHECKSUM_AT = 2 };
enum { ICMP6_ND_SOLICIT = 135 };

#endif
