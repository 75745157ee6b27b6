/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See session.h. One loop (step) over the net, signals, stdin and stdout. Without a terminal
 * run_loop calls it, at one the editor does while it waits for keys (terminal.c).
 *
 * stdin is read only while the flow has room; stdout see output.c.
 */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IN_BYTES = 256 * 1024, UDP_CHUNK = 16384, OUT_VECTORS = 16 };
#define CLOSE_WAIT_NS (1 * CLI_NS_PER_S)
#define UDP_LINGER_NS (1 * CLI_NS_PER_S)
#define AWAY_LOOK_NS  (200 * CLI_NS_PER_MS)

struct session {
    const struct session_config *config;
    struct peer_net *net;
    struct peer_flow *flow;
    struct terminal *terminal;
    struct output *output;
    bool out_blocked, out_failed;
    bool shut_told; /* that the window is shut, since the pause */
    bool heard;     /* something came */
    bool connected, paused, remote_eof, in_eof, shut, closing, over, interrupted;
    enum peer_end end;
    int status;
    uint64_t opened_ns, active_ns, in_eof_ns;
    uint64_t closing_ns; /* when waiting for the application's close ends */
    size_t in_len, in_at;
    char in[IN_BYTES];
};

struct peer_flow *session_flow(struct session *session)
{
    return session->flow;
}

struct peer_net *session_net(struct session *session)
{
    return session->net;
}

