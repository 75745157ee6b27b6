/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_CRAFT_H
#define TESTS_CRAFT_H

#include "packet/checksum.h"
#include "packet/parse.h"

#include <netinet/in.h>
#include <string.h>

/*
 * Frames made by hand, as the rest of the world would send them, and a look into the frames that
 * come back. All of it is for FRAME_IP; craft_ethernet puts the rest around.
 */

enum {
    CRAFT_FIN = 1,
    CRAFT_SYN = 2,
    CRAFT_RST = 4,
    CRAFT_PSH = 8,
    CRAFT_ACK = 16,
    CRAFT_URG = 32,
    CRAFT_ECE = 64,
    CRAFT_CWR = 128,
};

struct crafted {
    uint8_t bytes[65535 + 14 + 40];
    size_t len;
};

/** One TCP segment in both directions: to be made, or seen. */
struct craft_tcp {
    struct peer_addr src, dst;
    uint16_t src_port, dst_port;
    uint32_t seq, ack;
    uint8_t flags, ip_ecn; /* the latter: two bits of the IP header */
    uint16_t window;
    /* options; present when not 0 or true */
    uint16_t mss;
    uint8_t scale; /* shift + 1 */
    bool sack_ok, timestamps;
    uint32_t ts_val, ts_ecr;
    uint8_t sacks; /* blocks: up to four, with timestamps three */
    uint32_t sack[4][2];
    const void *payload;
    uint32_t payload_len;
};

static inline void craft_put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void craft_put32(uint8_t *at, uint32_t value)
{
    craft_put16(at, value >> 16);
    craft_put16(at + 2, value);
}

static inline uint16_t craft_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t craft_get32(const uint8_t *at)
{
    return (uint32_t)craft_get16(at) << 16 | craft_get16(at + 2);
}

/* The IP header for `len` bytes that follow; returns where they go. */
static inline uint8_t *craft_ip(struct crafted *out, const struct peer_addr *src,
                                const struct peer_addr *dst, uint8_t protocol, size_t len)
{
    uint8_t *ip = out->bytes;

    memset(ip, 0, 40);
    if (src->family == 6) {
        ip[0] = 0x60;
        craft_put16(ip + 4, (uint32_t)len);
        ip[6] = protocol;
        ip[7] = protocol == IPPROTO_ICMPV6 ? 255 : 64;
        memcpy(ip + 8, src->bytes, 16);
        memcpy(ip + 24, dst->bytes, 16);
        out->len = 40 + len;
        return ip + 40;
    }
    ip[0] = 0x45;
    craft_put16(ip + 2, (uint32_t)len + 20);
    craft_put16(ip + 4, 0x1234);
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, src->bytes, 4);
    memcpy(ip + 16, dst->bytes, 4);
    uint16_t sum = checksum_finish(checksum_add(0, ip, 20));
    memcpy(ip + 10, &sum, 2);
    out->len = 20 + len;
    return ip + 20;
}

static inline void craft_sum(const struct peer_addr *src, const struct peer_addr *dst,
                             uint8_t protocol, uint8_t *transport, size_t len, size_t field)
{
    memset(transport + field, 0, 2);
    uint64_t total = checksum_add(0, transport, len);
    if (protocol != IPPROTO_ICMP)
        total += checksum_pseudo(src, dst, protocol, (uint32_t)len);
    uint16_t sum = checksum_finish(total);
    memcpy(transport + field, &sum, 2);
}

static inline size_t craft_options(const struct craft_tcp *tcp, uint8_t *at)
{
    uint8_t *start = at;

    if (tcp->mss) {
        *at++ = 2;
        *at++ = 4;
        craft_put16(at, tcp->mss);
        at += 2;
    }
    if (tcp->sack_ok) {
        *at++ = 4;
        *at++ = 2;
    }
    if (tcp->timestamps) {
        *at++ = 8;
        *at++ = 10;
        craft_put32(at, tcp->ts_val);
        craft_put32(at + 4, tcp->ts_ecr);
        at += 8;
    }
    if (tcp->scale) {
        *at++ = 3;
        *at++ = 3;
        *at++ = (uint8_t)(tcp->scale - 1);
    }
    if (tcp->sacks) {
        *at++ = 5;
        *at++ = (uint8_t)(2 + 8 * tcp->sacks);
    }
    for (uint8_t i = 0; i < tcp->sacks; i++, at += 8) {
        craft_put32(at, tcp->sack[i][0]);
        craft_put32(at + 4, tcp->sack[i][1]);
    }
    while ((at - start) % 4)
        *at++ = 1;
    return (size_t)(at - start);
}

static inline void craft_set_ip_ecn(struct crafted *out, uint8_t ecn)
{
    uint8_t *ip = out->bytes;

    ip[1] |= (uint8_t)(ip[0] >> 4 == 6 ? ecn << 4 : ecn);
    if (ip[0] >> 4 == 6)
        return;
    memset(ip + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, ip, 20));
    memcpy(ip + 10, &sum, 2);
}

