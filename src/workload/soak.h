/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WORKLOAD_SOAK_H
#define WORKLOAD_SOAK_H

#include "base/addr_set.h"
#include "flow/flow.h"
#include "manner/manner.h"
#include "workload/measure.h"
#include "workload/protocol.h"
#include "workload/schedule.h"

#include <peer/soak.h>
#include <stdarg.h>

/**
 * A run of one protocol by many flows. soak.c has the schedule: when to open, when to ask, when to
 * give up; the protocol (protocol.h) has the bytes.
 *
 *   CONNECTING -> READY -> BUSY -> READY ... -> closed, and another is opened in its place
 *                      \-> THINKING -/
 */
enum soak_state {
    SOAK_CONNECTING,
    SOAK_READY,
    SOAK_BUSY,
    SOAK_THINKING,
    SOAK_LEAVING, /* that was the last answer: the application may close first, for a moment */
    SOAK_ENDING,  /* shares: it is the application's to end it */
    SOAK_CLOSED,
};

struct soak_flow {
    struct flow flow; /* first */
    struct soak *soak;
    struct list node;     /* the list of its state */
    uint64_t intended_ns; /* when the schedule wanted the request */
    uint64_t started_ns;  /* when its state began: time-outs */
    uint64_t id;          /* counts up; key of the pattern */
    uint32_t requests;    /* begun on this connection */
    uint8_t state;
    bool first_byte;    /* of the answer was seen */
    bool last;          /* no request after this one */
    bool remote_closes; /* the answer said so */
    bool ended;         /* the application began to end it (shares only) */
    bool again;         /* opened to repeat a request */
    uint64_t out_at;    /* bytes of this request that were written (bulk: acknowledged) */
};
/** The protocol's own bytes of a flow: they lie behind it. */
static inline void *soak_flow_own(const struct soak_flow *flow)
{
    return (void *)(uintptr_t)(flow + 1);
}

/* How what the application sent begins, made printable: of the latest flow of its number. */
struct soak_said {
    uint64_t id;
    int len;
    char text[120];
};
enum { SOAK_SAID = 64 };

struct soak {
    struct peer_soak_config config; /* with defaults filled in; strings are the soak's */
    const struct protocol *protocol;
    const struct protocol_ops *ops; /* of its two */
    void *own;                      /* the protocol's of the run; a share's is its parent's */
    struct flows *flows;
    const struct addr_set *peers;
    uint64_t seed;
    struct measure measure;

    struct list connecting, ready, busy, thinking, leaving, ending; /* of flows, oldest first */
    struct list closing; /* flows that were let go, until their end has crossed */
    uint64_t in_state[SOAK_CLOSED + 1];
    uint64_t open, open_most;
    struct schedule schedule;
    uint64_t next_id, next_peer;
    uint64_t start_ns, backoff_until_ns;
    uint64_t behind;     /* requests that were due when the run was stopped, and had not started */
    uint64_t touch_left; /* idle flows still to be looked at */
    uint64_t touch_open; /* messages that are not acknowledged */
    bool touch_begun, idle_ends;
    uint32_t failures; /* in a row */
    bool stopping, hurry, over, ports_exhausted;

    /* Called when the measured time begins behind a warm-up, and when it ends. May be NULL. */
    void (*measured)(void *user, bool begins);
    void *measured_user;

    struct timer due, opening, sweep, think, leave, nudge, interval, warm, end;
    const char *first_error;                       /* one of these, NULL: none */
    char first_errors[PEER_SOAK_ERROR_KINDS][240]; /* by enum soak_error */
    char cannot_open[160];
    struct soak_said said[SOAK_SAID];

    /* Flows with bad manners: see soak_share.c. */
    struct soak **shares;
    size_t share_count;
    struct soak *parent; /* NULL but for a share */
    struct manner_spec manner;
    bool patient;                                    /* no flow is given up for want of an answer */
    bool parks;                                      /* a flow does not go on after its SYN */
    uint64_t begun;                                  /* flows on which the manner has begun */
    uint64_t ends_closed, ends_reset, ends_given_up; /* by the application, and by us */
    uint64_t flood_due, flood_sent;
    struct timer flood;

    uint8_t *scratch; /* SOAK_SCRATCH_BYTES of pattern */
};
enum { SOAK_SCRATCH_BYTES = 256 * 1024 };
/* The longest pause after failures, and how long an idle connection must live to be taken. */
#define SOAK_BACKOFF_MOST_NS NS_PER_S

/** `config` as given by the caller, `protocol` as it names it; 0, -EINVAL with text, -ENOMEM. */
int soak_start(const struct peer_soak_config *config, const struct protocol *protocol,
               struct flows *flows, const struct addr_set *peers, uint64_t seed,
               struct soak **ret_soak, struct peer_error *error);
void soak_stop(struct soak *soak, uint64_t grace_ns);

/* soak_share.c: what the healthy run has to do with the others. */
int soak_shares_new(struct soak *soak, struct peer_error *error);
void soak_shares_begin(struct soak *soak);
/** Stops them; whether all are over. */
bool soak_shares_end(struct soak *soak);
void soak_shares_free(struct soak *soak);
/** A new flow of a share gets its manner. */
int soak_share_dress(struct soak_flow *flow);
/** Whether the flow does nothing more. */
bool soak_share_parks(struct soak_flow *flow);
void soak_share_note(struct soak_flow *flow, unsigned events);