void session_note(struct session *session, const char *format, ...)
{
    va_list arguments;

    if (session->terminal)
        terminal_begin_note(session->terminal);
    va_start(arguments, format);
    fputs("~ ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    if (session->terminal)
        terminal_end_note(session->terminal);
}

/* "peer: ..." beside a line that may be being edited. */
__attribute__((format(printf, 2, 3))) static void tell(struct session *session, const char *format,
                                                       ...)
{
    char text[512];
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

static void print_facts(struct session *session)
{
    struct peer_flow_info info;
    char from[PEER_ENDPOINT_TEXT], to[PEER_ENDPOINT_TEXT], time[32];

    peer_flow_get_info(session->flow, &info);
    peer_endpoint_format(&info.from, info.from_port, from);
    peer_endpoint_format(&info.to, info.to_port, to);
    if (info.udp)
        tell(session, "%s -> %s (UDP)", from, to);
    else
        tell(session, "%s -> %s connected in %s, MSS %u, window scale %d sent %d received%s%s%s",
             from, to, format_time(info.handshake_ns, time), info.mss, info.receive_scale,
             info.send_scale, info.timestamps ? ", timestamps" : "", info.sack ? ", SACK" : "",
             info.ecn ? ", ECN" : "");
}

static void session_over(struct session *session, int status)
{
    session->over = true;
    if (session->status == STATUS_DONE)
        session->status = status;
}

/* ---- what a person or an end of input asks for ---- */

void session_reset(struct session *session)
{
    if (session->flow)
        peer_flow_reset(session->flow);
}

void session_half_close(struct session *session)
{
    session->in_eof = true;
    session->in_eof_ns = peer_net_now_ns(session->net);
}

bool session_pause(struct session *session)
{
    session->paused = !session->paused;
    session->shut_told = false;
    return session->paused;
}

/*
 * A FIN, and a little time for the application's: what it still sends is taken meanwhile, as a
 * closed flow would answer it with a reset.
 */
static void session_close(struct session *session)
{
    struct peer_flow_info info;

    if (session->closing)
        return;
    peer_flow_get_info(session->flow, &info);
    session->closing = true;
    session->closing_ns = peer_net_now_ns(session->net) + CLOSE_WAIT_NS + 4 * info.rtt_ns;
    session->paused = false;
    session->in_eof = true;
    session->in_at = session->in_len;
    if (session->config->udp)
        peer_flow_close(session->flow);
    else if (session->connected)
        peer_flow_shutdown(session->flow);
    else
        session_reset(session);
}

/* ---- stdin to the flow ---- */

static bool in_wanted(const struct session *session)
{
    return session->connected && !session->in_eof && !session->closing && !session->over &&
           session->in_at == session->in_len;
}

/* Sends what was read; afterwards the FIN when stdin is at its end. */
static void in_flush(struct session *session)
{
    while (session->in_at < session->in_len) {
        ssize_t done = peer_flow_write(session->flow, session->in + session->in_at,
                                       session->in_len - session->in_at);
        if (done <= 0) {
            if (done == -EPIPE) /* the end is on its way as an event */
                session->in_at = session->in_len;
            return;
        }
        session->in_at += (size_t)done;
        session->active_ns = peer_net_now_ns(session->net);
    }
    if (session->in_eof && !session->shut && session->connected) {
        session->shut = true;
        peer_flow_shutdown(session->flow);
    }
}

static void in_append(void *user, const char *text, size_t len)
{
    struct session *session = user;

    if (session->in_eof) {
        session_note(session, "not sent: our side of the connection is closed");
        return;
    }
    if (session->in_at == session->in_len)
        session->in_at = session->in_len = 0;
    if (len > sizeof(session->in) - session->in_len) {
        session_note(session,
                     "not sent: the application does not read, and too much waits already");
        return;
    }
    memcpy(session->in + session->in_len, text, len);
    session->in_len += len;
    in_flush(session);
}

static void in_read(struct session *session)
{
    size_t most = session->config->udp ? UDP_CHUNK : sizeof(session->in);
    ssize_t len = read(STDIN_FILENO, session->in, most);

    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    session->in_at = 0;
    session->in_len = len > 0 ? (size_t)len : 0;
    if (len <= 0)
        session_half_close(session);
    in_flush(session);
}

static void on_terminal_eof(void *user)
{
    struct session *session = user;

    if (!session->in_eof)
        session_half_close(session);
    in_flush(session);
}

static enum terminal_escape on_terminal_escape(void *user, char key)
{
    struct session *session = user;
    const struct escape *escape = escape_find(key);

    if (!escape)
        return TERMINAL_NO_ESCAPE;
    if (escape->argument)
        return TERMINAL_ESCAPE_LINE;
    if (session->flow && !session->over)
        escape->act(session, NULL);
    return TERMINAL_ESCAPE_DONE;
}

static void on_terminal_command(void *user, char key, const char *text)
{
    struct session *session = user;

    text += strspn(text, " \t");
    if (!*text)
        session_note(session, "nothing changed%s", escape_find(key)->hint);
    else if (session->flow && !session->over)
        escape_find(key)->act(session, text);
}

/* ---- the flow to stdout ---- */

static void out_failed(struct session *session, int status)
{
    tell(session, "cannot write to standard output: %s", strerror(-status));
    session->out_failed = true;
    session->status = STATUS_MACHINE;
    session_reset(session);
}

/* Nobody wants to see it any more. */
static void out_discard(struct session *session)
{
    struct iovec iov[OUT_VECTORS];
    int count;

    while ((count = peer_flow_peek(session->flow, iov, OUT_VECTORS)) > 0) {
        size_t len = 0;
        for (int i = 0; i < count; i++)
            len += iov[i].iov_len;
        peer_flow_consume(session->flow, len);
    }
}

/* Moves received bytes on; true when all of them went. */
static bool out_flush(struct session *session)
{
    session->out_blocked = false;
    if (session->paused || session->over || session->out_failed)
        return !session->paused;
    if (session->closing && (session->interrupted || session->config->zero)) {
        out_discard(session);
        return true;
    }
    int status = output_move(session->output, session->flow);
    if (status == 1) {
        session->heard = true;
        session->active_ns = peer_net_now_ns(session->net);
    }
    session->out_blocked = status == -EAGAIN;
    if (status < 0 && status != -EAGAIN)
        out_failed(session, status);
    return status >= 0;
}

/* ---- events ---- */

static void on_connected(struct session *session)
{
    session->connected = true;
    session->active_ns = peer_net_now_ns(session->net);
    if (session->config->verbose)
        print_facts(session);
    if (session->config->zero)
        session_close(session);
}

static void print_end(struct session *session, const struct peer_event *event)
{
    struct peer_flow_info info;
    char buf[64], sent[32], received[32], time[32];

    peer_flow_get_info(session->flow, &info);
    const char *trace = session->config->trace;
    if (event->end == PEER_END_TIMEOUT && !session->connected && trace)
        tell(session, "connection timed out: no answer to the handshake; to see why: %s", trace);
    else if (event->end == PEER_END_UNREACHABLE)
        tell(session, "%s", icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, buf));
    else if (event->end != PEER_END_CLOSED &&
             !(event->end == PEER_END_LOCAL && (session->status || session->closing)))
        tell(session, "%s",
             event->end == PEER_END_TIMEOUT && !session->connected
                 ? "connection timed out: no answer to the handshake"
                 : end_text(event->end));
    if (session->config->verbose && session->connected)
        tell(session, "%s sent, %s received, %llu retransmits, %s",
             format_bytes(info.bytes_sent, sent), format_bytes(info.bytes_received, received),
             (unsigned long long)info.retransmits,
             format_time(peer_net_now_ns(session->net) - session->opened_ns, time));
}

static void on_closed(struct session *session, const struct peer_event *event)
{
    bool fine =
        session->connected && (event->end == PEER_END_CLOSED || event->end == PEER_END_LOCAL);

    (void)out_flush(session);
    if (session->terminal)
        terminal_finish(session->terminal);
    print_end(session, event);
    session->end = event->end;
    if (!fine && session->status == STATUS_DONE)
        session->status = STATUS_REMOTE;
}

static void on_unreachable(struct session *session, const struct peer_event *event)
{
    char buf[64];

    tell(session, "%s", icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, buf));
    if (session->config->udp) /* else the handshake goes on */
        session_over(session, STATUS_REMOTE);
}

