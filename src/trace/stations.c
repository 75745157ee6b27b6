/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stations in the order of the way: device, ingress, netfilter up to the route decision, route,
 * netfilter up to the socket, socket, netfilter on the way back, answer. Where the packet was lost
 * the list of the way there ends.
 */
#include "trace/internal.h"

#include "base/error.h"
#include "base/macro.h"

#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct station {
    const char *name;
    enum peer_trace_state state;
    bool back;
    uint64_t at_ns; /* CLOCK_MONOTONIC, 0: not known */
};

__attribute__((format(printf, 4, 5))) static void
tell(struct tracing *tracing, struct station station, const char *where, const char *format, ...)
{
    struct peer_trace_station out = {.name = station.name,
                                     .state = station.state,
                                     .back = station.back,
                                     .after_ns = PEER_TRACE_NO_TIME};
    va_list args;

    if (station.at_ns >= tracing->sent_ns && tracing->sent_ns)
        out.after_ns = (int64_t)(station.at_ns - tracing->sent_ns);
    (void)snprintf(out.where, sizeof(out.where), "%s", where);
    va_start(args, format);
    (void)vsnprintf(out.text, sizeof(out.text), format, args);
    va_end(args);
    tracing->job->each(tracing->job->user, &out);
}

/* When the route was decided: the first look-up behind its arrival. */
static uint64_t route_time(const struct tracing *tracing)
{
    for (int i = 0; i < tracing->drop_count; i++)
        if (tracing->drops[i].kind == DROPREASON_ROUTE && tracing->received_ns &&
            tracing->drops[i].at_ns > tracing->received_ns)
            return tracing->drops[i].at_ns;
    return 0;
}

/* Was it lost at a station of this name, on this way? */
static bool lost_at(const struct tracing *tracing, const char *station)
{
    const struct peer_trace_result *result = &tracing->result;
    return result->station && !strcmp(result->station, station) &&
           result->outcome != PEER_TRACE_ANSWERED;
}

static bool lost_there(const struct tracing *tracing, const char *station)
{
    return lost_at(tracing, station) && tracing->result.outcome != PEER_TRACE_SILENT;
}

static uint64_t drop_time(const struct tracing *tracing, bool back)
{
    const struct dropreason_event *drop = trace_drop(tracing, back);
    return drop ? drop->at_ns : 0;
}

/* ---- device and ingress ---- */

static void report_device(struct tracing *tracing)
{
    const bool lost = lost_there(tracing, "device");
    const struct station station = {.name = "device",
                                    .state = lost ? PEER_TRACE_LOST : PEER_TRACE_PASSED,
                                    .at_ns = tracing->received_ns};
    char peer[PEER_ADDR_TEXT], from[PEER_ENDPOINT_TEXT], to[PEER_ENDPOINT_TEXT];

    (void)trace_target_text(tracing, &tracing->peer, tracing->peer_port, from);
    (void)trace_target_text(tracing, &tracing->to, tracing->port, to);
    if (tracing->dry)
        tell(tracing, station, tracing->attachment->arrival,
             "nothing is sent: a packet from %s to %s", peer_addr_format(&tracing->peer, peer), to);
    else if (lost)
        tell(tracing, station, tracing->attachment->arrival, "%s", tracing->result.text);
    else
        tell(tracing, station, tracing->attachment->arrival, "%s from %s to %s",
             tracing->protocol == IPPROTO_TCP   ? "SYN"
             : tracing->protocol == IPPROTO_UDP ? "datagram"
                                                : "echo request",
             from, to);
}

static void report_ingress(struct tracing *tracing)
{
    static const char *const modes[] = {"no XDP", "XDP", "generic XDP", "offloaded XDP", "XDP"};
    const struct ingress *ingress = &tracing->ingress;
    const bool lost = lost_there(tracing, "ingress");
    const struct station station = {.name = "ingress",
                                    .state = lost ? PEER_TRACE_LOST
                                             : ingress->xdp || ingress->clsact || ingress->tcx > 0
                                                 ? PEER_TRACE_NOTE
                                                 : PEER_TRACE_PASSED,
                                    .at_ns = lost ? drop_time(tracing, false) : 0};
    char tcx[32] = "";

    if (lost) {
        tell(tracing, station, tracing->attachment->arrival, "%s", tracing->result.text);
        return;
    }
    if (ingress->tcx > 0)
        (void)snprintf(tcx, sizeof(tcx), ", %d tcx program%s", ingress->tcx,
                       ingress->tcx == 1 ? "" : "s");
    else if (ingress->tcx == 0)
        (void)snprintf(tcx, sizeof(tcx), ", no tcx");
    tell(tracing, station, tracing->attachment->arrival, "%s, %d tc filter%s%s",
         modes[MIN(ingress->xdp, (uint8_t)4)], ingress->filters, ingress->filters == 1 ? "" : "s",
         tcx);
}

