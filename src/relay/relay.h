/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "relay/sink.h"
#include "relay/source.h"

#include <peer/peer.h>

/**
 * One flow joined to a pair of descriptors. What comes out of `in` goes to the application at the
 * other end of the flow, what comes from it goes to `out`; each side waits for the other, and each
 * side's end is passed on alone (half-close). It stands on the public API and nothing else, and it
 * neither waits nor reads a clock: its owner has the loop, hands it the flow's events, and calls
 * relay_move when `in` brought something or `out` is writable again. Any number of relays may have
 * one source and one sink.
 */
struct relay;

struct relay_config {
    struct peer_net *net;
    struct peer_flow *flow; /* the relay's from now on */
    struct source *in;
    struct sink *out;
    bool connected; /* the flow is open already */
};

/** What may be seen of it. */
struct relay_state {
    bool connected;
    bool eof;     /* the application's FIN has come */
    bool drained; /* all that came is written, so far */
    bool blocked; /* the rest waits for `out` */
    bool ended;   /* nothing more is taken of `in` */
    bool behind;  /* something of `in` waits for room in the flow */
    bool heard;   /* something came */
    bool over;    /* it has ended, and nothing is left to be written */
    enum peer_end end;
    uint64_t sent, received; /* bytes moved from `in`, and to `out` */
    uint64_t active_ns;      /* when some moved last, or when it was connected */
    uint64_t behind_ns;      /* it has been behind, without a byte having moved, since then */
};

/** NULL: out of memory; the flow is freed then too. */
struct relay *relay_new(const struct relay_config *config);
/** And the flow; an open one is reset. */
struct relay *relay_free(struct relay *relay);
const struct relay_state *relay_state(const struct relay *relay);

/** An event of its flow. */
void relay_take(struct relay *relay, const struct peer_event *event);
/** Moves what can be moved both ways: 0, or -errno of writing to `out`, after which what comes is
 *  left alone. */
int relay_move(struct relay *relay);

/** Nothing more is taken of `in` than there is now: a FIN follows that. */
void relay_end_in(struct relay *relay);
/** A FIN at once, instead of what waits of `in`. What the application still sends is written. */
void relay_close(struct relay *relay);
/** What comes is thrown away from now on. */
void relay_discard(struct relay *relay);
/** A RST, at once. */
void relay_reset(struct relay *relay);
/** Stops reading from the flow, so that its window closes, or goes on. */
void relay_pause(struct relay *relay, bool paused);

#endif
