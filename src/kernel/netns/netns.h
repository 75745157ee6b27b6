/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_NETNS_H
#define KERNEL_NETNS_NETNS_H

#include <peer/error.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
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
/** For a child of one thread that stays there: enters it, by way of the user namespace that owns it
 *  where that has to be. 0 or -errno. */
int netns_enter(struct netns_place place);
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
 * How this process was started: what a program has to find that is to run as without us.
 *
 * netns_origin_take comes before anything is opened, raised, ignored or blocked. 0 or -ENOMEM.
 * `fds` are the descriptors above 2 that an execve handed on, ascending; nobody here may close or
 * use them before netns_origin_let_go, which closes them: somebody waits for the end of a pipe, and
 * that comes when nobody has it any more. netns_origin_done frees what is remembered.
 */
struct netns_origin {
    int *fds;
    size_t fd_count;
    bool stdio_closed[3]; /* "<&-" */
    sigset_t mask;        /* signals that were blocked, */
    sigset_t ignored;     /* and ignored (nohup) */
    struct rlimit limits[RLIM_NLIMITS];
    mode_t umask;
};
int netns_origin_take(struct netns_origin *ret);
void netns_origin_let_go(struct netns_origin *origin);
void netns_origin_done(struct netns_origin *origin);

/**
 * A fresh network namespace (lo up), held by a child process, the holder, and a program in it. It is
 * made in one of two ways:
 *
 *  - for an application (--isolate; no `origin`): as root a network namespace alone, so that a
 *    program in it can do all that root's programs do (become www-data, say). Without privileges it
 *    is a user namespace too, where the caller's user is seen as root and is the only one there is.
 *  - as without peer (`origin`): the program finds what the caller was started with. As root the
 *    namespace is the same. Without privileges the user namespace has the caller's own user and
 *    group in it and no other (all files of others belong to nobody there, and no setuid program
 *    changes its user); the holder has capabilities in it, the program has none.
 *
 * The holder has no descriptor of the caller's (but those of the program, which it lets go once that
 * runs), adopts what the program leaves behind, and kills all of it when the caller ends in whatever
 * way. It is in a process group of its own, as without peer in a session of its own once the program
 * runs. As without peer there is a third process, the sweeper: it kills what is left when caller and
 * holder are killed at the same moment. Zero-initialised is "nothing held".
 */
struct netns_isolated {
    pid_t holder; /* the child; its /proc/PID/ns/net is the namespace; 0: nothing held */
    int netns_fd;
    int control;   /* to the holder; see netns_isolate_ended */
    int sweeper;   /* to that one, 0: there is none */
    pid_t sweeper_pid;
    pid_t program; /* the holder's child, 0 while there is none; keeps its value when it ended */
    bool tells;    /* netns_isolate_next has to be asked, not netns_isolate_ended */
    bool ended;    /* the program has ended; `status` is its wait status */
    int status;
    bool cleared; /* netns_isolate_clear was called, in another process perhaps */
};
enum netns_stdio {
    NETNS_STDIO_SHARED, /* the program has the caller's stdin, stdout, stderr */
    NETNS_STDIO_ASIDE,  /* stdin is empty, stdout goes to the caller's stderr: the caller needs both
                         */
};
struct netns_isolate_config {
    char *const *argv; /* NULL, or with nothing in it: no program */
    enum netns_stdio stdio;
    /** Nothing is made: the program is to run in this namespace (fd < 0: the caller's own), and with
     *  what follows. The holder then holds no namespace, and netns_fd is -1. Not with `origin`. */
    const struct netns_place *place;
    char *const *all_environment; /* all of it; NULL: the caller's */
    const char *directory;        /* NULL: the caller's */
    const int *stdio_fds;         /* three, -1 is /dev/null; NULL: the caller's */
    const int *kept;              /* descriptors above 2 that it has, under their numbers */
    size_t kept_count;
    const struct netns_origin *origin; /* NULL: for an application */
    char *const *environment;          /* "NAME=value" to be added; NULL: none */
    pid_t waiter; /* gets SIGCONT when the stopped program goes on, 0: nobody. With `origin` */
};
/**
 * All of `config` and the environment are taken as they are now. Close with netns_isolate_end.
 * Errors: EPERM, ENOSPC, EINVAL, ENOSYS: namespaces are refused to us; the text names the sysctl or
 * the policy to change.
 */
int netns_isolate(const struct netns_isolate_config *config, struct netns_isolated *ret,
                  struct peer_error *error);
/**
 * Starts the program in the namespace: in the caller's process group (so Ctrl-C reaches it), with
 * stdio as netns_isolate was told. For an application: no other descriptor, no signal blocked,
 * SIGPIPE not ignored. As without peer: descriptors, mask, ignored signals, limits and umask of the
 * origin. argv[0] is looked up in PATH. Errors: the errno of execve with text (ENOENT: there is no
 * such program; what else begins with E there: it cannot be run); EALREADY, started before; EINVAL,
 * there was no argv; EPIPE, the holder is gone.
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
/**
 * The same for a program as without peer, whose `control` is readable for more: that it was stopped,
 * by which signal, and that it goes on. Each answer is one piece of news, in their order: ask until
 * it is 0. NETNS_ENDED is the last (asked again, it comes again). -EPIPE as above, and what was left
 * in the namespace has been killed.
 */
enum netns_news {
    NETNS_NOTHING,
    NETNS_ENDED,     /* value: its wait status */
    NETNS_STOPPED,   /* value: the signal */
    NETNS_CONTINUED,
};
int netns_isolate_next(struct netns_isolated *isolated, int *ret_value);
/** Sends a signal to the program, and to nobody when that has ended. 0; -EPIPE: no holder. */
int netns_isolate_signal(struct netns_isolated *isolated, int signal_number);
/** Was the holder killed by somebody? After netns_isolate_start that is known when `control` is
 *  readable. */
bool netns_isolate_is_dead(const struct netns_isolated *isolated);
/** Kills all processes that are left in the namespace of a holder that was killed, as far as we
 *  may. Where there is a sweeper it has done so: then nothing. */
void netns_isolate_clear(const struct netns_isolated *isolated);
/** Only closes what this process has of it: for one that was forked from the caller. */
void netns_isolate_abandon(struct netns_isolated *isolated);
/** Begins what netns_isolate_end ends, and waits for nothing: for several at once. */
void netns_isolate_stop(const struct netns_isolated *isolated, int grace_ms);
/**
 * Ends all: SIGTERM to the program (or to what it left behind), SIGKILL to all descendants after
 * `grace_ms` (<= 0: at once), then the holder, and reaps it. Blocks up to `grace_ms` and as long as
 * the kernel takes to kill. A holder that was killed can kill nobody: then the namespace is
 * cleared, if that was not done (by the sweeper where there is one, so that takes no rights here). Returns the program's wait status, or -1 when there was none or the
 * holder was killed. Takes NULL and zero-initialised; `isolated` is zero-initialised afterwards.
 */
int netns_isolate_end(struct netns_isolated *isolated, int grace_ms);

#endif
