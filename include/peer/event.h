/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_EVENT_H
#define PEER_EVENT_H

#include <peer/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What happens on the network, as events: taken one by one after peer_net_dispatch() and the
 * calls that wait. See peer/peer.h for the conventions, libpeer(3) for what to do at each.
 */

struct peer_flow;
struct peer_listener;

enum peer_event_type {
    PEER_EVENT_NONE,
    PEER_EVENT_CONNECTED,   /* the handshake is done */
    PEER_EVENT_ACCEPTED,    /* a new flow of a listener (TCP: open; UDP: with its first datagram) */
    PEER_EVENT_READABLE,    /* bytes or datagrams came in since the last such event */
    PEER_EVENT_WRITABLE,    /* written bytes were acknowledged: there is room again */
    PEER_EVENT_EOF,         /* the application sent FIN: no more bytes will come */
    PEER_EVENT_CLOSED,      /* the end, `end` tells how. Always the last event of a flow */
    PEER_EVENT_PING,        /* an echo reply or an error about an echo request */
    PEER_EVENT_UNREACHABLE, /* an ICMP error came back, `icmp_*` tell which; the flow stays: UDP,
                               or a handshake that goes on, since the error may pass */
};

enum peer_end {
    PEER_END_NONE,
    PEER_END_CLOSED,      /* both sides in order */
    PEER_END_REFUSED,     /* RST in answer to SYN */
    PEER_END_RESET,       /* RST later */
    PEER_END_TIMEOUT,     /* handshake or retransmissions given up */
    PEER_END_UNREACHABLE, /* ICMP said so during the handshake, for good or until its timeout */
    PEER_END_LOCAL,       /* by this side: peer_flow_reset, peer_flow_close during the handshake, a
                             manner, or peer_net_leave */
    PEER_END_DEVICE,      /* the device is gone, and the net with it */
    PEER_END_TARGET,      /* the address it went to is this machine's no longer: nothing more is sent
                             there, as it would go to another machine */
    PEER_END_TLS,         /* TLS failed: peer_flow_get_tls tells why (peer/tls.h) */
};

struct peer_event {
    enum peer_event_type type;
    enum peer_end end; /* CLOSED */
    struct peer_flow *flow;
    struct peer_listener *listener; /* ACCEPTED */
    /* PING, UNREACHABLE, and CLOSED with PEER_END_UNREACHABLE */
    struct peer_addr icmp_from;
    uint8_t icmp_type, icmp_code; /* reply: 0 (v4) or 129 (v6) */
    uint8_t icmp_ttl;
    uint16_t icmp_id, icmp_sequence;
    uint32_t icmp_bytes;  /* payload of the reply */
    uint64_t icmp_rtt_ns; /* since the request with this id and sequence, 0 if unknown */
    uint64_t at_ns;       /* when it happened (READABLE: when the first of the bytes came), as
                             peer_net_now_ns() counts */
};

/** Takes the next event: 1, or 0 when there is none. An event of a kind that came again before it was
 *  taken is one event. */
PEER_EXPORT int peer_net_pop_event_sized(struct peer_net *net, struct peer_event *ret_event,
                                         size_t size);
static inline int peer_net_pop_event(struct peer_net *net, struct peer_event *ret_event)
{
    return peer_net_pop_event_sized(net, ret_event, sizeof(*ret_event));
}
/** A word that stays: "connected", "closed"... "unknown" for another one. */
PEER_EXPORT const char *peer_event_name(enum peer_event_type type);
/** "refused", "reset", "timeout"... likewise. */
PEER_EXPORT const char *peer_end_name(enum peer_end end);

#ifdef __cplusplus
}
#endif

#endif
