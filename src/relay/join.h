/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_JOIN_H
#define RELAY_JOIN_H

#include <peer/peer.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * One flow joined to one stream socket, without a buffer of its own: from the socket no more is read
 * than the flow has room for, and to it goes what lies in the flow. So the socket's window closes
 * when the application does not take, and the flow's when the client does not.
 *
 *   FIN of one side               is passed on alone, after the bytes before it
 *   the flow refused, reset,
 *   timed out, unreachable        the client has a reset (a Unix socket: the end)
 *   the client reset              so is the flow
 *
 * It has no loop: its owner hands it the flow's events and what epoll says of the descriptor, both
 * edge-triggered, and calls join_move. Embedded in the owner's struct.
 */
struct join_front; /* bytes that are written before others */

/** What all joins of an owner read into. One at a time uses it, for the length of a call. */
enum { JOIN_SCRATCH = 64 * 1024 };
struct join_scratch {
    char bytes[JOIN_SCRATCH];
};

struct join_state {
    bool opened;                 /* the flow's handshake is done */
    bool called;                 /* the socket's is */
    bool client_eof, flow_eof;   /* heard */
    bool flow_shut, client_shut; /* passed on */
    enum peer_end end;           /* the flow's; PEER_END_NONE: not yet */
    int error;                   /* the client's: errno of a reset or a failed call, 0 for none */
    uint64_t sent, received;     /* bytes to the application, from it */
    uint64_t opened_ns, active_ns;
    bool over; /* nothing moves any more: join_done */
};

/**
 * Says how many bytes that came from one side may pass to the other. They are asked once; what may not
 * pass of the client's is the gate's to keep. Fewer than all closes the gate that way.
 */
struct join;
struct join_gate {
    size_t (*to_flow)(struct join *join, const char *data, size_t len);
    size_t (*to_client)(struct join *join, const char *data, size_t len);
};
enum { JOIN_GATE = 16 * 1024 }; /* bytes of the client at once */

struct join {
    struct peer_net *net;
    struct peer_flow *flow;
    struct join_scratch *scratch;
    int fd;
    uint32_t mss, unit; /* bytes of a segment, and of one read; 0: not known yet */
    bool local;                   /* a Unix socket */
    bool readable, writable;      /* the descriptor, as far as is known */
    bool hangup, broken;          /* it has news besides bytes: its end, an error */
    bool flow_news;               /* the flow has something that was not looked at */
    bool held, last;              /* see join_hold, join_finish */
    const struct join_gate *gate; /* NULL: everything passes */
    bool in_closed, out_closed;   /* it, from the client, from the flow */
    size_t judged;                /* bytes in the flow that may pass */
    struct join_front *to_flow, *to_client;
    struct join_state state;
};

struct join_config {
    struct peer_net *net;
    int fd;      /* the join's from now on */
    bool called; /* it is connected; else its handshake runs */
    bool local;  /* a Unix socket: it knows no reset */
    struct join_scratch *scratch;
};
void join_init(struct join *join, const struct join_config *config);
/** The join's from now on; `opened`: its handshake is done. NULL: none any more, and the caller has
 *  it. */
void join_set_flow(struct join *join, struct peer_flow *flow, bool opened);
/** Closes the descriptor and frees the flow. When one side's end was
 *  no orderly one, the other has a reset. */
void join_done(struct join *join);

/** Bytes that came or are made elsewhere, to be written first: a few KiB. -ENOMEM. */
int join_put_to_flow(struct join *join, const void *data, size_t len);
int join_put_to_client(struct join *join, const void *data, size_t len);
/** Nothing but those is written, and nothing read, as long as it is held. */
void join_hold(struct join *join, bool held);
/** Opens a gate both ways, or takes it away. With one no side's end is passed on, and the flow's ends
 *  nothing. */
void join_set_gate(struct join *join, const struct join_gate *gate);
/** The client's end is passed on, which its gate has held back. */
void join_shut_flow(struct join *join);
/** Without a flow: those bytes are the last, then comes FIN. What the client still sends is thrown
 *  away, so that no reset overtakes them, until it closes as well; its owner sets a time to that. */
void join_finish(struct join *join);

void join_take(struct join *join, const struct peer_event *event);
/** EPOLL* of the descriptor. */
void join_ready(struct join *join, uint32_t events);
/** Moves what can be moved, up to a limit. True: there is more to do at once. Look at `state.over`
 *  then. */
bool join_move(struct join *join);
/** Both sides are reset: `state.over`. */
void join_abort(struct join *join);
/** Both sides are closed as the kernel closes the sockets of a process that ends: in order, unless
 *  something came that nobody read. */
void join_close(struct join *join);
/** Bytes of join_put_to_client that are not written yet. */
size_t join_unwritten(const struct join *join);

#endif
