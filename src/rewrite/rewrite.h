/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REWRITE_REWRITE_H
#define REWRITE_REWRITE_H

#include "base/addr_set.h"
#include "base/macro.h"
#include "base/timer.h"
#include "packet/frame.h"

#include <peer/addr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Network address translation with state, on headers alone: what programs send leaves from peers'
 * addresses, and what comes for those flows goes back. No device and no clock; time is an argument,
 * in nanoseconds, and never goes back (an earlier one counts as the latest).
 *
 * A flow is one 5-tuple of a program. Flows are forgotten when nothing was seen of them for as long
 * as below, at most a second later.
 */
#define REWRITE_OPENING_NS  (240 * NS_PER_S) /* TCP before the handshake is done (RFC 5382 REQ-5) */
#define REWRITE_OPEN_NS     (7440 * NS_PER_S) /* TCP after it (likewise) */
#define REWRITE_CLOSING_NS  (60 * NS_PER_S)   /* TCP after both FINs, or a RST */
#define REWRITE_UDP_NS      (300 * NS_PER_S)  /* RFC 4787 REQ-5 */
#define REWRITE_ECHO_NS     (60 * NS_PER_S)   /* RFC 5508 REQ-1 */
#define REWRITE_GONE_NS     (300 * NS_PER_S)  /* the address that a flow left by roaming */
#define REWRITE_FRAGMENT_NS (30 * NS_PER_S)   /* the id of a fragmented packet */

/** When a program's next flow gets the next peer. */
enum rewrite_spread {
    REWRITE_CONNECTION,  /* always */
    REWRITE_DESTINATION, /* when its target's address is a new one (the latest 16384 are known) */
    REWRITE_RUN,         /* never */
};

/** One copy of the program: its slice of the peers, by index. */
struct rewrite_side {
    uint64_t first, count;
};

enum rewrite_state {
    REWRITE_OPENING, /* TCP: before the handshake is done; others: no answer yet */
    REWRITE_OPEN,
    REWRITE_CLOSING, /* TCP alone */
    REWRITE_GONE,    /* not a flow: an address that one has left. No caller sees it */
};

/**
 * A flow as its owner sees it: read it, and write `user` alone. It stays where it is until `ended`.
 * Addresses are raw; rewrite_addr() makes a struct peer_addr of one. Ports are in host order; of an
 * echo they are its id, and the target's is 0. What a packet touches is in the first 128 bytes.
 */
struct rewrite_flow {
    _Alignas(64) uint8_t inside[16]; /* the program's end, as it sees itself */
    uint8_t target[16];              /* the application's, as peers see it */
    uint8_t peer[16];                /* the program's, as the application sees it */
    uint16_t inside_port, outside_port, target_port;
    uint16_t side;
    uint8_t family;   /* 4 or 6 */
    uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6 */
    uint8_t state;    /* enum rewrite_state */
    uint8_t marks;    /* private */
    uint16_t header_delta, transport_delta; /* private */

    uint64_t packets_out, bytes_out; /* of IP; a super-segment is one packet; no ICMP errors */
    uint64_t packets_in, bytes_in;
    uint64_t made_ns, last_ns;
    void *user;          /* the owner's; NULL at first */
    uint32_t peer_index; /* in the set of peers */
    uint32_t slot;       /* private, like all below */

    uint8_t
        seen[16]; /* the target as the program sees it: loopback, where config.localhost is set */
    struct {
        uint32_t prev, next;
    } links[2];
    uint32_t tags[2];
    uint32_t serial;
    uint16_t bucket;
};

/** `bytes` is one of the flow's addresses. */
static inline struct peer_addr rewrite_addr(const struct rewrite_flow *flow, const uint8_t *bytes)
{
    struct peer_addr addr = {.family = flow->family};

    for (int i = 0; i < (flow->family == 4 ? 4 : 16); i++)
        addr.bytes[i] = bytes[i];
    return addr;
}

