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

/* ---- the holder ---- */

static int look_at_holder(void *user)
{
    struct peer_net *net = user;
    struct netns_isolated *isolated = &net->attachment.isolated;
    bool dead = netns_isolate_is_dead(isolated);
    int wait_status;

    bool ended = netns_isolate_ended(isolated, &wait_status) == 1; /* takes the message */
    if (!dead)
        return 0;
    engine_unwatch(net->engine, isolated->control);
    if (net->attachment.program_started && !ended) {
        notice_add(net, "somebody killed the process that held the isolated namespace (%d), and the "
                        "program with it", (int)isolated->holder);
        return -EOWNERDEAD;
    }
    notice_add(net, "somebody killed the process that held the isolated namespace (%d); it lasts as "
                    "long as peer does", (int)isolated->holder);
    return 0;
}

/* ---- the guardian ---- */

static int look_at_guard(void *user)
{
    struct peer_net *net = user;
    struct guard *guard = attachment_guard(&net->attachment);
    struct peer_error error = {0};
    pid_t killed = guard->pid;

    engine_unwatch(net->engine, guard->fd);
    guard_end(guard); /* only what is left of it */
    int status = attachment_guard_again(&net->attachment, guard, &error);
    if (status < 0) {
        notice_add(net, "somebody killed the process that tidies %s up afterwards (%d), and: %s",
                   net->attachment.arrival, (int)killed, error.text);
        return -EOWNERDEAD;
    }
    notice_add(net,
               "somebody killed the process that tidies %s up afterwards (%d); another one does",
               net->attachment.arrival, (int)killed);
    return engine_watch(net->engine, guard->fd, look_at_guard, net);
}

/* ---- the monitor ---- */

/* What it would have to do may never come, so this is no end. */
static int look_at_monitor(void *user)
{
    struct peer_net *net = user;
    struct guard *monitor = &net->attachment.monitor;

    engine_unwatch(net->engine, monitor->fd);
    notice_add(net,
               "somebody killed the process that keeps privileges for %s (%d): what others take "
               "away from the device is not made again",
               net->attachment.device, (int)monitor->pid);
    guard_end(monitor); /* only what is left of it */
    return 0;
}

int helpers_watch_monitor(struct peer_net *net)
{
    return engine_watch(net->engine, net->attachment.monitor.fd, look_at_monitor, net);
}

int helpers_watch(struct peer_net *net)
{
    struct attachment *attachment = &net->attachment;
    const struct guard *guard = attachment_guard(attachment);
    int status = 0;

    if (attachment->isolate)
        status = engine_watch(net->engine, attachment->isolated.control, look_at_holder, net);
    if (status == 0 && guard->fd >= 0 && guard->pid > 0)
        status = engine_watch(net->engine, guard->fd, look_at_guard, net);
    return status;
}
