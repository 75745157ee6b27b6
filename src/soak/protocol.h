/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SOAK_PROTOCOL_H
#define SOAK_PROTOCOL_H

#include "flow/flow.h"

#include <peer/error.h>
#include <peer/soak.h>

/**
 * What bytes mean, from the client's side. A run (run.h) says when requests are wanted and has the
 * connections; a protocol says how a request is written and where its answer ends, and knows of no
 * schedule. Its entry of the table in src/protocol has its scheme and port and what goes with it.
 *
 * All functions run with the stack unwound. Where one may have ended the client, nothing of it is
 * touched after the call: `client_is_over` tells.
 */

/** One connection, or one UDP flow, with the protocol's own bytes behind it. */
struct client;
/** One request that is under way. A client has as many at once as it announced (client_ready). */
struct request;

/** What a client does with its time. */
enum protocol_kind {
    PROTOCOL_ASKS,    /* requests with answers: rates, numbers of them, time-outs */
    PROTOCOL_STREAMS, /* bytes until the end of the run */
    PROTOCOL_HOLDS,   /* nothing: connections are what is counted */
};

enum taken {
    TAKEN_MORE,   /* the answer goes on */
    TAKEN_ANSWER, /* it is complete */
    TAKEN_LAST,   /* likewise, and whatever follows it is nobody's: `taken` is told TAKEN_ANSWER */
    TAKEN_WRONG,  /* client_fail was called */
};

/** What the bytes mean, over TCP or over UDP. All functions but `ask` may be NULL. Where a `request`
 *  is given it is the oldest that is under way, or NULL. */
struct protocol_ops {
    enum protocol_kind kind;
    bool needs_rate; /* nothing else would slow it down */
    bool unasked;    /* what comes while nothing is under way is taken, and no error */
    bool marks;      /* it marks the first bytes of answers: others come between them */
    bool any_order;  /* answers come in any order: it marks their first bytes, and a request that is
                      * late is lost alone */
    /** The connection stands. Calls client_ready when requests may come (HOLDS: it is held from then
     *  on): at once, or when a greeting was read or a login is done. NULL: one at a time, at once. */
    void (*opened)(struct client *client);
    /** Begins a request (STREAMS: what lasts as long as the connection). */
    void (*ask)(struct client *client, struct request *request);
    /** All was asked that may be, and all was taken that came: writes what was kept back until then.
     *  Called once before the stack goes on, if anything happened. */
    void (*asked)(struct client *client);
    /** TCP: reads in what came, up to the end of an answer, and does nothing else but fail:
     *  `ret_used` of `len` bytes, which are consumed then. */
    enum taken (*take)(struct client *client, struct request *request, const char *data, size_t len,
                       size_t *ret_used);
    /** What was read is consumed: acts on it. NULL: an answer that is complete is right. */
    void (*taken)(struct client *client, struct request *request, enum taken taken);
    /** UDP: one datagram. */
    void (*datagram)(struct client *client, struct request *request, const void *data, size_t len);
    /** Bytes were acknowledged, while something is under way. */
    void (*writable)(struct client *client, struct request *request);
    /** The application sent FIN while something was under way. NULL: that is an error. */
    void (*eof)(struct client *client, struct request *request);
    /** It sent RST then; true when that is dealt with. */
    bool (*reset)(struct client *client, struct request *request);
    /** any_order: the request is given up, and the client goes on without it. */
    void (*lost)(struct client *client, struct request *request);
    /** We close the connection, in order: its last words. */
    void (*closing)(struct client *client);
    /** The client is given up: frees what the protocol has put there. */
    void (*let_go)(struct client *client);
    /** What to call it that this request is late; NULL: as ever. */
    const char *(*late)(const struct client *client, const struct request *request);
    /** The time of client_nudge_at has come: called for the requests under way, oldest first, until
     *  it returns false. */
    bool (*nudge)(struct client *client, struct request *request, uint64_t now_ns);
};

/** What of a configuration a protocol has use for; the rest is refused in words. */
enum {
    PROTOCOL_TAKES_EXPECT = 1 << 16,
    PROTOCOL_TAKES_QUERIES = 1 << 17, /* with EDNS */
    PROTOCOL_TAKES_PATH = 1,
    PROTOCOL_TAKES_HEADERS = 2, /* and a method */
    PROTOCOL_TAKES_BODY = 4,
    PROTOCOL_TAKES_LOGIN = 8,
    PROTOCOL_TAKES_STREAMS = 16,
    PROTOCOL_TAKES_PIPELINE = 32,
    PROTOCOL_TAKES_TARGETS = 64,
    PROTOCOL_TAKES_FOLLOW = 128, /* cookies too */
    PROTOCOL_TAKES_TEXT = 4096,
    PROTOCOL_TAKES_FRAMES = 8192, /* fragments and pings */
    PROTOCOL_TAKES_MESSAGES = 16384, /* of a size that is asked for */
};

