/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "base/addr_set.h"
#include "packet/frame.h"
#include "stack/conn.h"

#include <sys/types.h>

/**
 * The peers' TCP/IP: lwIP behind a face of our own types. Frames and time come in, frames and
 * events go out; nothing here waits, reads a clock or draws a random number of its own.
 *
 * lwIP's state is global, so there is one stack in a process (stack_new: -EBUSY). All calls come
 * from one thread. No function calls back into the caller but `output` and `accept` (both may be
 * called from within any function that touches a connection, and must not call the stack);
 * `event` and `ping` are called by stack_deliver and stack_deliver_opened alone, with lwIP unwound,
 * and may call anything.
 */
struct stack;

struct stack_ops {
    /** A frame leaves. The vectors are valid during the call only. `peer` is the index of its
     *  sender in the address set. `iov_count` is at most STACK_IOV_MAX. */
    void (*output)(void *user, uint64_t peer, const struct iovec *iov, int iov_count,
                   const struct frame_offload *offload);
    /** A caller: room for its connection (zeroed, embedded in what the owner likes), or NULL to
     *  refuse it. */
    struct stack_conn *(*accept)(void *user, struct stack_listener *listener,
                                 const struct stack_tuple *tuple);
    void (*event)(void *user, struct stack_conn *conn, unsigned events);
    void (*ping)(void *user, const struct stack_icmp *icmp);
    /** Must this peer send and be sent frames of real size (its link is impaired)? May be NULL. */
    bool (*real_size)(void *user, uint64_t peer);
};

enum { STACK_IOV_MAX = 64 };

struct stack_config {
    const struct stack_ops *ops;
    void *user;
    enum frame_layer layer;
    uint32_t mtu;
    const struct addr_set *peers; /* outlives the stack */
    struct peer_mac first_mac;    /* TAP: of peer 0, the others count up */
    struct peer_mac local_mac;    /* TAP: of the local machine */
    struct peer_addr broadcast;   /* of the local side's subnet; family 0: none */
    bool any_mac;        /* TAP: a frame to another MAC is for the peer of its address too */
    bool super_segments; /* send frames of up to 64 KiB with gso_size */
    bool udp_segments;   /* likewise for bursts of datagrams */
    bool ecn;            /* connections ask for explicit congestion notification */
    bool frugal;         /* acknowledgements ride on what follows wherever they can */
    struct frame_pool *frames;
    struct timers *timers;
    uint64_t seed;
    uint64_t now_ns;
    uint64_t utc_ahead_ns; /* the peers' UTC is ahead of the time by this */
    uint64_t max_conns;
};
int stack_new(const struct stack_config *config, struct stack **ret_stack);
/** The local machine has another MAC (TAP), or its device another MTU, from now on. */
void stack_set_local_mac(struct stack *stack, const struct peer_mac *mac);
void stack_set_mtu(struct stack *stack, uint32_t mtu);
/** Resets every open connection and frees all. Owners' stack_conn memory is theirs. */
struct stack *stack_free(struct stack *stack);

/** Time never goes back. Call before anything else in an iteration. */
void stack_set_now(struct stack *stack, uint64_t now_ns);
/** A frame came in, at `at_ns`, which may be some time ago; it is owned by the stack from now
 *  on. */
void stack_input(struct stack *stack, struct frame *frame, uint64_t at_ns);
/** When the last one came, whatever was sent since. */
uint64_t stack_arrival_ns(const struct stack *stack);

/**
 * Fetching memory for frames before their turn: see prefetch.c. It pays only in a stack that is
 * large. `begin` is step 0 and returns what the steps 1 to STACK_PREFETCH_STEPS, each called when
 * some time has passed, are told.
 */
bool stack_is_large(const struct stack *stack);
uint32_t stack_prefetch_begin(const struct stack *stack, const struct frame *frame);
void stack_prefetch(const struct stack *stack, uint32_t hash, int step);
enum { STACK_PREFETCH_STEPS = 5 };
/** Calls `event` and `ping` for all that is due; returns how many. */
int stack_deliver(struct stack *stack);
/**
 * Likewise for one connection alone, if the last frame has completed its handshake: its owner's first
 * bytes then leave right behind the acknowledgement, before the application has looked. 0 or 1.
 */
