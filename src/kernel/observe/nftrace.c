/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: one socket owns the table that marks the packet (nftrace_setup.c), another
 * one hears the kernel's reports to the group NFNLGRP_NFTRACE, which tell of everybody's traced
 * packets. A report names the packet by an id only; but the first one of each chain quotes its
 * headers, and by them ids become ours.
 *
 * Reports are sent in the very call in which a packet passes, so after a write to the device all of
 * them wait in the socket.
 */
#include "kernel/observe/nftrace_internal.h"

#include "base/error.h"
#include "base/macro.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVENT_QUEUE_BYTES = 4 * 1024 * 1024 };

/* ---- words ---- */

const char *nftrace_hook_text(enum nftrace_hook hook)
{
    static const char *const texts[] = {"ingress", "prerouting",  "input",  "forward",
                                        "output",  "postrouting", "egress", ""};
    return texts[hook];
}

const char *nftrace_family_text(uint8_t family)
{
    static const char *const texts[] = {
        [NFPROTO_INET] = "inet",     [NFPROTO_IPV4] = "ip",       [NFPROTO_ARP] = "arp",
        [NFPROTO_NETDEV] = "netdev", [NFPROTO_BRIDGE] = "bridge", [NFPROTO_IPV6] = "ip6"};
    return family < ARRAY_SIZE(texts) && texts[family] ? texts[family] : "?";
}

const char *nftrace_verdict_text(enum nftrace_verdict verdict)
{
    static const char *const texts[] = {"accept", "drop",  "continue", "jump", "goto",
                                        "return", "queue", "stolen",   "?"};
    return texts[verdict];
}

enum nftrace_verdict nftrace_verdict_of(uint32_t code)
{
    switch ((int32_t)code) {
    case NFT_CONTINUE:
    case NFT_BREAK:
        return NFTRACE_CONTINUE;
    case NFT_JUMP:
        return NFTRACE_JUMP;
    case NFT_GOTO:
        return NFTRACE_GOTO;
    case NFT_RETURN:
        return NFTRACE_RETURN;
    default:
        break;
    }
    switch (code & NF_VERDICT_MASK) { /* above are an errno or the number of a queue */
    case NF_DROP:
        return NFTRACE_DROP;
    case NF_ACCEPT:
        return NFTRACE_ACCEPT;
    case NF_STOLEN:
        return NFTRACE_STOLEN;
    case NF_QUEUE:
        return NFTRACE_QUEUE;
    default:
        return NFTRACE_OTHER;
    }
}

/* ---- birth and death ---- */

int nftrace_open(int ret_fds[NFTRACE_FDS])
{
    int fds[NFTRACE_FDS];

    for (int i = 0; i < NFTRACE_FDS; i++) {
        fds[i] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
        if (fds[i] >= 0)
            continue;
        int status = -errno;
        while (i-- > 0)
            (void)close(fds[i]);
        return status;
    }
    memcpy(ret_fds, fds, sizeof(fds));
    return 0;
}

