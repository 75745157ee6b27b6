/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef PEER_TRACE_H
#define PEER_TRACE_H

#include <peer/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The way of a peer's first packet (SYN, datagram, echo request) through this kernel, and of the
 * answer back to the device: what decided where, and if it was lost, where, why and what would
 * mend it. See peer/peer.h for the conventions.
 *
 * Observing changes nothing: a table of nftables and perf events that are gone when the call
 * returns. The packet itself is real: rules count it, conntrack (where it is on) remembers it, and
 * a TCP server may see a connection that is reset at once.
 */

enum peer_trace_state {
    PEER_TRACE_PASSED, /* it came by and went on */
    PEER_TRACE_LOST,   /* it ended here */
    PEER_TRACE_NOTE,   /* worth knowing; decides nothing */
    PEER_TRACE_UNSEEN, /* could not be observed; the text tells why */
};

enum { PEER_TRACE_NO_TIME = -1 };

struct peer_trace_station {
    const char *name; /* stable: "device", "ingress", "netfilter", "route", "socket", "egress",
                       * "answer" */
    enum peer_trace_state state;
    bool back;        /* on the answer's way */
    int64_t after_ns; /* since the write, PEER_TRACE_NO_TIME when not known */
    char where[128];  /* "input inet/filter/in 0", "eth0" */
    char text[320];   /* what decided */
};

struct peer_trace_config {
    int protocol;          /* IPPROTO_TCP (also 0), IPPROTO_UDP, IPPROTO_ICMP (echo, IPv6 too) */
    struct peer_addr from; /* one of the peers; family 0: the first */
    struct peer_addr to;
    uint16_t to_port;    /* not for echo */
    uint64_t timeout_ns; /* how long to wait for an answer; 0: 300 ms */
    bool dry;            /* send nothing: what would happen, as far as look-ups tell */
    /** Called for the stations in order, when all is known; must not use the net. NULL: nobody. */
    void (*each)(void *user, const struct peer_trace_station *station);
    void *user;
};

enum peer_trace_outcome {
    PEER_TRACE_ANSWERED, /* arrived, and the answer reached the peer */
    PEER_TRACE_ARRIVED,  /* arrived; an answer did not come, and need not (UDP) or was not sent for
                            (dry) */
    PEER_TRACE_REFUSED,  /* the answer is an error: RST or ICMP */
    PEER_TRACE_DROPPED,  /* lost on the way there */
    PEER_TRACE_SILENT, /* arrived as far as can be seen, but the answer is lost, or there is none */
};

struct peer_trace_result {
    enum peer_trace_outcome outcome;
    const char *station;    /* where it was lost or refused; NULL when it was not */
    const char *reason;     /* stable word: "rp-filter", "no-listener", ...; NULL when it was not */
    char kernel_reason[40]; /* the kernel's name, "IP_RPFILTER"; "" when it was not seen */
    char text[320];         /* the verdict in plain words, one line */
    char mend[320];    /* a command (or, where there is none, a sentence); "" when all is well */
    int64_t answer_ns; /* from the write to the answer at the peer, PEER_TRACE_NO_TIME */
};

/**
 * Sends and follows. Events of other flows of the net are thrown away. Returns 0 also when the packet
 * was lost: that is `ret_result`. -EAFNOSUPPORT, -EADDRNOTAVAIL (`from`), -ENOMEM, with text.
 */
PEER_EXPORT int peer_trace_sized(struct peer_net *net, const struct peer_trace_config *config,
                                 size_t config_size, struct peer_trace_result *ret_result,
                                 size_t result_size, struct peer_error *error);
static inline int peer_trace(struct peer_net *net, const struct peer_trace_config *config,
                             struct peer_trace_result *ret_result, struct peer_error *error)
{
    return peer_trace_sized(net, config, sizeof(*config), ret_result, sizeof(*ret_result), error);
}

#ifdef __cplusplus
}
#endif

#endif
