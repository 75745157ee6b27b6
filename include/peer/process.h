/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_PROCESS_H
#define PEER_PROCESS_H

/**
 * What is under test, inside the net's namespace: sockets of this process, and programs. See
 * peer/peer.h for the conventions.
 */

#include <peer/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A kernel socket of the net's namespace, as socket(2) makes it here: this process binds, listens,
 * accepts, and closes it. Close-on-exec; SOCK_NONBLOCK in `type` is fine. So the server under test
 * can live in the process that tests it, whatever namespace the peers are in: an isolated one is
 * entered without root, and its ports below 1024 are free to take.
 *
 * A short-lived child makes it, where the namespace is another one. The descriptor, or -errno of
 * socket(2) with text; -EPERM after peer_confine.
 */
PEER_EXPORT int peer_net_socket(struct peer_net *net, int domain, int type, int protocol,
                                struct peer_error *error);
/** The net's namespace, for setns(2) or an "ip -n": borrowed, gone with the net. -1 when it is the
 *  one that this process was in when it made the net. */
PEER_EXPORT int peer_net_netns_fd(const struct peer_net *net);

/** A program in the net's namespace. */
struct peer_process;

/** All but `argv` may be zero. Used during the call alone. */
struct peer_spawn_config {
    char *const *argv; /* ends with NULL; argv[0] is looked up in this process's PATH */
    char *const *envp; /* all of its environment, ends with NULL; NULL: as this process's */
    const char *cwd;   /* NULL: as this process's */
    /** Three descriptors of this process that become its stdin, stdout, stderr; -1 is /dev/null.
     *  NULL: as this process's. */
    const int *stdio;
    /** Descriptors above 2 that it has too, under the same numbers, close-on-exec or not. It has no
     *  others. */
    const int *kept;
    size_t kept_count;
    uint64_t grace_ns; /* from SIGTERM to SIGKILL when it is to end; 0: 2 s, PEER_NO_GRACE: none */
};
#define PEER_NO_GRACE UINT64_MAX

/**
 * Starts a program in the net's namespace, in this process's process group; any number at once.
 * Signals are as by default there (those that this process ignores stay ignored, but for SIGPIPE).
 * In an isolated namespace without root its user is seen as root.
 *
 * It ends with the net at the latest, and whatever way this process ends: another child of this
 * process ("peer-program") holds it, and kills it with all that descends from it. So it is no child of
 * this process: waitpid(2) does not know it.
 *
 * -EINVAL (no argv), -EBADF (one of the descriptors is not open), -ENOENT and other errors of
 * execve(2), -EPERM after peer_confine; all with text.
 */
PEER_EXPORT int peer_net_spawn_sized(struct peer_net *net, const struct peer_spawn_config *config,
                                     size_t size, struct peer_process **ret_process,
                                     struct peer_error *error);
static inline int peer_net_spawn(struct peer_net *net, const struct peer_spawn_config *config,
                                 struct peer_process **ret_process, struct peer_error *error)
{
    return peer_net_spawn_sized(net, config, sizeof(*config), ret_process, error);
}
/** Its process id; stays known when it has ended. */
PEER_EXPORT pid_t peer_process_pid(const struct peer_process *process);
/** Sends it a signal. -ESRCH when it has ended, -EINVAL: no such signal. */
PEER_EXPORT int peer_process_signal(struct peer_process *process, int number);
/** For a loop of your own: readable when peer_process_wait would return 1. Not to be read from. */
PEER_EXPORT int peer_process_fd(const struct peer_process *process);
/**
 * Waits for its end, at most `timeout_ns` (UINT64_MAX: for ever; 0: only looks), and dispatches the
 * net meanwhile. 1, with its status as wait(2) gives it, however often it is asked for; 0: it runs;
 * -EINTR after a signal. A device that is gone does not end the waiting.
 */
PEER_EXPORT int peer_process_wait(struct peer_process *process, uint64_t timeout_ns,
                                  int *ret_status);
/**
 * Ends it, and what it left behind: SIGTERM, then SIGKILL after `grace_ns`. Blocks until they are
 * gone. Takes NULL, returns NULL. peer_net_free does it for those that are left, all at once.
 */
PEER_EXPORT struct peer_process *peer_process_free(struct peer_process *process);

/** Who is waited for; all but `port` may be zero. */
struct peer_wait_config {
    int protocol;        /* IPPROTO_TCP (also 0) or IPPROTO_UDP */
    struct peer_addr at; /* family 0: the address that the local side was given */
    uint16_t port;
    uint64_t timeout_ns; /* 0: 10 s, UINT64_MAX: for ever */
    /** Who is to listen: when it has ended, nobody will. NULL: the program of isolate_argv, if that
     *  was started. */
    struct peer_process *process;
};
/**
 * Waits until somebody takes what peers send there, see peer_net_has_listener, and dispatches
 * meanwhile. 0. -ETIMEDOUT, -ESRCH (the program has ended), -EINTR, -EINVAL (no address), and the
 * errors of peer_net_has_listener and peer_net_wait; all with text.
 */
PEER_EXPORT int peer_net_wait_listener_sized(struct peer_net *net,
                                             const struct peer_wait_config *config, size_t size,
                                             struct peer_error *error);
static inline int peer_net_wait_listener(struct peer_net *net,
                                         const struct peer_wait_config *config,
                                         struct peer_error *error)
{
    return peer_net_wait_listener_sized(net, config, sizeof(*config), error);
}

#ifdef __cplusplus
}
#endif

#endif
