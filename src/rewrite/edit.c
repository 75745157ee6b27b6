/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checksums change by the difference of what changed (RFC 1624): HC' = ~(~HC + ~m + m'). The
 * difference is the same for all packets of a flow, so it is computed once; the way back is its one's
 * complement. One is that of the addresses alone: the IPv4 header's, and that of a partial checksum,
 * which is the pseudo-header's sum and not inverted. The other has the port in it as well.
 *
 * Words are added as they lie in memory: the sum does not care, as long as it is stored the same way.
 */
#include "internal.h"

#include "base/macro.h"
#include "packet/checksum.h"
#include "packet/fields.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static uint16_t fold(uint64_t sum)
{
    return (uint16_t)~checksum_finish(sum);
}

static uint16_t load(const uint8_t *at)
{
    uint16_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

uint16_t edit_delta(uint64_t before, uint64_t after)
{
    return fold((uint64_t)checksum_finish(before) + fold(after));
}

static uint16_t add(uint16_t a, uint16_t b)
{
    uint32_t sum = (uint32_t)a + b;

    return (uint16_t)(sum + (sum >> 16));
}

void edit_checksum(uint8_t *field, uint16_t delta)
{
    uint16_t sum = add((uint16_t)~load(field), delta);

    put_checksum(field, (uint16_t)~sum);
}

void edit_pseudo(uint8_t *field, uint16_t delta)
{
    put_checksum(field, add(load(field), delta));
}

size_t checksum_at(uint8_t protocol)
{
    if (protocol == IPPROTO_TCP)
        return TCP_CHECKSUM_AT;
    return protocol == IPPROTO_UDP ? UDP_CHECKSUM_AT : ICMP_CHECKSUM_AT;
}

void edit_prepare(struct rewrite_flow *flow)
{
    uint64_t before = checksum_add(0, flow->inside, 16) + checksum_add(0, flow->seen, 16);
    uint64_t after = checksum_add(0, flow->peer, 16) + checksum_add(0, flow->target, 16);
    bool pseudo = flow->protocol != IPPROTO_ICMP;

    flow->header_delta = edit_delta(before, after);
    flow->transport_delta = edit_delta((pseudo ? before : 0) + htons(flow->inside_port),
                                       (pseudo ? after : 0) + htons(flow->outside_port));
}

static uint16_t toward(uint16_t delta, bool outward)
{
    return outward ? delta : (uint16_t)~delta;
}

void edit_addresses(uint8_t *ip, const struct rewrite_flow *flow, bool outward, bool from_program)
{
    bool v4 = flow->family == 4;
    size_t len = v4 ? 4 : 16;
    uint8_t *source = ip + (v4 ? 12 : 8);
    uint8_t *near = from_program ? source : source + len;
    uint8_t *far = from_program ? source + len : source;

    if (v4)
        memcpy(near, outward ? flow->peer : flow->inside, 4);
    else
        memcpy(near, outward ? flow->peer : flow->inside, 16);
    if (flow->marks & MARK_LOCALHOST)
        memcpy(far, outward ? flow->target : flow->seen, len);
    if (v4)
        edit_checksum(ip + 10, toward(flow->header_delta, outward));
}

/* The port, or the id of an echo. */
static void edit_port(uint8_t *transport, const struct rewrite_flow *flow, bool outward,
                      bool from_program)
{
    bool ports = flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP;
    size_t at = ports ? (from_program ? 0 : 2) : 4;

    put16(transport + at, outward ? flow->outside_port : flow->inside_port);
}

void edit_transport(uint8_t *transport, size_t len, const struct rewrite_flow *flow, bool outward,
                    bool from_program)
{
    size_t at = checksum_at(flow->protocol);
    bool udp = flow->protocol == IPPROTO_UDP;

    edit_port(transport, flow, outward, from_program);
    if (at + 2 > len || (udp && load(transport + at) == 0))
        return; /* cut off; RFC 768: none */
    edit_checksum(transport + at, toward(flow->transport_delta, outward));
    if (udp && load(transport + at) == 0)
        put16(transport + at, UINT16_MAX);
}

void edit_partial(uint8_t *transport, const struct rewrite_flow *flow, bool outward,
                  bool from_program)
{
    uint8_t *field = transport + checksum_at(flow->protocol);

    edit_port(transport, flow, outward, from_program);
    if (flow->protocol != IPPROTO_ICMP) /* no pseudo-header */
        edit_pseudo(field, toward(flow->header_delta, outward));
}
