/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One verdict out of all the evidence. What ended the packet is named by the kernel's own drop
 * reason, seen or concluded (from netfilter's events, from look-ups, from counters); the table of
 * causes.c turns that into a station, a word, a sentence and a mend. Some need a closer look:
 * which rule of the firewall it was, who listens where, and what leads the answer astray.
 */
#include "trace/internal.h"

#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void say(struct tracing *tracing, const char *format,
                                                      ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(tracing->result.text, sizeof(tracing->result.text), format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 3))) static void mend(struct tracing *tracing, const char *format,
                                                       ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(tracing->result.mend, sizeof(tracing->result.mend), format, args);
    va_end(args);
}

/* ---- the firewall ---- */

/* The application's port as the packet had it where it was lost, translations and all. */
static uint16_t port_there(const struct tracing *tracing, bool back)
{
    uint16_t port = back ? tracing->port : tracing->dst_port;

    for (int i = 0; i < tracing->event_count && back; i++)
        if (tracing->events[i].back && tracing->events[i].has_packet &&
            tracing->events[i].protocol == tracing->protocol)
            port = tracing->events[i].sport;
    return port;
}

/* "ip saddr 198.18.0.2 tcp dport 80": what an accepting rule would match. */
static void match_words(const struct tracing *tracing, bool back, char *buf, size_t room)
{
    const char *family = trace_v6(tracing) ? "ip6" : "ip";
    const bool ports = tracing->protocol == IPPROTO_TCP || tracing->protocol == IPPROTO_UDP;
    char peer[PEER_ADDR_TEXT], port[48] = "";

    if (ports)
        (void)snprintf(port, sizeof(port), " %s %s %u",
                       tracing->protocol == IPPROTO_TCP ? "tcp" : "udp", back ? "sport" : "dport",
                       port_there(tracing, back));
    (void)snprintf(buf, room, "%s %s %s%s", family, back ? "daddr" : "saddr",
                   peer_addr_format(&tracing->peer, peer), port);
}

/* Tables that iptables-nft keeps are mended by iptables. */
static bool is_iptables(const struct nftrace_chain *chain)
{
    static const char *const tables[] = {"filter", "nat", "mangle", "raw", "security"};

    if (chain->family != NFPROTO_IPV4 && chain->family != NFPROTO_IPV6)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        if (!strcmp(chain->table, tables[i]))
            return isupper((unsigned char)chain->name[0]);
    return false;
}

static void mend_firewall(struct tracing *tracing, const struct nftrace_event *event)
{
    const struct nftrace_chain *chain = &event->chain;
    const bool back = event->back;
    const bool ports = tracing->protocol == IPPROTO_TCP || tracing->protocol == IPPROTO_UDP;
    char words[160], peer[PEER_ADDR_TEXT], port[64] = "";

    if (!is_iptables(chain)) {
        match_words(tracing, back, words, sizeof(words));
        mend(tracing, "nft insert rule %s %s %s %s accept", nftrace_family_text(chain->family),
             chain->table, chain->name, words);
        return;
    }
    if (ports)
        (void)snprintf(port, sizeof(port), " -p %s --%s %u",
                       tracing->protocol == IPPROTO_TCP ? "tcp" : "udp", back ? "sport" : "dport",
                       port_there(tracing, back));
    mend(tracing, "ip%stables -t %s -I %s -%c %s%s -j ACCEPT", trace_v6(tracing) ? "6" : "",
         chain->table, chain->name, back ? 'd' : 's', peer_addr_format(&tracing->peer, peer), port);
}

