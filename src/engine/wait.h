/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ENGINE_WAIT_H
#define ENGINE_WAIT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WAIT_DEVICES = 2, WAIT_FDS_MAX = 7, WAIT_WATCHED_MAX = 4 };

/** How the engine waits for its device, and lets others wait for it. See wait.c. */
struct waiter {
    int device_fds[WAIT_DEVICES]; /* -1: none, or a device of tests, which nobody waits for */
    int short_waits;
    uint64_t spun_ns; /* looked in vain, in all: time of the processor that nobody needed */
    struct pollfd watched[WAIT_WATCHED_MAX]; /* see waiter_watch */
    int watched_count;
    bool news;              /* one of `watched` was ready when a sleep ended */
    int epoll_fd, timer_fd; /* for loops of others, else -1 */
    uint64_t timer_set_ns;
};

void waiter_init(struct waiter *waiter, int device_fd);
void waiter_done(struct waiter *waiter);
/** One more that is waited for like the device; -1: none any more. 0 or -errno. */
int waiter_set_second(struct waiter *waiter, int fd);
/**
 * Waits until the device or one of `fds` (at most WAIT_FDS_MAX) is ready, as poll(2) says in their
 * `revents`, or `delay_ns` after `now_ns`; UINT64_MAX: for ever. 0 or -errno (then all `revents`
 * are 0).
 */
int waiter_wait(struct waiter *waiter, struct pollfd *fds, size_t count, uint64_t now_ns,
                uint64_t delay_ns);
/** Ends sleeps from now on (and sets `news`) when `fd` is ready to be read, but costs a busy waiter
 *  nothing. Or no more. -ENOSPC, or another -errno. */
int waiter_watch(struct waiter *waiter, int fd);
void waiter_unwatch(struct waiter *waiter, int fd);
/** The descriptor for loops of others, made by the first call; or -errno. */
int waiter_fd(struct waiter *waiter);
/** That descriptor is to be readable at `next_ns`, at once when that has passed. Never later than
 *  was asked before. */
void waiter_set(struct waiter *waiter, uint64_t now_ns, uint64_t next_ns);
/** What was due is being done. */
void waiter_clear(struct waiter *waiter);

#endif
