/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTACHMENT_ATTACH_H
#define ATTACHMENT_ATTACH_H

#include "attachment/plan.h"
#include "attachment/standing.h"
#include "kernel/netlink/tun.h"
#include "kernel/wire/wire.h"

/**
 * From a plan to a device with addresses and routes, in the namespace of the calling thread: a
 * short-lived helper process when that is not our own.
 */

/** Plain data: it crosses a process boundary. Descriptors travel beside it. */
struct attach_outcome {
    struct tun tun;        /* `fd` is of the process that ran; on a wire its MAC is the card's */
    struct wire_hold wire; /* likewise its `fds`, and its guardian's */
    struct guard guard;    /* of a device without a wire; fd -1: none */
    struct wire_card card; /* ifindex 0: no wire */
    uint32_t mtu;
    int rtnl_fd, diag_fd;
    int watch_fd;             /* news of the namespace: see kernel/netlink/watch.h */
    struct peer_addr chosen;  /* the peer, when the plan had none */
    struct addr_prefix local; /* given to the local side, family 0 when none */
    enum peer_neighbours neighbours;
    struct standing standing; /* its pointers mean nothing */
};
/** -EADDRINUSE when one of `peers` is an address of this machine, or another -errno, with text. */
int attach_check_owned(struct rtnl *rtnl, const struct addr_set *peers, struct peer_error *error);
int attach_run(const struct attach_plan *plan, struct attach_outcome *ret_outcome,
               struct peer_error *error);
/** One more queue of a device that attach_run made, likewise: its descriptor. */
int attach_add_queue(const struct attach_plan *plan, const char *device, struct peer_error *error);
/** The guardian of a device, in the namespace of the calling thread. -errno with text. */
int attach_guard(const char *device, int ifindex, const struct addr_set *peers, int tun_fd,
                 struct guard *ret_guard, struct peer_error *error);
/** Where the outcome's descriptors are, in an order that depends on nothing but `outcome`: how
 *  many. */
enum { ATTACH_FDS_MAX = 8 };
int attach_list_fds(struct attach_outcome *outcome, int *ret_places[ATTACH_FDS_MAX]);

#endif
