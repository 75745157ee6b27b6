/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A forward by several processes (peer/work.h). This one accepts clients and hands each to the worker
 * that has fewest (relay/lobby.h); each worker has a loop, a door and its part of the peers, from which
 * its clients go on, and whose callers it takes. Over UDP each worker has a socket of its own at every
 * place, and the kernel keeps a source with one of them.
 *
 * Figures lie in memory that all share, a place for each.
 */
#include "forward.h"

#include <peer/work.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUBLISH_NS (500 * CLI_NS_PER_MS)

int forward_share(struct forward *forward)
{
    forward->shared = mmap(NULL, sizeof(*forward->shared), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (forward->shared != MAP_FAILED)
        return 0;
    forward->shared = NULL;
    say("cannot start: %s", strerror(errno));
    return STATUS_MACHINE;
}

/* ---- in a worker ---- */

static void publish(struct forward *forward)
{
    struct forward_told *told = &forward->shared->by[forward->worker];

    if (forward->door)
        door_get_stats(forward->door, &told->door);
    if (forward->datagram)
        datagram_get_stats(forward->datagram, &told->datagram);
    forward->published_ns = loop_now_ns(forward->loop);
}

/* An even part of so many. */
static uint64_t part_of(const struct forward *forward, uint64_t number)
{
    const uint64_t workers = forward_workers(forward);

    return number / workers + (forward->worker < number % workers);
}

static int make_relay(struct forward *forward)
{
    const struct door_config door = {
        .loop = forward->loop, .lobby = forward->lobby, .member = forward->worker};
    const struct datagram_config datagram = {.loop = forward->loop,
                                             .idle_ns = forward->options->common.timeout_ns,
                                             .most = part_of(forward, forward->sessions_most)};

    return forward->options->common.udp ? datagram_new(&datagram, &forward->datagram)
                                        : door_new(&door, &forward->door);
}

/* Of the sockets that are here those of this worker alone are its ways'. */
static void take_sockets(struct forward *forward)
{
    for (int i = 0; i < forward->way_count; i++) {
        struct way *way = &forward->ways[i];
        for (int k = 0; k < way->at_count; k++)
            way->fds[k] = way->shares ? way_share(way, k, forward->worker) : -1;
    }
}

static int begin(struct peer_net *net, unsigned worker, void *user, struct peer_error *error)
{
    struct forward *forward = user;

    forward->net = net;
    forward->worker = worker;
    forward->is_worker = true;
    forward->door = NULL; /* that of the process that it was forked from */
    take_sockets(forward);
    int status = loop_new(net, &forward->loop);
    if (status == 0)
        status = make_relay(forward);
    if (status < 0) {
        error->kind = PEER_ERROR_MACHINE;
        snprintf(error->text, sizeof(error->text), "cannot start: %s", strerror(-status));
        return status;
    }
    for (int i = 0; i < forward->way_count && status == 0; i++)
        status = road_open(forward, &forward->ways[i], &forward->roads[i], error);
    return status;
}

static int turn(struct peer_net *net, uint64_t timeout_ns, void *user)
{
    struct forward *forward = user;

    (void)net;
    int status = loop_wait(forward->loop, NULL, 0, timeout_ns);
    if (loop_now_ns(forward->loop) - forward->published_ns >= PUBLISH_NS)
        publish(forward);
    return status;
}

static void tell(void *user)
{
    struct forward *forward = user;

    if (forward->door)
        door_take_all(forward->door);
    publish(forward);
}

static void leave(struct peer_net *net, void *user)
{
    struct forward *forward = user;

    (void)net;
    forward->door = door_free(forward->door);
    forward->datagram = datagram_free(forward->datagram);
}

/* ---- in the process that has them ---- */

int forward_make_lobby(struct forward *forward, uint64_t most, uint64_t each)
{
    const struct lobby_config config = {
        .members = forward_workers(forward), .most = most, .each = each};

    return lobby_new(&config, &forward->lobby);
}

/* Those of each worker, one after the other. NULL without memory. */
static int *list_sockets(const struct forward *forward, size_t *ret_count)
{
    const unsigned workers = forward_workers(forward);
    size_t each = forward->lobby ? LOBBY_FDS : 0;

    for (int i = 0; i < forward->way_count; i++)
        each += forward->ways[i].shares ? (size_t)forward->ways[i].at_count : 0;
    int *fds = calloc(each * workers + 1, sizeof(*fds)), *next = fds;
    for (unsigned worker = 0; fds && worker < workers; worker++) {
        if (forward->lobby)
            lobby_fds(forward->lobby, worker, next);
        next += forward->lobby ? LOBBY_FDS : 0;
        for (int i = 0; i < forward->way_count; i++) {
            const struct way *way = &forward->ways[i];
            for (int k = 0; way->shares && k < way->at_count; k++)
                *next++ = way_share(way, k, worker);
        }
    }
    *ret_count = each;
    return fds;
}

/* One of them has each peer that is listened at. */
static int check_listeners(const struct forward *forward)
{
    for (int i = 0; i < forward->way_count; i++) {
        if (forward->ways[i].reverse && !atomic_load(&forward->shared->listens[i]))
            return road_say_no_peer(&forward->ways[i]);
    }
    return 0;
}

int forward_start_workers(struct forward *forward)
{
    struct peer_work_config config = {
        .begin = begin, .turn = turn, .tell = tell, .leave = leave, .user = forward};
    struct peer_error error = {0};
    int *fds = list_sockets(forward, &config.fd_count);

    if (!fds) {
        say("cannot start: %s", strerror(ENOMEM));
        return STATUS_MACHINE;
    }
    config.fds = fds;
    int status = peer_work_start(forward->net, &config, &forward->work, &error);
    free(fds);
    say_notices(forward->net);
    if (status < 0)
        return report_error(&error);
    for (int i = 0; i < forward->way_count; i++)
        way_close_shares(&forward->ways[i]);
    return check_listeners(forward);
}

/* ---- figures of all ---- */

static void add_door(struct door_stats *into, const struct door_stats *from)
{
    into->accepted += from->accepted;
    into->opened += from->opened;
    into->open += from->open;
    into->bytes_sent += from->bytes_sent;
    into->bytes_received += from->bytes_received;
    for (int i = 0; i < DOOR_ENDS; i++)
        into->ends[i] += from->ends[i];
}

void forward_get_door(const struct forward *forward, struct door_stats *ret_stats)
{
    struct lobby_stats lobby;

    door_get_stats(forward->door, ret_stats);
    if (!forward->lobby)
        return;
    lobby_get_stats(forward->lobby, &lobby);
    ret_stats->open_most = lobby.open_most;
    for (unsigned i = 0; i < forward_workers(forward); i++)
        add_door(ret_stats, &forward->shared->by[i].door);
}

static void add_datagram(struct datagram_stats *into, const struct datagram_stats *from)
{
    into->sessions += from->sessions;
    into->open += from->open;
    into->sent += from->sent;
    into->received += from->received;
    into->sent_count += from->sent_count;
    into->received_count += from->received_count;
    into->dropped += from->dropped;
    for (int i = 0; i < DATAGRAM_ENDS; i++)
        into->ends[i] += from->ends[i];
}

void forward_get_datagrams(const struct forward *forward, struct datagram_stats *ret_stats)
{
    if (forward->datagram) {
        datagram_get_stats(forward->datagram, ret_stats);
        return;
    }
    *ret_stats = (struct datagram_stats){
        .open_most = atomic_load(&forward->shared->sessions_most)};
    for (unsigned i = 0; i < forward_workers(forward); i++)
        add_datagram(ret_stats, &forward->shared->by[i].datagram);
}

/* The last who is accepted is there when they tell. */
void forward_ask_workers(struct forward *forward)
{
    if (!forward->work)
        return;
    if (forward->door)
        door_stop_listening(forward->door);
    (void)peer_work_tell(forward->work); /* of one that is gone there is what it told last */
}
