/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs as remote machines: their places (src/exec/place.h), and what moves their packets
 * (src/exec/exec.h), joined to a net.
 */
#include "lib/execs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { COPIES_MAX = 1024, GRACE_MS = 2000, MAX_FLOWS = 1000000 };
#define STILL_NS (1 * NS_PER_S) /* with connections open, and nothing moving */

struct peer_origin {
    struct netns_origin origin;
};

/* ---- how we were started ---- */

struct peer_origin *peer_origin_new(void)
{
    struct peer_origin *origin = calloc(1, sizeof(*origin));

    if (origin && netns_origin_take(&origin->origin) < 0) {
        free(origin);
        return NULL;
    }
    return origin;
}

struct peer_origin *peer_origin_free(struct peer_origin *origin)
{
    if (origin)
        netns_origin_done(&origin->origin);
    free(origin);
    return NULL;
}

/* ---- places ---- */

static void free_words(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}

/* The words of copy `index`, "{}" being its number. NULL without memory. */
static char **number_words(char *const *argv, unsigned index)
{
    char number[16];
    size_t count = 0;

    snprintf(number, sizeof(number), "%u", index);
    while (argv[count])
        count++;
    char **words = calloc(count + 1, sizeof(*words));
    for (size_t i = 0; words && i < count; i++) {
        const char *at = strstr(argv[i], "{}");
        int len = at ? asprintf(&words[i], "%.*s%s%s", (int)(at - argv[i]), argv[i], number, at + 2)
                     : asprintf(&words[i], "%s", argv[i]);
        if (len < 0) {
            words[i] = NULL;
            free_words(words);
            return NULL;
        }
    }
    return words;
}

static int make_place(struct peer_exec *exec, const struct peer_exec_config *config,
                      const struct peer_addr *inside, struct peer_error *error)
{
    const struct attachment *attachment = &exec->net->attachment;
    const unsigned index = exec->copy_count;
    struct copy *copy = &exec->copies[index];
    char from[PEER_ADDR_TEXT + 16], number[32], local[PEER_ADDR_TEXT + 16], text[PEER_ADDR_TEXT];
    char *environment[] = {from, number, attachment->local.addr.family ? local : NULL, NULL};
    struct place_config place = {
        .inside = *inside,
        .mtu = attachment->mtu,
        .offload = exec->net->offload,
        .localhost = config->localhost.family != 0,
        .elsewhere = attachment->netns.fd >= 0,
        .program = {.argv = config->argv,
                    .origin = &exec->origin->origin,
                    .environment = environment,
                    .waiter = config->waiter},
    };

    snprintf(from, sizeof(from), "PEER_FROM=%s", peer_addr_format(inside, text));
    snprintf(number, sizeof(number), "PEER_INDEX=%u", index);
    snprintf(local, sizeof(local), "PEER_LOCAL=%s",
             peer_addr_format(&attachment->local.addr, text));
    if (config->copies > 0) {
        copy->argv = number_words(config->argv, index);
        if (!copy->argv)
            return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
        place.program.argv = copy->argv;
    }
    int status = place_make(&place, &copy->place, error);
    if (status < 0)
        return status;
    exec->copy_count++;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    const int resolver = copy->place.resolver.end;
    if (epoll_ctl(exec->news, EPOLL_CTL_ADD, copy->place.isolated.control, &event) < 0 ||
        (resolver > 0 && epoll_ctl(exec->news, EPOLL_CTL_ADD, resolver, &event) < 0))
        return error_set(error, PEER_ERROR_MACHINE, errno, "cannot watch the program: %s",
                         error_text(errno));
    return 0;
}

static int make_places(struct peer_exec *exec, const struct peer_exec_config *config,
                       unsigned count, struct peer_error *error)
{
    const struct addr_set *peers = &exec->net->attachment.peers;
    int status = 0;

    for (unsigned i = 0; i < count && status == 0; i++) {
        const struct rewrite_side slice = exec_slice(peers->count, i, count);
        const struct peer_addr inside = addr_set_at(peers, slice.first);
        status = make_place(exec, config, &inside, error);
    }
    return status;
}

/* ---- birth ---- */

static int check(struct peer_net *net, const struct peer_exec_config *config,
                 struct peer_error *error)
{
    const struct addr_set *peers = &net->attachment.peers;