struct rewrite_config {
    const struct addr_set *peers;     /* borrowed; of one family, which is that of all flows */
    const struct rewrite_side *sides; /* copied */
    unsigned side_count;              /* up to 65535 */
    enum rewrite_spread spread;
    struct timers *timers; /* borrowed */
    uint64_t seed;
    uint64_t max_flows; /* 0 < max_flows < 2^31 */
    /** Family 0, or: what a program sends to the loopback address of this family goes to this
     *  address, and answers look as if from loopback. Without it nothing goes to loopback. */
    struct peer_addr localhost;
    /** Whether a new flow may go there; asked at its beginning alone. NULL: anywhere. */
    bool (*allowed)(void *user, const struct peer_addr *to);
    /** A new flow has its peer and port; its packet is not rewritten yet. May be NULL. */
    void (*begun)(void *user, struct rewrite_flow *flow);
    /** It is forgotten after this call: aged, pushed out, closed, or rewrite_free. May be NULL.
     *  Neither calls back into the table. */
    void (*ended)(void *user, struct rewrite_flow *flow);
    /** A fragment that had come before its first one, for the program (RFC 4787 REQ-14): it is
     *  rewritten, and to be sent on during this call, in rewrite_in of that first one. NULL: such
     *  fragments are lost. It does not call back into the table either. */
    void (*late)(void *user, struct rewrite_flow *flow, uint8_t *packet, size_t len);
    void *user;
};

struct rewrite_stats {
    uint64_t flows, flows_most; /* now, and at once (without addresses left by roaming) */
    uint64_t tcp_flows, udp_flows, echo_flows;             /* made */
    uint64_t packets_out, bytes_out, packets_in, bytes_in; /* as in flows */
    uint64_t errors_out, errors_in;                        /* ICMP errors that were rewritten */
    uint64_t fragments_out, fragments_in;                  /* rewritten, first ones too */
    uint64_t aged, pushed_out, roamed;
    uint64_t fragments_late; /* were held until their first one came */
    /* Packets of programs that were refused, by reason. */
    uint64_t not_allowed, full, no_port, unsupported, malformed, unknown, fragments_lost;
    uint64_t malformed_in;
    uint64_t gone; /* came for an address that the flow had left */
};

/** An IP packet, without an Ethernet header. */
struct rewrite_packet {
    uint8_t *data;
    size_t len;
    struct frame_offload *offload; /* NULL: as if all zero */
    uint16_t
        before; /* bytes before `data` that csum_start counts from: 14 where it is in a frame */
};

struct rewrite;

/** 0, -EINVAL (a count that is 0 or too large, a slice outside the peers) or -ENOMEM. */
int rewrite_new(const struct rewrite_config *config, struct rewrite **ret_rewrite);
/** Ends all flows. NULL is taken; returns NULL. */
struct rewrite *rewrite_free(struct rewrite *rewrite);

/**
 * A packet of the program `side` becomes its peer's, in place: addresses, port, checksums
 * (RFC 1624; also partial ones and super-segments). Also an ICMP error about a packet that a flow
 * got. `*ret_flow` (NULL is taken) is its flow.
 *
 * Returns 0, or, the packet being unchanged:
 *   -EPERM            the target is not allowed, or multicast
 *   -ENOSPC           the table is full of open TCP connections, and of other flows with an answer
 *                     that were used within a second; or no memory
 *   -EADDRINUSE       the peer has no port left towards that target
 *   -EPROTONOSUPPORT  neither TCP, UDP, an echo request nor an ICMP error about a packet, or of the
 *                     family that the peers are not of
 *   -EBADMSG          lengths or offload do not fit the packet
 *   -ENOENT           a part of nothing known: a TCP segment that opens no flow, a fragment whose
 *                     first one was not seen, an ICMP error about no flow
 */
int rewrite_out(struct rewrite *rewrite, unsigned side, const struct rewrite_packet *packet,
                uint64_t now_ns, struct rewrite_flow **ret_flow);
