/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer proxy: SOCKS5 and HTTP proxying at a port of this host, with peers as where it comes from.
 *
 * The processes that resolve names are started first, with nothing that the rest opens; the sockets
 * that listen are opened with the privileges of the start.
 */
#include "proxy.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SILENT_NS       (30 * CLI_NS_PER_S)
#define PROGRAM_LOOK_NS (100 * CLI_NS_PER_MS)

static int add_listen(void *options, const struct option_def *option, const char *text,
                      char why[128])
{
    struct proxy_options *proxy = options;

    (void)option;
    if (proxy->listen_count == PROXY_LISTENS) {
        snprintf(why, 128, "is one too many: %d at the most", PROXY_LISTENS);
        return -EINVAL;
    }
    proxy->listens[proxy->listen_count++] = text;
    return 0;
}

static const struct option_def proxy_table[] = {
    {'l', "listen", "ADDR:PORT", "where clients connect to (127.0.0.1:1080 and [::1]:1080)",
     add_listen, .offset = 0},
    {0, "password", "PASSWORD", "what clients must tell, with any user name", option_set_string,
     .offset = offsetof(struct proxy_options, password)},
    {0, "password-file", "FILE", "the same, by the first line of FILE", option_set_string,
     .offset = offsetof(struct proxy_options, password_file), .values = "FILES"},
    {'c', "connections", "N", "so many clients at once, others wait (as descriptors allow)",
     option_set_number, .offset = offsetof(struct proxy_options, connections), .min = 1,
     .max = 10000000},
    {0},
};

/* ---- setting up ---- */

static void say_room(const struct proxy *proxy, uint64_t room)
{
    const uint64_t wanted = proxy->options->connections;

    if (room < wanted)
        say("the limit of descriptors leaves room for %llu clients at once, not %llu: the others "
            "wait (ulimit -Hn)",
            (unsigned long long)room, (unsigned long long)wanted);
    else if (proxy->options->common.verbose)
        say("room for %llu clients at once", (unsigned long long)(wanted ? wanted : room));
}

static int make_door(struct proxy *proxy)
{
    const uint64_t room = door_raise_limit(1), wanted = proxy->options->connections;
    struct door_config config = {.most = wanted && wanted < room ? wanted : room};

    say_room(proxy, room);
    int status = loop_new(proxy->net, &proxy->loop);
    config.loop = proxy->loop;
    if (status == 0)
        status = door_new(&config, &proxy->door);
    if (status == 0)
        status = names_join(proxy->names, proxy->loop);
    if (status == 0)
        return 0;
    say("cannot start: %s", strerror(-status));
    return STATUS_MACHINE;
}

/* Said when all listens: scripts wait for it. */
static void say_ready(const struct proxy *proxy)
{
    char places[PROXY_PLACES * PLACE_TEXT] = "", text[PLACE_TEXT], peer[PEER_ADDR_TEXT];
    size_t at = 0;

    for (int i = 0; i < proxy->place_count; i++) {
        if (proxy->fds[i] < 0 && proxy->places[i].port == 0)
            continue;
        at += (size_t)snprintf(places + at, sizeof(places) - at, "%s%s", at ? ", " : "",
                               place_format(&proxy->places[i], text));
    }
    say("listening at %s, for SOCKS5 and HTTP, on from %s%s", places,
        peer_addr_format(&proxy->info.first_peer, peer),
        proxy->info.peers > 1 ? " and the following addresses" : "");
    if (proxy->options->common.isolate && proxy->info.local.family)
        say("applications in the namespace are at %s", peer_addr_format(&proxy->info.local, peer));
}

static int start_listening(struct proxy *proxy)
{
    int kept = 0;

    for (int i = 0; i < proxy->place_count; i++) {
        const int fd = proxy->fds[i];
        proxy->fds[i] = -1;
        if (fd < 0)
            continue;
        const int status = door_listen(proxy->door, fd, &patron_ops, proxy);
        if (status < 0) {
            say("cannot listen: %s", strerror(-status));
            return STATUS_MACHINE;
        }
        proxy->places[kept++] = proxy->places[i];
    }
    proxy->place_count = kept;
    say_ready(proxy);
    return 0;
}

