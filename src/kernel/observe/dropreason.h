/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef KERNEL_OBSERVE_DROPREASON_H
#define KERNEL_OBSERVE_DROPREASON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * What the kernel does with packets in the calling thread: where it drops one and why, and the
 * times of a few other steps. A write to a TUN/TAP descriptor is the kernel's whole receive path,
 * run in the thread that writes; so what is seen between "before" and "after" of such a write is
 * the way of that packet, and of what softirqs and interrupts do on top of the thread meanwhile.
 * Packets are told apart by their addresses, from the device on; what is surely another's is left
 * out.
 *
 * Nothing of it stays when the descriptors are closed. Needs CAP_PERFMON (or root), in the initial
 * user namespace.
 */
struct dropreason;

enum dropreason_kind {
    DROPREASON_DROP,    /* skb:kfree_skb; `reason`, `location` and `hook` tell */
    DROPREASON_RECEIVE, /* net:netif_receive_skb_entry: the device's packet enters the stack */
    DROPREASON_ROUTE,   /* fib:fib_table_lookup, or fib6 (also the look-up of the way back) */
    DROPREASON_SEND,    /* net:net_dev_queue: a packet goes to a device */
    DROPREASON_NOTICE,  /* a netlink message came to a socket; see nftrace_collect */
    DROPREASON_CONSUME, /* skb:consume_skb: the end of a packet of ours without any loss */
};

enum dropreason_owner {
    DROPREASON_OURS,   /* the very packet that the device took */
    DROPREASON_ANSWER, /* a packet that was given to a device because of it */
    DROPREASON_LIKELY, /* of the write itself: an answer on its way to a device, or a copy of ours
                        * (see dropreason_event.copied) */
    DROPREASON_OTHERS,
};

enum { DROPREASON_FRAMES_MAX = 24 };

struct dropreason_event {
    enum dropreason_kind kind;
    enum dropreason_owner owner;
    uint64_t at_ns;    /* CLOCK_MONOTONIC */
    uint16_t protocol; /* ethertype of the packet. DROP and RECEIVE */
    uint64_t socket;   /* tells sockets apart, means nothing else. NOTICE */
    char reason[40];   /* the kernel's name, "NO_SOCKET"; "" when it has none. DROP only */
    char location[48]; /* function that dropped it; "" when the kernel hides its symbols */
    const char *hook;  /* netfilter hook it was in: "ingress", "prerouting", "input", "forward",
                        * "output", "postrouting", "egress"; NULL: none, or not known */
    bool conntrack;    /* connection tracking dropped it */
    bool deferred;     /* from a softirq or an interrupt, on top of the thread */
    bool copied;       /* the end of a packet whose copy goes on. CONSUME only */
    bool netlink, datagram; /* kind of the socket. NOTICE only */
    char device[16];        /* RECEIVE and SEND: which */
};

/**
 * Starts to record nothing yet. Packets are ours that are of the `family` (4 or 6) and come in by
 * `device` ("": by any). `ret` is the caller's to free. -errno: EACCES or EPERM (no permission), ENOENT (no tracefs, or a kernel
 * without the tracepoint), EOPNOTSUPP.
 */
int dropreason_open(uint8_t family, const char *device, struct dropreason **ret_dropreason);
struct dropreason *dropreason_free(struct dropreason *dropreason);

/** Recording on, or off. Costs a microsecond per event while on. 0 or -errno. */
int dropreason_enable(struct dropreason *dropreason, bool on);
/** Takes what was recorded out of the kernel's ring, which has little room: for whoever waits. */
void dropreason_drain(struct dropreason *dropreason);
/**
 * Takes what was recorded, in order, into `events`. Returns how many; what finds no room is lost
 * and counted in `*ret_lost` (may be NULL), as is what the kernel had no room for.
 */
int dropreason_collect(struct dropreason *dropreason, struct dropreason_event *events, int room,
                       uint64_t *ret_lost);

#endif
