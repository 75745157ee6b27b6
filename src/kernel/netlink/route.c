/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: RTM_NEWROUTE adds, a dump of RTM_GETROUTE lists, and RTM_GETROUTE without
 * the dump flag is the kernel's own look-up. That one is asked for the matching entry of the table
 * (RTM_F_FIB_MATCH): without it the answer for an address of our own is always "dev lo", and the
 * prefix is lost.
 *
 * IPv4 answers with a verdict (an errno) where a packet would be refused. IPv6 answers with the
 * entry, so entries that refuse are turned into the verdicts of IPv4 here.
 */
#include "kernel/netlink/rtnl_internal.h"

#include "base/error.h"
#include "base/macro.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

/** Clears the host bits: the kernel takes no others. */
static struct addr_prefix network(const struct addr_prefix *prefix)
{
    struct addr_prefix result = *prefix;

    for (unsigned i = 0; i < sizeof(result.addr.bytes); i++) {
        unsigned before = i * 8;
        if (before >= prefix->length)
            result.addr.bytes[i] = 0;
        else if (prefix->length - before < 8)
            result.addr.bytes[i] &= (uint8_t)(0xff00 >> (prefix->length - before));
    }
    return result;
}

int rtnl_route_add(struct rtnl *rtnl, int ifindex, const struct addr_prefix *prefix,
                   const struct peer_addr *gateway, const struct peer_addr *prefsrc,
                   struct peer_error *error)
{
    char device[IF_NAMESIZE], text[RTNL_PREFIX_TEXT];
    const struct addr_prefix dst = network(prefix);
    const struct rtmsg info = {
        .rtm_family = (uint8_t)nl_family(dst.addr.family),
        .rtm_dst_len = dst.length,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = dst.addr.family == 4 && !gateway ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
        .rtm_type = RTN_UNICAST,
        .rtm_flags = gateway ? RTNH_F_ONLINK : 0,
    };
    struct nl_request request;

    nl_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    nl_put_addr(&request, RTA_DST, &dst.addr);
    nl_put_u32(&request, RTA_OIF, (uint32_t)ifindex);
    if (gateway)
        nl_put_addr(&request, RTA_GATEWAY, gateway);
    if (prefsrc)
        nl_put_addr(&request, RTA_PREFSRC, prefsrc);
    int r = nl_call(&rtnl->nl, &request, NULL);
    if (r < 0)
        return nl_fail(&rtnl->nl, r, error, "add route %s dev %s", rtnl_prefix_text(&dst, text),
                       rtnl_device_text(rtnl, ifindex, device));
    return 0;
}

/** A gateway, perhaps of the other family. */
static void parse_gateway(const struct nlattr *gateway, const struct nlattr *via, int family,
                          struct rtnl_route *route)
{
    struct peer_addr addr = {0};
    struct rtvia head;

    if (nl_get_addr(gateway, family, &route->gateway) || !nl_get(via, &head, sizeof(head)))
        return;
    size_t len = nl_addr_len(head.rtvia_family);
    if (len == 0 || nl_len(via) != sizeof(head) + len)
        return;
    addr.family = head.rtvia_family == AF_INET6 ? 6 : 4;
    memcpy(addr.bytes, (const uint8_t *)nl_data(via) + sizeof(head), len);
    route->gateway = addr;
}

/** The next hops of a multipath route, one behind the other in an attribute. */
struct hops {
    const uint8_t *at;
    size_t left;
};

/** The next one, which is `ret_hop->rtnh_len` bytes at the result; NULL at the end. */
static const uint8_t *next_hop(struct hops *hops, struct rtnexthop *ret_hop)
{
    const uint8_t *at = hops->at;

    if (hops->left < sizeof(*ret_hop))
        return NULL;
    memcpy(ret_hop, at, sizeof(*ret_hop));
    if (ret_hop->rtnh_len < sizeof(*ret_hop) || ret_hop->rtnh_len > hops->left)
        return NULL;
    const size_t step = MIN((size_t)RTNH_ALIGN(ret_hop->rtnh_len), hops->left);
    hops->at += step;
    hops->left -= step;
    return at;
}

/** Counts them all, and takes number `wanted`. */
static void parse_multipath(const struct nlattr *multipath, int family, int wanted,
                            struct rtnl_route *route)
{
    const struct nlattr *table[RTA_VIA + 1];
    struct hops hops = {0};
    struct rtnexthop hop;
    const uint8_t *at;
    int first = 0;

