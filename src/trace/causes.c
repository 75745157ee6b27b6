/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a reason means: the station, a stable word, a sentence, and what would mend it. Most mends
 * are commands that serve as they are printed. Where a mend takes more than a constant (whose
 * address is it? which routes went with the device?) a placeholder looks it up.
 */
#include "trace/internal.h"

#include "base/macro.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

struct cause {
    const char *kernel; /* drop reason; those in small letters are ours */
    const char *word, *station;
    const char *text, *mend; /* with placeholders, see below */
};

static const struct cause causes[] = {
    {"NO_SOCKET", "no-listener", "socket", "no program listens on {proto} {end}",
     "start the server, so that it listens on {end}"},
    {"IP_RPFILTER", "rp-filter", "route",
     "reverse path filter: the way back to {peer} does not lead to {dev}, where the packet came "
     "from",
     "ip{family} rule add to {peer} lookup main pref 1"},
    {"IP_LOCALNET", "loopback-from-outside", "route",
     "{dst} is loopback: the kernel drops such packets when they come from a device",
     "sysctl -w net.ipv4.conf.all.route_localnet=1"},
    {"IP_LOCAL_SOURCE", "own-source", "route",
     "martian source: {peer} is an address of this machine itself", "{disown}"},
    {"IP_INVALID_SOURCE", "impossible-source", "route",
     "martian source: {peer} can be nobody's address", "choose another address with `from`"},
    {"IP_INVALID_DEST", "impossible-target", "route", "{dst} can be nobody's address",
     "choose another HOST"},
    {"IP_INADDRERRORS", "forwarding-off", "route",
     "{dst} is no address of this machine, and it does not forward", "sysctl -w {forwarding}=1"},
    {"address-down", "address-down", "route",
     "{dst} is an address of this machine, but {holder}, which has it, is down",
     "ip link set {holder} up"},
    {"address-hidden", "address-hidden", "route",
     "{dst} is an address of this machine ({holder} has it), but a rule leads this packet past the "
     "table \"local\"",
     "ip{family} rule add pref 0 lookup local"},
    {"address-unrouted", "address-unrouted", "route",
     "{dst} is an address of {holder}, but its local route is missing: {unrouted}", "{reroute}"},
    {"rule-blackhole", "blackhole", "route",
     "rule {pref} of policy routing swallows it (\"blackhole\" in ip{family} rule)",
     "ip{family} rule del pref {pref}"},
    {"rule-prohibit", "prohibited", "route",
     "rule {pref} of policy routing refuses it (\"prohibit\" in ip{family} rule)",
     "ip{family} rule del pref {pref}"},
    {"rule-unreachable", "unreachable", "route",
     "rule {pref} of policy routing refuses it (\"unreachable\" in ip{family} rule)",
     "ip{family} rule del pref {pref}"},
    {"strange-answer", "answers-from-other-address", "socket",
     "the answer comes from {strange} rather than from {dst}: a socket bound to all addresses "
     "answers from that of the route",
     "let it listen on {dst} itself, or answer from where it was asked (IP_PKTINFO)"},
    {"IP_INNOROUTES", "no-route", "route", "no route leads to {dst}",
     "ip{family} route add {dst} via GATEWAY dev DEVICE"},
    {"route-blackhole", "blackhole", "route", "a blackhole route swallows packets to {dst}",
     "ip{family} route del blackhole {route}"},
    {"route-unreachable", "unreachable", "route", "a route says that {dst} is unreachable",
     "ip{family} route del unreachable {route}"},
    {"tproxy-unrouted", "tproxy-unrouted", "route",
     "a rule gives it to a transparent proxy, but no route makes {dst} local", "{proxied}"},
    {"route-prohibit", "prohibited", "route", "a route prohibits {dst}",
     "ip{family} route del prohibit {route}"},
    {"no-way-back", "no-way-back", "route",
     "it arrived, but no route leads back to {peer}: the answer cannot be sent",
     "ip{family} rule add to {peer} lookup main pref 1"},
    {"IP_OUTNOROUTES", "no-way-back", "route",
     "it arrived, but no route leads back to {peer}: the answer cannot be sent",
     "ip{family} rule add to {peer} lookup main pref 1"},
    {"answer-elsewhere", "answer-elsewhere", "route",
     "it arrived, but the answer leaves by {back} rather than by {dev}",
     "ip{family} rule add to {peer} lookup main pref 1"},
    {"accept-queue-full", "accept-queue-full", "socket",
     "the accept queue of {end} is full: the application does not accept fast enough",
     "let the application accept, or: sysctl -w net.core.somaxconn=4096 and a longer listen() "
     "queue"},
    {"TCP_LISTEN_OVERFLOW", "accept-queue-full", "socket",
     "the accept queue of {end} is full: the application does not accept fast enough",
     "let the application accept, or: sysctl -w net.core.somaxconn=4096 and a longer listen() "
     "queue"},
    {"SOCKET_RCVBUFF", "receive-buffer-full", "socket",
     "the receive buffer of {end} is full: the application does not read",
     "let the application read, or give it more room: sysctl -w net.core.rmem_default=4194304"},
    {"PROTO_MEM", "no-memory", "socket", "the kernel's memory for {proto} is used up",
     "sysctl -w net.ipv4.udp_mem='400000 800000 1200000'"},
    {"NETFILTER_DROP", "firewall", "netfilter", "netfilter dropped it", ""},
    {"conntrack", "conntrack", "netfilter", "connection tracking dropped it: its table may be full",
     "sysctl -w net.netfilter.nf_conntrack_max=1048576"},
    {"echo-ignored", "echo-ignored", "socket", "this machine does not answer echo requests",
     "sysctl -w {echo}=0"},
    {"SOCKET_FILTER", "socket-filter", "socket", "a filter of the socket itself refused it",
     "look at the program's SO_ATTACH_FILTER"},
    {"SOCKET_BACKLOG", "backlog-full", "socket", "the socket's backlog is full",
     "sysctl -w net.core.netdev_max_backlog=10000"},
    {"SECURITY_HOOK", "security", "socket", "a security module (SELinux, say) refused it",
     "look at the audit log: ausearch -m avc"},
    {"XFRM_POLICY", "ipsec-policy", "socket", "an IPsec policy refused it", "ip xfrm policy"},
    {"TCP_MD5NOTFOUND", "tcp-md5", "socket", "the server demands TCP-MD5 signatures",
     "take the TCP-MD5 key off the server"},
    {"TCP_MINTTL", "minimum-ttl", "socket",
     "the server refuses packets that may have come over more hops than it allows (IP_MINTTL, or "
     "IPV6_MINHOPCOUNT)",
     "take that option off the server (neighbours of BGP: ttl-security)"},
    {"TCP_CSUM", "bad-checksum", "socket", "the TCP checksum is wrong",
     "take \"corrupt\" off the link"},
    {"UDP_CSUM", "bad-checksum", "socket", "the UDP checksum is wrong",
     "take \"corrupt\" off the link"},
    {"IP_CSUM", "bad-checksum", "device", "the IP checksum is wrong",
     "take \"corrupt\" off the link"},
    {"ICMP_CSUM", "bad-checksum", "socket", "the ICMP checksum is wrong",
     "take \"corrupt\" off the link"},
    {"IP_INHDR", "bad-header", "device", "the IP header is broken or impossible",
     "take another `from` or target"},
    {"ttl-over", "ttl-over", "route",
     "its time to live is over: it would be forwarded, but may make no further hop", "{hops}"},
    {"PKT_TOO_SMALL", "truncated", "device", "the packet is truncated",
     "take \"corrupt\" off the link"},
    {"HDR_TRUNC", "truncated", "device", "the packet is truncated",
     "take \"corrupt\" off the link"},
    {"IP_NOPROTO", "no-protocol", "socket", "this kernel has nothing for that protocol", ""},
    {"OTHERHOST", "wrong-mac", "device", "the frame's MAC is not that of {dev}", ""},
    {"UNHANDLED_PROTO", "no-protocol", "device", "this kernel has nothing for that protocol", ""},
    {"IPV6DISABLED", "ipv6-off", "device", "IPv6 is switched off on {dev}",
     "sysctl -w net.ipv6.conf.{dev}.disable_ipv6=0{again}"},
    {"NEIGH_FAILED", "neighbour-failed", "route",
     "{next}{towards} does not answer {asked} on {out}",
     "start {next}, or name another: ip{family} route replace {dst} via GATEWAY dev DEVICE"},
    {"NEIGH_QUEUEFULL", "neighbour-failed", "route",
     "{next}{towards} does not answer {asked} on {out}",
     "start {next}, or name another: ip{family} route replace {dst} via GATEWAY dev DEVICE"},
    {"XDP", "xdp", "ingress", "an XDP program on {dev} dropped it or sent it elsewhere",
     "ip link set {dev} {xdp} off"},
    {"TC_INGRESS", "tc", "ingress", "a tc filter on {dev} dropped it or sent it elsewhere",
     "tc filter del dev {dev} ingress"},
    {"tcx", "tcx", "ingress", "a tcx program on {dev} dropped it or sent it elsewhere",
     "end what attached the program: bpftool net show dev {dev}"},
    {"xdp-or-tc", "xdp-or-tc", "ingress", "XDP or tc on {dev} dropped it or sent it elsewhere",
     "ip link set {dev} {xdp} off; tc filter del dev {dev} ingress"},
    {"TC_EGRESS", "tc", "egress",
     "the answer is lost: a tc filter on {back} dropped it on its way out",
     "tc filter del dev {back} egress"},
    {"QDISC_DROP", "qdisc", "egress",
     "the answer is lost: the queueing discipline of {back} dropped it",
     "tc qdisc del dev {back} root"},
    {"FULL_RING", "ring-full", "device",
     "the answer is lost: the queue of {tap} is full, for it is not read fast enough",
     "ip link set {tap} txqueuelen 20000"},
    {"BPF_CGROUP_EGRESS", "cgroup-bpf", "socket", "a BPF program of a cgroup refused the answer",
     "bpftool cgroup tree"},
    {"TAP_FILTER", "device-filter", "device", "the filter of {dev} dropped it", ""},
    {"device-down", "device-down", "device", "{down} is down", "ip link set {down} up{again}"},
    {"not-taken", "not-taken", "device", "the kernel did not take the packet", ""},
    {"CPU_BACKLOG", "cpu-backlog", "device", "the queue of the CPU is full",
     "sysctl -w net.core.netdev_max_backlog=10000"},
    {"NOMEM", "no-memory", "device", "the kernel has no memory for it", ""},
    {"arp-unanswered", "arp-unanswered", "ingress",
     "it was not sent: this machine does not answer the peer's ARP on {dev}",
     "sysctl net.ipv4.conf.all.arp_ignore net.ipv4.conf.{dev}.arp_ignore; nft list ruleset arp; ip "
     "link set {dev} arp on"},
    {"before-netfilter", "before-netfilter", "ingress",
     "it did not get as far as netfilter: a tcx program or the check of its header dropped it",
     "as root peer trace sees more; bpftool net show dev {dev}"},
    {"unknown-hook", "other-hook", "netfilter",
     "something that nftables does not show (iptables-legacy, BPF, IPVS) dropped it", "{legacy}"},
};

