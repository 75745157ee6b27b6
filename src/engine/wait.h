/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ENGINE_WAIT_H
#define ENGINE_WAIT_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/** How the engine waits for its device, and lets others wait for it. See wait.c. */
struct waiter {
    int device_fd; /* -1: a device of tests, which nobody waits for */
    int short_waits;
    uint64_t spun_ns; /* looked in vain, in all: time of the processor that nobody needed */
    int epoll_fd, timer_fd; /* for loops of others, else -1 */
    uint64_t timer_set_ns;
};

enum { WAIT_FDS_MAX = 7 };

void waiter_init(struct waiter *waiter, int device_fd);
void waiter_done(struct waiter *waiter);
/**
 * Waits until the device or one of `fds` (at most WAIT_FDS_MAX) is ready, as poll(2) says in their
 * `revents`, or `delay_ns` after `now_ns`; UINT64_MAX: for ever. 0 or -errno (then all `revents`
 * are 0).
 */
int waiter_wait(struct waiter *waiter, struct pollfd *fds, size_t count, uint64_t now_ns,
                uint64_t delay_ns);
/** The descriptor for loops of others, made by the first call; or -errno. */
int waiter_fd(struct waiter *waiter);
/** That descriptor is to be readable at `next_ns`, at once when that has passed. Never later than
 *  was asked before. */
void waiter_set(struct waiter *waiter, uint64_t now_ns, uint64_t next_ns);
/** What was due is being done. */
void waiter_clear(struct waiter *waiter);

#endif
