/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_CONFINE_H
#define PEER_CONFINE_H

#include <peer/peer.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Least privilege. What a peer_net reads comes from programs that nobody need trust, so a process
 * that has made one can give up, for good, all that made it: user, capabilities, the working
 * directory, and most system calls. What is left is to read and write what is open, to wait, to
 * read clocks and to have memory.
 *
 * It holds for the whole process, and for what it forks.
 */
enum peer_confine_calls {
    PEER_CALLS_TERMINAL = 1 << 0, /* modes and size of a terminal, signal handlers */
    PEER_CALLS_FILES = 1 << 1,    /* opens files to read them */
    PEER_CALLS_ACCEPTS = 1 << 2,  /* new callers of sockets that listen */
    PEER_CALLS_BINDS = 1 << 6,    /* new sockets for datagrams, at ports of the kernel's choice */
    PEER_CALLS_CONNECTS = 1 << 4, /* new sockets of IP and Unix that call; raw ones need a
                                   * capability all the same */
    PEER_CALLS_RECORDS = 1 << 7,  /* makes, renames and writes files */
    PEER_CALLS_OBSERVES = 1 << 3, /* whatever set-up, peer_trace and peer_doctor need: devices,
                                   * namespaces, sockets, observers, helper processes; no programs */
};

struct peer_confine_config {
    unsigned calls;        /* beyond the steady state: enum peer_confine_calls */
    uint64_t capabilities; /* kept, as bits 1 << CAP_*; 0: none */
    bool change_user;      /* to `uid` and `gid`, with no further groups */
    bool may_stay;         /* and when that is not possible (a container without CAP_SETUID, a user
                            * namespace without that user), it is no error */
    uid_t uid;
    gid_t gid;
    bool unfiltered; /* all system calls stay: a process that loads code of others, such as the
                      * resolver's, with nothing but its user's rights */
    bool soaks; /* peer_soak_start is to be called: what it reads is opened now */
    bool trap;  /* a forbidden call raises SIGSYS, for a handler, instead of killing the process */
};

/**
 * Call it when the net is made and all files are open. `net` may be NULL.
 *
 * A child is forked before ("peer-monitor", CAP_NET_ADMIN in the device's namespace), which from
 * then on does what the library still needs privileges for: to make routes again when the device
 * was down, and a guardian when somebody killed it.
 *
 * 0. 1, with text: all but the filter of system calls, which this kernel or container does not let
 * be set. -errno with text: EPERM, EINVAL (the user); the process is then in a state in between, so
 * end it.
 */
PEER_EXPORT int peer_confine_sized(struct peer_net *net, const struct peer_confine_config *config,
                                   size_t size, struct peer_error *error);
static inline int peer_confine(struct peer_net *net, const struct peer_confine_config *config,
                               struct peer_error *error)
{
    return peer_confine_sized(net, config, sizeof(*config), error);
}
/** Closes every descriptor above 2 but these. */
PEER_EXPORT void peer_close_others(const int *kept, size_t count);
/** The name of a system call that was trapped. Returns `buf`. */
enum { PEER_CALL_TEXT = 32 };
PEER_EXPORT const char *peer_call_name(int call, char buf[PEER_CALL_TEXT]);

#ifdef __cplusplus
}
#endif

#endif