static void judge_rule(struct tracing *tracing, const struct nftrace_event *event)
{
    const struct nftrace_chain *chain = &event->chain;
    char rule[NFTRACE_TEXT] = "";
    bool rejects = false;

    tracing->result.reason = event->type == NFTRACE_POLICY ? "firewall-policy" : "firewall-rule";
    tracing->result.station = "netfilter";
    if (event->type == NFTRACE_POLICY) {
        say(tracing, "%sthe policy of chain \"%s\" (table %s %s) drops what no rule accepts",
            event->back ? "the answer is lost: " : "", chain->name,
            nftrace_family_text(chain->family), chain->table);
    } else {
        (void)nftrace_rule_text(tracing->nftrace, chain, event->handle, rule, sizeof(rule),
                                &rejects);
        say(tracing,
            "%sfirewall rule \"%.160s\" (handle %llu in chain %.40s of table %s %.40s) %s it",
            event->back ? "the answer is lost: " : "", rule, (unsigned long long)event->handle,
            chain->name, nftrace_family_text(chain->family), chain->table,
            rejects ? "rejects" : "drops");
    }
    mend_firewall(tracing, event);
    if (event->type == NFTRACE_RULE && strstr(rule, "redirect") && !rejects) {
        /* A redirection leads to the address of the device; the kernel drops what has none. */
        tracing->result.reason = "redirect-without-address";
        say(tracing, "firewall rule \"%.160s\" redirects, but %s has no address to redirect to",
            rule, tracing->attachment->arrival);
        mend(tracing, "give the device an address: `local` 192.0.2.1/32");
    }
}

/* A rule gave it to a program (NFQUEUE) that never gave it back. */
static const struct nftrace_event *queued(const struct tracing *tracing, bool back)
{
    const struct nftrace_event *last = NULL;

    for (int i = 0; i < tracing->event_count; i++)
        if (tracing->events[i].back == back && !tracing->events[i].ours)
            last = &tracing->events[i];
    return last && last->type == NFTRACE_RULE && last->verdict == NFTRACE_QUEUE &&
                   trace_stuck_hook(tracing, back) != NFTRACE_NO_HOOK
               ? last
               : NULL;
}

static void judge_queue(struct tracing *tracing, const struct nftrace_event *event)
{
    const struct nftrace_chain *chain = &event->chain;
    char rule[NFTRACE_TEXT] = "";

    (void)nftrace_rule_text(tracing->nftrace, chain, event->handle, rule, sizeof(rule), NULL);
    tracing->result.reason = "nfqueue";
    tracing->result.station = "netfilter";
    say(tracing,
        "%sfirewall rule \"%.160s\" (handle %llu in chain %.40s of table %s %.40s) gives it to a "
        "program, which did not give it back",
        event->back ? "the answer is lost: " : "", rule, (unsigned long long)event->handle,
        chain->name, nftrace_family_text(chain->family), chain->table);
    mend(tracing, "start the program that reads that queue, or let the rule pass without it "
                  "(bypass)");
}

/* ---- the socket ---- */

struct listeners {
    struct tracing *tracing;
    struct diag_socket best; /* one that would have been it, but for one thing */
    int count;
};

static int take_listener(void *user, const struct diag_socket *socket)
{
    struct listeners *listeners = user;

    if (listeners->count++ == 0 || socket->bound_ifindex)
        listeners->best = *socket;
    return 0;
}

static bool is_any(const struct peer_addr *addr)
{
    static const uint8_t zero[16];
    return !memcmp(addr->bytes, zero, sizeof(zero));
}

/* "nginx (pid 7)" or "a program" */
static const char *owner_text(const struct diag_socket *socket, char buf[64])
{
    char comm[32] = "";
    const int pid = diag_inode_owner(socket->inode, comm);

    if (pid)
        (void)snprintf(buf, 64, "%s (pid %d)", comm, pid);
    else
        (void)snprintf(buf, 64, "a program");
    return buf;
}