/* ---- what a mend must know ---- */

enum { VALUE = 200 };

struct holder {
    const struct peer_addr *addr;
    int ifindex;
    uint8_t length;
};

static int find_holder(void *user, int ifindex, const struct addr_prefix *prefix)
{
    struct holder *holder = user;

    if (!peer_addr_equal(holder->addr, &prefix->addr))
        return 0;
    holder->ifindex = ifindex;
    holder->length = (uint8_t)prefix->length;
    return 1;
}

/* The peer's address is this machine's own: what takes it away. */
static void disown(const struct tracing *tracing, char buf[VALUE])
{
    struct holder holder = {.addr = &tracing->peer};
    struct rtnl_link link;
    char addr[PEER_ADDR_TEXT];

    if (rtnl_addr_each(tracing->attachment->rtnl, find_holder, &holder, NULL) == 1 &&
        rtnl_link_get(tracing->attachment->rtnl, holder.ifindex, NULL, &link, NULL) == 0)
        (void)snprintf(buf, VALUE, "ip addr del %s/%u dev %s",
                       peer_addr_format(&tracing->peer, addr), holder.length, link.name);
    else /* a local route claims it */
        (void)snprintf(buf, VALUE, "choose another address with `from`");
}

/* A device that comes back has lost its routes, and with IPv6 its addresses. */
static void again(const struct tracing *tracing, char buf[VALUE])
{
    const struct attachment *attachment = tracing->attachment;
    const bool v6 = trace_v6(tracing);
    char peer[PEER_ADDR_TEXT];
    struct rtnl_link link;
    size_t len = 0;

    buf[0] = '\0';
    if (attachment->arrival_ifindex != attachment->ifindex) /* a card's come back with it */
        return;
    if (v6 && attachment->kind == PEER_TAP &&
        rtnl_link_get(attachment->rtnl, attachment->ifindex, NULL, &link, NULL) == 0)
        len = (size_t)snprintf(buf, VALUE,
                               " && ip addr replace fe80::%02x%02x:%02xff:fe%02x:%02x%02x/64"
                               " dev %s nodad",
                               link.mac.bytes[0] ^ 2u, link.mac.bytes[1], link.mac.bytes[2],
                               link.mac.bytes[3], link.mac.bytes[4], link.mac.bytes[5],
                               attachment->device);
    (void)snprintf(buf + len, VALUE - len, " && ip%s route replace %s dev %s", v6 ? " -6" : "",
                   peer_addr_format(&tracing->peer, peer), attachment->device);
}

