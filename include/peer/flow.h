/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_FLOW_H
#define PEER_FLOW_H

/** Flows: TCP connections and UDP flows of the peers. See peer/peer.h for the conventions. */

#include <peer/peer.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer_flow;
struct peer_listener;
struct peer_tls;

struct peer_connect_config {
    bool udp;
    struct peer_addr from; /* one of the net's peers; family 0: the peers take turns */
    uint16_t from_port;    /* 0: chosen per (source, destination, port) */
    struct peer_addr to;
    uint16_t to_port;
    uint64_t timeout_ns; /* for the handshake; 0: as the stack's retries end (about 2 minutes) */
    const char *manners; /* how it misbehaves, see peer/manner.h; NULL: not at all */
    uint8_t proxy_protocol; /* 1, 2: the first that the application reads, before the event
                             * CONNECTED, is that version's PROXY header with this flow's own
                             * addresses, the peer's as the source; 0: none. TCP only */
    struct peer_tls *tls; /* TLS for it, see peer/tls.h; NULL: none. TCP only */
    void *user;          /* handed back by peer_flow_user */
    /* What the peer's TCP is like, from its SYN on; 0 and false: as the net's peers are. UDP
     * knows `ttl` and `dscp`. */
    uint16_t mss;            /* announced, and kept to: 64 to the MTU without 40 or 60 bytes */
    uint32_t receive_window; /* bytes that it takes unread, at the most: up to 65535 its SYN offers no
                              * window scale; above, it is where the window ends to grow */
    uint8_t ttl;             /* of its packets, the hop limit of IPv6 */
    uint8_t dscp;            /* of its packets: 1 to 63 */
    bool no_timestamps;      /* offers none (RFC 7323) */
    bool no_sack;            /* does not offer selective acknowledgements (RFC 2018) */
};
/**
 * Starts a connection (or makes a UDP flow, which is open at once). The outcome is an event.
 * -EADDRNOTAVAIL: `from` is no peer of this net; -EADDRINUSE: (from, from_port, to, to_port) is in
 * use, or no port is left; -EAFNOSUPPORT: families differ; -ENOSPC: max_flows; -ENOMEM. -EINVAL:
 * something in `config` is out of its range, or for TCP alone, or see peer_manners_check; -EPERM: a
 * handshake that stays half-open goes to this machine's addresses only. All with text.
 */
PEER_EXPORT int peer_connect_sized(struct peer_net *net, const struct peer_connect_config *config,
                                   size_t size, struct peer_flow **ret_flow,
                                   struct peer_error *error);
static inline int peer_connect(struct peer_net *net, const struct peer_connect_config *config,
                               struct peer_flow **ret_flow, struct peer_error *error)
{
    return peer_connect_sized(net, config, sizeof(*config), ret_flow, error);
}

struct peer_listen_config {
    bool udp;
    struct peer_addr at; /* one of the peers; family 0: every peer */
    uint16_t port; /* 0: one that is free is chosen, see peer_listener_get_port */
    const char *serve;   /* the library answers by itself, no events: "echo", "discard" or "http" */
    const char *manners; /* how callers are treated, see peer/manner.h; NULL: well */
    struct peer_tls *tls; /* TLS with callers, see peer/tls.h; NULL: none. TCP only */
    void *user;          /* of the listener and, at first, of its flows */
};
/**
 * Peers accept at `port`: each caller is a PEER_EVENT_ACCEPTED. -EADDRINUSE, -EADDRNOTAVAIL (`at`
 * is no peer), -EINVAL (no such `serve`, http over UDP, or see peer_manners_check), -ENOMEM; with
 * text.
 */
PEER_EXPORT int peer_listen_sized(struct peer_net *net, const struct peer_listen_config *config,
                                  size_t size, struct peer_listener **ret_listener,
                                  struct peer_error *error);
static inline int peer_listen(struct peer_net *net, const struct peer_listen_config *config,
                              struct peer_listener **ret_listener, struct peer_error *error)
{
    return peer_listen_sized(net, config, sizeof(*config), ret_listener, error);
}
/** The port: the one that was chosen, when 0 was asked for. */
PEER_EXPORT uint16_t peer_listener_get_port(const struct peer_listener *listener);
/** From then on nobody is accepted there. Flows that were accepted go on, those of `serve` are
 *  reset. */
PEER_EXPORT struct peer_listener *peer_listener_free(struct peer_listener *listener);
/** `user` of its configuration. */
PEER_EXPORT void *peer_listener_user(const struct peer_listener *listener);
/** What a listener with `serve` did so far. */
struct peer_serve_stats {
    uint64_t accepted, open; /* flows */
    uint64_t requests;       /* HTTP */
    uint64_t bytes_received, bytes_sent;
    /** Calls that were answered with a SYN cookie, since too many were half-open (RFC 4987). Those
     *  of them that went on are among `accepted`. */
    uint64_t cookies;
    /** Calls that had no answer then: of addresses that never acknowledged one, 20 in a
     *  millisecond are answered. */
    uint64_t unheard;
};
PEER_EXPORT int peer_listener_get_stats_sized(const struct peer_listener *listener,
                                              struct peer_serve_stats *ret_stats, size_t size);
static inline int peer_listener_get_stats(const struct peer_listener *listener,
                                          struct peer_serve_stats *ret_stats)
{
    return peer_listener_get_stats_sized(listener, ret_stats, sizeof(*ret_stats));
}

