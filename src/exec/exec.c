/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See exec.h. A packet is worked on where it was read: one buffer takes what programs send, again and
 * again, and a frame for a program is the one that the engine read. So each way is a read, a
 * look-up and a write.
 *
 * The engine's device may be Ethernet, a program's never is. Towards the local side the header is
 * made here: its MAC is known, nobody need be asked.
 */
#include "exec/internal.h"

#include "base/macro.h"
#include "packet/fields.h"
#include "packet/parse.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MOVE_PACKETS = 64, ERROR_ROOM = 1280 };
#define OF_CREW UINT32_MAX /* no side: the inbox */
#define LOOK_NS (NS_PER_S / 4)

/* ---- to the local side ---- */

static struct frame_offload offload_at(const struct exec_packet *packet, uint16_t before)
{
    struct frame_offload offload = *packet->offload;

    if (offload.flags & FRAME_NEEDS_CSUM)
        offload.csum_start = (uint16_t)(offload.csum_start - packet->before + before);
    if (offload.gso_type)
        offload.hdr_len = (uint16_t)(offload.hdr_len - packet->before + before);
    return offload;
}

void exec_send(struct exec *exec, uint64_t peer, const struct exec_packet *packet)
{
    const struct device *device = engine_device(exec->engine);
    uint8_t header[ETHERNET_HEADER];
    struct iovec iov[] = {{header, sizeof(header)}, {packet->data, packet->len}};
    const int first = device->layer == FRAME_IP;
    const struct frame_offload offload = offload_at(packet, first ? 0 : ETHERNET_HEADER);

    if (!first) {
        const struct peer_mac mac = mac_add(exec->first_mac, peer);
        memcpy(header, device->local_mac.bytes, 6);
        memcpy(header + 6, mac.bytes, 6);
        put16(header + 12, packet->data[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6);
    }
    engine_send(exec->engine, peer, &(struct frame_parts){iov + first, 2 - first, &offload});
}

/* ---- from programs ---- */

/* Its kernel tells the program at once. */
static void prohibit(struct exec *exec, unsigned side, const struct exec_packet *packet)
{
    static const struct frame_offload none;
    uint8_t answer[ERROR_ROOM];
    const size_t len = rewrite_prohibit(packet->data, packet->len, answer, sizeof(answer));
    struct peer_addr to = {.family = packet->data[0] >> 4};

    if (!len)
        return;
    exec->prohibited++;
    memcpy(to.bytes, packet->data + (to.family == 4 ? 16 : 24), to.family == 4 ? 4 : 16);
    if (exec->refused)
        exec->refused(exec->user, side, &to);
    (void)device_send(exec->devices[side], &(struct iovec){answer, len}, 1, &none);
}

/* Of a connection that was forgotten, or that ended with a peer's end of it. */
static void reset(struct exec *exec, unsigned side, const struct exec_packet *packet)
{
    static const struct frame_offload none;
    uint8_t answer[IP6_HEADER + TCP_HEADER];
    const size_t len = rewrite_reset(packet->data, packet->len, answer, sizeof(answer));

    if (len)
        (void)device_send(exec->devices[side], &(struct iovec){answer, len}, 1, &none);
}

struct lost_target {
    struct exec *exec;
    struct peer_addr addr;
};

static void forget_flow(void *user, struct rewrite_flow *flow)
{
    const struct lost_target *lost = user;
    const struct peer_addr target = rewrite_addr(flow, flow->target);

    if (peer_addr_equal(&target, &lost->addr))
        rewrite_forget(lost->exec->rewrite, flow);
}

/* An address that is taken from this machine while flows go there would be another one's: a host that
   forwards would send their packets out. */
void exec_ask_again(struct exec *exec)
{
    for (unsigned i = exec->target_count; i-- > 0;) {
        struct lost_target lost = {exec, exec->targets[i]};
        if (exec->allowed(exec->user, &lost.addr))
            continue;
        exec->targets[i] = exec->targets[--exec->target_count];
        rewrite_each(exec->rewrite, forget_flow, &lost);
    }
    exec->look_ns = engine_now_ns(exec->engine) + LOOK_NS;
}

static void note_target(struct exec *exec, const struct peer_addr *addr)
{
    for (unsigned i = 0; i < exec->target_count; i++) {
        if (peer_addr_equal(&exec->targets[i], addr))
            return;
    }
    const bool full = exec->target_count == TARGETS_MOST;
    exec->targets[full ? exec->target_turn++ % TARGETS_MOST : exec->target_count++] = *addr;
}

static void take_packet(struct exec *exec, unsigned side, struct frame *frame)
{
    const struct exec_packet packet = {frame->data, frame->len, &frame->offload, 0};
    const struct rewrite_packet raw = {frame->data, frame->len, &frame->offload, 0};
    struct rewrite_flow *flow = NULL;

    if (engine_now_ns(exec->engine) >= exec->look_ns)
        exec_ask_again(exec);
    int status = rewrite_out(exec->rewrite, side, &raw, engine_now_ns(exec->engine), &flow);
    if (status == -EPERM)
        prohibit(exec, side, &packet);
    else if (status == -ENOENT)
        reset(exec, side, &packet);
    else if ((status == -ENOSPC || status == -EADDRINUSE) && exec->crowded)
        exec->crowded(exec->user, status);
    else if (status == 0 && flow->user)
        manners_send(exec, flow, &packet);
    else if (status == 0)
        exec_send(exec, flow->peer_index, &packet);
}

/* How many, or -errno. */
static int take_packets(struct exec *exec, unsigned side)
{
    int count = 0, status = 1;

    while (count < MOVE_PACKETS && !crew_waits(exec) &&
           (status = device_recv(exec->devices[side], exec->frame)) > 0) {
        if (!exec->crew || !crew_pass(exec, side, exec->frame))
            take_packet(exec, side, exec->frame);
        count++;
    }
    return status == -EBADFD ? status : count;
}

/* What others have read for this process. */
static int take_passed(struct exec *exec)
{
    unsigned side;
    int count = 0;

    while (count < MOVE_PACKETS && crew_take(exec, exec->frame, &side) > 0) {
        take_packet(exec, side, exec->frame);
        count++;
    }
    return count;
}

static int on_move(void *user)
{
    struct exec *exec = user;
    struct epoll_event ready[16];
    int count = 0;

    if (exec->ready < 0)
        return take_packets(exec, 0);
    const int sides = epoll_wait(exec->ready, ready, ARRAY_SIZE(ready), 0);
    for (int i = 0; i < sides; i++) {
        if (ready[i].data.u32 == OF_CREW) {
            count += take_passed(exec);
            continue;
        }
        int taken = take_packets(exec, ready[i].data.u32);
        if (taken < 0) /* that copy has ended, and its namespace with it */
            (void)epoll_ctl(exec->ready, EPOLL_CTL_DEL, device_fd(exec->devices[ready[i].data.u32]),
                            NULL);
        count += MAX(taken, 0);
    }
    return count;
}

/* ---- to programs ---- */

/* What came for a peer as IP. */
static bool find_packet(const struct exec *exec, struct frame *frame,
                        struct exec_packet *ret_packet)
{
    const uint16_t at = engine_device(exec->engine)->layer == FRAME_IP ? 0 : ETHERNET_HEADER;

    if (frame->len < at + 1u)
        return false;
    if (at && get16(frame->data + 12) != ETH_P_IP && get16(frame->data + 12) != ETH_P_IPV6)
        return false;
    *ret_packet = (struct exec_packet){frame->data + at, frame->len - at, &frame->offload, at};
    return true;
}

static void give(struct exec *exec, const struct rewrite_flow *flow,
                 const struct exec_packet *packet)
{
    const struct frame_offload offload = offload_at(packet, 0);
    const struct iovec part = {packet->data, packet->len};

    if (device_send(exec->devices[flow->side], &part, 1, &offload) < 0)
        exec->send_drops++;
}

/* Nobody is there any more: neither ARP nor pings are answered. */
static bool is_silent(const struct exec *exec, const struct frame *frame)
{
    struct packet parsed;

    if (exec->silent.count == 0)
        return false;
    (void)packet_parse(frame->data, frame->len, engine_device(exec->engine)->layer, &parsed);
    const int64_t peer = addr_set_find(exec->peers, &parsed.dst);
    return peer >= 0 && bits_have(&exec->silent, (uint64_t)peer);
}

static bool on_arrive(void *user, struct frame *frame)
{
    struct exec *exec = user;
    struct exec_packet packet;
    struct rewrite_flow *flow = NULL;
    uint8_t quote[QUOTE_BYTES];
    int status = -ENOENT;

    if (find_packet(exec, frame, &packet)) {
        const struct rewrite_packet raw = {packet.data, packet.len, packet.offload, packet.before};
        if (exec->manners)
            memcpy(quote, packet.data, MIN(packet.len, sizeof(quote)));
        status = rewrite_in(exec->rewrite, &raw, engine_now_ns(exec->engine), &flow);
    }
    if (status == 0 && (!flow->user || manners_receive(exec, flow, &packet, quote)))
        give(exec, flow, &packet);
    if (status != 0 && status != -ESHUTDOWN && !is_silent(exec, frame))
        return false;
    frame_put(frame);
    return true;
}

/* ---- flows ---- */

static bool on_allowed(void *user, const struct peer_addr *to)
{
    struct exec *exec = user;

    if (!exec->allowed)
        return true;
    if (!exec->allowed(exec->user, to))
        return false;
    note_target(exec, to);
    return true;
}

static void on_begun(void *user, struct rewrite_flow *flow)
{
    struct exec *exec = user;

    (void)bits_add(&exec->used, flow->peer_index);
    bits_remove(&exec->silent, flow->peer_index);
    if (exec->manners)
        manners_begun(exec, flow);
}

static void on_ended(void *user, struct rewrite_flow *flow)
{
    if (flow->user)
        manners_ended(user, flow);
}

/* Manners look at the first fragment, which comes after this: without it this is nothing. */
static void on_late(void *user, struct rewrite_flow *flow, uint8_t *data, size_t len)
{
    struct frame_offload none = {0};

    give(user, flow, &(struct exec_packet){data, (uint32_t)len, &none, 0});
}

static void count_unfinished(void *user, struct rewrite_flow *flow)
{
    struct exec_unfinished *unfinished = user;

    if (flow->protocol != IPPROTO_TCP || flow->state == REWRITE_CLOSING)
        return;
    unfinished->flows++;
    unfinished->packets += flow->packets_out + flow->packets_in;
}

void exec_get_unfinished(struct exec *exec, struct exec_unfinished *ret_unfinished)
{
    *ret_unfinished = (struct exec_unfinished){0};
    rewrite_each(exec->rewrite, count_unfinished, ret_unfinished);
}

/* ---- birth and death ---- */

struct rewrite_side exec_slice(uint64_t peers, unsigned side, unsigned side_count)
{
    const uint64_t each = peers / side_count, more = peers % side_count;

    if (each == 0)
        return (struct rewrite_side){side % peers, 1};
    return (struct rewrite_side){side * each + MIN(side, more), each + (side < more)};
}

static int make_rewrite(struct exec *exec, const struct exec_config *config)
{
    struct rewrite_side *sides = calloc(config->side_count, sizeof(*sides));
    const struct rewrite_config rewrite = {.peers = config->peers,
                                           .sides = sides,
                                           .side_count = config->side_count,
                                           .spread = config->spread,
                                           .timers = engine_timers(config->engine),
                                           .seed = config->seed,
                                           .max_flows = config->max_flows,
                                           .localhost = config->localhost,
                                           .allowed = on_allowed,
                                           .begun = on_begun,
                                           .ended = on_ended,
                                           .late = on_late,
                                           .user = exec};

    for (unsigned i = 0; sides && i < config->side_count; i++)
        sides[i] = crew_slice(config, i);
    int status = sides ? rewrite_new(&rewrite, &exec->rewrite) : -ENOMEM;
    free(sides);
    return status;
}

/* One device is waited for as it is; several by a descriptor that is ready when one of them is,
   which costs those who send a little more. */
static int watch_devices(struct exec *exec)
{
    if (exec->side_count == 1 && !exec->crew)
        return 0;
    exec->ready = epoll_create1(EPOLL_CLOEXEC);
    if (exec->ready < 0)
        return -errno;
    struct epoll_event passed = {.events = EPOLLIN, .data.u32 = OF_CREW};
    if (exec->crew && epoll_ctl(exec->ready, EPOLL_CTL_ADD, crew_fd(exec->crew), &passed) < 0)
        return -errno;
    for (unsigned i = 0; i < exec->side_count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        const int fd = device_fd(exec->devices[i]);
        if (!crew_reads(exec->crew, i))
            continue;
        if (epoll_ctl(exec->ready, EPOLL_CTL_ADD, fd, &event) < 0)
            return -errno;
    }
    return 0;
}

static int start(struct exec *exec, const struct exec_config *config)
{
    struct engine_transit transit = {.arrive = on_arrive, .move = on_move, .user = exec};

    if (!exec->devices)
        return -ENOMEM;
    memcpy(exec->devices, config->devices, config->side_count * sizeof(struct device *));
    exec->frame = frame_get(engine_frames(exec->engine), FRAME_LARGE_BYTES);
    int status = exec->frame ? make_rewrite(exec, config) : -ENOMEM;
    if (status == 0 && config->crew.all)
        status = crew_new(exec, config);
    if (status == 0 && (config->manner_count > 0 || config->roam_ns))
        status = manners_new(exec, config);
    if (status == 0)
        status = watch_devices(exec);
    transit.fd = exec->ready < 0 ? device_fd(exec->devices[0]) : exec->ready;
    return status < 0 ? status : engine_set_transit(exec->engine, &transit);
}

int exec_new(const struct exec_config *config, struct exec **ret_exec)
{
    struct exec *exec = calloc(1, sizeof(*exec));
    if (exec) {
        *exec = (struct exec){
            .engine = config->engine,
            .peers = config->peers,
            .first_mac = config->first_mac,
            .devices = calloc(config->side_count, sizeof(struct device *)),
            .side_count = config->side_count,
            .ready = -1,
            .allowed = config->allowed,
            .refused = config->refused,
            .crowded = config->crowded,
            .user = config->user,
        };
    }
    int status = exec ? start(exec, config) : -ENOMEM;
    if (!exec || !exec->devices) {
        for (unsigned i = 0; i < config->side_count; i++)
            device_free(config->devices[i]);
    }
    if (status < 0)
        exec_free(exec);
    else
        *ret_exec = exec;
    return status;
}

struct exec *exec_free(struct exec *exec)
{
    if (!exec)
        return NULL;
    engine_set_transit(exec->engine, NULL);
    rewrite_free(exec->rewrite);
    manners_free(exec);
    crew_free(exec);
    frame_put(exec->frame);
    for (unsigned i = 0; exec->devices && i < exec->side_count; i++)
        device_free(exec->devices[i]);
    if (exec->ready >= 0)
        close(exec->ready);
    bits_done(&exec->used);
    bits_done(&exec->silent);
    free(exec->devices);
    free(exec);
    return NULL;
}

void exec_get_stats(const struct exec *exec, struct exec_stats *ret_stats)
{
    *ret_stats = (struct exec_stats){.peers = exec->used.count,
                                     .prohibited = exec->prohibited,
                                     .begun = manners_begun_count(exec),
                                     .send_drops = exec->send_drops,
                                     .passed = crew_passed(exec->crew)};
    rewrite_get_stats(exec->rewrite, &ret_stats->flows);
}
