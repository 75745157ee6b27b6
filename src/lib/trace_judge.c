/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One verdict out of all the evidence. What ended the packet is named by the kernel's own drop
 * reason, seen or concluded (from netfilter's events, from look-ups, from counters); a table turns
 * that into a station, a word, a sentence and a mend. Three of them need a closer look: which rule
 * of the firewall it was, who listens where, and what leads the answer astray.
 */
#include "lib/trace_internal.h"

#include "base/macro.h"

#include <ctype.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct cause {
    const char *kernel; /* drop reason; those in small letters are ours */
    const char *word, *station;
    const char *text, *mend; /* with {dev} {peer} {to} {dst} {port} {proto} {pref} {family} */
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
     "martian source: {peer} is an address of this machine itself",
     "sysctl -w net.ipv4.conf.all.accept_local=1"},
    {"IP_INVALID_SOURCE", "impossible-source", "route",
     "martian source: {peer} can be nobody's address", "choose another address with --from"},
    {"IP_INVALID_DEST", "impossible-target", "route", "{dst} can be nobody's address",
     "choose another HOST"},
    {"IP_INADDRERRORS", "forwarding-off", "route",
     "{dst} is no address of this machine, and it does not forward", "sysctl -w {forwarding}=1"},
    {"IP_INNOROUTES", "no-route", "route", "no route leads to {dst}",
     "ip{family} route add {dst} via GATEWAY dev DEVICE"},
    {"route-blackhole", "blackhole", "route", "a blackhole route swallows packets to {dst}",
     "ip{family} route del blackhole {route}"},
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
    {"TCP_CSUM", "bad-checksum", "socket", "the TCP checksum is wrong",
     "take \"corrupt\" off the link"},
    {"UDP_CSUM", "bad-checksum", "socket", "the UDP checksum is wrong",
     "take \"corrupt\" off the link"},
    {"IP_CSUM", "bad-checksum", "device", "the IP checksum is wrong",
     "take \"corrupt\" off the link"},
    {"IP_INHDR", "bad-header", "device",
     "the IP header is broken or impossible, or its time to live is over",
     "take another --from or HOST"},
    {"PKT_TOO_SMALL", "truncated", "device", "the packet is truncated",
     "take \"corrupt\" off the link"},
    {"HDR_TRUNC", "truncated", "device", "the packet is truncated",
     "take \"corrupt\" off the link"},
    {"IP_NOPROTO", "no-protocol", "socket", "this kernel has nothing for that protocol", ""},
    {"OTHERHOST", "wrong-mac", "device", "the frame's MAC is not that of {dev}", ""},
    {"UNHANDLED_PROTO", "no-protocol", "device", "this kernel has nothing for that protocol", ""},
    {"IPV6DISABLED", "ipv6-off", "device", "IPv6 is switched off on {dev}",
     "sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0"},
    {"NEIGH_FAILED", "neighbour-failed", "route",
     "the next machine towards {dst} does not answer ARP or ND", "ip{family} neigh show"},
    {"NEIGH_QUEUEFULL", "neighbour-failed", "route",
     "the next machine towards {dst} does not answer ARP or ND", "ip{family} neigh show"},
    {"XDP", "xdp", "ingress", "an XDP program on {dev} dropped it", "ip link set {dev} xdp off"},
    {"TC_INGRESS", "tc", "ingress", "a tc program or filter on {dev} dropped it",
     "tc filter del dev {dev} ingress"},
    {"TC_EGRESS", "tc", "ingress", "a tc program or filter dropped it on its way out",
     "tc filter show dev {dev} egress"},
    {"QDISC_DROP", "qdisc", "ingress", "a queueing discipline dropped it",
     "tc -s qdisc show dev {dev}"},
    {"FULL_RING", "ring-full", "device", "the queue of {dev} is full: nobody reads it",
     "ip link set {dev} txqueuelen 20000"},
    {"BPF_CGROUP_EGRESS", "cgroup-bpf", "socket", "a BPF program of a cgroup refused the answer",
     "bpftool cgroup tree"},
    {"TAP_FILTER", "device-filter", "device", "the filter of {dev} dropped it", ""},
    {"device-down", "device-down", "device", "{dev} is down", "ip link set {dev} up"},
    {"not-taken", "not-taken", "device", "the kernel did not take the packet", ""},
    {"CPU_BACKLOG", "cpu-backlog", "device", "the queue of the CPU is full",
     "sysctl -w net.core.netdev_max_backlog=10000"},
    {"NOMEM", "no-memory", "device", "the kernel has no memory for it", ""},
    {"before-netfilter", "before-netfilter", "ingress",
     "it did not get as far as netfilter: XDP, tc or the check of its header dropped it",
     "as root peer trace sees the kernel's reason"},
    {"unknown-hook", "other-hook", "netfilter",
     "something that nftables does not show (iptables-legacy, BPF, IPVS) dropped it",
     "iptables-legacy -S"},
};