static void judge_listener(struct tracing *tracing)
{
    struct listeners listeners = {.tracing = tracing};
    const struct diag_socket *other = &listeners.best;
    struct peer_trace_result *result = &tracing->result;
    struct rtnl_link link = {.name = "?"};
    char at[PEER_ENDPOINT_TEXT], to[PEER_ENDPOINT_TEXT], owner[64];

    (void)diag_listeners(tracing->attachment->diag, tracing->protocol, tracing->dst_port,
                         take_listener, &listeners, NULL);
    if (!listeners.count)
        return;
    (void)peer_endpoint_format(&tracing->dst, tracing->dst_port, to);
    (void)owner_text(other, owner);
    if (other->bound_ifindex && other->bound_ifindex != tracing->attachment->arrival_ifindex) {
        (void)rtnl_link_get(tracing->attachment->rtnl, other->bound_ifindex, NULL, &link, NULL);
        result->reason = "listens-on-other-device";
        say(tracing, "%s listens on port %u, but is bound to device %s; this came by %s", owner,
            tracing->dst_port, link.name, tracing->attachment->arrival);
        mend(tracing, "let it listen without SO_BINDTODEVICE");
    } else if (other->local.family == 6 && is_any(&other->local) && !trace_v6(tracing)) {
        result->reason = "listens-on-ipv6-only";
        say(tracing, "%s listens on port %u for IPv6 only", owner, tracing->dst_port);
        mend(
            tracing,
            "let it listen on 0.0.0.0 too, or: sysctl -w net.ipv6.bindv6only=0 and start it again");
    } else if (other->local.family == 4 && is_any(&other->local) && trace_v6(tracing)) {
        result->reason = "listens-on-ipv4-only";
        say(tracing, "%s listens on port %u for IPv4 only", owner, tracing->dst_port);
        mend(tracing, "let it listen on [::] too");
    } else {
        (void)peer_endpoint_format(&other->local, tracing->dst_port, at);
        result->reason = "listens-on-other-address";
        say(tracing, "%s listens on %s, not on %s", owner, at, to);
        mend(tracing, "let it listen on %s, or on all addresses", to);
    }
}

/* ---- what the kernel's reason is ---- */

static bool grew(const struct tracing *tracing, enum trace_counter v4, enum trace_counter v6)
{
    return trace_grew(tracing, v4, v6) > 0;
}

/* The rule that refuses it, as a cause; NULL when there is none. */
static const char *refusing_rule(const struct tracing *tracing)
{
    switch (tracing->rule.action) {
    case FR_ACT_BLACKHOLE:
        return "rule-blackhole";
    case FR_ACT_PROHIBIT:
        return "rule-prohibit";
    case FR_ACT_UNREACHABLE:
        return "rule-unreachable";
    default:
        return NULL;
    }
}

/* The same of a route. An IPv4 that does not forward says of every route that the host cannot be
   reached. */
static const char *refusing_route(const struct tracing *tracing)
{
    if (tracing->route_status == -EACCES)
        return "route-prohibit";
    return tracing->route_status == -EHOSTUNREACH &&
                   (trace_v6(tracing) || tracing->before.settings[SETTING_FORWARD4])
               ? "route-unreachable"
               : NULL;
}

/* Why the look-up of the route is refused. IPv4's EINVAL has many meanings. */
static const char *route_reason(const struct tracing *tracing)
{
    const int64_t *settings = tracing->before.settings;
    const char *rule = refusing_rule(tracing);
    const struct rtnl_lookup plain = {.dst = tracing->dst};
    struct rtnl_route route;
    int owner;

    if (!trace_v6(tracing) && tracing->dst.bytes[0] == 127 && !settings[SETTING_LOCALNET_ALL] &&
        !settings[SETTING_LOCALNET_DEVICE])
        return "IP_LOCALNET";
    if (rule)
        return rule;
    if (refusing_route(tracing))
        return refusing_route(tracing);
    if (tracing->route_status == -EINVAL) {
        if (rtnl_route_lookup(tracing->attachment->rtnl, &plain, &route, NULL) == -EINVAL)
            return "route-blackhole";
        if (rtnl_addr_owned(tracing->attachment->rtnl, &tracing->peer, &owner, NULL) == 1)
            return "IP_LOCAL_SOURCE";
        return "IP_RPFILTER";
    }
    /* IPv6 looks for the route first, and asks then whether it may. */
    return trace_v6(tracing) || settings[SETTING_FORWARD4] ? "IP_INNOROUTES" : "IP_INADDRERRORS";
}

