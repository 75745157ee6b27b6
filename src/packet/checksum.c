/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071): the one's complement sum of 16-bit words.
 *
 * The sum does not care for byte order as long as it is stored the way it was read, nor for the
 * width it is gathered in: 2^16, 2^32 and 2^48 are all 1 modulo 2^16 - 1. So memory is read in
 * words of the machine and both halves of each are added to 64-bit sums that cannot overflow; four
 * of them, so that one addition does not wait for the one before. That reads memory faster than
 * most machines can deliver it; vectors written by hand gained nothing over it.
 *
 * Sums between calls stay below 2^33 or so, which lets callers add them with a plus.
 */
#include "packet/checksum.h"

#include "packet/fields.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

static uint64_t halves(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return (word & UINT32_MAX) + (word >> 32);
}

/* What is left when blocks are done: less than 32 bytes. A last odd byte is followed by a zero. */
static uint64_t add_tail(uint64_t sum, const uint8_t *at, size_t len)
{
    for (; len >= 8; at += 8, len -= 8)
        sum += halves(at);
    for (; len >= 2; at += 2, len -= 2) {
        uint16_t word;
        memcpy(&word, at, sizeof(word));
        sum += word;
    }
    if (len) {
        uint16_t word = 0;
        memcpy(&word, at, 1);
        sum += word;
    }
    return sum;
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *at = data;
    uint64_t a = 0, b = 0, c = 0, d = 0;

    for (; len >= 32; at += 32, len -= 32) {
        a += halves(at);
        b += halves(at + 8);
        c += halves(at + 16);
        d += halves(at + 24);
    }
    sum = add_tail(sum + a + b + c + d, at, len);
    return (sum & UINT32_MAX) + (sum >> 32);
}

uint16_t checksum_finish(uint64_t sum)
{
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT32_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return (uint16_t)~sum;
}

/* As checksum_pseudo, from addresses as they stand in the IP header, one after the other. */
static uint64_t pseudo(const uint8_t *addresses, size_t len, uint8_t protocol,
                       uint32_t transport_len)
{
    return checksum_add(0, addresses, len) + htonl(transport_len) + htons(protocol);
}

uint64_t checksum_pseudo(const struct peer_addr *src, const struct peer_addr *dst, uint8_t protocol,
                         uint32_t transport_len)
{
    size_t len = src->family == 6 ? 16 : 4;
    uint8_t addresses[32];

    memcpy(addresses, src->bytes, len);
    memcpy(addresses + len, dst->bytes, len);
    return pseudo(addresses, 2 * len, protocol, transport_len);
}

int checksum_complete(void *data, size_t len, struct frame_offload *offload)
{
    size_t start = offload->csum_start;
    size_t field = start + offload->csum_offset;
    uint8_t *frame = data;

    if (!(offload->flags & FRAME_NEEDS_CSUM))
        return 0;
    if (field + 2 > len)
        return -EBADMSG;
    /* The field holds the pseudo-header's sum, so it is part of what is added. */
    uint16_t checksum = checksum_finish(checksum_add(0, frame + start, len - start));
    if (checksum == 0 && offload->csum_offset == UDP_CHECKSUM_AT)
        checksum = UINT16_MAX; /* RFC 768: zero stands for "no checksum" */
    put_checksum(frame + field, checksum);
    offload->flags &= (uint8_t)~FRAME_NEEDS_CSUM;
    return 0;
}

/* How much the transport checksum covers; 0 when there is nothing to check. */
static uint32_t covered_len(const uint8_t *frame, const struct packet *packet)
{
    const uint8_t *transport = frame + packet->transport_at;

    switch (packet->kind) {
    case PACKET_TCP:
    case PACKET_ICMP:
    case PACKET_ND_SOLICIT:
        return packet->ip_len - (uint32_t)(packet->transport_at - packet->ip_at);
    case PACKET_UDP:
        if (packet->ip_version == 4 && get16(transport + UDP_CHECKSUM_AT) == 0)
            return 0;
        return get16(transport + 4);
    default:
        return 0;
    }
}

static bool transport_right(const uint8_t *frame, const struct packet *packet)
{
    uint32_t len = covered_len(frame, packet);
    const uint8_t *ip = frame + packet->ip_at;
    const uint8_t *transport = frame + packet->transport_at;

    if (len == 0)
        return true;
    /* An all-zero field would pass if the sum happens to fit; RFC 8200 8.1 forbids it. */
    if (packet->kind == PACKET_UDP && get16(transport + UDP_CHECKSUM_AT) == 0)
        return false;
    uint64_t sum = checksum_add(0, transport, len);
    /* The addresses in the header, since for ND `packet->dst` is the target. */
    if (packet->ip_version == 6)
        sum += pseudo(ip + 8, 32, packet->protocol, len);
    else if (packet->kind != PACKET_ICMP)
        sum += pseudo(ip + 12, 8, packet->protocol, len);
    return checksum_finish(sum) == 0;
}

bool checksum_verify(const void *data, size_t len, const struct packet *packet)
{
    const uint8_t *frame = data;

    if (packet->ip_version == 0)
        return true;
    if (packet->ip_at + (size_t)packet->ip_len > len)
        return false;
    if (packet->ip_version == 4) {
        const uint8_t *ip = frame + packet->ip_at;
        if (checksum_finish(checksum_add(0, ip, (size_t)(ip[0] & 15) * 4)) != 0)
            return false;
    }
    return packet->fragment || transport_right(frame, packet);
}
