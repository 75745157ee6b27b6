/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ICMP error quotes the packet that it is about (RFC 5508 4, RFC 5382 REQ-9). That packet went the
 * other way, so the program's end is its destination in an error that the program's machine sends,
 * and its source in one that comes in. Inside the quote addresses, port and checksums become what
 * the receiver knows; then the message's own checksum changes by what became of the quote. Routers on
 * the way send such errors too: of those the source stays.
 *
 * An error neither keeps a flow alive nor ends it (RFC 5382 REQ-10, RFC 5508 REQ-7).
 */
#include "internal.h"

#include "base/macro.h"
#include "packet/checksum.h"
#include "packet/fields.h"
#include "rewrite/icmp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { LEAST_QUOTED = 8 }; /* of the transport */

struct quote {
    uint8_t *ip;
    size_t len;
    struct packet parsed;
    size_t transport_len; /* what is there of it */
};

static int read_quote(const struct view *view, struct quote *quote)
{
    size_t at = view->parsed.transport_at + (size_t)ICMP_HEADER;

    if (view->parsed.fragment || at > view->parsed.ip_len)
        return -ENOENT;
    quote->ip = view->ip + at;
    quote->len = view->parsed.ip_len - at;
    (void)packet_parse(quote->ip, quote->len, FRAME_IP, &quote->parsed); /* it is cut, mostly */
    const struct packet *parsed = &quote->parsed;
    if (parsed->ip_version != view->parsed.ip_version || parsed->transport_at == 0)
        return -ENOENT;
    quote->transport_len = parsed->ip_len - parsed->transport_at;
    return quote->transport_len < LEAST_QUOTED ? -ENOENT : 0;
}

/* The tuple of the flow that the quoted packet belongs to; `outward`: what the program got. */
static int tuple_of_quote(const struct quote *quote, bool outward, unsigned side,
                          struct tuple *ret_tuple)
{
    const struct packet *parsed = &quote->parsed;
    const uint8_t *transport = quote->ip + parsed->transport_at;
    bool v4 = parsed->ip_version == 4;
    const uint8_t *src = quote->ip + (v4 ? 12 : 8), *dst = quote->ip + (v4 ? 16 : 24);

    *ret_tuple = (struct tuple){.near = outward ? dst : src,
                                .far = outward ? src : dst,
                                .near_port = outward ? parsed->dst_port : parsed->src_port,
                                .far_port = outward ? parsed->src_port : parsed->dst_port,
                                .side = (uint16_t)side,
                                .protocol = parsed->protocol};
    if (parsed->protocol == IPPROTO_TCP || parsed->protocol == IPPROTO_UDP)
        return 0;
    if (parsed->protocol != (v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
        return -ENOENT;
    uint8_t request = v4 ? ICMP4_ECHO : ICMP6_ECHO,
            reply = v4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
    if (transport[0] != (outward ? reply : request))
        return -ENOENT;
    ret_tuple->near_port = get16(transport + 4);
    ret_tuple->far_port = 0;
    return 0;
}

/* Changes the quote; returns by how much its sum changed. */
static uint16_t change_quote(const struct quote *quote, const struct rewrite_flow *flow,
                             bool outward)
{
    size_t headers = quote->parsed.transport_at + MIN(quote->transport_len, (size_t)TCP_HEADER);
    uint64_t before = checksum_add(0, quote->ip, headers);

    edit_addresses(quote->ip, flow, outward, !outward);
    edit_transport(quote->ip + quote->parsed.transport_at, quote->transport_len, flow, outward,
                   !outward);
    return edit_delta(before, checksum_add(0, quote->ip, headers));
}

static void change_error(const struct view *view, const struct quote *quote,
                         const struct rewrite_flow *flow, bool outward)
{
    bool v4 = flow->family == 4;
    uint8_t *addresses = view->ip + (v4 ? 12 : 8);
    size_t len = v4 ? 4 : 16;
    uint8_t *field = view->ip + view->parsed.transport_at + ICMP_CHECKSUM_AT;
    uint8_t *near = outward ? addresses : addresses + len;
    uint8_t *far = outward ? addresses + len : addresses;
    uint64_t before = checksum_add(0, addresses, 2 * len);

    memcpy(near, outward ? flow->peer : flow->inside, len);
    if (memcmp(far, outward ? flow->seen : flow->target, len) == 0)
        memcpy(far, outward ? flow->target : flow->seen, len);
    uint16_t delta = edit_delta(before, checksum_add(0, addresses, 2 * len));
    uint16_t quote_delta = change_quote(quote, flow, outward);
    if (v4)
        edit_checksum(view->ip + 10, delta);
    if (!view->partial) {
        edit_checksum(field, quote_delta);
        if (!v4)
            edit_checksum(field, delta);
    } else if (!v4) {
        edit_pseudo(field, delta);
    }
}

/* Whether the error goes to whom the quoted packet came from. */
static bool is_answer(const struct view *view, const struct quote *quote)
{
    bool v4 = view->parsed.ip_version == 4;

    return memcmp(view->ip + (v4 ? 16 : 24), quote->ip + (v4 ? 12 : 8), v4 ? 4 : 16) == 0;
}

int error_out(struct rewrite *rewrite, unsigned side, const struct view *view,
              struct rewrite_flow **ret_flow)
{
    struct quote quote;
    struct tuple tuple;

    if (read_quote(view, &quote) < 0 || !is_answer(view, &quote) ||
        tuple_of_quote(&quote, true, side, &tuple) < 0)
        return -ENOENT;
    struct rewrite_flow *flow = find_inside(rewrite, &tuple, tuple_tag(rewrite, INSIDE, &tuple));
    if (!flow)
        return -ENOENT;
    change_error(view, &quote, flow, true);
    rewrite->stats.errors_out++;
    *ret_flow = flow;
    return 0;
}

int error_in(struct rewrite *rewrite, const struct view *view, struct rewrite_flow **ret_flow)
{
    struct quote quote;
    struct tuple tuple;

    if (read_quote(view, &quote) < 0 || !is_answer(view, &quote) ||
        tuple_of_quote(&quote, false, 0, &tuple) < 0)
        return -ENOENT;
    struct rewrite_flow *flow = find_outside(rewrite, &tuple, tuple_tag(rewrite, OUTSIDE, &tuple));
    if (!flow)
        return -ENOENT;
    if (flow->state == REWRITE_GONE)
        return -ESHUTDOWN;
    change_error(view, &quote, flow, false);
    rewrite->stats.errors_in++;
    *ret_flow = flow;
    return 0;
}

int error_tuple(const struct view *view, unsigned side, struct tuple *ret_tuple)
{
    struct quote quote;
    int status = read_quote(view, &quote);

    return status < 0 ? status : tuple_of_quote(&quote, true, side, ret_tuple);
}
