/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel looks up for such a packet, asked for once more: the route there, the socket, the
 * route back. Rules may look at all that a packet has, so each look-up is made with the packet's
 * own source, protocol, ports, mark and device, and for the way back with the socket's.
 *
 * Marks are set by rules on the way. netfilter's trace quotes them, so they are taken from there:
 * what the last chain before the route decision left, and for the answer what the socket set, or
 * what a chain of type "route" changed, since only behind those the kernel decides again. The
 * device by which an answer really left is quoted too, and beats every look-up.
 */
#include "trace/internal.h"

#include "base/macro.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

/* Where the packet is bound for, behind all translations that were seen. */
static void find_destination(struct tracing *tracing)
{
    tracing->dst = tracing->to;
    tracing->dst_port = tracing->port;
    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (event->back || !event->has_packet || event->dst.family != tracing->to.family)
            continue;
        tracing->dst = event->dst;
        if (trace_has_ports(tracing))
            tracing->dst_port = event->dport;
    }
    tracing->translated =
        !peer_addr_equal(&tracing->dst, &tracing->to) || tracing->dst_port != tracing->port;
}

/* ---- the way there ---- */

/* As the route decision saw it. */
static uint32_t mark_there(const struct tracing *tracing)
{
    uint32_t mark = 0;

    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (event->back)
            continue;
        if (event->chain.hook != NFTRACE_INGRESS && event->chain.hook != NFTRACE_PREROUTING &&
            event->chain.hook != NFTRACE_NO_HOOK)
            break;
        mark = event->mark;
    }
    return mark;
}

static int find_holder(void *user, int ifindex, const struct addr_prefix *prefix)
{
    struct tracing *tracing = user;

    if (!peer_addr_equal(&tracing->dst, &prefix->addr))
        return 0;
    tracing->holder_length = (uint8_t)prefix->length;
    return rtnl_link_get(tracing->attachment->rtnl, ifindex, NULL, &tracing->holder, NULL) == 0;
}

static int find_local(void *user, const struct rtnl_route *route)
{
    struct tracing *tracing = user;

    tracing->holder_routed = route->table == RT_TABLE_LOCAL && route->type == RTN_LOCAL &&
                             addr_prefix_contains(&route->dst, &tracing->dst);
    return tracing->holder_routed;
}

/* It is not taken for an address of this machine. Is it none? Which rule was in the way? */
static void look_closer(struct tracing *tracing, const struct rtnl_lookup *there)
{
    struct rtnl *rtnl = tracing->attachment->rtnl;

    if (tracing->route_status < 0)
        (void)rtnl_rule_refusing(rtnl, there, &tracing->rule, NULL);
    if (rtnl_addr_each(rtnl, find_holder, tracing, NULL) == 1)
        (void)rtnl_route_each(rtnl, tracing->dst.family, find_local, tracing, NULL);
}

static void look_up_route(struct tracing *tracing)
{
    const struct rtnl_lookup there = {
        .dst = tracing->dst,
        .src = tracing->peer,
        .iif = tracing->attachment->arrival_ifindex,
        .protocol = tracing->protocol,
        .sport = tracing->peer_port,
        .dport = tracing->dst_port,
        .mark = tracing->mark,
    };

    tracing->route_status =
        rtnl_route_lookup(tracing->attachment->rtnl, &there, &tracing->route, NULL);
    if (tracing->route_status < 0 || tracing->route.type != RTN_LOCAL)
        look_closer(tracing, &there);
}

static int find_socket(struct tracing *tracing, uint16_t peer_port, struct diag_socket *ret_socket)
{
    const struct diag_packet packet = {.protocol = tracing->protocol,
                                       .local = tracing->dst,
                                       .port = tracing->dst_port,
                                       .peer = tracing->peer,
                                       .peer_port = peer_port,
                                       .ifindex = tracing->attachment->arrival_ifindex};

    return diag_lookup(tracing->attachment->diag, &packet, ret_socket, NULL);
}

void trace_look_up_listener(struct tracing *tracing)
{
    tracing->has_listener = trace_has_ports(tracing) &&
                            find_socket(tracing, tracing->peer_port, &tracing->listener) == 0;
}

