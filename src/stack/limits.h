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
    /* Errors about packets, of a peer to one address and in all, as Linux: icmp_ratelimit,
       net.ipv6.icmp.ratelimit, icmp_msgs_per_sec and icmp_msgs_burst. */
    LIMIT_ERROR_V4_MS = 1000,
    LIMIT_ERROR_V6_MS = 100,
    LIMIT_ERROR_BURST = 6,
    LIMIT_ERROR_MACHINE_MS = 1,
    LIMIT_ERROR_MACHINE_BURST = 50,
    /* Packets that are put together of fragments: bytes as Linux (ipfrag_high_thresh, for a
       machine), for one peer half of what all have. Each piece looks for its packet among all of
       them: 512 are some microseconds. */
    LIMIT_PIECE_BYTES = 4 << 20,
    LIMIT_PIECE_BYTES_PEER = 2 << 20,
    LIMIT_PIECE_PACKETS = 512,
    /* Memory of what was received and not taken, behind gaps too. A single connection has its
       window, 4 MiB; above this each has its share only, as in Linux when tcp_mem is used up
       (tcp_rmem[0]). */
    LIMIT_HELD_BYTES = 24 << 20,
    LIMIT_HELD_SHARE = 4096,
    LIMIT_HELD_DATAGRAMS = 2 << 20, /* of one flow, in memory: a thousand or more */
    /* Memory of what was written by copying and not acknowledged, likewise (tcp_wmem[0]). */
    LIMIT_QUEUED_BYTES = 24 << 20,
    LIMIT_QUEUED_SHARE = 4096,
    /* TAP: who gets into the ARP table of 64 places in a second, and what waits for answers. */
    LIMIT_NEIGHBOURS_IN_A_SECOND = 32,
    LIMIT_NEIGHBOUR_BYTES = 8 << 20,
};

#endif