/* ---- netfilter ---- */

/* "input inet/filter/in 0" */
static void where_text(const struct nftrace_event *event, enum nftrace_hook hook, char *buf,
                       size_t room)
{
    const struct nftrace_chain *chain = &event->chain;

    char priority[16] = ""; /* chains that others jump to have none */

    if (chain->hook != NFTRACE_NO_HOOK)
        (void)snprintf(priority, sizeof(priority), " %d", chain->priority);
    (void)snprintf(buf, room, "%s %s/%.40s/%.40s%s", nftrace_hook_text(hook),
                   nftrace_family_text(chain->family), chain->table, chain->name, priority);
}

static void report_event(struct tracing *tracing, int i, enum nftrace_hook hook)
{
    const struct nftrace_event *event = &tracing->events[i];
    const bool lost = event->verdict == NFTRACE_DROP;
    const struct station station = {.name = "netfilter",
                                    .state = lost ? PEER_TRACE_LOST : PEER_TRACE_PASSED,
                                    .back = event->back,
                                    .at_ns = tracing->event_ns[i]};
    char where[128], rule[NFTRACE_TEXT] = "";

    where_text(event, hook, where, sizeof(where));
    switch (event->type) {
    case NFTRACE_RULE:
        if (nftrace_rule_text(tracing->nftrace, &event->chain, event->handle, rule, sizeof(rule),
                              NULL) < 0 ||
            !rule[0])
            tell(tracing, station, where, "rule %llu: %s%s%s", (unsigned long long)event->handle,
                 nftrace_verdict_text(event->verdict), event->target[0] ? " " : "", event->target);
        else
            tell(tracing, station, where, "rule %llu: %s", (unsigned long long)event->handle, rule);
        break;
    case NFTRACE_POLICY:
        tell(tracing, station, where, "policy %s", nftrace_verdict_text(event->verdict));
        break;
    default:
        tell(tracing, station, where, "returns to the chain that jumped here");
        break;
    }
}

/* Every decision of one hook; one line where nobody has a chain. */
static void report_hook(struct tracing *tracing, enum nftrace_hook hook, bool back)
{
    enum nftrace_hook at = NFTRACE_NO_HOOK;
    uint64_t entered_ns = 0;
    int decisions = 0;
    bool entered = false;

    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (event->back != back)
            continue;
        if (event->chain.hook != NFTRACE_NO_HOOK)
            at = event->chain.hook; /* chains that were jumped to belong to it */
        if (at != hook)
            continue;
        if (!entered)
            entered_ns = tracing->event_ns[i];
        entered = true;
        if (event->ours || event->type == NFTRACE_HEADER)
            continue;
        report_event(tracing, i, hook);
        decisions++;
    }
    if (entered && decisions == 0 &&
        (trace_hook_left(tracing, hook, back) || !lost_at(tracing, "netfilter")))
        tell(tracing, (struct station){"netfilter", PEER_TRACE_PASSED, back, entered_ns},
             nftrace_hook_text(hook), "no rules here");
    else if (entered && !trace_hook_left(tracing, hook, back) && hook != NFTRACE_INGRESS &&
             !trace_nft_drop(tracing, back) && lost_at(tracing, "netfilter"))
        tell(tracing,
             (struct station){"netfilter", PEER_TRACE_LOST, back, drop_time(tracing, back)},
             nftrace_hook_text(hook), "%s", tracing->result.text);
}

static void report_unseen(struct tracing *tracing)
{
    if (!tracing->nftrace)
        tell(tracing, (struct station){"netfilter", PEER_TRACE_UNSEEN, false, 0}, "", "%s",
             tracing->nftrace_error.text);
    if (!tracing->dropreason && !tracing->dry)
        tell(tracing, (struct station){"kernel", PEER_TRACE_UNSEEN, false, 0}, "",
             "the kernel's own drop reasons: %s; concluded from counters and look-ups instead",
             tracing->dropreason_status == -EACCES || tracing->dropreason_status == -EPERM
                 ? "only root may see them"
                 : error_text(-tracing->dropreason_status));
}

struct listing {
    struct tracing *tracing;
    enum nftrace_hook hook;
};

