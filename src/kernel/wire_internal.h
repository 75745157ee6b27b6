/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_WIRE_INTERNAL_H
#define KERNEL_WIRE_INTERNAL_H

#include "kernel/rtnl_internal.h"
#include "kernel/wire.h"

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
/** The filters on the card's way out: one or two priorities, from `priority` on. */
struct wire_tc {
    int ifindex;
    uint8_t family;
    uint16_t priority;  /* 0: none */
    bool removes_qdisc; /* one of us made the clsact: it goes with the last of us */
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

/* wire_guard.c */
struct wire_guard_job {
    const struct wire_card *card;
    const struct addr_set *peers;
    struct peer_mac first_mac;
    int name; /* of wire_name_take: the guardian has a copy until its work is done */
};
/** Starts the guardian, a child. Its descriptor or -errno with text. */
int wire_guard_start(const struct wire_guard_job *job, pid_t *ret_pid, struct peer_error *error);
/** From now on these filters are the guardian's to remove, and copies of these links to close. */
int wire_guard_tell(int guard, const struct wire_tc *tc, const int *links, int link_count);
/** Closes `guard` and waits for the end of its work, and of the process when it is our child. */
void wire_guard_end(int guard, pid_t pid);

/* wire_name.c */
/**
 * Takes a name that one owner has at a time in the namespace of the calling thread, and waits for
 * one who is about to leave it. The descriptor that holds it, or -errno: EADDRINUSE when its owner
 * stays, or does not leave for 2 s.
 */
int wire_name_take(const char *text);
/** For the owner, whenever `fd` is readable: tells one who waits that it stays. */
void wire_name_keep(int fd);

/* wire_sockets.c */
/** Ends this machine's TCP connections to the peers, as far as the kernel lets. `diag`:
 * NETLINK_SOCK_DIAG. */
void wire_sockets_end(struct nl *diag, const struct wire_card *card, const struct addr_set *peers);

/* wire_neigh.c */
struct wire_neighbour {
    struct peer_addr addr;
    struct peer_mac mac; /* zero when it has none: a question that nobody answered */
    uint16_t state;      /* NUD_* */
};
/** The entries of the card, until `each` returns non-zero (which is returned). */
int wire_neigh_each(struct rtnl *rtnl, int ifindex, uint8_t family,
                    int (*each)(void *user, const struct wire_neighbour *neighbour), void *user);
void wire_neigh_remove(struct rtnl *rtnl, int ifindex, const struct peer_addr *addr);

#endif
