/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_WIRE_INTERNAL_H
#define KERNEL_WIRE_INTERNAL_H

#include "kernel/rtnl_internal.h"
#include "kernel/wire.h"

/* Shared by wire.c, wire_bpf.c, wire_tc.c, wire_guard.c and wire_neigh.c. */

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

/* wire_tc.c */
/** The filters on the card's way out: one or two priorities, from `priority` on. */
struct wire_tc {
    int ifindex;
    uint8_t family;
    uint16_t priority; /* 0: none */
    bool made_qdisc;
};
/** Chooses priorities that nobody uses. */
int wire_tc_plan(struct rtnl *rtnl, const struct wire_job *job, struct wire_tc *ret_tc,
                 struct peer_error *error);
/** The qdiscs; sets `made_qdisc`. */
int wire_tc_qdiscs(struct rtnl *rtnl, const struct wire_job *job, struct wire_tc *tc,
                   struct peer_error *error);
int wire_tc_filters(struct rtnl *rtnl, const struct wire_job *job, const struct wire_tc *tc,
                    struct peer_error *error);
/** Away with what of it is there. */
void wire_tc_remove(struct rtnl *rtnl, const struct wire_tc *tc);

/* wire_guard.c */
/** Starts the guardian, a child. Its descriptor or -errno with text. */
int wire_guard_start(const struct wire_card *card, const struct addr_set *peers,
                     struct peer_mac first_mac, pid_t *ret_pid, struct peer_error *error);
/** From now on these filters are the guardian's to remove. */
int wire_guard_tell(int guard, const struct wire_tc *tc);
/** Closes `guard` and waits for the end of its work, and of the process when it is our child. */
void wire_guard_end(int guard, pid_t pid);

/* wire_neigh.c */
struct wire_neighbour {
    struct peer_addr addr;
    struct peer_mac mac;
    uint16_t state; /* NUD_* */
};
/** The entries of the card that have a MAC, until `each` returns non-zero (which is returned). */
int wire_neigh_each(struct rtnl *rtnl, int ifindex, uint8_t family,
                    int (*each)(void *user, const struct wire_neighbour *neighbour), void *user);
void wire_neigh_remove(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr);

#endif
