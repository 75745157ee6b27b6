/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETLINK_RTNL_INTERNAL_H
#define KERNEL_NETLINK_RTNL_INTERNAL_H

#include "kernel/netlink/netlink.h"
#include "kernel/netlink/rtnl.h"

/* Shared by link.c, addr.c, route.c and neigh.c. */

struct rtnl {
    struct nl nl;
};

/** The name of a device, or "#7" when there is none of that index. Keeps the last failure's
 *  words. */
const char *rtnl_device_text(struct rtnl *rtnl, int ifindex, char buf[IF_NAMESIZE]);
/** "192.0.2.0/24"; returns `buf`. */
enum { RTNL_PREFIX_TEXT = PEER_ADDR_TEXT + 4 };
const char *rtnl_prefix_text(const struct addr_prefix *prefix, char buf[RTNL_PREFIX_TEXT]);

/* Messages of the kernel to our types; false when it is not such a message or not a sound one. */
bool rtnl_link_parse(const struct nlmsghdr *message, struct rtnl_link *ret_link);
bool rtnl_addr_parse(const struct nlmsghdr *message, int *ret_ifindex,
                     struct addr_prefix *ret_prefix);
bool rtnl_neigh_parse(const struct nlmsghdr *message, int *ret_ifindex,
                      struct rtnl_neighbour *ret_neighbour);
/** Leaves `oif_name` empty. False also for routes that are not IP. Of several next hops the first
 * stands for all. */
bool rtnl_route_parse(const struct nlmsghdr *message, struct rtnl_route *ret_route);
/** The same with the next hop number `hop` (0, 1, ...); false when there are fewer. */
bool rtnl_route_parse_hop(const struct nlmsghdr *message, int hop, struct rtnl_route *ret_route);

#endif