static int list_chain(void *user, const struct nftrace_chain *chain)
{
    struct listing *listing = user;
    char where[128];
    const uint8_t family = trace_v6(listing->tracing) ? NFPROTO_IPV6 : NFPROTO_IPV4;

    if (chain->hook != listing->hook || (chain->family != NFPROTO_INET && chain->family != family))
        return 0;
    (void)snprintf(where, sizeof(where), "%s %s/%.40s/%.40s %d", nftrace_hook_text(chain->hook),
                   nftrace_family_text(chain->family), chain->table, chain->name, chain->priority);
    tell(listing->tracing, (struct station){"netfilter", PEER_TRACE_NOTE, false, 0}, where,
         "%s chain, policy %s: would be asked", chain->type, chain->drops ? "drop" : "accept");
    return 0;
}

static void list_chains(struct tracing *tracing, enum nftrace_hook hook)
{
    struct listing listing = {tracing, hook};

    if (tracing->nftrace)
        (void)nftrace_each_chain(tracing->nftrace, list_chain, &listing);
}

static void report_way(struct tracing *tracing, enum nftrace_hook hook)
{
    if (tracing->dry)
        list_chains(tracing, hook);
    else
        report_hook(tracing, hook, false);
}

/* ---- route and socket ---- */

static bool is_local(const struct tracing *tracing)
{
    return tracing->route_status == 0 && tracing->route.type == RTN_LOCAL;
}

static void report_route(struct tracing *tracing)
{
    const bool lost = lost_there(tracing, "route");
    const struct station station = {.name = "route",
                                    .state = lost ? PEER_TRACE_LOST : PEER_TRACE_PASSED,
                                    .at_ns = route_time(tracing)};
    char dst[PEER_ADDR_TEXT], gateway[PEER_ADDR_TEXT], text[160], mark[24] = "";

    (void)peer_addr_format(&tracing->dst, dst);
    if (tracing->mark)
        (void)snprintf(mark, sizeof(mark), ", mark 0x%x", tracing->mark);
    if (lost)
        tell(tracing, station, tracing->attachment->arrival, "%s", tracing->result.text);
    else if (is_local(tracing))
        tell(tracing, station, tracing->route.oif_name, "local: %s is this machine's%s%s", dst,
             tracing->translated ? " (behind DNAT)" : "", mark);
    else if (tracing->route_status == 0)
        tell(tracing, station, tracing->route.oif_name, "forwarded %s%s, by %s%s",
             tracing->route.gateway.family ? "to the gateway " : "to a neighbour",
             tracing->route.gateway.family ? peer_addr_format(&tracing->route.gateway, gateway)
                                           : "",
             rtnl_route_format(&tracing->route, text, sizeof(text)), mark);
    else
        tell(tracing, station, tracing->attachment->arrival, "the look-up says: %s",
             error_text(-tracing->route_status));
}

static void report_bound(struct tracing *tracing, char *buf, size_t room)
{
    struct rtnl_link link = {.name = "?"};

    buf[0] = '\0';
    if (!tracing->socket.bound_ifindex)
        return;
    (void)rtnl_link_get(tracing->attachment->rtnl, tracing->socket.bound_ifindex, NULL, &link,
                        NULL);
    (void)snprintf(buf, room, " on device %s", link.name);
}

static void report_socket(struct tracing *tracing)
{
    const bool lost = lost_at(tracing, "socket");
    const bool tcp = tracing->protocol == IPPROTO_TCP;
    const struct station station = {
        .name = "socket",
        .state = lost ? PEER_TRACE_LOST : PEER_TRACE_PASSED,
        .at_ns = lost && !tracing->answer.kind ? drop_time(tracing, false) : 0};
    char local[PEER_ENDPOINT_TEXT], bound[32], who[64] = "a process that is not ours to see";

    if (!is_local(tracing))
        return;
    if (!tcp && tracing->protocol != IPPROTO_UDP) {
        tell(tracing, station, "kernel", "%s",
             lost ? tracing->result.text : "answers echo requests itself");
        return;
    }
    if (!tracing->has_socket) {
        tell(tracing, station, trace_protocol_text(tracing), "%s",
             lost                        ? tracing->result.text
             : trace_is_proxied(tracing) ? "given to a transparent proxy by a rule"
             : tracing->answer.kind != ANSWER_NONE && tracing->answer.kind != ANSWER_RST &&
                     tracing->answer.kind != ANSWER_ICMP
                 ? "taken by a socket that look-ups do not show"
                 : "nobody listens");
        return;
    }
    if (tracing->pid)
        (void)snprintf(who, sizeof(who), "%s (pid %d)", tracing->comm, tracing->pid);
    (void)peer_endpoint_format(&tracing->socket.local, tracing->socket.port, local);
    report_bound(tracing, bound, sizeof(bound));
    tell(tracing, station, local, "%s%s, %s %u of %u%s%s", who, bound,
         tcp ? "accept queue" : "bytes queued", tracing->socket.queue_now,
         tracing->socket.queue_max, lost ? ": " : "", lost ? tracing->result.text : "");
}

