/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See session.h. One loop (step) over the net, signals, stdin and stdout. Without a terminal
 * session_run calls it, at one the editor does while it waits for keys (terminal.c).
 *
 * A turn costs what happened in it, not what there is: events put flows on a list of those that are
 * to be seen to, and no flow is looked at for the sake of time before the earliest deadline.
 *
 * stdin is read when all who are there have taken what was read before, so the slowest sets the
 * pace as long as he takes anything (talk.c gives up one who does not); who comes later gets what is
 * read later. stdout has one writer at a time, and those it makes wait take turns.
 */
#include "talk.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IN_BYTES = 256 * 1024, UDP_CHUNK = 16384, UDP_CALLERS_MAX = 4096 };
#define AWAY_LOOK_NS (200 * CLI_NS_PER_MS)
#define END_LOOK_NS  (100 * CLI_NS_PER_MS)

/* ---- words ---- */

void session_note(struct session *session, const char *format, ...)
{
    char text[1280];
    va_list arguments;

    if (session->terminal)
        terminal_begin_note(session->terminal);
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "~ %s\n", name_options(text));
    if (session->terminal)
        terminal_end_note(session->terminal);
}

void session_tell(struct session *session, const char *format, ...)
{
    char text[1280]; /* room for a command of trace */
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (session->terminal)
        terminal_begin_note(session->terminal);
    say("%s", text);
    if (session->terminal)
        terminal_end_note(session->terminal);
}

static void tell_notices(struct session *session)
{
    const char *line;

    while ((line = peer_net_pop_notice(session->net)))
        session_tell(session, "%s", line);
}

/* ---- who is there ---- */

void session_attend(struct session *session, struct talk *talk)
{
    if (talk->is_busy)
        return;
    talk->is_busy = true;
    TAILQ_INSERT_TAIL(&session->busy, talk, in_busy);
}

static void attend_all(struct session *session)
{
    struct talk *talk;

    TAILQ_FOREACH(talk, &session->talks, in_talks)
        session_attend(session, talk);
}

static void set_taker(struct talk *talk, bool takes)
{
    if (talk->is_taker == takes)
        return;
    talk->is_taker = takes;
    if (takes)
        talk->session->takers++;
    else
        talk->session->takers--;
}

static void set_blocked(struct talk *talk, bool blocked)
{
    struct session *session = talk->session;

    if (talk->is_blocked == blocked)
        return;
    talk->is_blocked = blocked;
    if (blocked)
        TAILQ_INSERT_TAIL(&session->blocked, talk, in_blocked);
    else
        TAILQ_REMOVE(&session->blocked, talk, in_blocked);
}

/* Over UDP: the one that was silent for longest stands first. */
static void move_to_tail(struct session *session, struct talk *talk)
{
    TAILQ_REMOVE(&session->talks, talk, in_talks);
    TAILQ_INSERT_TAIL(&session->talks, talk, in_talks);
}

/* Over UDP anybody can be as many callers as there are addresses and ports. */
static void close_oldest(struct session *session)
{
    struct talk *oldest = TAILQ_FIRST(&session->talks);

    talk_close(oldest);
    move_to_tail(session, oldest); /* the next one is another's turn */
}

void session_add(struct session *session, struct peer_flow *flow, bool connected)
{
    struct talk *talk = talk_new(session, flow, connected);
    if (!talk) {
        session_tell(session, "out of memory for a connection");
        if (!session->config->keeps) {
            session->status = STATUS_MACHINE;
            session->over = true;
        }
        return;
    }
    if (session->config->udp && session->count >= UDP_CALLERS_MAX)
        close_oldest(session);
    TAILQ_INSERT_TAIL(&session->talks, talk, in_talks);
    session->count++;
    if (session->terminal)
        terminal_finish(session->terminal, false);
    session_attend(session, talk);
    if (connected)
        talk_take(talk, &(struct peer_event){.type = PEER_EVENT_ACCEPTED, .flow = flow});
    if (session->in->eof)
        talk_end_in(talk);
}

