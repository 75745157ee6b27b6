/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: RTM_NEWADDR to add, a dump of RTM_GETADDR to read. The kernel makes the
 * local route of a new IPv6 address in a work queue, after its acknowledgement; until then a packet
 * for it would be sent out rather than received. So an addition is over only when that route is
 * there.
 *
 * Whether an address is this machine's own is more than a look at the list: 127.0.0.5 and every
 * address of an "ip route add local" are, too, so the routes have the last word. But who asks right
 * after somebody else's addition may find the address in the list and no route to it yet: for some
 * milliseconds, or, while duplicates are looked for, for some seconds.
 */
#include "kernel/netlink/rtnl_internal.h"

#include "base/error.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

enum { ROUTE_WAIT_MS = 20, ROUTE_WAITS = 25, DUPLICATE_WAITS = 200 };

static bool is_local(struct rtnl *rtnl, const struct peer_addr *addr, int *ret_ifindex)
{
    const struct rtnl_lookup lookup = {.dst = *addr};
    struct rtnl_route route;

    /* A refusal here is the kernel's way to say no. */
    if (rtnl_route_lookup(rtnl, &lookup, &route, NULL) < 0 || route.type != RTN_LOCAL)
        return false;
    *ret_ifindex = route.oif;
    return true;
}

/**
 * Until the local route is there, but for `waits` at the most: somebody's routing rules may hide
 * it. A notification ends each wait early; one may get lost in the look-up, so waits are short.
 */
static bool await_local_route(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr,
                              int waits)
{
    struct rtnl_link link;
    int found;

    if (rtnl_link_get(rtnl, ifindex, NULL, &link, NULL) < 0 || !(link.flags & IFF_UP))
        return false; /* the route comes when the link comes up */
    for (int i = 0; i < waits && !is_local(rtnl, addr, &found); i++)
        nl_wait(&rtnl->nl, ROUTE_WAIT_MS);
    return is_local(rtnl, addr, &found);
}

static int add(struct rtnl *rtnl, int ifindex, const struct addr_prefix *prefix)
{
    struct ifaddrmsg info = {
        .ifa_family = (uint8_t)nl_family(prefix->addr.family),
        .ifa_prefixlen = prefix->length,
        .ifa_index = (uint32_t)ifindex,
    };
    struct nl_request request;

    /* Detection takes a second or two, in which nothing can be bound to the address. */
    if (prefix->addr.family == 6)
        info.ifa_flags = IFA_F_NODAD;
    nl_begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    nl_put_addr(&request, IFA_LOCAL, &prefix->addr);
    nl_put_addr(&request, IFA_ADDRESS, &prefix->addr);
    return nl_call(&rtnl->nl, &request, NULL);
}

int rtnl_addr_add(struct rtnl *rtnl, int ifindex, const struct addr_prefix *prefix,
                  struct peer_error *error)
{
    char device[IF_NAMESIZE], text[RTNL_PREFIX_TEXT];
    const bool v6 = prefix->addr.family == 6;

    if (v6)
        (void)nl_member(&rtnl->nl, RTNLGRP_IPV6_ROUTE, true);
    int r = add(rtnl, ifindex, prefix);
    if (r < 0)
        r = nl_fail(&rtnl->nl, r, error, "add address %s dev %s", rtnl_prefix_text(prefix, text),
                    rtnl_device_text(rtnl, ifindex, device));
    else if (v6)
        (void)await_local_route(rtnl, ifindex, &prefix->addr, ROUTE_WAITS);
    if (v6)
        (void)nl_member(&rtnl->nl, RTNLGRP_IPV6_ROUTE, false);
    return r;
}

bool rtnl_addr_parse(const struct nlmsghdr *message, int *ret_ifindex,
                     struct addr_prefix *ret_prefix)
{
    const struct nlattr *table[IFA_MAX + 1];
    struct addr_prefix prefix = {0};

    if (message->nlmsg_type != RTM_NEWADDR ||
        !nl_attributes(message, sizeof(struct ifaddrmsg), table, IFA_MAX))
        return false;
    const struct ifaddrmsg *info = nl_payload(message, sizeof(*info));
    /* On a point-to-point link IFA_ADDRESS is the other side's. */
    const struct nlattr *own = table[IFA_LOCAL] ? table[IFA_LOCAL] : table[IFA_ADDRESS];
    if (!nl_get_addr(own, info->ifa_family, &prefix.addr) ||
        info->ifa_prefixlen > nl_addr_len(info->ifa_family) * 8)
        return false;
    prefix.length = info->ifa_prefixlen;
    *ret_ifindex = (int)info->ifa_index;
    *ret_prefix = prefix;
    return true;
}

