/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETLINK_RTNL_H
#define KERNEL_NETLINK_RTNL_H

#include <peer/addr.h>
#include <peer/error.h>
#include "base/addr_set.h"
#include <net/if.h>

/**
 * rtnetlink as verbs. One socket, bound to the namespace it was opened in; requests are
 * acknowledged one by one and the kernel's own extended-ack text ends up in `error`.
 * Every verb returns 0 or -errno.
 */
struct rtnl;
int rtnl_open(struct rtnl **ret_rtnl, struct peer_error *error);
/** Takes over a netlink route socket that another process opened (and passed). On failure `fd`
 * stays the caller's. */
int rtnl_adopt(int fd, struct rtnl **ret_rtnl, struct peer_error *error);
int rtnl_fd(const struct rtnl *rtnl);
struct rtnl *rtnl_free(struct rtnl *rtnl);

/** Changes of a link; a field left zero (or mac NULL) stays. IPv6 autoconfiguration is off before
 * the link comes up. */
struct rtnl_link_change {
    bool up;
    uint32_t mtu;
    uint32_t txqueuelen;
    const struct peer_mac *mac;
    bool no_ipv6_autoconf; /* IFLA_INET6_ADDR_GEN_MODE none: no link-local address, no MLD noise */
};
int rtnl_link_set(struct rtnl *rtnl, int ifindex, const struct rtnl_link_change *change,
                  struct peer_error *error);
/** Takes away the queue that the kernel puts before a device: for one that has its own. */
/** Removes it. */
int rtnl_link_remove(struct rtnl *rtnl, int ifindex);
int rtnl_link_no_queue(struct rtnl *rtnl, int ifindex);
struct rtnl_link {
    int ifindex;
    char name[IF_NAMESIZE];
    uint32_t mtu;
    unsigned flags;                                          /* IFF_* */
    uint64_t rx_packets, tx_packets, rx_dropped, tx_dropped; /* as the local machine counts */
    bool is_tun;                                             /* IFLA_INFO_KIND is "tun" */
    uint16_t type;                                           /* ARPHRD_* */
    struct peer_mac mac;                                     /* zero when it has none of 6 bytes */
    int master;          /* index of the bridge, bond, ... that it is a part of, 0: none */
    char slave_kind[16]; /* what that is: "bridge", "bond", "vrf", ..., "" */
};
/** By index (> 0) or by name. -ENODEV when there is none. */
int rtnl_link_get(struct rtnl *rtnl, int ifindex, const char *name, struct rtnl_link *ret_link,
                  struct peer_error *error);

/**
 * IPv6 without duplicate address detection. On a link that is up the address serves when this
 * returns; so bring the link up first (the kernel works on IPv6 addresses in the background).
 */
int rtnl_addr_add(struct rtnl *rtnl, int ifindex, const struct addr_prefix *prefix,
                  struct peer_error *error);
/**
 * Is `addr` an address of this machine, and on which interface (index)? 1, 0, -errno. Addresses
 * that only a local route claims (127.0.0.5, "ip route add local") are the machine's own as well.
 */
int rtnl_addr_owned(struct rtnl *rtnl, const struct peer_addr *addr, int *ret_ifindex,
                    struct peer_error *error);
/**
 * Does the kernel take packets to `addr` for its own? Waits when the address is there and its route
 * is not yet: half a second at the most, or four while it is looked for duplicates.
 */
bool rtnl_addr_is_local(struct rtnl *rtnl, const struct peer_addr *addr);
/** Calls `each` for each address of the namespace until it returns non-zero. */
int rtnl_addr_each(struct rtnl *rtnl,
                   int (*each)(void *user, int ifindex, const struct addr_prefix *prefix),
                   void *user, struct peer_error *error);

/** Unicast route to `prefix` by `ifindex`, by gateway when given (on-link). -EEXIST when there is
 * one. */
int rtnl_route_add(struct rtnl *rtnl, int ifindex, const struct addr_prefix *prefix,
                   const struct peer_addr *gateway, const struct peer_addr *prefsrc,
                   struct peer_error *error);
/**
 * In a namespace of our own: 127.0.0.1 leaves by `ifindex`, from `prefsrc`, and is nobody's address
 * here any more (nothing can be bound to it); ::1 is taken away. The rest of 127.0.0.0/8 stays, with
 * 127.0.0.2 on lo.
 * Answers need route_localnet of that device.
 */
int rtnl_localhost_lead(struct rtnl *rtnl, int ifindex, const struct peer_addr *prefsrc,
                        struct peer_error *error);