/** What its configuration, or the listener's, gave it: the caller's own, never looked at. */
PEER_EXPORT void *peer_flow_user(const struct peer_flow *flow);
PEER_EXPORT void peer_flow_set_user(struct peer_flow *flow, void *user);

/**
 * Queues bytes (TCP) or sends one datagram (UDP). TCP takes what there is room for and returns the
 * count; -EAGAIN when that is nothing: PEER_EVENT_WRITABLE follows. -EPIPE after shutdown or end,
 * -ENOTCONN before the connection is open, -EMSGSIZE for too long a datagram.
 *
 * There is room for 4 MiB that the application has not acknowledged yet; for 4 KiB of a flow while
 * what all flows of the net have queued is more than 24 MiB. peer_flow_write_room tells. WRITABLE
 * comes whenever bytes were acknowledged, also when nobody was refused before.
 */
PEER_EXPORT ssize_t peer_flow_write(struct peer_flow *flow, const void *data, size_t len);
/** Room that peer_flow_write would take now. */
PEER_EXPORT size_t peer_flow_write_room(const struct peer_flow *flow);
/**
 * Looks at received bytes without taking them: fills up to `count` vectors, returns how many. UDP:
 * the first datagram, in one or more vectors (a datagram of no bytes is one empty vector). The
 * vectors are valid until the next call for this flow, or the next dispatch of the net. What was
 * received and not taken stays there after EOF and after the end, until peer_flow_free.
 */
PEER_EXPORT int peer_flow_peek(struct peer_flow *flow, struct iovec *iov, int count);
/** Takes `len` bytes (TCP; the window opens by as much) or the first datagram (UDP). */
PEER_EXPORT void peer_flow_consume(struct peer_flow *flow, size_t len);

/** Sends FIN after what is queued: the write side ends, reading goes on. UDP: no effect. -ENOTCONN
 *  before the connection is open and after its end; once more is no error. */
PEER_EXPORT int peer_flow_shutdown(struct peer_flow *flow);
/** Closes in order: FIN after what is queued; received bytes that nobody took make it a reset. During
 *  the handshake that is given up. No effect after the end. */
PEER_EXPORT void peer_flow_close(struct peer_flow *flow);
/** Ends with RST at once. No effect after the end. */
PEER_EXPORT void peer_flow_reset(struct peer_flow *flow);
/** Frees the handle. An open flow is reset; one that peer_flow_close ended lives on until its
 *  end. */
PEER_EXPORT struct peer_flow *peer_flow_free(struct peer_flow *flow);

enum peer_flow_state {
    PEER_FLOW_CLOSED,
    PEER_FLOW_SYN_SENT,
    PEER_FLOW_SYN_RECEIVED,
    PEER_FLOW_ESTABLISHED,
    PEER_FLOW_FIN_WAIT_1,
    PEER_FLOW_FIN_WAIT_2,
    PEER_FLOW_CLOSE_WAIT,
    PEER_FLOW_CLOSING,
    PEER_FLOW_LAST_ACK,
    PEER_FLOW_TIME_WAIT,
    PEER_FLOW_UNCONNECTED, /* an open UDP flow */
};
/** "ESTAB", "SYN-SENT" ... as ss(8) writes them. Never NULL. */
PEER_EXPORT const char *peer_flow_state_name(enum peer_flow_state state);

/** Facts about a flow now; TCP fields are zero for UDP. */
struct peer_flow_info {
    bool udp;
    struct peer_addr from, to; /* peer, application */
    uint16_t from_port, to_port;
    enum peer_flow_state state;
    uint64_t handshake_ns;             /* SYN to SYN-ACK */
    uint32_t mss;                      /* bytes of payload in a segment on the wire */
    uint8_t send_scale, receive_scale; /* window scale shifts */
    bool timestamps, sack, ecn;
    uint64_t rtt_ns, rto_ns; /* smoothed, 0 when not measured */
    uint32_t send_window, receive_window, cwnd, ssthresh, in_flight;
    uint64_t queued; /* written, not yet acknowledged */
    uint64_t unread; /* received, not yet taken */
    uint64_t retransmits;
    uint64_t bytes_sent, bytes_received; /* payload acknowledged (with a PROXY header), payload
                                          * received in order */
};
/** After the end of a flow its addresses, ports and bytes stay known, what else is TCP's is 0. */
PEER_EXPORT int peer_flow_get_info_sized(const struct peer_flow *flow,
                                         struct peer_flow_info *ret_info, size_t size);
static inline int peer_flow_get_info(const struct peer_flow *flow, struct peer_flow_info *ret_info)
{
    return peer_flow_get_info_sized(flow, ret_info, sizeof(*ret_info));
}

struct peer_ping_config {
    struct peer_addr from; /* one of the peers, or family 0 for the first */
    struct peer_addr to;
    uint16_t id, sequence;
    uint16_t size; /* payload bytes, at most PEER_DATAGRAM_MAX_V4 or _V6 */
    uint8_t ttl;   /* 0: 64 */
};
/** Sends one ICMP or ICMPv6 echo request; the answer is a PEER_EVENT_PING. -EADDRNOTAVAIL,
 *  -EAFNOSUPPORT, -EMSGSIZE, -ENOMEM; with text. */
PEER_EXPORT int peer_ping_sized(struct peer_net *net, const struct peer_ping_config *config,
                                size_t size, struct peer_error *error);
static inline int peer_ping(struct peer_net *net, const struct peer_ping_config *config,
                            struct peer_error *error)
{
    return peer_ping_sized(net, config, sizeof(*config), error);
}

#ifdef __cplusplus
}
#endif

#endif
