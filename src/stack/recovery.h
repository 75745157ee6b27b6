/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef STACK_RECOVERY_H
#define STACK_RECOVERY_H

/*
 * Shared by recovery.c (resending what is lost), scoreboard.c (what that is), their helpers and
 * congestion.c (how much may be under way). Sizes are bytes of sequence space.
 */

#include "stack/internal.h"

/* Bits of tcp_seg.flags that lwIP 2.2.1 neither sets nor looks at (it uses 0x01 to 0x10); it copies
   them only when it splits an unsent segment, and unsent segments have none. */
enum {
    SEG_RESENT = 0x20, /* was sent again: struct resent tells when */
    SEG_LOST = 0x40,   /* waits to be sent again */
    SEG_SACKED = 0x80, /* the receiver has it */
};

/** A segment that was sent again, by its first sequence number. */
struct resent {
    uint32_t seq;
    uint32_t sent_before; /* what was never sent before that: snd_nxt of the moment */
    uint32_t order;       /* counts the segments sent again */
    uint64_t at_ns;
};

enum recovery_state {
    RECOVERY_OPEN,
    RECOVERY_CWR,     /* something was marked on its way (ECN), until `point` is acknowledged */
    RECOVERY_REPAIR,  /* something was lost, until `point` is acknowledged */
    RECOVERY_TIMEOUT, /* lwIP's RTO struck, likewise */
}; /* in the order of what they do to the window */

struct recovery {
    uint8_t state;
    bool held;         /* lwIP's window is shut while it works on a segment */
    bool probing;      /* a tail-loss probe is under way, until probe_end is acknowledged */
    bool probe_resent; /* and was a segment that had been sent before */
    bool reorders;     /* something was late, and not sent again: the way reorders */
    uint8_t patience;  /* how often something was sent again that had only been late */

    uint32_t una, nxt; /* lastack and snd_nxt of the pcb as they were seen last */
    uint32_t point, probe_end;
    uint32_t sacked, lost;   /* of what is unacknowledged */
    uint32_t sacked_packets; /* as many on the wire */
    uint32_t fack;           /* end of the highest data that was SACKed */
    uint32_t order, order_delivered;
    struct resent *resent; /* sorted by seq */
    uint32_t resent_count, resent_room;

    uint64_t timer_ns;    /* when a loss becomes certain, or TIMER_NEVER */
    uint64_t reorder_ns;  /* when what is missing below reorder_seq is lost; 0: nothing is */
    uint32_t reorder_seq; /* `fack` when that wait began */

    /* congestion.c */
    uint32_t unit; /* of growth: a segment */
    uint32_t cwnd, ssthresh;
    uint32_t before_cwnd, before_ssthresh, before_w_max; /* before the last loss */
    uint32_t
        doubtful[8]; /* seqs of what was sent again since, unless it is known to have come twice */
    uint32_t doubtful_count; /* of all; more than fit are not undone */
    uint32_t repair_flight, repair_delivered, repair_sent; /* RFC 6937 */
    uint32_t w_max, w_reno;
    uint32_t k_ms;
    uint64_t epoch_ns; /* 0: the next growth begins one */
    uint32_t min_rtt_us;
    uint32_t round_end, round_rtt_us; /* a round of slow start, the least RTT in it */
    uint8_t round_samples;
};

/** What is taken to be in the network (RFC 6675: "pipe"). */
static inline uint32_t recovery_pipe(const struct recovery *recovery, const struct tcp_pcb *pcb)
{
    uint32_t flight = pcb->snd_nxt - pcb->lastack, out = recovery->sacked + recovery->lost;

    return flight > out ? flight - out : 0;
}

static inline uint32_t seg_seq(const struct tcp_seg *seg)
{
    return lwip_ntohl(seg->tcphdr->seqno);
}

static inline uint32_t seg_end(const struct tcp_seg *seg)
{
    return seg_seq(seg) + TCP_TCPLEN(seg);
}

/* How many packets it is on the wire. */
static inline uint32_t seg_packets(const struct stack_conn *conn, const struct tcp_seg *seg)
{
    return seg->len <= conn->segment_bytes
               ? 1
               : (seg->len + conn->segment_bytes - 1u) / conn->segment_bytes;
}