/** What IFA_FLAGS says, whose lower byte stands in the header too. */
static uint32_t addr_flags(const struct nlmsghdr *message)
{
    const struct nlattr *table[IFA_FLAGS + 1];
    const struct ifaddrmsg *info = nl_payload(message, sizeof(*info));
    uint32_t flags = info->ifa_flags;

    if (nl_attributes(message, sizeof(*info), table, IFA_FLAGS))
        (void)nl_get(table[IFA_FLAGS], &flags, sizeof(flags));
    return flags;
}

static int list_addrs(struct rtnl *rtnl, uint8_t family, struct nl_answers *answers)
{
    const struct ifaddrmsg info = {.ifa_family = family};
    struct nl_request request;

    nl_begin(&request, RTM_GETADDR, 0, &info, sizeof(info));
    return nl_dump(&rtnl->nl, &request, answers);
}

/** On which link is it? 0 for none; `ret_flags` are IFA_F_*. */
static int find_assigned(struct rtnl *rtnl, const struct peer_addr *addr, uint32_t *ret_flags)
{
    struct nl_answers answers = {0};
    struct addr_prefix prefix;
    int ifindex, found = 0;

    (void)list_addrs(rtnl, (uint8_t)nl_family(addr->family), &answers);
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && !found;
         m = nl_next(&answers, m)) {
        if (!rtnl_addr_parse(m, &ifindex, &prefix) || !peer_addr_equal(&prefix.addr, addr))
            continue;
        found = ifindex;
        *ret_flags = addr_flags(m);
    }
    nl_answers_done(&answers);
    return found;
}

bool rtnl_addr_is_local(struct rtnl *rtnl, const struct peer_addr *addr)
{
    uint32_t flags = 0;
    int ifindex;

    if (is_local(rtnl, addr, &ifindex))
        return true;
    if (addr->family != 6) /* IPv4's routes are there with the address */
        return false;
    (void)nl_member(&rtnl->nl, RTNLGRP_IPV6_ROUTE, true);
    ifindex = find_assigned(rtnl, addr, &flags);
    bool local =
        ifindex && !(flags & IFA_F_DADFAILED) &&
        await_local_route(rtnl, ifindex, addr,
                          flags & IFA_F_TENTATIVE ? DUPLICATE_WAITS : ROUTE_WAITS);
    (void)nl_member(&rtnl->nl, RTNLGRP_IPV6_ROUTE, false);
    return local;
}

int rtnl_addr_each(struct rtnl *rtnl,
                   int (*each)(void *user, int ifindex, const struct addr_prefix *prefix),
                   void *user, struct peer_error *error)
{
    struct nl_answers answers = {0};

    int r = list_addrs(rtnl, AF_UNSPEC, &answers);
    if (r < 0)
        r = nl_fail(&rtnl->nl, r, error, "list the addresses of this machine");
    for (const struct nlmsghdr *m = nl_next(&answers, NULL); m && r == 0;
         m = nl_next(&answers, m)) {
        struct addr_prefix prefix;
        int ifindex;
        if (rtnl_addr_parse(m, &ifindex, &prefix))
            r = each(user, ifindex, &prefix);
    }
    nl_answers_done(&answers);
    return r;
}

struct search {
    const struct peer_addr *addr;
    int ifindex;
};

static int match(void *user, int ifindex, const struct addr_prefix *prefix)
{
    struct search *search = user;
    if (!peer_addr_equal(&prefix->addr, search->addr))
        return 0;
    search->ifindex = ifindex;
    return 1;
}

int rtnl_addr_owned(struct rtnl *rtnl, const struct peer_addr *addr, int *ret_ifindex,
                    struct peer_error *error)
{
    struct search search = {.addr = addr};

    int r = rtnl_addr_each(rtnl, match, &search, error);
    if (r < 0)
        return r;
    if (r == 0 && !is_local(rtnl, addr, &search.ifindex))
        return 0;
    *ret_ifindex = search.ifindex;
    return 1;
}
