/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a peer_net: plan, namespace, device, engine, in this order; and back.
 *
 * The device is made in the namespace it is wanted in. When that is not our own, a helper process
 * enters it, does the work and passes the descriptors home, so that this process never moves.
 */
#include "lib/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PEER_VERSION
#error "PEER_VERSION comes from the build"
#endif

const char *peer_version(void)
{
    return PEER_VERSION;
}

/* ---- the way to the namespace ---- */

struct attaching {
    const struct attach_plan *plan;
    struct attach_outcome outcome;
};

/* In the helper process. */
static int attach_there(void *arg, struct netns_result *result)
{
    struct attaching *attaching = arg;
    int *places[ATTACH_FDS_MAX];
    int status = attach_run(attaching->plan, &attaching->outcome, &result->error);

    if (status == 0) {
        result->fd_count = attach_list_fds(&attaching->outcome, places);
        for (int i = 0; i < result->fd_count; i++)
            result->fds[i] = *places[i];
    }
    return status;
}

static int attach_in_namespace(struct netns_place place, const struct attach_plan *plan,
                               struct attach_outcome *ret_outcome, struct peer_error *error)
{
    struct attaching attaching = {.plan = plan};
    const struct netns_errand errand = {.place = place,
                                        .work = attach_there,
                                        .arg = &attaching,
                                        .data = &attaching.outcome,
                                        .data_len = sizeof(attaching.outcome)};
    struct netns_result result = {0};
    int *places[ATTACH_FDS_MAX];

    int status = netns_run(&errand, &result, error);
    if (status < 0)
        return status;
    *ret_outcome = attaching.outcome;
    const int count = attach_list_fds(ret_outcome, places);
    for (int i = 0; i < count; i++)
        *places[i] = result.fds[i];
    return 0;
}

static int attach_by_name(struct peer_net *net, const struct attach_plan *plan,
                          struct attach_outcome *ret_outcome, struct peer_error *error)
{
    net->netns.fd = netns_open(plan->config->netns, &net->netns.owner, error);
    if (net->netns.fd < 0)
        return net->netns.fd;
    return attach_in_namespace(net->netns, plan, ret_outcome, error);
}

static int attach_isolated(struct peer_net *net, const struct attach_plan *plan,
                           struct attach_outcome *ret_outcome, struct peer_error *error)
{
    int status =
        netns_isolate(plan->config->isolate_argv, NETNS_STDIO_ASIDE, &net->isolated, error);
    if (status < 0)
        return status;
    net->isolate = true;
    net->has_program = plan->config->isolate_argv != NULL;
    net->netns = (struct netns_place){dup(net->isolated.netns_fd), net->isolated.holder};
    return attach_in_namespace(net->netns, plan, ret_outcome, error);
}

static int attach_anywhere(struct peer_net *net, const struct attach_plan *plan,
                           struct attach_outcome *ret_outcome, struct peer_error *error)
{
    if (plan->config->isolate)
        return attach_isolated(net, plan, ret_outcome, error);
    if (plan->config->netns)
        return attach_by_name(net, plan, ret_outcome, error);
    return attach_run(plan, ret_outcome, error);
}

/* ---- birth ---- */

/* The peers move from the plan (or from what was chosen) into the net. */
static int take_peers(struct peer_net *net, struct attach_plan *plan,
                      const struct attach_outcome *outcome, struct peer_error *error)
{
    char text[PEER_ADDR_TEXT];

    if (!plan->peers.family)
        return addr_set_parse(peer_addr_format(&outcome->chosen, text), &net->peers, error);
    net->peers = plan->peers;
    memset(&plan->peers, 0, sizeof(plan->peers));
    return 0;
}

/* The last address of the prefix; family 0 when it has none. */
static struct peer_addr broadcast_of(const struct addr_prefix *prefix)
{
    struct peer_addr last = prefix->addr;