/* ---- at work ---- */

/* The program of --isolate is the application: when it has ended, nobody is left. */
static bool program_ended(const struct proxy *proxy)
{
    int wait_status;

    return proxy->options->common.program && peer_net_program_ended(proxy->net, &wait_status) != 0;
}

static int serve(struct proxy *proxy)
{
    struct pollfd fds[] = {{.fd = proxy->signal_fd, .events = POLLIN}};
    const uint64_t look_ns = proxy->options->common.program ? PROGRAM_LOOK_NS : UINT64_MAX;

    do {
        const int status = loop_wait(proxy->loop, fds, 1, look_ns);
        say_notices(proxy->net);
        if (status < 0 && status != -EINTR)
            return say_gone(proxy->net, status);
        if (status == 0 && fds[0].revents && signals_take(proxy->signal_fd))
            return STATUS_DONE;
    } while (!program_ended(proxy));
    return STATUS_DONE;
}

/* ---- the report ---- */

static json_int_t whole(uint64_t value)
{
    return (json_int_t)value;
}

static json_t *json_listens(const struct proxy *proxy)
{
    json_t *list = json_array();
    char text[PLACE_TEXT];

    for (int i = 0; i < proxy->place_count; i++)
        json_array_append_new(list, json_string(place_format(&proxy->places[i], text)));
    return list;
}

static json_t *json_connections(const struct door_stats *stats)
{
    const uint64_t *ends = stats->ends;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "accepted",
                     whole(stats->accepted), "established", whole(stats->opened), "open",
                     whole(stats->open), "open_most", whole(stats->open_most), "closed",
                     whole(ends[DOOR_CLOSED]), "turned_away", whole(ends[DOOR_TURNED_AWAY]),
                     "reset", whole(ends[DOOR_RESET]), "client_reset",
                     whole(ends[DOOR_CLIENT_RESET]), "timeout", whole(ends[DOOR_TIMEOUT]),
                     "unreachable", whole(ends[DOOR_UNREACHABLE]), "idle",
                     whole(ends[DOOR_EXPIRED]), "failed", whole(ends[DOOR_FAILED]));
}

static int print_json(const struct proxy *proxy, const struct door_stats *stats, int status)
{
    const struct proxy_counts *counts = &proxy->counts;
    json_t *document = json_report("proxy", proxy->net, NULL);

    json_object_set_new(document, "listen", json_listens(proxy));
    json_object_set_new(document, "connections", json_connections(stats));
    json_object_set_new(document, "tunnels", json_integer(whole(counts->tunnels)));
    json_object_set_new(document, "requests",
                        json_pack("{s:I}", "completed", whole(counts->requests)));
    json_object_set_new(
        document, "datagrams",
        json_pack("{s:I, s:I, s:I, s:I}", "associations", whole(counts->associations), "sent",
                  whole(counts->datagrams_sent), "received", whole(counts->datagrams_received),
                  "dropped", whole(counts->datagrams_dropped)));
    json_object_set_new(document, "bytes",
                        json_pack("{s:I, s:I}", "sent", whole(stats->bytes_sent), "received",
                                  whole(stats->bytes_received)));
    json_object_set_new(document, "duration_s",
                        json_real((double)(loop_now_ns(proxy->loop) - proxy->began_ns) / 1e9));
    return json_print(document, status);
}

static void say_report(const struct proxy *proxy, const struct door_stats *stats)
{
    const struct proxy_counts *counts = &proxy->counts;
    char in[32], out[32];

    say("%llu client%s, %llu at once; %llu tunnels, %llu requests, %llu for datagrams; %s sent, %s "
        "received",
        (unsigned long long)stats->accepted, stats->accepted == 1 ? "" : "s",
        (unsigned long long)stats->open_most, (unsigned long long)counts->tunnels,
        (unsigned long long)counts->requests, (unsigned long long)counts->associations,
        format_bytes(stats->bytes_sent, out), format_bytes(stats->bytes_received, in));
    for (int i = DOOR_CLOSED + 1; i < DOOR_ENDS; i++) {
        if (stats->ends[i])
            say("%llu %s", (unsigned long long)stats->ends[i], door_end_text((enum door_end)i));
    }
    if (counts->datagrams_dropped)
        say("%llu datagrams dropped", (unsigned long long)counts->datagrams_dropped);
    if (stats->pauses)
        say("%llu times a client had to wait until another was gone",
            (unsigned long long)stats->pauses);
    say_limits(proxy->net);
}

