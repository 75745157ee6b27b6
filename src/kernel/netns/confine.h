/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_CONFINE_H
#define KERNEL_NETNS_CONFINE_H

#include <peer/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * Least privilege: what a process gives up once all is set up, before it reads what others send.
 * It cannot be undone, it holds for the whole process, and what the process forks inherits it.
 *
 * System calls of the steady state stay: reading and writing what is open, waiting, messages on
 * sockets that are open, clocks, memory that cannot be executed, a signal to oneself, and the end.
 * The rest is named in groups.
 */
enum confine_calls {
    CONFINE_TERMINAL = 1 << 0, /* its modes, and signal handlers */
    CONFINE_FILES = 1 << 1,    /* opens files to read them, and no other way */
    CONFINE_SOCKETS = 1 << 2,  /* new sockets, netlink's and others */
    CONFINE_SIGNALS = 1 << 3,  /* to other processes */
    CONFINE_WAITS = 1 << 4,    /* for children that are there */
    CONFINE_ACCEPTS = 1 << 7,  /* new callers of a socket that listens */
    CONFINE_BINDS = 1 << 9,    /* new sockets of IP for datagrams */
    CONFINE_CONNECTS = 1 << 8, /* new sockets of IP and Unix that call */
    CONFINE_FORKS = 1 << 5,    /* new processes of this program, and how they confine themselves */
    CONFINE_RECORDS = 1 << 10, /* files: made, renamed, cut, removed, brought to the disk */
    CONFINE_OBSERVES = 1 << 6, /* what set-up takes: devices, namespaces, eBPF, perf events, files and
                                * ioctls of every kind; neither programs nor memory that runs */
};

struct confine {
    unsigned calls;        /* enum confine_calls; what is not named ends the process by SIGSYS */
    bool unfiltered;       /* no filter is set, whatever `calls` says */
    bool trap;             /* a forbidden call raises SIGSYS, which can be handled, and fails */
    bool dumpable;         /* others of this user may look at it in /proc, into its namespaces too */
    uint64_t capabilities; /* kept, as bits 1 << CAP_*, in so far as they are held */
    bool change_user;      /* to these, with no further groups; needs root */
    bool may_stay;         /* it is no error when that is not possible */
    uid_t uid;
    gid_t gid;
};

/**
 * In this order: working directory /, user, capabilities (the bounding set too), not dumpable,
 * no_new_privs, filter. 0 or -errno with text; what was given up before the error stays so. 1, with
 * text: all but the filter, which this kernel or container does not let be set.
 */
int confine_process(const struct confine *confine, struct peer_error *error);
/** Has it set a filter, in this process or one that this was forked from? */
bool confine_is_filtered(void);
/** The name of a system call of this machine, "call 123" when it has none. Returns `buf`. */
enum { CONFINE_NAME_TEXT = 32 };
const char *confine_call_name(int call, char buf[CONFINE_NAME_TEXT]);

/** Closes every descriptor but these, which are sorted by it. */
void confine_descriptors(int *kept, size_t count);

#endif