struct protocol {
    const char *name;
    /** Its targets are "scheme://..."; NULL: it is asked for by name, over "tcp://" or "udp://". */
    const char *scheme;
    uint16_t port; /* of a target without one; 0: it must be given */
    /** Likewise over TLS; NULL: none. The functions are the same, TLS is below them. */
    const char *tls_scheme;
    uint16_t tls_port;
    bool tls_later;   /* `opened` is called when TCP stands, and asks the server first */
    const char *alpn; /* what it offers by ALPN, unless something else was asked for; NULL: nothing */
    const char *(*offers)(const void *run); /* likewise, where it depends on the run */
    unsigned takes;
    bool datagrams; /* a target is asked over UDP unless TCP is asked for */
    /** What request_answered_as counts: what such numbers are called, and the name of each, up to a
     *  NULL; RESULT_ANSWERS of them at the most. `names` may be NULL with client_count_named. */
    struct {
        const char *kind;
        const char *const *names;
    } answers;
    const struct protocol_ops *tcp, *udp; /* NULL: not over that */
    /** Connections are opened as it has it, and held: PROTOCOL_HOLDS. NULL: "idle" does. */
    const struct protocol_ops *held;
    /** Over TLS, where `other_alpn` was agreed on: those instead of `tcp`. NULL: none. */
    const struct protocol_ops *other;
    const char *other_alpn;
    /** Zeroed memory of the protocol's own: one for the run, one behind each client, one behind each
     *  request that is under way. */
    size_t run_bytes, client_bytes, request_bytes;
    size_t datagram_bytes; /* and one more behind each client over UDP */
    /** Once, before the first client. Strings of `config` need not live on; what it takes from there
     *  it may set to NULL. -EINVAL with text, -ENOMEM. May be NULL, like `done`, which is called too
     *  when it failed. */
    int (*prepare)(void *run, struct peer_soak_config *config, struct peer_error *error);
    void (*done)(void *run);
    /** How many requests of a list there are, which are asked for one after the other or at random
     *  and told apart in the figures; 0, or NULL: they are all one. And how each is called. */
    size_t (*count_targets)(const void *run);
    void (*name_target)(const void *run, size_t index, char *out, size_t room);
};

/* ---- what a protocol is given ---- */

void *client_own(const struct client *client);
void *client_run(const struct client *client);
const struct peer_soak_config *client_config(const struct client *client);
struct flow *client_flow(struct client *client);
/** For a pattern: another for each client of each seed. */
uint64_t client_key(const struct client *client);
uint64_t client_now(const struct client *client);
/** SOAK_SCRATCH_BYTES; at the start it is filled with the pattern of the run. */
enum { SOAK_SCRATCH_BYTES = 256 * 1024 };
uint8_t *client_scratch(const struct client *client);
/** Counters that only a protocol knows of. */
struct peer_soak_counts *client_counts(struct client *client);
/** Counts one more of what `answers.kind` are, under this name: an error's code, a reason to close. */
void client_count_named(struct client *client, const char *name);
/** A manner that is the protocol's to do, and has begun (peer-manners(7)): its name and its VALUE. NULL:
 *  none. */
const char *client_deed(const struct client *client, uint64_t *ret_value);
/** It is one of those with a manner. */
bool client_misbehaves(const struct client *client);
/** Since when nothing of it reaches the application, nor the other way round; 0: it does. */
uint64_t client_silent_ns(const struct client *client);
/** No new work begins any more: all are about to end. */
bool client_run_ends(const struct client *client);
/** What the healthy clients count, for what befell one at `at_ns` whose ever it is; NULL: that was before
 *  the measured time. And a latency of theirs. */
struct peer_soak_counts *client_shared_counts(struct client *client, uint64_t at_ns);
void client_latency(struct client *client, enum peer_soak_histogram which, uint64_t from_ns,
                    uint64_t until_ns); /* of its own run's, if it counts */
void client_shared_latency(struct client *client, enum peer_soak_histogram which, uint64_t from_ns,
                           uint64_t until_ns);
