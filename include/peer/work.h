/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_WORK_H
#define PEER_WORK_H

#include <peer/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Work of your own on several processors: a net that was made with `workers` has the peers in as many
 * processes, and this is what they do there. Each is forked from this process by peer_work_start, with
 * memory as it was then and of the descriptors those that you name; each has a net of its own, with one
 * queue of the device and its part of the peers, on which all of peer/flow.h works. What stands on the
 * machine, and what the kernel tells of it, stays with this process, which goes on dispatching its net:
 * when a worker dies, that says -EOWNERDEAD, and a notice says why.
 *
 * Workers have their signals blocked, end when this process does, and have given up the privileges that
 * it has given up (peer/confine.h); they can make the system calls that were named there, and no others.
 */
struct peer_work;

/** Called in a worker, with `user`. Each may be NULL. */
struct peer_work_config {
    /** First, before it gives up privileges: `worker` is its number from 0 on. 0, or -errno with text,
     *  which is then peer_work_start's. */
    int (*begin)(struct peer_net *net, unsigned worker, void *user, struct peer_error *error);
    /** Again and again: waits as peer_net_wait or peer_net_poll, and does what there is to do. -errno of
     *  these ends it all; -EINTR does not. NULL: peer_net_wait. */
    int (*turn)(struct peer_net *net, uint64_t timeout_ns, void *user);
    /** For peer_work_tell: figures are put where this process can see them, as in memory that is shared. */
    void (*tell)(void *user);
    /** The peers are to leave (peer_net_leave): what is still open is closed. `turn` is not called again. */
    void (*leave)(struct peer_net *net, void *user);
    const int *fds; /* what worker i keeps are `fd_count` from fds[i * fd_count] on; used until
                     * peer_work_start returns */
    size_t fd_count; /* of each, up to 1000 */
    void *user;
};
/** Forks the workers; all have begun when it returns. One at a time. -errno with text. */
PEER_EXPORT int peer_work_start_sized(struct peer_net *net, const struct peer_work_config *config,
                                      size_t size, struct peer_work **ret_work,
                                      struct peer_error *error);
static inline int peer_work_start(struct peer_net *net, const struct peer_work_config *config,
                                  struct peer_work **ret_work, struct peer_error *error)
{
    return peer_work_start_sized(net, config, sizeof(*config), ret_work, error);
}
/** Has all of them call `tell`, and waits until they have. 0, or -EOWNERDEAD: one is gone. */
PEER_EXPORT int peer_work_tell(struct peer_work *work);
/** Ends them: what is open is reset. Before the net is freed. Takes NULL, returns NULL. */
PEER_EXPORT struct peer_work *peer_work_free(struct peer_work *work);

#ifdef __cplusplus
}
#endif

#endif
