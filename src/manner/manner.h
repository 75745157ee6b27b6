/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MANNER_MANNER_H
#define MANNER_MANNER_H

#include "flow/flow.h"

#include <peer/error.h>

/**
 * Bad manners: ways for a flow to misbehave, by name. A specification is
 *
 *   NAME[:SHARE][:VALUE][@WHEN]
 *
 * SHARE is a percentage of many flows ("2%"). VALUE is what some manners take: bytes a second
 * ("10B/s"), a count a second ("1000/s"), or a size ("1280B", "1KiB"). WHEN is a time since the
 * connection was made ("10s", "200ms"), a count of payload bytes both ways ("4KiB"), or a state:
 * "syn", "connected", "request" (the first bytes were sent). Units are never left out.
 */

enum manner_unit { MANNER_NO_VALUE, MANNER_BYTES_PER_S, MANNER_PER_S, MANNER_BYTES };
enum manner_when {
    MANNER_AT_SYN,
    MANNER_AT_CONNECTED,
    MANNER_AT_REQUEST,
    MANNER_AT_BYTES,
    MANNER_AT_TIME
};

struct manner_run;

struct manner {
    const char *name, *about;
    bool udp;     /* datagrams know it too */
    bool caller;  /* only who calls can do it, and never `begin`s late: no WHEN */
    bool tls;     /* what who calls does to the handshake of TLS: needs it, and there is no WHEN */
    bool patient; /* soak: such a flow is never given up; the application ends it */
    bool moves;   /* needs a second peer */
    bool silences; /* from its beginning on nothing crosses, either way */
    bool http2;   /* soak: clients of HTTP/2 do it, see manner_deed */
    enum manner_unit unit;
    uint64_t value, min, max; /* default and range of VALUE */
    enum manner_when when, earliest;
    /** Begins. Called by a timer when `deferred`, else from within flow_watch.look. */
    bool deferred;
    void (*begin)(struct manner_run *run);
    /** Again after `tick_ns(value)` each time; may be NULL. */
    void (*tick)(struct manner_run *run);
};
/** NULL past the end. */
const struct manner *manner_at(size_t index);
/** The owner never hears that such a flow is open. */
static inline bool manner_never_opens(const struct manner *manner)
{
    return manner->caller || manner->tls;
}

struct manner_spec {
    const struct manner *manner;
    double share;   /* 0 to 1; negative: none was given */
    uint64_t value; /* the manner's, or its default */
    enum manner_when when;
    uint64_t at; /* bytes or nanoseconds */
    bool when_given;
    char text[64]; /* as it was given */
};
/** Who is to behave so: what the specification may be. */
struct manner_context {
    bool udp;
    bool accepts;   /* flows of a listener */
    bool shares;    /* there are many flows */
    uint64_t peers; /* how many addresses */
};
enum { MANNERS_MAX = 32 };
/**
 * Reads specifications that are separated by commas or blanks; at most MANNERS_MAX. Returns the
 * count (0 for NULL or ""), or -EINVAL with one line that names the word. Shares together are at
 * most 100 %; without shares each flow has all the manners.
 */
int manners_parse(const char *text, const struct manner_context *context,
                  struct manner_spec specs[MANNERS_MAX], struct peer_error *error);

/** A manner of one flow. */
struct manner_run {
    struct manner_run *next;
    struct manner_spec spec;
    struct flow *flow;
    struct timer timer;
    uint64_t *begun_count; /* counts up when it begins; may be NULL */
    bool begun;
    uint64_t begun_ns;
};
/**
 * Gives a flow a manner, which begins at its WHEN; one without a WHEN (`when_given`) begins at its
 * default on a flow that is not open yet, else at once. Before flow_connect for what shows in the
 * SYN. Freed with the flow. 0 or -ENOMEM.
 */
int manner_start(struct flow *flow, const struct manner_spec *spec, uint64_t *begun_count);
/** What of its manners is the owner's to do, and has begun: NULL for none. The owner hears FLOW_WRITABLE
 *  every 10 ms meanwhile. */
const struct manner_spec *manner_deed(const struct flow *flow);
/** When a manner that silences the flow began; 0: none has. */
uint64_t manner_silent_ns(const struct flow *flow);
/** Which manner the `n`-th flow has (shares of the whole, evenly spread from a start that the seed
 *  chooses), or -1. */
int manner_draw(const struct manner_spec *specs, int count, uint64_t seed, uint64_t n);

#endif
