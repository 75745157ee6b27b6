/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_RUN_H
#define SOAK_RUN_H

#include "base/rng.h"
#include "manner/manner.h"
#include "soak/measure.h"
#include "soak/pause.h"
#include "soak/protocol.h"
#include "soak/schedule.h"
#include "soak/soak.h"
#include "tls/tls.h"

#include <stdarg.h>

/**
 * A run: one protocol, one schedule, its clients, what was measured. A soak (soak.h) is one run of
 * the healthy clients, and one for each manner. This header is the module's own.
 *
 *   CONNECTING -> (GREETING) -> READY -> BUSY -> READY ... -> over, and another is opened in its place
 *                                  \-> THINKING -/
 */
enum client_state {
    CLIENT_CONNECTING, /* the handshake */
    CLIENT_GREETING,   /* the protocol's own beginning */
    CLIENT_READY,      /* has a slot for a request, and waits for one to be due */
    CLIENT_BUSY,       /* all slots are taken, or no more is wanted of it */
    CLIENT_HELD,       /* PROTOCOL_HOLDS: it is there, and that is all */
    CLIENT_THINKING,
    CLIENT_LEAVING, /* that was the last answer: the application may close first, for a moment */
    CLIENT_ENDING,  /* with a manner: it is the application's to end it */
    CLIENT_STATES,
    CLIENT_OVER = CLIENT_STATES,
};

struct client {
    struct flow flow;     /* first */
    struct run *run;      /* NULL: it is gone, and this only closes */
    struct list node;     /* the list of its state */
    struct list requests; /* under way, oldest first; CONNECTING: what it was opened for */
    uint64_t started_ns;  /* when its state began: time-outs */
    uint64_t id;          /* counts up; key of the pattern */
    uint32_t asked;       /* requests begun */
    uint32_t written;     /* how many of these `asked` was told of */
    uint16_t slots, under_way;
    uint8_t state;
    bool last : 1;          /* no request after those under way, which were written so */
    bool surplus : 1;       /* likewise, and they were not: there are to be fewer clients */
    bool remote_closes : 1; /* the answer said so */
    bool ended : 1;         /* the application began to end it (manners only) */
    bool again : 1;         /* opened to repeat a request, which it has from its SYN on */
    bool spoke : 1;         /* bytes came before, or without, any request */
    bool other : 1;         /* speaks what the protocol has for `other_alpn` */
    bool answered : 1;      /* a request of it was, at least the beginning */
    bool in_event : 1;      /* of its flow: `asked` is called behind it */
};

/* Behind the protocol's bytes of a client, in a run of pauses that differ. */
struct thought {
    struct timer timer;
    struct client *client;
};

struct request {
    struct client *client; /* NULL: none has it */
    struct list node;      /* of the run's, oldest first */
    struct list sibling;   /* of the client's */
    uint64_t intended_ns;  /* when the schedule wanted it */
    uint64_t started_ns;
    uint64_t sent_bytes; /* see request_sent */
    uint32_t number;     /* of the client's, from 1 */
    uint32_t target;     /* of the list */
    uint32_t leaves;     /* its first frame, awaited as this, is to leave; 0: it has, or no matter */
    bool first_byte;     /* of the answer was seen */
    bool moves;          /* it was asked, and goes on elsewhere */
    bool put_back;       /* it was asked, and not looked at */
    uint8_t in_vain;     /* how often by who will not look at it the next time either */
    void *kept;          /* the protocol's */
};

struct run {
    struct soak *soak;
    struct peer_soak_config config; /* this run's part of what was asked for */
    const struct protocol_ops *ops;
    struct flows *flows;
    struct schedule schedule;
    struct arrivals arrivals; /* of a schedule at random */
    size_t number;            /* among the soak's; 0: the healthy one */
    bool thinks;
    struct pause pause; /* PAUSE_NONE: it is always config.think_ns */
    struct rng pause_rng;
    struct measure measure;
    uint64_t start_ns;

