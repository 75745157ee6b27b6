/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See session.h. One loop over four descriptors: the net, signals, stdin and stdout.
 *
 * stdout is written without waiting (through a descriptor of its own, so that O_NONBLOCK does not
 * leak to whoever shares the terminal): a reader who stops leaves bytes in the flow, whose window
 * then closes, as a real machine's would. stdin is read only while the flow has room.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IN_BYTES = 256 * 1024, UDP_CHUNK = 16384, OUT_VECTORS = 16, SAFE_WRITE = 4096 };
#define CLOSE_WAIT_NS (1 * CLI_NS_PER_S)
#define UDP_LINGER_NS (1 * CLI_NS_PER_S)

struct session {
    const struct session_config *config;
    struct peer_net *net;
    struct peer_flow *flow;
    struct terminal *terminal;
    int out_fd;
    bool out_waits; /* would wait if it might block: write SAFE_WRITE when poll allows */
    bool out_blocked, out_failed;
    bool hung_up; /* the terminal is gone: there is nothing to read from it */
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
        terminal_hide(session->terminal);
    va_start(arguments, format);
    fputs("~ ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    if (session->terminal)
        terminal_show(session->terminal);
}

void session_print_facts(struct peer_flow *flow)
{
    struct peer_flow_info info;
    char from[PEER_ENDPOINT_TEXT], to[PEER_ENDPOINT_TEXT], time[32];

    peer_flow_get_info(flow, &info);
    peer_endpoint_format(&info.from, info.from_port, from);
    peer_endpoint_format(&info.to, info.to_port, to);
    if (info.udp)
        say("%s -> %s (UDP)", from, to);
    else
        say("%s -> %s connected in %s, MSS %u, window scale %d sent %d received%s%s", from, to,
            format_time(info.handshake_ns, time), info.mss, info.receive_scale, info.send_scale,
            info.timestamps ? ", timestamps" : "", info.sack ? ", SACK" : "");
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

    if (session->terminal) {
        session->hung_up = !terminal_read(session->terminal);
        return;
    }
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
    session_half_close(user);
    in_flush(user);
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
    if (*text && session->flow && !session->over)
        escape_find(key)->act(session, text);
}

/* ---- the flow to stdout ---- */

static void out_open(struct session *session)
{
    struct stat stat;

    session->out_fd = STDOUT_FILENO;
    if (fstat(STDOUT_FILENO, &stat) < 0 || S_ISREG(stat.st_mode))
        return;
    if ((fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY)
        return; /* was closed: writing is to fail */
    int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    session->out_waits = fd < 0;
    if (fd >= 0)
        session->out_fd = fd;
}

static void out_failed(struct session *session)
{
    say("cannot write to standard output: %s", strerror(errno));
    session->out_failed = true;
    session->status = STATUS_MACHINE;
    session_reset(session);
}

/* Is there room for SAFE_WRITE bytes at once? */
static bool out_ready(const struct session *session)
{
    struct pollfd fd = {.fd = session->out_fd, .events = POLLOUT};

    return !session->out_waits || poll(&fd, 1, 0) == 1;
}

static bool out_write(struct session *session, struct iovec *iov, int count)
{
    if (session->out_waits) {
        count = 1;
        iov->iov_len = iov->iov_len < SAFE_WRITE ? iov->iov_len : SAFE_WRITE;
    }
    ssize_t done = out_ready(session) ? writev(session->out_fd, iov, count) : -1;
    if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
        session->out_blocked = true;
        return false;
    }
    if (done < 0) {
        out_failed(session);
        return false;
    }
    peer_flow_consume(session->flow, (size_t)done);
    return true;
}

/* Nobody wants to see it any more. */
static void out_discard(struct session *session, const struct iovec *iov, int count)
{
    size_t len = 0;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    peer_flow_consume(session->flow, len);
}

/* Moves received bytes on; true when all of them went. */
static bool out_flush(struct session *session)
{
    struct iovec iov[OUT_VECTORS];
    int count;

    session->out_blocked = false;
    if (session->paused || session->over || session->out_failed)
        return !session->paused;
    while ((count = peer_flow_peek(session->flow, iov, OUT_VECTORS)) > 0) {
        if (session->closing && (session->interrupted || session->config->zero)) {
            out_discard(session, iov, count);
            continue;
        }
        if (session->terminal)
            terminal_hide(session->terminal);
        bool more = out_write(session, iov, count);
        if (session->terminal)
            terminal_show(session->terminal);
        if (!more)
            return false;
        session->active_ns = peer_net_now_ns(session->net);
    }
    return true;
}

/* ---- events ---- */

static void on_connected(struct session *session)
{
    session->connected = true;
    session->active_ns = peer_net_now_ns(session->net);
    if (session->config->verbose)
        session_print_facts(session->flow);
    if (session->config->zero)
        session_close(session);
}

static void print_end(struct session *session, const struct peer_event *event)
{
    struct peer_flow_info info;
    char buf[64], sent[32], received[32], time[32];

    peer_flow_get_info(session->flow, &info);
    if (event->end == PEER_END_UNREACHABLE)
        say("%s", icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, buf));
    else if (event->end != PEER_END_CLOSED && !(event->end == PEER_END_LOCAL && session->status))
        say("%s", event->end == PEER_END_TIMEOUT && !session->connected
                      ? "connection timed out: no answer to the handshake"
                      : end_text(event->end));
    if (session->config->verbose && session->connected)
        say("%s sent, %s received, %llu retransmits, %s", format_bytes(info.bytes_sent, sent),
            format_bytes(info.bytes_received, received), (unsigned long long)info.retransmits,
            format_time(peer_net_now_ns(session->net) - session->opened_ns, time));
}

