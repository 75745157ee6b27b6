/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of a packet. Its headers are read with every length doubted, its flow is found (find.c) or
 * begun (begin.c), the flow's state goes on, and only then bytes are changed (edit.c): whatever is
 * refused is as it came. ICMP errors are in errors.c.
 *
 * Of a fragmented packet the first fragment has the ports; it leaves the packet's id in a memory
 * (recall.c), by which the later ones follow. Kernels send them in order. On the way to the program
 * a link may have turned them round, and then it is not known yet whose they are: the stack gets
 * them, and a copy is held (held.c) for the case that the first one is a flow's. Nothing is between a
 * program and us; one of its own out of order is lost, and counted.
 */
#include "internal.h"

#include "base/macro.h"
#include "packet/fields.h"
#include "rewrite/icmp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { FRAGMENT_SETS = 1024, DESTINATION_SETS = 4096 };
enum { IP4_OFFSET = 0x1fff, IP6_EXTENSIONS_MAX = 8 };

/* ---- reading ---- */

/* Whether the offload header tells of this packet's own transport checksum. */
static bool offload_fits(const struct rewrite_packet *packet, const struct packet *parsed)
{
    const struct frame_offload *offload = packet->offload;
    size_t at = checksum_at(parsed->protocol);

    if (parsed->fragment)
        return false;
    if (!(offload->flags & FRAME_NEEDS_CSUM))
        return true;
    return parsed->transport_at && parsed->kind != PACKET_IP &&
           offload->csum_start == packet->before + parsed->transport_at &&
           offload->csum_offset == at && parsed->transport_at + at + 2 <= parsed->ip_len;
}

int view_read(const struct rewrite_packet *packet, struct view *view)
{
    const struct frame_offload *offload = packet->offload;

    view->ip = packet->data;
    if (packet_parse(packet->data, packet->len, FRAME_IP, &view->parsed) < 0 ||
        view->parsed.ip_version == 0)
        return -EBADMSG;
    const struct packet *parsed = &view->parsed;
    view->partial = offload && offload->flags & FRAME_NEEDS_CSUM;
    view->later = parsed->fragment && parsed->transport_at == 0;
    if (offload && (view->partial || offload->gso_type != FRAME_GSO_NONE) &&
        !offload_fits(packet, parsed))
        return -EBADMSG;
    /* A first fragment that ends before the checksum: only an attack makes those (RFC 1858). */
    bool known = parsed->protocol == IPPROTO_TCP || parsed->protocol == IPPROTO_UDP;
    if (known && parsed->kind == PACKET_IP && !view->later)
        return -EBADMSG;
    return 0;
}

/* ---- fragments ---- */

static uint32_t fragment_id6(const uint8_t *ip)
{
    const uint8_t *header = ip + IP6_HEADER;
    uint8_t kind = ip[6];

    /* packet_parse has been this way, and found a fragment header. */
    for (int i = 0; i < IP6_EXTENSIONS_MAX && kind != IPPROTO_FRAGMENT; i++) {
        kind = header[0];
        header += (header[1] + 1) * 8;
    }
    return get32(header + 4);
}

/* What the fragments of one packet share (RFC 791 3.2, RFC 8200 4.5). */
uint64_t view_fragment_key(const struct view *view, unsigned side, const uint64_t secret[2])
{
    uint8_t key[32 + 4 + 2 + 1] = {0};
    bool v4 = view->parsed.ip_version == 4;

    memcpy(key, view->ip + (v4 ? 12 : 8), v4 ? 8 : 32);
    put32(key + 32, v4 ? get16(view->ip + 4) : fragment_id6(view->ip));
    put16(key + 36, side);
    key[38] = v4 ? view->parsed.protocol : 0;
    return siphash(secret, key, sizeof(key));
}

static uint64_t fragment_key(const struct rewrite *rewrite, const struct view *view, unsigned side)
{
    return view_fragment_key(view, side, rewrite->secrets[OUTSIDE]);
}

/* `side` of what comes for peers: none's. */
enum { NO_SIDE = UINT16_MAX };

