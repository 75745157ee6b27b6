/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer forward: what connects to a port here goes on as a connection of a peer (ssh -L), and what
 * calls a peer's port goes on to a kernel socket (-R).
 *
 * Sockets that listen are opened with the privileges of the start, the paths of Unix sockets are
 * removed by a child (path_keeper.h). What moves the bytes is relay/door.h.
 */
#include "forward.h"

#include "cli/path_keeper.h"
#include "cli/workers.h"

#include <peer/work.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int add_reverse(void *options, const struct option_def *option, const char *text,
                       char why[128])
{
    struct forward_options *forward = options;

    (void)option;
    if (forward->reverse_count == WAYS_MOST) {
        snprintf(why, 128, "is one too many: %d at the most", WAYS_MOST);
        return -EINVAL;
    }
    forward->reverse[forward->reverse_count++] = text;
    return 0;
}

static const struct option_def forward_table[] = {
    {'R', "remote", "PEER:PORT:HOST:PORT",
     "what calls that port of a peer goes on to HOST:PORT, or unix:PATH", add_reverse, .offset = 0},
    {'c', "connections", "N", "so many at once, others wait (as many as there are descriptors)",
     option_set_number, .offset = offsetof(struct forward_options, connections), .min = 1,
     .max = 10000000},
    {0, "accept-first", NULL, "who is refused by HOST sees a connection that ends in order",
     option_set_flag, .offset = offsetof(struct forward_options, accept_first)},
    {0},
};

#define PROGRAM_LOOK_NS (100 * CLI_NS_PER_MS)

/* ---- setting up ---- */

static int parse_ways(struct forward *forward, int argc, char **argv)
{
    const struct forward_options *options = forward->options;
    int status = 0;

    if (argc + options->reverse_count == 0)
        return usage_error(&command_forward, "[LISTEN:]PORT:HOST:PORT is missing");
    if (argc + options->reverse_count > WAYS_MOST)
        return usage_error(&command_forward, "there can be %d ways at the most", WAYS_MOST);
    for (int i = 0; i < argc && status == 0; i++)
        status = way_parse(&command_forward, &options->common, argv[i],
                           &forward->ways[forward->way_count++]);
    for (int i = 0; i < options->reverse_count && status == 0; i++)
        status = way_parse_reverse(&command_forward, &options->common, options->reverse[i],
                                   &forward->ways[forward->way_count++]);
    return status;
}

/* One of the name's addresses that is this machine's. Why the others are not is the kernel's word. */
static int choose_local(struct forward *forward, struct way *way)
{
    const struct common_options *common = &forward->options->common;
    char text[PEER_ADDR_TEXT];
    struct peer_net_info info;

    peer_net_get_info(forward->net, &info);
    do {
        if (way->to.addr.family != info.first_peer.family)
            continue;
        if (common->allow_forward || peer_net_is_local(forward->net, &way->to.addr) == 1)
            return 0;
    } while (target_next(&way->to));
    peer_addr_format(&way->to.addr, text);
    if (way->to.addr.family != info.first_peer.family)
        return usage_error(&command_forward, "\"%s\": %s is of another family than the peers",
                           way->text, text);
    say("\"%s\": %s is no address of this machine, so packets would be forwarded to a real network "
        "from an address that is not there; --allow-forward does it",
        way->text, text);
    return STATUS_MACHINE;
}

static int make_net(struct forward *forward)
{
    const struct common_options *common = &forward->options->common;
    struct way *first = &forward->ways[0];
    int status = first->reverse ? open_net(common, NULL, true, &forward->net)
                                : open_net_any(common, &first->to, &forward->net);

    for (int i = first->reverse ? 0 : 1; i < forward->way_count && status == 0; i++) {
        if (!forward->ways[i].reverse)
            status = choose_local(forward, &forward->ways[i]);
    }
    return status;
}

static int open_ways(struct forward *forward)
{
    int status = 0;

    for (int i = 0; i < forward->way_count && status == 0; i++) {
        if (!forward->ways[i].reverse)
            status = way_open(&forward->ways[i], forward->options->common.udp,
                              forward_workers(forward));
    }
    return status;
}

static void say_room(const struct forward *forward, uint64_t room)
{
    uint64_t wanted = forward->options->connections;

    if (room < wanted)
        say("the limit of descriptors leaves room for %llu connections at once, not %llu: the "
            "others wait (ulimit -Hn)",
            (unsigned long long)room, (unsigned long long)wanted);
    else if (forward->options->common.verbose)
        say("room for %llu connections at once", (unsigned long long)(wanted ? wanted : room));
}

static int make_door(struct forward *forward)
{
    const uint64_t workers = forward_workers(forward), wanted = forward->options->connections;
    const uint64_t each = door_raise_limit(1), room = workers ? workers * each : each;
    const uint64_t most = wanted && wanted < room ? wanted : room;

    say_room(forward, room);
    int status = workers ? forward_make_lobby(forward, most, each) : 0;
    const struct door_config config = {
        .loop = forward->loop, .most = most, .lobby = forward->lobby, .member = LOBBY_ACCEPTS};
    return status < 0 ? status : door_new(&config, &forward->door);
}