static int start(struct nftrace *nftrace)
{
    const int room = EVENT_QUEUE_BYTES;

    if (setsockopt(nftrace->events.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
        (void)setsockopt(nftrace->events.fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    int status = nl_member(&nftrace->events, NFNLGRP_NFTRACE, true);
    if (status == 0)
        status = nftrace_make_table(nftrace);
    if (status == 0)
        (void)nftrace_load_chains(nftrace); /* without them chains have no priority */
    return status;
}

int nftrace_new(const int fds[NFTRACE_FDS], const struct nftrace_config *config,
                struct nftrace **ret_nftrace, struct peer_error *error)
{
    struct nftrace *nftrace = calloc(1, sizeof(*nftrace));
    int status = nftrace ? 0 : -ENOMEM;

    if (status == 0) {
        nftrace->owner.fd = nftrace->events.fd = -1;
        nftrace->config = *config;
        status = nl_adopt(&nftrace->owner, fds[0], NETLINK_NETFILTER);
    }
    if (status == 0)
        status = nl_adopt(&nftrace->events, fds[1], NETLINK_NETFILTER);
    if (status < 0) {
        free(nftrace);
        (void)close(fds[0]);
        (void)close(fds[1]);
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot use netfilter's sockets: %s",
                         error_text(-status));
    }
    /* Port numbers are unique in a namespace, so two traces do not share a table. */
    (void)snprintf(nftrace->table, sizeof(nftrace->table), "peer-trace-%u", nftrace->owner.port_id);
    status = start(nftrace);
    if (status < 0) {
        (void)nl_fail(&nftrace->owner, status, error, "trace packets through netfilter");
        nftrace_free(nftrace);
        return status;
    }
    *ret_nftrace = nftrace;
    return 0;
}

struct nftrace *nftrace_free(struct nftrace *nftrace)
{
    if (!nftrace)
        return NULL;
    nl_done(&nftrace->owner);
    nl_done(&nftrace->events);
    free(nftrace->chains);
    free(nftrace);
    return NULL;
}

/* ---- events ---- */

/** The beginning of the packet: its addresses, and what comes behind. */
static void parse_packet(const struct nlattr *network, const struct nlattr *transport,
                         struct nftrace_event *event)
{
    struct iphdr v4;
    struct ip6_hdr v6;
    struct tcphdr tcp;
    uint8_t next[4];

    if (nl_get(network, &v6, sizeof(v6)) && v6.ip6_vfc >> 4 == 6) {
        event->src.family = event->dst.family = 6;
        memcpy(event->src.bytes, &v6.ip6_src, 16);
        memcpy(event->dst.bytes, &v6.ip6_dst, 16);
        event->protocol = v6.ip6_nxt;
    } else if (nl_get(network, &v4, sizeof(v4)) && v4.version == 4) {
        event->src.family = event->dst.family = 4;
        memcpy(event->src.bytes, &v4.saddr, 4);
        memcpy(event->dst.bytes, &v4.daddr, 4);
        event->protocol = v4.protocol;
    } else {
        return;
    }
    event->has_packet = true;
    if (!nl_get(transport, next, sizeof(next)))
        return;
    if (event->protocol == IPPROTO_TCP && nl_get(transport, &tcp, sizeof(tcp)))
        event->tcp_flags = tcp.th_flags;
    if (event->protocol == IPPROTO_TCP || event->protocol == IPPROTO_UDP) {
        event->sport = (uint16_t)(next[0] << 8 | next[1]);
        event->dport = (uint16_t)(next[2] << 8 | next[3]);
    } else {
        event->sport = next[0];
        event->dport = next[1];
    }
}

static enum nftrace_type event_type(const struct nlattr *const *table)
{
    switch (nft_get_u32(table[NFTA_TRACE_TYPE], NFT_TRACETYPE_UNSPEC)) {
    case NFT_TRACETYPE_POLICY:
        return NFTRACE_POLICY;
    case NFT_TRACETYPE_RETURN:
        return NFTRACE_RETURNED;
    case NFT_TRACETYPE_RULE:
        /* Without a rule: the packet as it came, or the end of a chain that was jumped to. */
        if (table[NFTA_TRACE_RULE_HANDLE])
            return NFTRACE_RULE;
        return table[NFTA_TRACE_NETWORK_HEADER] ? NFTRACE_HEADER : NFTRACE_RETURNED;
    default:
        return NFTRACE_HEADER;
    }
}

static void parse_verdict(const struct nlattr *const *table, struct nftrace_event *event)
{
    const struct nlattr *nested[NFTA_VERDICT_CHAIN + 1];

    event->verdict = NFTRACE_CONTINUE;
    nl_nested(table[NFTA_TRACE_VERDICT], nested, NFTA_VERDICT_CHAIN);
    if (event->type == NFTRACE_POLICY)
        event->verdict = nftrace_verdict_of(nft_get_u32(table[NFTA_TRACE_POLICY], NF_ACCEPT));
    else if (nested[NFTA_VERDICT_CODE])
        event->verdict = nftrace_verdict_of(nft_get_u32(nested[NFTA_VERDICT_CODE], 0));
    (void)nl_get_text(nested[NFTA_VERDICT_CHAIN], event->target, sizeof(event->target));
}

bool nftrace_event_parse(const struct nlmsghdr *message, struct nftrace_event *ret_event)
{
    const struct nlattr *table[NFTA_TRACE_POLICY + 1];
    struct nftrace_event event = {0};

    if (message->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE) ||
        !nl_attributes(message, sizeof(struct nfgenmsg), table, NFTA_TRACE_POLICY) ||
        !table[NFTA_TRACE_ID])
        return false;
    const struct nfgenmsg *head = nl_payload(message, sizeof(*head));
    event.id = nft_get_u32(table[NFTA_TRACE_ID], 0);
    event.type = event_type(table);
    event.chain.family = head->nfgen_family;
    event.chain.hook = NFTRACE_NO_HOOK;
    (void)nl_get_text(table[NFTA_TRACE_TABLE], event.chain.table, sizeof(event.chain.table));
    (void)nl_get_text(table[NFTA_TRACE_CHAIN], event.chain.name, sizeof(event.chain.name));
    event.handle = nft_get_u64(table[NFTA_TRACE_RULE_HANDLE]);
    event.iif = (int)nft_get_u32(table[NFTA_TRACE_IIF], 0);
    event.oif = (int)nft_get_u32(table[NFTA_TRACE_OIF], 0);
    event.mark = nft_get_u32(table[NFTA_TRACE_MARK], 0);
    parse_verdict(table, &event);
    parse_packet(table[NFTA_TRACE_NETWORK_HEADER], table[NFTA_TRACE_TRANSPORT_HEADER], &event);
    *ret_event = event;
    return true;
}

/** The packet's entry among ours, or -1. */
static int find_id(const struct nftrace *nftrace, uint32_t id)
{
    for (int i = 0; i < nftrace->id_count; i++)
        if (nftrace->ids[i].id == id)
            return i;
    return -1;
}

/** A segment of the connection that was opened by the traced packet. */
static bool is_later(const struct nftrace_event *event)
{
    return event->protocol == IPPROTO_TCP && (event->tcp_flags & (TH_SYN | TH_ACK)) != TH_SYN;
}

static bool is_there(const struct nftrace_config *config, const struct nftrace_event *event)
{
    if (!event->has_packet || !peer_addr_equal(&event->src, &config->peer) ||
        event->protocol != config->protocol)
        return false;
    if (is_later(event))
        return false;
    return (config->protocol != IPPROTO_TCP && config->protocol != IPPROTO_UDP) ||
           (event->sport == config->peer_port && event->dport == config->port);
}

/** Is it one of our packets, and which way does it go? */
static bool claim(struct nftrace *nftrace, struct nftrace_event *event)
{
    const bool back = event->has_packet && peer_addr_equal(&event->dst, &nftrace->config.peer);
    int i = find_id(nftrace, event->id);

    /* Ids return with the memory of packets: headers that say otherwise win. */
    if (i >= 0 && event->has_packet && !back && is_later(event)) {
        nftrace->ids[i] = nftrace->ids[--nftrace->id_count];
        return false;
    }
    if (i < 0 && (back || is_there(&nftrace->config, event))) {
        if (nftrace->id_count == NFTRACE_IDS)
            return false;
        i = nftrace->id_count++;
        nftrace->ids[i].id = event->id;
        nftrace->ids[i].back = back;
    }
    if (i < 0)
        return false;
    if (back || is_there(&nftrace->config, event))
        nftrace->ids[i].back = back;
    event->back = nftrace->ids[i].back;
    return true;
}

static void describe_chain(const struct nftrace *nftrace, struct nftrace_event *event)
{
    struct nftrace_chain *chain = &event->chain;

    event->ours = !strcmp(chain->table, nftrace->table);
    if (event->ours) {
        (void)nftrace_own_chain(chain->name, &chain->hook, &chain->priority);
        return;
    }
    for (int i = 0; i < nftrace->chain_count; i++) {
        const struct nftrace_chain *known = &nftrace->chains[i];
        if (known->family != chain->family || strcmp(known->table, chain->table) != 0 ||
            strcmp(known->name, chain->name) != 0)
            continue;
        *chain = *known;
        return;
    }
}

struct collection {
    struct nftrace_event *events;
    int room, count;
    uint64_t lost;
};

static void take_datagram(struct nftrace *nftrace, size_t len, struct collection *collection)
{
    const struct nl_answers datagram = {.bytes = nftrace->events.buffer, .len = len};

    for (const struct nlmsghdr *m = nl_next(&datagram, NULL); m; m = nl_next(&datagram, m)) {
        struct nftrace_event event;
        if (!nftrace_event_parse(m, &event))
            continue;
        event.serial = nftrace->received++;
        if (!claim(nftrace, &event))
            continue;
        describe_chain(nftrace, &event);
        if (collection->count == collection->room)
            collection->lost++;
        else
            collection->events[collection->count++] = event;
    }
}

int nftrace_collect(struct nftrace *nftrace, struct nftrace_event *events, int room,
                    uint64_t *ret_lost)
{
    struct collection collection = {.events = events, .room = room};
    struct nl *nl = &nftrace->events;
    bool overrun = false;

    for (;;) {
        ssize_t n = recv(nl->fd, nl->buffer, sizeof(nl->buffer), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENOBUFS) {
            overrun = true;
            continue;
        }
        if (n < 0)
            break;
        take_datagram(nftrace, (size_t)n, &collection);
    }
    if (ret_lost)
        *ret_lost = collection.lost;
    return overrun ? -ENOBUFS : collection.count;
}

uint64_t nftrace_received(const struct nftrace *nftrace)
{
    return nftrace->received;
}