/* ---- words ---- */

static const char *placeholder(const struct tracing *tracing, const char *name, size_t len,
                               char buf[160])
{
    char addr[PEER_ADDR_TEXT], end[PEER_ENDPOINT_TEXT];
    const bool v6 = trace_v6(tracing);
#define IS(word) (sizeof(word) - 1 == len && !strncmp(name, word, len))

    if (IS("dev"))
        return tracing->net->arrival;
    if (IS("proto"))
        return trace_protocol_text(tracing);
    if (IS("family"))
        return v6 ? " -6" : "";
    if (IS("forwarding"))
        return v6 ? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward";
    if (IS("echo"))
        return v6 ? "net.ipv6.icmp.echo_ignore_all" : "net.ipv4.icmp_echo_ignore_all";
    if (IS("back"))
        return tracing->back_status == 0 ? tracing->back_route.oif_name : "nowhere";
    if (IS("peer"))
        (void)snprintf(buf, 160, "%s", peer_addr_format(&tracing->peer, addr));
    else if (IS("dst"))
        (void)snprintf(buf, 160, "%s", peer_addr_format(&tracing->dst, addr));
    else if (IS("end"))
        (void)snprintf(buf, 160, "%s",
                       trace_target_text(tracing, &tracing->dst, tracing->dst_port, end));
    else if (IS("route"))
        (void)snprintf(buf, 160, "%s", peer_addr_format(&tracing->dst, addr));
    else
        (void)snprintf(buf, 160, "?");
#undef IS
    return buf;
}

