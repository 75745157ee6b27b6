/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FLOW_FLOW_H
#define FLOW_FLOW_H

#include "base/iov.h"
#include "stack/conn.h"

#include <netinet/in.h>
#include <peer/flow.h>
#include <sys/types.h>
#include <sys/uio.h>

/**
 * One TCP connection or UDP flow as its owner sees it: a state, counters, a deadline for the
 * handshake. Embedded in the owner's struct. Owners hear of everything by `event`, called when the
 * stack has unwound, and may do anything to any flow from there: memory goes back only at the end
 * of the iteration (flows_reap).
 */
struct flow;

/** Each state says what leaves it and what may be done in it. */
enum flow_state {
    /** Made, nothing sent. Leaves by flow_connect, or by the stack's accept. */
    FLOW_NEW,
    /** The handshake runs. Leaves by FLOW_CONNECTED to OPEN, by the end to ENDED. No writes. */
    FLOW_CONNECTING,
    /** Both directions are open. Leaves by EOF, flow_shutdown, flow_close, the end. */
    FLOW_OPEN,
    /** The application sent FIN: no more comes in, writing goes on. */
    FLOW_REMOTE_DONE,
    /** We sent FIN: reading goes on. */
    FLOW_LOCAL_DONE,
    /** flow_close was called, or both sides sent FIN. Only the end is still reported. */
    FLOW_CLOSING,
    /** Over, `flow_end` tells how. What was received may still be read. Nothing leaves it. */
    FLOW_ENDED,
    FLOW_STATES,
};

/** Bits of `events`, in the order in which an owner should look at them. */
enum {
    FLOW_CONNECTED = STACK_CONNECTED,
    FLOW_ACCEPTED = STACK_ACCEPTED,
    FLOW_READABLE = STACK_READABLE,
    FLOW_WRITABLE = STACK_WRITABLE, /* bytes were acknowledged */
    FLOW_EOF = STACK_EOF,
    FLOW_UNREACHABLE = STACK_UNREACHABLE,
    FLOW_END = STACK_CLOSED, /* the last event */
};

struct flow_ops {
    void (*event)(struct flow *flow, unsigned events);
    /** The memory goes back to the owner. */
    void (*release)(struct flow *flow);
    /** The frame that the owner awaited `as` left, at `at_ns`. May be NULL. Called from within the
     *  owner's calls, or up to the end of the iteration, also when the flow was given up: it may
     *  change nothing of flows. */
    void (*left)(struct flow *flow, uint32_t as, uint64_t at_ns);
};

/**
 * Somebody who looks over the owner's shoulder: the manners of a flow. Embedded in what the watcher
 * likes; lives until `done`.
 */
struct flow_watch {
    /** Something happened: FLOW_* (before the owner hears of it), FLOW_WROTE, or FLOW_OPENED.
     * Called from within the owner's own calls too, so it may not close, reset or free the flow: a
     * timer may. */
    void (*look)(struct flow *flow, unsigned events);
    /** The flow has no owner any more. */
    void (*done)(struct flow *flow);
    size_t write_most; /* flow_write takes so many bytes in all, then -EAGAIN; SIZE_MAX: no limit */
    bool holds;        /* flow_shutdown and flow_close have no effect */
};
/** The flow's watch from now on. -ENOMEM. */
int flow_set_watch(struct flow *flow, struct flow_watch *watch);
/** NULL for none. */
struct flow_watch *flow_watch(const struct flow *flow);

enum {
    FLOW_OPENED = 1 << 16, /* the first SYN left, or the datagrams' way is open */
    FLOW_WROTE = 1 << 17,
};