enum { SESSIONS_MOST = 65536 }; /* as without a word */

/* Sessions by source have no descriptor of their own, those of -R have. */
static int make_datagram(struct forward *forward)
{
    const uint64_t workers = forward_workers(forward), wanted = forward->options->connections;
    const uint64_t room = door_raise_limit(1) * (workers ? workers : 1);
    struct datagram_config config = {
        .loop = forward->loop, .idle_ns = forward->options->common.timeout_ns, .most = wanted};

    for (int i = 0; i < forward->way_count; i++) {
        if (forward->ways[i].reverse && (!config.most || config.most > room))
            config.most = room;
    }
    if (config.most == room && wanted)
        say_room(forward, room);
    forward->sessions_most = config.most ? config.most : SESSIONS_MOST;
    return workers ? 0 : datagram_new(&config, &forward->datagram);
}

static int make_relays(struct forward *forward)
{
    int status = loop_new(forward->net, &forward->loop);

    if (status == 0)
        status = forward->options->common.udp ? make_datagram(forward) : make_door(forward);
    if (status == 0)
        return 0;
    say("cannot start: %s", strerror(-status));
    return STATUS_MACHINE;
}

static const char *list_places(const struct way *way, char buf[WAY_PLACES * PLACE_TEXT])
{
    char text[PLACE_TEXT];
    size_t at = 0;

    for (int i = 0; i < way->at_count; i++) {
        at += (size_t)snprintf(buf + at, (size_t)WAY_PLACES * PLACE_TEXT - at, "%s%s",
                               i ? ", " : "", place_format(&way->at[i], text));
    }
    return buf;
}

/* Said when all listens: scripts wait for it. */
static void say_way(const struct forward *forward, const struct way *way)
{
    char places[WAY_PLACES * PLACE_TEXT], to[PLACE_TEXT], peer[PEER_ENDPOINT_TEXT];
    struct peer_net_info info;

    peer_net_get_info(forward->net, &info);
    if (way->reverse)
        say("listening at %s%s on %s, on to %s",
            peer_endpoint_format(way->peer.family ? &way->peer : &info.first_peer, way->peer_port,
                                 peer),
            info.peers > 1 && !way->peer.family ? " and the following addresses" : "", info.device,
            where_to(way, to));
    else
        say("listening at %s, on to %s from %s%s", list_places(way, places), where_to(way, to),
            peer_addr_format(&info.first_peer, peer),
            info.peers > 1 ? " and the following addresses" : "");
}

/* It may come later; until then clients are refused. */
static void look_for_listener(const struct forward *forward, const struct way *way)
{
    int protocol = forward->options->common.udp ? IPPROTO_UDP : IPPROTO_TCP;
    char to[PLACE_TEXT];

    if (!way->reverse && peer_net_is_local(forward->net, &way->to.addr) == 1 &&
        peer_net_has_listener(forward->net, protocol, &way->to.addr, way->to.port) == 0)
        say("no socket listens at %s yet", where_to(way, to));
}

static int start_ways(struct forward *forward)
{
    const bool workers = forward_workers(forward);
    struct peer_error error = {0};
    int status = workers ? forward_start_workers(forward) : 0;

    if (status != 0)
        return status;
    for (int i = 0; i < forward->way_count && status == 0; i++) {
        if (!workers || (forward->door && !forward->ways[i].reverse))
            status = road_open(forward, &forward->ways[i], &forward->roads[i], &error);
    }
    if (status < 0)
        return report_error(&error);
    for (int i = 0; i < forward->way_count && status == 0; i++) {
        look_for_listener(forward, &forward->ways[i]);
        say_way(forward, &forward->ways[i]);
    }
    return status;
}

/* ---- at work ---- */

/* The program of --isolate is the application: when it has ended, nobody is left. */
static bool program_ended(const struct forward *forward)
{
    int wait_status;

    return forward->options->common.program &&
           peer_net_program_ended(forward->net, &wait_status) != 0;
}

static int serve(struct forward *forward)
{
    struct pollfd fds[] = {{.fd = forward->signal_fd, .events = POLLIN}};
    uint64_t look_ns = forward->options->common.program ? PROGRAM_LOOK_NS : UINT64_MAX;

    do {
        int status = loop_wait(forward->loop, fds, 1, look_ns);
        say_notices(forward->net);
        if (status < 0 && status != -EINTR)
            return say_gone(forward->net, status);
        if (status == 0 && fds[0].revents && signals_take(forward->signal_fd))
            return STATUS_DONE;
    } while (!program_ended(forward));
    return STATUS_DONE;
}