static void remember_fragment(struct rewrite *rewrite, uint64_t key,
                              const struct rewrite_flow *flow)
{
    uint64_t value = (uint64_t)flow->serial << 32 | flow->slot;

    recall_put(&rewrite->fragments, key, value, rewrite->now_ns);
}

/* The flow of a fragment that is not the first, or NULL. */
static struct rewrite_flow *recall_fragment(struct rewrite *rewrite, const struct view *view,
                                            unsigned side)
{
    const struct recall_entry *entry =
        recall_find(&rewrite->fragments, fragment_key(rewrite, view, side));

    if (!entry || entry->used_ns + REWRITE_FRAGMENT_NS <= rewrite->now_ns)
        return NULL;
    struct rewrite_flow *flow = flow_at(rewrite, (uint32_t)entry->value);
    bool same = flow->serial == entry->value >> 32 && flow->protocol;
    return same ? flow : NULL;
}

/* ---- states ---- */

static void track_closed(struct rewrite *rewrite, struct rewrite_flow *flow, bool outward)
{
    enum { ALIVE = MARK_ALIVE_OUT | MARK_ALIVE_IN };

    if (!(flow->marks & MARK_RESET))
        return;
    /* After a RST that was heeded nobody goes on; one that was not (RFC 5961) has ended nothing. */
    flow->marks |= outward ? MARK_ALIVE_OUT : MARK_ALIVE_IN;
    if ((flow->marks & ALIVE) != ALIVE)
        return;
    flow->marks &= (uint8_t) ~(MARK_RESET | ALIVE);
    flow_table_turn(rewrite, flow, REWRITE_OPEN);
}

