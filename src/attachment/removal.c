/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: the last close of a device takes the kernel some 20 ms, and nearly all of
 * them pass after the device is gone: name, addresses and routes are free at once, of which the
 * kernel tells, and then it waits (for its RCU) until it may free memory. Who closes cannot do
 * anything else meanwhile. So a thread closes, and we wait for the news; it ends when the kernel
 * lets it. A child could do it as well, but has to be reaped, or is left to an init that may not do
 * that, as in many containers.
 *
 * The thread touches its slot alone, and no memory of others: it neither allocates nor frees. There
 * are as many as there are slots; when the kernel is behind, or allows no thread, we close and wait.
 */
#include "attachment/internal.h"

#include "base/macro.h"
#include "kernel/netlink/watch.h"
#include "kernel/netns/confine.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CLOSERS = 16, STACK_BYTES = 128 * 1024 };

/* No lock, which a child that is forked meanwhile would find locked for ever. */
enum closer_state {
    CLOSER_IDLE,
    CLOSER_AWAITED, /* somebody has `closed` open */
    CLOSER_TELLING, /* and is told */
    CLOSER_LEFT,    /* nobody has, any more */
};

struct closer {
    _Atomic enum closer_state state;
    pthread_t thread;
    int closed; /* an eventfd */
    int fds[ATTACHMENT_QUEUES];
    int fd_count;
};

static struct closer closers[CLOSERS];

static bool move_on(struct closer *closer, enum closer_state from, enum closer_state to)
{
    return atomic_compare_exchange_strong(&closer->state, &from, to);
}

/* ---- the thread ---- */

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        (void)close(fds[i]);
}

static void *run(void *user)
{
    struct closer *closer = user;
    const uint64_t one = 1;

    close_all(closer->fds, closer->fd_count);
    if (move_on(closer, CLOSER_AWAITED, CLOSER_TELLING))
        (void)!write(closer->closed, &one, sizeof(one));
    atomic_store(&closer->state, CLOSER_IDLE);
    return NULL;
}

/* No handler of the caller's ever runs in it. */
static int start_thread(struct closer *closer)
{
    sigset_t all, before;
    pthread_attr_t attributes;

    int status = pthread_attr_init(&attributes);
    if (status != 0)
        return -status;
    (void)pthread_attr_setdetachstate(&attributes, SANITIZED ? PTHREAD_CREATE_JOINABLE
                                                             : PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    status = pthread_create(&closer->thread, &attributes, run, closer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return -status;
}

/* ---- to await it ---- */

static struct closer *take_closer(void)
{
    for (int i = 0; i < CLOSERS; i++) {
        if (move_on(&closers[i], CLOSER_IDLE, CLOSER_AWAITED))
            return &closers[i];
    }
    return NULL;
}

/* From here on the number of `closed` may be another descriptor's. A sanitizer has locks that a thread
   takes at its end, and a child that is forked meanwhile finds them locked for ever: its thread is
   waited for. */
static void leave(struct closer *closer, int closed)
{
    if (SANITIZED)
        (void)pthread_join(closer->thread, NULL);
    if (!move_on(closer, CLOSER_AWAITED, CLOSER_LEFT)) {
        while (atomic_load(&closer->state) != CLOSER_IDLE)
            (void)sched_yield(); /* one write */
    }
    (void)close(closed);
}

/* Begins to close the queues. NULL: they are to be closed here. */
static struct closer *begin(const struct attachment *attachment)
{
    struct closer *closer = take_closer();

    if (!closer)
        return NULL;
    memcpy(closer->fds, attachment->queues, sizeof(closer->fds));
    closer->fd_count = attachment->queue_count;
    closer->closed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (closer->closed >= 0 && start_thread(closer) == 0)
        return closer;
    if (closer->closed >= 0)
        (void)close(closer->closed);
    atomic_store(&closer->state, CLOSER_IDLE); /* no thread sees it */
    return NULL;
}

static bool is_there(const struct attachment *attachment)
{
    struct rtnl_link link;

    return rtnl_link_get(attachment->rtnl, attachment->ifindex, NULL, &link, NULL) == 0 &&
           link.is_tun && strcmp(link.name, attachment->device) == 0;
}

struct waiting {
    const struct attachment *attachment;
    bool gone;
};

/* A bridge, too, tells of the end of a link that was its port. */
static void on_news(void *user, const struct watch_news *news)
{
    struct waiting *waiting = user;
    const bool ours =
        news->kind == WATCH_LINK_GONE && news->ifindex == waiting->attachment->ifindex;

    if (!waiting->gone && (ours || news->kind == WATCH_LOST))
        waiting->gone = !is_there(waiting->attachment);
}

/* Until the device is gone, or its descriptors are closed here, and others have some. */
static void await(const struct attachment *attachment, int closed)
{
    struct pollfd wanted[] = {{.fd = attachment->watch_fd, .events = POLLIN},
                              {.fd = closed, .events = POLLIN}};
    struct waiting waiting = {.attachment = attachment};

    while (!waiting.gone && !wanted[1].revents) {
        if (poll(wanted, ARRAY_SIZE(wanted), -1) < 0 && errno != EINTR)
            return;
        if (wanted[0].revents)
            watch_read(attachment->watch_fd, on_news, &waiting);
    }
}

/* ---- the interface ---- */

void removal_close(struct attachment *attachment)
{
    /* A confined process makes no thread. */
    const bool can = !confine_is_filtered() && attachment->rtnl && attachment->watch_fd >= 0;
    struct closer *closer = can && attachment->queue_count > 0 ? begin(attachment) : NULL;

    if (!closer) {
        close_all(attachment->queues, attachment->queue_count);
        return;
    }
    const int closed = closer->closed;
    await(attachment, closed);
    leave(closer, closed);
}

void removal_ensure(struct attachment *attachment)
{
    if (!attachment->rtnl || attachment->queue_count == 0 || !is_there(attachment))
        return;
    if (attachment->confined)
        (void)monitor_remove(attachment, NULL);
    else
        (void)rtnl_link_remove(attachment->rtnl, attachment->ifindex);
}