struct wanted_route {
    const struct peer_addr *dst;
    uint8_t type;
    struct rtnl_route found;
    bool is_found;
};

static int match_route(void *user, const struct rtnl_route *route)
{
    struct wanted_route *wanted = user;

    if (route->type == wanted->type && addr_prefix_contains(&route->dst, wanted->dst) &&
        (!wanted->is_found || route->dst.length > wanted->found.dst.length)) {
        wanted->found = *route;
        wanted->is_found = true;
    }
    return 0;
}

/* The prefix of the route that refuses the target. */
static void refusing_route(const struct tracing *tracing, char buf[VALUE])
{
    struct wanted_route wanted = {.dst = &tracing->dst,
                                  .type = tracing->route_status == -EACCES         ? RTN_PROHIBIT
                                          : tracing->route_status == -EHOSTUNREACH ? RTN_UNREACHABLE
                                                                                   : RTN_BLACKHOLE};
    char addr[PEER_ADDR_TEXT];

    (void)rtnl_route_each(tracing->attachment->rtnl, tracing->dst.family, match_route, &wanted,
                          NULL);
    if (!wanted.is_found)
        (void)snprintf(buf, VALUE, "%s", peer_addr_format(&tracing->dst, addr));
    else if (wanted.found.dst.length == 0)
        (void)snprintf(buf, VALUE, "default");
    else
        (void)snprintf(buf, VALUE, "%s/%u", peer_addr_format(&wanted.found.dst.addr, addr),
                       (unsigned)wanted.found.dst.length);
}

