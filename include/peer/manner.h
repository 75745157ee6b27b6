/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_MANNER_H
#define PEER_MANNER_H

/**
 * Bad manners: ways for flows to misbehave, as clients do that vanish, stall, or send a request one
 * byte a second. A specification is
 *
 *   NAME[:SHARE][:VALUE][@WHEN]        vanish:2%@10s   slow-writer:5%:10B/s   pmtu:1280B@4KiB
 *
 * SHARE is a part of many flows (soaks and listeners), VALUE what some manners take, WHEN a time
 * since the connection was made, a count of payload bytes both ways, or a state: "syn",
 * "connected", "request" (the first bytes were sent). Units are never left out. Several are
 * separated by commas or blanks. peer-manners(7) has the whole list. See peer/peer.h for the
 * conventions.
 */

#include <peer/soak.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer_manner {
    const char *name, *about; /* a word and a sentence */
    bool udp;                 /* datagrams know it too */
    bool tls;                 /* of callers over TLS alone */
    const char *when;         /* the default of WHEN: "connected", ... */
    char value[32];           /* the default of VALUE as it is written ("1024B/s"); "": it has none */
};
/** The `index`-th manner: 1, or 0 when there are no more. Strings live as long as the program. */
PEER_EXPORT int peer_manner_sized(size_t index, struct peer_manner *ret_manner, size_t size);
static inline int peer_manner(size_t index, struct peer_manner *ret_manner)
{
    return peer_manner_sized(index, ret_manner, sizeof(*ret_manner));
}

/** Who is to behave so. */
enum peer_manner_use {
    PEER_MANNER_CONNECT, /* one flow that calls */
    PEER_MANNER_LISTEN,  /* the flows of a listener */
    PEER_MANNER_SOAK,    /* many flows that call */
};
/**
 * Would these specifications be taken? How many there are, or -EINVAL with one line that names the
 * word that does not fit. `net` may be NULL: then the number of its peers is not considered.
 */
PEER_EXPORT int peer_manners_check(const struct peer_net *net, const char *manners, bool udp,
                                   enum peer_manner_use use, struct peer_error *error);

/**
 * Gives a flow manners. Those without a WHEN begin at once when the flow is open. -EINVAL with
 * text, -ENOMEM.
 */
PEER_EXPORT int peer_flow_set_manners(struct peer_flow *flow, const char *manners,
                                      struct peer_error *error);
/**
 * The flow goes on from another of the peers' addresses; what is at the old one is nobody. A TCP
 * application knows no such connection and resets it; a UDP application sees a new caller.
 * -EADDRNOTAVAIL (no peer of this net), -EADDRINUSE, -EAFNOSUPPORT, -ENOTCONN (it is over).
 */
PEER_EXPORT int peer_flow_roam(struct peer_flow *flow, const struct peer_addr *to);

/** What the flows with one manner came to in a soak. */
struct peer_soak_manner {
    const char *name;               /* this and `spec` live as long as the result */
    const char *spec;               /* as it was given */
    double share;                   /* of all flows, 0 to 1; 0: no flows (syn-flood) */
    uint64_t flows;                 /* at once */
    uint64_t open;                  /* now */
    uint64_t begun;                 /* flows that have begun to misbehave */
    struct peer_soak_counts counts; /* of these flows alone; syn-flood: `opened` are its SYNs */
    uint64_t closed, reset; /* connections that the application ended, by FIN or RST first */
    uint64_t given_up;      /* connections that the peer gave up after the timeout */
    struct peer_latency handshake, first_byte, request, tls;
};
/** The `index`-th manner of a soak's result, in the order given: 1, or 0 when there are no more. */
struct peer_result;
PEER_EXPORT int peer_result_get_manner_sized(const struct peer_result *result, size_t index,
                                             struct peer_soak_manner *ret_manner, size_t size);
static inline int peer_result_get_manner(const struct peer_result *result, size_t index,
                                         struct peer_soak_manner *ret_manner)
{
    return peer_result_get_manner_sized(result, index, ret_manner, sizeof(*ret_manner));
}

#ifdef __cplusplus
}
#endif

#endif