    if (!config->argv || !config->argv[0])
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no program to run");
    if (config->copies > COPIES_MAX)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "%u copies; %d at the most",
                         config->copies, COPIES_MAX);
    if (config->spread > PEER_SPREAD_RUN)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "no such spread");
    if (config->localhost.family && (config->localhost.family != 4 || peers->family != 4))
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "localhost can lead to IPv4 addresses alone, with peers of IPv4: the "
                         "kernel takes nothing from ::1 but on lo");
    if (config->localhost.family && !net->forwards && !peer_net_is_local(net, &config->localhost))
        return error_set(error, PEER_ERROR_MACHINE, ENETUNREACH,
                         "localhost is to lead to an address that is none of this machine");
    return 0;
}

static int read_manners(struct peer_net *net, const struct peer_exec_config *config,
                        struct manner_spec specs[MANNERS_MAX], struct peer_error *error)
{
    const struct manner_context context = {.shares = true, .peers = net->attachment.peers.count};
    int count = manners_parse(config->manners, &context, specs, error);
    int status = count < 0 ? count : exec_manners_check(specs, count, error);

    if (status == 0 && config->roam_ns && context.peers < 2)
        status = error_set(error, PEER_ERROR_USAGE, EINVAL, "to roam takes two peers or more");
    return status < 0 ? status : count;
}

static int begin(struct peer_exec *exec, const struct peer_exec_config *config,
                 struct peer_error *error)
{
    const unsigned count = config->copies ? config->copies : 1;