    if (multipath)
        hops = (struct hops){nl_data(multipath), nl_len(multipath)};
    while ((at = next_hop(&hops, &hop))) {
        if (route->hop_count == 0)
            first = hop.rtnh_ifindex;
        route->several_devices = route->several_devices || hop.rtnh_ifindex != first;
        if (route->hop_count++ != wanted)
            continue;
        route->oif = hop.rtnh_ifindex;
        nl_file(at + sizeof(hop), hop.rtnh_len - sizeof(hop), table, RTA_VIA);
        parse_gateway(table[RTA_GATEWAY], table[RTA_VIA], family, route);
    }
}

bool rtnl_route_parse_hop(const struct nlmsghdr *message, int hop, struct rtnl_route *ret_route)
{
    const struct nlattr *table[RTA_MAX + 1];
    struct rtnl_route route = {0};

    if (message->nlmsg_type != RTM_NEWROUTE ||
        !nl_attributes(message, sizeof(struct rtmsg), table, RTA_MAX))
        return false;
    const struct rtmsg *info = nl_payload(message, sizeof(*info));
    const int family = info->rtm_family;
    if (nl_addr_len(family) == 0 || info->rtm_dst_len > nl_addr_len(family) * 8)
        return false;
    route.dst.addr.family = family == AF_INET6 ? 6 : 4;
    route.dst.length = info->rtm_dst_len;
    if (info->rtm_dst_len > 0 && !nl_get_addr(table[RTA_DST], family, &route.dst.addr))
        return false;
    route.type = info->rtm_type;
    route.scope = info->rtm_scope;
    route.table = info->rtm_table;
    (void)nl_get(table[RTA_TABLE], &route.table, sizeof(route.table));
    (void)nl_get_addr(table[RTA_PREFSRC], family, &route.prefsrc);
    parse_multipath(table[RTA_MULTIPATH], family, hop, &route);
    if (hop > 0 && hop >= route.hop_count)
        return false;
    (void)nl_get(table[RTA_OIF], &route.oif, sizeof(route.oif));
    parse_gateway(table[RTA_GATEWAY], table[RTA_VIA], family, &route);
    *ret_route = route;
    return true;
}

bool rtnl_route_parse(const struct nlmsghdr *message, struct rtnl_route *ret_route)
{
    return rtnl_route_parse_hop(message, 0, ret_route);
}

static const char *type_text(uint8_t type)
{
    static const char *const names[] = {
        [RTN_UNSPEC] = "",
        [RTN_UNICAST] = "",
        [RTN_LOCAL] = "local ",
        [RTN_BROADCAST] = "broadcast ",
        [RTN_ANYCAST] = "anycast ",
        [RTN_MULTICAST] = "multicast ",
        [RTN_BLACKHOLE] = "blackhole ",
        [RTN_UNREACHABLE] = "unreachable ",
        [RTN_PROHIBIT] = "prohibit ",
        [RTN_THROW] = "throw ",
        [RTN_NAT] = "nat ",
        [RTN_XRESOLVE] = "xresolve ",
    };
    return type < ARRAY_SIZE(names) ? names[type] : "";
}

const char *rtnl_route_format(const struct rtnl_route *route, char *buf, size_t room)
{
    char prefix[RTNL_PREFIX_TEXT], addr[PEER_ADDR_TEXT];
    char via[PEER_ADDR_TEXT + 16] = "", device[IF_NAMESIZE + 8] = "", table[24] = "", hops[40] = "";

    if (route->dst.length == 0)
        (void)snprintf(prefix, sizeof(prefix), "default");
    else
        (void)rtnl_prefix_text(&route->dst, prefix);
    if (route->gateway.family)
        (void)snprintf(via, sizeof(via), " via %s", peer_addr_format(&route->gateway, addr));
    if (route->oif_name[0])
        (void)snprintf(device, sizeof(device), " dev %s", route->oif_name);
    else if (route->oif)
        (void)snprintf(device, sizeof(device), " dev #%d", route->oif);
    if (route->table != RT_TABLE_MAIN && route->table != RT_TABLE_LOCAL && route->table != 0)
        (void)snprintf(table, sizeof(table), " table %u", route->table);
    if (route->hop_count > 1)
        (void)snprintf(hops, sizeof(hops), ", one of %d next hops", route->hop_count);
    (void)snprintf(buf, room, "%s%s%s%s%s%s", type_text(route->type), prefix, via, device, table,
                   hops);
    return buf;
}

/** What the kernel remembers about one destination (path MTU, redirect) and what is no route. */
static bool is_clone(const struct nlmsghdr *message)
{
    const struct rtmsg *info = nl_payload(message, sizeof(*info));
    return info->rtm_flags & RTM_F_CLONED;
}

