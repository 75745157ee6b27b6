/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_LOOP_H
#define RELAY_LOOP_H

#include <peer/peer.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * One turn after the other for a peer_net and thousands of descriptors: events of flows and
 * descriptors are handed to who has them, timers fire, work that was queued is done, and what ended
 * is freed at the end of the turn, when nothing can hold a pointer to it any more.
 *
 * Everything is embedded in its owner's struct. Descriptors are registered once, edge-triggered:
 * an owner remembers what it was told until its calls say EAGAIN.
 */
struct loop;

/** The `user` of every flow and listener of the loop's net: who hears of its events. */
struct loop_flow {
    void (*event)(struct loop_flow *flow, const struct peer_event *event);
};

/** A descriptor in the loop's epoll. */
struct loop_fd {
    int fd;
    void (*ready)(struct loop_fd *fd, uint32_t events); /* EPOLL* */
};

/** Work: run once a turn for as long as it is queued again. */
struct loop_task {
    struct loop_task *next;
    void (*run)(struct loop_task *task);
    void (*free)(struct loop_task *task); /* once it was buried */
    bool queued, buried;
};

/** `at_ns` is of CLOCK_MONOTONIC. */
struct loop_timer {
    uint64_t at_ns;
    size_t place; /* in the heap, from 1 on; 0: not armed */
    void (*fire)(struct loop_timer *timer);
};

/** -errno: no epoll descriptor, no memory. Make it before peer_confine. */
int loop_new(struct peer_net *net, struct loop **ret_loop);
/** Whoever was queued or buried is not heard of any more. Returns NULL. */
struct loop *loop_free(struct loop *loop);
struct peer_net *loop_net(const struct loop *loop);
/** As the net has it: of the last dispatch. */
uint64_t loop_now_ns(const struct loop *loop);

/** Registers `fd->fd` for `events`, edge-triggered. -errno. */
int loop_add(struct loop *loop, struct loop_fd *fd, uint32_t events);
/** Closing the descriptor does it as well, when no other process has it. */
void loop_remove(struct loop *loop, struct loop_fd *fd);

/** In this turn, or the next one when called by a task. No effect when it is queued already. */
void loop_queue(struct loop *loop, struct loop_task *task);
/** `task` is run no more. Calls its `free` when nothing of the loop holds a pointer to it: at the end
 *  of this turn or of the next. Descriptor and timer must be taken away before. */
void loop_bury(struct loop *loop, struct loop_task *task);

/** Arms or moves it. -ENOMEM. */
int loop_set_timer(struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
void loop_cancel_timer(struct loop *loop, struct loop_timer *timer);

/** Whatever there is to do now, without waiting. The loop's net has been dispatched. */
void loop_turn(struct loop *loop);
/**
 * Waits by peer_net_poll until there is something to do, for `timeout_ns` at the most (UINT64_MAX:
 * for ever), and does one turn. `fds`, at most 6, are the caller's own. 0, or -errno as
 * peer_net_poll; -EINTR has done a turn.
 */
struct pollfd;
int loop_wait(struct loop *loop, struct pollfd *fds, size_t count, uint64_t timeout_ns);

#endif
