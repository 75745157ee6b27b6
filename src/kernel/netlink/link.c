/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: RTM_NEWLINK to change, RTM_GETLINK to read. Within one message the kernel
 * brings a link up before it looks at the address family part, so the IPv6 switch goes ahead in a
 * message of its own: otherwise the link-local address would be there before it was forbidden.
 */
#include "kernel/netlink/rtnl_internal.h"

#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

static int set_ipv6_autoconf_off(struct rtnl *rtnl, int ifindex)
{
    const struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
    struct nl_request request;

    nl_begin(&request, RTM_NEWLINK, 0, &info, sizeof(info));
    struct nlattr *spec = nl_nest(&request, IFLA_AF_SPEC);
    struct nlattr *inet6 = nl_nest(&request, AF_INET6);
    nl_put_u8(&request, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    nl_nest_end(&request, inet6);
    nl_nest_end(&request, spec);
    int r = nl_call(&rtnl->nl, &request, NULL);
    /* No IPv6 in this kernel or on this device: then there is no autoconfiguration either. */
    return r == -EAFNOSUPPORT || r == -EOPNOTSUPP ? 0 : r;
}

static int set_rest(struct rtnl *rtnl, int ifindex, const struct rtnl_link_change *change)
{
    struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
    struct nl_request request;

    if (change->up)
        info.ifi_flags = info.ifi_change = IFF_UP;
    nl_begin(&request, RTM_NEWLINK, 0, &info, sizeof(info));
    if (change->mtu)
        nl_put_u32(&request, IFLA_MTU, change->mtu);
    if (change->txqueuelen)
        nl_put_u32(&request, IFLA_TXQLEN, change->txqueuelen);
    if (change->mac)
        nl_put(&request, IFLA_ADDRESS, change->mac->bytes, sizeof(change->mac->bytes));
    return nl_call(&rtnl->nl, &request, NULL);
}

int rtnl_link_set(struct rtnl *rtnl, int ifindex, const struct rtnl_link_change *change,
                  struct peer_error *error)
{
    char device[IF_NAMESIZE];
    int r = 0;

    if (change->no_ipv6_autoconf)
        r = set_ipv6_autoconf_off(rtnl, ifindex);
    if (r == 0 && (change->up || change->mtu || change->txqueuelen || change->mac))
        r = set_rest(rtnl, ifindex, change);
    if (r < 0)
        return nl_fail(&rtnl->nl, r, error, "set up device %s",
                       rtnl_device_text(rtnl, ifindex, device));
    return 0;
}

int rtnl_link_remove(struct rtnl *rtnl, int ifindex)
{
    const struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
    struct nl_request request;

    nl_begin(&request, RTM_DELLINK, 0, &info, sizeof(info));
    return nl_call(&rtnl->nl, &request, NULL);
}

int rtnl_link_no_queue(struct rtnl *rtnl, int ifindex)
{
    const struct tcmsg info = {.tcm_ifindex = ifindex, .tcm_parent = TC_H_ROOT};
    struct nl_request request;

    nl_begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
    nl_put(&request, TCA_KIND, "noqueue", sizeof("noqueue"));
    return nl_call(&rtnl->nl, &request, NULL);
}

static void parse_stats(const struct nlattr *attribute, struct rtnl_link *link)
{
    struct rtnl_link_stats64 stats;
    /* The structure grows with the kernel; only its beginning is wanted. */
    const size_t wanted = offsetof(struct rtnl_link_stats64, multicast);

    memset(&stats, 0, sizeof(stats));
    if (!nl_get(attribute, &stats, wanted))
        return;
    link->rx_packets = stats.rx_packets;
    link->tx_packets = stats.tx_packets;
    link->rx_dropped = stats.rx_dropped;
    link->tx_dropped = stats.tx_dropped;
}

bool rtnl_link_parse(const struct nlmsghdr *message, struct rtnl_link *ret_link)
{
    const struct nlattr *table[IFLA_MAX + 1], *nested[IFLA_INFO_SLAVE_KIND + 1];
    struct rtnl_link link = {0};
    char kind[32];

    if (message->nlmsg_type != RTM_NEWLINK ||
        !nl_attributes(message, sizeof(struct ifinfomsg), table, IFLA_MAX))
        return false;
    const struct ifinfomsg *info = nl_payload(message, sizeof(*info));
    if (info->ifi_index <= 0 || !nl_get_text(table[IFLA_IFNAME], link.name, sizeof(link.name)))
        return false;
    link.ifindex = info->ifi_index;
    link.flags = info->ifi_flags;
    (void)nl_get(table[IFLA_MTU], &link.mtu, sizeof(link.mtu));
    parse_stats(table[IFLA_STATS64], &link);
    link.type = info->ifi_type;
    (void)nl_get(table[IFLA_ADDRESS], link.mac.bytes, sizeof(link.mac.bytes));
    (void)nl_get(table[IFLA_MASTER], &link.master, sizeof(link.master));
    nl_nested(table[IFLA_LINKINFO], nested, IFLA_INFO_SLAVE_KIND);
    (void)nl_get_text(nested[IFLA_INFO_SLAVE_KIND], link.slave_kind, sizeof(link.slave_kind));
    link.is_tun = nl_get_text(nested[IFLA_INFO_KIND], kind, sizeof(kind)) && !strcmp(kind, "tun");
    *ret_link = link;
    return true;
}

static int get(struct rtnl *rtnl, int ifindex, const char *name, struct rtnl_link *ret_link)
{
    const struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex};
    struct nl_answers answers = {0};
    struct nl_request request;

    nl_begin(&request, RTM_GETLINK, 0, &info, sizeof(info));
    if (ifindex <= 0)
        nl_put(&request, IFLA_IFNAME, name, strlen(name) + 1);
    int r = nl_call(&rtnl->nl, &request, &answers);
    if (r == 0) {
        r = -ENODEV;
        for (const struct nlmsghdr *m = nl_next(&answers, NULL); m; m = nl_next(&answers, m))
            if (rtnl_link_parse(m, ret_link)) {
                r = 0;
                break;
            }
    }
    nl_answers_done(&answers);
    return r;
}

int rtnl_link_get(struct rtnl *rtnl, int ifindex, const char *name, struct rtnl_link *ret_link,
                  struct peer_error *error)
{
    assert(ifindex > 0 || name);
    int r;

    rtnl->nl.why[0] = '\0';
    if (ifindex <= 0 && (name[0] == '\0' || strlen(name) >= IF_NAMESIZE))
        r = -ENODEV; /* no device can have it */
    else
        r = get(rtnl, ifindex, name, ret_link);
    if (r < 0 && ifindex > 0)
        return nl_fail(&rtnl->nl, r, error, "find the device with index %d", ifindex);
    if (r < 0)
        return nl_fail(&rtnl->nl, r, error, "find device %.64s", name);
    return 0;
}

const char *rtnl_device_text(struct rtnl *rtnl, int ifindex, char buf[IF_NAMESIZE])
{
    char why[NL_WHY_BYTES];
    struct rtnl_link link;

    memcpy(why, rtnl->nl.why, sizeof(why));
    if (get(rtnl, ifindex, NULL, &link) == 0)
        memcpy(buf, link.name, sizeof(link.name));
    else
        (void)snprintf(buf, IF_NAMESIZE, "#%d", ifindex);
    memcpy(rtnl->nl.why, why, sizeof(why));
    return buf;
}
