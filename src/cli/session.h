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
    bool raw;                        /* control characters go to the terminal as they are */
    const char *trace;               /* the command that tells why there is no answer, or NULL */
    bool connected;                  /* the flow is open already */
    bool eof;                        /* and the application's FIN has come */
    const struct peer_event *closed; /* and it is over, but for bytes to read; or NULL */
    /** Gets the events of other flows. NULL: such flows are freed. */
    void (*other)(void *user, const struct peer_event *event);
    void *user;
    const struct output_place *place; /* standard output */
    struct editor *editor;            /* of lines at a terminal, or NULL */
    bool *hurried; /* set when a second signal came; or NULL */
};
/** Standard output as sessions write to it, one after the other. */
struct output_place {
    int fd;
    bool waits; /* would wait if it might block */
};
/** Before privileges go. */
void output_place_open(struct output_place *ret_place);
void output_place_close(struct output_place *place);

/** Runs until the end. Frees the flow. Returns the exit status; `*ret_interrupted` when a signal
 *  ended it. */
int session_run(const struct session_config *config, bool *ret_interrupted);

/* ---- escapes: what a person at the terminal may do to the remote machine (escape.c) ---- */

struct escape {
    char key;
    const char *argument; /* what the rest of the line says, or NULL: the key is all */
    const char *help;
    const char *hint; /* after an empty line */
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

/* ---- standard output (output.c) ---- */

struct output;
struct terminal;
/** Control characters are made visible at a terminal unless `raw`. NULL: out of memory. */
struct output *output_new(const struct output_place *place, bool raw);
struct output *output_free(struct output *output);
/** Lines are edited on the same screen. */
void output_set_terminal(struct output *output, struct terminal *terminal);
/** Moves received bytes on: 1 when some went, 0 when there were none, -EAGAIN when the rest waits
 *  for output_fd to be writable, or -errno. */
int output_move(struct output *output, struct peer_flow *flow);
/** Has all that was taken from the flow been written? */
bool output_is_empty(const struct output *output);
int output_fd(const struct output *output);
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
/** No more will be. */
void terminal_finish(struct terminal *terminal);

#endif
