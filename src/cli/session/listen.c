/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer listen: a peer is the server, local applications call it.
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct listen_options {
    struct common_options common;
    const char *serve;
    bool keep, raw;
};

static const struct option_def listen_table[] = {
    {'k', "keep", NULL, "go on listening; several callers at once", option_set_flag,
     .offset = offsetof(struct listen_options, keep)},
    {0, "raw", NULL, "at a terminal: show control characters of the caller as they are",
     option_set_flag, .offset = offsetof(struct listen_options, raw)},
    {0, "serve", "WHAT", "answer callers here, any number at once: echo, discard or http",
     option_set_string, .offset = offsetof(struct listen_options, serve),
     .values = "echo discard http"},
    {0},
};

#define PROGRAM_LOOK_NS (100 * CLI_NS_PER_MS)

struct listening {
    const struct listen_options *options;
    struct peer_tls *tls;
    struct peer_net *net;
    struct peer_listener *listener;
    uint16_t port;
    int signal_fd;
    struct sink place;
    struct editor *editor;
};

static int listen_error(const struct listening *listening, int status)
{
    const char *serve = listening->options->serve;

    if (status == -EINVAL && serve && strcmp(serve, "http") == 0)
        return usage_error(&command_listen, "--serve http needs TCP");
    if (status == -EINVAL)
        return usage_error(&command_listen, "--serve: \"%s\" is none of echo, discard, http",
                           serve);
    say("cannot listen at port %u: %s", listening->port, strerror(-status));
    return STATUS_MACHINE;
}

static void say_listening(const struct listening *listening)
{
    struct peer_net_info info;
    char endpoint[PEER_ENDPOINT_TEXT], local[PEER_ADDR_TEXT];

    peer_net_get_info(listening->net, &info);
    say("listening at %s%s on %s%s%s%s",
        peer_endpoint_format(&info.first_peer, listening->port, endpoint),
        info.peers > 1 ? " and the following addresses" : "",
        info.wire ? "the wire of " : "", info.wire ? info.wire : info.device,
        info.local.family ? ", local side " : "",
        info.local.family ? peer_addr_format(&info.local, local) : "");
}

/* The program of --isolate is the caller here: when it has ended, nobody is left. */
static bool program_ended(const struct listening *listening)
{
    int wait_status;

    return listening->options->common.program &&
           peer_net_program_ended(listening->net, &wait_status) != 0;
}

/* Until a signal, or the end of the program. */
static int serve_callers(struct listening *listening)
{
    struct peer_serve_stats stats;
    char in[32], out[32];
    int status;

    do {
        status = wait_net(listening->net, listening->signal_fd, PROGRAM_LOOK_NS);
    } while (status == 0 && !program_ended(listening));
    if (status < 0)
        return say_gone(listening->net, status);
    peer_listener_get_stats(listening->listener, &stats);
    say("%llu caller%s, %llu request%s, %s received, %s sent", (unsigned long long)stats.accepted,
        stats.accepted == 1 ? "" : "s", (unsigned long long)stats.requests,
        stats.requests == 1 ? "" : "s", format_bytes(stats.bytes_received, in),
        format_bytes(stats.bytes_sent, out));
    say_limits(listening->net);
    return STATUS_DONE;
}

/* 1 with a caller, 0 after a signal or -errno. -w bounds the wait. */
static int wait_for_caller(struct listening *listening, struct peer_flow **ret_caller)
{
    uint64_t timeout_ns = listening->options->common.timeout_ns;
    uint64_t start_ns = peer_net_now_ns(listening->net), delay_ns = PROGRAM_LOOK_NS;
    struct peer_event event;

    for (;;) {
        if (peer_net_pop_event(listening->net, &event)) {
            if (event.type != PEER_EVENT_ACCEPTED)
                continue;
            *ret_caller = event.flow;
            return 1;
        }
        if (timeout_ns) {
            uint64_t waited_ns = peer_net_now_ns(listening->net) - start_ns;
            if (waited_ns >= timeout_ns)
                return -ETIMEDOUT;
            if (delay_ns > timeout_ns - waited_ns)
                delay_ns = timeout_ns - waited_ns;
        }
        int status = wait_net(listening->net, listening->signal_fd, delay_ns);
        if (status != 0 || program_ended(listening))
            return status < 0 ? status : 0;
    }
}