    if (last.family != 4 || prefix->length > 30)
        return (struct peer_addr){0};
    for (unsigned bit = prefix->length; bit < 32; bit++)
        last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    return last;
}

static int make_engine(struct peer_net *net, const struct attach_plan *plan,
                       const struct attach_outcome *outcome, struct peer_error *error)
{
    const struct peer_net_config *config = plan->config;
    struct device_tun_config tun = {
        .fd = outcome->tun.fd,
        .layer = plan->kind == PEER_TAP ? FRAME_ETHERNET : FRAME_IP,
        .name = outcome->tun.name,
        .mtu = net->mtu,
        .local_mac = outcome->tun.mac,
        .offload_tcp = outcome->tun.offload_tcp,
        .offload_udp = outcome->tun.offload_udp,
    };
    struct engine_config engine = {
        .peers = &net->peers,
        .first_mac = net->first_mac,
        .broadcast = broadcast_of(&outcome->local),
        .any_mac = net->wire.fd_count > 0,
        .seed = net->seed,
        .max_flows = config->max_flows ? config->max_flows : 2000000,
        .real_size = config->no_offload,
        .frugal = config->frugal,
        .ecn = config->ecn,
        .links = {plan->links[LINK_UPLINK], plan->links[LINK_DOWNLINK]},
        .accept = net_flow_accept,
        .ping = ping_result,
        .user = net,
    };

    int status = device_tun_new(&tun, &engine.device);
    if (status == 0 && config->pcap) {
        status = pcapng_open(config->pcap, outcome->tun.name, tun.layer, &engine.pcapng, error);
        if (status < 0) {
            device_free(engine.device);
            return status;
        }
    }
    if (status == 0)
        status = engine_new(&engine, &net->engine);
    if (status == -EBUSY)
        return error_set(error, PEER_ERROR_MACHINE, EBUSY,
                         "this process has a peer_net already; there can be one");
    if (status < 0)
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot start the stack: %s",
                         error_text(-status));
    return 0;
}

static int net_start(struct peer_net *net, struct attach_plan *plan, struct peer_error *error)
{
    struct attach_outcome outcome;
    int status = attach_anywhere(net, plan, &outcome, error);
    if (status < 0)
        return status;

    net->wire = outcome.wire;
    net->card = outcome.card;
    net->guard = outcome.guard;
    net->watch_fd = outcome.watch_fd;
    net->kind = plan->kind;
    net->mtu = outcome.mtu;
    net->seed = plan->seed;
    net->forwards = plan->config->allow_forward;
    net->first_mac = plan->first_mac;
    net->ifindex = outcome.tun.ifindex;
    net->offload = outcome.tun.offload_tcp && !plan->config->no_offload;
    net->local = outcome.local.addr;
    net->neighbours = outcome.neighbours;
    snprintf(net->device, sizeof(net->device), "%s", outcome.tun.name);
    net->arrival_ifindex = outcome.card.ifindex ? outcome.card.ifindex : net->ifindex;
    snprintf(net->arrival, sizeof(net->arrival), "%s",
             outcome.card.ifindex ? outcome.card.name : net->device);
    status = rtnl_adopt(outcome.rtnl_fd, &net->rtnl, error);
    if (status < 0)
        close(outcome.rtnl_fd);
    int diag_status = diag_adopt(outcome.diag_fd, &net->diag, error);
    if (diag_status < 0)
        close(outcome.diag_fd);
    status = status < 0 ? status : diag_status;
    if (status == 0)
        status = take_peers(net, plan, &outcome, error);
    if (status < 0) {
        close(outcome.tun.fd);
        return status;
    }
    status = make_engine(net, plan, &outcome, error);
    if (status == 0 && (watch_start(net, &outcome) < 0 || helpers_watch(net) < 0))
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "cannot watch %s", net->device);
    return status;
}

