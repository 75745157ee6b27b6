/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTACHMENT_INTERNAL_H
#define ATTACHMENT_INTERNAL_H

#include "attachment/attachment.h"
#include "kernel/netns/child.h"

/* guard.c */
/** What a guardian is to hold of this process's: how many. */
int guard_list_fds(const struct attachment *attachment, int ret_fds[CHILD_FDS_MAX]);
/** Another guardian, in the namespace of the calling thread. `fds` as above. */
int guard_start_here(const struct attachment *attachment, const int *fds, struct guard *ret_guard,
                     struct peer_error *error);

/* removal.c */
/** Closes the device's queues, and returns when the device is gone, or others have descriptors of it
 *  too. What the kernel does after that is not waited for. */
void removal_close(struct attachment *attachment);
/** Removes the device where it is still there. */
void removal_ensure(struct attachment *attachment);

/* monitor.c: a child that does what a confined process may not; all wait for its answer */
/** What stands on the machine for the peers, again: see standing_restore. */
int monitor_restore(struct attachment *attachment, struct peer_error *error);
/** The MAC of the device. */
int monitor_set_mac(struct attachment *attachment, const struct peer_mac *mac,
                    struct peer_error *error);
/** Another guardian. */
int monitor_guard(struct attachment *attachment, struct guard *ret_guard, struct peer_error *error);
/** Removes the device, of which another process may have a descriptor. */
int monitor_remove(struct attachment *attachment, struct peer_error *error);
/** Kills what is left in an isolated namespace that nobody holds. */
int monitor_clear(struct attachment *attachment, struct peer_error *error);

#endif