static void expand(const struct tracing *tracing, const char *format, char *buf, size_t room)
{
    size_t len = 0;
    char value[160];

    while (*format && len + 1 < room) {
        const size_t name = *format == '{' ? strcspn(format, "}") : 0;
        if (name == 0) {
            buf[len++] = *format++;
            continue;
        }
        len += (size_t)snprintf(buf + len, room - len, "%s",
                                placeholder(tracing, format + 1, name - 1, value));
        format += name + 1;
    }
    buf[MIN(len, room - 1)] = '\0';
}

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
            rule, tracing->net->arrival);
        mend(tracing, "give the device an address: --local 192.0.2.1/32");
    }
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

    (void)diag_listeners(tracing->net->diag, tracing->protocol, tracing->dst_port, take_listener,
                         &listeners, NULL);
    if (!listeners.count)
        return;
    (void)peer_endpoint_format(&tracing->dst, tracing->dst_port, to);
    (void)owner_text(other, owner);
    if (other->bound_ifindex && other->bound_ifindex != tracing->net->arrival_ifindex) {
        (void)rtnl_link_get(tracing->net->rtnl, other->bound_ifindex, NULL, &link, NULL);
        result->reason = "listens-on-other-device";
        say(tracing, "%s listens on port %u, but is bound to device %s; this came by %s", owner,
            tracing->dst_port, link.name, tracing->net->arrival);
        mend(tracing, "let it listen without SO_BINDTODEVICE");
    } else if (other->local.family == 6 && is_any(&other->local) && !trace_v6(tracing)) {
        result->reason = "listens-on-ipv6-only";
        say(tracing, "%s listens on port %u for IPv6 only", owner, tracing->dst_port);
        mend(
            tracing,
            "let it listen on 0.0.0.0 too, or: sysctl -w net.ipv6.bindv6only=0 and start it again");
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

/* Why the look-up of the route is refused. IPv4's EINVAL has many meanings. */
static const char *route_reason(const struct tracing *tracing)
{
    const int64_t *settings = tracing->before.settings;
    const struct rtnl_lookup plain = {.dst = tracing->dst};
    struct rtnl_route route;
    int owner;

    if (!trace_v6(tracing) && tracing->dst.bytes[0] == 127 && !settings[SETTING_LOCALNET_ALL] &&
        !settings[SETTING_LOCALNET_DEVICE])
        return "IP_LOCALNET";
    if (tracing->route_status == -EACCES)
        return "route-prohibit";
    if (tracing->route_status == -EINVAL) {
        if (rtnl_route_lookup(tracing->net->rtnl, &plain, &route, NULL) == -EINVAL)
            return "route-blackhole";
        if (rtnl_addr_owned(tracing->net->rtnl, &tracing->peer, &owner, NULL) == 1)
            return "IP_LOCAL_SOURCE";
        return "IP_RPFILTER";
    }
    if (!settings[trace_v6(tracing) ? SETTING_FORWARD6 : SETTING_FORWARD4])
        return "IP_INADDRERRORS";
    return "IP_INNOROUTES";
}

/* IPv6's look-up does not know whether this machine forwards. */
static bool is_forwarded(const struct tracing *tracing)
{
    return tracing->route_status == 0 && tracing->route.type != RTN_LOCAL;
}

static const struct {
    enum trace_counter v4, v6;
    const char *reason;
} counted[] = {
    {COUNTER_RP_FILTER, COUNTER_RP_FILTER, "IP_RPFILTER"},
    {COUNTER_ADDR4, COUNTER_ADDR6, "IP_INADDRERRORS"},
    {COUNTER_IN_NO_ROUTES4, COUNTER_IN_NO_ROUTES6, "IP_INNOROUTES"},
    {COUNTER_HEADER4, COUNTER_HEADER6, "IP_INHDR"},
    {COUNTER_TCP_CSUM, COUNTER_TCP_CSUM, "TCP_CSUM"},
    {COUNTER_UDP_CSUM4, COUNTER_UDP_CSUM6, "UDP_CSUM"},
    {COUNTER_UDP_BUFFER4, COUNTER_UDP_BUFFER6, "SOCKET_RCVBUFF"},
    {COUNTER_UDP_NO_PORTS4, COUNTER_UDP_NO_PORTS6, "NO_SOCKET"},
};

/* A hook of netfilter that it reached and did not leave, without a word of nftables. */
static bool stuck_in_hook(const struct tracing *tracing, bool back)
{
    static const enum nftrace_hook hooks[] = {NFTRACE_PREROUTING, NFTRACE_INPUT, NFTRACE_FORWARD,
                                              NFTRACE_OUTPUT, NFTRACE_POSTROUTING};

    for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
        if (trace_hook_entered(tracing, hooks[i], back) &&
            !trace_hook_left(tracing, hooks[i], back))
            return true;
    return false;
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
        return trace_v6(tracing) && tracing->before.settings[SETTING_IPV6_OFF] ? "IPV6DISABLED"
                                                                               : "before-netfilter";
    if (hooks_seen && stuck_in_hook(tracing, false))
        return "unknown-hook";
    for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
        if (grew(tracing, counted[i].v4, counted[i].v6))
            return counted[i].reason;
    return NULL;
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
    if (tracing->protocol == IPPROTO_TCP && tracing->answer == ANSWER_NONE && !tracing->dry &&
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
    if (tracing->back_route.oif != tracing->net->arrival_ifindex)
        return "answer-elsewhere";
    return NULL;
}

static bool neighbour_is_silent(const struct tracing *tracing)
{
    const struct peer_addr *next =
        tracing->route.gateway.family ? &tracing->route.gateway : &tracing->dst;

    if (!is_forwarded(tracing) || tracing->dry)
        return false;
    const int state = ingress_neighbour(tracing->net->rtnl, tracing->route.oif, next);
    return state > 0 && (state & (NUD_INCOMPLETE | NUD_FAILED));
}

/* ---- the verdict ---- */

static void judge_cause(struct tracing *tracing, const char *kernel)
{
    struct peer_trace_result *result = &tracing->result;
    const struct cause *cause = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(causes) && !cause; i++)
        if (!strcmp(causes[i].kernel, kernel))
            cause = &causes[i];
    if (!cause) {
        result->station = "kernel";
        result->reason = "other";
        say(tracing, "the kernel dropped it: %s", kernel);
        mend(tracing, "see %s in include/net/dropreason-core.h of the kernel", kernel);
        return;
    }
    result->station = cause->station;
    result->reason = cause->word;
    expand(tracing, cause->text, result->text, sizeof(result->text));
    expand(tracing, cause->mend, result->mend, sizeof(result->mend));
    if (!strcmp(kernel, "NO_SOCKET"))
        judge_listener(tracing);
}

/* The reason, seen or concluded, why it did not arrive; NULL when it did. */
static const char *reason_there(const struct tracing *tracing)
{
    const struct dropreason_event *drop = trace_drop(tracing, false);

    if (tracing->not_taken)
        return tracing->device_down ? "device-down" : "not-taken";
    if (drop && drop->conntrack)
        return "conntrack";
    if (drop && !strcmp(drop->reason, "NETFILTER_DROP"))
        return "unknown-hook"; /* nftables' own drops have been told by their rule */
    if (drop && drop->reason[0])
        return drop->reason;
    if (tracing->answer != ANSWER_NONE && tracing->answer != ANSWER_RST &&
        tracing->answer != ANSWER_ICMP)
        return NULL;
    const char *reason = conclude(tracing);
    return reason ? reason : socket_reason(tracing);
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
    if (tracing->answer == ANSWER_NONE) {
        tracing->result.outcome =
            tracing->protocol == IPPROTO_UDP ? PEER_TRACE_ARRIVED : PEER_TRACE_SILENT;
        say(tracing, "%s at %s; no answer came",
            is_local(tracing) ? "arrived" : "forwarded, as far as can be seen,", end);
        return;
    }
    tracing->result.outcome = PEER_TRACE_ANSWERED;
    say(tracing, "arrived at %s: %s", end, answers[tracing->answer]);
}

static void judge_refusal(struct tracing *tracing)
{
    char from[PEER_ADDR_TEXT];

    tracing->result.station = "answer";
    if (tracing->answer == ANSWER_RST) {
        tracing->result.reason = "refused";
        say(tracing, "the answer is a reset: the connection is refused");
        return;
    }
    tracing->result.reason = "icmp-error";
    if (tracing->icmp_from.family)
        say(tracing, "%s answers with an ICMP error, type %u code %u",
            peer_addr_format(&tracing->icmp_from, from), tracing->icmp_type, tracing->icmp_code);
    else
        say(tracing, "the answer is an ICMP error: unreachable");
}

static enum peer_trace_outcome outcome_of_loss(const struct tracing *tracing)
{
    return tracing->answer == ANSWER_RST || tracing->answer == ANSWER_ICMP ? PEER_TRACE_REFUSED
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
    } else if (drop) {
        judge_cause(tracing,
                    strcmp(drop->reason, "NETFILTER_DROP") ? drop->reason : "unknown-hook");
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
    const bool answered = tracing->answer == ANSWER_SYN_ACK || tracing->answer == ANSWER_DATA ||
                          tracing->answer == ANSWER_ECHO;

    result->answer_ns = tracing->answer == ANSWER_NONE
                            ? PEER_TRACE_NO_TIME
                            : (int64_t)(tracing->answer_ns - tracing->sent_ns);
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
    const char *reason = reason_there(tracing);
    if (reason) {
        result->outcome = outcome_of_loss(tracing);
        judge_cause(tracing, reason);
        return;
    }
    if (tracing->answer != ANSWER_NONE) {
        result->outcome = PEER_TRACE_REFUSED;
        judge_refusal(tracing);
        return;
    }
    judge_back(tracing);
}
