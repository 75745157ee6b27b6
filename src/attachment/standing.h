/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTACHMENT_STANDING_H
#define ATTACHMENT_STANDING_H

#include "base/addr_set.h"
#include "kernel/netlink/rtnl.h"

#include <peer/peer.h>

/**
 * What stands on the machine for the peers of a device: addresses of the local side, routes,
 * permanent neighbours. The kernel takes some of it away when the device goes down, its MAC is
 * changed, or its MTU falls below what IPv6 needs.
 */
struct standing {
    struct rtnl *rtnl;
    int ifindex;
    int neighbour_ifindex; /* the wire's card, else `ifindex` */
    bool by_wire;          /* no addresses and no routes are ours then */
    enum peer_device_kind kind;
    struct peer_mac mac;          /* of the device, TAP */
    const struct addr_set *peers; /* outlives it */
    struct peer_mac first_mac;    /* of the first peer */
    struct addr_prefix local;     /* the local side's address, family 0: none */
    bool local_is_source;         /* and answers to peers come from it */
    enum peer_neighbours neighbours;
};
/** The local side's addresses; -errno with text. -EEXIST when one is there. */
int standing_add_local(const struct standing *standing, struct peer_error *error);
/** The fewest prefixes that cover the peers. -EEXIST likewise. */
int standing_add_routes(const struct standing *standing, struct peer_error *error);
int standing_add_neighbours(const struct standing *standing, struct peer_error *error);
/** All of it again, but for what is there. 0 or -errno with text. */
int standing_restore(const struct standing *standing, struct peer_error *error);
/** Is the route to this prefix one of it? So is that of the local address' subnet, with peers in it. */
bool standing_has_route(const struct standing *standing, const struct addr_prefix *prefix);

#endif
