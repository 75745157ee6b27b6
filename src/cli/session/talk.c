/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One flow of a session: what is said about it, and when it is given up. Its bytes are moved by a
 * relay (src/relay).
 */
#include "talk.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CLOSE_WAIT_NS (1 * CLI_NS_PER_S)
#define UDP_LINGER_NS (1 * CLI_NS_PER_S)
/* A caller over UDP has no end, and one who has closed his side may have gone: where others come
   and go, the first is forgotten after as long as in --serve, the second is closed while his machine
   still knows of it: Linux waits 60 s for a FIN (tcp_fin_timeout). */
#define UDP_SILENT_NS (30 * CLI_NS_PER_S)
#define HALF_OPEN_NS  (50 * CLI_NS_PER_S)
/* Who takes nothing for so long, while others wait, is given up. */
#define STALLED_NS (2 * CLI_NS_PER_S)

struct talk *talk_new(struct session *session, struct peer_flow *flow, bool connected)
{
    struct talk *talk = calloc(1, sizeof(*talk));
    struct relay_config config = {
        .net = session->net,
        .flow = flow,
        .in = session->in,
        .out = output_sink(session->output),
        .connected = connected,
    };
    struct peer_flow_info info;
    struct peer_tls_info tls;

    if (!talk) {
        peer_flow_free(flow);
        return NULL;
    }
    peer_flow_get_info(flow, &info);
    peer_endpoint_format(&info.to, info.to_port, talk->name);
    talk->relay = relay_new(&config);
    if (!talk->relay) {
        free(talk);
        return NULL;
    }
    talk->session = session;
    talk->flow = flow;
    talk->state = relay_state(talk->relay);
    talk->tls = peer_flow_get_tls(flow, &tls) == 0;
    talk->opened_ns = peer_net_now_ns(session->net);
    relay_pause(talk->relay, session->paused);
    peer_flow_set_user(flow, talk);
    return talk;
}

void talk_free(struct talk *talk)
{
    relay_free(talk->relay);
    free(talk);
}

/* ---- words ---- */

enum { LINE = 1280 }; /* room for a command of trace */

/* With "NAME: " before it, where there may be several. */
__attribute__((format(printf, 3, 0))) static void
say_of(struct talk *talk, void (*say_line)(struct session *session, const char *format, ...),
       const char *format, va_list arguments)
{
    char line[LINE];
    int len = talk->session->config->keeps ? snprintf(line, sizeof(line), "%s: ", talk->name) : 0;

    vsnprintf(line + len, sizeof(line) - (size_t)len, format, arguments);
    say_line(talk->session, "%s", line);
}

void talk_tell(struct talk *talk, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_of(talk, session_tell, format, arguments);
    va_end(arguments);
}

void talk_note(struct talk *talk, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_of(talk, session_note, format, arguments);
    va_end(arguments);
}

static void print_facts(struct talk *talk)
{
    struct peer_flow_info info;
    char from[PEER_ENDPOINT_TEXT], time[32];

    peer_flow_get_info(talk->flow, &info);
    peer_endpoint_format(&info.from, info.from_port, from);
    if (info.udp)
        session_tell(talk->session, "%s -> %s (UDP)", from, talk->name);
    else
        session_tell(talk->session,
                     "%s -> %s connected in %s, MSS %u, window scale %d sent %d received%s%s%s",
                     from, talk->name, format_time(info.handshake_ns, time), info.mss,
                     info.receive_scale, info.send_scale, info.timestamps ? ", timestamps" : "",
                     info.sack ? ", SACK" : "", info.ecn ? ", ECN" : "");
}

static void print_tls(struct talk *talk)
{
    struct peer_tls_info info;
    char words[TLS_WORDS];

    if (peer_flow_get_tls(talk->flow, &info) < 0 || !info.open)
        return;
    talk_tell(talk, "%s", tls_words(&info, words));
    if (tls_certificate_words(&info, words))
        talk_tell(talk, "%s", words);
}

static void print_statistics(struct talk *talk)
{
    uint64_t lasted_ns = peer_net_now_ns(talk->session->net) - talk->opened_ns;
    struct peer_flow_info info;
    char sent[32], received[32], time[32];

    peer_flow_get_info(talk->flow, &info);
    talk_tell(talk, "%s sent, %s received, %llu retransmits, %s",
              format_bytes(info.bytes_sent, sent), format_bytes(info.bytes_received, received),
              (unsigned long long)info.retransmits, format_time(lasted_ns, time));
}

static bool was_asked_for(const struct talk *talk, enum peer_end end)
{
    return end == PEER_END_CLOSED ||
           (end == PEER_END_LOCAL && (talk->status || talk->session->status || talk->closing));
}