static void look_up_socket(struct tracing *tracing)
{
    if (!trace_has_ports(tracing) || tracing->route_status < 0 || tracing->route.type != RTN_LOCAL)
        return;
    /* Of many sockets at one port (SO_REUSEPORT) the ports choose one. Once there is a connection
       it is found in place of the listener: that was asked for before, but for translations. */
    int status = find_socket(tracing, tracing->peer_port, &tracing->socket);
    const bool connected =
        status == 0 && tracing->protocol == IPPROTO_TCP && tracing->socket.connected;
    if (connected && tracing->has_listener && !tracing->translated)
        tracing->socket = tracing->listener;
    else if (connected)
        status = find_socket(tracing, (uint16_t)(tracing->peer_port ^ 1), &tracing->socket);
    tracing->has_socket = status == 0;
    if (status == 0)
        tracing->pid = diag_inode_owner(tracing->socket.inode, tracing->comm);
}

/* ---- the way back ---- */

/* The answer as it left its socket; NULL when it was not seen. */
static const struct nftrace_event *answer_event(const struct tracing *tracing)
{
    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (event->back && event->has_packet && event->chain.hook == NFTRACE_OUTPUT)
            return event;
    }
    return NULL;
}

/* Chains of type "route" ask for the route again when they changed the mark; others do not. */
static uint32_t mark_back(const struct tracing *tracing, uint32_t mark)
{
    uint32_t last = mark;

    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (!event->back || event->chain.hook != NFTRACE_OUTPUT)
            continue;
        if (event->mark != last && !strcmp(event->chain.type, "route"))
            mark = event->mark;
        last = event->mark;
    }
    return mark;
}

/* Whose answer it would be: the socket's that has the packet, or the kernel's own. */
static void describe_sender(const struct tracing *tracing, struct rtnl_lookup *back)
{
    const int64_t *settings = tracing->before.settings;
    const struct diag_socket *socket = &tracing->socket;
    static const uint8_t any[16];

    if (!tracing->has_socket) { /* RST, ICMP */
        if (settings[trace_v6(tracing) ? SETTING_REFLECT6 : SETTING_REFLECT4])
            back->mark = tracing->mark;
        return;
    }
    back->oif = socket->bound_ifindex;
    back->mark = socket->mark;
    back->has_uid = true;
    back->uid = socket->uid;
    if (tracing->protocol == IPPROTO_TCP && !socket->mark && settings[SETTING_FWMARK_ACCEPT])
        back->mark = tracing->mark;
    /* Who is bound to no address gets one by the route, unless it asks for more than most do. */
    if (tracing->protocol == IPPROTO_UDP && !memcmp(socket->local.bytes, any, sizeof(any)))
        back->src = (struct peer_addr){0};
}

static struct rtnl_lookup describe_back(const struct tracing *tracing)
{
    const struct nftrace_event *event = answer_event(tracing);
    struct rtnl_lookup back = {
        .dst = tracing->peer,
        .src = tracing->dst,
        .protocol = tracing->protocol,
        .sport = tracing->dst_port,
        .dport = tracing->peer_port,
    };

    if (tracing->route_status < 0 || tracing->route.type != RTN_LOCAL)
        return (struct rtnl_lookup){.dst = tracing->peer};
    describe_sender(tracing, &back);
    if (!event)
        return back;
    back.src = event->src;
    back.mark = mark_back(tracing, event->mark);
    if (event->protocol != tracing->protocol) { /* an error of ICMP */
        back.protocol = event->protocol;
        back.sport = back.dport = 0;
    }
    return back;
}

/* Devices by which it left, as netfilter saw it; 0 when it was not seen. */
static int observed_device(const struct tracing *tracing)
{
    int oif = 0;

    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (event->back && event->chain.hook == NFTRACE_POSTROUTING && event->oif > 0)
            oif = event->oif;
    }
    return oif;
}