    struct list clients[CLIENT_STATES]; /* oldest first */
    uint64_t in_state[CLIENT_STATES + 1];
    struct list asked; /* requests under way, oldest first */
    struct list again; /* requests that were put back, and */
    uint64_t again_count;
    struct list closing; /* clients that were let go, until their end has crossed */
    uint64_t open, open_most;
    uint64_t backoff_until_ns;
    uint32_t failures;   /* in a row */
    uint64_t behind;     /* requests that were due when the run was stopped, and had not started */
    uint64_t touch_left; /* held clients still to be looked at */
    uint64_t touch_open; /* messages that are not acknowledged */
    bool touch_begun, hold_ends, gave_back;
    bool stopping, hurry, over, serving;
    uint64_t paused_ns, paused_at_ns; /* in the measured time, the pauses that are over; see steer.c */
    struct timer due, opening, sweep, think, leave, nudge, interval, warm, end;

    /* share.c */
    struct manner_spec manner;                       /* .manner NULL: the healthy run */
    uint64_t begun;                                  /* clients on which it has begun */
    uint64_t ends_closed, ends_reset, ends_given_up; /* by the application, and by us */
    uint64_t flood_due, flood_sent;
    struct timer flood;
};

/* How what the application sent begins: of the latest client of its number. */
struct said {
    uint64_t id;
    size_t len;
    char text[120];
};
enum { SAID_CLIENTS = 64 };

/* With those whose manners were ended on the way. Each has its histograms. */
enum { SOAK_RUNS_MOST = 1 + 2 * MANNERS_MAX };

struct soak {
    struct tls_context *tls;        /* NULL: none */
    struct peer_soak_config config; /* of all, defaults filled in */
    const struct protocol *protocol;
    void *own; /* the protocol's run_bytes */
    size_t request_bytes; /* the protocol's, where its clients use them */
    struct flows *flows;
    const struct addr_set *peers;
    uint64_t seed;
    uint64_t begin_ns; /* as in soak_host */
    double phase;
    uint64_t worker, workers, all_flows; /* as in soak_host, but never 0 workers */
    double part; /* this much of a rate that a manner has is this soak's */
    uint64_t next_id, next_peer; /* runs take turns */
    uint8_t *scratch;
    uint32_t targets, next_target; /* 0: there is no list */
    struct rng target_order;
    struct pause pause;
    struct said said[SAID_CLIENTS];
    soak_measured measured;
    void *measured_user;
    struct run *runs[SOAK_RUNS_MOST]; /* the healthy one first; those that are over stay */
    size_t run_count;
    bool paused, rate_changed;
};

/* The longest pause after failures, and how long a held client must live to be taken. */
#define RUN_BACKOFF_MOST_NS NS_PER_S

/* Connections opened or closed in a round: the kernel answers each, and its answers must be read
   before the device's queue is full. */
enum { RUN_AT_ONCE = 64 };

static inline uint64_t run_now(const struct run *run)
{
    return run->flows->now_ns;
}
/** What is behind a client of the protocol's own. */
static inline size_t run_client_bytes(const struct run *run)
{
    const struct protocol *protocol = run->soak->protocol;

    return protocol->client_bytes + (run->config.udp ? protocol->datagram_bytes : 0);
}
static inline size_t thought_at(const struct run *run)
{
    return (run_client_bytes(run) + 7) & ~(size_t)7;
}
static inline struct thought *thought_of(const struct client *client)
{
    return (struct thought *)(void *)((char *)client_own(client) +
                                      thought_at(client->run));
}
static inline bool run_asks(const struct run *run)
{
    return run->ops->kind == PROTOCOL_ASKS;
}
static inline bool run_holds(const struct run *run)
{
    return run->ops->kind == PROTOCOL_HOLDS;
}
static inline const struct protocol_ops *client_ops(const struct client *client)
{
    return client->other ? client->run->soak->protocol->other : client->run->ops;
}
static inline bool run_is_healthy(const struct run *run)
{
    return !run->manner.manner;
}
static inline struct run *soak_healthy(const struct soak *soak)
{
    return soak->runs[0];
}
static inline struct client *client_of(struct list *node)
{
    return list_entry(node, struct client, node);
}

