/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WORKLOAD_PROTOCOL_H
#define WORKLOAD_PROTOCOL_H

#include <peer/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct soak;
struct soak_flow;

/** What a flow of a protocol does with its time. */
enum protocol_kind {
    PROTOCOL_ASKS,    /* requests with answers: rates, numbers of them, time-outs */
    PROTOCOL_STREAMS, /* bytes until the end of the run */
    PROTOCOL_HOLDS,   /* nothing: connections are what is counted */
};

/** What the bytes mean, over TCP or over UDP. All run with the stack unwound and may close the flow;
 *  all but the first two may be NULL. */
struct protocol_ops {
    enum protocol_kind kind;
    bool needs_rate; /* nothing else would slow it down */
    /** Begins a request on a READY flow. */
    void (*request)(struct soak_flow *flow);
    void (*readable)(struct soak_flow *flow);
    void (*writable)(struct soak_flow *flow);
    /** The application sent FIN while a request was under way. */
    void (*eof)(struct soak_flow *flow);
    /** It sent RST; true when that is dealt with. */
    bool (*reset)(struct soak_flow *flow);
    /** The flow is given up: frees what the protocol has put there. */
    void (*let_go)(struct soak_flow *flow);
    /** What to call a time-out of a request; NULL: as ever. */
    const char *(*late)(const struct soak_flow *flow);
    /** The time of soak_nudge_at has come. */
    void (*nudge)(struct soak *soak, uint64_t now_ns);
};

/** What of a configuration a protocol has use for; the rest is refused in words. */
enum {
    PROTOCOL_TAKES_PATH = 1,
    PROTOCOL_TAKES_HEADERS = 2, /* method and expected statuses too */
    PROTOCOL_TAKES_BODY = 4,
};

/**
 * A protocol from the client's side: an entry of the table in src/protocol. Schemes, default ports,
 * --workload, checks and refusals are read from there.
 */
struct protocol {
    const char *name;
    /** Its targets are "scheme://..."; NULL: it is asked for by name, over "tcp://" or "udp://". */
    const char *scheme;
    uint16_t port; /* of a target without one; 0: it must be given */
    unsigned takes;
    const struct protocol_ops *tcp, *udp; /* NULL: not over that */
    /** Zeroed memory of the protocol's own: one for the run, one behind each flow. */
    size_t run_bytes, flow_bytes;
    /** Once a run, before the first flow; strings of the configuration need not live on. May be NULL,
     *  like `done`, which is called too when it failed. */
    int (*prepare)(struct soak *soak, struct peer_error *error);
    void (*done)(struct soak *soak);
};

#endif
