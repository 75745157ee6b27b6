/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See callers.h. A caller is heard or told: while something waits for him to read it, nothing he says
 * is read. He has so long for each turn; one who stays may be silent between two of them.
 *
 * The end is his to see: our side is closed first, and what he still says is dropped until he closes
 * too, or a reset would overtake the answer.
 */
#include "callers.h"

#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PLACES_MOST = 2, EVENTS = 16 };

struct caller {
    int fd; /* -1: free */
    const struct reception *reception;
    struct callers *callers;
    uint64_t until_ns; /* 0: as long as he likes */
    bool ends, closing, told; /* told: something waits for him */
    size_t in_len, out_at, out_len;
    char *out;
    char in[CALLER_IN_BYTES];
};

struct place_of {
    int fd;
    const struct reception *reception;
};

struct callers {
    int epoll_fd;
    uint64_t now_ns;
    struct place_of places[PLACES_MOST];
    size_t place_count;
    struct caller *all[CALLERS_MOST]; /* NULL: not yet */
};

struct callers *callers_new(void)
{
    struct callers *callers = calloc(1, sizeof(*callers));

    if (!callers)
        return NULL;
    callers->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (callers->epoll_fd >= 0)
        return callers;
    free(callers);
    return NULL;
}

static void let_go(struct caller *caller)
{
    close(caller->fd);
    free(caller->out);
    caller->fd = -1;
    caller->out = NULL;
}

struct callers *callers_free(struct callers *callers)
{
    if (!callers)
        return NULL;
    for (size_t i = 0; i < CALLERS_MOST; i++) {
        if (callers->all[i] && callers->all[i]->fd >= 0)
            let_go(callers->all[i]);
        free(callers->all[i]);
    }
    close(callers->epoll_fd);
    free(callers);
    return NULL;
}

int callers_listen(struct callers *callers, int fd, const struct reception *reception)
{
    struct place_of *place = &callers->places[callers->place_count];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = place};

    if (callers->place_count == PLACES_MOST)
        return -ENOSPC;
    if (epoll_ctl(callers->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    *place = (struct place_of){fd, reception};
    callers->place_count++;
    return 0;
}

int callers_fd(const struct callers *callers)
{
    return callers->epoll_fd;
}

/* ---- one caller ---- */

static void watch(struct caller *caller, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = caller};

    (void)epoll_ctl(caller->callers->epoll_fd, EPOLL_CTL_MOD, caller->fd, &event);
}

/* He has the turn. */
static void give_time(struct caller *caller, bool needed)
{
    caller->until_ns = needed ? caller->callers->now_ns + CALLER_PATIENCE_NS : 0;
}

static void close_own_side(struct caller *caller)
{
    caller->closing = true;
    (void)shutdown(caller->fd, SHUT_WR);
    give_time(caller, true);
}

/* What waits for him, as far as he takes it; false: he is gone. */
static bool tell(struct caller *caller)
{
    while (caller->out_at < caller->out_len) {
        ssize_t done = send(caller->fd, caller->out + caller->out_at,
                            caller->out_len - caller->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN) {
            if (!caller->told)
                watch(caller, EPOLLOUT);
            caller->told = true;
            return true;
        }
        if (done <= 0)
            return false;
        caller->out_at += (size_t)done;
        give_time(caller, true);
    }
    caller->out_at = caller->out_len = 0;
    if (caller->told)
        watch(caller, EPOLLIN);
    caller->told = false;
    if (caller->ends && !caller->closing)
        close_own_side(caller);
    return true;
}

void caller_say(struct caller *caller, const void *data, size_t len)
{
    if (caller->out_len + len > caller->reception->out_bytes) {
        caller->out_len = 0;
        caller->ends = true;
        return;
    }
    char *longer = realloc(caller->out, caller->out_len + len);
    if (!longer && len) {
        caller->ends = true;
        return;
    }
    caller->out = longer;
    if (len)
        memcpy(caller->out + caller->out_len, data, len);
    caller->out_len += len;
}

void caller_end(struct caller *caller)
{
    caller->ends = true;
}

/* Whatever is complete of what he said. */
static void hear(struct caller *caller)
{
    const struct reception *reception = caller->reception;
    size_t taken = 1;

    while (caller->in_len && taken && !caller->ends && !caller->out_len) {
        taken = reception->hear(reception->user, caller, caller->in, caller->in_len);
        caller->in_len -= taken;
        memmove(caller->in, caller->in + taken, caller->in_len);
        give_time(caller, !reception->stays || caller->in_len);
    }
    caller->ends |= !taken && caller->in_len == CALLER_IN_BYTES;
}

/* As much as there is room for; false: he is gone. */
static bool take(struct caller *caller)
{
    char dropped[CALLER_IN_BYTES];
    bool drops = caller->closing || caller->ends;
    char *to = drops ? dropped : caller->in + caller->in_len;
    size_t room = drops ? sizeof(dropped) : sizeof(caller->in) - caller->in_len;

    ssize_t len = recv(caller->fd, to, room, MSG_DONTWAIT);
    if (len < 0)
        return errno == EAGAIN || errno == EINTR;
    if (len == 0)
        return false;
    if (!drops)
        caller->in_len += (size_t)len;
    return true;
}

static void serve(struct caller *caller, uint32_t events)
{
    bool lives = !(events & EPOLLERR);

    if (lives && caller->told)
        lives = tell(caller);
    else if (lives && events & (EPOLLIN | EPOLLHUP))
        lives = take(caller);
    for (size_t before = SIZE_MAX; lives && !caller->told && caller->in_len < before;) {
        before = caller->in_len;
        hear(caller);
        lives = tell(caller);
    }
    if (!lives)
        let_go(caller);
}

/* ---- the next one ---- */

static struct caller *free_place(struct callers *callers)
{
    for (size_t i = 0; i < CALLERS_MOST; i++) {
        if (!callers->all[i]) {
            callers->all[i] = calloc(1, sizeof(struct caller));
            if (!callers->all[i])
                return NULL;
            callers->all[i]->fd = -1;
        }
        if (callers->all[i]->fd < 0)
            return callers->all[i];
    }
    return NULL;
}

static void receive(struct callers *callers, const struct place_of *place)
{
    int fd = accept4(place->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};

    if (fd < 0)
        return;
    struct caller *caller = free_place(callers);
    event.data.ptr = caller;
    if (!caller || epoll_ctl(callers->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        close(fd);
        return;
    }
    *caller = (struct caller){.fd = fd, .reception = place->reception, .callers = callers};
    give_time(caller, !place->reception->stays);
}

static const struct place_of *place_at(const struct callers *callers, const void *user)
{
    for (size_t i = 0; i < callers->place_count; i++) {
        if (user == &callers->places[i])
            return &callers->places[i];
    }
    return NULL;
}

static void cut_off_late(struct callers *callers)
{
    for (size_t i = 0; i < CALLERS_MOST && callers->all[i]; i++) {
        struct caller *caller = callers->all[i];
        if (caller->fd >= 0 && caller->until_ns && caller->until_ns <= callers->now_ns)
            let_go(caller);
    }
}

void callers_work(struct callers *callers, uint64_t now_ns)
{
    struct epoll_event events[EVENTS];

    callers->now_ns = now_ns;
    int count = epoll_wait(callers->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        const struct place_of *place = place_at(callers, events[i].data.ptr);
        struct caller *caller = events[i].data.ptr;
        if (place)
            receive(callers, place);
        else if (caller->fd >= 0)
            serve(caller, events[i].events);
    }
    cut_off_late(callers);
}