/* IPv6's look-up does not know whether this machine forwards. */
static bool is_forwarded(const struct tracing *tracing)
{
    return tracing->route_status == 0 && tracing->route.type != RTN_LOCAL;
}

struct counted {
    enum trace_counter v4, v6;
    const char *reason;
};

/* Of packets that are not what was sent: before netfilter, or behind it in another guise. */
static const struct counted counted_broken[] = {
    {COUNTER_IP_CSUM, COUNTER_IP_CSUM, "IP_CSUM"},
    {COUNTER_HEADER4, COUNTER_HEADER6, "IP_INHDR"},
    {COUNTER_TCP_CSUM, COUNTER_TCP_CSUM, "TCP_CSUM"},
    {COUNTER_UDP_CSUM4, COUNTER_UDP_CSUM6, "UDP_CSUM"},
    {COUNTER_ICMP_CSUM4, COUNTER_ICMP_CSUM6, "ICMP_CSUM"},
};
static const struct counted counted[] = {
    {COUNTER_RP_FILTER, COUNTER_RP_FILTER, "IP_RPFILTER"},
    {COUNTER_ADDR4, COUNTER_ADDR6, "IP_INADDRERRORS"},
    {COUNTER_IN_NO_ROUTES4, COUNTER_IN_NO_ROUTES6, "IP_INNOROUTES"},
    {COUNTER_UDP_BUFFER4, COUNTER_UDP_BUFFER6, "SOCKET_RCVBUFF"},
    {COUNTER_UDP_NO_PORTS4, COUNTER_UDP_NO_PORTS6, "NO_SOCKET"},
};

static const char *what_grew(const struct tracing *tracing, const struct counted *list,
                             size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (grew(tracing, list[i].v4, list[i].v6))
            return list[i].reason;
    return NULL;
}

enum nftrace_hook trace_stuck_hook(const struct tracing *tracing, bool back)
{
    static const enum nftrace_hook hooks[] = {NFTRACE_PREROUTING, NFTRACE_INPUT, NFTRACE_FORWARD,
                                              NFTRACE_OUTPUT, NFTRACE_POSTROUTING};

    for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
        if (trace_hook_entered(tracing, hooks[i], back) &&
            !trace_hook_left(tracing, hooks[i], back))
            return hooks[i];
    return NFTRACE_NO_HOOK;
}

static bool stuck_in_hook(const struct tracing *tracing, bool back)
{
    return trace_stuck_hook(tracing, back) != NFTRACE_NO_HOOK;
}

/* The kernel has no reason for what XDP drops, but a place. 1 it was XDP, 0 not, -1 not known. */
static int dropped_by_xdp(const struct tracing *tracing)
{
    int known = tracing->dropreason ? 0 : -1;

    for (int i = 0; i < tracing->drop_count; i++) {
        const struct dropreason_event *drop = &tracing->drops[i];
        if (drop->kind != DROPREASON_DROP || drop->owner == DROPREASON_OTHERS ||
            strcmp(drop->reason, "NOT_SPECIFIED") != 0)
            continue;
        if (strstr(drop->location, "xdp"))
            return 1;
        if (!drop->location[0]) /* the kernel hides its symbols */
            known = -1;
    }
    /* In the driver it is dropped without any trace, before anything else. */
    if (known == 0 && tracing->ingress.xdp == XDP_ATTACHED_DRV &&
        tracing->attachment->arrival_ifindex == tracing->attachment->ifindex)
        return !tracing->received_ns;
    return known;
}

/* An ARP request goes before the packet, and netfilter's trace does not show it. With IPv6 the peers
   know the machine's MAC. */
static bool asks_for_macs(const struct tracing *tracing)
{
    return tracing->attachment->kind == PEER_TAP && !trace_v6(tracing) &&
           tracing->attachment->arrival_ifindex == tracing->attachment->ifindex;
}

