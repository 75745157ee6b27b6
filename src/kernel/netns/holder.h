/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_NETNS_HOLDER_H
#define KERNEL_NETNS_HOLDER_H

#include "kernel/netns/netns.h"

/** The process that holds an isolated namespace (netns_isolate), and how one talks to it. */

enum holder_kind {
    /* from the holder */
    HOLDER_READY,       /* with the namespace's descriptor */
    HOLDER_REFUSED,     /* value: errno of making the namespaces, and the holder is gone */
    HOLDER_STARTED,     /* value: the program's process id */
    HOLDER_NOT_STARTED, /* value: errno of execve; name */
    HOLDER_ENDED,       /* value: the program's wait status; once, after HOLDER_STARTED */
    HOLDER_STOPPED,     /* value: the signal that stopped the program. With an origin only, */
    HOLDER_CONTINUED,   /* and this */
    /* to the holder */
    HOLDER_START,
    HOLDER_SIGNAL, /* value: a signal for the program */
    HOLDER_STOP,   /* value: milliseconds of grace */
};

struct holder_message {
    enum holder_kind kind;
    int value;
    char name[256];   /* of the program, cut if need be */
    bool interpreter; /* HOLDER_NOT_STARTED: the file is there, but not what should run it */
    bool directory;   /* HOLDER_NOT_STARTED: it is the directory that was refused */
};

/** The holder's whole life, in a child made by child_fork. */
_Noreturn void holder_run(int control, pid_t parent, const struct netns_isolate_config *config);

#endif
