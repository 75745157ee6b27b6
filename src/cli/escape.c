/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "~" and a key at the start of a line: what a person may do to the remote machine while the
 * session lives. The table is all there is to add to.
 */
#include "session.h"

#include <errno.h>
#include <peer/manner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void act_help(struct session *session, const char *text);

static void act_info(struct session *session, const char *text)
{
    struct peer_flow_info info;
    (void)text;
    char from[PEER_ENDPOINT_TEXT], to[PEER_ENDPOINT_TEXT], rtt[32], rto[32];

    peer_flow_get_info(session_flow(session), &info);
    session_note(session, "%s -> %s  %s", peer_endpoint_format(&info.from, info.from_port, from),
                 peer_endpoint_format(&info.to, info.to_port, to), info.state);
    if (!info.udp) {
        session_note(session, "RTT %s, RTO %s, MSS %u, window scale %d sent %d received%s%s%s",
                     info.rtt_ns ? format_time(info.rtt_ns, rtt) : "not measured",
                     format_time(info.rto_ns, rto), info.mss, info.receive_scale, info.send_scale,
                     info.timestamps ? ", timestamps" : "", info.sack ? ", SACK" : "",
                     info.ecn ? ", ECN" : "");
        session_note(session, "window theirs %u, ours %u; cwnd %u, in flight %u, retransmits %llu",
                     info.send_window, info.receive_window, info.cwnd, info.in_flight,
                     (unsigned long long)info.retransmits);
    }
    session_note(session, "bytes: %llu sent, %llu received, %llu queued, %llu unread",
                 (unsigned long long)info.bytes_sent, (unsigned long long)info.bytes_received,
                 (unsigned long long)info.queued, (unsigned long long)info.unread);
}

static void act_reset(struct session *session, const char *text)
{
    (void)text;
    session_reset(session);
}

static void act_half_close(struct session *session, const char *text)
{
    (void)text;
    session_half_close(session);
    session_note(session, "half-closed: no more is sent (FIN); what comes is shown");
}

static void act_cable(struct session *session, const char *text)
{
    struct peer_net *net = session_net(session);
    struct peer_flow_info info;

    (void)text;
    peer_flow_get_info(session_flow(session), &info);
    bool pulled = !peer_net_is_unplugged(net, &info.from);
    int status = peer_net_unplug(net, &info.from, pulled);
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
    else if (peer_net_set_link(session_net(session), text, text, &error) < 0)
        session_note(session, "%s", error.text);
    else
        session_note(session, "the link is \"%s\" both ways now", text);
}

static void act_manner(struct session *session, const char *text)
{
    struct peer_error error;

    if (strcmp(text, "help") == 0)
        note_help(session, manner_print_help);
    else if (peer_flow_set_manners(session_flow(session), text, &error) < 0)
        session_note(session, "%s", error.text);
    else
        session_note(session, "it has the manner \"%s\" now", text);
}

static void act_roam(struct session *session, const char *text)
{
    struct peer_addr to;

    if (peer_addr_parse(text, &to) < 0) {
        session_note(session, "\"%s\" is no address", text);
        return;
    }
    int status = peer_flow_roam(session_flow(session), &to);
    if (status == -EADDRNOTAVAIL)
        session_note(session, "%s is none of the peers' addresses (--from)", text);
    else if (status < 0)
        session_note(session, "it stays where it is: %s", strerror(-status));
    else
        session_note(session, "it goes on from %s", text);
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
    {'?', NULL, "this help", NULL, act_help},
    {'i', NULL, "the connection's facts now", NULL, act_info},
    {'.', NULL, "reset the connection (RST) and end", NULL, act_reset},
    {'h', NULL, "half-close: send FIN, go on reading", NULL, act_half_close},
    {'p', NULL, "stop reading, or go on: the window closes and opens", NULL, act_pause},
    {'v', NULL, "pull the cable, or plug it in again", NULL, act_cable},
    {'l', "SPEC", "change the link, such as \"delay 50ms loss 1%\", or help",
     " (\"help\" lists what a link can be)", act_link},
    {'m', "NAME", "start a manner, such as \"stall\", or help",
     " (\"help\" lists the manners)", act_manner},
    {'r', "ADDR", "roam: go on from another of the peers' addresses", "", act_roam},
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
