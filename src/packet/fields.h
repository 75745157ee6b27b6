/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PACKET_FIELDS_H
#define PACKET_FIELDS_H

#include <stdint.h>
#include <string.h>

/* Reading and writing of header fields, which may lie at any address; their sizes and flags. */

static inline uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

static inline void put16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void put32(uint8_t *bytes, uint32_t value)
{
    put16(bytes, value >> 16);
    put16(bytes + 2, value);
}

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
