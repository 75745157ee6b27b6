/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_CHILD_H
#define KERNEL_NETNS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

/** A forked child that goes on in this program, and messages with descriptors between the two. */

/**
 * Forks with all signals blocked. The caller's mask is restored in the parent; the child keeps them
 * blocked, so that no handler of the caller's ever runs in it. Child's id, 0 in the child, -errno.
 */
pid_t child_fork(void);
/**
 * Forks a child that runs `run` with its end of a pair, does not return, and says by any message that
 * it is ready, which is waited for. Gives the other end and the child's id. -errno; EPIPE: it ended
 * before.
 */
int child_start(void (*run)(void *user, int end), void *user, int *ret_end, pid_t *ret_child);
/** Waits for the child to end. Its wait status, or -1 when that was lost (SIGCHLD ignored). */
int child_reap(pid_t child);
/**
 * In the child: `signal_number` comes when the thread that forked it ends. A change of credentials
 * undoes it. Returns 0, or -ESRCH when `parent` was gone already.
 */
int child_watch_parent(pid_t parent, int signal_number);

/**
 * Shuts our direction of a pair, which tells the child to end, and waits until it has or says anything,
 * for 2 s at the most. What it says is not taken. False: it did neither.
 */
bool child_dismiss(int end);
/**
 * Likewise, then shuts the other direction too, waits until the child has ended and reaps it when it is
 * ours. Closes `end`.
 */
void child_end(int end, pid_t child);

enum { CHILD_FDS_MAX = 8 };

/**
 * A connected pair, close-on-exec. Both ends are > 2: a caller without stdio must not have one of
 * them taken for its child's stdin. -errno.
 */
int child_pair(int ret_ends[2]);

/**
 * Sends one message with copies of `fd_count` descriptors. 0 or -errno: EPIPE (nobody there, and no
 * SIGPIPE), EBADF, ETOOMANYREFS.
 */
int child_send(int end, const struct iovec *parts, size_t part_count, const int *fds, int fd_count);

/**
 * Receives one message. `flags`: 0 or MSG_DONTWAIT. Returns its length, 0 when the other end is
 * gone, or -errno: EAGAIN, EMSGSIZE (longer than `parts`), EMFILE (descriptors lost for want of
 * room). `ret_fds` (CHILD_FDS_MAX of them, close-on-exec, the caller's) may be NULL.
 */
ssize_t child_receive(int end, int flags, const struct iovec *parts, size_t part_count,
                      int *ret_fds, int *ret_fd_count);

#endif