/* Rules that set the time to live are seen by netfilter's trace. */
static void lengthen_life(const struct tracing *tracing, char buf[VALUE])
{
    char rule[NFTRACE_TEXT];

    (void)snprintf(buf, VALUE, "find what lowers it: nft list ruleset; iptables -t mangle -S");
    for (int i = 0; i < tracing->event_count; i++) {
        const struct nftrace_event *event = &tracing->events[i];
        if (event->back || event->ours || event->type != NFTRACE_RULE ||
            nftrace_rule_text(tracing->nftrace, &event->chain, event->handle, rule, sizeof(rule),
                              NULL) < 0 ||
            (!strstr(rule, "ttl set") && !strstr(rule, "hoplimit set")))
            continue;
        (void)snprintf(buf, VALUE, "nft delete rule %s %.60s %.60s handle %llu",
                       nftrace_family_text(event->chain.family), event->chain.table,
                       event->chain.name, (unsigned long long)event->handle);
    }
}

/* The tables of iptables-legacy are not shown by nftables, but its commands mend them. */
static void mend_legacy(const struct tracing *tracing, char buf[VALUE])
{
    static const char *const chains[] = {
        [NFTRACE_INPUT] = "INPUT", [NFTRACE_FORWARD] = "FORWARD", [NFTRACE_OUTPUT] = "OUTPUT"};
    const bool back = tracing->result.outcome == PEER_TRACE_SILENT;
    const enum nftrace_hook hook = trace_stuck_hook(tracing, back);
    const char *program = trace_v6(tracing) ? "ip6tables-legacy" : "iptables-legacy";
    const bool ports = tracing->protocol == IPPROTO_TCP || tracing->protocol == IPPROTO_UDP;
    char peer[PEER_ADDR_TEXT], port[48] = "";

    if (!tracing->before.legacy[trace_v6(tracing)] || hook == NFTRACE_NO_HOOK ||
        (size_t)hook >= ARRAY_SIZE(chains) || !chains[hook]) {
        (void)snprintf(buf, VALUE, "%s -S; ipvsadm -L; bpftool link", program);
        return;
    }
    if (ports)
        (void)snprintf(port, sizeof(port), " -p %s --%s %u",
                       tracing->protocol == IPPROTO_TCP ? "tcp" : "udp", back ? "sport" : "dport",
                       back ? tracing->port : tracing->dst_port);
    (void)snprintf(buf, VALUE, "%s -I %s -%c %s%s -j ACCEPT", program, chains[hook],
                   back ? 'd' : 's', peer_addr_format(&tracing->peer, peer), port);
}

