/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_WIRE_WIRE_INTERNAL_H
#define KERNEL_WIRE_WIRE_INTERNAL_H

#include "kernel/netlink/rtnl_internal.h"
#include "kernel/netns/name.h"
#include "kernel/wire/guard.h"
#include "kernel/wire/wire.h"

/* Shared by wire.c and wire_*.c. */

/** What is to be joined. `prefixes` cover the peers and nothing else. */
struct wire_job {
    const struct wire_card *card;
    int tap_ifindex;
    uint8_t family;
    const struct addr_prefix *prefixes;
    int prefix_count;
};

/* wire_bpf.c */
enum { WIRE_LINKS = 2 };
/** Both programs, loaded and attached: two link descriptors. -EPERM (not permitted), -EINVAL (no
 * tcx here), or another -errno. */
int wire_bpf_attach(const struct wire_job *job, int ret_links[WIRE_LINKS]);
/** Would that be permitted, and does the kernel know tcx? Loads a program and attaches it nowhere.
 * 0 or -errno. */
int wire_bpf_try(void);

/* wire_tc.c */
/** The filters on the card's way out: one or two priorities, from `priority` on. A guardian is told
 *  it as bytes, of which any value has to be one: so there is no bool. */
struct wire_tc {
    int ifindex;
    uint8_t family;
    uint16_t priority;  /* 0: none */
    uint8_t removes_qdisc; /* one of us made the clsact: it goes with the last of us */
};
/** Whoever changes clsact and filters of a card holds this lock. Its descriptor, or -errno with
 * text. */
int wire_tc_lock(int ifindex, struct peer_error *error);
/** Chooses priorities that nobody uses. */
int wire_tc_plan(struct rtnl *rtnl, const struct wire_job *job, struct wire_tc *ret_tc,
                 struct peer_error *error);
/** The qdiscs; sets `removes_qdisc`. */
int wire_tc_qdiscs(struct rtnl *rtnl, const struct wire_job *job, struct wire_tc *tc,
                   struct peer_error *error);
int wire_tc_filters(struct rtnl *rtnl, const struct wire_job *job, const struct wire_tc *tc,
                    struct peer_error *error);
/** Puts clsact, u32 and mirred on a device, and leaves them there: for a namespace that ends. */
int wire_tc_try(struct rtnl *rtnl, int ifindex);
/** Away with what of it is there. Takes the lock. */
void wire_tc_remove(struct rtnl *rtnl, const struct wire_tc *tc);

#endif
