/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments. One goes to lwIP's reassembly with a raw control block waiting for the result, which
 * comes back to input.c as a packet of its own: only then is it known whose it is.
 *
 * So many packets are put together at once, in so many bytes, in all and for each peer. Whoever
 * sends more makes the older ones be given up, those of the same second together: lwIP's clock is
 * let run for them. That costs a flood of pieces that never become whole little time and keeps room
 * for those that do, whose pieces come one behind the other. (Linux takes no new ones then, for
 * half a minute.)
 *
 * lwIP says ICMP "time exceeded" in the name of whom the netif is at the moment, each time. Its
 * words are heard here and said anew, from the right address and as often as Linux would; not when
 * room was needed.
 */
#include "stack/internal.h"
#include "stack/limits.h"

#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/raw.h"

#include <string.h>

/* Names for headers behind that of a fragment: see hidden_name. */
enum { HIDES_DSTOPTS = 253, HIDES_ROUTING = 254 };
enum { AGE_MOST = IP_REASS_MAXAGE + 2, ICMP_HEADER = 8 };

/* ---- lwIP's words ---- */

static err_t hear4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    (void)to;
    answer_time_exceeded(netif->state, (uint8_t *)p->payload + IP_HLEN + ICMP_HEADER,
                         p->len < IP_HLEN + ICMP_HEADER ? 0 : p->len - IP_HLEN - ICMP_HEADER);
    return ERR_OK;
}

static err_t hear6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    (void)to;
    answer_time_exceeded(netif->state, (uint8_t *)p->payload + IP6_HLEN + ICMP_HEADER,
                         p->len < IP6_HLEN + ICMP_HEADER ? 0 : p->len - IP6_HLEN - ICMP_HEADER);
    return ERR_OK;
}

static uint64_t incomplete(void)
{
    return lwip_stats.memp[MEMP_REASSDATA]->used + lwip_stats.memp[MEMP_IP6_REASSDATA]->used;
}

/* A second goes by for what is incomplete. */
static void age(struct stack *stack, bool tells)
{
    struct netif *netif = &stack->netif;
    const netif_output_fn output = netif->output;
    const netif_output_ip6_fn output_ip6 = netif->output_ip6;

    netif->output = tells ? hear4 : output_nowhere4;
    netif->output_ip6 = tells ? hear6 : output_nowhere6;
    ip_reass_tmr();
    ip6_reass_tmr();
    netif->output = output;
    netif->output_ip6 = output_ip6;
}

bool pieces_age(struct stack *stack)
{
    if (incomplete())
        age(stack, true);
    return incomplete() != 0;
}

void pieces_done(struct stack *stack)
{
    for (int i = 0; i < 256 && incomplete(); i++)
        age(stack, false);
    frame_put(stack->reassembled);
}

/* ---- room ---- */

static uint64_t *bytes_of(struct stack *stack, uint64_t peer)
{
    return &stack->piece_bytes[peer % PIECE_COUNTS];
}

uint64_t pieces_bytes(const struct stack *stack)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < PIECE_COUNTS; i++)
        bytes += stack->piece_bytes[i];
    return bytes;
}

static bool has_room(struct stack *stack, uint64_t peer)
{
    return *bytes_of(stack, peer) <= LIMIT_PIECE_BYTES_PEER &&
           incomplete() < LIMIT_PIECE_PACKETS && pieces_bytes(stack) <= LIMIT_PIECE_BYTES;
}

static void make_room(struct stack *stack, uint64_t peer)
{
    const uint64_t before = incomplete();

    for (int i = 0; i < AGE_MOST && !has_room(stack, peer); i++)
        age(stack, false);
    stack->stats.limits[STACK_LIMIT_PIECES] += before - incomplete();
}

/* ---- reassembly ---- */

/* Called by lwIP with a packet that reassembly completed. */
static u8_t reassembled(void *arg, struct raw_pcb *pcb, struct pbuf *p, const ip_addr_t *from)
{
    struct stack *stack = arg;

    (void)pcb;
    (void)from;
    if (!stack->reassembled) {
        struct frame *frame = frame_get(stack->frames, p->tot_len);
        if (frame) {
            pbuf_copy_partial(p, frame->data, p->tot_len, 0);
            stack->reassembled = frame;
        }
    }
    pbuf_free(p);
    return 1;
}

/* lwIP's list of raw control blocks is its own, and every packet walks it: they exist only while a
   fragment, which is rare, is worked on. */
static void run_with_raw(struct stack *stack, struct frame *frame, const struct packet *packet)
{
    static const uint8_t protocols[] = {IPPROTO_UDP,    IPPROTO_TCP,   IPPROTO_ICMP,
                                        IPPROTO_ICMPV6, HIDES_DSTOPTS, HIDES_ROUTING};
    struct raw_pcb *raw[ARRAY_SIZE(protocols)];

    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        raw[i] = raw_new_ip_type(IPADDR_TYPE_ANY, protocols[i]);
        if (raw[i])
            raw_recv(raw[i], reassembled, stack);
    }
    input_run_ip(stack, frame, packet, bytes_of(stack, stack->peer));
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
        if (raw[i])
            raw_remove(raw[i]);
    }
}

static bool extends_ip6(uint8_t protocol)
{
    return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
           protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS;
}

