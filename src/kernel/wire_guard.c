/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: filters of tc and neighbour entries outlive the process that made them, even
 * when that is killed, and so do the application's ends of connections to its peers. So a child
 * sits in a session of its own and reads from a socket, whose other end the holder has. A message
 * says what to remove; the end of the socket says when. It has no other descriptors but netlink
 * sockets, which stay bound to the namespace, the name of the first peer, and copies of the links.
 *
 * The way out of the card stays shut for the peers until all is done that could send something
 * there: the holder's TAP device is gone by then, so what is redirected to it is dropped.
 */
#include "kernel/wire_internal.h"

#include "base/error.h"
#include "base/macro.h"
#include "kernel/child.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/neighbour.h>

enum { END_MS = 2000 };

struct guard {
    const struct wire_guard_job *job;
    struct rtnl *rtnl;
    struct nl *diag;
    struct wire_tc tc; /* priority 0: no filters */
    int links[CHILD_FDS_MAX];
    int link_count;
};

/* ---- in the guardian ---- */

/** Entries that name a peer with that peer's own MAC, or with none; anybody else's are none of
 * ours. */
static int remove_if_ours(void *user, const struct wire_neighbour *neighbour)
{
    const struct guard *guard = user;
    const int64_t peer = addr_set_find(guard->job->peers, &neighbour->addr);

    if (peer < 0)
        return 0;
    const struct peer_mac mac = mac_add(guard->job->first_mac, (uint64_t)peer);
    if (neighbour->state & (NUD_INCOMPLETE | NUD_FAILED) ||
        memcmp(mac.bytes, neighbour->mac.bytes, sizeof(mac.bytes)) == 0)
        wire_neigh_remove(guard->rtnl, guard->job->card->ifindex, &neighbour->addr);
    return 0;
}

static void remove_neighbours(struct guard *guard)
{
    (void)wire_neigh_each(guard->rtnl, guard->job->card->ifindex, guard->job->peers->family,
                          remove_if_ours, guard);
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/** All descriptors but these. */
static void close_others(int *kept, size_t count)
{
    unsigned next = 0;

    qsort(kept, count, sizeof(*kept), compare);
    for (size_t i = 0; i < count; i++) {
        if ((unsigned)kept[i] > next)
            (void)syscall(SYS_close_range, next, (unsigned)kept[i] - 1, 0);
        next = (unsigned)kept[i] + 1;
    }
    (void)syscall(SYS_close_range, next, ~0U, 0);
}

/** Until the holder is gone. */
static void serve(struct guard *guard, int end)
{
    struct iovec part = {&guard->tc, sizeof(guard->tc)};
    struct pollfd wanted[] = {{.fd = end, .events = POLLIN},
                              {.fd = guard->job->name, .events = POLLIN}};

    for (;;) {
        (void)poll(wanted, 2, -1);
        if (!wanted[0].revents) /* first of all: one who is leaving does not say that it stays */
            wire_name_keep(guard->job->name);
        else if (child_receive(end, 0, &part, 1, guard->links, &guard->link_count) <= 0)
            return;
    }
}

static _Noreturn void guard_run(struct guard *guard, int end)
{
    int kept[] = {end, rtnl_fd(guard->rtnl), guard->diag->fd, guard->job->name};

    (void)setsid();
    (void)prctl(PR_SET_NAME, "peer-wire");
    close_others(kept, ARRAY_SIZE(kept));
    serve(guard, end);
    wire_sockets_end(guard->diag, guard->job->card, guard->job->peers);
    remove_neighbours(guard);
    for (int i = 0; i < guard->link_count; i++)
        (void)close(guard->links[i]);
    if (guard->tc.priority)
        wire_tc_remove(guard->rtnl, &guard->tc);
    _exit(EXIT_SUCCESS);
}

/* ---- in the holder ---- */

/** The process. Its descriptor or -errno. */
static int guard_fork(struct guard *guard, pid_t *ret_pid)
{
    int ends[2];

    int status = child_pair(ends);
    if (status < 0)
        return status;
    const pid_t pid = child_fork();
    if (pid == 0) {
        (void)close(ends[0]);
        guard_run(guard, ends[1]);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return pid;
    }
    *ret_pid = pid;
    return ends[0];
}

int wire_guard_start(const struct wire_guard_job *job, pid_t *ret_pid, struct peer_error *error)
{
    struct guard guard = {.job = job};

    int status = rtnl_open(&guard.rtnl, error);
    if (status < 0)
        return status;
    guard.diag = malloc(sizeof(*guard.diag));
    status = guard.diag ? nl_open(guard.diag, NETLINK_SOCK_DIAG) : -ENOMEM;
    if (status == 0) {
        status = guard_fork(&guard, ret_pid);
        nl_done(guard.diag);
    }
    free(guard.diag);
    rtnl_free(guard.rtnl);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "cannot start the process that tidies %s up afterwards: %s",
                         job->card->name, error_text(-status));
    return status;
}

int wire_guard_tell(int guard, const struct wire_tc *tc, const int *links, int link_count)
{
    const struct iovec part = {(void *)(uintptr_t)tc, sizeof(*tc)};
    return child_send(guard, &part, 1, links, link_count);
}

void wire_guard_end(int guard, pid_t pid)
{
    struct pollfd wanted = {.fd = guard, .events = POLLIN};
    int status;

    (void)shutdown(guard, SHUT_WR);
    do
        status = poll(&wanted, 1, END_MS);
    while (status < 0 && errno == EINTR);
    (void)close(guard);
    if (status > 0)
        (void)child_reap(pid); /* of no effect when a helper process forked it */
}