static void drop(struct session *session, struct talk *talk)
{
    set_taker(talk, false);
    set_blocked(talk, false);
    if (talk->is_busy)
        TAILQ_REMOVE(&session->busy, talk, in_busy);
    TAILQ_REMOVE(&session->talks, talk, in_talks);
    session->count--;
    session->alone_ns = peer_net_now_ns(session->net);
    if (!session->config->keeps && session->status == STATUS_DONE)
        session->status = talk->status;
    bool last = !session->config->keeps || session->interrupted || session->out_failed;
    session->over |= last && session->count == 0;
    talk_free(talk);
}

void session_fail_out(struct session *session, int status)
{
    struct talk *talk;

    if (session->out_failed)
        return;
    session_tell(session, "cannot write to standard output: %s", strerror(-status));
    session->out_failed = true;
    session->status = STATUS_MACHINE;
    TAILQ_FOREACH(talk, &session->talks, in_talks)
        talk_reset(talk);
}

/* ---- events ---- */

static void on_caller(struct session *session, struct peer_flow *flow)
{
    if (session->config->keeps && !session->interrupted && !session->out_failed)
        session_add(session, flow, true);
    else
        peer_flow_free(flow); /* busy */
}

static bool take_events(struct session *session)
{
    struct peer_event event;
    bool any = false;

    while (peer_net_pop_event(session->net, &event)) {
        any = true;
        struct talk *talk = event.flow ? peer_flow_user(event.flow) : NULL;
        if (event.type == PEER_EVENT_ACCEPTED)
            on_caller(session, event.flow);
        else if (!talk)
            peer_flow_free(event.flow);
        else
            talk_take(talk, &event);
        if (talk && session->config->udp && event.type == PEER_EVENT_READABLE)
            move_to_tail(session, talk);
    }
    return any;
}

static void settle_busy(struct session *session)
{
    struct talk *talk;

    while ((talk = TAILQ_FIRST(&session->busy))) {
        TAILQ_REMOVE(&session->busy, talk, in_busy);
        talk->is_busy = false;
        talk_settle(talk);
        if (talk->over) {
            drop(session, talk);
            continue;
        }
        const struct relay_state *state = talk->state;
        set_taker(talk, state->connected && !state->ended);
        set_blocked(talk, state->blocked);
        uint64_t deadline = talk_deadline(talk);
        if (deadline < session->deadline_ns)
            session->deadline_ns = deadline;
    }
}

/* Until nothing is left to be done now. */
static void settle_all(struct session *session)
{
    do
        settle_busy(session);
    while (!session->over && take_events(session));
}

/* ---- stdin ---- */

static bool in_wanted(const struct session *session)
{
    return session->takers > 0 && session->in->behind == 0 && !session->in->eof && !session->over;
}

void session_end_in(struct session *session)
{
    struct talk *talk;

    TAILQ_FOREACH(talk, &session->talks, in_talks)
        talk_end_in(talk);
}

static void in_read(struct session *session)
{
    int len = source_read(session->in);

    if (len == 0)
        session_end_in(session);
    else if (len > 0)
        attend_all(session);
}

bool session_pause(struct session *session)
{
    struct talk *talk;

    session->paused = !session->paused;
    TAILQ_FOREACH(talk, &session->talks, in_talks) {
        talk->shut_told = false;
        relay_pause(talk->relay, session->paused);
        session_attend(session, talk);
    }
    return session->paused;
}

/* ---- the terminal ---- */

static bool is_heard(const struct session *session)
{
    const struct talk *talk;

    TAILQ_FOREACH(talk, &session->talks, in_talks) {
        if (!talk->state->ended)
            return true;
    }
    return false;
}

/* Those for whom a line has no room, though others have taken what was there. */
static void give_up_stalled(struct session *session)
{
    struct talk *talk;

    if (session->in->behind == session->takers)
        return;
    TAILQ_FOREACH(talk, &session->talks, in_talks) {
        if (!talk->state->behind)
            continue;
        talk_tell(talk, "it does not read, and others wait: connection reset by this peer");
        talk->status = STATUS_REMOTE;
        relay_close(talk->relay);
        talk_reset(talk);
    }
}

static void on_terminal_line(void *user, const char *text, size_t len)
{
    struct session *session = user;

    if (!is_heard(session)) {
        session_note(session, session->count ? "not sent: our side of the connection is closed"
                                             : "not sent: nobody is connected");
        return;
    }
    if (source_append(session->in, text, len) < 0) {
        give_up_stalled(session);
        if (source_append(session->in, text, len) < 0) {
            session_note(session,
                         "not sent: the application does not read, and too much waits already");
            return;
        }
    }
    attend_all(session);
    settle_all(session); /* before the next line */
}

