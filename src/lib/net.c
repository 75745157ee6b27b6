/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a peer_net: what stands on the machine (src/attachment), then the engine on it; and
 * back.
 */
#include "lib/crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* For whoever writes a ring of captures: he waits for the disk at times. */
enum { CAPTURE_RING_KEEP = 16 << 20 };

#ifndef PEER_VERSION
#error "PEER_VERSION comes from the build"
#endif

const char *peer_version(void)
{
    return PEER_VERSION;
}

/* ---- birth ---- */

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

static struct device_tun_config queue_of(const struct attachment *attachment, int fd)
{
    return (struct device_tun_config){
        .fd = fd,
        .layer = attachment->kind == PEER_TAP ? FRAME_ETHERNET : FRAME_IP,
        .name = attachment->device,
        .mtu = attachment->mtu,
        .local_mac = attachment->local_mac,
        .offload_tcp = attachment->offload_tcp,
        .offload_udp = attachment->offload_udp,
    };
}

static int no_stack(int status, struct peer_error *error)
{
    return error_set(error, PEER_ERROR_MACHINE, -status, "cannot start the stack: %s",
                     error_text(-status));
}

/* With workers this process has none of the frames. */
static int open_device(struct peer_net *net, struct device **ret_device)
{
    if (net->workers) {
        net->idle_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (net->idle_fd < 0)
            return -errno;
    }
    const struct device_tun_config tun =
        queue_of(&net->attachment, net->workers ? net->idle_fd : net->attachment.queues[0]);
    int status = device_tun_new(&tun, ret_device);
    if (status == 0 && net->workers)
        device_tun_silence(*ret_device);
    return status;
}

/* Of workers each writes to it. */
static int open_file_capture(const struct peer_net *net, const char *path,
                             const struct device *device, struct pcapng **ret_pcapng,
                             struct peer_error *error)
{
    int status = pcapng_open(path, device->name, device->layer, ret_pcapng, error);

    if (status < 0 || !net->workers || pcapng_is_file(*ret_pcapng))
        return status;
    *ret_pcapng = pcapng_free(*ret_pcapng);
    return error_set(error, PEER_ERROR_USAGE, EINVAL,
                     "`workers` share a capture when it is a file; \"%s\" (`pcap`) is none", path);
}

static int open_capture(struct peer_net *net, const struct peer_net_config *config,
                        const struct device *device, struct pcapng **ret_pcapng,
                        struct peer_error *error)
{
    int fd;

    if (config->pcap_rotate_bytes && !config->pcap)
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "`pcap_rotate_bytes` goes with `pcap`, which names its files");
    if (!config->pcap)
        return 0;
    if (!config->pcap_rotate_bytes)
        return open_file_capture(net, config->pcap, device, ret_pcapng, error);
    int status = capture_ring_start(&net->ring, config, &fd, error);
    if (status < 0)
        return status;
    status = pcapng_adopt(fd, CAPTURE_RING_KEEP, net->workers ? SCRIBE_MESSAGE : 0, device->name,
                          device->layer, ret_pcapng);
    if (status < 0) {
        (void)close(fd);
        return error_set(error, PEER_ERROR_MACHINE, -status, "cannot capture: %s",
                         error_text(-status));
    }
    return 0;
}

static int start_engine(struct peer_net *net, const struct engine_config *config,
                        struct peer_error *error)
{
    int status = engine_new(config, &net->engine);

    if (status == -EBUSY)
        return error_set(error, PEER_ERROR_MACHINE, EBUSY,
                         "this process has a peer_net already; there can be one");
    return status < 0 ? no_stack(status, error) : 0;
}

static int make_engine(struct peer_net *net, const struct peer_net_config *config,
                       const struct link_spec links[2], struct peer_error *error)
{
    const struct attachment *attachment = &net->attachment;
    struct engine_config engine = {
        .peers = &attachment->peers,
        .first_mac = attachment->first_mac,
        .broadcast = broadcast_of(&attachment->local),
        .any_mac = attachment->wire.fd_count > 0,
        .seed = attachment->seed,
        .max_flows = config->max_flows ? config->max_flows : 2000000,
        .real_size = config->no_offload,
        .frugal = config->frugal,
        .ecn = config->ecn,
        .links = {links[LINK_UPLINK], links[LINK_DOWNLINK]},
        .accept = net_flow_accept,
        .ping = ping_result,
        .user = net,
    };

    net->engine_config = engine;
    int status = open_device(net, &engine.device);
    if (status < 0)
        return no_stack(status, error);
    status = open_capture(net, config, engine.device, &engine.pcapng, error);
    if (status < 0) {
        device_free(engine.device);
        return status;
    }
    return start_engine(net, &engine, error);
}