static void handle_event(struct session *session, const struct peer_event *event)
{
    switch (event->type) {
    case PEER_EVENT_CONNECTED:
        on_connected(session);
        break;
    case PEER_EVENT_EOF:
        session->remote_eof = true;
        break;
    case PEER_EVENT_CLOSED:
        on_closed(session, event);
        break;
    case PEER_EVENT_UNREACHABLE:
        on_unreachable(session, event);
        break;
    default:
        break;
    }
}

static void take_events(struct session *session)
{
    struct peer_event event;

    while (peer_net_pop_event(session->net, &event)) {
        if (event.flow == session->flow)
            handle_event(session, &event);
        else if (session->config->other)
            session->config->other(session->config->user, &event);
        else
            peer_flow_free(event.flow);
    }
}

/* ---- time ---- */

/* The earliest of the times at which something is to be given up, UINT64_MAX: none. */
static uint64_t next_deadline(const struct session *session)
{
    const struct session_config *config = session->config;
    uint64_t next = UINT64_MAX;
    const struct {
        bool runs;
        uint64_t at;
    } deadlines[] = {
        {config->idle_ns && session->connected, session->active_ns + config->idle_ns},
        {config->quit_given && session->in_eof, session->in_eof_ns + config->quit_ns},
        {config->udp && session->in_eof && !config->quit_given && !config->idle_ns,
         (session->active_ns > session->in_eof_ns ? session->active_ns : session->in_eof_ns) +
             UDP_LINGER_NS},
        {session->closing, session->closing_ns},
    };

    for (size_t i = 0; i < CLI_ARRAY_SIZE(deadlines); i++) {
        if (deadlines[i].runs && deadlines[i].at < next)
            next = deadlines[i].at;
    }
    return next;
}

/* The application's FIN has not come: ours was one too many, or it is in no hurry. */
static void give_up_closing(struct session *session, const char *why)
{
    if (session->terminal || session->interrupted || session->config->verbose)
        tell(session, "%s: connection reset by this peer", why);
    session_reset(session);
    take_events(session);
    session_over(session, STATUS_DONE);
}

static void on_deadline(struct session *session)
{
    const struct session_config *config = session->config;
    uint64_t now_ns = peer_net_now_ns(session->net);
    char time[32];

    if (session->closing) {
        give_up_closing(session, "the application did not close");
    } else if (config->idle_ns && now_ns >= session->active_ns + config->idle_ns) {
        tell(session, "timed out: nothing came for %s", format_time(config->idle_ns, time));
        if (!config->udp || !session->in_eof || !session->heard)
            session->status = STATUS_REMOTE;
        session_close(session);
    } else {
        session_close(session);
    }
}

/* ---- the loop ---- */