/* -1: go on; else the exit status. */
static int await_first(struct listening *listening, struct peer_flow **ret_caller)
{
    int got = wait_for_caller(listening, ret_caller);

    if (got == 1)
        return -1;
    if (got == 0)
        return STATUS_DONE;
    if (got != -ETIMEDOUT)
        return say_gone(listening->net, got);
    say("timed out: nobody called");
    return STATUS_REMOTE;
}

static bool is_end(void *user)
{
    return program_ended(user);
}

/* With -k all who call, else the first. */
static int talk_to_callers(struct listening *listening)
{
    const struct listen_options *options = listening->options;
    struct session_config config = {
        .net = listening->net,
        .signal_fd = listening->signal_fd,
        .udp = options->common.udp,
        .verbose = options->common.verbose,
        .raw = options->raw,
        .idle_ns = options->common.timeout_ns,
        .keeps = options->keep,
        .is_end = options->common.program ? is_end : NULL,
        .user = listening,
        .place = &listening->place,
        .editor = listening->editor,
    };
    struct peer_flow *first = NULL;

    int status = options->keep ? -1 : await_first(listening, &first);
    if (status >= 0)
        return status;
    struct session *session = session_new(&config);
    if (!session)
        return STATUS_MACHINE;
    if (first)
        session_add(session, first, true);
    status = session_run(session);
    session_free(session);
    return status;
}

static int listen_in(struct listening *listening)
{
    const struct listen_options *options = listening->options;
    struct peer_listen_config config = {
        .udp = options->common.udp,
        .port = listening->port,
        .serve = options->serve,
        .manners = options->common.manners,
    };

    if (check_manners(listening->net, &options->common, PEER_MANNER_LISTEN) != 0)
        return STATUS_USAGE;
    int status = open_tls(listening->net, &options->common, NULL, &listening->tls);
    if (status != 0)
        return status;
    config.tls = listening->tls;
    status = give_up_privileges(&command_listen, &options->common, listening->net);
    if (status != 0)
        return status;
    listening->signal_fd = signals_open();
    if (listening->signal_fd < 0)
        return STATUS_MACHINE;
    status = peer_listen(listening->net, &config, &listening->listener, NULL);
    if (status < 0)
        return listen_error(listening, status);
    say_listening(listening);
    status = start_program(listening->net, &options->common, NULL);
    if (status != 0)
        return status;
    status = options->serve ? serve_callers(listening) : talk_to_callers(listening);
    if (status != STATUS_MACHINE)
        leave_net(listening->net, listening->signal_fd);
    return status;
}

static int run_listen(void *options, int argc, char **argv)
{
    struct listen_options *listen = options;
    struct listening listening = {.options = listen, .signal_fd = -1};

    if (argc < 1)
        return usage_error(&command_listen, "the PORT is missing");
    if (argc > 1)
        return usage_error(&command_listen, "too many arguments: \"%s\"", argv[1]);
    int port = parse_port(&command_listen, argv[0]);
    if (port < 0)
        return STATUS_USAGE;
    if (listen->common.pcap && strcmp(listen->common.pcap, "-") == 0 && !listen->serve)
        return usage_error(&command_listen,
                           "--pcap - needs --serve: standard output carries the caller's bytes");
    listening.port = (uint16_t)port;
    int status = check_manners(NULL, &listen->common, PEER_MANNER_LISTEN);
    if (status == 0)
        status = check_tls(&command_listen, &listen->common);
    if (status != 0)
        return status;
    status = open_net(&listen->common, NULL, true, &listening.net);
    if (status != 0)
        return status;
    sink_open(&listening.place, STDOUT_FILENO);
    listening.editor = listen->serve ? NULL : editor_open();
    status = listen_in(&listening);
    editor_close(listening.editor);
    sink_close(&listening.place);
    if (listening.signal_fd >= 0)
        close(listening.signal_fd);
    peer_tls_free(listening.tls);
    return close_net(listening.net, &listen->common, status);
}

static const struct option_def *const tables[] = {
    listen_table,   options_udp,     options_tls_switch, options_tls, options_wait, options_net,
    options_manner, options_verbose, options_user, options_help, NULL};
const struct command command_listen = {
    .name = "listen",
    .arguments = "PORT [-- PROGRAM ...]",
    .summary = "a peer is the server: applications here connect to it",
    .about =
        "A remote machine accepts connections (datagrams with -u) at PORT from applications on\n"
        "this host, and joins the first caller to standard input and output (all of them with -k),\n"
        "or serves all.",
    .tables = tables,
    .options_size = sizeof(struct listen_options),
    .run = run_listen,
};
