/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queries by TCP: a connection of the program's and one to the nameserver, and what comes from either
 * goes to the other, its end too. One buffer a direction bounds what is kept. Nothing comes for half
 * a minute: both are closed. More connections than there is room for: the oldest has to go.
 */
#include "exec/resolver_serve.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER_BYTES = 16 * 1024, CLIENT = 0, SERVER = 1 };

/* From one socket of a call to the other. */
struct way {
    size_t at, len; /* what of the buffer is still to go */
    bool ended;     /* no more comes, */
    bool shut;      /* and that was passed on */
    uint8_t bytes[BUFFER_BYTES];
};

struct call {
    int fds[2]; /* CLIENT, SERVER; both -1: none */
    uint64_t number;
    int ticks;
    struct way ways[2]; /* by whom it comes from */
};

struct calls {
    uint64_t number;
    int count;
    struct call all[CALLS_MAX];
};

struct calls *calls_new(void)
{
    struct calls *calls = calloc(1, sizeof(*calls));

    for (int i = 0; calls && i < CALLS_MAX; i++)
        calls->all[i].fds[CLIENT] = calls->all[i].fds[SERVER] = -1;
    return calls;
}

bool calls_wait(const struct calls *calls)
{
    return calls->count > 0;
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    (void)close(fd);
}

/* An end that is no orderly one is passed on as a reset. */
static void drop(struct calls *calls, struct call *call)
{
    const bool orderly = call->ways[CLIENT].shut && call->ways[SERVER].shut;

    for (int side = CLIENT; side <= SERVER; side++) {
        if (orderly)
            (void)close(call->fds[side]);
        else
            reset(call->fds[side]);
        call->fds[side] = -1;
    }
    calls->count--;
}

static struct call *find_place(struct calls *calls)
{
    struct call *oldest = &calls->all[0];

    for (int i = 0; i < CALLS_MAX; i++) {
        struct call *call = &calls->all[i];
        if (call->fds[CLIENT] < 0)
            return call;
        if (call->number < oldest->number)
            oldest = call;
    }
    drop(calls, oldest);
    return oldest;
}

void calls_take(struct calls *calls, const struct resolver_door *door)
{
    const int client = accept4(door->tcp, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    const int server = resolver_call(&door->nameserver, SOCK_STREAM);
    if (server < 0) {
        reset(client);
        return;
    }
    struct call *call = find_place(calls);
    call->fds[CLIENT] = client;
    call->fds[SERVER] = server;
    call->number = ++calls->number;
    call->ticks = CALL_TICKS;
    for (int side = CLIENT; side <= SERVER; side++) {
        struct way *way = &call->ways[side];
        way->at = way->len = 0;
        way->ended = way->shut = false;
    }
    calls->count++;
}

/* ---- moving ---- */

static bool is_fatal(int code)
{
    return code != EAGAIN && code != EINTR;
}

/* False when the call is over. */
static bool receive(struct call *call, int side)
{
    struct way *way = &call->ways[side];

    if (way->len > 0 || way->ended)
        return true;
    const ssize_t len = recv(call->fds[side], way->bytes, BUFFER_BYTES, 0);
    if (len < 0)
        return !is_fatal(errno);
    way->at = 0;
    way->len = (size_t)len;
    way->ended = len == 0;
    call->ticks = CALL_TICKS;
    return true;
}

static bool deliver(struct call *call, int side)
{
    struct way *way = &call->ways[side];
    const int to = call->fds[!side];

    if (way->len > 0) {
        const ssize_t len = send(to, way->bytes + way->at, way->len, MSG_NOSIGNAL);
        if (len < 0)
            return !is_fatal(errno);
        way->at += (size_t)len;
        way->len -= (size_t)len;
    }
    if (way->ended && way->len == 0 && !way->shut) {
        (void)shutdown(to, SHUT_WR);
        way->shut = true;
    }
    return true;
}

static bool move(struct call *call)
{
    for (int side = CLIENT; side <= SERVER; side++) {
        if (!receive(call, side) || !deliver(call, side))
            return false;
    }
    return !call->ways[CLIENT].shut || !call->ways[SERVER].shut;
}

static short wanted(const struct call *call, int side)
{
    const struct way *in = &call->ways[side], *out = &call->ways[!side];
    const bool reads = in->len == 0 && !in->ended, writes = out->len > 0;

    return (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

void calls_poll(const struct calls *calls, struct pollfd *polls)
{
    for (int i = 0; i < CALLS_MAX; i++) {
        const struct call *call = &calls->all[i];
        for (int side = CLIENT; side <= SERVER; side++) {
            const short events = wanted(call, side);
            /* Without events it would only say again and again that it is gone. */
            polls[2 * i + side] =
                (struct pollfd){.fd = events ? call->fds[side] : -1, .events = events};
        }
    }
}

void calls_run(struct calls *calls, const struct pollfd *polls)
{
    for (int i = 0; i < CALLS_MAX; i++) {
        struct call *call = &calls->all[i];
        if (call->fds[CLIENT] >= 0 && (polls[2 * i].revents || polls[2 * i + 1].revents) &&
            !move(call))
            drop(calls, call);
    }
}

void calls_tick(struct calls *calls)
{
    for (int i = 0; i < CALLS_MAX; i++) {
        struct call *call = &calls->all[i];
        if (call->fds[CLIENT] >= 0 && --call->ticks <= 0)
            drop(calls, call);
    }
}
