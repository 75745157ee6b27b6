/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli.h"

/**
 * One flow joined to standard input and output, as in nc: what is read from stdin goes to the
 * application, what comes from it goes to stdout. End of stdin half-closes; the session lasts until
 * the application has closed too. Used by connect and listen.
 */
struct session;

struct session_config {
    struct peer_net *net;
    struct peer_flow *flow;
    int signal_fd;
    bool udp;
    int verbose;
    uint64_t idle_ns; /* give up after so long without a byte, 0: never */
    bool quit_given;  /* -q: end so long after the end of stdin */
    uint64_t quit_ns;
    bool zero;                       /* connect, tell, close: no bytes */
    bool connected;                  /* the flow is open already */
    bool eof;                        /* and the application's FIN has come */
    const struct peer_event *closed; /* and it is over, but for bytes to read; or NULL */
    /** Gets the events of other flows. NULL: such flows are freed. */
    void (*other)(void *user, const struct peer_event *event);
    void *user;
};
/** Runs until the end. Frees the flow. Returns the exit status; `*ret_interrupted` when a signal
 *  ended it. */
int session_run(const struct session_config *config, bool *ret_interrupted);

/** One line with what is known of an open flow, on stderr. */
void session_print_facts(struct peer_flow *flow);

/* ---- escapes: what a person at the terminal may do to the remote machine (escape.c) ---- */

struct escape {
    char key;
    const char *argument; /* what the rest of the line says, or NULL: the key is all */
    const char *help;
    void (*act)(struct session *session, const char *text);
};
/** The escape of a key, or NULL. */
const struct escape *escape_find(char key);

/* What escapes may do (session.c). */
struct peer_flow *session_flow(struct session *session);
struct peer_net *session_net(struct session *session);
void session_reset(struct session *session);
void session_half_close(struct session *session);
/** Stops or goes on reading. Returns whether it is stopped now. */
bool session_pause(struct session *session);
/** To the person, not disturbing the line being edited. */
void session_note(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- the terminal: line editing and history by libedit (terminal.c) ---- */

struct terminal;
enum terminal_escape { TERMINAL_NO_ESCAPE, TERMINAL_ESCAPE_DONE, TERMINAL_ESCAPE_LINE };
struct terminal_ops {
    void (*line)(void *user, const char *text, size_t len); /* with its line break */
    /** Whether `~key` at the start of a line is taken, or taken with the line that follows. */
    enum terminal_escape (*escape)(void *user, char key);
    /** The line of such an escape, without its line break. */
    void (*command)(void *user, char key, const char *text);
    void (*eof)(void *user);
};
/** NULL when stdin and stdout are no terminal, or it cannot be used. */
struct terminal *terminal_new(const struct terminal_ops *ops, void *user);
struct terminal *terminal_free(struct terminal *terminal);
/** Reads what was typed. False when the terminal has hung up. */
bool terminal_read(struct terminal *terminal);
/** Takes the line being edited off the screen, and puts it back. */
void terminal_hide(struct terminal *terminal);
void terminal_show(struct terminal *terminal);

#endif
