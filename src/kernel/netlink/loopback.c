/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is called localhost, led elsewhere. lo gets 127.0.0.2/8 in place of 127.0.0.1/8, and by that the
 * rest of 127.0.0.0/8 stays the namespace's own, now with that address as the source. The table local
 * is asked before all others, and in it the longest prefix wins: a unicast route for 127.0.0.1 alone.
 *
 * For ::1 there is no such way: IPv6 drops what comes from it by any device but lo. Taken away it has
 * no route, and a program that tried it first goes on with 127.0.0.1.
 */
#include "kernel/netlink/rtnl_internal.h"

#include "base/error.h"

#include <errno.h>
#include <linux/rtnetlink.h>

enum { LO = 1 }; /* in every namespace */

static const struct addr_prefix localhost = {{4, {127, 0, 0, 1}}, 8};
static const struct addr_prefix instead = {{4, {127, 0, 0, 2}}, 8};
static const struct addr_prefix localhost6 = {{6, {[15] = 1}}, 128};

static int drop_addr(struct rtnl *rtnl, const struct addr_prefix *prefix)
{
    const struct ifaddrmsg info = {.ifa_family = (uint8_t)nl_family(prefix->addr.family),
                                   .ifa_prefixlen = prefix->length,
                                   .ifa_index = LO};
    struct nl_request request;

    nl_begin(&request, RTM_DELADDR, 0, &info, sizeof(info));
    nl_put_addr(&request, IFA_LOCAL, &prefix->addr);
    return nl_call(&rtnl->nl, &request, NULL);
}

static int add_route(struct rtnl *rtnl, int ifindex, const struct peer_addr *prefsrc)
{
    const struct rtmsg info = {
        .rtm_family = AF_INET,
        .rtm_dst_len = 32,
        .rtm_table = RT_TABLE_LOCAL,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_scope = RT_SCOPE_LINK,
        .rtm_type = RTN_UNICAST,
    };
    struct nl_request request;

    nl_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
    nl_put_addr(&request, RTA_DST, &localhost.addr);
    nl_put_u32(&request, RTA_OIF, (uint32_t)ifindex);
    nl_put_addr(&request, RTA_PREFSRC, prefsrc);
    return nl_call(&rtnl->nl, &request, NULL);
}

int rtnl_localhost_lead(struct rtnl *rtnl, int ifindex, const struct peer_addr *prefsrc,
                        struct peer_error *error)
{
    int status = drop_addr(rtnl, &localhost);

    if (status == 0)
        status = rtnl_addr_add(rtnl, LO, &instead, NULL);
    if (status == 0)
        status = add_route(rtnl, ifindex, prefsrc);
    if (status < 0)
        return nl_fail(&rtnl->nl, status, error, "lead 127.0.0.1 to another device");
    (void)drop_addr(rtnl, &localhost6); /* where it is not there, it leads nowhere already */
    return 0;
}