/** The manners of its clients, as their list of specifications says: their number, or -EINVAL with
 *  text. */
int soak_read_manners(const struct soak *soak, const char *manners,
                      struct manner_spec ret_specs[MANNERS_MAX], struct peer_error *error);
/** What the schedule wanted a second, in the mean when that was changed. */
double soak_asked_rate(const struct soak *soak, uint64_t duration_ns);

/* ---- run.c: when; stop.c: how it ends ---- */

/** How it is spoken as it is configured; NULL: not at all. */
const struct protocol_ops *soak_ops(const struct peer_soak_config *config,
                                    const struct protocol *protocol);
/** `config` is complete. NULL without memory. */
struct run *run_new(struct soak *soak, const struct peer_soak_config *config,
                    const struct manner_spec *manner);
/** From the configuration to the schedule, and the first connections. */
void run_begin(struct run *run);
void run_stop(struct run *run, uint64_t grace_ns);
struct run *run_free(struct run *run);
void run_arm(struct run *run, struct timer *timer, uint64_t deadline_ns);
/** No request is to begin any more. */
bool run_exhausted(const struct run *run);
/** Hands out what is due to clients that are ready. */
void run_serve(struct run *run);
/** The client has no request to go on with: another, a pause, or its end. */
void run_next(struct client *client);
/** A client ended: is it the end of all, or is there room for another? */
void run_after_end(struct run *run);
/** Is it over? */
void run_look(struct run *run);
/** Closes up to a round of clients that wait for nothing; the next round is a timer's. */
void run_close_some(struct run *run);
/** The timer `end` fires. */
void run_end_fire(struct timer *timer, uint64_t now_ns);
void run_cancel_timers(struct run *run);
/** Something began that may be late: the timer for time-outs. */
void run_watch(struct run *run);

/** No request is to begin before it goes on. */
static inline bool run_is_paused(const struct run *run)
{
    return run->schedule.paused;
}
/** Its schedule was changed: what is wanted now begins. Closed: a round of clients, and the next round
 *  is a timer's. */
void run_go_on(struct run *run);

/* ---- steer.c ---- */

/** How much of the measured time nothing was wanted in, until the end of it or now. */
uint64_t run_paused_ns(const struct run *run);

/* ---- open.c: connections ---- */

/** Opens as many as there is work for, and may be, now. */
void run_open_more(struct run *run);
/** One, at once: NULL when that cannot be, which is noted. */
struct client *run_open_one(struct run *run);
/** This client failed: a while without openings, longer with every round of failures. */
void run_back_off(const struct client *client);

/* ---- client.c: a connection ---- */

/** Zeroed but for what names it, not connected; 0 or -errno. */
int client_open(struct run *run, struct client **ret_client);
void client_set_state(struct client *client, enum client_state state);
/** UDP: at once. */
void client_connected(struct client *client);
/** Takes it off the books; its memory follows when the stack is done with it. */
void client_let_go(struct client *client);
/** FIN, or what was asked for instead. */
void client_close(struct client *client);
void client_end(struct client *client);
/** Clients that are closing may still send from memory that is freed with the soak. */
void clients_cut_senders(const struct soak *soak);

/* ---- request.c ---- */

