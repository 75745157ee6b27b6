/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: filters of tc and neighbour entries outlive the process that made them, even
 * when that is killed. So a child sits in a session of its own
 * and reads from a socket, whose other end the holder has. A message says what to remove; the end
 * of the socket says when. It has no other descriptor but a netlink socket, which stays bound to
 * the namespace.
 */
#include "kernel/wire_internal.h"

#include "base/error.h"
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
    struct rtnl *rtnl;
    int ifindex;
    const struct addr_set *peers;
    struct peer_mac first_mac;
    struct wire_tc tc; /* priority 0: no filters */
};

/* ---- in the guardian ---- */

/** Entries that name a peer with that peer's own MAC; anybody else's are none of ours. */
static int remove_if_ours(void *user, const struct wire_neighbour *neighbour)
{
    const struct guard *guard = user;
    const int64_t peer = addr_set_find(guard->peers, &neighbour->addr);

    if (peer < 0)
        return 0;
    const struct peer_mac mac = mac_add(guard->first_mac, (uint64_t)peer);
    if (memcmp(mac.bytes, neighbour->mac.bytes, sizeof(mac.bytes)) == 0)
        wire_neigh_remove(guard->rtnl, guard->ifindex, &neighbour->addr);
    return 0;
}

/** All descriptors but two. */
static void close_others(int a, int b)
{
    const unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

    if (low > 0)
        (void)syscall(SYS_close_range, 0U, low - 1, 0);
    if (high > low + 1)
        (void)syscall(SYS_close_range, low + 1, high - 1, 0);
    (void)syscall(SYS_close_range, high + 1, ~0U, 0);
}

static _Noreturn void guard_run(struct guard *guard, int end)
{
    struct iovec part = {&guard->tc, sizeof(guard->tc)};

    (void)setsid();
    (void)prctl(PR_SET_NAME, "peer-wire");
    close_others(end, rtnl_fd(guard->rtnl));
    while (child_receive(end, 0, &part, 1, NULL, NULL) > 0)
        ;
    if (guard->tc.priority)
        wire_tc_remove(guard->rtnl, &guard->tc);
    (void)wire_neigh_each(guard->rtnl, guard->ifindex, guard->peers->family, remove_if_ours, guard);
    _exit(EXIT_SUCCESS);
}

/* ---- in the holder ---- */

int wire_guard_start(const struct wire_card *card, const struct addr_set *peers,
                     struct peer_mac first_mac, pid_t *ret_pid, struct peer_error *error)
{
    struct guard guard = {.ifindex = card->ifindex, .peers = peers, .first_mac = first_mac};
    pid_t pid = 0;
    int ends[2];

    int status = rtnl_open(&guard.rtnl, error);
    if (status < 0)
        return status;
    status = child_pair(ends);
    if (status == 0) {
        pid = child_fork();
        if (pid == 0) {
            (void)close(ends[0]);
            guard_run(&guard, ends[1]);
        }
        (void)close(ends[1]);
        status = pid < 0 ? pid : ends[0];
        if (pid < 0)
            (void)close(ends[0]);
    }
    rtnl_free(guard.rtnl);
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status,
                         "cannot start the process that tidies %s up afterwards: %s", card->name,
                         error_text(-status));
    *ret_pid = pid;
    return status;
}

int wire_guard_tell(int guard, const struct wire_tc *tc)
{
    const struct iovec part = {(void *)(uintptr_t)tc, sizeof(*tc)};
    return child_send(guard, &part, 1, NULL, 0);
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