static int forward_in(struct forward *forward)
{
    const struct common_options *common = &forward->options->common;

    int status = give_up_privileges(&command_forward, common, forward->net);
    if (status == 0) {
        forward->signal_fd = signals_open();
        status = forward->signal_fd < 0 ? STATUS_MACHINE : 0;
    }
    if (status == 0)
        status = start_program(forward->net, common,
                               forward->ways[0].reverse ? NULL : &forward->ways[0].to);
    forward->began_ns = peer_net_now_ns(forward->net);
    if (status == 0)
        status = start_ways(forward);
    if (status != 0)
        return status;
    status = serve(forward);
    forward_ask_workers(forward);
    status = forward_report(forward, status);
    forward->door = door_free(forward->door);
    forward->datagram = datagram_free(forward->datagram);
    if (status != STATUS_MACHINE)
        leave_net(forward->net, forward->signal_fd);
    return status;
}

/* Of the sockets that clients call at. */
static int keep_paths(const struct forward *forward, struct path_keeper *keeper)
{
    const char *names[WAYS_MOST];
    int count = 0;

    for (int i = 0; i < forward->way_count; i++) {
        const struct way *way = &forward->ways[i];
        if (way->at_count && !way->at[0].addr.family && way->fds[0] >= 0)
            names[count++] = way->at[0].path;
    }
    return path_keeper_start(keeper, names, count);
}

static int forward_through(struct forward *forward)
{
    struct path_keeper keeper = path_keeper_none;

    int status = forward_share(forward);
    if (status == 0)
        status = open_ways(forward);
    if (status == 0)
        status = keep_paths(forward, &keeper);
    if (status == 0)
        status = make_relays(forward);
    if (status == 0)
        status = forward_in(forward);
    peer_work_free(forward->work);
    door_free(forward->door);
    datagram_free(forward->datagram);
    lobby_free(forward->lobby);
    loop_free(forward->loop);
    for (int i = 0; i < forward->way_count; i++)
        way_close(&forward->ways[i]);
    path_keeper_end(&keeper);
    if (forward->signal_fd >= 0)
        close(forward->signal_fd);
    return status;
}

/* Before there is a net, and with it. */
static int check_all_manners(const struct forward *forward)
{
    const struct common_options *common = &forward->options->common;
    int status = 0;

    for (int i = 0; i < forward->way_count && status == 0; i++)
        status = check_manners(forward->net, common,
                               forward->ways[i].reverse ? PEER_MANNER_LISTEN : PEER_MANNER_CONNECT);
    return status;
}

static int check_options(const struct forward *forward)
{
    const struct common_options *common = &forward->options->common;

    for (int i = 0; i < forward->way_count; i++) {
        const struct way *way = &forward->ways[i];
        if (common->udp && !(way->reverse ? way->to_place : way->at[0]).addr.family)
            return usage_error(&command_forward, "\"%s\": -u goes with addresses and ports",
                               way->text);
    }
    if (common->pcap && strcmp(common->pcap, "-") == 0 && common->json)
        return usage_error(&command_forward, "--pcap - and --json both need standard output");
    if (check_proxy_protocol(&command_forward, common) != 0)
        return STATUS_USAGE;
    if (common->udp && common->workers > 1 && forward->options->connections &&
        forward->options->connections < common->workers)
        return usage_error(&command_forward,
                           "%llu sessions (-c) cannot be shared by %u workers: ask for more, or take "
                           "fewer --workers",
                           (unsigned long long)forward->options->connections, common->workers);
    return check_all_manners(forward);
}

static int run_forward(void *given, int argc, char **argv)
{
    static struct forward forward; /* what lies in it is pointed to */
    struct forward_options *options = given;
    int status;

    forward = (struct forward){.options = options, .signal_fd = -1};
    keep_memory();
    status = parse_ways(&forward, argc, argv);
    if (status == 0)
        status = choose_workers(&command_forward, &options->common, count_peers(&options->common));
    if (status == 0)
        status = check_options(&forward);
    if (status == 0)
        status = make_net(&forward);
    if (status == 0)
        settle_workers(&forward.options->common);
    if (status == 0)
        status = check_all_manners(&forward);
    if (status == 0)
        status = forward_through(&forward);
    return close_net(forward.net, &forward.options->common, status);
}

static const struct option_def *const tables[] = {
    forward_table, options_udp,  options_wait,   options_proxy_protocol,
    options_net,   options_ecn,  options_manner, options_workers,
    options_verbose, options_json,  options_user, options_help,   NULL};
const struct command command_forward = {
    .name = "forward",
    .arguments = "[LISTEN:]PORT:HOST:PORT ... [-- PROGRAM ...]",
    .summary = "what connects to a port here goes on from a peer",
    .about =
        "Accepts connections (datagrams with -u) at kernel sockets of this host, and joins each "
        "to\n"
        "one of a remote machine to an application here. The words are those of ssh -L and -R.",
    .tables = tables,
    .options_size = sizeof(struct forward_options),
    .run = run_forward,
};
