/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_EXEC_H
#define PEER_EXEC_H

#include <peer/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Programs as remote machines. A program runs in a network namespace of its own (with a user
 * namespace, unless we are root), whose default route is a device of ours; all its connections and
 * datagrams reach applications here from the peers' addresses. Its TCP/IP is Linux's own, so whatever
 * it is written in and whatever it speaks works. Links, captures and cables are the net's.
 *
 * Inside, the program's address is that of the first of its peers. It has no IPv6 when the peers are
 * IPv4, and the other way round. It reaches this machine's addresses (those of the net's namespace)
 * alone, unless peer_net_config.allow_forward; else the kernel tells it at once that this is
 * prohibited. Names resolve as they do here.
 *
 * In a net with `workers` these move the packets, from peer_exec_start on: each has some of the flows, and
 * its part of the peers. Not with PEER_SPREAD_RUN.
 */
struct peer_exec;

/** When a program's next flow comes from the next peer. */
enum peer_spread {
    PEER_SPREAD_CONNECTION,  /* always */
    PEER_SPREAD_DESTINATION, /* when it goes to an address that is new */
    PEER_SPREAD_RUN,         /* never: each copy is one peer */
};

/**
 * How this process was started, which is what programs are to find: descriptors, ignored and blocked
 * signals, limits. To be taken first of all, before anything is opened or ignored. Descriptors above
 * 2 that were inherited belong to it from then on: peer_exec_start closes them here.
 */
struct peer_origin;
/** NULL without memory. */
PEER_EXPORT struct peer_origin *peer_origin_new(void);
PEER_EXPORT struct peer_origin *peer_origin_free(struct peer_origin *origin);

/** All but `argv` may be zero. */
struct peer_exec_config {
    char *const *argv; /* argv[0] is looked up in PATH; used until peer_exec_start */
    unsigned copies;   /* of the program, each with its slice of the peers; 0: one, and then "{}" in
                        * its words stays what it is, instead of being the copy's number from 0 */
    enum peer_spread spread;
    struct peer_addr
        localhost;       /* what is sent to the program's own loopback address goes there; IPv4 */
    const char *manners; /* of frames: vanish, duplicate-data, bad-checksum, pmtu, roam; a share is
                          * one of all flows */
    uint64_t roam_ns;    /* every flow goes on from another peer so often; 0: none does */
    uint64_t max_flows;  /* 0: 1 000 000 */
    struct peer_origin *origin; /* NULL: as this process is at peer_exec_new */
    pid_t
        waiter; /* gets SIGCONT when a stopped program goes on: who was stopped with it; 0: nobody */
};
/**
 * Makes the namespaces and devices. One for a net, which outlives it. -EINVAL, -EPERM, -ENOSPC...
 * with text.
 */
PEER_EXPORT int peer_exec_new_sized(struct peer_net *net, const struct peer_exec_config *config,
                                    size_t size, struct peer_exec **ret_exec,
                                    struct peer_error *error);
static inline int peer_exec_new(struct peer_net *net, const struct peer_exec_config *config,
                                struct peer_exec **ret_exec, struct peer_error *error)
{
    return peer_exec_new_sized(net, config, sizeof(*config), ret_exec, error);
}
/**
 * Starts all copies, with standard streams, environment, directory and user as they are here; with
 * PEER_FROM, the copy's first address, PEER_INDEX, its number from 0, and PEER_LOCAL, the local
 * side's address when it was given one. -ENOENT: there is no such program; another -errno of
 * execve; with text.
 */
PEER_EXPORT int peer_exec_start(struct peer_exec *exec, struct peer_error *error);
/** Ends what still runs: SIGTERM, then SIGKILL, to all that descends from it. */
PEER_EXPORT struct peer_exec *peer_exec_free(struct peer_exec *exec);

enum peer_exec_event_type { PEER_EXEC_ENDED, PEER_EXEC_STOPPED, PEER_EXEC_CONTINUED };
struct peer_exec_event {
    enum peer_exec_event_type type;
    unsigned copy;
    int status; /* ENDED: as wait(2) gives it; STOPPED: the signal */
};
/** Readable when there may be one. */
PEER_EXPORT int peer_exec_fd(const struct peer_exec *exec);
/** Takes the next event: 1, or 0 when there is none. */
PEER_EXPORT int peer_exec_pop_event_sized(struct peer_exec *exec,
                                          struct peer_exec_event *ret_event, size_t size);
static inline int peer_exec_pop_event(struct peer_exec *exec, struct peer_exec_event *ret_event)
{
    return peer_exec_pop_event_sized(exec, ret_event, sizeof(*ret_event));
}
/** Sends a signal to all copies that run. 0 or -errno. */
PEER_EXPORT int peer_exec_signal(struct peer_exec *exec, int number);
/**
 * After the end of the programs, before peer_net_leave: 1 when all their connections have come to
 * their end, or nothing more is to be expected; 0: not yet, so dispatch for some 10 ms and ask again.
 */
PEER_EXPORT int peer_exec_leave(struct peer_exec *exec);

struct peer_exec_stats {
    uint64_t flows;                                        /* now */
    uint64_t tcp_flows, udp_flows, echo_flows;             /* made */
    uint64_t peers;                                        /* addresses that flows came from */
    uint64_t packets_out, bytes_out, packets_in, bytes_in; /* of IP, from and to programs */
    uint64_t prohibited;  /* packets to others than this machine, answered so */
    uint64_t refused;     /* packets that begin no flow: the table is full, no port is left */
    uint64_t unsupported; /* packets neither of TCP, UDP nor echo, or of the other family */
    uint64_t misbehaved;  /* flows that have begun to */
    uint64_t roamed;
    uint64_t drops; /* packets that a program's device did not take */
    uint64_t passed; /* with workers: packets of programs that another had read than has the flow */
};
PEER_EXPORT int peer_exec_get_stats_sized(const struct peer_exec *exec,
                                          struct peer_exec_stats *ret_stats, size_t size);
static inline int peer_exec_get_stats(const struct peer_exec *exec,
                                      struct peer_exec_stats *ret_stats)
{
    return peer_exec_get_stats_sized(exec, ret_stats, sizeof(*ret_stats));
}

#ifdef __cplusplus
}
#endif

#endif