/* What timed out is the handshake of TLS on top of it. */
static bool tcp_stands(const struct talk *talk)
{
    struct peer_flow_info info;

    peer_flow_get_info(talk->flow, &info);
    return info.handshake_ns > 0;
}

static void print_end(struct talk *talk, const struct peer_event *event)
{
    const char *trace = talk->session->config->trace;
    bool unheard = event->end == PEER_END_TIMEOUT && !talk->state->connected;
    char buf[64], words[TLS_WORDS];

    if (unheard && tcp_stands(talk))
        talk_tell(talk, "timed out: no answer to the handshake of TLS");
    else if (unheard && trace)
        talk_tell(talk, "connection timed out: no answer to the handshake; to see why: %s", trace);
    else if (unheard)
        talk_tell(talk, "connection timed out: no answer to the handshake");
    else if (event->end == PEER_END_UNREACHABLE)
        talk_tell(talk, "%s",
                  icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, buf));
    else if (tls_failure_words(talk->flow, words))
        talk_tell(talk, "%s", words);
    else if (!was_asked_for(talk, event->end))
        talk_tell(talk, "%s", end_text(event->end));
    if (talk->session->config->verbose && talk->state->connected)
        print_statistics(talk);
}

/* ---- what a person, time or an end of input asks for ---- */

void talk_reset(struct talk *talk)
{
    relay_reset(talk->relay);
    session_attend(talk->session, talk);
}

/* With TLS that is not said: most servers take close_notify for the end of both directions and send no
   more, as RFC 5246, 7.2.1 had it. */
void talk_end_in(struct talk *talk)
{
    if (talk->in_eof)
        return;
    talk->in_eof = true;
    talk->in_eof_ns = peer_net_now_ns(talk->session->net);
    if (!talk->tls)
        relay_end_in(talk->relay);
    session_attend(talk->session, talk);
}

/*
 * A FIN, and a little time for the application's: what it still sends is taken meanwhile, as a
 * closed flow would answer it with a reset.
 */
void talk_close(struct talk *talk)
{
    struct session *session = talk->session;
    struct peer_flow_info info;

    if (talk->closing)
        return;
    talk_end_in(talk);
    if (talk->tls)
        relay_end_in(talk->relay);
    peer_flow_get_info(talk->flow, &info);
    talk->closing = true;
    talk->closing_ns = peer_net_now_ns(session->net) + CLOSE_WAIT_NS + 4 * info.rtt_ns;
    if (session->interrupted || session->config->zero)
        relay_discard(talk->relay);
    relay_close(talk->relay);
    session_attend(session, talk);
}

void talk_give_up(struct talk *talk, const char *why)
{
    struct session *session = talk->session;

    if (session->terminal || session->interrupted || session->config->verbose)
        talk_tell(talk, "%s: connection reset by this peer", why);
    talk->closing = talk->given_up = true;
    talk_reset(talk);
}

/* ---- time ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* He keeps standard input from being read. */
static uint64_t stalled_at(const struct talk *talk)
{
    return later(talk->state->behind_ns, talk->stalled_ns) + STALLED_NS;
}

static bool is_half_open(const struct talk *talk)
{
    const struct session_config *config = talk->session->config;

    return config->keeps && !config->udp && !config->idle_ns && talk->state->eof &&
           talk->state->drained && !talk->closing;
}

uint64_t talk_deadline(const struct talk *talk)
{
    const struct session_config *config = talk->session->config;
    const struct relay_state *state = talk->state;
    uint64_t next = UINT64_MAX;
    const struct {
        bool runs;
        uint64_t at;
    } deadlines[] = {
        {config->idle_ns && state->connected, state->active_ns + config->idle_ns},
        {config->quit_given && talk->in_eof, talk->in_eof_ns + config->quit_ns},
        {config->udp && talk->in_eof && !config->quit_given && !config->idle_ns && !config->keeps,
         later(state->active_ns, talk->in_eof_ns) + UDP_LINGER_NS},
        {talk->closing, talk->closing_ns},
        {config->keeps && config->udp && !config->idle_ns, state->active_ns + UDP_SILENT_NS},
        {is_half_open(talk), later(state->active_ns, talk->eof_ns) + HALF_OPEN_NS},
        {config->keeps && state->behind, stalled_at(talk)},
    };

    for (size_t i = 0; i < CLI_ARRAY_SIZE(deadlines); i++) {
        if (deadlines[i].runs && deadlines[i].at < next)
            next = deadlines[i].at;
    }
    return next;
}

/* Do the others wait for him alone? */
static bool keeps_others_waiting(const struct talk *talk)
{
    const struct session *session = talk->session;
    struct pollfd in = {.fd = session->in->fd, .events = POLLIN};

    return session->in->behind < session->takers && !session->in->eof && !session->terminal &&
           poll(&in, 1, 0) == 1 && in.revents & POLLIN; /* more than an end */
}

