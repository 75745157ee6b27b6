/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "~" and a key at the start of a line: what a person may do to the remote machine while the session
 * lives. The table is all there is to add to.
 */
#include "session.h"

#include <stdio.h>

static void act_help(struct session *session);

static void act_info(struct session *session)
{
    struct peer_flow_info info;
    char from[PEER_ENDPOINT_TEXT], to[PEER_ENDPOINT_TEXT], rtt[32], rto[32];

    peer_flow_get_info(session_flow(session), &info);
    session_note(session, "%s -> %s  %s", peer_endpoint_format(&info.from, info.from_port, from),
                 peer_endpoint_format(&info.to, info.to_port, to), info.state);
    if (!info.udp) {
        session_note(session, "RTT %s, RTO %s, MSS %u, window scale %d sent %d received%s%s",
                     info.rtt_ns ? format_time(info.rtt_ns, rtt) : "not measured",
                     format_time(info.rto_ns, rto), info.mss, info.receive_scale, info.send_scale,
                     info.timestamps ? ", timestamps" : "", info.sack ? ", SACK" : "");
        session_note(session, "window theirs %u, ours %u; cwnd %u, in flight %u, retransmits %llu",
                     info.send_window, info.receive_window, info.cwnd, info.in_flight,
                     (unsigned long long)info.retransmits);
    }
    session_note(session, "bytes: %llu sent, %llu received, %llu queued, %llu unread",
                 (unsigned long long)info.bytes_sent, (unsigned long long)info.bytes_received,
                 (unsigned long long)info.queued, (unsigned long long)info.unread);
}

static void act_pause(struct session *session)
{
    if (session_pause(session))
        session_note(session, "stopped reading: the window closes (~p goes on)");
    else
        session_note(session, "reading again: the window opens");
}

static const struct escape escapes[] = {
    {'?', "this help", act_help},
    {'i', "the connection's facts now", act_info},
    {'.', "reset the connection (RST) and end", session_reset},
    {'h', "half-close: send FIN, go on reading", session_half_close},
    {'p', "stop reading, or go on: the window closes and opens", act_pause},
};

static void act_help(struct session *session)
{
    for (size_t i = 0; i < CLI_ARRAY_SIZE(escapes); i++)
        session_note(session, "~%c  %s", escapes[i].key, escapes[i].help);
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
