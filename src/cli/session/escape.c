/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "~" and a key at the start of a line: what a person may do to the remote machine while the
 * session lives, to all its connections where there are several. The table is all there is to add
 * to.
 */
#include "talk.h"

#include <errno.h>
#include <peer/manner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void act_help(struct session *session, const char *text);

static void note_tls(struct talk *talk)
{
    struct peer_tls_info info;
    char words[TLS_WORDS];

    if (peer_flow_get_tls(talk->flow, &info) < 0)
        return;
    session_note(talk->session, "%s",
                 info.open ? tls_words(&info, words) : "the handshake of TLS goes on");
    if (tls_certificate_words(&info, words))
        session_note(talk->session, "%s", words);
}

static void note_facts(struct talk *talk)
{
    struct peer_flow_info info;
    char from[PEER_ENDPOINT_TEXT], to[PEER_ENDPOINT_TEXT], rtt[32], rto[32];

    peer_flow_get_info(talk->flow, &info);
    session_note(talk->session, "%s -> %s  %s",
                 peer_endpoint_format(&info.from, info.from_port, from),
                 peer_endpoint_format(&info.to, info.to_port, to),
                 peer_flow_state_name(info.state));
    if (!info.udp) {
        session_note(talk->session,
                     "RTT %s, RTO %s, MSS %u, window scale %d sent %d received%s%s%s",
                     info.rtt_ns ? format_time(info.rtt_ns, rtt) : "not measured",
                     format_time(info.rto_ns, rto), info.mss, info.receive_scale, info.send_scale,
                     info.timestamps ? ", timestamps" : "", info.sack ? ", SACK" : "",
                     info.ecn ? ", ECN" : "");
        session_note(talk->session,
                     "window theirs %u, ours %u; cwnd %u, in flight %u, retransmits %llu",
                     info.send_window, info.receive_window, info.cwnd, info.in_flight,
                     (unsigned long long)info.retransmits);
    }
    session_note(talk->session, "bytes: %llu sent, %llu received, %llu queued, %llu unread",
                 (unsigned long long)info.bytes_sent, (unsigned long long)info.bytes_received,
                 (unsigned long long)info.queued, (unsigned long long)info.unread);
    note_tls(talk);
}

static void act_info(struct session *session, const char *text)
{
    struct talk *talk;

    (void)text;
    TAILQ_FOREACH(talk, &session->talks, in_talks)
        note_facts(talk);
}

static void act_reset(struct session *session, const char *text)
{
    struct talk *talk;

    (void)text;
    TAILQ_FOREACH(talk, &session->talks, in_talks)
        talk_reset(talk);
}

static void act_half_close(struct session *session, const char *text)
{
    (void)text;
    session_end_in(session);
    session_note(session, "half-closed: no more is sent (FIN); what comes is shown");
}

/* All cables go the way of the first: several may be at one peer. */
static void act_cable(struct session *session, const char *text)
{
    struct talk *talk = TAILQ_FIRST(&session->talks);
    struct peer_flow_info info;
    int status = 0;

    (void)text;
    peer_flow_get_info(talk->flow, &info);
    bool pulled = !peer_net_is_unplugged(session->net, &info.from);
    for (; talk && status == 0; talk = TAILQ_NEXT(talk, in_talks)) {
        peer_flow_get_info(talk->flow, &info);
        status = peer_net_unplug(session->net, &info.from, pulled);
    }
    if (status < 0)
        session_note(session, "the cable stays as it is: %s", strerror(-status));
    else
        session_note(session, pulled
                                  ? "the cable is pulled: nothing goes out or comes in (~v again)"
                                  : "the cable is plugged in again");
}

/* What "--link help" prints, as notes. */
static void note_help(struct session *session, void (*print)(FILE *file))
{
    char *text = NULL, *rest, *line;
    size_t len;
    FILE *file = open_memstream(&text, &len);

    if (!file)
        return;
    print(file);
    fclose(file);
    for (rest = text; (line = strsep(&rest, "\n")) && (*line || rest);)
        session_note(session, "%s", line);
    free(text);
}

static void act_link(struct session *session, const char *text)
{
    struct peer_error error;

    if (strcmp(text, "help") == 0)
        note_help(session, link_print_help);
    else if (peer_net_set_link(session->net, text, text, &error) < 0)
        session_note(session, "%s", error.text);
    else
        session_note(session, "the link is \"%s\" both ways now", text);
}

static bool set_manner(struct talk *talk, const char *text)
{
    struct peer_error error;
    bool done = peer_flow_set_manners(talk->flow, text, &error) == 0;

    if (done)
        talk_note(talk, "it has the manner \"%s\" now", text);
    else
        talk_note(talk, "%s", error.text);
    return done;
}

static void act_manner(struct session *session, const char *text)
{
    struct talk *talk;

    if (strcmp(text, "help") == 0) {
        note_help(session, manner_print_help);
        return;
    }
    TAILQ_FOREACH(talk, &session->talks, in_talks) {
        if (!set_manner(talk, text))
            return; /* once is enough */
    }
}

static void roam(struct talk *talk, const struct peer_addr *to, const char *text)
{
    int status = peer_flow_roam(talk->flow, to);

    if (status == -EADDRNOTAVAIL)
        talk_note(talk, "%s is none of the peers' addresses (--from)", text);
    else if (status < 0)
        talk_note(talk, "it stays where it is: %s", strerror(-status));
    else
        talk_note(talk, "it goes on from %s", text);
}

static void act_roam(struct session *session, const char *text)
{
    struct peer_addr to;
    struct talk *talk;

    if (peer_addr_parse(text, &to) < 0) {
        session_note(session, "\"%s\" is no address", text);
        return;
    }
    TAILQ_FOREACH(talk, &session->talks, in_talks)
        roam(talk, &to, text);
}

static void act_pause(struct session *session, const char *text)
{
    (void)text;
    if (session_pause(session))
        session_note(session, "stopped reading (~p goes on)");
    else
        session_note(session, "reading again");
}

static const struct escape escapes[] = {
    {'?', true, NULL, "this help", NULL, act_help},
    {'i', false, NULL, "the connection's facts now", NULL, act_info},
    {'.', false, NULL, "reset the connection (RST) and end", NULL, act_reset},
    {'h', false, NULL, "half-close: send FIN, go on reading", NULL, act_half_close},
    {'p', true, NULL, "stop reading, or go on: the window closes and opens", NULL, act_pause},
    {'v', false, NULL, "pull the cable, or plug it in again", NULL, act_cable},
    {'l', true, "SPEC", "change the link, such as \"delay 50ms loss 1%\", or help",
     " (\"help\" lists what a link can be)", act_link},
    {'m', false, "NAME", "start a manner, such as \"stall\", or help",
     " (\"help\" lists the manners)", act_manner},
    {'r', false, "ADDR", "roam: go on from another of the peers' addresses", "", act_roam},
};

static void act_help(struct session *session, const char *text)
{
    (void)text;
    for (size_t i = 0; i < CLI_ARRAY_SIZE(escapes); i++) {
        const struct escape *escape = &escapes[i];
        session_note(session, "~%c%s%s  %s", escape->key, escape->argument ? " " : "",
                     escape->argument ? escape->argument : "", escape->help);
    }
    session_note(session, "~~  a tilde");
}

const struct escape *escape_find(char key)
{
    for (size_t i = 0; i < CLI_ARRAY_SIZE(escapes); i++) {
        if (escapes[i].key == key)
            return &escapes[i];
    }
    return NULL;
}
