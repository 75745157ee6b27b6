/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include "attachment/attachment.h"

#include <peer/trace.h>

/**
 * Where one packet goes in the kernel of an attachment. Nothing here knows of a stack: whoever runs
 * one on the attachment sends the packet, and says what came back.
 */

/** The packet: the first of a TCP connection, a datagram, or an echo request. */
struct trace_packet {
    uint8_t protocol; /* IPPROTO_TCP, _UDP, _ICMP, _ICMPV6 */
    struct peer_addr peer, to;
    uint16_t peer_port, port; /* of an echo, `peer_port` is the identifier */
};

enum trace_answer_kind {
    ANSWER_NONE,
    ANSWER_SYN_ACK,
    ANSWER_RST,
    ANSWER_DATA,
    ANSWER_ECHO,
    ANSWER_ICMP,
};
struct trace_answer {
    enum trace_answer_kind kind;
    uint8_t icmp_type, icmp_code; /* of ECHO and ICMP; of the others 0 */
    struct peer_addr icmp_from;
    uint64_t at_ns; /* when the peer had it */
};

struct trace_sender {
    void *user;
    /** CLOCK_MONOTONIC, read now. */
    uint64_t (*now_ns)(void *user);
    /** Sends the packet, within this call where nothing has to be asked for first. 0 or -errno. */
    int (*send)(void *user, const struct trace_packet *packet);
    /** Lets the peers work until something happens, at most so long; 0: on what is there. 0, -EINTR
     *  or -errno: the device is gone. */
    int (*wait)(void *user, uint64_t timeout_ns);
    /** What came back so far; ANSWER_NONE leaves it untouched. */
    void (*hear)(void *user, struct trace_answer *answer);
    /** Frames that left, ever, and those that the device did not take. */
    void (*count)(void *user, uint64_t *ret_sent, uint64_t *ret_not_taken);
    /** Ends what `send` began. */
    void (*end)(void *user);
};

/** See peer_trace. */
struct trace_job {
    struct attachment *attachment;
    const struct trace_sender *sender;
    const struct peer_trace_config *config;
    void (*each)(void *user, const struct peer_trace_station *station);
    void *user;
};
int trace_run(const struct trace_job *job, struct peer_trace_result *ret_result,
              struct peer_error *error);

#endif
