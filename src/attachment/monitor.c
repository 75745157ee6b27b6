/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: a process that has given up its privileges still has to do a few things now
 * and then that need them. So before, it forks a child that keeps them, in the namespace of the
 * device, and asks it. The child reads nothing that came over a network. It knows all that it works
 * with since the fork: an order is a word and nothing to choose by, but for the MAC that another
 * one is to have and copies of descriptors that a new guardian is to hold. It answers every order.
 *
 * It keeps CAP_NET_ADMIN alone, and for an isolated namespace CAP_KILL and CAP_SYS_PTRACE: a
 * program in there may be any user's, and only with the latter does /proc tell what namespace a
 * process is in. (To trace one is a system call that its filter does not have.)
 *
 * The guardians that it forks inherit its filter and set their own behind it.
 */
#include "attachment/internal.h"

#include "base/error.h"
#include "kernel/netns/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum monitor_verb { MONITOR_RESTORE, MONITOR_SET_MAC, MONITOR_GUARD, MONITOR_CLEAR, MONITOR_REMOVE };

struct order {
    enum monitor_verb verb;
    struct peer_mac mac;
};

struct answer {
    int status;
    pid_t guard; /* its socket comes beside */
    struct peer_error error;
};

/* ---- the monitor's side ---- */

struct monitor {
    struct attachment *attachment; /* as it was when the monitor was forked */
    struct rtnl *rtnl;
    int fds[CHILD_FDS_MAX]; /* what came with the order */
    int fd_count;
};

static int set_mac(const struct monitor *monitor, const struct peer_mac *mac,
                   struct peer_error *error)
{
    const struct rtnl_link_change change = {.mac = mac};

    return rtnl_link_set(monitor->rtnl, monitor->attachment->ifindex, &change, error);
}

/* As many descriptors as a guardian needs must have come along. */
static int start_guard(const struct monitor *monitor, struct guard *guard, struct peer_error *error)
{
    int fds[CHILD_FDS_MAX];

    if (monitor->fd_count != guard_list_fds(monitor->attachment, fds))
        return error_set(error, PEER_ERROR_MACHINE, EINVAL, "these are no descriptors to hold");
    return guard_start_here(monitor->attachment, monitor->fds, guard, error);
}

static void act(const struct monitor *monitor, const struct order *order, struct answer *answer,
                struct guard *guard)
{
    struct attachment *attachment = monitor->attachment;

    switch (order->verb) {
    case MONITOR_RESTORE:
        answer->status = standing_restore(&attachment->standing, &answer->error);
        break;
    case MONITOR_SET_MAC:
        answer->status = set_mac(monitor, &order->mac, &answer->error);
        break;
    case MONITOR_GUARD:
        answer->status = start_guard(monitor, guard, &answer->error);
        answer->guard = guard->pid;
        break;
    case MONITOR_REMOVE:
        answer->status = rtnl_link_remove(monitor->rtnl, attachment->ifindex);
        break;
    case MONITOR_CLEAR:
        netns_isolate_clear(&attachment->isolated);
        break;
    default:
        answer->status = error_set(&answer->error, PEER_ERROR_MACHINE, EINVAL, "this is no order");
    }
}

/* Until nobody asks any more. */
static void serve(struct monitor *monitor, int end)
{
    struct order order;
    const struct iovec asked = {&order, sizeof(order)};

    while (child_receive(end, 0, &asked, 1, monitor->fds, &monitor->fd_count) ==
           (ssize_t)sizeof(order)) {
        struct answer answer = {0};
        struct guard guard = {.fd = -1};
        const struct iovec told = {&answer, sizeof(answer)};
        act(monitor, &order, &answer, &guard);
        for (int i = 0; i < monitor->fd_count; i++)
            (void)close(monitor->fds[i]);
        monitor->fd_count = 0;
        (void)child_send(end, &told, 1, &guard.fd, guard.fd >= 0);
        if (guard.fd >= 0)
            (void)close(guard.fd);
    }
}

static void give_up_privileges(const struct attachment *attachment)
{
    struct confine confine = {.calls = CONFINE_SOCKETS | CONFINE_FORKS | CONFINE_WAITS,
                              .capabilities = UINT64_C(1) << CAP_NET_ADMIN};

    if (attachment->isolate) {
        confine.calls |= CONFINE_FILES | CONFINE_SIGNALS;
        confine.capabilities |= UINT64_C(1) << CAP_KILL | UINT64_C(1) << CAP_SYS_PTRACE;
    }
    (void)confine_process(&confine, NULL);
}