int net_make_worker_engine(struct peer_net *net, const struct device_crew_config *crew,
                           struct peer_error *error)
{
    const struct attachment *attachment = &net->attachment;
    const struct device_tun_config tun = queue_of(attachment, attachment->queues[crew->member]);
    struct device_crew_config device = *crew;
    struct engine_config engine = net->engine_config;

    engine.pcapng = engine_take_capture(net->engine);
    engine_abandon(net->engine);
    net->engine = engine_free(net->engine);
    engine.first_mac = attachment->first_mac;
    engine.any_mac |= attachment->neighbours == PEER_NEIGHBOURS_GATEWAY;
    engine.seed = attachment->seed;
    int status = device_tun_new(&tun, &device.queue);
    if (status == 0)
        status = device_crew_new(&device, &engine.device);
    if (status < 0) {
        pcapng_abandon(engine.pcapng);
        return no_stack(status, error);
    }
    status = start_engine(net, &engine, error);
    if (status < 0)
        return status;
    contexts_tell_secrets(net);
    status = engine_wait_too(net->engine, device.inbox);
    return status < 0 ? no_stack(status, error) : 0;
}

int net_check_alone(const struct peer_net *net, const char *what, struct peer_error *error)
{
    if (!net->workers)
        return 0;
    return error_set(error, PEER_ERROR_USAGE, EOPNOTSUPP,
                     "with `workers` it is these that have the peers, and this process has no %s", what);
}

static int prepare_workers(struct peer_net *net, const struct peer_net_config *config,
                           struct peer_error *error)
{
    enum { CPUS = 4096 };

    if (config->worker_cpus) {
        net->cpus = malloc(CPUS * sizeof(*net->cpus));
        net->cpu_count = net->cpus ? cpus_parse(config->worker_cpus, net->cpus, CPUS) : -ENOMEM;
    }
    if (net->cpu_count < 0) {
        net->cpu_count = 0;
        return error_set(error, PEER_ERROR_USAGE, EINVAL,
                         "\"%s\" (`worker_cpus`) is no list of CPUs such as 0-3,8",
                         config->worker_cpus);
    }
    if (config->worker_cpus && config->workers <= 1)
        return error_set(error, PEER_ERROR_USAGE, EINVAL, "`worker_cpus` goes with `workers`");
    if (config->workers <= 1)
        return 0;
    net->workers = config->workers;
    net->crew_fd = epoll_create1(EPOLL_CLOEXEC);
    net->crew_piece = malloc(CREW_PIECE);
    if (net->crew_fd < 0 || !net->crew_piece)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    return 0;
}

static int net_start(struct peer_net *net, struct attach_plan *plan,
                     const struct link_spec links[2], struct peer_error *error)
{
    const struct peer_net_config *config = plan->config;

    int status = prepare_workers(net, config, error);
    if (status == 0)
        status = attachment_make(&net->attachment, plan, error);
    if (status == 0)
        status = make_engine(net, config, links, error);
    if (status < 0)
        return status;
    net->offload = net->attachment.offload_tcp && !config->no_offload;
    net->forwards = config->allow_forward;
    if (!net->forwards)
        net->target = config->target;
    if (watch_start(net) < 0 || helpers_watch(net) < 0)
        return error_set(error, PEER_ERROR_MACHINE, ENOMEM, "cannot watch %s",
                         net->attachment.device);
    return 0;
}

static int make_net(const struct peer_net_config *config, struct peer_net **ret_net,
                    struct peer_error *error)
{
    struct link_spec links[2];
    struct attach_plan plan;