/* ---- back ---- */

static void report_back(struct tracing *tracing)
{
    static const enum nftrace_hook hooks[] = {NFTRACE_OUTPUT, NFTRACE_PREROUTING, NFTRACE_FORWARD,
                                              NFTRACE_POSTROUTING};
    const bool lost = tracing->result.outcome == PEER_TRACE_SILENT && lost_at(tracing, "route");
    char text[160];

    for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
        report_hook(tracing, hooks[i], true);
        if (i > 0)
            continue;
        const struct station station = {"route", lost ? PEER_TRACE_LOST : PEER_TRACE_PASSED, true,
                                        0};
        if (tracing->back_status < 0)
            tell(tracing, station, "", "no route to the peer: %s",
                 error_text(-tracing->back_status));
        else if (trace_hook_entered(tracing, NFTRACE_OUTPUT, true) || tracing->answer.kind ||
                 lost || tracing->dry)
            tell(tracing, station, tracing->back_route.oif_name, "%s",
                 rtnl_route_format(&tracing->back_route, text, sizeof(text)));
    }
}

static void report_answer(struct tracing *tracing)
{
    static const char *const texts[] = {[ANSWER_NONE] = "none came",
                                        [ANSWER_SYN_ACK] = "SYN-ACK reached the peer",
                                        [ANSWER_RST] = "RST reached the peer",
                                        [ANSWER_DATA] = "a datagram reached the peer",
                                        [ANSWER_ECHO] = "the echo reply reached the peer",
                                        [ANSWER_ICMP] = "an ICMP error reached the peer"};
    const bool none = tracing->answer.kind == ANSWER_NONE;
    const struct station station = {.name = "answer",
                                    .state = none && tracing->result.outcome == PEER_TRACE_SILENT
                                                 ? PEER_TRACE_LOST
                                             : none ? PEER_TRACE_NOTE
                                                    : PEER_TRACE_PASSED,
                                    .back = true,
                                    .at_ns = none ? 0 : tracing->answer.at_ns};

    if (tracing->result.outcome == PEER_TRACE_SILENT &&
        (lost_at(tracing, "device") || lost_at(tracing, "egress")))
        tell(tracing,
             (struct station){tracing->result.station, PEER_TRACE_LOST, true,
                              drop_time(tracing, true)},
             tracing->back_route.oif_name, "%s", tracing->result.text);
    if (!tracing->dry && !(none && tracing->result.outcome == PEER_TRACE_DROPPED))
        tell(tracing, station, tracing->attachment->arrival, "%s", texts[tracing->answer.kind]);
}

/* ---- in order ---- */

static bool ended_before_route(const struct tracing *tracing)
{
    const struct nftrace_event *rule = trace_nft_drop(tracing, false);

    if (lost_there(tracing, "device") || lost_there(tracing, "ingress"))
        return true;
    if (!lost_there(tracing, "netfilter"))
        return false;
    return (rule || !trace_hook_entered(tracing, NFTRACE_INPUT, false)) &&
           !trace_hook_entered(tracing, NFTRACE_INPUT, false) &&
           !trace_hook_entered(tracing, NFTRACE_FORWARD, false);
}

static void report_inside(struct tracing *tracing)
{
    report_route(tracing);
    if (lost_there(tracing, "route"))
        return;
    if (is_local(tracing)) {
        report_way(tracing, NFTRACE_INPUT);
        if (!lost_there(tracing, "netfilter"))
            report_socket(tracing);
        return;
    }
    report_way(tracing, NFTRACE_FORWARD);
    report_way(tracing, NFTRACE_POSTROUTING);
}

void trace_report(struct tracing *tracing)
{
    report_device(tracing);
    report_unseen(tracing);
    if (!lost_there(tracing, "device")) {
        report_ingress(tracing);
        report_hook(tracing, NFTRACE_INGRESS, false);
        report_way(tracing, NFTRACE_PREROUTING);
    }
    if (!ended_before_route(tracing))
        report_inside(tracing);
    if (tracing->dry || tracing->answer.kind != ANSWER_NONE ||
        tracing->result.outcome == PEER_TRACE_SILENT)
        report_back(tracing);
    report_answer(tracing);
}