static int wait_for_something(struct session *session)
{
    bool in = in_wanted(session), out = session->out_blocked && !session->paused;
    int terminal[TERMINAL_FDS] = {in ? STDIN_FILENO : -1, -1};
    if (session->terminal)
        terminal_fds(session->terminal, terminal);
    struct pollfd fds[] = {
        {.fd = session->config->signal_fd, .events = POLLIN},
        {.fd = terminal[0], .events = POLLIN},
        {.fd = terminal[1], .events = POLLIN},
        {.fd = out ? output_fd(session->output) : -1, .events = POLLOUT},
    };
    uint64_t deadline = next_deadline(session), now_ns = peer_net_now_ns(session->net);
    uint64_t delay = deadline > now_ns ? deadline - now_ns : 0;
    bool away = session->terminal && terminal_is_away(session->terminal);
    if (deadline == UINT64_MAX)
        delay = deadline;
    if (away && delay > AWAY_LOOK_NS)
        delay = AWAY_LOOK_NS;
    int status = peer_net_poll(session->net, fds, CLI_ARRAY_SIZE(fds), delay);
    if (status < 0 && status != -EINTR)
        return status;
    if (session->terminal && (fds[1].revents || fds[2].revents || away))
        terminal_take(session->terminal);
    else if (fds[1].revents)
        in_read(session);
    return 0;
}

static void take_signal(struct session *session)
{
    if (!signals_take(session->config->signal_fd))
        return;
    session->interrupted = true;
    if (!session->connected) {
        tell(session, "interrupted before the connection was open");
        session_reset(session);
        session_over(session, STATUS_REMOTE);
    } else if (session->closing) { /* the second one */
        if (session->config->hurried)
            *session->config->hurried = true;
        give_up_closing(session, "interrupted again");
    } else {
        session_close(session);
        if (!session->config->udp && session->terminal)
            session_note(session, "closing: FIN sent, the application's is awaited "
                                  "(Ctrl-C again resets)");
    }
}

/* Says when the pause has had its effect. */
static void watch_window(struct session *session)
{
    struct peer_flow_info info;

    if (!session->paused || session->shut_told || session->config->udp)
        return;
    peer_flow_get_info(session->flow, &info);
    if (info.receive_window >> info.receive_scale > 0) /* what the other side is told */
        return;
    session->shut_told = true;
    session_note(session, "the window is shut: %llu bytes wait unread",
                 (unsigned long long)info.unread);
}

/* After whatever happened: moves bytes, and sees whether it is the end. */
static void settle(struct session *session)
{
    if (session->over)
        return;
    bool drained = out_flush(session);
    in_flush(session);
    take_events(session);
    watch_window(session);
    if (session->end != PEER_END_NONE) {
        if (drained || session->end == PEER_END_LOCAL || session->status == STATUS_MACHINE)
            session_over(session, STATUS_DONE);
        return;
    }
    if (session->remote_eof && drained && session->terminal && !session->closing) {
        terminal_finish(session->terminal);
        if (!session->in_eof)
            session_note(session, "the application closed the connection");
        session_close(session);
    }
    uint64_t deadline = next_deadline(session);
    if (deadline <= peer_net_now_ns(session->net))
        on_deadline(session);
}

static void tell_notices(struct session *session)
{
    const char *line;

    while ((line = peer_net_pop_notice(session->net)))
        tell(session, "%s", line);
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
            tell(session, "%s", text);
        session->over = true;
        session->status = STATUS_MACHINE;
        return false;
    }
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

static int run_loop(struct session *session)
{
    settle(session); /* an accepted flow may have brought bytes */
    if (session->terminal && !session->over)
        terminal_run(session->terminal);
    while (!session->over)
        step(session);
    return session->status;
}

int session_run(const struct session_config *config, bool *ret_interrupted)
{
    static const struct terminal_ops ops = {
        .wait = step_after_keys,
        .line = in_append,
        .escape = on_terminal_escape,
        .command = on_terminal_command,
        .eof = on_terminal_eof,
    };
    struct session *session = calloc(1, sizeof(*session));
    struct output *output = output_new(config->place, config->raw);
    if (!session || !output) {
        say("out of memory");
        output_free(output);
        free(session);
        return STATUS_MACHINE;
    }
    session->config = config;
    session->net = config->net;
    session->flow = config->flow;
    session->opened_ns = session->active_ns = peer_net_now_ns(config->net);
    session->output = output;
    if (!config->zero)
        session->terminal = terminal_new(config->editor, &ops, session);
    output_set_terminal(output, session->terminal);
    if (config->connected)
        on_connected(session);
    session->remote_eof = config->eof;
    if (config->closed)
        on_closed(session, config->closed);

    int status = run_loop(session);
    if (ret_interrupted)
        *ret_interrupted = session->interrupted;
    output_end(output);
    terminal_free(session->terminal);
    output_free(output);
    peer_flow_free(session->flow);
    free(session);
    return status;
}
