/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_WIRE_GUARD_H
#define KERNEL_WIRE_GUARD_H

#include "base/addr_set.h"
#include "kernel/netlink/rtnl.h"

#include <peer/error.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * The guardian: a child that outlives the holder of a set of peers, in whatever way that ends
 * (kill -9 too), by the moment it takes to tidy up. It ends this machine's TCP connections to the
 * peers, whose retransmissions would otherwise follow the default route onto a real network, and
 * only then lets go what keeps the peers' addresses from being routed there: copies of descriptors
 * that it has been given.
 *
 * It is forked in the namespace of the calling thread and stays in it. It holds no descriptor of
 * the caller's but those named here, and no privilege but CAP_NET_ADMIN.
 */
struct guard_job {
    const char *what;         /* for errors: a device's name */
    const char *process_name; /* as ps shows it: 15 characters at the most */
    const struct addr_set *peers;
    int ifindex, vrf; /* sockets bound to other devices are not the peers'; vrf 0: none */
    int name;         /* of name_take; it is the guardian's until all is done */
    const int *kept;  /* descriptors that keep the peers' addresses out of the way */
    int kept_count;   /* <= GUARD_KEPT_MAX */

    /** What is to be undone before the kept descriptors are closed, and after. Both run in the
     *  guardian and may be NULL; `order` is what guard_tell sent, zeroed when it sent nothing. */
    void (*undo_first)(const struct guard_job *job, struct rtnl *rtnl);
    void (*undo_last)(const struct guard_job *job, struct rtnl *rtnl, const void *order);
    const void *user;
};
enum { GUARD_KEPT_MAX = 4, GUARD_ORDER_MAX = 64 /* bytes */ };

/** A descriptor, which may be passed to another process, and the process. fd < 0: none. */
struct guard {
    int fd;
    pid_t pid;
};
/** Starts it. 0 or -errno with text. The caller keeps its own copies of all descriptors. */
int guard_start(const struct guard_job *job, struct guard *ret_guard, struct peer_error *error);
/**
 * From now on this is the guardian's too: `order` (`len` <= GUARD_ORDER_MAX bytes, in place of what
 * was told before) to undo, and copies of `fds` to keep. 0 or -errno: EPIPE when it is gone.
 */
int guard_tell(const struct guard *guard, const void *order, size_t len, const int *fds,
               int fd_count);
/** Lets it begin with its work and waits until that is done, for 2 s at the most. It has let go of all
 *  that it kept then, but for its name. Takes fd < 0. */
void guard_await(const struct guard *guard);
/** Likewise, and ends it; the process is reaped when it is our child. Of a wire, close what the peers
 *  send by first: until then it must arrive. */
void guard_end(struct guard *guard);
/** Only closes what this process has of it. Likewise. */
void guard_abandon(struct guard *guard);

#endif