/* scoreboard.c */
/** Lays the blocks that came over what is unacknowledged, and counts. */
void scoreboard_mark_sacked(struct stack *stack, struct stack_conn *conn);
/** Before lwIP takes what `ack` acknowledges off the list: was any of it only late? */
void scoreboard_note_late(struct stack_conn *conn, uint32_t ack);
/** Marks what is lost and counts it; returns how much of it is news. `timer_ns` is when that is to be
 *  asked again. */
uint32_t scoreboard_mark_lost(const struct stack *stack, const struct stack_conn *conn);
/** Is there anything to mark, as what the receiver has or as lost? */
bool scoreboard_has_marks(const struct stack *stack, const struct recovery *recovery);
/** Something that was sent again came twice (RFC 2883): more patience from now on. When all of it
 *  did, nothing had been lost (RFC 3708). */
void scoreboard_note_duplicate(const struct stack *stack, struct recovery *recovery);

/* resent.c */
struct resent *resent_find(const struct recovery *recovery, uint32_t seq);
/** Without memory nothing is known of it but that it is in the network: an RTO finds its loss. */
void resent_note(struct recovery *recovery, uint32_t seq, uint32_t sent_before, uint64_t now_ns);
/** It arrived. Sooner than anything ever did: then what arrived is what had been sent before. */
void resent_arrived(struct recovery *recovery, const struct resent *entry, uint64_t now_ns);
/** What is acknowledged arrived. */
void resent_forget_acked(struct recovery *recovery, uint64_t now_ns);

/* collapse.c */
/** Joins to `seg` of unacked what follows and is as LOST as it is, up to a packet and the window's
 *  end. */
void collapse_at(struct stack_conn *conn, struct tcp_seg *seg);

/* reopen.c */
/** All that is under way is to be sent again, as after an RTO that counts for nothing. */
void reopen_by_timeout(struct tcp_pcb *pcb);

/* probe.c */
/** When a probe is to be sent, or TIMER_NEVER; with or without a struct recovery. */
uint64_t probe_due_ns(const struct stack *stack, const struct stack_conn *conn);
void probe_send(struct stack *stack, struct stack_conn *conn);
/** It is acknowledged. When its copy was what the receiver had missed, that was a loss. */
void probe_acked(const struct stack *stack, struct stack_conn *conn, uint32_t flight);

/* recovery.c */
bool recovery_in_window(const struct tcp_pcb *pcb, const struct tcp_seg *seg);
/** Sends what is new, up to `end`, whatever the congestion window says. */
void recovery_send_to(struct stack_conn *conn, uint32_t end);
/** Sends the segment at `at` of unacked again, if it is in the window. */
void recovery_send_again(struct stack *stack, struct stack_conn *conn, struct tcp_seg **at);
/** Puts back into unacked what did not leave: the segments of unsent that were sent before. */
void recovery_put_back(struct tcp_pcb *pcb);
/** What was sent again had not been lost. Before lwIP sees the acknowledgement that told. */
void recovery_undo_timeout(struct stack_conn *conn);

void congestion_init(struct recovery *recovery, const struct tcp_pcb *pcb);
/** Something was lost: the window shrinks, `flight` bytes being under way. */
void congestion_reduce(struct recovery *recovery, uint32_t flight);
/** It was not lost, only late: the window is as before. */
void congestion_undo(struct recovery *recovery);
/** An RTO struck. `again`: for the same data. */
void congestion_timeout(struct recovery *recovery, uint32_t flight, bool again);
/** Repair goes on: how much may leave now (RFC 6937). `progress`: and nothing new was lost. */
void congestion_repair(struct recovery *recovery, uint32_t pipe, uint32_t delivered, bool progress);
/** All is repaired. */
void congestion_repaired(struct recovery *recovery);
/** `delivered` bytes more arrived, the window having been in use. */
void congestion_grow(struct recovery *recovery, uint32_t delivered, uint32_t srtt_us,
                     uint64_t now_ns);
/** The acknowledgement of `una` took `rtt_us`. `nxt`: the end of what is sent. */
void congestion_sample(struct recovery *recovery, uint32_t rtt_us, uint32_t una, uint32_t nxt);

#endif
