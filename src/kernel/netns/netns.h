/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_NETNS_H
#define KERNEL_NETNS_NETNS_H

#include <peer/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * Which network namespace to work in. The caller's process never leaves its own: a short-lived
 * helper process enters the namespace, does the work and hands descriptors back (a TUN or netlink
 * descriptor stays bound to the namespace it was opened in).
 *
 * netns_run and netns_isolate fork without exec, so the process must have no other threads: a lock
 * that another thread holds would stay locked in the child for ever. They restore the caller's
 * signal mask, leave its signal dispositions alone, and reap what they fork even when SIGCHLD is
 * ignored.
 */

/**
 * Resolves `spec` to a namespace descriptor (close-on-exec), which keeps the namespace alive:
 *  - digits alone are a process id: that process's network namespace; `ret_pid` gets the id;
 *  - what holds a '/' is a path (a namespace with a numeric name is reached so);
 *  - all else is a name in /run/netns or /var/run/netns, as "ip netns add" makes them.
 * `ret_pid` may be NULL and gets 0 for names and paths. -errno with text: ENOENT (no such name or
 * path), ESRCH (no such process), EACCES and EPERM (no permission), EINVAL (empty, or not a network
 * namespace), ENAMETOOLONG.
 */
int netns_open(const char *spec, pid_t *ret_pid, struct peer_error *error);

enum { NETNS_FDS_MAX = 8, NETNS_DATA_MAX = 4096 /* bytes */ };
/** What a helper brings home: descriptors and up to 4 KiB of plain data. */
struct netns_result {
    int fds[NETNS_FDS_MAX]; /* opened by `work`; from the caller's view its own, close-on-exec */
    int fd_count;
    struct peer_error error; /* filled by `work` when it fails */
    int status;              /* what `work` returned */
};

/** A namespace: its descriptor, and a process inside, 0 when not known. Where it is
 *  said so, fd < 0 is our own. */
struct netns_place {
    int fd;
    pid_t owner;
};
/** What is to be done there. */
struct netns_errand {
    struct netns_place place;
    int (*work)(void *arg, struct netns_result *result);
    void *arg;
    void *data;      /* what `work` fills in the helper; it is copied back into the caller's */
    size_t data_len; /* <= NETNS_DATA_MAX */
};

/**
 * Runs `work(arg, result)` in a forked helper inside the namespace and waits for it.
 *
 * The helper has a copy of the caller's memory and descriptors, all signals blocked, and dies with
 * the calling thread. It ends by _exit: no atexit handler, no flush of stdio. `work` must not print
 * and must not wait for long.
 *
 * Rootless: where we may not enter the namespace, the helper first enters the user namespace that
 * owns it, which the kernel allows to the user who made that (a rootless container's, an isolated
 * one's). The process inside is asked for its user namespace where the kernel does not tell the
 * owner.
 *
 * Returns what `work` returned (>= 0), with `ret_result` and `data` filled. Otherwise -errno, with
 * both untouched, no descriptor kept, and the text of `work`'s own error in `error`. EPERM: may not
 * enter. EIO: the helper died before it answered. EMFILE: no room for its descriptors.
 * `ret_result` may be NULL; descriptors are then closed.
 */
int netns_run(const struct netns_errand *errand, struct netns_result *ret_result,
              struct peer_error *error);

/**
 * --isolate: a fresh network namespace (lo up), held by a child process, the holder. As root it is
 * a network namespace alone, so that a program in it can do all that root's programs do (become
 * www-data, say). Without privileges it is a user namespace too, where the caller's user is seen as
 * root and is the only one there is.
 *
 * The holder is in a process group of its own, has no descriptor of the caller's (but stdio, which
 * it lets go once the program runs), adopts what the program leaves behind, and kills all of it
 * when the caller ends in whatever way. Zero-initialised is "nothing held".
 */
struct netns_isolated {
    pid_t holder; /* the child; its /proc/PID/ns/net is the namespace; 0: nothing held */
    int netns_fd;
    int control;   /* to the holder; see netns_isolate_ended */
    pid_t program; /* the holder's child, 0 while there is none; keeps its value when it ended */
    bool ended;    /* the program has ended; `status` is its wait status */
    int status;
    bool cleared; /* netns_isolate_clear was called, in another process perhaps */
};
/**
 * `argv` (NULL, or with nothing in it: no program) and the environment are taken as they are now.
 * Close with netns_isolate_end. Errors: EPERM, ENOSPC, EINVAL, ENOSYS: namespaces are refused to
 * us; the text names the sysctl or the policy to change.
 */
enum netns_stdio {
    NETNS_STDIO_SHARED, /* the program has the caller's stdin, stdout, stderr */
    NETNS_STDIO_ASIDE,  /* stdin is empty, stdout goes to the caller's stderr: the caller needs both
                         */
};
int netns_isolate(char *const argv[], enum netns_stdio stdio, struct netns_isolated *ret,
                  struct peer_error *error);
/**
 * Starts the program in the namespace: in the caller's process group (so Ctrl-C reaches it), with
 * stdio as netns_isolate was told and no other descriptor, no signal blocked, SIGPIPE not ignored.
 * argv[0] is looked up in PATH. Errors: the errno of execve with text; EALREADY, started before;
 * EINVAL, there was no argv; EPIPE, the holder is gone.
 */
int netns_isolate_start(struct netns_isolated *isolated, struct peer_error *error);
/**
 * Has the program ended? Never blocks. 1: yes, and its wait status is stored; 0: not yet, or there
 * is none; -EPIPE: the holder was killed by somebody, and the program with it.
 *
 * After netns_isolate_start `control` becomes readable exactly when this has news: poll it for
 * POLLIN, and stop when the answer was not 0 (a dead holder leaves it readable for ever). Processes
 * that the program left behind (a daemon that went to the background) are not waited for here.
 */
int netns_isolate_ended(struct netns_isolated *isolated, int *ret_status);
/** Was the holder killed by somebody? After netns_isolate_start that is known when `control` is
 *  readable. */
bool netns_isolate_is_dead(const struct netns_isolated *isolated);
/** Kills all processes that are left in the namespace of a holder that was killed, as far as we
 *  may. */
void netns_isolate_clear(const struct netns_isolated *isolated);
/**
 * Ends all: SIGTERM to the program (or to what it left behind), SIGKILL to all descendants after
 * `grace_ms` (<= 0: at once), then the holder, and reaps it. Blocks up to `grace_ms` and as long as
 * the kernel takes to kill. A holder that was killed can kill nobody: then the namespace is
 * cleared, if that was not done. Returns the program's wait status, or -1 when there was none or the
 * holder was killed. Takes NULL and zero-initialised; `isolated` is zero-initialised afterwards.
 */
int netns_isolate_end(struct netns_isolated *isolated, int grace_ms);

#endif