/**
 * A packet for a peer becomes the program's, flow->side; ICMP errors too, from whatever router.
 *
 * Returns 0, or, the packet being unchanged:
 *   -ENOENT     not of a flow here: the stack's (a fragment that came too early, too: of that a copy
 *               is held)
 *   -ESHUTDOWN  for an address that its flow has left: nobody is there to answer
 *   -EBADMSG    as above
 */
int rewrite_in(struct rewrite *rewrite, const struct rewrite_packet *packet, uint64_t now_ns,
               struct rewrite_flow **ret_flow);

/**
 * The flow goes on from another peer of its side, with the same port when that is free. Towards
 * the old address there is nobody: see -ESHUTDOWN. With REWRITE_CONNECTION it is the next peer in
 * turn; otherwise the program (or what it is towards that target) moves: the first flow that roams
 * takes the next peer, which new flows get too, and others that roam follow it there.
 *
 * Returns 0, -EADDRNOTAVAIL (the side has one peer), -EADDRINUSE or -ENOSPC; then it stays.
 */
int rewrite_roam(struct rewrite *rewrite, struct rewrite_flow *flow, uint64_t now_ns);
/**
 * The same with the program's next packet, which is the first that comes from the new address. Until
 * then the old one is its: the far side learns of the move by that packet alone, and who only
 * receives would wait for ever. 0 or -EADDRNOTAVAIL; what else rewrite_roam says makes it stay.
 */
int rewrite_roam_next(struct rewrite *rewrite, struct rewrite_flow *flow);
/** Ends the flow now: `ended` is called. */
void rewrite_forget(struct rewrite *rewrite, struct rewrite_flow *flow);
/** Calls `each` for every flow; it may roam that flow or forget it. */
void rewrite_each(struct rewrite *rewrite, void (*each)(void *user, struct rewrite_flow *flow),
                  void *user);
void rewrite_get_stats(const struct rewrite *rewrite, struct rewrite_stats *ret_stats);

/**
 * Makes the ICMP or ICMPv6 error "administratively prohibited" (RFC 1812 5.2.7.1, RFC 4443 3.1) that
 * answers `packet`, as from its destination. `buf` has `room` bytes; 1280 are always enough. Returns
 * the length, or 0 when none may be sent (RFC 1812 4.3.2.7, RFC 4443 2.4: about an ICMP error, a
 * fragment that is not the first, to or from a multicast address...).
 */
size_t rewrite_prohibit(const uint8_t *packet, size_t len, uint8_t *buf, size_t room);
/** Likewise "fragmentation needed" or "packet too big": the next network takes `mtu` bytes (RFC 1191 4,
 *  RFC 4443 3.2). */
size_t rewrite_too_big(const uint8_t *packet, size_t len, uint16_t mtu, uint8_t *buf, size_t room);

/** Likewise the RST (RFC 9293, 3.10.7.1) that answers a TCP segment of no connection; 0: it is none that
 *  is answered. 60 bytes are enough. */
size_t rewrite_reset(const uint8_t *packet, size_t len, uint8_t *buf, size_t room);

/**
 * Which flow is it that a program's packet belongs to? As a number that all packets of the flow share:
 * fragments, and ICMP errors that the program sends about what it got, too. Nothing is known of flows
 * here; several processes, each with a table of some of them, agree by this on who has which.
 */
struct rewrite_sort;
struct rewrite_sort_config {
    uint64_t secret[2];
    bool by_destination;        /* all flows to one address are one: for REWRITE_DESTINATION */
    struct peer_addr localhost; /* see struct rewrite_config */
};
/** 0 or -ENOMEM. */
int rewrite_sort_new(const struct rewrite_sort_config *config, struct rewrite_sort **ret_sort);
/** NULL is taken; returns NULL. */
struct rewrite_sort *rewrite_sort_free(struct rewrite_sort *sort);
/** In the order in which the program sent them. 0, or -ENOENT: of none that can be told. */
int rewrite_sort_find(struct rewrite_sort *sort, unsigned side, const struct rewrite_packet *packet,
                      uint64_t now_ns, uint64_t *ret_number);

#endif