int stack_deliver_opened(struct stack *stack);
/** Whether stack_deliver has something to do. */
bool stack_pending(const struct stack *stack);

/**
 * Starts a handshake. local_port 0: the stack chooses, per (local, remote, remote_port), and
 * writes it back. -EADDRINUSE, -EADDRNOTAVAIL (no peer of ours), -ENOSPC, -ENOMEM.
 */
int stack_tcp_connect(struct stack *stack, struct stack_conn *conn, struct stack_tuple *tuple);
/** Likewise for UDP: open at once. */
int stack_udp_connect(struct stack *stack, struct stack_conn *conn, struct stack_tuple *tuple);
/** `at` family 0: every peer. -EADDRINUSE. */
int stack_listen(struct stack *stack, uint8_t protocol, const struct peer_addr *at, uint16_t port,
                 void *user, struct stack_listener **ret_listener);
/** Open connections stay. Returns NULL. */
struct stack_listener *stack_listener_free(struct stack *stack, struct stack_listener *listener);
void *stack_listener_user(const struct stack_listener *listener);
/** Calls that were answered and forgotten, too many being half-open: see syncookie.c. */
uint64_t stack_listener_cookies(const struct stack_listener *listener);
/** Calls that had no answer, since more strangers called than can be answered. */
uint64_t stack_listener_unheard(const struct stack_listener *listener);

/** Queues up to `len` bytes; returns how many, -EAGAIN for none, -EPIPE, -ENOTCONN. */
ssize_t stack_tcp_write(struct stack *stack, struct stack_conn *conn, const void *data, size_t len,
                        int flags);
size_t stack_tcp_write_room(const struct stack_conn *conn);
/** Bytes written and not yet acknowledged. */
size_t stack_tcp_queued(const struct stack_conn *conn);
/** The same for a flow; 0 when it has ended. */
size_t stack_udp_write_room(const struct stack_conn *conn);
/** One datagram. 0, -EMSGSIZE, -ENOMEM, -EPIPE. */
int stack_udp_send(struct stack *stack, struct stack_conn *conn, const void *data, size_t len);
/**
 * Datagrams of `segment` bytes each (the last may be shorter) that lie one behind the other: as one
 * frame where the device cuts them (USO), else one by one. At most STACK_UDP_BURST datagrams and
 * STACK_SUPER_BYTES. 0, -EMSGSIZE, -ENOMEM, -EPIPE.
 */
int stack_udp_send_burst(struct stack *stack, struct stack_conn *conn, const void *data, size_t len,
                         size_t segment);
/** See peer_flow_peek and peer_flow_consume. */
int stack_peek(const struct stack_conn *conn, struct iovec *iov, int count);
void stack_consume(struct stack *stack, struct stack_conn *conn, size_t len);

/** FIN after what is queued. 0, -ENOTCONN. */
int stack_tcp_shutdown(struct stack *stack, struct stack_conn *conn);
/** Both ways; unread bytes make it a reset. The end comes as STACK_CLOSED. */
void stack_close(struct stack *stack, struct stack_conn *conn);
/** RST (when `send_reset`) and gone, no event follows. */
void stack_abort(struct stack *stack, struct stack_conn *conn, bool send_reset);
/** Before a connect. -EINVAL: `mss` is beyond what the MTU takes, or too small; -ENOMEM. */
int stack_set_facts(const struct stack *stack, struct stack_conn *conn, uint8_t family,
                    const struct stack_facts *facts);
/** What the stack sent at `since_ns` left later, `at_ns`: its round trip begins then. */
void stack_conn_left(struct stack_conn *conn, uint64_t since_ns, uint64_t at_ns);
/** The owner is about to free the memory: aborts what is open, frees what was received. */
void stack_conn_done(struct stack *stack, struct stack_conn *conn);

