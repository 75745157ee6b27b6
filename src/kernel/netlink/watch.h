/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETLINK_WATCH_H
#define KERNEL_NETLINK_WATCH_H

#include "kernel/netlink/rtnl.h"

/**
 * News of a namespace: what anybody changed about its links, and which routes went. A descriptor
 * that is readable when there are some; it may be passed to another process.
 */
int watch_open(int *ret_fd, struct peer_error *error);

enum watch_kind {
    WATCH_LINK,       /* `link` is how it is since: up, down, another MAC, another MTU */
    WATCH_LINK_GONE,  /* `ifindex` */
    WATCH_ROUTE_GONE, /* `route`, which left by `ifindex` */
    WATCH_LOST,       /* more than were kept: anything may have changed */
};
struct watch_news {
    enum watch_kind kind;
    int ifindex;
    struct rtnl_link link;
    struct rtnl_route route; /* without oif_name */
};
/** Calls `each` for all that is there, oldest first. Never waits. */
void watch_read(int fd, void (*each)(void *user, const struct watch_news *news), void *user);

#endif
