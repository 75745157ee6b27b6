/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_WIRE_WIRE_H
#define KERNEL_WIRE_WIRE_H

#include "base/addr_set.h"
#include "kernel/netlink/rtnl.h"
#include "kernel/wire/guard.h"

#include <peer/error.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Peers on the wire of an interface that is there already, the card: what the peers send by a TAP
 * device arrives on the card as if received by it, and what leaves the card for a peer's address
 * (ARP and neighbour solicitations for it too) goes to the TAP device and never out.
 *
 * All but wire_detach works in the namespace of the calling thread, which is that of `rtnl`.
 */
struct wire_card {
    int ifindex;
    char name[IF_NAMESIZE];
    struct peer_mac mac;
    uint32_t mtu;
    int vrf; /* index of the one it is in, 0: none */
};
/**
 * Finds the card and judges it: -ENODEV, -ENETDOWN, -EINVAL (loopback, no Ethernet), -EBUSY (part
 * of a bridge or bond, which takes what it receives), with text.
 */
int wire_card(struct rtnl *rtnl, const char *name, struct wire_card *ret_card,
              struct peer_error *error);
/**
 * Would these peers shadow something real, or would answers to them not leave by the card?
 * -EADDRINUSE (gateway of a route, a neighbour that the kernel knows, another process' first peer),
 * -ENETUNREACH (no way or another one), with text. `ret_on_link`: some are in the card's subnets,
 * where neighbours are asked for.
 */
int wire_check_peers(struct rtnl *rtnl, const struct wire_card *card, const struct addr_set *peers,
                     bool *ret_on_link, struct peer_error *error);

enum wire_variant {
    WIRE_TCX = 1, /* eBPF programs that are gone with the last copies of their links */
    WIRE_TC,      /* filters of tc, which a guardian process removes */
};
/** Which of them would serve here? Joins nothing: tries in a namespace of its own. enum
 * wire_variant, or -errno with text (this kernel has neither). CAP_NET_ADMIN is taken for granted.
 */
int wire_try(struct peer_error *error);

/** What holds the wire. Descriptors, which may be passed to another process one by one: those in
 *  `fds` and that of `guard`. */
enum { WIRE_FDS = 3 };
struct wire_hold {
    int fds[WIRE_FDS]; /* owned; a reservation, then the links */
    int fd_count;      /* 0: nothing is held, then the rest means nothing */
    struct guard guard;
    enum wire_variant variant;
    _Alignas(8) uint8_t order[GUARD_ORDER_MAX]; /* what the guardian was told to undo */
};
/** Whose wire, and who is on it. */
struct wire_join {
    const struct wire_card *card;
    int tap_ifindex;
    const struct addr_set *peers; /* peer i has the MAC mac_add(first_mac, i) */
    struct peer_mac first_mac;
};
/**
 * Joins card and TAP device. By tcx, else (bpf(2) is not permitted, or a kernel before 6.6) by u32
 * and mirred, for which the TAP device must have the card's MAC.
 *
 * A guardian process (kernel/wire/guard.h) is forked, which wire_detach reaps. When the holder ends
 * in whatever way, it ends this machine's TCP connections to the peers, takes away the neighbour
 * entries of the peers, then links or filters (and the clsact qdisc, when that was made for such
 * filters and holds no other). Until then the peers' addresses stay taken, and frames for them are
 * dropped.
 *
 * -errno with text, and nothing is left; -EADDRINUSE: somebody else's first peer on this card has
 * that address.
 */
int wire_attach(struct rtnl *rtnl, const struct wire_join *join, struct wire_hold *ret_wire,
                struct peer_error *error);
/** Another guardian, after somebody killed the first one: in the namespace of the calling thread.
 *  Its descriptor and process. `join` without its TAP device. 0 or -errno with text. */
int wire_guard_again(const struct wire_hold *wire, const struct wire_join *join,
                     struct guard *ret_guard, struct peer_error *error);
/** Takes all away, and waits until the guardian has done its part (2 s at the most). Close the TAP
 *  device first: until then what it sends must arrive. Takes a zeroed one, and leaves one. */
void wire_detach(struct wire_hold *wire);
/** Only closes what this process has of it. */
void wire_abandon(struct wire_hold *wire);

#endif