bool stack_conn_tuple(const struct stack_conn *conn, struct stack_tuple *ret_tuple);
/** Fills the fields of peer_flow_info that the stack knows. */
struct peer_flow_info;
void stack_conn_info(const struct stack *stack, const struct stack_conn *conn,
                     struct peer_flow_info *info);

/* ---- Bad manners: what a client does that is badly behaved, badly connected or gone ---- */

/**
 * The cable is pulled (`on`), or plugged in again: nothing of this connection leaves, and what
 * comes for it is ignored, without a reset. The whole machine is meant: it answers no ARP, ND or
 * ping either while all its connections are gone. Time goes on, so does sending again, unseen. A
 * connection that is freed meanwhile stays silent for a quarter of an hour, or until stack_free,
 * which resets it.
 */
int stack_vanish(struct stack *stack, struct stack_conn *conn, bool on);
/** Likewise for this connection alone, for good: the machine is there and answers ARP. After
 *  stack_tcp_connect: a handshake that stays half-open, of one SYN. */
int stack_mute(struct stack *stack, struct stack_conn *conn);
/**
 * TCP, open: the receive window is at most `most` bytes from now on, what was announced beyond that
 * is taken back at once (an ACK says so); probes are answered. 0: stalled. UINT32_MAX: no limit,
 * and the window opens. With window scaling only multiples of 128 are announced. -ENOTCONN,
 * -ENOMEM.
 */
int stack_limit_window(struct stack *stack, struct stack_conn *conn, uint32_t most);
/** Opens a limited window by up to `bytes` of what was taken and not announced, over the limit if
 * need be: with the limit 0 the window opens by this alone. Returns by how many it did. */
uint32_t stack_grant_window(struct stack *stack, struct stack_conn *conn, uint32_t bytes);
/** TCP: segments carry at most `most` bytes on the wire, down to 1; 0: as the MSS says. May be
 * called before stack_tcp_connect. What the SYN announces stays. */
int stack_limit_segment(struct stack *stack, struct stack_conn *conn, uint16_t most);
/** Frames of real size, mangled: see mangle.c for what each does. Datagrams know duplicates and bad
 *  checksums alone. May be called before stack_tcp_connect. Adds to what is mangled already; 0 ends
 * it all. */
enum {
    STACK_MANGLE_DUPLICATE = 1,
    STACK_MANGLE_OVERLAP = 2,
    STACK_MANGLE_REORDER = 4,
    STACK_MANGLE_BAD_CHECKSUM = 8,
};
int stack_mangle(struct stack *stack, struct stack_conn *conn, unsigned modes);
/** TCP, open: three segments that fit nowhere, from the connection's address: data from a port
 * without a connection, an acknowledgement one byte older than the last, data beyond the window. */
int stack_stray(struct stack *stack, struct stack_conn *conn);
/** A router (the next peer's address) says that a packet of the application on this connection was
 * too big: ICMP fragmentation needed, or ICMPv6 packet too big, with `mtu`. */
int stack_pmtu(struct stack *stack, struct stack_conn *conn, uint16_t mtu);
/**
 * The connection goes on from another of the peers' addresses (NULL: the next), with an ACK at once
 * when it is TCP and open; nobody is at the old address any more. -EADDRNOTAVAIL (no peer),
 * -EADDRINUSE, -EAFNOSUPPORT, -ENOTCONN.
 */
int stack_roam(struct stack *stack, struct stack_conn *conn, const struct peer_addr *to);
/** One SYN that nobody remembers. The local port is below 1024 (else -EINVAL), and from now on what
 *  comes for such a port of a peer where nobody listens draws no answer. -EADDRNOTAVAIL. */
int stack_syn(struct stack *stack, const struct stack_tuple *tuple);

int stack_ping(struct stack *stack, const struct stack_ping *ping);

void stack_get_stats(const struct stack *stack, struct stack_stats *ret_stats);
/** Elements that lwIP holds in its pools: 0 when nothing is open (a leak oracle for tests). */
uint64_t stack_pool_used(void);

#endif