    int spec_count = read_manners(exec->net, config, exec->specs, error);
    if (spec_count < 0)
        return spec_count;
    exec->spec_count = spec_count;
    exec->spread = config->spread;
    exec->localhost = config->localhost;
    exec->roam_ns = config->roam_ns;
    exec->max_flows = config->max_flows ? config->max_flows : MAX_FLOWS;
    if (exec->net->workers &&
        exec_check_workers(exec->net, config, exec->specs, spec_count, error) < 0)
        return -EINVAL;
    exec->copies = calloc(count, sizeof(*exec->copies));
    exec->copy_room = exec->copies ? count : 0;
    exec->news = epoll_create1(EPOLL_CLOEXEC);
    if (!exec->copies || !exec->origin || exec->news < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    int status = make_places(exec, config, count, error);
    if (status == 0 && !exec->net->workers)
        status = exec_start_moving(exec, error);
    return status;
}

static int make_exec(struct peer_net *net, const struct peer_exec_config *config,
                     struct peer_exec **ret_exec, struct peer_error *error)
{
    int status = check(net, config, error);
    if (status < 0)
        return status;
    struct peer_exec *exec = calloc(1, sizeof(*exec));
    if (!exec)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    exec->net = net;
    exec->news = -1;
    exec->own_origin = !config->origin;
    exec->origin = config->origin ? config->origin : peer_origin_new();
    status = begin(exec, config, error);
    if (status < 0)
        peer_exec_free(exec);
    else
        *ret_exec = exec;
    return status;
}

int peer_exec_new_sized(struct peer_net *net, const struct peer_exec_config *given, size_t size,
                        struct peer_exec **ret_exec, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct peer_exec_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    return status < 0 ? status : make_exec(net, &config, ret_exec, error);
}

int peer_exec_start(struct peer_exec *exec, struct peer_error *error)
{
    if (!net_is_ours(exec->net))
        return -ECHILD;
    int status = exec->net->workers ? exec_start_workers(exec, error) : 0;

    for (unsigned i = 0; i < exec->copy_count && status == 0; i++)
        status = netns_isolate_start(&exec->copies[i].place.isolated, error);
    netns_origin_let_go(&exec->origin->origin);
    return status;
}

struct peer_exec *peer_exec_free(struct peer_exec *exec)
{
    if (!exec)
        return NULL;
    bool heard = owner_frees(exec->net);
    exec->net->exec = NULL;
    if (exec->net->workers && heard)
        crew_end(exec->net);
    exec_free(exec->moves);
    /* All are told first, so that the time they have is one for all. */
    for (unsigned i = 0; i < exec->copy_count && heard; i++)
        netns_isolate_stop(&exec->copies[i].place.isolated, GRACE_MS);
    for (unsigned i = 0; i < exec->copy_count; i++) {
        if (heard)
            (void)place_end(&exec->copies[i].place, GRACE_MS);
        else
            place_abandon(&exec->copies[i].place);
    }
    for (unsigned i = 0; i < exec->copy_room; i++)
        free_words(exec->copies[i].argv);
    if (exec->own_origin)
        peer_origin_free(exec->origin);
    if (exec->news >= 0)
        close(exec->news);
    free(exec->copies);
    free(exec);
    return NULL;
}

/* ---- life ---- */

int peer_exec_fd(const struct peer_exec *exec)
{
    return exec->news;
}

static void look_at_resolver(struct peer_exec *exec, struct copy *copy)
{
    struct resolver *resolver = &copy->place.resolver;
    struct pollfd end = {.fd = resolver->end, .events = POLLIN};

    if (resolver->end <= 0 || poll(&end, 1, 0) <= 0)
        return;
    notice_add(exec->net, "somebody killed the process that resolves the program's names (%ld): it "
                          "goes on without",
               (long)resolver->pid);
    (void)epoll_ctl(exec->news, EPOLL_CTL_DEL, resolver->end, NULL);
    resolver_end(resolver);
}

/* 1 with news, 0 without. */
static int ask(struct peer_exec *exec, struct copy *copy, struct peer_exec_event *event)
{
    static const enum peer_exec_event_type types[] = {
        [NETNS_ENDED] = PEER_EXEC_ENDED,
        [NETNS_STOPPED] = PEER_EXEC_STOPPED,
        [NETNS_CONTINUED] = PEER_EXEC_CONTINUED,
    };
    int value = 0, news = copy->ended ? 0 : netns_isolate_next(&copy->place.isolated, &value);

    if (news == NETNS_NOTHING)
        return 0;
    if (news < 0) { /* and the program died with it */
        notice_add(exec->net, "somebody killed the process that held the program's namespace, and "
                              "all in there with it");
        news = NETNS_ENDED;
        value = SIGKILL;
    }
    *event = (struct peer_exec_event){.type = types[news], .status = value};
    return 1;
}

int peer_exec_pop_event_sized(struct peer_exec *exec, struct peer_exec_event *ret_event,
                              size_t size)
{
    if (!net_is_ours(exec->net))
        return -ECHILD;
    struct peer_exec_event event;

    for (unsigned i = 0; i < exec->copy_count; i++) {
        const unsigned at = (exec->turn + i) % exec->copy_count;
        struct copy *copy = &exec->copies[at];
        look_at_resolver(exec, copy);
        if (!ask(exec, copy, &event))
            continue;
        event.copy = exec->turn = at;
        border_give(ret_event, size, &event, sizeof(event));
        if (event.type == PEER_EXEC_ENDED) {
            copy->ended = true;
            (void)epoll_ctl(exec->news, EPOLL_CTL_DEL, copy->place.isolated.control, NULL);
        }
        return 1;
    }
    return 0;
}

int peer_exec_signal(struct peer_exec *exec, int number)
{
    if (!net_is_ours(exec->net))
        return -ECHILD;
    int status = 0;

    for (unsigned i = 0; i < exec->copy_count; i++) {
        int r = exec->copies[i].ended
                    ? 0
                    : netns_isolate_signal(&exec->copies[i].place.isolated, number);
        status = status ? status : r;
    }
    return status;
}

int peer_exec_leave(struct peer_exec *exec)
{
    if (!net_is_ours(exec->net))
        return -ECHILD;
    const uint64_t now_ns = engine_now_fresh_ns(exec->net->engine);
    struct exec_unfinished unfinished;
    struct peer_net_stats stats = {.frames_sent = 0};
    struct exec_stats ignored;

    exec_get_told(exec, &ignored, &unfinished);
    (void)peer_net_get_stats(exec->net, &stats);
    if (!exec->moved_ns || unfinished.packets != exec->packets) {
        exec->packets = unfinished.packets;
        exec->moved_ns = now_ns;
    }
    const uint64_t round_ns = stats.uplink.delay_max_ns + stats.downlink.delay_max_ns;
    return unfinished.flows == 0 ||
           now_ns - exec->moved_ns >= STILL_NS + 2 * MIN(round_ns, 2 * NS_PER_S);
}

int peer_exec_get_stats_sized(const struct peer_exec *exec, struct peer_exec_stats *ret_stats,
                              size_t size)
{
    if (!net_is_ours(exec->net))
        return -ECHILD;
    struct exec_unfinished ignored;
    struct exec_stats stats;

    exec_get_told(exec, &stats, &ignored);
    const struct rewrite_stats *flows = &stats.flows;
    const struct peer_exec_stats told = {
        .flows = flows->flows,
        .tcp_flows = flows->tcp_flows,
        .udp_flows = flows->udp_flows,
        .echo_flows = flows->echo_flows,
        .peers = stats.peers,
        .packets_out = flows->packets_out,
        .bytes_out = flows->bytes_out,
        .packets_in = flows->packets_in,
        .bytes_in = flows->bytes_in,
        .prohibited = stats.prohibited,
        .refused = flows->full + flows->no_port,
        .unsupported = flows->unsupported,
        .misbehaved = stats.begun,
        .roamed = flows->roamed,
        .drops = stats.send_drops,
        .passed = stats.passed,
    };
    border_give(ret_stats, size, &told, sizeof(told));
    return 0;
}
