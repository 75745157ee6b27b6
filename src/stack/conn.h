/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STACK_CONN_H
#define STACK_CONN_H

#include "base/list.h"
#include "base/timer.h"

#include <peer/event.h>
#include <peer/limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The types of the stack that show in the faces of flow and engine: all that those above flow can
 * include of it. What may be done with them is flow's to offer.
 */
struct stack_listener;

/** One end's view: `local` is a peer, `remote` the application (or whoever is there). */
struct stack_tuple {
    struct peer_addr local, remote;
    uint16_t local_port, remote_port; /* host order */
};

/** Bits of `events`. */
enum {
    STACK_CONNECTED = 1 << 0, /* the handshake of stack_tcp_connect is done */
    STACK_ACCEPTED = 1 << 1,  /* that of a caller is done, or the first datagram is there */
    STACK_READABLE = 1 << 2,
    STACK_WRITABLE = 1 << 3, /* bytes were acknowledged */
    STACK_EOF = 1 << 4,
    STACK_UNREACHABLE = 1 << 5, /* UDP, handshakes: `icmp` in stack_conn tells; no end */
    STACK_CLOSED = 1 << 6,      /* the end: `end` in stack_conn tells; bytes may still be unread */
};

/** An echo reply, or an ICMP error about an echo request. */
struct stack_icmp {
    struct peer_addr peer, from;
    uint8_t type, code, ttl;
    uint16_t id, sequence;
    uint32_t bytes;
};

struct recovery;

/** What a peer's TCP is like for one connection; zero: as usual. */
struct stack_facts {
    uint32_t window; /* bytes, the most that it announces */
    uint16_t mss;
    uint8_t ttl, dscp; /* of UDP too */
    bool no_timestamps, no_sack;
};

/**
 * A connection or UDP flow. Embedded in its owner, zeroed before the first use; the fields are the
 * stack's, `end`, `events`, `arrived_*` and `icmp_*` may be read. About 120 bytes, plus lwIP's own.
 */
struct stack_conn {
    struct stack_conn *hash_next;
    void *pcb;                 /* lwIP's, NULL when there is none any more */
    struct recovery *recovery; /* the repair of losses, NULL while there is none */
    struct list ready;         /* on the stack's ready list (or its TIME-WAIT list) */
    struct timer timer;
    void *rx_head, *rx_tail; /* received, not yet taken */
    uint32_t rx_offset, rx_bytes;
    uint64_t peer;
    uint32_t hash;
    uint32_t rtime_tick, ack_tick; /* starts of what lwIP counts in ticks */
    uint32_t probe_tick; /* CONN_PERSISTS: likewise; else when new data left last */
    uint32_t challenge_tick; /* when a segment that does not belong was answered last */
    uint32_t rtt_seq;        /* being timed, with rtt_start_ns */
    uint64_t rtt_start_ns;
    uint64_t arrived_ns; /* when the first frame came of what READABLE or EOF tells next or told */
    struct stack_facts *facts; /* NULL for nearly all */
    struct manners *manners; /* NULL for nearly all: see "Bad manners" */
    uint32_t srtt_us;
    uint32_t resent_ms, resent_end;    /* CONN_RESENT: when it began, and where it ends */
    uint32_t undo_cwnd, undo_ssthresh; /* of before the RTO */
    uint32_t retransmits;
    uint32_t arrived_more_ns; /* how much later the last one came, 4.2 s at the most */
    uint16_t segment_bytes; /* TCP: payload on the wire; UDP: the MTU of the way, if known */
    uint16_t flags;
    uint8_t events;
    uint8_t end;      /* enum peer_end */
    uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
    uint8_t icmp_type, icmp_code;
    uint8_t probes;     /* of a window that is shut, since it shut */
    uint8_t backoff;    /* of the RTO, until a round trip is timed */
    uint8_t ecn;        /* see ecn.c */
    uint8_t quick_acks; /* so many more acknowledgements leave at once: see output.c */
    uint16_t ip_id;     /* IPv4: of the next packet; IPv6: its flow label is made of this */
    uint16_t listener_id; /* of a caller: whom it called */
    uint16_t window_limit; /* see window.c, as the others */
    uint32_t ts_offset; /* of its timestamps from the time in ms */
    uint32_t charged_bytes; /* memory: TCP: of what is to be sent, UDP: of what was received */
    uint32_t window_seq;
    uint16_t window_best, window_since_ms;
};

/** How stack_tcp_write treats the bytes. */
enum {
    STACK_WRITE_STABLE = 1, /* they stay where they are until acknowledged: no copy is made */
    STACK_WRITE_MORE = 2,   /* more follows at once: nothing leaves yet */
};

/** Payload of the longest datagram, and of the longest ping. */
static inline size_t stack_datagram_max(uint8_t family)
{
    return family == 6 ? PEER_DATAGRAM_MAX_V6 : PEER_DATAGRAM_MAX_V4;
}
/**
 * What one frame carries that the device, or its kernel, cuts: bytes of payload, which with headers
 * stay below 65 536, and datagrams (Linux's UDP_MAX_SEGMENTS of old).
 */
enum { STACK_SUPER_BYTES = 65000, STACK_UDP_BURST = 64 };

struct stack_ping {
    struct peer_addr from, to;
    uint16_t id, sequence, size;
    uint8_t ttl;
};

/** What was not done, or done otherwise, since too much of it was asked: see limits.h. */
enum stack_limit {
    STACK_LIMIT_HALF_OPEN,  /* calls answered with a cookie and forgotten */
    STACK_LIMIT_STRANGERS,  /* calls without an answer */
    STACK_LIMIT_ERRORS,     /* ICMP errors not sent */
    STACK_LIMIT_CHALLENGES, /* segments that do not belong, without an answer */
    STACK_LIMIT_PIECES,     /* packets given up, some of whose pieces were there */
    STACK_LIMIT_UNREAD,     /* segments and datagrams dropped, nobody having taken those before */
    STACK_LIMIT_GAPS,       /* segments dropped that were behind a gap */
    STACK_LIMIT_QUEUED,     /* writes that were refused, too much being unacknowledged */
    STACK_LIMIT_NEIGHBOURS, /* TAP: not remembered who asked, or not asked who somebody is */
    STACK_LIMITS
};

struct stack_stats {
    uint64_t conns; /* connections that have an owner, now */
    uint64_t time_wait;
    uint64_t vanished; /* connections that were freed and stay silent, now: see stack_vanish */
    uint64_t ignored, bad; /* frames */
    uint64_t retransmits;     /* segments, with SYNs */
    uint64_t syn_retransmits; /* SYNs (and SYN-ACKs) of these */
    uint64_t syn_repeated;    /* connections that sent one again */
    uint64_t ecn;             /* connections that agreed on it */
    uint64_t ecn_marked;      /* frames of theirs that came marked */
    uint64_t ecn_reduced;     /* windows that shrank since one of ours had been marked */
    uint64_t refused;        /* callers, by max_conns */
    uint64_t limits[STACK_LIMITS];
    /* Memory, now: of what was received and not taken, of what was written and not acknowledged, of
       fragments. */
    uint64_t held_bytes, queued_bytes, piece_bytes;
};

#endif