static void on_stalled(struct talk *talk)
{
    char time[32];

    talk->stalled_ns = peer_net_now_ns(talk->session->net);
    if (!keeps_others_waiting(talk))
        return;
    talk_tell(talk, "it has taken nothing for %s, and others wait: connection reset by this peer",
              format_time(STALLED_NS, time));
    talk->status = STATUS_REMOTE;
    talk_reset(talk);
}

void talk_on_deadline(struct talk *talk)
{
    const struct session_config *config = talk->session->config;
    uint64_t now_ns = peer_net_now_ns(talk->session->net);
    char time[32];

    if (talk->closing) {
        talk_give_up(talk, "the application did not close");
    } else if (config->idle_ns && now_ns >= talk->state->active_ns + config->idle_ns) {
        talk_tell(talk, "timed out: nothing came for %s", format_time(config->idle_ns, time));
        if (!config->udp || !talk->in_eof || !talk->state->heard)
            talk->status = STATUS_REMOTE;
        talk_close(talk);
    } else if (config->keeps && talk->state->behind && now_ns >= stalled_at(talk)) {
        on_stalled(talk);
    } else {
        talk_close(talk);
    }
}

/* ---- events ---- */

static void on_connected(struct talk *talk)
{
    if (talk->session->config->verbose) {
        print_facts(talk);
        print_tls(talk);
    }
    if (talk->session->config->zero)
        talk_close(talk);
}

static void move_bytes(struct talk *talk)
{
    int status = relay_move(talk->relay);

    if (status < 0)
        session_fail_out(talk->session, status);
}

static void on_closed(struct talk *talk, const struct peer_event *event)
{
    bool fine =
        talk->state->connected && (event->end == PEER_END_CLOSED || event->end == PEER_END_LOCAL);

    move_bytes(talk);
    if (talk->session->terminal)
        terminal_finish(talk->session->terminal, true);
    print_end(talk, event);
    if (!fine && talk->status == STATUS_DONE)
        talk->status = STATUS_REMOTE;
}

static void on_unreachable(struct talk *talk, const struct peer_event *event)
{
    char buf[64];

    talk_tell(talk, "%s",
              icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, buf));
    if (!talk->session->config->udp) /* the handshake goes on */
        return;
    talk->status = STATUS_REMOTE;
    talk->over = true;
}

/* FIN without close_notify: whoever is in between may have cut it short. */
static void tell_truncated(struct talk *talk)
{
    struct peer_tls_info info;

    if (peer_flow_get_tls(talk->flow, &info) == 0 && info.truncated)
        talk_tell(talk, "closed without close_notify: bytes may be missing");
}

void talk_take(struct talk *talk, const struct peer_event *event)
{
    session_attend(talk->session, talk);
    if (talk->over)
        return;
    relay_take(talk->relay, event);
    switch (event->type) {
    case PEER_EVENT_CONNECTED:
    case PEER_EVENT_ACCEPTED:
        on_connected(talk);
        break;
    case PEER_EVENT_EOF:
        talk->eof_ns = peer_net_now_ns(talk->session->net);
        tell_truncated(talk);
        break;
    case PEER_EVENT_CLOSED:
        on_closed(talk, event);
        break;
    case PEER_EVENT_UNREACHABLE:
        on_unreachable(talk, event);
        break;
    default:
        break;
    }
}

/* Says when the pause has had its effect. */
static void watch_window(struct talk *talk)
{
    struct peer_flow_info info;

    if (!talk->session->paused || talk->shut_told || talk->session->config->udp)
        return;
    peer_flow_get_info(talk->flow, &info);
    if (info.receive_window >> info.receive_scale > 0) /* what the other side is told */
        return;
    talk->shut_told = true;
    talk_note(talk, "the window is shut: %llu bytes wait unread", (unsigned long long)info.unread);
}

void talk_settle(struct talk *talk)
{
    struct session *session = talk->session;

    talk->over |= talk->given_up; /* the event of it has been taken by now */
    if (talk->over)
        return;
    move_bytes(talk);
    if (talk->state->end != PEER_END_NONE) {
        talk->over = talk->state->over || session->out_failed;
        return;
    }
    watch_window(talk);
    bool left = session->terminal || (talk->tls && talk->in_eof);
    if (talk->state->eof && talk->state->drained && left && !talk->closing) {
        if (session->terminal)
            terminal_finish(session->terminal, true);
        if (session->terminal && !talk->in_eof)
            talk_note(talk, "the application closed the connection");
        talk_close(talk);
    }
}