/** Names of devices already asked for; a dump of routes repeats few of them often. */
struct names {
    struct {
        int ifindex;
        char name[IF_NAMESIZE];
    } entries[16];
};

static void name_device(struct rtnl *rtnl, struct names *names, struct rtnl_route *route)
{
    if (route->oif <= 0)
        return;
    unsigned slot = (unsigned)route->oif % ARRAY_SIZE(names->entries);
    if (names->entries[slot].ifindex != route->oif) {
        (void)rtnl_device_text(rtnl, route->oif, names->entries[slot].name);
        names->entries[slot].ifindex = route->oif;
    }
    memcpy(route->oif_name, names->entries[slot].name, sizeof(route->oif_name));
}

int rtnl_route_each(struct rtnl *rtnl, uint8_t family,
                    int (*each)(void *user, const struct rtnl_route *route), void *user,
                    struct peer_error *error)
{
    const struct rtmsg info = {.rtm_family = (uint8_t)nl_family(family)};
    struct nl_answers answers = {0};
    struct nl_request request;
    struct names names = {0};

    nl_begin(&request, RTM_GETROUTE, 0, &info, sizeof(info));
    int r = nl_dump(&rtnl->nl, &request, &answers);
    if (r < 0)
        r = nl_fail(&rtnl->nl, r, error, "list the IPv%u routes", family);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && r == 0;
         m = nl_next(&answers, m)) {
        struct rtnl_route route;
        for (int hop = 0; r == 0 && rtnl_route_parse_hop(m, hop, &route); hop++) {
            if (route.dst.addr.family != family || is_clone(m))
                break;
            name_device(rtnl, &names, &route);
            r = each(user, &route);
        }
    }
    nl_answers_done(&answers);
    return r;
}

int rtnl_nexthop_each(struct rtnl *rtnl, uint8_t family,
                      int (*each)(void *user, int oif, const struct peer_addr *gateway), void *user,
                      struct peer_error *error)
{
    const struct nhmsg info = {.nh_family = AF_UNSPEC};
    const struct nlattr *table[NHA_GATEWAY + 1];
    struct nl_answers answers = {0};
    struct nl_request request;
    struct peer_addr gateway;
    int oif = 0;

    nl_begin(&request, RTM_GETNEXTHOP, 0, &info, sizeof(info));
    int r = nl_dump(&rtnl->nl, &request, &answers);
    if (r == -EOPNOTSUPP)
        r = 0; /* before Linux 5.3 */
    if (r < 0)
        r = nl_fail(&rtnl->nl, r, error, "list the next hops");
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && r == 0;
         m = nl_next(&answers, m)) {
        if (m->nlmsg_type == RTM_NEWNEXTHOP && nl_attributes(m, sizeof(info), table, NHA_GATEWAY) &&
            nl_get(table[NHA_OIF], &oif, sizeof(oif)) &&
            nl_get_addr(table[NHA_GATEWAY], nl_family(family), &gateway))
            r = each(user, oif, &gateway);
    }
    nl_answers_done(&answers);
    return r;
}

struct conflict {
    const struct addr_prefix *prefix;
    struct rtnl_route route;
    bool found;
};

/** Routes that every device has and that take nothing from anybody. A whole prefix that is local
 *  (every address on lo has its subnet so) is none of those. */
static bool is_housekeeping(const struct rtnl_route *route)
{
    const uint8_t *b = route->dst.addr.bytes;
    const int bits = route->dst.addr.family == 6 ? 128 : 32;

    if (route->dst.length == 0)
        return true;
    if (route->table == RT_TABLE_LOCAL)
        return route->type != RTN_LOCAL || route->dst.length == bits;
    if (route->dst.addr.family != 6)
        return false;
    return (route->dst.length >= 10 && b[0] == 0xfe && (b[1] & 0xc0) == 0x80) ||
           (route->dst.length >= 8 && b[0] == 0xff);
}

static int note_conflict(void *user, const struct rtnl_route *route)
{
    struct conflict *conflict = user;

    if (is_housekeeping(route) || !addr_prefix_overlap(&route->dst, conflict->prefix))
        return 0;
    if (!conflict->found || route->dst.length > conflict->route.dst.length)
        conflict->route = *route;
    conflict->found = true;
    return 0;
}

int rtnl_route_conflict(struct rtnl *rtnl, const struct addr_prefix *prefix,
                        struct rtnl_route *ret_route, struct peer_error *error)
{
    struct conflict conflict = {.prefix = prefix};

