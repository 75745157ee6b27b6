/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_TALK_H
#define CLI_TALK_H

/**
 * The inside of a session (session.h), for session.c, talk.c and escape.c alone: its flows, and what
 * a person at the terminal may do to them.
 */
#include "relay/relay.h"
#include "session.h"

#include <sys/queue.h>

TAILQ_HEAD(talks, talk);

struct session {
    const struct session_config *config;
    struct peer_net *net;
    struct terminal *terminal;
    struct output *output;
    struct source *in;
    struct talks talks;   /* in the order of their calls; over UDP, of their last datagrams */
    struct talks busy;    /* something happened to them, which is to be seen to */
    struct talks blocked; /* wait for standard output, the longest first */
    unsigned count;       /* of `talks`, */
    unsigned takers;      /* and those who take of `in` */
    bool paused, over, interrupted, out_failed;
    int status;
    uint64_t alone_ns;    /* nobody has been there since then */
    uint64_t deadline_ns; /* nothing of the flows is due before */
};

/** One flow of a session. */
struct talk {
    TAILQ_ENTRY(talk) in_talks, in_busy, in_blocked;
    struct session *session;
    struct peer_flow *flow;
    struct relay *relay;
    const struct relay_state *state;
    char name[PEER_ENDPOINT_TEXT]; /* of the application */
    bool is_busy, is_blocked, is_taker;
    bool shut_told; /* that the window is shut, since the pause */
    bool tls, in_eof, closing, given_up, over;
    int status;
    uint64_t opened_ns, in_eof_ns, eof_ns;
    uint64_t closing_ns; /* when waiting for the application's close ends */
    uint64_t stalled_ns; /* that it does not take has been looked at then */
};

/* ---- session.c ---- */

/** The session is to see to it: bytes, events, the end. */
void session_attend(struct session *session, struct talk *talk);
/** "peer: ..." and "~ ..." beside a line that may be being edited. */
void session_tell(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void session_note(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** No more comes for those who are there now. */
void session_end_in(struct session *session);
/** Stops reading from all, or goes on. Returns whether it is stopped now. */
bool session_pause(struct session *session);
/** Standard output has failed: that is the end of all. */
void session_fail_out(struct session *session, int status);

/* ---- talk.c ---- */

/** NULL: out of memory. */
struct talk *talk_new(struct session *session, struct peer_flow *flow, bool connected);
void talk_free(struct talk *talk);
void talk_take(struct talk *talk, const struct peer_event *event);
/** Moves bytes, and sees whether it is the end. */
void talk_settle(struct talk *talk);
/** Nothing more of `in` is for it. */
void talk_end_in(struct talk *talk);
void talk_close(struct talk *talk);
void talk_reset(struct talk *talk);
/** Does not wait for the application's close any more. */
void talk_give_up(struct talk *talk, const char *why);
/** When something is to be given up; UINT64_MAX: never. */
uint64_t talk_deadline(const struct talk *talk);
void talk_on_deadline(struct talk *talk);
/** As session_tell and session_note, and names it where there may be several. */
void talk_tell(struct talk *talk, const char *format, ...) __attribute__((format(printf, 2, 3)));
void talk_note(struct talk *talk, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- escape.c: what a person at the terminal may do to the remote machine ---- */

struct escape {
    char key;
    bool alone;           /* there need be no flow */
    const char *argument; /* what the rest of the line says, or NULL: the key is all */
    const char *help;
    const char *hint; /* after an empty line */
    void (*act)(struct session *session, const char *text);
};
/** The escape of a key, or NULL. */
const struct escape *escape_find(char key);

#endif