/** For `client`, wanted at `intended_ns`; not begun. NULL without memory. */
struct request *request_new(struct client *client, uint64_t intended_ns);
/** Likewise the next one: what was put back, or what the schedule wants. */
struct request *request_next(struct client *client);
struct request *request_free(struct request *request);
/** What was put back first is not asked again: when it was wanted. There is one. */
uint64_t request_drop_again(struct run *run);
/** Says to the protocol that all was asked, unless that comes by itself. */
void client_tell_asked(struct client *client);
/** It counts as begun, without asking. */
void request_begin(struct request *request);
void request_start(struct request *request);
/** Takes the next one from the schedule for this client, and starts it. */
void client_ask(struct client *client);
/** The first frame of what it awaits `as` has left; `at_ns` 0: there was none. */
void client_left(struct client *client, uint32_t as, uint64_t at_ns);
/** Counts for the target that it asks for, if there is a list: its answer's `status`, or an error. */
void request_count_status(const struct request *request, unsigned status);
void request_count_error(const struct request *request);
/** The answer was complete at `at_ns`: counts. */
void request_count(struct request *request, uint64_t at_ns);

/* ---- count.c ---- */

/** The warm-up is over, once: counts are those of `schedule.warm_ns` and later from here on. */
void run_begin_measuring(struct run *run);
/** Something that belongs to `at_ns` is about to be counted: the warm-up is over when that is. */
void run_reach(struct run *run, uint64_t at_ns);
/** Takes the next request from the schedule, as schedule_take(). */
uint64_t run_take(struct run *run);
/** The request for which a client was opened at `opened_ns` is lost with its handshake, and is taken
 *  if it was not yet: when it was wanted. */
uint64_t run_take_lost(struct run *run, uint64_t opened_ns);
uint64_t run_behind(const struct run *run);
static inline bool run_counts(const struct run *run, uint64_t at_ns)
{
    return at_ns >= run->measure.start_ns;
}

/* ---- error.c ---- */

/** Counts an error of something that was wanted at `at_ns`, if it counts. */
void run_error(struct run *run, const struct client *client, uint64_t at_ns,
               enum peer_soak_error kind, const char *format, va_list arguments)
    __attribute__((format(printf, 5, 0)));
/** How an answer begins, kept for the words of an error: cheap, for each answer. */
void client_said(struct client *client, const void *data, size_t len);
/** Why TLS failed: which error that is, and the words. */
enum peer_soak_error client_tls_error(const struct client *client, const char **ret_text);
/** What to call an end that came too soon, one that did not come, and an ICMP error. */
const char *client_late_text(const struct client *client, const struct request *request);
const char *client_closed_text(const struct client *client);
const char *client_unreachable_text(const struct client *client);

/* ---- hold.c: PROTOCOL_HOLDS ---- */

void hold_connected(struct run *run);
/** Something happened: is it enough? */
void hold_look(struct run *run);
void hold_touch_some(struct run *run);
/** More is acknowledged: is it all of a message? */
void hold_writable(struct client *client);
/** The client is given up: its message is not waited for. */
void hold_let_go(struct client *client);

/* ---- share.c: manners ---- */

/** A run for each manner of the configuration, and what is left for the healthy one. */
int shares_new(struct soak *soak, const struct manner_spec *specs, int count,
               struct peer_soak_config *healthy, struct peer_error *error);
/** Those that were made last are of these manners, the others with manners end. -EINVAL with text, and
 *  nothing was changed; -ENOMEM. */
int shares_change(struct soak *soak, const struct manner_spec *specs, int count,
                  struct peer_error *error);
/** A run with a manner begins. */
void share_begin(struct run *run);
void share_flood_fire(struct timer *timer, uint64_t now_ns);
/** No client is given up for want of an answer. */
static inline bool share_is_patient(const struct run *run)
{
    return run->manner.manner && run->manner.manner->patient;
}
/** A new client gets its manner. */
int share_dress(struct client *client);
/** Whether the client does nothing more. */
bool share_parks(struct client *client);
void share_note(struct client *client, unsigned events);
/** Stops all runs but the healthy one; whether they are over. */
bool shares_end(struct soak *soak);

#endif
