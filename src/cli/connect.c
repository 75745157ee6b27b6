/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer connect: one flow from a peer to an application here, joined to stdin and stdout.
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
     .offset = offsetof(struct connect_options, port), .min = 1, .max = 65535},
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

static int connect_in(struct peer_net *net, const struct connect_options *options,
                      const struct target *target)
{
    struct peer_connect_config config = {
        .udp = options->common.udp,
        .from_port = (uint16_t)options->port,
        .to = target->addr,
        .to_port = target->port,
        .timeout_ns = options->common.timeout_ns,
        .manners = options->common.manners,
    };
    struct session_config session = {
        .net = net,
        .udp = options->common.udp,
        .verbose = options->common.verbose,
        .idle_ns = options->common.timeout_ns,
        .quit_given = options->quit_given,
        .quit_ns = options->quit_ns,
        .zero = options->zero,
        .raw = options->raw,
        .connected = options->common.udp,
    };

    int status = check_manners(net, &options->common, PEER_MANNER_CONNECT);
    if (status == 0)
        status = start_program(net, &options->common, target);
    if (status != 0)
        return status;
    session.signal_fd = signals_open();
    if (session.signal_fd < 0)
        return STATUS_MACHINE;
    status = peer_connect(net, &config, &session.flow);
    status = status < 0 ? start_error(options, status) : session_run(&session, NULL);
    close(session.signal_fd);
    return status;
}

static int run_connect(void *options, int argc, char **argv)
{
    struct connect_options *connect = options;
    struct target target;
    struct peer_net *net;

    int status = parse_target(&command_connect, &connect->common, argc, argv, &target);
    if (status == 0)
        status = check_manners(NULL, &connect->common, PEER_MANNER_CONNECT);
    if (status != 0)
        return status;
    if (connect->zero && connect->common.udp)
        return usage_error(&command_connect, "-z needs TCP: UDP has no handshake to try");
    if (connect->common.pcap && strcmp(connect->common.pcap, "-") == 0 && !connect->zero)
        return usage_error(&command_connect,
                           "--pcap - needs -z: standard output carries the application's bytes");
    status = open_net(&connect->common, &target, false, &net);
    if (status != 0)
        return status;
    return close_net(net, &connect->common, connect_in(net, connect, &target));
}

static const struct option_def *const tables[] = {
    connect_table,  options_udp,     options_wait, options_net,
    options_manner, options_verbose, options_help, NULL};
const struct command command_connect = {
    .name = "connect",
    .arguments = "HOST PORT [-- PROGRAM ...]",
    .summary = "one connection from a peer to an application here",
    .about =
        "Opens one TCP connection (UDP flow with -u) from a remote machine to an application on\n"
        "this host and joins it to standard input and output. At a terminal, \"~?\" at the start\n"
        "of a line lists what can be done to the connection.",
    .tables = tables,
    .options_size = sizeof(struct connect_options),
    .run = run_connect,
};