int peer_net_new(const struct peer_net_config *config, struct peer_net **ret_net,
                 struct peer_error *error)
{
    struct attach_plan plan;
    int status = attach_plan(config, &plan, error);
    if (status < 0)
        return status;
    struct peer_net *net = calloc(1, sizeof(*net));
    if (!net) {
        attach_plan_done(&plan);
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    }
    list_init(&net->pending);
    list_init(&net->pings);
    list_init(&net->sent_pings);
    list_init(&net->listeners);
    list_init(&net->handles);
    net->netns.fd = -1;
    net->guard.fd = -1;
    net->monitor.fd = -1;
    net->watch_fd = -1;

    status = net_start(net, &plan, error);
    attach_plan_done(&plan);
    if (status < 0) {
        peer_net_free(net);
        return status;
    }
    *ret_net = net;
    return 0;
}

/* A holder that somebody killed can end nobody: then it is the monitor's. */
static void end_isolation(struct peer_net *net)
{
    if (net->confined && netns_isolate_is_dead(&net->isolated))
        net->isolated.cleared = monitor_clear(net, NULL) == 0;
    netns_isolate_end(&net->isolated, 2000);
}

struct peer_net *peer_net_free(struct peer_net *net)
{
    if (!net)
        return NULL;
    while (!list_empty(&net->listeners))
        peer_listener_free(list_entry(net->listeners.next, struct peer_listener, node));
    engine_free(net->engine); /* resets the flows, which gives back their memory */
    ping_done(net);
    wire_detach(&net->wire); /* behind the resets, which it carries */
    guard_end(&net->guard);
    rtnl_free(net->rtnl);
    diag_free(net->diag);
    if (net->watch_fd >= 0)
        close(net->watch_fd);
    meters_close(&net->meters);
    if (net->isolate)
        end_isolation(net);
    guard_end(&net->monitor);
    if (net->netns.fd >= 0)
        close(net->netns.fd);
    if (net->peers.family)
        addr_set_done(&net->peers);
    free(net);
    return NULL;
}

/* ---- life ---- */

int peer_net_fd(const struct peer_net *net)
{
    return engine_fd(net->engine);
}

int peer_net_dispatch(struct peer_net *net)
{
    return engine_dispatch(net->engine);
}

int peer_net_wait(struct peer_net *net, uint64_t timeout_ns)
{
    return engine_wait(net->engine, NULL, 0, timeout_ns);
}

int peer_net_poll(struct peer_net *net, struct pollfd *fds, size_t count, uint64_t timeout_ns)
{
    if (count > WAIT_FDS_MAX)
        return -EINVAL;
    return engine_wait(net->engine, fds, count, timeout_ns);
}

uint64_t peer_net_now_ns(const struct peer_net *net)
{
    return engine_now_ns(net->engine);
}

int net_choose_peer(struct peer_net *net, const struct peer_addr *from, struct peer_addr *ret_peer)
{
    if (from->family) {
        *ret_peer = *from;
        return addr_set_find(&net->peers, from) < 0 ? -EADDRNOTAVAIL : 0;
    }
    *ret_peer = addr_set_at(&net->peers, net->peer_turn);
    net->peer_turn = (net->peer_turn + 1) % net->peers.count;
    return 0;
}

int peer_net_start_program(struct peer_net *net, struct peer_error *error)
{
    if (!net->isolate || !net->has_program || net->program_started)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "there is no program to start");
    int status = netns_isolate_start(&net->isolated, error);
    net->program_started = status == 0;
    return status;
}

int peer_net_program_ended(struct peer_net *net, int *ret_status)
{
    return net->program_started ? netns_isolate_ended(&net->isolated, ret_status) : 0;
}

int peer_net_has_listener(struct peer_net *net, int protocol, const struct peer_addr *addr,
                          uint16_t port)
{
    const struct diag_packet packet = {.protocol = (uint8_t)protocol,
                                       .local = *addr,
                                       .port = port,
                                       .peer = addr_set_at(&net->peers, 0),
                                       .peer_port = 1,
                                       .ifindex = net->arrival_ifindex};
    struct diag_socket socket;
    int status = diag_lookup(net->diag, &packet, &socket, NULL);
    if (status == -ENOENT)
        return 0;
    return status < 0 ? status : 1;
}