    int status = attach_plan(config, &plan, error);
    if (status < 0)
        return status;
    struct peer_net *net = calloc(1, sizeof(*net));
    status = net && owner_mark(net) == 0
                 ? links_read(config->uplink, config->downlink, links, error)
                 : error_set(error, PEER_ERROR_MACHINE, ENOMEM, "out of memory");
    if (status < 0) {
        attach_plan_done(&plan);
        if (net)
            owner_done(net);
        free(net);
        return status;
    }
    attachment_init(&net->attachment);
    net->idle_fd = net->crew_fd = -1;
    list_init(&net->pending);
    list_init(&net->pings);
    list_init(&net->sent_pings);
    list_init(&net->listeners);
    list_init(&net->handles);
    list_init(&net->processes);
    list_init(&net->contexts);

    status = net_start(net, &plan, links, error);
    attach_plan_done(&plan);
    if (status < 0) {
        peer_net_free(net);
        return status;
    }
    *ret_net = net;
    return 0;
}

int peer_net_new_sized(const struct peer_net_config *given, size_t size, struct peer_net **ret_net,
                       struct peer_error *error)
{
    struct peer_net_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    return status < 0 ? status : make_net(&config, ret_net, error);
}

struct peer_net *peer_net_free(struct peer_net *net)
{
    if (!net)
        return NULL;
    if (net->hooks) /* what called the hook still needs it */
        return NULL;
    soaks_bury(net);
    bool heard = owner_frees(net);
    if (heard)
        crew_end(net);
    while (!list_empty(&net->listeners))
        peer_listener_free(list_entry(net->listeners.next, struct peer_listener, node));
    contexts_leave(net);
    engine_free(net->engine); /* resets the flows, which gives back their memory */
    if (heard)
        scribe_end(&net->ring.scribe);
    else
        scribe_abandon(&net->ring.scribe);
    capture_ring_forget(&net->ring);
    ping_done(net);
    processes_end(net);
    if (heard)
        attachment_done(&net->attachment);
    else
        attachment_abandon(&net->attachment);
    owner_done(net);
    if (net->idle_fd >= 0)
        (void)close(net->idle_fd);
    if (net->crew_fd >= 0)
        (void)close(net->crew_fd);
    free(net->crew_piece);
    free(net->cpus);
    free(net);
    return NULL;
}

struct peer_net *peer_net_abandon(struct peer_net *net)
{
    if (!net || net->hooks)
        return NULL;
    owner_let_go(net);
    processes_forsake(net);
    net->attachment.grace_ms = 0;
    return peer_net_free(net);
}

/* ---- life ---- */

int peer_net_fd(const struct peer_net *net)
{
    if (!net_is_ours(net))
        return -ECHILD;
    return engine_fd(net->engine);
}

/* What a turn of the engine came to. Some ends are for good, and every flow hears of them once. */
static int turned(struct peer_net *net, int status)
{
    if (status != -EBADFD && status != -ENODEV && status != -EOWNERDEAD && status != -ENETUNREACH)
        return status;
    net->gone = status;
    engine_lose_flows(net->engine);
    return status;
}

int peer_net_dispatch(struct peer_net *net)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (net->hooks)
        return -EBUSY;
    return net->gone ? net->gone : turned(net, engine_dispatch(net->engine));
}

int peer_net_wait(struct peer_net *net, uint64_t timeout_ns)
{
    return peer_net_poll(net, NULL, 0, timeout_ns);
}

int peer_net_poll(struct peer_net *net, struct pollfd *fds, size_t count, uint64_t timeout_ns)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (net->hooks)
        return -EBUSY;
    if (count > WAIT_FDS_MAX)
        return -EINVAL;
    return net->gone ? net->gone : turned(net, engine_wait(net->engine, fds, count, timeout_ns));
}

uint64_t peer_net_now_ns(const struct peer_net *net)
{
    if (!net_is_ours(net))
        return 0;
    return engine_now_ns(net->engine);
}

int net_choose_peer(struct peer_net *net, const struct peer_addr *from, struct peer_addr *ret_peer)
{
    if (from->family) {
        *ret_peer = *from;
        return addr_set_find(&net->attachment.peers, from) < 0 ? -EADDRNOTAVAIL : 0;
    }
    *ret_peer = addr_set_at(&net->attachment.peers, net->peer_turn);
    net->peer_turn = (net->peer_turn + 1) % net->attachment.peers.count;
    return 0;
}

int peer_net_start_program(struct peer_net *net, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    return attachment_start_program(&net->attachment, error);
}

int peer_net_program_ended(struct peer_net *net, int *ret_status)
{
    if (!net_is_ours(net))
        return -ECHILD;
    return attachment_program_ended(&net->attachment, ret_status);
}

