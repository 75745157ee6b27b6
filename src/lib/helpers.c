/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processes that help: who holds an isolated namespace, and the guardian who tidies up when we
 * are gone. Somebody may kill them, which closes their end of a socket.
 *
 * Without its holder the program in the namespace is dead too, and nothing is left to talk to: the
 * end. While there was none, the namespace lasts as long as we hold it. A guardian is replaced,
 * since what it has to do is still to come. A monitor cannot be, as privileges went with it.
 */
#include "lib/internal.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

/* ---- the holder ---- */

static int look_at_holder(void *user)
{
    struct peer_net *net = user;
    struct netns_isolated *isolated = &net->isolated;
    bool dead = netns_isolate_is_dead(isolated);
    int wait_status;

    bool ended = netns_isolate_ended(isolated, &wait_status) == 1; /* takes the message */
    if (!dead)
        return 0;
    engine_unwatch(net->engine, isolated->control);
    if (net->program_started && !ended) {
        notice_add(net, "somebody killed the process that held the isolated namespace (%d), and the "
                        "program with it", (int)isolated->holder);
        return -EOWNERDEAD;
    }
    notice_add(net, "somebody killed the process that held the isolated namespace (%d); it lasts as "
                    "long as peer does", (int)isolated->holder);
    return 0;
}

/* ---- the guardian ---- */

int helpers_guard_fds(const struct peer_net *net, int ret_fds[CHILD_FDS_MAX])
{
    static_assert((int)WIRE_FDS <= (int)CHILD_FDS_MAX, "one message carries them");

    if (!net->card.ifindex) {
        ret_fds[0] = device_fd(engine_device(net->engine));
        return 1;
    }
    memcpy(ret_fds, net->wire.fds, sizeof(net->wire.fds));
    return net->wire.fd_count;
}

int helpers_guard_here(struct peer_net *net, const int *fds, struct guard *ret_guard,
                       struct peer_error *error)
{
    const struct wire_join join = {
        .card = &net->card, .peers = &net->peers, .first_mac = net->first_mac};
    struct wire_hold wire = net->wire;

    if (!net->card.ifindex)
        return attach_guard(net->device, net->ifindex, &net->peers, fds[0], ret_guard, error);
    memcpy(wire.fds, fds, sizeof(*fds) * (size_t)wire.fd_count);
    return wire_guard_again(&wire, &join, ret_guard, error);
}

struct start {
    struct peer_net *net;
    struct guard guard;
};

/* In a helper process. */
static int guard_there(void *arg, struct netns_result *result)
{
    struct start *start = arg;
    int fds[CHILD_FDS_MAX];

    (void)helpers_guard_fds(start->net, fds);
    int status = helpers_guard_here(start->net, fds, &start->guard, &result->error);

    if (status == 0)
        result->fds[result->fd_count++] = start->guard.fd;
    return status;
}

static int guard_again(struct peer_net *net, struct guard *ret_guard, struct peer_error *error)
{
    struct start start = {.net = net};
    const struct netns_errand errand = {.place = net->netns,
                                        .work = guard_there,
                                        .arg = &start,
                                        .data = &start,
                                        .data_len = sizeof(start)};
    struct netns_result result = {0};
    int fds[CHILD_FDS_MAX];

    if (net->confined)
        return monitor_guard(net, ret_guard, error);
    if (net->netns.fd < 0) {
        (void)helpers_guard_fds(net, fds);
        return helpers_guard_here(net, fds, ret_guard, error);
    }
    int status = netns_run(&errand, &result, error);
    if (status == 0)
        *ret_guard = (struct guard){.fd = result.fds[0], .pid = start.guard.pid};
    return status;
}

static struct guard *guard_of(struct peer_net *net)
{
    return net->card.ifindex ? &net->wire.guard : &net->guard;
}

static int look_at_guard(void *user)
{
    struct peer_net *net = user;
    struct guard *guard = guard_of(net);
    struct peer_error error = {0};
    pid_t killed = guard->pid;

    engine_unwatch(net->engine, guard->fd);
    guard_end(guard); /* only what is left of it */
    int status = guard_again(net, guard, &error);
    if (status < 0) {
        notice_add(net, "somebody killed the process that tidies %s up afterwards (%d), and: %s",
                   net->arrival, (int)killed, error.text);
        return -EOWNERDEAD;
    }
    notice_add(net, "somebody killed the process that tidies %s up afterwards (%d); another one does",
               net->arrival, (int)killed);
    return engine_watch(net->engine, guard->fd, look_at_guard, net);
}

/* ---- the monitor ---- */

/* What it would have to do may never come, so this is no end. */
static int look_at_monitor(void *user)
{
    struct peer_net *net = user;
    struct guard *monitor = &net->monitor;

    engine_unwatch(net->engine, monitor->fd);
    notice_add(net,
               "somebody killed the process that keeps privileges for %s (%d): what others take "
               "away from the device is not made again",
               net->device, (int)monitor->pid);
    guard_end(monitor); /* only what is left of it */
    return 0;
}

int helpers_watch_monitor(struct peer_net *net)
{
    return engine_watch(net->engine, net->monitor.fd, look_at_monitor, net);
}

int helpers_watch(struct peer_net *net)
{
    int status = 0;

    if (net->isolate)
        status = engine_watch(net->engine, net->isolated.control, look_at_holder, net);
    if (status == 0 && guard_of(net)->fd >= 0 && guard_of(net)->pid > 0)
        status = engine_watch(net->engine, guard_of(net)->fd, look_at_guard, net);
    return status;
}