static inline bool soak_asks(const struct soak *soak)
{
    return soak->ops->kind == PROTOCOL_ASKS;
}
static inline bool soak_holds(const struct soak *soak)
{
    return soak->ops->kind == PROTOCOL_HOLDS;
}

struct soak *soak_free(struct soak *soak);
uint64_t soak_now(const struct soak *soak);
/** Requests that the schedule has wanted by now and that did not start. */
uint64_t soak_behind(const struct soak *soak);

/* soak_start.c: a run of a part of the flows; `config` is complete. It uses what its parent has
   made of the request, and takes turns with it. NULL without memory. */
struct soak *soak_new_share(const struct peer_soak_config *config, struct soak *parent);

/** When what is wanted, from what is left of the configuration for these flows. */
void soak_plan(struct soak *soak);

/* soak.c for soak_open.c: */
extern const struct flow_ops soak_flow_ops;
void soak_arm(struct soak *soak, struct timer *timer, uint64_t deadline_ns);
void soak_set_state(struct soak_flow *flow, enum soak_state state);
/** No request is to begin any more. */
bool soak_exhausted(const struct soak *soak);
/** The flow has its connection (UDP: from the beginning). */
void soak_connected(struct soak_flow *flow);
/** Takes the flow off the books; its memory follows when the stack is done with it. */
void soak_let_go(struct soak_flow *flow);
/** Something ended: is it the end of all, or is there room for another? */
void soak_after_end(struct soak *soak);

/* soak_open.c: opens as many connections as there is work for, and may be, now. */
void soak_open_more(struct soak *soak);
/** This one failed: a while without openings, longer with every round of failures. */
void soak_back_off(const struct soak_flow *flow);

/* soak.c for soak_start.c: lists and timers; the first connections. */
void soak_init(struct soak *soak);
void soak_begin(struct soak *soak);

/* soak_idle.c: one more is connected; something happened: is it enough?; messages that are left. */
void soak_idle_connected(struct soak *soak);
void soak_idle_check(struct soak *soak);
void soak_touch_some(struct soak *soak);

/* soak_count.c: */
/** The warm-up is over, once: counts are those of `schedule.warm_ns` and later from here on. */
void soak_begin_measuring(struct soak *soak);
/** Something that belongs to `at_ns` is about to be counted: the warm-up is over when that is. */
void soak_reach(struct soak *soak, uint64_t at_ns);
/** Takes the next request from the schedule, as schedule_take(). */
uint64_t soak_take(struct soak *soak);
/** The request for which the flow was opened is lost with its handshake: it is taken, if it was not
 *  yet. Closed: it was wanted when the flow was opened. */
void soak_take_lost(struct soak_flow *flow);

/* For the protocols. */
/** The first byte of an answer came. */
void soak_first_byte(struct soak_flow *flow);
/** `count` more requests were done together with this one. */
void soak_also(struct soak *soak, uint64_t count);
/** The answer is complete and right. */
void soak_complete(struct soak_flow *flow);
enum soak_error {
    SOAK_REFUSED = PEER_SOAK_REFUSED,
    SOAK_RESET = PEER_SOAK_RESET,
    SOAK_TIMEOUT = PEER_SOAK_TIMEOUT,
    SOAK_BAD_ANSWER = PEER_SOAK_BAD_ANSWER,
    SOAK_CLOSED_EARLY = PEER_SOAK_CLOSED_EARLY,
    SOAK_STATUS = PEER_SOAK_STATUS,
    SOAK_CLOSED_IDLE = PEER_SOAK_CLOSED_IDLE,
};
/** Whether this flow's request (or handshake) belongs to the measured time. */
bool soak_counts(const struct soak_flow *flow);
/** The answer is complete. Counts its status, as an error when that is not `right`. */
void soak_answered(struct soak_flow *flow, unsigned status, bool right);
/** How an answer begins, kept for the words of an error: call with its first bytes. */
void soak_said(struct soak_flow *flow, const void *data, size_t len);
/** Counts an error; the flow goes on as it is. A request's error counts when the request does; what
 *  comes unasked counts by when it comes. */
void soak_error(struct soak_flow *flow, enum soak_error kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void soak_error_args(struct soak_flow *flow, enum soak_error kind, const char *format,
                     va_list arguments) __attribute__((format(printf, 3, 0)));
/** What to call an end that came too soon, one that did not come, and an ICMP error. */
const char *soak_timeout_text(const struct soak_flow *flow);
const char *soak_closed_text(const struct soak_flow *flow);
const char *soak_unreachable_text(const struct soak_flow *flow);
/** Counts an error and gives the flow up. */
void soak_fail(struct soak_flow *flow, enum soak_error kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** The request is asked once more on another connection, and this one is over. Counts that. */
void soak_repeat(struct soak_flow *flow);
/** Idle: more is acknowledged; is it all of a message that this flow was touched with? */
void soak_touched(struct soak_flow *flow);
/** Something that counts as a request was done, and the flow goes on as it is. */
void soak_done(struct soak_flow *flow, uint64_t at_ns);
/** This request came to nothing; the flow goes on. */
void soak_lose(struct soak_flow *flow, enum soak_error kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Writes on; FLOW_WRITE_* flags. Counts, and returns as flow_write. */
ssize_t soak_write(struct soak_flow *flow, const void *data, size_t len, int flags);
/** Calls `nudge` then, or earlier. */
void soak_nudge_at(struct soak *soak, uint64_t at_ns);
uint64_t soak_flow_key(const struct soak_flow *flow);

#endif