int peer_net_has_listener(struct peer_net *net, int protocol, const struct peer_addr *addr,
                          uint16_t port)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (net->worker) /* has no socket to the kernel */
        return -EOPNOTSUPP;
    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
        return -EPROTONOSUPPORT;
    if (addr->family != net->attachment.peers.family)
        return -EAFNOSUPPORT;
    return attachment_has_listener(&net->attachment, (uint8_t)protocol, addr, port);
}

int net_is_local(struct peer_net *net, const struct peer_addr *addr)
{
    if (net->worker)
        return worker_is_local(net->worker, addr);
    return attachment_is_local(&net->attachment, addr, engine_now_fresh_ns(net->engine));
}

int peer_net_is_local(struct peer_net *net, const struct peer_addr *addr)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (addr_is_loopback(addr))
        return 0;
    return net_is_local(net, addr);
}

int peer_net_get_info_sized(const struct peer_net *net, struct peer_net_info *ret_info,
                            size_t size)
{
    if (!net_is_ours(net))
        return -ECHILD;
    const struct attachment *attachment = &net->attachment;

    struct peer_net_info info = {
        .device = attachment->device,
        .kind = attachment->kind,
        .mtu = attachment->mtu,
        .first_peer = addr_set_at(&attachment->peers, 0),
        .peers = attachment->peers.count,
        .local = attachment->local.addr,
        .neighbours = attachment->neighbours,
        .seed = attachment->seed_told,
        .offload = net->offload,
        .program = attachment->program_started ? attachment->isolated.program : 0,
        .workers = net->workers,
        .steered = net->workers && attachment->steered,
    };
    if (attachment->wire.fd_count > 0) {
        info.wire = attachment->arrival;
        info.wire_filters = attachment->wire.variant == WIRE_TC;
    }
    if (attachment->kind == PEER_TAP) {
        info.first_mac = attachment->first_mac;
        info.local_mac = attachment->local_mac;
    }
    border_give(ret_info, size, &info, sizeof(info));
    return 0;
}

int peer_net_get_peer(const struct peer_net *net, uint64_t index, struct peer_addr *ret_addr)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (index >= net->attachment.peers.count)
        return -ERANGE;
    *ret_addr = addr_set_at(&net->attachment.peers, index);
    return 0;
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

int peer_net_get_stats_sized(struct peer_net *net, struct peer_net_stats *ret_stats, size_t size)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct engine_stats engine;
    struct stack_stats stack;
    struct rtnl_link link = {.tx_dropped = 0};

    int status = net->worker ? 0
                             : rtnl_link_get(net->attachment.rtnl, net->attachment.ifindex, NULL,
                                             &link, NULL);
    if (status < 0)
        return status;
    engine_get_stats(net->engine, &engine);
    flows_get_stats(engine_flows(net->engine), &stack);
    struct peer_net_stats stats = {
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
        .frames_passed = net->worker ? device_crew_passed(engine_device(net->engine)) : 0,
    };
    crew_add_stats(net, &stats);
    capture_ring_add_stats(&net->ring, &stats);
    border_give(ret_stats, size, &stats, sizeof(stats));
    return 0;
}

int peer_net_start_capture(struct peer_net *net, const char *path, struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    const struct device *device = engine_device(net->engine);
    struct pcapng *pcapng;

    if (net->attachment.confined)
        return error_set(error, PEER_ERROR_USAGE, EPERM,
                         "this process has given up what it takes to open a file");
    if (net->crew)
        return error_set(error, PEER_ERROR_USAGE, EBUSY, "the workers of this net run a soak");
    engine_set_capture(net->engine, NULL); /* the same file may be meant */
    scribe_end(&net->ring.scribe);
    capture_ring_forget(&net->ring);
    int status = open_file_capture(net, path, device, &pcapng, error);
    if (status < 0)
        return status;
    engine_set_capture(net->engine, pcapng);
    contexts_tell_secrets(net);
    return 0;
}

int peer_net_end_capture(struct peer_net *net)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct peer_net_stats stats;

    engine_end_capture(net->engine);
    scribe_end(&net->ring.scribe);
    contexts_tell_secrets(net);
    peer_net_get_stats(net, &stats);
    return stats.pcap_error;
}