/* ---- words ---- */

static const char *xdp_mode(const struct tracing *tracing)
{
    switch (tracing->ingress.xdp) {
    case XDP_ATTACHED_DRV:
        return "xdpdrv";
    case XDP_ATTACHED_SKB:
        return "xdpgeneric";
    case XDP_ATTACHED_HW:
        return "xdpoffload";
    default:
        return "xdp";
    }
}

/* Words that are one of two, or are there already. */
static const char *plain_word(const struct tracing *tracing, const char *name)
{
    const bool v6 = trace_v6(tracing);
    const struct {
        const char *name, *word;
    } words[] = {
        {"dev", tracing->attachment->arrival},
        {"tap", tracing->attachment->device},
        {"down", tracing->down[0] ? tracing->down : tracing->attachment->arrival},
        {"holder", tracing->holder.name},
        {"out", tracing->route.oif_name},
        {"back", tracing->back_status == 0 ? tracing->back_route.oif_name : "nowhere"},
        {"proto", trace_protocol_text(tracing)},
        {"xdp", xdp_mode(tracing)},
        {"family", v6 ? " -6" : ""},
        {"asked", v6 ? "ND" : "ARP"},
        {"forwarding", v6 ? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward"},
        {"echo", v6 ? "net.ipv6.icmp.echo_ignore_all" : "net.ipv4.icmp_echo_ignore_all"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (!strcmp(words[i].name, name))
            return words[i].word;
    return NULL;
}

static const struct peer_addr *next_hop(const struct tracing *tracing)
{
    return tracing->route.gateway.family ? &tracing->route.gateway : &tracing->dst;
}

/* Why an address has no local route, and what brings it. */
static void why_unrouted(const struct tracing *tracing, char buf[VALUE])
{
    (void)snprintf(buf, VALUE, "%s",
                   trace_v6(tracing) ? "its duplicate address detection is not over, or has failed"
                                     : "somebody has deleted it");
}

static void reroute(const struct tracing *tracing, char buf[VALUE])
{
    const char *device = tracing->holder.name;
    char addr[PEER_ADDR_TEXT];

    (void)peer_addr_format(&tracing->dst, addr);
    if (trace_v6(tracing))
        (void)snprintf(buf, VALUE, "ip -6 addr del %s/%u dev %s; ip -6 addr add %s/%u dev %s nodad",
                       addr, tracing->holder_length, device, addr, tracing->holder_length, device);
    else
        (void)snprintf(buf, VALUE, "ip route add local %s dev %s table local", addr, device);
}

/* A proxy's packets are told by their mark. */
static void proxied(const struct tracing *tracing, char buf[VALUE])
{
    const char *family = trace_v6(tracing) ? " -6" : "";

    if (tracing->mark)
        (void)snprintf(buf, VALUE,
                       "ip%s rule add fwmark %u lookup 100; ip%s route add local default dev lo "
                       "table 100",
                       family, tracing->mark, family);
    else
        (void)snprintf(buf, VALUE,
                       "let the rule set a mark, and lead that mark to a table with: "
                       "local default dev lo");
}

static void towards(const struct tracing *tracing, char buf[VALUE])
{
    char addr[PEER_ADDR_TEXT];

    buf[0] = '\0';
    if (!peer_addr_equal(next_hop(tracing), &tracing->dst))
        (void)snprintf(buf, VALUE, ", the next machine towards %s,",
                       peer_addr_format(&tracing->dst, addr));
}

static void rule_pref(const struct tracing *tracing, char buf[VALUE])
{
    (void)snprintf(buf, VALUE, "%u", tracing->rule.pref);
}

static void strange(const struct tracing *tracing, char buf[VALUE])
{
    const struct nftrace_event *event = trace_strange_answer(tracing);
    char addr[PEER_ADDR_TEXT];

    (void)snprintf(buf, VALUE, "%s", event ? peer_addr_format(&event->src, addr) : "?");
}

static const struct {
    const char *name;
    void (*find)(const struct tracing *tracing, char buf[VALUE]);
} findings[] = {
    {"disown", disown},      {"again", again},        {"route", refusing_route},
    {"hops", lengthen_life}, {"legacy", mend_legacy}, {"unrouted", why_unrouted},
    {"reroute", reroute},    {"pref", rule_pref},     {"strange", strange},
    {"proxied", proxied},    {"towards", towards},
};

static void placeholder(const struct tracing *tracing, const char *name, char buf[VALUE])
{
    const char *word = plain_word(tracing, name);
    char text[PEER_ENDPOINT_TEXT];

    (void)snprintf(buf, VALUE, "%s", word ? word : "?");
    for (size_t i = 0; i < ARRAY_SIZE(findings); i++)
        if (!strcmp(findings[i].name, name))
            findings[i].find(tracing, buf);
    if (!strcmp(name, "peer"))
        (void)snprintf(buf, VALUE, "%s", peer_addr_format(&tracing->peer, text));
    else if (!strcmp(name, "dst"))
        (void)snprintf(buf, VALUE, "%s", peer_addr_format(&tracing->dst, text));
    else if (!strcmp(name, "next"))
        (void)snprintf(buf, VALUE, "%s", peer_addr_format(next_hop(tracing), text));
    else if (!strcmp(name, "end"))
        (void)snprintf(buf, VALUE, "%s",
                       trace_target_text(tracing, &tracing->dst, tracing->dst_port, text));
}

static void expand(const struct tracing *tracing, const char *format, char *buf, size_t room)
{
    size_t len = 0;
    char value[VALUE], name[16];

    while (*format && len + 1 < room) {
        const size_t end = *format == '{' ? strcspn(format, "}") : 0;
        if (end == 0) {
            buf[len++] = *format++;
            continue;
        }
        (void)snprintf(name, sizeof(name), "%.*s", (int)end - 1, format + 1);
        placeholder(tracing, name, value);
        len += (size_t)snprintf(buf + len, room - len, "%s", value);
        format += end + 1;
    }
    buf[MIN(len, room - 1)] = '\0';
}

bool trace_take_cause(struct tracing *tracing, const char *reason)
{
    struct peer_trace_result *result = &tracing->result;

    for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
        if (strcmp(causes[i].kernel, reason) != 0)
            continue;
        result->station = causes[i].station;
        result->reason = causes[i].word;
        expand(tracing, causes[i].text, result->text, sizeof(result->text));
        expand(tracing, causes[i].mend, result->mend, sizeof(result->mend));
        return true;
    }
    return false;
}
