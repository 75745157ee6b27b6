/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: an application's ends of connections to its peers outlive the process that
 * was the peers, and send for a quarter of an hour what is never acknowledged. So do filters of tc
 * and neighbour entries. So a child sits in a session of its own and reads from a socket, whose
 * other end the holder has. A message says what to undo; the end of the socket says when.
 *
 * What keeps the peers' addresses out of the way hangs on descriptors: the device itself, whose
 * routes are there as long as it is, and on the wire of a card the programs that pick frames off.
 * The guardian has copies. Nobody reads from the device any more, so all that is still sent to the
 * peers is lost there, as it would be on the way to machines that are switched off. Routes of a
 * worse metric behind the device's own would do that as well, but would stay for ever when holder
 * and guardian are killed together.
 *
 * It has no other descriptors but netlink sockets, which stay bound to the namespace.
 */
#include "kernel/wire/guard.h"

#include "base/error.h"
#include "base/macro.h"
#include "kernel/netlink/diag.h"
#include "kernel/netns/child.h"
#include "kernel/netns/confine.h"
#include "kernel/netns/name.h"

#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct guardian {
    const struct guard_job *job;
    struct rtnl *rtnl;
    struct diag *diag;
    _Alignas(8) uint8_t order[GUARD_ORDER_MAX];
    int told[CHILD_FDS_MAX];
    int told_count;
};

/* ---- in the guardian ---- */

static void keep_descriptors(const struct guardian *guardian, int end)
{
    int kept[GUARD_KEPT_MAX + 4] = {end, rtnl_fd(guardian->rtnl), diag_fd(guardian->diag),
                                    guardian->job->name};
    size_t count = 4;

    for (int i = 0; i < guardian->job->kept_count; i++)
        kept[count++] = guardian->job->kept[i];
    confine_descriptors(kept, count);
}

/* What is beyond its room it lets go. */
static void keep_told(struct guardian *guardian, const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        if (guardian->told_count < CHILD_FDS_MAX)
            guardian->told[guardian->told_count++] = fds[i];
        else
            (void)close(fds[i]);
    }
}

/* False: the holder is gone. An order is whole, or it is none. */
static bool take_message(struct guardian *guardian, int end)
{
    uint8_t order[GUARD_ORDER_MAX];
    const struct iovec part = {order, sizeof(order)};
    int fds[CHILD_FDS_MAX], count = 0;

    const ssize_t len = child_receive(end, 0, &part, 1, fds, &count);
    keep_told(guardian, fds, count);
    if (len == (ssize_t)sizeof(order))
        memcpy(guardian->order, order, sizeof(order));
    return len > 0;
}

/** Until the holder is gone. */
static void serve(struct guardian *guardian, int end)
{
    struct pollfd wanted[] = {{.fd = end, .events = POLLIN},
                              {.fd = guardian->job->name, .events = POLLIN}};

    for (;;) {
        (void)poll(wanted, 2, -1);
        if (!wanted[0].revents) /* first of all: one who is leaving does not say that it stays */
            name_keep(guardian->job->name);
        else if (!take_message(guardian, end))
            return;
    }
}

static void tidy(const struct guardian *guardian)
{
    const struct guard_job *job = guardian->job;

    diag_end_connections(guardian->diag, job->peers, job->ifindex, job->vrf);
    if (job->undo_first)
        job->undo_first(job, guardian->rtnl);
    for (int i = 0; i < job->kept_count; i++)
        (void)close(job->kept[i]);
    for (int i = 0; i < guardian->told_count; i++)
        (void)close(guardian->told[i]);
    if (job->undo_last)
        job->undo_last(job, guardian->rtnl, guardian->order);
}

/* Says that it is done. Its name is the device's, which is there until the holder, if it lives, has
   closed it too: so it lasts until that one says so, or is gone. */
static void keep_name(int end)
{
    struct pollfd wanted = {.fd = end};

    if (child_send(end, &(struct iovec){"", 1}, 1, NULL, 0) == 0)
        (void)poll(&wanted, 1, -1);
}

/* Without a filter it guards all the same: what it can be sent is the holder's own device or card,
   and what to undo there. */
static void give_up_privileges(void)
{
    const struct confine confine = {.calls = CONFINE_SOCKETS,
                                    .capabilities = UINT64_C(1) << CAP_NET_ADMIN};

    (void)confine_process(&confine, NULL);
}

static void guardian_run(void *user, int end)
{
    struct guardian *guardian = user;

    (void)setsid();
    (void)prctl(PR_SET_NAME, guardian->job->process_name);
    keep_descriptors(guardian, end);
    give_up_privileges();
    (void)child_send(end, &(struct iovec){"", 1}, 1, NULL, 0); /* ready */
    serve(guardian, end);
    tidy(guardian);
    keep_name(end);
    _exit(EXIT_SUCCESS);
}

/* ---- in the holder ---- */

int guard_start(const struct guard_job *job, struct guard *ret_guard, struct peer_error *error)
{
    struct guardian guardian = {.job = job};

    assert(job->kept_count <= GUARD_KEPT_MAX);
    int status = rtnl_open(&guardian.rtnl, error);
    if (status < 0)
        return status;
    status = diag_open(&guardian.diag, NULL);
    if (status == 0) /* it is there before anybody hears of the peers */
        status = child_start(guardian_run, &guardian, &ret_guard->fd, &ret_guard->pid);
    diag_free(guardian.diag);
    rtnl_free(guardian.rtnl);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "cannot start the process that tidies %s up afterwards: %s", job->what,
                         error_text(-status));
    return 0;
}

int guard_tell(const struct guard *guard, const void *order, size_t len, const int *fds,
               int fd_count)
{
    uint8_t bytes[GUARD_ORDER_MAX] = {0};
    const struct iovec part = {bytes, sizeof(bytes)};

    assert(len <= sizeof(bytes));
    memcpy(bytes, order, len);
    return child_send(guard->fd, &part, 1, fds, fd_count);
}

void guard_await(const struct guard *guard)
{
    if (guard->fd >= 0)
        child_dismiss(guard->fd);
}

void guard_end(struct guard *guard)
{
    if (guard->fd >= 0)
        child_end(guard->fd, guard->pid);
    guard->fd = -1;
}

void guard_abandon(struct guard *guard)
{
    if (guard->fd >= 0)
        (void)close(guard->fd);
    guard->fd = -1;
}