/** A permanent neighbour. Not for TUN. */
int rtnl_neigh_add(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr,
                   const struct peer_mac *mac, struct peer_error *error);
/** Many permanent neighbours in batched requests: index i has `addr_set_at(set, i)` and
 * `mac_add(first, i)`, for i < count. */
int rtnl_neigh_add_set(struct rtnl *rtnl, int ifindex, const struct addr_set *set, uint64_t count,
                       struct peer_mac first, struct peer_error *error);
/** A neighbour as the kernel has it. */
struct rtnl_neighbour {
    struct peer_addr addr;
    struct peer_mac mac; /* zero when it has none: a question that nobody answered */
    uint16_t state;      /* NUD_* */
};
/** The entries of a device, of the family 4 or 6, until `each` returns non-zero (which is returned). */
int rtnl_neigh_each(struct rtnl *rtnl, int ifindex, uint8_t family,
                    int (*each)(void *user, const struct rtnl_neighbour *neighbour), void *user);
/** The state (NUD_*) of one entry, 0 when there is none, or -errno. */
int rtnl_neigh_state(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr);
/** Takes one entry away. -ENOENT when there is none. */
int rtnl_neigh_del(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr);

/** A route as the kernel has it. */
struct rtnl_route {
    struct addr_prefix dst;            /* length 0: the default route */
    struct peer_addr gateway, prefsrc; /* family 0 when there is none */
    int oif;
    int hop_count;        /* of a multipath route: `gateway` and `oif` are one of so many, else 0 */
    bool several_devices; /* and they leave by more than one device */
    char oif_name[IF_NAMESIZE];
    uint32_t table; /* a look-up may say main for local: they are one until there is an IPv4 rule */
    uint8_t type;   /* RTN_* */
    uint8_t scope;
};
/** Human text: "192.0.2.0/24 dev eth0", "default via 192.0.2.1 dev eth0"; returns `buf`. */
const char *rtnl_route_format(const struct rtnl_route *route, char *buf, size_t room);
/** All routes (every table) of the family 4 or 6, until `each` returns non-zero (which is
 * returned). A multipath route comes once for each next hop. */
int rtnl_route_each(struct rtnl *rtnl, uint8_t family,
                    int (*each)(void *user, const struct rtnl_route *route), void *user,
                    struct peer_error *error);

/** The gateways of all next hops that are objects of their own ("ip nexthop"), used by a route or
 * not. None on a kernel that has no such. */
int rtnl_nexthop_each(struct rtnl *rtnl, uint8_t family,
                      int (*each)(void *user, int oif, const struct peer_addr *gateway), void *user,
                      struct peer_error *error);

/**
 * Is there a route that shares addresses with `prefix`, so that a route to `prefix` would take
 * something away from it or not get everything? Any table and type counts, except default routes,
 * the table `local` (see rtnl_addr_each), fe80::/10 and ff00::/8. Returns 1 with the most specific
 * one, 0 when there is none, or -errno.
 */
int rtnl_route_conflict(struct rtnl *rtnl, const struct addr_prefix *prefix,
                        struct rtnl_route *ret_route, struct peer_error *error);

/**
 * Asks the kernel: where would a packet to `dst` go (from `src`, arriving on `iif`; both optional)?
 * Rules ask for more: give what is known of the packet, or of the socket that sends it.
 * `error->code` and the return value are the kernel's own verdict (see kernel-facts: EHOSTUNREACH,
 * EINVAL, ...); `ret_route->type` is RTN_LOCAL for an address of this machine, and `dst` the prefix
 * that matched.
 */
struct rtnl_lookup {
    struct peer_addr dst, src;
    int iif, oif; /* `oif`: bound to that device */
    uint8_t protocol;
    uint16_t sport, dport; /* TCP and UDP */
    uint32_t mark;         /* 0: none */
    bool has_uid;          /* `uid` is known; otherwise the caller's is taken */
    uint32_t uid;          /* of the sending socket */
};
int rtnl_route_lookup(struct rtnl *rtnl, const struct rtnl_lookup *lookup,
                      struct rtnl_route *ret_route, struct peer_error *error);

/** A rule of policy routing ("ip rule") that refuses what it matches. */
struct rtnl_rule {
    uint32_t pref;
    uint8_t action; /* FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE, FR_ACT_PROHIBIT */
};
/** The first such rule that matches, whatever tables are asked before. 1, 0 when there is none, or
 * -errno. */
int rtnl_rule_refusing(struct rtnl *rtnl, const struct rtnl_lookup *lookup,
                       struct rtnl_rule *ret_rule, struct peer_error *error);

#endif
