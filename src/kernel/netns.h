/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_H
#define KERNEL_NETNS_H

#include <peer/error.h>
#include <sys/types.h>

/**
 * Which network namespace to work in. The caller's process never leaves its own: a short-lived
 * helper process enters the namespace, does the work and hands descriptors back (a TUN or netlink
 * descriptor stays bound to the namespace it was opened in).
 */

/** Resolves NAME (of /run/netns), PID or PATH to a namespace descriptor. -errno with text: does not exist, is no network namespace, no permission. */
int netns_open(const char *spec, pid_t *ret_pid, struct peer_error *error);

enum { NETNS_FDS_MAX = 8 };
/** What a helper brings home: descriptors and up to 4 KiB of plain data. */
struct netns_result {
    int fds[NETNS_FDS_MAX];
    int fd_count;
    struct peer_error error; /* when the work failed */
    int status;              /* what `work` returned */
};

/**
 * Runs `work(arg, result)` in a forked helper inside the namespace `netns_fd` and waits for it.
 * `owner_pid` > 0: enter that process's user namespace first when ours has no rights (rootless, on
 * one's own processes). `data`/`data_len` is a buffer (<= 4096 bytes) that `work` fills in the
 * child and that is copied back into the caller's. Returns what `work` returned, or -errno.
 */
int netns_run(int netns_fd, pid_t owner_pid,
              int (*work)(void *arg, struct netns_result *result), void *arg, void *data,
              size_t data_len, struct netns_result *ret_result, struct peer_error *error);

/**
 * --isolate: a fresh user and network namespace (lo up), held by a child process. With `argv` the
 * child's child is that program, started only at netns_isolate_start; both die with this process
 * (PR_SET_PDEATHSIG). Without privileges needs unprivileged user namespaces; as root falls back
 * to a network namespace alone when user namespaces are refused.
 */
struct netns_isolated {
    pid_t holder;    /* the child; its /proc/PID/ns/net is the namespace */
    int netns_fd;
    int control;     /* end of a socketpair to the holder */
    int child_fd;    /* pidfd of the program, readable when it ended; -1 before start */
    pid_t child;
};
int netns_isolate(char *const argv[], struct netns_isolated *ret, struct peer_error *error);
/** Starts the program. Errors: command not found (the errno of execve) and so on. */
int netns_isolate_start(struct netns_isolated *isolated, struct peer_error *error);
/** SIGTERM to the program, SIGKILL after `grace_ms`, then the holder; reaps both. Returns the program's wait status or -1 when there was none. */
int netns_isolate_end(struct netns_isolated *isolated, int grace_ms);

#endif
