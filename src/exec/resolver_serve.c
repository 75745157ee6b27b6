/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The resolver process: one poll over its doors and what is under way behind them. It has no clock
 * but a timer of one second, which runs while somebody waits; all ages are counted in its ticks.
 */
#include "exec/resolver_serve.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { DOOR_POLLS = 2 * RESOLVER_MAX, POLLS = 2 + DOOR_POLLS + QUERIES_MAX + 2 * CALLS_MAX };

struct resolving {
    const struct resolver_door *doors;
    int door_count;
    int ticks;
    bool ticking;
    struct queries *queries;
    struct calls *calls;
    struct pollfd polls[POLLS]; /* the end, ticks, doors, queries, calls */
};

int resolver_ticks(void)
{
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

int resolver_call(const struct peer_addr *nameserver, int type)
{
    struct sockaddr_storage where;
    const socklen_t len = resolver_address(nameserver, &where);

    const int fd = socket(where.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&where, len) == 0 || errno == EINPROGRESS)
        return fd;
    const int status = -errno;
    (void)close(fd);
    return status;
}

/* ---- time ---- */

static void set_ticking(struct resolving *resolving)
{
    const bool wanted = queries_wait(resolving->queries) || calls_wait(resolving->calls);
    struct itimerspec every = {.it_interval = {.tv_sec = wanted}, .it_value = {.tv_sec = wanted}};

    if (wanted != resolving->ticking)
        (void)timerfd_settime(resolving->ticks, 0, &every, NULL);
    resolving->ticking = wanted;
}

static void tick(const struct resolving *resolving)
{
    uint64_t count = 0;

    if (read(resolving->ticks, &count, sizeof(count)) != (ssize_t)sizeof(count))
        return;
    for (uint64_t i = 0; i < count && i < CALL_TICKS; i++) {
        queries_tick(resolving->queries);
        calls_tick(resolving->calls);
    }
}

/* ---- one round ---- */

static void take(const struct resolving *resolving, const struct pollfd *polls)
{
    for (int i = 0; i < resolving->door_count; i++) {
        if (polls[2 * i].revents)
            queries_take(resolving->queries, &resolving->doors[i]);
        if (polls[2 * i + 1].revents)
            calls_take(resolving->calls, &resolving->doors[i]);
    }
}

/* False at the end. */
static bool serve_once(struct resolving *resolving)
{
    struct pollfd *doors = resolving->polls + 2, *queries = doors + DOOR_POLLS;
    struct pollfd *calls = queries + QUERIES_MAX;

    set_ticking(resolving);
    queries_poll(resolving->queries, queries);
    calls_poll(resolving->calls, calls);
    if (poll(resolving->polls, POLLS, -1) < 0)
        return errno == EINTR;
    if (resolving->polls[0].revents)
        return false;
    if (resolving->polls[1].revents)
        tick(resolving);
    queries_run(resolving->queries, queries);
    calls_run(resolving->calls, calls);
    take(resolving, doors);
    return true;
}

void resolver_serve(const struct resolver_door *doors, int count, int end, int ticks)
{
    struct resolving resolving = {.doors = doors,
                                  .door_count = count,
                                  .ticks = ticks,
                                  .queries = queries_new(),
                                  .calls = calls_new()};

    resolving.polls[0] = (struct pollfd){.fd = end, .events = POLLIN};
    resolving.polls[1] = (struct pollfd){.fd = ticks, .events = POLLIN};
    for (int i = 0; i < DOOR_POLLS; i++)
        resolving.polls[2 + i].fd = -1;
    for (int i = 0; i < count; i++) {
        resolving.polls[2 + 2 * i] = (struct pollfd){.fd = doors[i].udp, .events = POLLIN};
        resolving.polls[3 + 2 * i] = (struct pollfd){.fd = doors[i].tcp, .events = POLLIN};
    }
    while (resolving.queries && resolving.calls && serve_once(&resolving))
        ;
}