void peer_net_get_info(const struct peer_net *net, struct peer_net_info *ret_info)
{
    *ret_info = (struct peer_net_info){
        .device = net->device,
        .kind = net->kind,
        .mtu = net->mtu,
        .first_peer = addr_set_at(&net->peers, 0),
        .peers = net->peers.count,
        .local = net->local,
        .neighbours = net->neighbours,
        .seed = net->seed,
        .offload = net->offload,
        .program = net->program_started ? net->isolated.program : 0,
    };
    if (net->wire.fd_count > 0) {
        ret_info->wire = net->arrival;
        ret_info->wire_filters = net->wire.variant == WIRE_TC;
    }
    if (net->kind == PEER_TAP) {
        ret_info->first_mac = net->first_mac;
        ret_info->local_mac = engine_device(net->engine)->local_mac;
    }
}

static struct peer_link_stats link_stats(const struct link_counters *counters)
{
    return (struct peer_link_stats){
        .sent = counters->sent,
        .delivered = counters->delivered,
        .lost = counters->lost,
        .overflowed = counters->overflowed + counters->no_memory,
        .discarded = counters->discarded,
        .duplicated = counters->duplicated,
        .corrupted = counters->corrupted,
        .reordered = counters->reordered,
        .delayed = counters->delayed,
        .delay_mean_ns = counters->delayed ? counters->delay_sum_ns / counters->delayed : 0,
        .delay_max_ns = counters->delay_max_ns,
        .queued = counters->queued,
        .queued_max = counters->queued_max,
    };
}

static struct peer_limit_stats limit_stats(const uint64_t *limits)
{
    return (struct peer_limit_stats){
        .half_open = limits[STACK_LIMIT_HALF_OPEN],
        .strangers = limits[STACK_LIMIT_STRANGERS],
        .icmp_errors = limits[STACK_LIMIT_ERRORS],
        .challenges = limits[STACK_LIMIT_CHALLENGES],
        .fragments = limits[STACK_LIMIT_PIECES],
        .unread = limits[STACK_LIMIT_UNREAD],
        .gaps = limits[STACK_LIMIT_GAPS],
        .unacknowledged = limits[STACK_LIMIT_QUEUED],
        .neighbours = limits[STACK_LIMIT_NEIGHBOURS],
    };
}

int peer_net_get_stats(struct peer_net *net, struct peer_net_stats *ret_stats)
{
    struct engine_stats engine;
    struct stack_stats stack;
    struct rtnl_link link;

    int status = rtnl_link_get(net->rtnl, net->ifindex, NULL, &link, NULL);
    if (status < 0)
        return status;
    engine_get_stats(net->engine, &engine);
    flows_get_stats(engine_flows(net->engine), &stack);
    *ret_stats = (struct peer_net_stats){
        .frames_sent = engine.frames_sent,
        .frames_received = engine.frames_received,
        .bytes_sent = engine.bytes_sent,
        .bytes_received = engine.bytes_received,
        .frames_ignored = stack.ignored,
        .frames_bad = stack.bad,
        .send_drops = engine_device(net->engine)->send_drops,
        .device_drops = link.tx_dropped,
        .flows = engine_flows(net->engine)->count,
        .flows_refused = stack.refused,
        .retransmits = stack.retransmits,
        .limits = limit_stats(stack.limits),
        .uplink = link_stats(&engine.links[LINK_UPLINK]),
        .downlink = link_stats(&engine.links[LINK_DOWNLINK]),
        .pcap_error = engine.pcap_error,
        .pcap_frames = engine.pcap_frames,
        .pcap_dropped = engine.pcap_dropped,
    };
    return 0;
}

void peer_net_end_capture(struct peer_net *net)
{
    engine_end_capture(net->engine);
}
