/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTACHMENT_ATTACHMENT_H
#define ATTACHMENT_ATTACHMENT_H

#include "attachment/plan.h"
#include "attachment/standing.h"
#include "attachment/targets.h"
#include "kernel/netlink/diag.h"
#include "kernel/netlink/rtnl.h"
#include "kernel/netns/netns.h"
#include "kernel/observe/counters.h"
#include "kernel/observe/cpu.h"
#include "kernel/wire/wire.h"

/**
 * What stands on the machine for a set of peers: the device, what joins it to a card's wire, its
 * guardian, the namespace and the program in it, and the sockets by which the kernel of that
 * namespace is asked. What runs on it, the stack and its clock, is an engine, which is made on one
 * of the device's queues; nothing here knows of one.
 */

/* Descriptors of the device: one, or one a worker. */
enum { ATTACHMENT_QUEUES = PEER_WORKERS_MOST };

/* What is read of the kernel's counters and of this process: see meters.c. */
struct meters {
    bool open;
    struct counters counters; /* of the device's namespace */
    struct cpu_files cpu;     /* of this process, */
    int statm;                /* likewise; -1: there is none */
};

struct attachment {
    struct addr_set peers;     /* `family` 0: none yet */
    struct peer_mac first_mac; /* TAP: peer i has mac_add(first_mac, i) */
    uint64_t seed;           /* every random choice derives from it */
    uint64_t seed_told;      /* by which all shards derive theirs */
    uint64_t shard, shards;  /* this one of so many; 0 of 1 */

    /* the device */
    enum peer_device_kind kind;
    char device[IF_NAMESIZE];
    int ifindex;
    int queues[ATTACHMENT_QUEUES]; /* owned; engines borrow them */
    int queue_count;
    bool steered; /* frames come to the queue that has their peer */
    bool offload_tcp, offload_udp; /* as the kernel granted them */
    struct peer_mac local_mac;     /* TAP: the local side's */
    uint32_t mtu;
    uint32_t device_mtu;       /* with a card's wire: as it was made, and no card makes it larger */
    char arrival[IF_NAMESIZE]; /* the device by which packets arrive: the card, else ours */
    int arrival_ifindex;
    struct wire_hold wire;
    struct wire_card card; /* ifindex 0: no wire */

    /* what else stands there */
    struct addr_prefix local; /* the local side's address, family 0: none */
    enum peer_neighbours neighbours;
    struct standing standing;
    struct guard guard;   /* of a device without a wire; fd -1: none */
    struct guard monitor; /* see monitor.c; fd -1: none */
    bool confined;        /* privileges are gone: what needs them is the monitor's */

    /* where */
    struct netns_place netns; /* fd -1: our own */
    bool isolate, has_program, program_started;
    int grace_ms; /* of the program when it is to end */
    struct netns_isolated isolated;
    struct rtnl *rtnl; /* of that namespace, as for what follows */
    struct diag *diag;
    struct targets targets;
    int watch_fd; /* news: see kernel/netlink/watch.h */
    struct meters meters;
};

/** Nothing is held: attachment_done would do nothing. */
void attachment_init(struct attachment *attachment);
/** In the namespace that the configuration names. Takes the plan's peers over. 0 or -errno with
 *  text; then attachment_done ends what was begun. */
int attachment_make(struct attachment *attachment, struct attach_plan *plan,
                    struct peer_error *error);
/** Ends all of it. No engine may be left. */
void attachment_done(struct attachment *attachment);
/** Only closes and frees what this process has of it: for one that was forked from the caller. */
void attachment_abandon(struct attachment *attachment);

/** The program of an isolated namespace. 0 or -errno with text. */
int attachment_start_program(struct attachment *attachment, struct peer_error *error);
/** As netns_isolate_ended; 0 when none was started. */
int attachment_program_ended(struct attachment *attachment, int *ret_status);

/** Does anybody take what the first peer sends to (addr, port)? 1, 0 or -errno. */
int attachment_has_listener(struct attachment *attachment, uint8_t protocol,
                            const struct peer_addr *addr, uint16_t port);
/** Are packets to `addr` this machine's own? See targets.h. */
int attachment_is_local(struct attachment *attachment, const struct peer_addr *addr,
                        uint64_t now_ns);
/** Forgets what was said of addresses. */
void attachment_ask_again(struct attachment *attachment);
/** Frames that the device's queue had no room for, ever, as far as known. */
uint64_t attachment_drops(struct attachment *attachment);

/** The guardian, of the device or of the wire. */
struct guard *attachment_guard(struct attachment *attachment);
/** Another guardian, after somebody killed the first one. Waits for the monitor, if need be. */
int attachment_guard_again(struct attachment *attachment, struct guard *ret_guard,
                           struct peer_error *error);
/** All that stands on the machine for the peers, again: see standing_restore. Likewise. */
int attachment_restore(struct attachment *attachment, struct peer_error *error);
/** Gives the device another MAC. Likewise. */
int attachment_set_mac(struct attachment *attachment, const struct peer_mac *mac,
                       struct peer_error *error);

/* monitor.c */
/** Before this process gives up its privileges: forks who keeps what is needed later. 0 or -errno
 *  with text. */
int attachment_confine(struct attachment *attachment, struct peer_error *error);

/* meters.c */
/** Opens what is not open yet. */
void attachment_open_meters(struct attachment *attachment);
/** Those of this process alone, in place of what a process had from which it was forked. */
void attachment_open_own_meters(struct attachment *attachment);
void meters_close(struct meters *meters);
uint64_t meters_resident_bytes(const struct meters *meters);

#endif
