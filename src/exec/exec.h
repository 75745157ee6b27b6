/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXEC_EXEC_H
#define EXEC_EXEC_H

#include "device/device.h"
#include "engine/engine.h"
#include "manner/manner.h"
#include "rewrite/rewrite.h"

/**
 * Programs whose own TCP/IP appears as that of peers. Each copy of the program (a side) has a device
 * of its own, in a namespace of its own; its packets are rewritten (src/rewrite) and sent as a
 * peer's on the engine's device, with its links and capture, and what comes back goes the other way.
 * It is the engine's transit: what is of no flow here stays the stack's.
 */
struct exec;

/**
 * Several processes, each with an engine and its part of the peers (base/shard.h), as the workers of one
 * net. A program's device is read by one of them, which passes each packet on to whoever has the flow:
 * every flow is of one of them by a hash, in which a worker has as many chances as it has peers of that
 * copy. So the order of a flow's packets stays, and nothing is lost on that way: when another takes
 * nothing more, no more is read. Answers are written by whoever has the peer.
 */
struct exec_crew {
    const struct addr_set *all; /* peers, of all of them; NULL: there is one process. Outlives it */
    unsigned member, members;   /* this one, of so many */
    /** SOCK_SEQPACKET, non-blocking: to read, that of this member; to write, by member. The caller's. */
    int inbox;
    const int *others; /* outlives it */
    uint64_t secret;   /* of all of them */
};
/** Has each copy, of so many, two peers of whoever has its flows, which may so roam? -EINVAL with text. */
int exec_crew_check_roaming(const struct addr_set *peers, unsigned side_count, unsigned members,
                            struct peer_error *error);

struct exec_config {
    struct exec_crew crew; /* all zero: none */
    struct engine *engine;         /* outlives it */
    const struct addr_set *peers;  /* likewise */
    struct peer_mac first_mac;     /* of the first peer, on Ethernet */
    struct device *const *devices; /* of the sides, TUN; owned from now on, also on error */
    unsigned side_count;           /* each gets as many peers as the others, as far as it comes out;
                                    * with fewer peers than sides they share */
    enum rewrite_spread spread;
    uint64_t seed, max_flows;
    struct peer_addr localhost; /* see struct rewrite_config */
    /** Manners of frames (exec_manners_check); with a share, of some of the flows. */
    const struct manner_spec *manners; /* copied */
    int manner_count;
    uint64_t roam_ns; /* each flow roams so often; 0: it does not */
    bool (*allowed)(void *user, const struct peer_addr *to);
    /** What a program wanted to send to `to` was not taken: not allowed. NULL is taken. */
    void (*refused)(void *user, unsigned side, const struct peer_addr *to);
    /** A new flow was not taken: -ENOSPC, there are `max_flows`; -EADDRINUSE, its peer has no port left
     *  towards that target. NULL is taken. */
    void (*crowded)(void *user, int status);
    void *user;
};

struct exec_stats {
    struct rewrite_stats flows;
    uint64_t peers;      /* addresses that had a flow */
    uint64_t prohibited; /* packets answered with an ICMP error */
    uint64_t begun;      /* flows that have begun to misbehave */
    uint64_t send_drops; /* packets that a program's device did not take */
    uint64_t passed;     /* packets of programs that another worker had read */
};

/** 0 or -errno. */
int exec_new(const struct exec_config *config, struct exec **ret_exec);
/** Takes itself out of the engine first. NULL is taken; returns NULL. */
struct exec *exec_free(struct exec *exec);
void exec_get_stats(const struct exec *exec, struct exec_stats *ret_stats);
/** TCP flows whose end was not seen, and the packets of these, both ways. */
struct exec_unfinished {
    uint64_t flows, packets;
};
void exec_get_unfinished(struct exec *exec, struct exec_unfinished *ret_unfinished);
/** Some address may be this machine's no longer: targets are asked about at once, and flows of lost
 *  ones forgotten. */
void exec_ask_again(struct exec *exec);
/** The slice of the peers that side `side` of `side_count` has. */
struct rewrite_side exec_slice(uint64_t peers, unsigned side, unsigned side_count);

/** Are they all about frames, which is all there is of a flow here? 0 or -EINVAL with text. */
int exec_manners_check(const struct manner_spec *specs, int count, struct peer_error *error);

#endif
