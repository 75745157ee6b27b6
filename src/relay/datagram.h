/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_DATAGRAM_H
#define RELAY_DATAGRAM_H

#include "relay/loop.h"
#include "relay/place.h"

#include <peer/peer.h>

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * UDP through kernel sockets, by sessions: one for each source (address and port) at a socket that
 * many write to, with a flow of its own, so each is another peer for the application; or one for each
 * caller of a peer, with a socket of its own. Datagrams stay what they are, empty ones too. What one
 * side does not take is dropped and counted, as a network does.
 *
 * A session ends when nothing came or went for a time (RFC 4787, REQ-5: not less than two minutes, and
 * five are recommended), when ICMP says that nobody is there, or when there are too many: then the one
 * that was silent longest goes.
 */
struct datagram;

enum datagram_end {
    DATAGRAM_OPEN,
    DATAGRAM_IDLE,
    DATAGRAM_UNREACHABLE, /* nobody takes its datagrams, said an ICMP error */
    DATAGRAM_CROWDED_OUT, /* by newer ones */
    DATAGRAM_FAILED,      /* no flow, or no socket, could be made */
    DATAGRAM_CLOSED,      /* with the whole */
    DATAGRAM_ENDS,
};
const char *datagram_end_text(enum datagram_end end);

/** Read-only for owners. */
struct datagram_session {
    struct datagram *datagram;
    const struct datagram_way *way;
    struct place client; /* of whom it is; of a peer's caller: where it was sent on */
    struct peer_flow *flow;
    enum datagram_end end;
    uint64_t began_ns, active_ns;
    uint64_t sent, received;             /* bytes to the application (the caller), from it */
    uint64_t sent_count, received_count; /* datagrams */

    /* The module's. */
    struct loop_flow events;
    struct loop_task task;
    struct loop_timer idle;
    struct loop_fd fd; /* its own socket, or that of the way */
    bool own;          /* the former */
    union datagram_info {
        struct in_pktinfo four;
        struct in6_pktinfo six;
    } info; /* which of our addresses it wrote to */
    struct datagram_session *next_in_bucket, *older, *newer;
    uint32_t hash;
};

/** Where sessions lead; lives as long as the whole. */
struct datagram_way {
    const struct peer_connect_config *to; /* of each session's flow; for datagram_listen */
    void (*opened)(struct datagram_session *session); /* may be NULL, as `ended` */
    void (*ended)(struct datagram_session *session);
    void *user;
};

struct datagram_config {
    struct loop *loop;
    uint64_t idle_ns; /* 0: five minutes */
    uint64_t most;    /* sessions; 0: 65536 */
};
int datagram_new(const struct datagram_config *config, struct datagram **ret_datagram);
/** Ends all sessions and closes all sockets. Returns NULL. */
struct datagram *datagram_free(struct datagram *datagram);

/** Sessions by source at `fd` (place_listen), which is the module's from now on. `at` says of which
 *  family it is. -errno. */
int datagram_listen(struct datagram *datagram, int fd, const struct place *at,
                    const struct datagram_way *way);
/** A caller of a peer, with its first datagram, gets a socket that calls `to`. */
void datagram_call(struct datagram *datagram, struct peer_flow *flow, const struct place *to,
                   const struct datagram_way *way);
/** Ends one. */
void datagram_end(struct datagram_session *session, enum datagram_end end);

struct datagram_stats {
    uint64_t sessions, open, open_most;
    uint64_t ends[DATAGRAM_ENDS];
    uint64_t sent, received, sent_count, received_count; /* as of a session */
    uint64_t dropped;                                    /* datagrams that one side did not take */
};
void datagram_get_stats(const struct datagram *datagram, struct datagram_stats *ret_stats);

#endif
