/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_PACKET_BUILD_H
#define TESTS_PACKET_BUILD_H

#include "packet/checksum.h"
#include "packet/parse.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* Builds super-segments as the kernel hands them out: one packet, pseudo-header sum only. */

struct super {
    enum frame_layer layer;
    int ip_version;
    uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
    uint32_t payload_len;
    uint16_t gso_size; /* 0: an ordinary frame */
    bool complete;     /* with a complete checksum instead */
};
struct built {
    uint8_t bytes[FRAME_LARGE_BYTES];
    size_t len;
    uint32_t ip_at, transport_at, payload_at;
    struct frame_offload offload;
};
enum { BUILT_SEQ = 0xfffffff0, BUILT_ID = 0xfffe, BUILT_FLAGS = 0x99 }; /* CWR, ACK, PSH, FIN */

static inline uint8_t payload_byte(uint32_t index)
{
    return (uint8_t)(index * 7 + index / 256);
}

static inline void build16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void build_ip(const struct super *super, struct built *built, uint32_t len)
{
    uint8_t *ip = built->bytes + built->ip_at;

    if (super->ip_version == 6) {
        ip[0] = 0x60;
        build16(ip + 4, len - 40);
        ip[6] = super->protocol;
        ip[7] = 64;
        memcpy(ip + 8, (uint8_t[]){0x20, 1, 0, 2}, 4);
        ip[23] = 2;
        memcpy(ip + 24, (uint8_t[]){0x20, 1, 0x0d, 0xb8}, 4);
        ip[39] = 1;
        return;
    }
    ip[0] = 0x45;
    build16(ip + 2, len);
    build16(ip + 4, BUILT_ID);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = super->protocol;
    memcpy(ip + 12, (uint8_t[]){198, 18, 0, 2, 192, 0, 2, 1}, 8);
    uint16_t sum = checksum_finish(checksum_add(0, ip, 20));
    memcpy(ip + 10, &sum, 2);
}

static inline void build_transport(const struct super *super, struct built *built)
{
    uint8_t *transport = built->bytes + built->transport_at;

    build16(transport, 40000);
    build16(transport + 2, 80);
    if (super->protocol == IPPROTO_UDP) {
        build16(transport + 4, 8 + super->payload_len);
        return;
    }
    memcpy(transport + 4, (uint8_t[]){0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 9}, 8);
    transport[12] = 8 << 4;
    transport[13] = BUILT_FLAGS;
    build16(transport + 14, 502);
    memcpy(transport + 20, (uint8_t[]){1, 1, 8, 10, 0, 0, 3, 0xe8, 0, 0, 7, 0xd0}, 12);
}

static inline struct peer_addr built_addr(const struct super *super, const struct built *built,
                                          bool dst)
{
    bool v6 = super->ip_version == 6;
    struct peer_addr addr = {.family = v6 ? 6 : 4};
    const uint8_t *ip = built->bytes + built->ip_at;

    if (v6)
        memcpy(addr.bytes, ip + (dst ? 24 : 8), 16);
    else
        memcpy(addr.bytes, ip + (dst ? 16 : 12), 4);
    return addr;
}

static inline struct built *build(const struct super *super)
{
    struct built *built = calloc(1, sizeof(*built));
    bool v6 = super->ip_version == 6, tcp = super->protocol == IPPROTO_TCP;

    if (!built)
        abort();
    built->ip_at = super->layer == FRAME_ETHERNET ? 14 : 0;
    if (super->layer == FRAME_ETHERNET)
        memcpy(built->bytes,
               (uint8_t[]){2, 0, 0, 0, 0, 0xfe, 2, 0, 0, 0, 0, 1, v6 ? 0x86 : 8, v6 ? 0xdd : 0},
               14);
    built->transport_at = built->ip_at + (v6 ? 40 : 20);
    built->payload_at = built->transport_at + (tcp ? 32 : 8);
    built->len = built->payload_at + super->payload_len;
    build_ip(super, built, (uint32_t)built->len - built->ip_at);
    build_transport(super, built);
    for (uint32_t i = 0; i < super->payload_len; i++)
        built->bytes[built->payload_at + i] = payload_byte(i);

    struct peer_addr src = built_addr(super, built, false), dst = built_addr(super, built, true);
    struct frame_offload *offload = &built->offload;
    uint64_t sum =
        checksum_pseudo(&src, &dst, super->protocol, (uint32_t)(built->len - built->transport_at));
    uint16_t folded = (uint16_t)~checksum_finish(sum);
    offload->flags = FRAME_NEEDS_CSUM;
    offload->csum_start = (uint16_t)built->transport_at;
    offload->csum_offset = tcp ? 16 : 6;
    memcpy(built->bytes + offload->csum_start + offload->csum_offset, &folded, 2);
    if (super->complete)
        (void)checksum_complete(built->bytes, built->len, offload);
    offload->gso_size = super->gso_size;
    if (super->gso_size)
        offload->gso_type = !tcp ? FRAME_GSO_UDP_L4 : v6 ? FRAME_GSO_TCPV6 : FRAME_GSO_TCPV4;
    return built;
}

#endif
