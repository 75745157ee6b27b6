/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef REWRITE_INTERNAL_H
#define REWRITE_INTERNAL_H

#include "rewrite/held.h"
#include "rewrite/index.h"
#include "rewrite/recall.h"
#include "rewrite/rewrite.h"

#include "base/list.h"
#include "base/rng.h"
#include "packet/parse.h"

/* rewrite_flow.marks */
enum {
    MARK_LOCALHOST = 1, /* `seen` is not `target` */
    MARK_ANSWERED = 2,  /* the SYN-ACK came */
    MARK_FIN_OUT = 4,
    MARK_FIN_IN = 8,
    MARK_RESET = 16,     /* and since then no RST but this came from */
    MARK_ALIVE_OUT = 32, /* the program */
    MARK_ALIVE_IN = 64,  /* the application */
    MARK_ROAMS = 128,    /* with the program's next packet */
};

/* A flow is in two chains, and its tags are in two indices. */
enum { LINK_CLASS, LINK_CALENDAR };
enum { INSIDE, OUTSIDE };

/* What goes first when the table is full. */
enum flow_class {
    CLASS_PAST,     /* closing, or an address that a flow has left */
    CLASS_OPENING,  /* nothing came back yet */
    CLASS_ANSWERED, /* UDP and echo */
    CLASS_OPEN,     /* TCP: never */
    CLASSES,
};

enum { CALENDAR_SECONDS = 8192 }; /* more than the longest time in rewrite.h, a power of two */

/* Slots in a row, first and last; SLOT_NONE both when empty. */
struct chain {
    uint32_t first, last;
};

struct side {
    uint64_t first, count;
    uint64_t turn; /* the next peer is `turn` modulo `count` of the slice */
};

struct rewrite {
    struct rewrite_config config; /* its `sides` is not used */
    uint64_t now_ns;
    uint8_t family;
    uint64_t secrets[2][2]; /* of the indices */
    struct slot_index by[2];
    struct rewrite_flow **chunks;
    uint32_t fresh; /* slots below have been used */
    uint32_t free;  /* the first of those that are free again, chained by links[0].next */
    struct rewrite_stats stats;
    struct chain classes[CLASSES];
    struct timer timer;
    uint64_t swept_s; /* this second is done */
    struct recall fragments;
    struct held held;           /* for programs, by the keys of `fragments` */
    struct recall destinations; /* turn of each side and target */
    struct rng rng;
    struct side *sides;
    uint64_t calendar_used[CALENDAR_SECONDS / 64]; /* a bit for each that is not empty */
    struct chain calendar[CALENDAR_SECONDS];
};

/* ---- slots (flows.c) ---- */

enum { CHUNK_FLOWS = 32768 }; /* three huge pages */

static inline struct rewrite_flow *flow_at(const struct rewrite *rewrite, uint32_t slot)
{
    return &rewrite->chunks[slot / CHUNK_FLOWS][slot % CHUNK_FLOWS];
}

int flow_table_init(struct rewrite *rewrite);
void flow_table_done(struct rewrite *rewrite);
/**
 * A slot for a flow: a free one, or that of a flow that is pushed out, never `keep` (NULL is taken).
 * NULL: there is none. Only `slot` and `serial` are set.
 */
struct rewrite_flow *flow_table_take(struct rewrite *rewrite, struct rewrite_flow *keep);
/** Gives a slot from flow_table_take its life, by `flow->state`: it will age, and can be found by its
 *  tags, that of inside only when told. Room in the indices was reserved. */
void flow_table_add(struct rewrite *rewrite, struct rewrite_flow *flow, bool inside);
/** Gives it another state, and the time that goes with that. */
void flow_table_turn(struct rewrite *rewrite, struct rewrite_flow *flow, enum rewrite_state state);
void flow_table_end(struct rewrite *rewrite, struct rewrite_flow *flow);

/* ---- finding (find.c) ---- */

/* A flow's ends as one side of it writes them. `near` is the program's, `far` the target. */
struct tuple {
    const uint8_t *near, *far;
    uint16_t near_port, far_port;
    uint16_t side; /* 0 when seen from outside */
    uint8_t protocol;
};

uint32_t tuple_tag(const struct rewrite *rewrite, int which, const struct tuple *tuple);
/** NULL: none. From outside this may be one that is REWRITE_GONE. */
struct rewrite_flow *find_inside(const struct rewrite *rewrite, const struct tuple *tuple,
                                 uint32_t tag);
struct rewrite_flow *find_outside(const struct rewrite *rewrite, const struct tuple *tuple,
                                  uint32_t tag);

/* ---- packets ---- */

/* A packet that is looked at. */
struct view {
    uint8_t *ip;
    struct packet parsed;
    bool partial; /* its transport checksum is */
    bool later;   /* a fragment that is not the first: it has no transport header */
};

/** 0 or -EBADMSG. */
int view_read(const struct rewrite_packet *packet, struct view *view);
bool view_is_error(const struct view *view);
/** Of a packet with a transport header. */
struct tuple view_tuple(const struct view *view, bool outward, unsigned side);
/** What the fragments of one packet share. */
uint64_t view_fragment_key(const struct view *view, unsigned side, const uint64_t secret[2]);

/** Sets the flow's deltas from its addresses and ports. */
void edit_prepare(struct rewrite_flow *flow);
/**
 * Writes the flow's addresses over those of the IP header at `ip`: those of outside when `outward`,
 * else those of inside; the program's end is the source when `from_program`, else the destination.
 */
void edit_addresses(uint8_t *ip, const struct rewrite_flow *flow, bool outward, bool from_program);
/** Likewise its port or id, and the checksum, in the `len` bytes of the transport (at least 8). */
void edit_transport(uint8_t *transport, size_t len, const struct rewrite_flow *flow, bool outward,
                    bool from_program);
/** Where the transport has its checksum is the pseudo-header's sum alone. */
void edit_partial(uint8_t *transport, const struct rewrite_flow *flow, bool outward,
                  bool from_program);
/** `field` is a complete checksum over words, which changed by `delta`. */
void edit_checksum(uint8_t *field, uint16_t delta);
/** `field` is a pseudo-header's sum, of words that changed by `delta`. */
void edit_pseudo(uint8_t *field, uint16_t delta);
/** How the sum over words changes when `before` (a sum of checksum_add) becomes `after`. */
uint16_t edit_delta(uint64_t before, uint64_t after);
/** Where a checksum is in its header. */
size_t checksum_at(uint8_t protocol);

/** A new flow for what the program sends, with its peer and port. 0 or an error of rewrite_out. */
int begin_flow(struct rewrite *rewrite, const struct tuple *tuple, uint32_t tag,
               struct rewrite_flow **ret_flow);

/** ICMP errors: as rewrite_out and rewrite_in. */
int error_out(struct rewrite *rewrite, unsigned side, const struct view *view,
              struct rewrite_flow **ret_flow);
int error_in(struct rewrite *rewrite, const struct view *view, struct rewrite_flow **ret_flow);
/** The flow that an error is about which the program `side` sends, as far as can be told: 0 or -ENOENT. */
int error_tuple(const struct view *view, unsigned side, struct tuple *ret_tuple);

#endif