static void on_terminal_eof(void *user)
{
    struct session *session = user;

    session_end_in(session);
}

/* Is there something for the escape to act upon? */
static bool may_act(struct session *session, const struct escape *escape)
{
    if (session->over)
        return false;
    if (session->count > 0 || escape->alone)
        return true;
    session_note(session, "nobody is connected");
    return false;
}

static enum terminal_escape on_terminal_escape(void *user, char key)
{
    struct session *session = user;
    const struct escape *escape = escape_find(key);

    if (!escape)
        return TERMINAL_NO_ESCAPE;
    if (escape->argument)
        return TERMINAL_ESCAPE_LINE;
    if (may_act(session, escape))
        escape->act(session, NULL);
    return TERMINAL_ESCAPE_DONE;
}

static void on_terminal_command(void *user, char key, const char *text)
{
    struct session *session = user;
    const struct escape *escape = escape_find(key);

    text += strspn(text, " \t");
    if (!*text)
        session_note(session, "nothing changed%s", escape->hint);
    else if (may_act(session, escape))
        escape->act(session, text);
}

/* ---- the loop ---- */

/* When something is due, UINT64_MAX: never. */
static uint64_t next_deadline(const struct session *session)
{
    const struct session_config *config = session->config;
    uint64_t next = session->deadline_ns;

    if (config->keeps && !session->count && config->idle_ns) {
        uint64_t alone = session->alone_ns + config->idle_ns;
        next = alone < next ? alone : next;
    }
    return next;
}

static uint64_t delay_until_next(const struct session *session)
{
    uint64_t next = next_deadline(session), now_ns = peer_net_now_ns(session->net);
    uint64_t delay = next == UINT64_MAX ? next : next > now_ns ? next - now_ns : 0;

    if (session->config->is_end && !session->count && delay > END_LOOK_NS)
        delay = END_LOOK_NS;
    if (session->terminal && terminal_is_away(session->terminal) && delay > AWAY_LOOK_NS)
        delay = AWAY_LOOK_NS;
    return delay;
}

/* The first of those that wait, and after him the next, until it takes no more. */
static void unblock(struct session *session)
{
    struct talk *talk = TAILQ_FIRST(&session->blocked);

    if (!talk)
        return;
    set_blocked(talk, false);
    session_attend(session, talk);
}

static int wait_for_something(struct session *session)
{
    bool out = !TAILQ_EMPTY(&session->blocked) && !session->paused;
    int terminal[TERMINAL_FDS] = {in_wanted(session) ? session->in->fd : -1, -1};
    if (session->terminal)
        terminal_fds(session->terminal, terminal);
    struct pollfd fds[] = {
        {.fd = session->config->signal_fd, .events = POLLIN},
        {.fd = terminal[0], .events = POLLIN},
        {.fd = terminal[1], .events = POLLIN},
        {.fd = out ? output_sink(session->output)->fd : -1, .events = POLLOUT},
    };
    int status = peer_net_poll(session->net, fds, CLI_ARRAY_SIZE(fds), delay_until_next(session));
    if (status < 0 && status != -EINTR)
        return status;
    bool away = session->terminal && terminal_is_away(session->terminal);
    if (session->terminal && (fds[1].revents || fds[2].revents || away))
        terminal_take(session->terminal);
    else if (fds[1].revents)
        in_read(session);
    if (fds[3].revents)
        unblock(session);
    return 0;
}

static void interrupt_talk(struct talk *talk, bool *ret_closes)
{
    struct session *session = talk->session;

    if (!talk->state->connected) {
        talk_tell(talk, "interrupted before the connection was open");
        talk->status = STATUS_REMOTE;
        talk_reset(talk);
        talk->over = true;
    } else if (talk->closing) { /* the second one */
        if (session->config->hurried)
            *session->config->hurried = true;
        talk_give_up(talk, "interrupted again");
    } else {
        talk_close(talk);
        *ret_closes = true;
    }
}