/* What a program takes it does not tell: nor XDP what it drops, nor tc what it sends elsewhere. */
static const char *reason_at_ingress(const struct tracing *tracing)
{
    const struct ingress *ingress = &tracing->ingress;
    const bool tc = ingress->filters > 0, tcx = ingress->tcx > 0;
    const char *broken = what_grew(tracing, counted_broken, ARRAY_SIZE(counted_broken));
    const int xdp = !ingress->xdp ? 0 : tc || tcx ? dropped_by_xdp(tracing) : 1;

    if (trace_v6(tracing) && tracing->before.settings[SETTING_IPV6_OFF])
        return "IPV6DISABLED";
    if (tracing->down[0])
        return "device-down";
    if (broken)
        return broken;
    if (xdp != 0)
        return xdp > 0 ? "XDP" : "xdp-or-tc";
    if (tc)
        return "TC_INGRESS";
    if (tcx)
        return "tcx";
    return asks_for_macs(tracing) && !tracing->received_ns ? "arp-unanswered" : "before-netfilter";
}

/* Without the kernel's own word: what looks-ups, netfilter and counters say. */
static const char *conclude(const struct tracing *tracing)
{
    const bool hooks_seen = tracing->nftrace && !tracing->dry;

    if (tracing->route_status < 0)
        return route_reason(tracing);
    if (is_forwarded(tracing) &&
        !tracing->before.settings[trace_v6(tracing) ? SETTING_FORWARD6 : SETTING_FORWARD4])
        return "IP_INADDRERRORS";
    if (tracing->dry)
        return NULL;
    if (hooks_seen && !trace_hook_entered(tracing, NFTRACE_PREROUTING, false))
        return reason_at_ingress(tracing);
    if (hooks_seen && stuck_in_hook(tracing, false))
        return "unknown-hook";
    const char *reason = what_grew(tracing, counted, ARRAY_SIZE(counted));
    return reason ? reason : what_grew(tracing, counted_broken, ARRAY_SIZE(counted_broken));
}

static bool is_local(const struct tracing *tracing)
{
    return tracing->route_status == 0 && tracing->route.type == RTN_LOCAL;
}

/* It was not lost on the way there; is the socket at fault? */
static const char *socket_reason(const struct tracing *tracing)
{
    const bool echo = tracing->protocol == IPPROTO_ICMP || tracing->protocol == IPPROTO_ICMPV6;

    if (!is_local(tracing))
        return NULL;
    if (echo)
        return tracing->before.settings[trace_v6(tracing) ? SETTING_ECHO_OFF6 : SETTING_ECHO_OFF4]
                   ? "echo-ignored"
                   : NULL;
    if (!tracing->has_socket)
        return "NO_SOCKET";
    if (tracing->protocol == IPPROTO_TCP && tracing->answer.kind == ANSWER_NONE && !tracing->dry &&
        (grew(tracing, COUNTER_LISTEN_OVERFLOWS, COUNTER_LISTEN_OVERFLOWS) ||
         tracing->socket.queue_now > tracing->socket.queue_max))
        return "accept-queue-full";
    return NULL;
}

/* It arrived; what keeps the answer? */
static const char *back_reason(const struct tracing *tracing)
{
    if (!is_local(tracing))
        return NULL;
    if (tracing->back_status < 0 || grew(tracing, COUNTER_OUT_NO_ROUTES4, COUNTER_OUT_NO_ROUTES6))
        return "no-way-back";
    if (tracing->back_route.type == RTN_LOCAL)
        return "IP_LOCAL_SOURCE";
    if (tracing->back_route.oif != tracing->attachment->arrival_ifindex)
        return "answer-elsewhere";
    if (tracing->ring_drops > 0)
        return "FULL_RING";
    return NULL;
}

static bool neighbour_is_silent(const struct tracing *tracing)
{
    const struct peer_addr *next =
        tracing->route.gateway.family ? &tracing->route.gateway : &tracing->dst;

    if (!is_forwarded(tracing) || tracing->dry)
        return false;
    const int state = rtnl_neigh_state(tracing->attachment->rtnl, tracing->route.oif, next);
    return state > 0 && (state & (NUD_INCOMPLETE | NUD_FAILED));
}

/* ---- the verdict ---- */