struct flow {
    struct stack_conn conn; /* first: the stack's view of this struct */
    struct flows *flows;
    const struct flow_ops *ops;
    struct list node;         /* of flows->all, then of flows->dead */
    struct timer deadline;    /* of the handshake, then of an introduction */
    struct flow_hooks *hooks; /* NULL for nearly all: a watch, a filter */
    uint64_t opened_ns;       /* when the first SYN left */
    float handshake_ns; /* SYN to SYN-ACK, of repeated ones the first; 0 before. To 24 bits: 8 bytes
                           would be 32 of each connection (arena.c) */
    uint8_t state;
    bool orphan;                /* flow_free came before the end */
    uint8_t introduces;         /* see flow_introduce; 0: nearly all */
    uint8_t introduced;         /* of `written`: what went before the owner's first byte */
    uint64_t written, consumed; /* payload bytes as TCP and UDP carry them: below a filter */
};

/** All flows of one stack. */
struct stack;
struct flows {
    struct stack *stack;
    struct timers *timers;
    struct list all, dead;
    uint64_t count;
    uint64_t now_ns;
    /* The next frame is whose, and flow_left is to be told when that leaves. An owner who finds it
       unchanged behind his call sent none. */
    struct flow_awaited {
        struct flow *flow; /* NULL: nobody's */
        uint32_t as;       /* what the owner calls it; 0: he does not ask */
    } awaited;
};

void flows_init(struct flows *flows, struct stack *stack, struct timers *timers);
/** Resets every flow and gives their memory back. */
void flows_done(struct flows *flows);
void flows_set_now(struct flows *flows, uint64_t now_ns);
/** The stack's event callback leads here. */
void flows_event(struct stack_conn *conn, unsigned events);
/** End of an iteration: releases what flow_free gave up. */
void flows_reap(struct flows *flows);

/** `flow` is zeroed memory. */
void flow_init(struct flow *flow, struct flows *flows, const struct flow_ops *ops);
/** A frame that was awaited left `at_ns`; by the stack's time it was `since_ns` when it was made. */
void flow_left(const struct flow_awaited *awaited, uint64_t since_ns, uint64_t at_ns);
/** For the stack's accept: the flow is CONNECTING until FLOW_ACCEPTED. */
void flow_init_accepted(struct flow *flow, struct flows *flows, const struct flow_ops *ops);
/** See stack_tcp_connect. `timeout_ns` 0: until the stack gives up. On error the flow is still
 *  NEW. */
int flow_connect(struct flow *flow, uint8_t protocol, struct stack_tuple *tuple,
                 uint64_t timeout_ns);

/**
 * Before flow_connect of a TCP flow: the first that the other side reads is the header of the PROXY
 * protocol (proxy_header.h; 0: none) with this flow's own addresses. It is queued when the
 * handshake is done, below a filter and out of reach of manners, and rides with what the owner
 * writes next, if that comes within FLOW_INTRODUCE_NS.
 */
void flow_introduce(struct flow *flow, uint8_t version);
/** Before flow_connect too: what its peer is like. See stack_set_facts. */
int flow_set_facts(struct flow *flow, uint8_t family, const struct stack_facts *facts);
#define FLOW_INTRODUCE_NS UINT64_C(100000)

/** How flow_write treats the bytes; see stack/conn.h. */
enum { FLOW_WRITE_STABLE = STACK_WRITE_STABLE, FLOW_WRITE_MORE = STACK_WRITE_MORE };
/** Queues up to `len` bytes (UDP: one datagram) and returns how many; -EAGAIN for none, -EPIPE,
 *  -ENOTCONN, -EMSGSIZE, -ENOMEM. */
ssize_t flow_write(struct flow *flow, const void *data, size_t len, int flags);
/** UDP: up to FLOW_BURST datagrams of `segment` bytes (the last may be shorter) that lie one behind
 *  the other, as one frame where the device cuts them; FLOW_BURST_BYTES at the most. */