static void take_signal(struct session *session)
{
    struct talk *talk;
    bool closes = false;

    if (!signals_take(session->config->signal_fd))
        return;
    session->interrupted = true;
    session->over |= session->count == 0;
    TAILQ_FOREACH(talk, &session->talks, in_talks)
        interrupt_talk(talk, &closes);
    if (closes && session->terminal && !session->config->udp)
        session_note(session, "closing: FIN sent, the application's is awaited "
                              "(Ctrl-C again resets)");
}

/* What is due of the flows: was there anything? */
static bool look_at_deadlines(struct session *session)
{
    uint64_t now_ns = peer_net_now_ns(session->net);
    struct talk *talk;
    bool any = false;

    if (now_ns < session->deadline_ns)
        return false;
    session->deadline_ns = UINT64_MAX;
    TAILQ_FOREACH(talk, &session->talks, in_talks) {
        if (!talk->over && talk_deadline(talk) <= now_ns) {
            talk_on_deadline(talk);
            any = true;
        }
        uint64_t deadline = talk_deadline(talk);
        if (!talk->over && deadline < session->deadline_ns)
            session->deadline_ns = deadline;
    }
    return any;
}

/* Nobody is there: is that the end? */
static void look_at_loneliness(struct session *session)
{
    const struct session_config *config = session->config;

    if (!config->keeps || session->count || session->over)
        return;
    if (config->is_end && config->is_end(config->user)) {
        session->over = true;
    } else if (next_deadline(session) <= peer_net_now_ns(session->net)) {
        session_tell(session, "timed out: nobody called");
        session->status = STATUS_REMOTE;
        session->over = true;
    }
}

/* After whatever happened. What is due twice (a FIN, and giving up) is not done at once. */
static void settle(struct session *session)
{
    if (session->over)
        return;
    take_events(session);
    settle_all(session);
    if (!session->over && look_at_deadlines(session)) {
        take_events(session);
        settle_all(session);
    }
    look_at_loneliness(session);
}

/* One turn of the loop; false when it was the last. */
static bool step(void *user)
{
    struct session *session = user;
    char text[GONE_TEXT];
    int status = wait_for_something(session);

    tell_notices(session);
    if (status < 0) {
        if (gone_text(session->net, status, text))
            session_tell(session, "%s", text);
        session->over = true;
        session->status = STATUS_MACHINE;
        return false;
    }
    if (session->config->udp && session->in->behind > 0)
        attend_all(session); /* no event says that a datagram would go now */
    take_events(session);
    take_signal(session);
    settle(session);
    return !session->over;
}

/* At a terminal: keys have been taken since the last turn, and may have changed much. */
static bool step_after_keys(void *user)
{
    struct session *session = user;

    settle(session);
    return !session->over && step(session);
}

int session_run(struct session *session)
{
    settle(session); /* an accepted flow may have brought bytes */
    if (session->terminal && !session->over) {
        terminal_run(session->terminal);
        settle(session); /* its end is an end of input */
    }
    while (!session->over)
        step(session);
    return session->status;
}

/* ---- birth and end ---- */

struct session *session_new(const struct session_config *config)
{
    static const struct terminal_ops ops = {
        .wait = step_after_keys,
        .line = on_terminal_line,
        .escape = on_terminal_escape,
        .command = on_terminal_command,
        .eof = on_terminal_eof,
    };
    struct session *session = calloc(1, sizeof(*session));
    if (!session) {
        say("out of memory");
        return NULL;
    }
    session->config = config;
    session->net = config->net;
    session->alone_ns = peer_net_now_ns(config->net);
    session->deadline_ns = UINT64_MAX;
    TAILQ_INIT(&session->talks);
    TAILQ_INIT(&session->busy);
    TAILQ_INIT(&session->blocked);
    session->output = output_new(config->place, config->raw);
    session->in = source_new(STDIN_FILENO, IN_BYTES, config->udp ? UDP_CHUNK : IN_BYTES);
    if (!session->output || !session->in) {
        say("out of memory");
        return session_free(session);
    }
    if (!config->zero)
        session->terminal = terminal_new(config->editor, &ops, session);
    output_set_terminal(session->output, session->terminal);
    return session;
}

struct session *session_free(struct session *session)
{
    struct talk *talk;

    if (session->output)
        output_end(session->output);
    terminal_free(session->terminal);
    output_free(session->output);
    while ((talk = TAILQ_FIRST(&session->talks)))
        drop(session, talk);
    source_free(session->in);
    free(session);
    return NULL;
}
