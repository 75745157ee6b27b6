/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer connect: one flow from a peer to an application here, joined to stdin and stdout.
 *
 * A name may have several addresses: those that are not this machine's, and those where nobody
 * answers, are passed over as long as there is another. The last one's handshake is the session's.
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct connect_options {
    struct common_options common;
    uint64_t port, quit_ns;
    bool zero, raw;
    int quit_given;
};

static int set_quit(void *options, const struct option_def *option, const char *text, char why[128])
{
    struct connect_options *connect = options;

    connect->quit_given = 1;
    return option_set_time(options, option, text, why);
}

static const struct option_def connect_table[] = {
    {'p', "port", "PORT", "source port (chosen per source and destination)", option_set_number,
     .offset = offsetof(struct connect_options, port), .min = 1, .max = PEER_PORT_MAX},
    {'q', "quit", "TIME", "end so long after the end of standard input", set_quit,
     .offset = offsetof(struct connect_options, quit_ns)},
    {0, "raw", NULL, "at a terminal: show control characters of the application as they are",
     option_set_flag, .offset = offsetof(struct connect_options, raw)},
    {'z', "zero", NULL, "just connect and close: is somebody there?", option_set_flag,
     .offset = offsetof(struct connect_options, zero)},
    {0},
};

static int start_error(const struct connect_options *options, int status)
{
    char endpoint[32];

    snprintf(endpoint, sizeof(endpoint), "%llu", (unsigned long long)options->port);
    switch (-status) {
    case EADDRINUSE:
        say("port %s of the peer is in use to that target", options->port ? endpoint : "range");
        return STATUS_USAGE;
    case EPERM:
        say("a handshake that stays half-open goes to this machine's own addresses only");
        return STATUS_MACHINE;
    default:
        say("cannot open the flow: %s", strerror(-status));
        return STATUS_MACHINE;
    }
}

struct attempt {
    const struct connect_options *options;
    struct peer_tls *tls;
    struct target target;
    int failed_count; /* addresses that would not do, */
    char failed[TARGET_OTHERS + 1][TRACE_COMMAND + 128]; /* TLS_WORDS are fewer */
    int failed_status[TARGET_OTHERS + 1];
    bool confined;
};

static bool has_other(const struct attempt *attempt)
{
    return attempt->target.other_count > 0 && !attempt->options->common.isolate;
}

/* With -v at once; else when no other address does better. */
static void note_failure(struct attempt *attempt, int status, const char *why)
{
    char endpoint[PEER_ENDPOINT_TEXT], *text = attempt->failed[attempt->failed_count];

    peer_endpoint_format(&attempt->target.addr, attempt->target.port, endpoint);
    snprintf(text, sizeof(attempt->failed[0]), "%s: %s", endpoint, why);
    attempt->failed_status[attempt->failed_count++] = status;
    if (attempt->options->common.verbose)
        say("%s%s", text, has_other(attempt) ? "; trying the next address" : "");
}

static void say_failures(const struct attempt *attempt)
{
    for (int i = 0; i < attempt->failed_count && !attempt->options->common.verbose; i++)
        say("%s", attempt->failed[i]);
}

/* Once no other net will be made: as long as the name has other addresses, when this one's handshake
   is done. */
static int confine(struct attempt *attempt, struct peer_net *net)
{
    if (attempt->confined)
        return 0;
    attempt->confined = true;
    return give_up_privileges(&command_connect, &attempt->options->common, net);
}

/* Until the handshake is done: 1, it has failed: 0 and why, or a signal or the device ends it:
   -errno. */
static int wait_for_handshake(struct peer_net *net, int signal_fd, struct peer_event *ret_event)
{
    for (;;) {
        while (peer_net_pop_event(net, ret_event)) {
            if (ret_event->type == PEER_EVENT_CONNECTED)
                return 1;
            if (ret_event->type == PEER_EVENT_CLOSED)
                return 0;
        }
        int status = wait_net(net, signal_fd, UINT64_MAX);
        if (status != 0)
            return status < 0 ? status : -EINTR;
    }
}

static const char *failure_text(const struct peer_event *event, const char *trace,
                                char buf[TRACE_COMMAND + 64])
{
    if (event->end == PEER_END_UNREACHABLE)
        return icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, buf);
    if (event->end != PEER_END_TIMEOUT)
        return end_text(event->end);
    snprintf(buf, TRACE_COMMAND + 64, "no answer to the handshake; to see why: %s", trace);
    return buf;
}

/* Of a name with several addresses: no flow is left when this one will not do. */
static int try_handshake(struct attempt *attempt, const struct session_config *session,
                         struct peer_flow **flow, bool *ret_connected)
{
    struct peer_event event;
    char buf[TRACE_COMMAND + 64], tls[TLS_WORDS];

    if (attempt->options->common.udp || (!has_other(attempt) && !attempt->failed_count))
        return 0;
    int status = wait_for_handshake(session->net, session->signal_fd, &event);
    if (status == -EINTR)
        say("interrupted before the connection was open");
    else if (status < 0)
        say("the device is gone: %s", strerror(-status));
    if (status < 0)
        return status == -EINTR ? STATUS_REMOTE : STATUS_MACHINE;
    *ret_connected = status == 1;
    if (status == 0) {
        const char *why = event.end == PEER_END_TLS ? tls_failure_words(*flow, tls) : NULL;
        note_failure(attempt, STATUS_REMOTE,
                     why ? why : failure_text(&event, session->trace, buf));
        *flow = peer_flow_free(*flow);
    }
    return 0;
}

