/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STACK_LIMITS_H
#define STACK_LIMITS_H

/*
 * What others may make a stack keep, or say. Each bound has one name here and its reason; what it
 * cost is counted by name in stack_stats.limits (stack.h), so that nobody takes it for the network.
 */
enum {
    /* Handshakes that are half-open take about a kilobyte each, with what their owner keeps. Linux
       has 128 to 4096 for each listener, by memory (tcp_max_syn_backlog). */
    LIMIT_HALF_OPEN_LISTENER = 1024,
    LIMIT_HALF_OPEN = 4096, /* of all listeners: 4 MiB */
    /* Callers that were gone before they were there, in a second: no crowd of honest ones does
       that. */
    LIMIT_DESERTED = 256,
    /* 20 000 in a second: a twentieth of a processor, where a flood brings ten to twenty times as
       many. */
    LIMIT_STRANGERS_IN_A_MS = 20,
    /* A segment that does not belong to its connection is answered once in 500 ms, as Linux does
       (tcp_invalid_ratelimit; RFC 5961, 7). Linux has no bound for all connections together any
       more (tcp_challenge_ack_limit since 6.0): one tells strangers of each other's. */
    LIMIT_CHALLENGE_TICKS = 50,
};

#endif