static void track_tcp(struct rewrite *rewrite, struct rewrite_flow *flow, uint8_t flags,
                      bool outward)
{
    enum { BOTH_FINS = MARK_FIN_OUT | MARK_FIN_IN };

    if (flags & TCP_RST) {
        flow->marks |= MARK_RESET;
        flow->marks &= (uint8_t) ~(MARK_ALIVE_OUT | MARK_ALIVE_IN);
        if (flow->state != REWRITE_CLOSING)
            flow_table_turn(rewrite, flow, REWRITE_CLOSING);
        return;
    }
    if (flags & TCP_FIN)
        flow->marks |= outward ? MARK_FIN_OUT : MARK_FIN_IN;
    if (flow->state == REWRITE_CLOSING) {
        track_closed(rewrite, flow, outward);
    } else if (flow->state == REWRITE_OPENING) {
        if (!outward && (flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
            flow->marks |= MARK_ANSWERED;
        if (outward && flow->marks & MARK_ANSWERED && (flags & (TCP_SYN | TCP_ACK)) == TCP_ACK)
            flow_table_turn(rewrite, flow, REWRITE_OPEN);
    }
    if ((flow->marks & BOTH_FINS) == BOTH_FINS && flow->state != REWRITE_CLOSING)
        flow_table_turn(rewrite, flow, REWRITE_CLOSING);
}

static inline void track(struct rewrite *rewrite, struct rewrite_flow *flow,
                         const struct view *view, bool outward)
{
    uint8_t flags = view->parsed.tcp_flags;

    flow->last_ns = rewrite->now_ns;
    if (flow->protocol == IPPROTO_TCP) {
        if (flow->state != REWRITE_OPEN || flags & (TCP_FIN | TCP_RST))
            track_tcp(rewrite, flow, flags, outward);
    } else if (!outward && flow->state == REWRITE_OPENING) {
        flow_table_turn(rewrite, flow, REWRITE_OPEN);
    }
}

/* ---- changing ---- */

static inline void count(struct rewrite *rewrite, struct rewrite_flow *flow, uint32_t bytes,
                         bool outward)
{
    struct rewrite_stats *stats = &rewrite->stats;

    ++*(outward ? &flow->packets_out : &flow->packets_in);
    *(outward ? &flow->bytes_out : &flow->bytes_in) += bytes;
    ++*(outward ? &stats->packets_out : &stats->packets_in);
    *(outward ? &stats->bytes_out : &stats->bytes_in) += bytes;
}

static void edit(struct rewrite *rewrite, struct rewrite_flow *flow, const struct view *view,
                 bool outward)
{
    const struct packet *parsed = &view->parsed;
    uint8_t *transport = view->ip + parsed->transport_at;

    edit_addresses(view->ip, flow, outward, outward);
    if (view->partial)
        edit_partial(transport, flow, outward, outward);
    else if (!view->later)
        edit_transport(transport, parsed->ip_len - parsed->transport_at, flow, outward, outward);
    if (parsed->fragment)
        ++*(outward ? &rewrite->stats.fragments_out : &rewrite->stats.fragments_in);
    count(rewrite, flow, parsed->ip_len, outward);
}

static void release_held(struct rewrite *rewrite, struct rewrite_flow *flow, uint64_t key)
{
    struct held_packet *packet;

    while ((packet = held_take(&rewrite->held, key, rewrite->now_ns, REWRITE_FRAGMENT_NS))) {
        struct view view = {.ip = packet->data, .later = true};
        (void)packet_parse(packet->data, packet->len, FRAME_IP, &view.parsed); /* was right */
        edit(rewrite, flow, &view, false);
        rewrite->stats.fragments_late++;
        rewrite->config.late(rewrite->config.user, flow, packet->data, packet->len);
        free(packet);
    }
}

static void change(struct rewrite *rewrite, struct rewrite_flow *flow, const struct view *view,
                   bool outward)
{
    if (view->parsed.fragment && !view->later) {
        uint64_t key = fragment_key(rewrite, view, outward ? flow->side : NO_SIDE);
        remember_fragment(rewrite, key, flow);
        if (!outward && rewrite->held.count)
            release_held(rewrite, flow, key);
    }
    edit(rewrite, flow, view, outward);
}

static void hold(struct rewrite *rewrite, const struct view *view)
{
    if (rewrite->config.late)
        held_add(&rewrite->held, fragment_key(rewrite, view, NO_SIDE), view->ip,
                 view->parsed.ip_len, rewrite->now_ns);
}

/* The flow may have roamed since the first fragment came. */
static bool is_for(const struct view *view, const struct rewrite_flow *flow)
{
    bool v4 = flow->family == 4;

    return memcmp(view->ip + (v4 ? 16 : 24), flow->peer, v4 ? 4 : 16) == 0;
}

static int change_later(struct rewrite *rewrite, const struct view *view, unsigned side,
                        struct rewrite_flow **ret_flow)
{
    struct rewrite_flow *flow = recall_fragment(rewrite, view, side);

    if (!flow && side == NO_SIDE)
        hold(rewrite, view);
    if (!flow)
        return -ENOENT;
    if (side == NO_SIDE && !is_for(view, flow))
        return -ESHUTDOWN;
    flow->last_ns = rewrite->now_ns;
    change(rewrite, flow, view, side != NO_SIDE);
    *ret_flow = flow;
    return 0;
}

/* ---- out ---- */

/* Whether a TCP segment asks for a connection of its own. */
static bool is_opening(const struct packet *parsed)
{
    return (parsed->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static bool is_echo(const struct view *view, uint8_t type4, uint8_t type6)
{
    uint8_t type = view->ip[view->parsed.transport_at];

    return view->parsed.kind == PACKET_ICMP &&
           type == (view->parsed.ip_version == 4 ? type4 : type6);
}

bool view_is_error(const struct view *view)
{
    return view->parsed.kind == PACKET_ICMP &&
           icmp_is_error(view->parsed.ip_version, view->ip[view->parsed.transport_at]);
}

struct tuple view_tuple(const struct view *view, bool outward, unsigned side)
{
    const struct packet *parsed = &view->parsed;
    struct tuple tuple = {.near = outward ? parsed->src.bytes : parsed->dst.bytes,
                          .far = outward ? parsed->dst.bytes : parsed->src.bytes,
                          .near_port = outward ? parsed->src_port : parsed->dst_port,
                          .far_port = outward ? parsed->dst_port : parsed->src_port,
                          .side = (uint16_t)side,
                          .protocol = parsed->protocol};

    if (parsed->kind == PACKET_ICMP)
        tuple.near_port = get16(view->ip + parsed->transport_at + 4);
    return tuple;
}

static int out_known(struct rewrite *rewrite, const struct view *view, const struct tuple *tuple,
                     struct rewrite_flow **ret_flow)
{
    uint32_t tag = tuple_tag(rewrite, INSIDE, tuple);
    struct rewrite_flow *flow = find_inside(rewrite, tuple, tag);
    int status = 0;

    if (flow && flow->state == REWRITE_CLOSING && is_opening(&view->parsed)) {
        flow_table_end(rewrite, flow);
        flow = NULL;
    }
    if (!flow) {
        if (tuple->protocol == IPPROTO_TCP && !is_opening(&view->parsed))
            return -ENOENT;
        status = begin_flow(rewrite, tuple, tag, &flow);
    }
    if (status < 0)
        return status;
    if (flow->marks & MARK_ROAMS && rewrite_roam(rewrite, flow, rewrite->now_ns) < 0)
        flow->marks &= (uint8_t)~MARK_ROAMS;
    track(rewrite, flow, view, true);
    change(rewrite, flow, view, true);
    *ret_flow = flow;
    return 0;
}

static int out(struct rewrite *rewrite, unsigned side, const struct rewrite_packet *packet,
               struct rewrite_flow **ret_flow)
{
    struct view view;
    int status = view_read(packet, &view);

    if (status < 0)
        return status;
    if (view.parsed.ip_version != rewrite->family)
        return -EPROTONOSUPPORT;
    if (view.later) {
        status = change_later(rewrite, &view, side, ret_flow);
        rewrite->stats.fragments_lost += status < 0;
        return status;
    }
    if (view_is_error(&view))
        return error_out(rewrite, side, &view, ret_flow);
    if (view.parsed.kind != PACKET_TCP && view.parsed.kind != PACKET_UDP &&
        !is_echo(&view, ICMP4_ECHO, ICMP6_ECHO))
        return -EPROTONOSUPPORT;
    struct tuple tuple = view_tuple(&view, true, side);
    return out_known(rewrite, &view, &tuple, ret_flow);
}

static void count_refused(struct rewrite_stats *stats, int status)
{
    const struct {
        int status;
        uint64_t *counter;
    } reasons[] = {
        {-EPERM, &stats->not_allowed},  {-ENOSPC, &stats->full},
        {-EADDRINUSE, &stats->no_port}, {-EPROTONOSUPPORT, &stats->unsupported},
        {-EBADMSG, &stats->malformed},  {-ENOENT, &stats->unknown},
    };

    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        if (reasons[i].status == status)
            ++*reasons[i].counter;
    }
}

int rewrite_out(struct rewrite *rewrite, unsigned side, const struct rewrite_packet *packet,
                uint64_t now_ns, struct rewrite_flow **ret_flow)
{
    struct rewrite_flow *flow = NULL;

    assert(side < rewrite->config.side_count);
    rewrite->now_ns = MAX(rewrite->now_ns, now_ns);
    int status = out(rewrite, side, packet, &flow);
    if (status < 0)
        count_refused(&rewrite->stats, status);
    else if (ret_flow)
        *ret_flow = flow;
    return status;
}

/* ---- in ---- */

static int in_known(struct rewrite *rewrite, const struct view *view, const struct tuple *tuple,
                    struct rewrite_flow **ret_flow)
{
    struct rewrite_flow *flow = find_outside(rewrite, tuple, tuple_tag(rewrite, OUTSIDE, tuple));

    if (!flow)
        return -ENOENT;
    if (flow->state == REWRITE_GONE) {
        flow->last_ns = rewrite->now_ns;
        return -ESHUTDOWN;
    }
    track(rewrite, flow, view, false);
    change(rewrite, flow, view, false);
    *ret_flow = flow;
    return 0;
}

static int in(struct rewrite *rewrite, const struct rewrite_packet *packet,
              struct rewrite_flow **ret_flow)
{
    struct view view;
    int status = view_read(packet, &view);

    if (status < 0)
        return status;
    if (view.parsed.ip_version != rewrite->family)
        return -ENOENT;
    if (view.later)
        return change_later(rewrite, &view, NO_SIDE, ret_flow);
    if (view_is_error(&view))
        return error_in(rewrite, &view, ret_flow);
    if (view.parsed.kind != PACKET_TCP && view.parsed.kind != PACKET_UDP &&
        !is_echo(&view, ICMP4_ECHO_REPLY, ICMP6_ECHO_REPLY))
        return -ENOENT;
    struct tuple tuple = view_tuple(&view, false, 0);
    return in_known(rewrite, &view, &tuple, ret_flow);
}

int rewrite_in(struct rewrite *rewrite, const struct rewrite_packet *packet, uint64_t now_ns,
               struct rewrite_flow **ret_flow)
{
    struct rewrite_flow *flow = NULL;

    rewrite->now_ns = MAX(rewrite->now_ns, now_ns);
    int status = in(rewrite, packet, &flow);
    rewrite->stats.malformed_in += status == -EBADMSG;
    rewrite->stats.gone += status == -ESHUTDOWN;
    if (status == 0 && ret_flow)
        *ret_flow = flow;
    return status;
}

/* ---- the table ---- */

static bool config_right(const struct rewrite_config *config)
{
    if (config->side_count == 0 || config->side_count > NO_SIDE || config->max_flows == 0 ||
        config->max_flows >= UINT64_C(1) << 31)
        return false;
    for (unsigned i = 0; i < config->side_count; i++) {
        const struct rewrite_side *side = &config->sides[i];
        if (side->count == 0 || side->first > config->peers->count ||
            side->count > config->peers->count - side->first)
            return false;
    }
    return true;
}

static int copy_sides(struct rewrite *rewrite)
{
    const struct rewrite_config *config = &rewrite->config;

    rewrite->sides = calloc(config->side_count, sizeof(struct side));
    if (!rewrite->sides)
        return -ENOMEM;
    for (unsigned i = 0; i < config->side_count; i++)
        rewrite->sides[i] = (struct side){config->sides[i].first, config->sides[i].count, 0};
    return 0;
}

int rewrite_new(const struct rewrite_config *config, struct rewrite **ret_rewrite)
{
    if (!config_right(config))
        return -EINVAL;
    struct rewrite *rewrite = calloc(1, sizeof(*rewrite));
    if (!rewrite)
        return -ENOMEM;
    rewrite->config = *config;
    rewrite->family = config->peers->family;
    held_init(&rewrite->held);
    rewrite->fragments.sets = FRAGMENT_SETS;
    rewrite->destinations.sets = DESTINATION_SETS;
    rng_derive(&rewrite->rng, config->seed, RNG_REWRITE);
    for (int i = 0; i < 4; i++)
        rewrite->secrets[i / 2][i % 2] = rng_next(&rewrite->rng);
    int status = copy_sides(rewrite);
    if (status == 0)
        status = flow_table_init(rewrite);
    if (status < 0) {
        rewrite_free(rewrite);
        return -ENOMEM;
    }
    *ret_rewrite = rewrite;
    return 0;
}

struct rewrite *rewrite_free(struct rewrite *rewrite)
{
    if (!rewrite)
        return NULL;
    for (uint32_t slot = 0; slot < rewrite->fresh; slot++) {
        struct rewrite_flow *flow = flow_at(rewrite, slot);
        if (flow->protocol)
            flow_table_end(rewrite, flow);
    }
    flow_table_done(rewrite);
    for (int i = 0; i < 2; i++)
        slot_index_done(&rewrite->by[i]);
    held_done(&rewrite->held);
    recall_done(&rewrite->fragments);
    recall_done(&rewrite->destinations);
    free(rewrite->sides);
    free(rewrite);
    return NULL;
}

void rewrite_forget(struct rewrite *rewrite, struct rewrite_flow *flow)
{
    flow_table_end(rewrite, flow);
}

void rewrite_each(struct rewrite *rewrite, void (*each)(void *user, struct rewrite_flow *flow),
                  void *user)
{
    uint32_t fresh = rewrite->fresh;

    for (uint32_t slot = 0; slot < fresh; slot++) {
        struct rewrite_flow *flow = flow_at(rewrite, slot);
        if (flow->protocol && flow->state != REWRITE_GONE)
            each(user, flow);
    }
}

void rewrite_get_stats(const struct rewrite *rewrite, struct rewrite_stats *ret_stats)
{
    *ret_stats = rewrite->stats;
}