static int run_session(const struct session_config *config, struct peer_flow *flow, bool connected)
{
    struct session *session = session_new(config);
    if (!session)
        return STATUS_MACHINE;
    session_add(session, flow, connected);
    int status = session_run(session);
    session_free(session);
    return status;
}

static int talk(struct attempt *attempt, const struct session_config *session, bool *ret_next)
{
    const struct connect_options *options = attempt->options;
    struct peer_connect_config config = {
        .udp = options->common.udp,
        .from_port = (uint16_t)options->port,
        .to = attempt->target.addr,
        .to_port = attempt->target.port,
        .timeout_ns = options->common.timeout_ns,
        .manners = options->common.manners,
        .proxy_protocol = options->common.proxy_protocol,
        .tls = attempt->tls,
    };

    struct peer_flow *flow;
    bool connected = options->common.udp;

    int status = peer_connect(session->net, &config, &flow, NULL);
    if (status < 0)
        return start_error(options, status);
    status = try_handshake(attempt, session, &flow, &connected);
    if (status != 0)
        return status;
    if (flow) {
        status = confine(attempt, session->net);
        return status != 0 ? status : run_session(session, flow, connected);
    }
    *ret_next = has_other(attempt);
    if (!*ret_next)
        say_failures(attempt);
    return STATUS_REMOTE;
}

static int connect_in(struct attempt *attempt, struct peer_net *net, bool *ret_next)
{
    const struct connect_options *options = attempt->options;
    char trace[TRACE_COMMAND];
    struct sink place;
    bool hurried = false;
    struct session_config session = {
        .hurried = &hurried,
        .place = &place,
        .net = net,
        .trace = trace_command(&options->common, &attempt->target, trace),
        .udp = options->common.udp,
        .verbose = options->common.verbose,
        .idle_ns = options->common.timeout_ns,
        .quit_given = options->quit_given,
        .quit_ns = options->quit_ns,
        .zero = options->zero,
        .raw = options->raw,
    };

    int status = check_manners(net, &options->common, PEER_MANNER_CONNECT);
    if (status == 0)
        status = open_tls(net, &options->common, attempt->target.host, &attempt->tls);
    sink_open(&place, STDOUT_FILENO);
    session.editor = options->zero ? NULL : editor_open();
    if (status == 0 && !has_other(attempt))
        status = confine(attempt, net);
    if (status == 0)
        status = start_program(net, &options->common, &attempt->target);
    if (status == 0)
        session.signal_fd = signals_open();
    if (status == 0 && session.signal_fd < 0)
        status = STATUS_MACHINE;
    if (status == 0) {
        status = talk(attempt, &session, ret_next);
        if (!hurried && !*ret_next)
            leave_net(net, session.signal_fd);
        close(session.signal_fd);
    }
    editor_close(session.editor);
    sink_close(&place);
    return status;
}

/* The exit status; *ret_next: this address will not do, and there is another. */
static int try_address(struct attempt *attempt, bool *ret_next)
{
    const struct common_options *common = &attempt->options->common;
    struct peer_error error = {0};
    struct peer_net *net;

    *ret_next = false;
    int status = try_net(common, &attempt->target, false, &net, &error);
    if (status == -ENETUNREACH && has_other(attempt)) {
        note_failure(attempt, STATUS_MACHINE, error.text);
        *ret_next = true;
        return STATUS_MACHINE;
    }
    if (status < 0) {
        say_failures(attempt);
        return report_error(&error);
    }
    status = connect_in(attempt, net, ret_next);
    attempt->tls = peer_tls_free(attempt->tls);
    return close_net(net, common, status);
}

/* That somebody was there and refused says more than that an address is not ours. */
static int status_of_all(const struct attempt *attempt, int last)
{
    for (int i = 0; i < attempt->failed_count && last == STATUS_MACHINE; i++)
        last = attempt->failed_status[i];
    return last;
}

static int try_addresses(const struct connect_options *options, const struct target *target)
{
    struct attempt attempt = {.options = options, .target = *target};
    bool next;
    int status;

    do
        status = try_address(&attempt, &next);
    while (next && target_next(&attempt.target));
    return status_of_all(&attempt, status);
}

static int run_connect(void *options, int argc, char **argv)
{
    struct connect_options *connect = options;
    struct target target;

    int status = parse_target(&command_connect, &connect->common, argc, argv, &target);
    if (status == 0)
        status = check_manners(NULL, &connect->common, PEER_MANNER_CONNECT);
    if (status == 0)
        status = check_proxy_protocol(&command_connect, &connect->common);
    if (status == 0)
        status = check_tls(&command_connect, &connect->common);
    if (status != 0)
        return status;
    if (connect->zero && connect->common.udp)
        return usage_error(&command_connect, "-z needs TCP: UDP has no handshake to try");
    if (connect->common.pcap && strcmp(connect->common.pcap, "-") == 0 && !connect->zero)
        return usage_error(&command_connect,
                           "--pcap - needs -z: standard output carries the application's bytes");
    return try_addresses(connect, &target);
}

static const struct option_def *const tables[] = {
    connect_table, options_udp,  options_tls_switch, options_tls_sni, options_tls,
    options_proxy_protocol, options_ecn, options_wait, options_net, options_manner,
    options_verbose, options_user, options_help, NULL};
const struct command command_connect = {
    .name = "connect",
    .arguments = "HOST PORT [-- PROGRAM ...]",
    .operands = "HOSTS",
    .summary = "one connection from a peer to an application here",
    .about =
        "Opens one TCP connection (UDP flow with -u) from a remote machine to an application on\n"
        "this host and joins it to standard input and output. At a terminal, \"~?\" at the start\n"
        "of a line lists what can be done to the connection.",
    .tables = tables,
    .options_size = sizeof(struct connect_options),
    .run = run_connect,
};