static void monitor_run(void *user, int end)
{
    struct monitor *monitor = user;
    struct attachment *attachment = monitor->attachment;
    int kept[3] = {end, rtnl_fd(monitor->rtnl)};
    size_t count = 2;

    if (attachment->isolate)
        kept[count++] = attachment->isolated.netns_fd;
    (void)prctl(PR_SET_NAME, "peer-monitor");
    (void)signal(SIGCHLD, SIG_IGN); /* guardians that somebody killed leave nothing to reap */
    confine_descriptors(kept, count);
    give_up_privileges(attachment);
    attachment->standing.rtnl = monitor->rtnl;
    (void)child_send(end, &(struct iovec){"", 1}, 1, NULL, 0); /* ready */
    serve(monitor, end);
    _exit(EXIT_SUCCESS);
}

/* ---- its start ---- */

/* In the namespace of the calling thread. */
static int start_here(struct attachment *attachment, struct guard *ret_child,
                      struct peer_error *error)
{
    struct monitor monitor = {.attachment = attachment};

    int status = rtnl_open(&monitor.rtnl, error);
    if (status < 0)
        return status;
    status = child_start(monitor_run, &monitor, &ret_child->fd, &ret_child->pid);
    rtnl_free(monitor.rtnl);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "cannot start the process that keeps privileges for %s: %s",
                         attachment->device, error_text(-status));
    return 0;
}

struct start {
    struct attachment *attachment;
    struct guard child;
};

/* In a helper process. */
static int start_there(void *arg, struct netns_result *result)
{
    struct start *start = arg;
    int status = start_here(start->attachment, &start->child, &result->error);

    if (status == 0)
        result->fds[result->fd_count++] = start->child.fd;
    return status;
}

int attachment_confine(struct attachment *attachment, struct peer_error *error)
{
    struct start start = {.attachment = attachment};
    const struct netns_errand errand = {.place = attachment->netns,
                                        .work = start_there,
                                        .arg = &start,
                                        .data = &start,
                                        .data_len = sizeof(start)};
    struct netns_result result = {0};

    int status = attachment->netns.fd < 0 ? start_here(attachment, &start.child, error)
                                          : netns_run(&errand, &result, error);
    if (status < 0)
        return status;
    if (attachment->netns.fd >= 0)
        start.child.fd = result.fds[0];
    attachment->monitor = start.child;
    attachment->confined = true;
    return 0;
}

/* ---- to ask it ---- */

/* `ret_guard` may be NULL. */
static int ask(struct attachment *attachment, const struct order *order, const int *fds,
               int fd_count, struct guard *ret_guard, struct peer_error *error)
{
    struct answer answer = {0};
    const struct iovec asked = {(void *)(uintptr_t)order, sizeof(*order)};
    const struct iovec told = {&answer, sizeof(answer)};
    int got[CHILD_FDS_MAX], count = 0;

    int status = attachment->monitor.fd < 0
                     ? -EPIPE
                     : child_send(attachment->monitor.fd, &asked, 1, fds, fd_count);
    if (status == 0 && child_receive(attachment->monitor.fd, 0, &told, 1, ret_guard ? got : NULL,
                                     &count) != (ssize_t)sizeof(answer))
        status = -EPIPE;
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "the process that had the privileges for it is gone");
    if (answer.status < 0 && error)
        *error = answer.error;
    if (ret_guard && answer.status >= 0)
        *ret_guard = (struct guard){.fd = count > 0 ? got[0] : -1, .pid = answer.guard};
    return answer.status;
}

int monitor_restore(struct attachment *attachment, struct peer_error *error)
{
    return ask(attachment, &(struct order){.verb = MONITOR_RESTORE}, NULL, 0, NULL, error);
}

int monitor_set_mac(struct attachment *attachment, const struct peer_mac *mac,
                    struct peer_error *error)
{
    const struct order order = {.verb = MONITOR_SET_MAC, .mac = *mac};

    return ask(attachment, &order, NULL, 0, NULL, error);
}

int monitor_guard(struct attachment *attachment, struct guard *ret_guard, struct peer_error *error)
{
    int fds[CHILD_FDS_MAX];
    const int count = guard_list_fds(attachment, fds);

    return ask(attachment, &(struct order){.verb = MONITOR_GUARD}, fds, count, ret_guard, error);
}

int monitor_remove(struct attachment *attachment, struct peer_error *error)
{
    return ask(attachment, &(struct order){.verb = MONITOR_REMOVE}, NULL, 0, NULL, error);
}

int monitor_clear(struct attachment *attachment, struct peer_error *error)
{
    return ask(attachment, &(struct order){.verb = MONITOR_CLEAR}, NULL, 0, NULL, error);
}