static void judge_cause(struct tracing *tracing, const char *kernel)
{
    struct peer_trace_result *result = &tracing->result;

    if (!trace_take_cause(tracing, kernel)) {
        result->station = "kernel";
        result->reason = "other";
        say(tracing, "the kernel dropped it: %s", kernel);
        mend(tracing, "see %s in include/net/dropreason-core.h of the kernel", kernel);
        return;
    }
    if (!strcmp(kernel, "NO_SOCKET"))
        judge_listener(tracing);
}

/* It was not taken for an address of this machine: that need not mean that it is none. */
static const char *why_not_local(const struct tracing *tracing, const char *reason)
{
    const char *refusal = refusing_rule(tracing);

    if (!refusal && !strcmp(reason, "IP_INNOROUTES"))
        refusal = refusing_route(tracing);
    if (refusal)
        return refusal;
    if (trace_is_proxied(tracing))
        return "tproxy-unrouted";
    if (!tracing->holder.ifindex)
        return reason;
    if (!(tracing->holder.flags & IFF_UP))
        return "address-down";
    return tracing->holder_routed ? "address-hidden" : "address-unrouted";
}

/* The kernel has one reason where we have several. */
static const char *closer(const struct tracing *tracing, const char *reason, const char *location)
{
    if (!strcmp(reason, "IP_INHDR") &&
        (trace_hook_left(tracing, NFTRACE_PREROUTING, false) || !strcmp(location, "ip_forward") ||
         !strcmp(location, "ip6_forward")))
        return "ttl-over"; /* headers are checked before */
    if (!strcmp(reason, "TC_INGRESS") && tracing->ingress.tcx > 0)
        return tracing->ingress.filters ? "xdp-or-tc" : "tcx";
    if (!strcmp(reason, "DEV_READY"))
        return "device-down";
    if (!strcmp(reason, "IP_INADDRERRORS") || !strcmp(reason, "IP_INNOROUTES"))
        return why_not_local(tracing, reason);
    return reason;
}

/* The reason, seen or concluded, why it did not arrive; NULL when it did. */
static const char *reason_there(const struct tracing *tracing)
{
    const struct dropreason_event *drop = trace_drop(tracing, false);

    if (tracing->not_taken)
        return tracing->down[0] ? "device-down" : "not-taken";
    if (drop && drop->conntrack)
        return "conntrack";
    if (drop && !strcmp(drop->reason, "NETFILTER_DROP"))
        return "unknown-hook"; /* nftables' own drops have been told by their rule */
    if (drop && drop->reason[0])
        return closer(tracing, drop->reason, drop->location);
    if (tracing->answer.kind != ANSWER_NONE && tracing->answer.kind != ANSWER_RST &&
        tracing->answer.kind != ANSWER_ICMP)
        return NULL;
    const char *reason = conclude(tracing);
    return reason ? closer(tracing, reason, "") : socket_reason(tracing);
}

static void judge_arrived(struct tracing *tracing)
{
    static const char *const answers[] = {[ANSWER_NONE] = "",
                                          [ANSWER_SYN_ACK] = "the connection was made",
                                          [ANSWER_RST] = "",
                                          [ANSWER_DATA] = "a datagram came back",
                                          [ANSWER_ECHO] = "the echo came back"};
    char end[PEER_ENDPOINT_TEXT];

    (void)trace_target_text(tracing, &tracing->dst, tracing->dst_port, end);
    if (tracing->dry && !is_local(tracing)) {
        tracing->result.outcome = PEER_TRACE_ARRIVED;
        say(tracing, "it would be forwarded by %s", tracing->route.oif_name);
        return;
    }
    if (tracing->dry) {
        tracing->result.outcome = PEER_TRACE_ARRIVED;
        say(tracing, "it would arrive at %s, unless a rule of the firewall drops it", end);
        return;
    }
    if (tracing->answer.kind == ANSWER_NONE) {
        tracing->result.outcome =
            tracing->protocol == IPPROTO_UDP ? PEER_TRACE_ARRIVED : PEER_TRACE_SILENT;
        say(tracing, "%s at %s; no answer came",
            is_local(tracing) ? "arrived" : "forwarded, as far as can be seen,", end);
        return;
    }
    tracing->result.outcome = PEER_TRACE_ANSWERED;
    say(tracing, "arrived at %s: %s", end, answers[tracing->answer.kind]);
}