    int r = rtnl_route_each(rtnl, prefix->addr.family, note_conflict, &conflict, error);
    if (r < 0 || !conflict.found)
        return r;
    *ret_route = conflict.route;
    return 1;
}

/** The verdict that an entry stands for. */
static int type_verdict(uint8_t type)
{
    switch (type) {
    case RTN_BLACKHOLE:
        return -EINVAL;
    case RTN_UNREACHABLE:
        return -EHOSTUNREACH;
    case RTN_PROHIBIT:
        return -EACCES;
    case RTN_THROW:
        return -EAGAIN;
    default:
        return 0;
    }
}

/** Words for the verdicts whose errno says nothing to a person; NULL for the others. */
static const char *verdict_text(int verdict, bool arriving)
{
    if (verdict == -EACCES)
        return "a route prohibits it";
    if (verdict != -EINVAL)
        return NULL;
    return arriving ? "the kernel drops such packets (impossible address, rp_filter, or a "
                      "blackhole route)"
                    : "the route is a blackhole, or the address is impossible";
}

static void put_port(struct nl_request *request, uint16_t type, uint16_t port)
{
    const uint16_t number = htons(port);

    if (port)
        nl_put(request, type, &number, sizeof(number));
}

static void build_lookup(struct nl_request *request, const struct rtnl_lookup *lookup)
{
    const uint8_t bits = (uint8_t)(nl_addr_len(nl_family(lookup->dst.family)) * 8);
    const bool has_ports = lookup->protocol == IPPROTO_TCP || lookup->protocol == IPPROTO_UDP;
    const struct rtmsg info = {
        .rtm_family = (uint8_t)nl_family(lookup->dst.family),
        .rtm_dst_len = bits,
        .rtm_src_len = lookup->src.family ? bits : 0,
        /* IPv6 refuses LOOKUP_TABLE and behaves as if it were given. */
        .rtm_flags = RTM_F_FIB_MATCH | (lookup->dst.family == 4 ? RTM_F_LOOKUP_TABLE : 0),
    };

    nl_begin(request, RTM_GETROUTE, 0, &info, sizeof(info));
    nl_put_addr(request, RTA_DST, &lookup->dst);
    if (lookup->src.family)
        nl_put_addr(request, RTA_SRC, &lookup->src);
    if (lookup->iif > 0)
        nl_put_u32(request, RTA_IIF, (uint32_t)lookup->iif);
    if (lookup->oif > 0)
        nl_put_u32(request, RTA_OIF, (uint32_t)lookup->oif);
    if (lookup->mark)
        nl_put_u32(request, RTA_MARK, lookup->mark);
    if (lookup->has_uid)
        nl_put_u32(request, RTA_UID, lookup->uid);
    if (lookup->protocol)
        nl_put_u8(request, RTA_IP_PROTO, lookup->protocol);
    put_port(request, RTA_SPORT, has_ports ? lookup->sport : 0);
    put_port(request, RTA_DPORT, has_ports ? lookup->dport : 0);
}

int rtnl_route_lookup(struct rtnl *rtnl, const struct rtnl_lookup *lookup,
                      struct rtnl_route *ret_route, struct peer_error *error)
{
    char dst[PEER_ADDR_TEXT], src[PEER_ADDR_TEXT];
    struct nl_answers answers = {0};
    struct nl_request request;
    struct names names = {0};
    struct rtnl_route route = {0};

    if (lookup->src.family && lookup->src.family != lookup->dst.family)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "%s and %s are addresses of two families",
                         peer_addr_format(&lookup->src, src), peer_addr_format(&lookup->dst, dst));
    build_lookup(&request, lookup);
    int r = nl_call(&rtnl->nl, &request, &answers);
    if (r == 0) {
        const struct nlmsghdr *m = nl_next(&answers, NULL);
        while (m && !rtnl_route_parse(m, &route))
            m = nl_next(&answers, m);
        r = m ? type_verdict(route.type) : -ENETUNREACH;
    }
    nl_answers_done(&answers);
    const char *text = verdict_text(r, lookup->iif > 0);
    if (text && !rtnl->nl.why[0])
        (void)snprintf(rtnl->nl.why, sizeof(rtnl->nl.why), "%s", text);
    if (r < 0)
        return nl_fail(&rtnl->nl, r, error, "route to %s%s%s", peer_addr_format(&lookup->dst, dst),
                       lookup->src.family ? " from " : "",
                       lookup->src.family ? peer_addr_format(&lookup->src, src) : "");
    name_device(rtnl, &names, &route);
    *ret_route = route;
    return 0;
}