/** Nothing is to be done with it any more. */
bool client_is_over(const struct client *client);
/** TLS: FIN came without close_notify, so that what came may have been cut short. */
bool client_is_truncated(const struct client *client);
/** The oldest request under way, or NULL. */
struct request *client_request(const struct client *client);
/** The one under way that is the `number`-th of the client's, from 1, or NULL. */
struct request *client_request_numbered(const struct client *client, uint32_t number);
/** The one that was begun after that one, or NULL. */
struct request *client_request_after(const struct client *client, const struct request *request);
/** How many are under way. */
uint32_t client_under_way(const struct client *client);
/** Which client of the soak it is, from 0. */
uint64_t client_number(const struct client *client);
/** Requests that were begun on it. */
uint32_t client_asked(const struct client *client);
/** No request comes after those that are under way. */
bool client_is_last(const struct client *client);

/* ---- what it does ---- */

/** From now on up to `slots` requests at once: more or fewer than until now. With 0 it is waited for
 *  more, as for a greeting. Looks whether it is to go on after client_end_after, too. */
void client_ready(struct client *client, uint32_t slots);
/** Whether TLS is asked for, of a protocol with `tls_later`; then it begins: nothing that came may be
 *  unread. `opened` is called once more when it stands, and client_has_tls tells. -ENOMEM. */
bool client_wants_tls(const struct client *client);
bool client_has_tls(const struct client *client);
int client_begin_tls(struct client *client);
/** A login is done: notes how long it took since the connection was open. */
void client_logged_in(struct client *client);
/** There are to be no more requests. `remote_closes`: the answer says that the application closes;
 *  it is waited for a moment, so that TIME-WAIT is its own. */
void client_end_after(struct client *client, bool remote_closes);
/** Counts an error for each request under way (or one), and gives the connection up. */
void client_fail(struct client *client, enum peer_soak_error kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** The client is about to fail before it has asked: no other is opened in its place for a while. */
void client_back_off(struct client *client);
/** Counts an error of what came unasked; the client goes on. */
void client_error(struct client *client, enum peer_soak_error kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Calls `nudge` then, or earlier. */
void client_nudge_at(struct client *client, uint64_t at_ns);
/** Writes and counts; FLOW_WRITE_* flags. Returns as flow_write. */
ssize_t client_write(struct client *client, const void *data, size_t len, int flags);
/** How many requests the schedule wants now beyond those under way; takes `count` of them, which
 *  were done together with one that is. */
uint64_t client_behind(const struct client *client);
void client_also(struct client *client, uint64_t count);

/** The protocol's own bytes. */
void *request_own(const struct request *request);
/** Bytes of it that were written (STREAMS: that are acknowledged). */
uint64_t request_sent(const struct request *request);
void request_set_sent(struct request *request, uint64_t bytes);
/** One piece of memory that goes with the request wherever it is asked, and is freed with it or by the
 *  next. NULL: none. */
void *request_kept(const struct request *request);
void request_keep(struct request *request, void *memory);
/** What was asked is not all: more is sent for it from now on, by this connection; or by any other that
 *  can, as `ask` then. Its time goes on, but it is late anew. */
void request_go_on(struct request *request);
void request_go_elsewhere(struct request *request);
/** As request_send, of bytes that may go once they are written. */
bool request_send_copy(struct request *request, const void *data, size_t len);
/** Writes (the rest of) bytes that stay where they are until the client is over: true when all are
 *  written. Fails the client when that cannot be. */
bool request_send(struct request *request, const void *data, size_t len);
/** Likewise `len` bytes that are made: `make` writes those from `at` on. */
bool request_send_made(struct request *request, uint64_t len,
                       void (*make)(struct client *client, uint64_t at, void *out, size_t len));
/** Which of the list it asks for; 0 where there is none. */
uint32_t request_target(const struct request *request);
/** Which of the client's it is, from 1. */
uint32_t request_number(const struct request *request);
/** When it was begun. */
uint64_t request_started_ns(const struct request *request);
/** The first byte of its answer was seen; marks it. */
bool request_is_answered(const struct request *request);
void request_first_byte(struct request *request);
/** The answer is complete and right. */
void request_done(struct request *request);
/** The answer is complete. Counts its status, as an error when that is not `right`. */
void request_answered(struct request *request, unsigned status, bool right);
/** Likewise, and counts the `number`-th of the protocol's answers. */
void request_answered_as(struct request *request, unsigned number, bool right);
/** It came to nothing; the client goes on. */
void request_lose(struct request *request, enum peer_soak_error kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** It is asked once more on another connection, and this one is over. Counts that. */
void request_repeat(struct request *request);
/** It was not looked at, and is asked again by whoever has a slot next; the client goes on. False: it
 *  was so often already, by who answered nothing or goes on answering others, that nobody will ever look
 *  at it, and nothing is changed. */
bool request_put_back(struct request *request);

#endif