/* ---- in order ---- */

static int proxy_in(struct proxy *proxy)
{
    const struct common_options *common = &proxy->options->common;
    struct door_stats stats;

    int status = give_up_privileges(&command_proxy, common, proxy->net);
    if (status == 0) {
        proxy->signal_fd = signals_open();
        status = proxy->signal_fd < 0 ? STATUS_MACHINE : 0;
    }
    if (status == 0)
        status = start_program(proxy->net, common, NULL);
    proxy->began_ns = peer_net_now_ns(proxy->net);
    if (status == 0)
        status = start_listening(proxy);
    if (status != 0)
        return status;
    status = serve(proxy);
    door_get_stats(proxy->door, &stats);
    proxy->door = door_free(proxy->door);
    if (status != STATUS_MACHINE)
        leave_net(proxy->net, proxy->signal_fd);
    if (common->json)
        return print_json(proxy, &stats, status);
    say_report(proxy, &stats);
    return status;
}

static int proxy_through(struct proxy *proxy)
{
    const struct common_options *common = &proxy->options->common;

    int status = proxy_listen_open(proxy);
    if (status == 0)
        status = open_net(common, NULL, common->isolate, &proxy->net);
    if (status == 0)
        status = check_manners(proxy->net, common, PEER_MANNER_CONNECT);
    if (status == 0) {
        peer_net_get_info(proxy->net, &proxy->info);
        status = make_door(proxy);
    }
    if (status == 0)
        status = proxy_in(proxy);
    door_free(proxy->door);
    proxy->names = names_free(proxy->names);
    loop_free(proxy->loop);
    proxy_listen_close(proxy);
    if (proxy->signal_fd >= 0)
        close(proxy->signal_fd);
    return close_net(proxy->net, common, status);
}

static int check_options(const struct proxy *proxy)
{
    const struct common_options *common = &proxy->options->common;

    if (common->pcap && strcmp(common->pcap, "-") == 0 && common->json)
        return usage_error(&command_proxy, "--pcap - and --json both need standard output");
    if (check_proxy_protocol(&command_proxy, common) != 0)
        return STATUS_USAGE;
    return check_manners(NULL, common, PEER_MANNER_CONNECT);
}

static int run_proxy(void *options, int argc, char **argv)
{
    static struct proxy proxy; /* what lies in it is pointed to */

    proxy = (struct proxy){.options = options, .signal_fd = -1};
    const uint64_t timeout_ns = proxy.options->common.timeout_ns;
    proxy.silent_ns = timeout_ns ? timeout_ns : SILENT_NS;
    if (argc > 0)
        return usage_error(&command_proxy, "unexpected argument \"%s\"", argv[0]);
    int status = check_options(&proxy);
    if (status == 0)
        status = proxy_listen_parse(&proxy);
    if (status == 0)
        status = proxy_take_password(&proxy);
    if (status == 0)
        status = names_start(&command_proxy, &proxy.options->common, &proxy.names);
    if (status == 0)
        status = proxy_through(&proxy);
    proxy_forget_password(&proxy);
    return status;
}

static const struct option_def *const tables[] = {
    proxy_table,     options_wait, options_proxy_protocol,
    options_net,     options_ecn,  options_manner,
    options_verbose, options_json, options_user,
    options_help,    NULL};
const struct command command_proxy = {
    .name = "proxy",
    .arguments = "[-- PROGRAM ...]",
    .summary = "SOCKS5 and HTTP proxy whose clients go on as peers",
    .about =
        "Listens for clients that speak SOCKS5 or HTTP to a proxy, told apart by what they say, "
        "and\n"
        "connects them to applications on this host from the addresses of peers. The user name\n"
        "chooses the peer.",
    .tables = tables,
    .options_size = sizeof(struct proxy_options),
    .run = run_proxy,
};