static inline void craft_tcp_frame(struct crafted *out, const struct craft_tcp *tcp)
{
    uint8_t options[40];
    size_t header = 20 + craft_options(tcp, options);
    size_t len = header + tcp->payload_len;
    uint8_t *at = craft_ip(out, &tcp->src, &tcp->dst, IPPROTO_TCP, len);

    memset(at, 0, 20);
    craft_put16(at, tcp->src_port);
    craft_put16(at + 2, tcp->dst_port);
    craft_put32(at + 4, tcp->seq);
    craft_put32(at + 8, tcp->ack);
    at[12] = (uint8_t)(header / 4 << 4);
    at[13] = tcp->flags;
    craft_put16(at + 14, tcp->window);
    memcpy(at + 20, options, header - 20);
    if (tcp->payload_len)
        memcpy(at + header, tcp->payload, tcp->payload_len);
    craft_sum(&tcp->src, &tcp->dst, IPPROTO_TCP, at, len, 16);
    craft_set_ip_ecn(out, tcp->ip_ecn);
}

static inline void craft_see_option(struct craft_tcp *tcp, uint8_t kind, const uint8_t *at,
                                    uint8_t len)
{
    if (kind == 2 && len == 4)
        tcp->mss = craft_get16(at + 2);
    if (kind == 3 && len == 3)
        tcp->scale = (uint8_t)(at[2] + 1);
    if (kind == 4)
        tcp->sack_ok = true;
    if (kind == 8 && len == 10) {
        tcp->timestamps = true;
        tcp->ts_val = craft_get32(at + 2);
        tcp->ts_ecr = craft_get32(at + 6);
    }
    for (uint8_t i = 2; kind == 5 && i + 8 <= len && tcp->sacks < 4; i = (uint8_t)(i + 8)) {
        tcp->sack[tcp->sacks][0] = craft_get32(at + i);
        tcp->sack[tcp->sacks++][1] = craft_get32(at + i + 4);
    }
}

/** What a frame of the stack's says; false when it is no TCP segment. */
static inline bool craft_see_tcp(const uint8_t *data, const struct packet *packet,
                                 struct craft_tcp *ret)
{
    const uint8_t *at = data + packet->transport_at;

    if (packet->kind != PACKET_TCP)
        return false;
    *ret = (struct craft_tcp){.src = packet->src,
                              .dst = packet->dst,
                              .src_port = packet->src_port,
                              .dst_port = packet->dst_port,
                              .seq = craft_get32(at + 4),
                              .ack = craft_get32(at + 8),
                              .flags = at[13],
                              .ip_ecn = (packet->ip_version == 6 ? data[packet->ip_at + 1] >> 4
                                                                 : data[packet->ip_at + 1]) &
                                        3,
                              .window = craft_get16(at + 14),
                              .payload = data + packet->payload_at,
                              .payload_len = packet->payload_len};
    const uint8_t *end = data + packet->payload_at;
    for (at += 20; at < end && *at; at += *at == 1 ? 1 : at[1]) {
        if (*at != 1 && (at + 1 >= end || at[1] < 2))
            return false;
        if (*at != 1)
            craft_see_option(ret, at[0], at, at[1]);
    }
    return true;
}

static inline void craft_udp_frame(struct crafted *out, const struct peer_addr *src,
                                   uint16_t src_port, const struct peer_addr *dst,
                                   uint16_t dst_port, const void *payload, size_t len)
{
    uint8_t *at = craft_ip(out, src, dst, IPPROTO_UDP, len + 8);

    memset(at, 0, 8);
    craft_put16(at, src_port);
    craft_put16(at + 2, dst_port);
    craft_put16(at + 4, (uint32_t)len + 8);
    if (len)
        memcpy(at + 8, payload, len);
    craft_sum(src, dst, IPPROTO_UDP, at, len + 8, 6);
}

/** `rest` is bytes 4 to 7 of the header; an error quotes its packet as payload. */
static inline void craft_icmp_frame(struct crafted *out, const struct peer_addr *src,
                                    const struct peer_addr *dst, uint8_t type, uint8_t code,
                                    uint32_t rest, const void *payload, size_t len)
{
    uint8_t protocol = src->family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    uint8_t *at = craft_ip(out, src, dst, protocol, len + 8);

    at[0] = type;
    at[1] = code;
    craft_put32(at + 4, rest);
    if (len)
        memcpy(at + 8, payload, len);
    craft_sum(src, dst, protocol, at, len + 8, 2);
}

/** Bytes `from` to `to` (of what follows the header) of an IPv4 packet as one fragment. */
static inline void craft_fragment(struct crafted *out, const struct crafted *whole, uint32_t from,
                                  uint32_t to)
{
    uint32_t total = (uint32_t)whole->len - 20;

    memcpy(out->bytes, whole->bytes, 20);
    to = to < total ? to : total;
    memcpy(out->bytes + 20, whole->bytes + 20 + from, to - from);
    out->len = 20 + to - from;
    craft_put16(out->bytes + 2, (uint32_t)out->len);
    craft_put16(out->bytes + 6, from / 8 | (to < total ? 0x2000u : 0));
    memset(out->bytes + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, out->bytes, 20));
    memcpy(out->bytes + 10, &sum, 2);
}

static inline void craft_ethernet(struct crafted *out, const uint8_t dst[6], const uint8_t src[6])
{
    bool v6 = out->bytes[0] >> 4 == 6;

    memmove(out->bytes + 14, out->bytes, out->len);
    memcpy(out->bytes, dst, 6);
    memcpy(out->bytes + 6, src, 6);
    craft_put16(out->bytes + 12, v6 ? 0x86dd : 0x0800);
    out->len += 14;
}

#endif