static void judge_refusal(struct tracing *tracing)
{
    char from[PEER_ADDR_TEXT];

    tracing->result.station = "answer";
    if (tracing->answer.kind == ANSWER_RST) {
        tracing->result.reason = "refused";
        say(tracing, "the answer is a reset: the connection is refused");
        return;
    }
    tracing->result.reason = "icmp-error";
    if (tracing->answer.icmp_from.family)
        say(tracing, "%s answers with an ICMP error, type %u code %u",
            peer_addr_format(&tracing->answer.icmp_from, from), tracing->answer.icmp_type,
            tracing->answer.icmp_code);
    else
        say(tracing, "the answer is an ICMP error: unreachable");
}

static enum peer_trace_outcome outcome_of_loss(const struct tracing *tracing)
{
    return tracing->answer.kind == ANSWER_RST || tracing->answer.kind == ANSWER_ICMP
               ? PEER_TRACE_REFUSED
               : PEER_TRACE_DROPPED;
}

static void judge_back(struct tracing *tracing)
{
    const struct nftrace_event *rule = trace_nft_drop(tracing, true);
    const struct dropreason_event *drop = trace_drop(tracing, true);
    const char *reason = back_reason(tracing);

    tracing->result.outcome = PEER_TRACE_SILENT;
    if (rule) {
        judge_rule(tracing, rule);
    } else if (queued(tracing, true)) {
        judge_queue(tracing, queued(tracing, true));
    } else if (trace_strange_answer(tracing)) {
        judge_cause(tracing, "strange-answer");
    } else if (drop) {
        judge_cause(tracing, strcmp(drop->reason, "NETFILTER_DROP") != 0 ? drop->reason
                             : trace_is_led_nowhere(tracing)             ? "no-way-back"
                                                                         : "unknown-hook");
    } else if (reason) {
        judge_cause(tracing, reason);
    } else if (neighbour_is_silent(tracing)) {
        judge_cause(tracing, "NEIGH_FAILED");
        tracing->result.outcome = PEER_TRACE_DROPPED;
    } else if (stuck_in_hook(tracing, true)) {
        judge_cause(tracing, "unknown-hook");
    } else {
        judge_arrived(tracing);
    }
}

void trace_judge(struct tracing *tracing)
{
    struct peer_trace_result *result = &tracing->result;
    const struct nftrace_event *rule = trace_nft_drop(tracing, false);
    const struct dropreason_event *drop = trace_drop(tracing, false);
    const bool answered = tracing->answer.kind == ANSWER_SYN_ACK ||
                          tracing->answer.kind == ANSWER_DATA ||
                          tracing->answer.kind == ANSWER_ECHO;

    result->answer_ns = tracing->answer.kind == ANSWER_NONE
                            ? PEER_TRACE_NO_TIME
                            : (int64_t)(tracing->answer.at_ns - tracing->sent_ns);
    drop = drop ? drop : trace_drop(tracing, true);
    if (drop && !answered)
        (void)snprintf(result->kernel_reason, sizeof(result->kernel_reason), "%s", drop->reason);
    if (answered) {
        judge_arrived(tracing);
        return;
    }
    if (rule) {
        result->outcome = outcome_of_loss(tracing);
        judge_rule(tracing, rule);
        return;
    }
    if (queued(tracing, false)) {
        result->outcome = outcome_of_loss(tracing);
        judge_queue(tracing, queued(tracing, false));
        return;
    }
    const char *reason = reason_there(tracing);
    if (reason) {
        result->outcome = outcome_of_loss(tracing);
        judge_cause(tracing, reason);
        return;
    }
    if (tracing->answer.kind != ANSWER_NONE) {
        result->outcome = PEER_TRACE_REFUSED;
        judge_refusal(tracing);
        return;
    }
    judge_back(tracing);
}