enum { FLOW_BURST = STACK_UDP_BURST, FLOW_BURST_BYTES = STACK_SUPER_BYTES };
ssize_t flow_write_burst(struct flow *flow, const void *data, size_t len, size_t segment);
size_t flow_write_room(const struct flow *flow);
int flow_peek(const struct flow *flow, struct iovec *iov, int count);
void flow_consume(struct flow *flow, size_t len);
int flow_shutdown(struct flow *flow);
void flow_close(struct flow *flow);
/** RST; the end (PEER_END_LOCAL) is reported like any other. */
void flow_reset(struct flow *flow);
/** Ends with that, and sends nothing. Reported like any other. */
void flow_lose(struct flow *flow, enum peer_end end);
/** No more events. An open flow is reset; one that is CLOSING lives on, unseen, until its end. */
void flow_free(struct flow *flow);

/** The flow goes on from another of the peers' addresses (NULL: the next). -EADDRNOTAVAIL (no peer),
 *  -EADDRINUSE, -EAFNOSUPPORT, -ENOTCONN. */
int flow_roam(struct flow *flow, const struct peer_addr *to);

static inline enum peer_end flow_end(const struct flow *flow)
{
    return (enum peer_end)flow->conn.end;
}
static inline bool flow_is_udp(const struct flow *flow)
{
    return flow->conn.protocol == IPPROTO_UDP;
}
/** Has the stack still something of it: it was opened, and its end has not come. */
static inline bool flow_is_there(const struct flow *flow)
{
    return flow->conn.pcb;
}
/** Index of its peer in the address set. */
static inline uint64_t flow_peer(const struct flow *flow)
{
    return flow->conn.peer;
}
/** Received, not yet consumed. */
size_t flow_unread(const struct flow *flow);
/** Written, not yet acknowledged; 0 for datagrams. */
size_t flow_unacked(const struct flow *flow);
/** By the owner, in all, without what introduced the flow. */
uint64_t flow_written(const struct flow *flow);
/** When the first frame came of what FLOW_READABLE or FLOW_EOF tells, and the last one. */
static inline uint64_t flow_arrived_ns(const struct flow *flow)
{
    return flow->conn.arrived_ns;
}
static inline uint64_t flow_arrived_last_ns(const struct flow *flow)
{
    return flow->conn.arrived_ns + flow->conn.arrived_more_ns;
}
/** The ICMP error that FLOW_UNREACHABLE or the end tells of; type 0: none. */
static inline void flow_icmp(const struct flow *flow, uint8_t *ret_type, uint8_t *ret_code)
{
    *ret_type = flow->conn.icmp_type;
    *ret_code = flow->conn.icmp_code;
}
/** False once the stack has nothing of it. */
bool flow_tuple(const struct flow *flow, struct stack_tuple *ret_tuple);
const char *flow_state_name(enum flow_state state);
void flow_info(const struct flow *flow, struct peer_flow_info *ret_info);

/** Callers of a port; each asks the engine's `accept` for a flow. `at` family 0: every peer.
 *  -EADDRINUSE, -ENOMEM. */
int flows_listen(struct flows *flows, uint8_t protocol, const struct peer_addr *at, uint16_t port,
                 void *user, struct stack_listener **ret_listener);
/** Open flows stay. Returns NULL. */
struct stack_listener *flows_unlisten(struct flows *flows, struct stack_listener *listener);
void *flow_listener_user(const struct stack_listener *listener);
/** Calls that were answered by a cookie and forgotten, and those that were not heard, too many
 *  strangers calling. */
void flow_listener_stats(const struct stack_listener *listener, uint64_t *ret_cookies,
                         uint64_t *ret_unheard);
/** One SYN that nobody remembers, from a port below 1024. -EADDRNOTAVAIL, -EINVAL. */
int flows_syn(struct flows *flows, const struct stack_tuple *tuple);
int flows_ping(struct flows *flows, const struct stack_ping *ping);
void flows_get_stats(const struct flows *flows, struct stack_stats *ret_stats);
/** Payload of the longest datagram. */
static inline size_t flow_datagram_max(uint8_t family)
{
    return stack_datagram_max(family);
}

#endif