static void on_closed(struct session *session, const struct peer_event *event)
{
    bool fine =
        session->connected && (event->end == PEER_END_CLOSED || event->end == PEER_END_LOCAL);

    (void)out_flush(session);
    print_end(session, event);
    session->end = event->end;
    if (!fine && session->status == STATUS_DONE)
        session->status = STATUS_REMOTE;
}

static void on_unreachable(struct session *session, const struct peer_event *event)
{
    char buf[64];

    say("%s", icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, buf));
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

static void on_deadline(struct session *session)
{
    const struct session_config *config = session->config;
    uint64_t now_ns = peer_net_now_ns(session->net);
    char time[32];

    if (session->closing) {
        session_reset(session); /* no answer to our FIN */
        session_over(session, STATUS_DONE);
    } else if (config->idle_ns && now_ns >= session->active_ns + config->idle_ns) {
        say("timed out: nothing came for %s", format_time(config->idle_ns, time));
        session->status = config->udp && session->in_eof ? session->status : STATUS_REMOTE;
        session_close(session);
    } else {
        session_close(session);
    }
}

/* ---- the loop ---- */

static int wait_for_something(struct session *session)
{
    bool in = in_wanted(session), out = session->out_blocked && !session->paused;
    struct pollfd fds[] = {
        {.fd = session->config->signal_fd, .events = POLLIN},
        {.fd = in || (session->terminal && !session->hung_up) ? STDIN_FILENO : -1,
         .events = POLLIN},
        {.fd = out ? session->out_fd : -1, .events = POLLOUT},
    };
    uint64_t deadline = next_deadline(session), now_ns = peer_net_now_ns(session->net);
    uint64_t delay = deadline > now_ns ? deadline - now_ns : 0;
    int status = peer_net_poll(session->net, fds, CLI_ARRAY_SIZE(fds),
                               deadline == UINT64_MAX ? deadline : delay);
    if (status < 0 && status != -EINTR)
        return status;
    if (fds[1].revents)
        in_read(session);
    return 0;
}

static void take_signal(struct session *session)
{
    if (!signals_take(session->config->signal_fd))
        return;
    session->interrupted = true;
    if (!session->connected)
        say("interrupted before the connection was open");
    if (session->closing || !session->connected) { /* the second one, or nothing to close */
        session_reset(session);
        session_over(session, session->connected ? STATUS_DONE : STATUS_REMOTE);
    } else {
        session_close(session);
    }
}

/* After whatever happened: moves bytes, and sees whether it is the end. */
static void settle(struct session *session)
{
    if (session->over)
        return;
    bool drained = out_flush(session);
    in_flush(session);
    take_events(session);
    if (session->end != PEER_END_NONE) {
        if (drained || session->end == PEER_END_LOCAL || session->status == STATUS_MACHINE)
            session_over(session, STATUS_DONE);
        return;
    }
    if (session->remote_eof && drained && session->terminal && !session->closing) {
        if (!session->in_eof)
            session_note(session, "the application closed the connection");
        session_close(session);
    }
    uint64_t deadline = next_deadline(session);
    if (deadline <= peer_net_now_ns(session->net))
        on_deadline(session);
}

static int run_loop(struct session *session)
{
    settle(session); /* an accepted flow may have brought bytes */
    while (!session->over) {
        int status = wait_for_something(session);
        if (status < 0) {
            say("the device is gone: %s", strerror(-status));
            return STATUS_MACHINE;
        }
        take_events(session);
        take_signal(session);
        settle(session);
    }
    return session->status;
}

int session_run(const struct session_config *config, bool *ret_interrupted)
{
    static const struct terminal_ops ops = {
        .line = in_append,
        .escape = on_terminal_escape,
        .command = on_terminal_command,
        .eof = on_terminal_eof,
    };
    struct session *session = calloc(1, sizeof(*session));
    if (!session) {
        say("out of memory");
        return STATUS_MACHINE;
    }
    session->config = config;
    session->net = config->net;
    session->flow = config->flow;
    session->opened_ns = session->active_ns = peer_net_now_ns(config->net);
    out_open(session);
    if (!config->zero)
        session->terminal = terminal_new(&ops, session);
    if (config->connected)
        on_connected(session);
    session->remote_eof = config->eof;
    if (config->closed)
        on_closed(session, config->closed);

    int status = run_loop(session);
    if (ret_interrupted)
        *ret_interrupted = session->interrupted;
    terminal_free(session->terminal);
    if (session->out_fd != STDOUT_FILENO)
        close(session->out_fd);
    peer_flow_free(session->flow);
    free(session);
    return status;
}
