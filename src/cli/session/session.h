/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/cli.h"
#include "relay/sink.h"

/**
 * Flows joined to standard input and output, as in nc: what is read from stdin goes to the
 * application, what comes from it goes to stdout. End of stdin half-closes; a flow lasts until the
 * application has closed too. `connect` has one flow, `listen -k` one for each caller: what is read
 * goes to all who are there, what comes from them goes to stdout as it comes.
 */
struct session;

struct session_config {
    struct peer_net *net;
    int signal_fd;
    bool udp;
    int verbose;
    uint64_t idle_ns; /* give up after so long without a byte, 0: never */
    bool quit_given;  /* -q: end so long after the end of stdin */
    uint64_t quit_ns;
    bool zero;         /* connect, tell, close: no bytes */
    bool raw;          /* control characters go to the terminal as they are */
    const char *trace; /* the command that tells why there is no answer, or NULL */
    /** Any number of flows: those that others open are joined, words about a flow name it, and the
     *  end is a signal's (or `idle_ns` without a flow). Otherwise there is one, whose end it is. */
    bool keeps;
    /** Asked now and then while there is no flow: is it the end? May be NULL. */
    bool (*is_end)(void *user);
    void *user;
    const struct sink *place; /* standard output */
    struct editor *editor;    /* of lines at a terminal, or NULL */
    bool *hurried;            /* set when a second signal came; or NULL */
};

/** NULL after a message. `config` is the caller's, and lives longer. */
struct session *session_new(const struct session_config *config);
struct session *session_free(struct session *session);
/** Joins a flow, which is the session's from now on; is it open already? */
void session_add(struct session *session, struct peer_flow *flow, bool connected);
/** Runs until the end: the exit status. */
int session_run(struct session *session);

/* ---- standard output (output.c) ---- */

struct output;
struct terminal;
/** Control characters are made visible at a terminal unless `raw`. NULL: out of memory. */
struct output *output_new(const struct sink *place, bool raw);
struct output *output_free(struct output *output);
/** Lines are edited on the same screen. */
void output_set_terminal(struct output *output, struct terminal *terminal);
/** For relays. */
struct sink *output_sink(struct output *output);
/** No more will come. */
void output_end(struct output *output);

/* ---- the terminal: line editing and history by libedit (terminal.c) ---- */

enum terminal_escape { TERMINAL_NO_ESCAPE, TERMINAL_ESCAPE_DONE, TERMINAL_ESCAPE_LINE };
struct terminal_ops {
    /** Waits until something happened and sees to it; false when it is the end. */
    bool (*wait)(void *user);
    void (*line)(void *user, const char *text, size_t len); /* with its line break */
    /** Whether `~key` at the start of a line is taken, or taken with the line that follows. */
    enum terminal_escape (*escape)(void *user, char key);
    /** The line of such an escape, without its line break. */
    void (*command)(void *user, char key, const char *text);
    void (*eof)(void *user);
};
/** Before privileges go, as it reads files. NULL when stdin and stdout are no terminal. */
struct editor *editor_open(void);
struct editor *editor_close(struct editor *editor);
/** One at a time. NULL without an editor, or when the terminal cannot be used. */
struct terminal *terminal_new(struct editor *editor, const struct terminal_ops *ops, void *user);
/** Terminal as it was before. */
struct terminal *terminal_free(struct terminal *terminal);
/** Edits line after line until `wait` says that it is the end, or the terminal has hung up. */
void terminal_run(struct terminal *terminal);
/** What `wait` waits for besides its own: readable, terminal_take is to be called. */
enum { TERMINAL_FDS = 2 };
void terminal_fds(const struct terminal *terminal, int fds[TERMINAL_FDS]);
void terminal_take(struct terminal *terminal);
/** A shell has the terminal, and will not say when it gives it back: terminal_take is to be called
 *  now and then. */
bool terminal_is_away(const struct terminal *terminal);
/** Around what is written elsewhere than by terminal_wrote: off with the line that is being edited,
 *  and on with it. */
void terminal_hide(struct terminal *terminal);
void terminal_show(struct terminal *terminal);
/** The same around words to the person, which get lines of their own. */
void terminal_begin_note(struct terminal *terminal);
void terminal_end_note(struct terminal *terminal);
/** This was (or will be) put on the screen in between: the end of it may be a prompt. */
void terminal_wrote(struct terminal *terminal, const char *text, size_t len);
/** The end of it is no prompt, as nobody will read an answer; or may be one again. */
void terminal_finish(struct terminal *terminal, bool finished);

#endif