/* The look-up was led astray by what it cannot know: what was seen is true. */
static void correct_device(struct tracing *tracing, struct rtnl_lookup back, int oif)
{
    struct rtnl_route *route = &tracing->back_route;
    struct rtnl_link link;

    back.oif = oif;
    tracing->back_status = rtnl_route_lookup(tracing->attachment->rtnl, &back, route, NULL);
    if (tracing->back_status == 0 && route->oif == oif)
        return;
    tracing->back_status = 0;
    *route = (struct rtnl_route){.dst = {.addr = tracing->peer}, .oif = oif, .type = RTN_UNICAST};
    route->dst.length = trace_v6(tracing) ? 128 : 32;
    if (rtnl_link_get(tracing->attachment->rtnl, oif, NULL, &link, NULL) == 0)
        memcpy(route->oif_name, link.name, sizeof(route->oif_name));
}

static bool is_own(const struct tracing *tracing, const struct peer_addr *addr)
{
    int ifindex;

    return rtnl_addr_owned(tracing->attachment->rtnl, addr, &ifindex, NULL) == 1;
}

void trace_look_up_back(struct tracing *tracing)
{
    struct rtnl_lookup back = describe_back(tracing);
    struct rtnl_route *route = &tracing->back_route;
    const int oif = observed_device(tracing);

    tracing->back_status = rtnl_route_lookup(tracing->attachment->rtnl, &back, route, NULL);
    if (tracing->back_status == -EINVAL && back.src.family && !is_own(tracing, &back.src)) {
        /* A source that is not the machine's own (a transparent proxy's): look-ups refuse it, with
           the error that a blackhole has. */
        back.src = (struct peer_addr){0};
        tracing->back_status = rtnl_route_lookup(tracing->attachment->rtnl, &back, route, NULL);
    }
    const bool to_itself = tracing->back_status == 0 && route->type == RTN_LOCAL;
    if (oif && !to_itself && (tracing->back_status < 0 || route->oif != oif))
        correct_device(tracing, back, oif);
}

bool trace_is_led_nowhere(const struct tracing *tracing)
{
    const struct nftrace_event *event = answer_event(tracing);

    return event && tracing->back_status < 0 && mark_back(tracing, event->mark) != event->mark;
}

bool trace_is_proxied(const struct tracing *tracing)
{
    char rule[NFTRACE_TEXT];

    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (!event->back && !event->ours && event->type == NFTRACE_RULE &&
            nftrace_rule_text(tracing->nftrace, &event->chain, event->handle, rule, sizeof(rule),
                              NULL) == 0 &&
            strstr(rule, "tproxy"))
            return true;
    }
    return false;
}

const struct nftrace_event *trace_strange_answer(const struct tracing *tracing)
{
    for (int i = 0; i < tracing->event_count && tracing->protocol == IPPROTO_UDP; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (event->back && event->has_packet && event->chain.hook == NFTRACE_OUTPUT &&
            event->protocol == IPPROTO_UDP && event->sport == tracing->dst_port &&
            event->dport == tracing->peer_port && !peer_addr_equal(&event->src, &tracing->dst))
            return event;
    }
    return NULL;
}

/* ---- devices ---- */

static void look_up_devices(struct tracing *tracing)
{
    const int indexes[] = {tracing->attachment->ifindex, tracing->attachment->arrival_ifindex};
    struct rtnl_link link;

    for (size_t i = 0; i < ARRAY_SIZE(indexes) && !tracing->down[0]; i++)
        if (rtnl_link_get(tracing->attachment->rtnl, indexes[i], NULL, &link, NULL) == 0 &&
            !(link.flags & IFF_UP))
            memcpy(tracing->down, link.name, sizeof(tracing->down));
    tracing->ring_drops = attachment_drops(tracing->attachment) - tracing->ring_drops_before;
}

int trace_look_up(struct tracing *tracing, struct peer_error *error)
{
    find_destination(tracing);
    tracing->mark = mark_there(tracing);
    look_up_route(tracing);
    look_up_socket(tracing);
    trace_look_up_back(tracing);
    look_up_devices(tracing);
    return trace_survey(tracing->attachment, &tracing->after, NULL, error);
}
