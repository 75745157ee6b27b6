/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine polls the device itself, with a timeout from its timers. An epoll descriptor with a
 * timerfd is there for callers that wait in a loop of their own, once they ask for it: a device
 * that is on an epoll calls it for every frame, in the application's time, even while we are busy
 * and need no call. The timerfd is set only when the next deadline moves to an earlier time than it
 * is set for.
 *
 * To sleep and be woken takes longer than most applications take to answer. So when several waits
 * in a row were short, the next one begins with looking, for SPIN_NS at the most; when that was in
 * vain the count begins anew.
 */
#include "engine/wait.h"

#include "base/macro.h"
#include "base/timer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { SHORT_WAITS = 4 };          /* in a row: it is worth while to spin */
#define SHORT_NS (100 * NS_PER_US) /* a short wait, waking up included */
#define SPIN_NS  (50 * NS_PER_US)

void waiter_init(struct waiter *waiter, int device_fd)
{
    *waiter = (struct waiter){
        .device_fds = {device_fd, -1}, .epoll_fd = -1, .timer_fd = -1, .timer_set_ns = TIMER_NEVER};
}

void waiter_done(struct waiter *waiter)
{
    if (waiter->epoll_fd >= 0)
        close(waiter->epoll_fd);
    if (waiter->timer_fd >= 0)
        close(waiter->timer_fd);
    waiter->epoll_fd = waiter->timer_fd = -1;
    waiter->timer_set_ns = TIMER_NEVER;
}

/* ---- waiting here ---- */

static uint64_t clock_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int sleep_for(struct pollfd *fds, size_t count, uint64_t delay_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(delay_ns / NS_PER_S),
                               .tv_nsec = (long)(delay_ns % NS_PER_S)};

    return ppoll(fds, count, delay_ns == UINT64_MAX ? NULL : &timeout, NULL);
}

/* Looks again and again, without sleeping. */
static int spin(struct pollfd *fds, size_t count, uint64_t until_ns)
{
    int ready;

    do
        ready = poll(fds, count, 0);
    while (ready == 0 && clock_now_ns() < until_ns);
    return ready;
}

/* The devices are the first of `fds`; behind `count` there are `watched_count` more, to sleep with.
   Returns as poll(2). */
static int wait_for(struct waiter *waiter, struct pollfd *fds, size_t count, uint64_t now_ns,
                    uint64_t delay_ns)
{
    bool spins = delay_ns > 0 && waiter->short_waits >= SHORT_WAITS;

    if (spins) {
        int ready = spin(fds, count, now_ns + MIN(delay_ns, SPIN_NS));
        waiter->spun_ns += clock_now_ns() - now_ns;
        if (ready || delay_ns <= SPIN_NS)
            return ready;
        waiter->short_waits = 0;
        if (delay_ns != UINT64_MAX)
            delay_ns -= SPIN_NS;
    }
    int ready = sleep_for(fds, count + (size_t)waiter->watched_count, delay_ns);
    if (!spins && delay_ns > 0 && ready > 0 && (fds[0].revents || fds[1].revents))
        waiter->short_waits = clock_now_ns() - now_ns < SHORT_NS ? waiter->short_waits + 1 : 0;
    return ready;
}

int waiter_wait(struct waiter *waiter, struct pollfd *fds, size_t count, uint64_t now_ns,
                uint64_t delay_ns)
{
    struct pollfd all[WAIT_DEVICES + WAIT_FDS_MAX + WAIT_WATCHED_MAX];

    assert(count <= WAIT_FDS_MAX);
    for (int i = 0; i < WAIT_DEVICES; i++) /* the kernel passes over -1 */
        all[i] = (struct pollfd){.fd = waiter->device_fds[i], .events = POLLIN};
    if (count)
        memcpy(all + WAIT_DEVICES, fds, count * sizeof(*fds));
    struct pollfd *watched = all + WAIT_DEVICES + count;
    for (int i = 0; i < waiter->watched_count; i++)
        watched[i] = waiter->watched[i];
    int ready = wait_for(waiter, all, WAIT_DEVICES + count, now_ns, delay_ns);
    int code = errno;
    for (size_t i = 0; i < count; i++)
        fds[i].revents = (short)(ready > 0 ? all[WAIT_DEVICES + i].revents : 0);
    for (int i = 0; ready > 0 && i < waiter->watched_count; i++)
        waiter->news |= watched[i].revents != 0;
    return ready < 0 ? -code : 0;
}

/* ---- for loops of others ---- */

static int add_to_epoll(const struct waiter *waiter, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(waiter->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int waiter_set_second(struct waiter *waiter, int fd)
{
    if (waiter->epoll_fd >= 0 && fd >= 0 && add_to_epoll(waiter, fd) < 0)
        return -errno;
    if (waiter->epoll_fd >= 0 && waiter->device_fds[1] >= 0)
        (void)epoll_ctl(waiter->epoll_fd, EPOLL_CTL_DEL, waiter->device_fds[1], NULL);
    waiter->device_fds[1] = fd;
    return 0;
}

int waiter_watch(struct waiter *waiter, int fd)
{
    if (waiter->watched_count == WAIT_WATCHED_MAX)
        return -ENOSPC;
    if (waiter->epoll_fd >= 0 && add_to_epoll(waiter, fd) < 0)
        return -errno;
    waiter->watched[waiter->watched_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    return 0;
}

void waiter_unwatch(struct waiter *waiter, int fd)
{
    for (int i = 0; i < waiter->watched_count; i++) {
        if (waiter->watched[i].fd != fd)
            continue;
        waiter->watched[i] = waiter->watched[--waiter->watched_count];
        if (waiter->epoll_fd >= 0)
            (void)epoll_ctl(waiter->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return;
    }
}

/* What was waited for before there was an epoll. */
static int add_earlier(const struct waiter *waiter)
{
    for (int i = 0; i < WAIT_DEVICES; i++) {
        if (waiter->device_fds[i] >= 0 && add_to_epoll(waiter, waiter->device_fds[i]) < 0)
            return -1;
    }
    for (int i = 0; i < waiter->watched_count; i++) {
        if (add_to_epoll(waiter, waiter->watched[i].fd) < 0)
            return -1;
    }
    return 0;
}

int waiter_fd(struct waiter *waiter)
{
    if (waiter->epoll_fd >= 0)
        return waiter->epoll_fd;
    waiter->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    waiter->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (waiter->epoll_fd < 0 || waiter->timer_fd < 0 ||
        add_to_epoll(waiter, waiter->timer_fd) < 0 ||
        add_earlier(waiter) < 0) {
        int code = errno;
        waiter_done(waiter);
        return -code;
    }
    return waiter->epoll_fd;
}

void waiter_set(struct waiter *waiter, uint64_t now_ns, uint64_t next_ns)
{
    if (waiter->timer_fd < 0 || next_ns == TIMER_NEVER ||
        (next_ns >= waiter->timer_set_ns && waiter->timer_set_ns > now_ns))
        return;
    /* 0 would stop it. */
    struct itimerspec spec = {.it_value = {.tv_sec = (time_t)(next_ns / NS_PER_S),
                                           .tv_nsec = (long)(next_ns % NS_PER_S + !next_ns)}};
    if (timerfd_settime(waiter->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
        waiter->timer_set_ns = next_ns;
}

void waiter_clear(struct waiter *waiter)
{
    uint64_t expirations;

    if (waiter->timer_fd >= 0 &&
        read(waiter->timer_fd, &expirations, sizeof(expirations)) == sizeof(expirations))
        waiter->timer_set_ns = TIMER_NEVER;
}