/*
 * lwIP's reassembly of IPv6 does not get on with other extension headers. It takes what comes
 * before the fragment header from any of the fragments, and when the whole is together it reads on behind
 * the header, where it may find a fragment again. So what comes before is cut off (it was for the
 * way here), and what comes behind is hidden until the whole is back: the fragment header names a
 * protocol of ours (RFC 3692's, for experiments) instead of the extension.
 */
static uint8_t hidden_name(uint8_t protocol)
{
    return protocol == IPPROTO_DSTOPTS   ? HIDES_DSTOPTS
           : protocol == IPPROTO_ROUTING ? HIDES_ROUTING
                                         : protocol;
}

static uint8_t shown_name(uint8_t protocol)
{
    return protocol == HIDES_DSTOPTS   ? IPPROTO_DSTOPTS
           : protocol == HIDES_ROUTING ? IPPROTO_ROUTING
                                       : protocol;
}

/* Options that a receiver may skip when it does not know them (RFC 8200, 4.2). */
static bool may_skip_options(const uint8_t *header, uint32_t len)
{
    for (uint32_t at = 2; at < len;) {
        if (header[at] & 0xc0)
            return false;
        at += header[at] == 0 ? 1 : at + 1 < len ? header[at + 1] + 2u : len;
    }
    return true;
}

/* Where the fragment header is, from the start of the IP packet; 0: what is before it is not to be
   cut off. The packet was parsed. */
static uint32_t fragment_header_at(const uint8_t *ip)
{
    uint8_t protocol = ip[6];
    uint32_t at = IP6_HLEN;

    while (protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_DSTOPTS) {
        uint32_t len = (ip[at + 1] + 1u) * 8;
        if (!may_skip_options(ip + at, len))
            return 0;
        protocol = ip[at];
        at += len;
    }
    return protocol == IPPROTO_FRAGMENT ? at : 0;
}

/* What is wrong with a fragment's place, `at` which its header is: an offset in the packet, or 0
   (RFC 8200, 4.5). lwIP's own words about it quote the packet without its IPv6 header. */
static uint32_t place_fault(uint32_t at, uint32_t place, uint32_t len)
{
    if (place & 1 && len % 8)
        return 4; /* the length of the packet */
    return (place & 0xfff8) + len > 0xffff ? at + 2 : 0;
}

/* May lwIP put this fragment together with others? It counts the whole of an IPv6 packet in 16
   bits, its header too, which IPv6's own length does not: a longer whole trips over an assertion.
 */
static bool prepare_fragment(struct stack *stack, struct frame *frame, struct packet *packet)
{
    uint8_t *ip = frame->data + packet->ip_at;
    if (packet->ip_version != 6)
        return true; /* lwIP looks itself */
    uint32_t at = fragment_header_at(ip);
    if (!at || packet->ip_len < at + IP6_FRAG_HLEN)
        return false;
    uint8_t *fragment = ip + at;
    uint32_t place = (uint32_t)fragment[2] << 8 | fragment[3];
    uint32_t len = packet->ip_len - at - IP6_FRAG_HLEN, fault = place_fault(at, place, len);
    bool hides = fragment[0] == HIDES_DSTOPTS || fragment[0] == HIDES_ROUTING;

    if (fault) {
        answer_bad_field(stack, frame, packet, fault);
        return false;
    }
    fragment[0] = hidden_name(fragment[0]);
    if (!(place & 0xfff9) || extends_ip6(fragment[0]) || hides ||
        IP6_HLEN + (place & 0xfff8) + len > 0xffff)
        return false;
    if (at > IP6_HLEN) {
        memmove(ip + IP6_HLEN, fragment, IP6_FRAG_HLEN + len);
        ip[6] = IPPROTO_FRAGMENT;
        packet->ip_len = IP6_HLEN + IP6_FRAG_HLEN + len;
        ip[4] = (uint8_t)((IP6_FRAG_HLEN + len) >> 8);
        ip[5] = (uint8_t)(IP6_FRAG_HLEN + len);
    }
    return true;
}

/* lwIP wrote a new IP header for the whole: IPv4's has no checksum yet, IPv6's has a length that is
   short by the 8 bytes of the fragment header, which are gone already. */
static void mend_header(struct frame *frame)
{
    uint8_t *ip = frame->data;

    if (ip[0] >> 4 == 6) {
        uint32_t payload = frame->len - IP6_HLEN;
        ip[6] = shown_name(ip[6]);
        ip[4] = (uint8_t)(payload >> 8);
        ip[5] = (uint8_t)payload;
        return;
    }
    memset(ip + 10, 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, ip, (size_t)(ip[0] & 15) * 4));
    memcpy(ip + 10, &sum, sizeof(sum));
}

void pieces_input(struct stack *stack, struct frame *frame, struct packet *packet)
{
    if (!prepare_fragment(stack, frame, packet)) {
        stack->stats.bad++;
        frame_put(frame);
        return;
    }
    if (!has_room(stack, stack->peer))
        make_room(stack, stack->peer);
    run_with_raw(stack, frame, packet);
    input_housekeep(stack);

    frame = stack->reassembled;
    stack->reassembled = NULL;
    if (!frame)
        return;
    mend_header(frame);
    struct packet whole;
    if (packet_parse(frame->data, frame->len, FRAME_IP, &whole) < 0 || whole.fragment) {
        stack->stats.bad++;
        frame_put(frame);
        return;
    }
    input_packet(stack, frame, &whole);
}

