/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See engine.h for the order of an iteration.
 *
 * Wires: when a link is impaired every frame is cut to real size first and goes through the wire of
 * its peer, in both directions; else frames go straight.
 *
 * Time: a frame keeps the time at which it was read, and one that is sent has the time at which it
 * is written, read for each, since the kernel works on the one before for longer than all else
 * takes. Latencies and captures tell these times. The present never goes back, also while frames
 * that were read earlier wait their turn.
 */
#include "engine/internal.h"

#include "base/macro.h"
#include "packet/segment.h"
#include "stack/stack.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A link keeps a frame for so long, or longer than is waited for. */
#define SECRETS_LATE_NS (2 * NS_PER_S)
enum { ROUNDS = 64, TIMERS_AT_ONCE = 1024 };
/* How often somebody busy looks at what is watched; in a loop of others, that is woken by it. */
#define LOOK_NS        (2 * NS_PER_MS)
#define LOOK_OTHERS_NS NS_PER_MS

uint64_t engine_clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t engine_wall_ns(const struct engine *engine)
{
    return engine->clocked ? engine_clock_ns(CLOCK_REALTIME) : engine->now_ns;
}

void engine_set_now(struct engine *engine, uint64_t now_ns)
{
    engine->now_ns = now_ns;
    stack_set_now(engine->stack, now_ns);
    flows_set_now(&engine->flows, now_ns);
}

/* ---- frames out ---- */

void engine_refresh_now(struct engine *engine)
{
    if (engine->clocked)
        engine_set_now(engine, engine_clock_ns(CLOCK_MONOTONIC));
}

static void write_frame(struct engine *engine, const struct frame_parts *parts, const char *comment)
{
    engine_refresh_now(engine);
    capture_frame(&engine->capture, engine->now_ns, PCAPNG_INBOUND, parts, comment);
    engine->stats.frames_sent++;
    engine->stats.bytes_sent += iov_total(parts->iov, parts->count);
    (void)device_send(engine->device, parts->iov, parts->count, parts->offload);
}

static void write_put_off(struct engine *engine)
{
    struct outbox *outbox = engine->outbox;

    for (unsigned i = 0; i < outbox->count; i++) {
        const struct outbox_frame *frame = &outbox->frames[i];
        write_frame(engine, &(struct frame_parts){&frame->part, 1, &frame->offload}, NULL);
        if (frame->awaited.flow)
            flow_left(&frame->awaited, frame->since_ns, engine->now_ns);
    }
    outbox->count = 0;
    outbox->used = 0;
}

/* Who waits to hear when this frame leaves. */
static struct flow_awaited take_awaited(struct engine *engine)
{
    const struct flow_awaited awaited = engine->flows.awaited;

    engine->flows.awaited = (struct flow_awaited){.flow = NULL};
    return awaited;
}

static void send_frame(struct engine *engine, const struct frame_parts *parts, const char *comment)
{
    struct outbox *outbox = engine->outbox;
    const struct flow_awaited awaited = take_awaited(engine);
    const uint64_t since_ns = engine->now_ns;

    if (engine->barred_count && bars_stop(engine, parts))
        return;
    if (outbox && outbox->open && !comment && outbox_fits(outbox, parts)) {
        outbox_add(outbox, parts, &awaited, since_ns);
        return;
    }
    if (outbox && outbox->count)
        write_put_off(engine);
    write_frame(engine, parts, comment);
    if (awaited.flow)
        flow_left(&awaited, since_ns, engine->now_ns);
}

void engine_put_off(struct engine *engine)
{
    if (!engine->outbox)
        engine->outbox = calloc(1, sizeof(*engine->outbox));
    if (engine->outbox)
        engine->outbox->open = true;
}

void engine_send_put_off(struct engine *engine)
{
    if (!engine->outbox || !engine->outbox->open)
        return;
    engine->outbox->open = false;
    write_put_off(engine);
}

static void send_real_size(void *user, struct frame *frame)
{
    struct iovec part;
    const struct frame_parts parts = frame_whole(frame, &part);

    send_frame(user, &parts, NULL);
    frame_put(frame);
}

static void send_by_wire(void *user, struct frame *frame)
{
    struct engine *engine = user;

    wires_send(engine->wires, engine->sender, LINK_UPLINK, frame, engine->now_ns);
}

void engine_send(struct engine *engine, uint64_t peer, const struct frame_parts *parts)
{
    if (engine->wires || engine->real_size) {
        engine->sender = peer;
        (void)segment_split(parts, engine->device->layer, &engine->frames,
                            engine->wires ? send_by_wire : send_real_size, engine);
    } else {
        send_frame(engine, parts, NULL);
    }
}

static void on_output(void *user, uint64_t peer, const struct iovec *iov, int count,
                      const struct frame_offload *offload)
{
    engine_send(user, peer, &(struct frame_parts){iov, count, offload});
}

/* ---- wires ---- */

static void on_arrive(void *user, enum link_direction direction, struct frame *frame,
                      const char *comment)
{
    struct engine *engine = user;
    struct iovec part;
    const struct frame_parts parts = frame_whole(frame, &part);

    if (direction == LINK_UPLINK) {
        send_frame(engine, &parts, comment);
        frame_put(frame);
        return;
    }
    capture_frame(&engine->capture, engine->now_ns, PCAPNG_OUTBOUND, &parts, comment);
    receive_frame(engine, frame, engine->now_ns);
}

/* It is in the capture all the same: that is where one looks for it. */
static void on_lost(void *user, enum link_direction direction, const struct frame *frame,
                    const char *comment)
{
    struct engine *engine = user;
    struct iovec part;
    const struct frame_parts parts = frame_whole(frame, &part);

    capture_frame(&engine->capture, engine->now_ns,
                  direction == LINK_UPLINK ? PCAPNG_INBOUND : PCAPNG_OUTBOUND, &parts, comment);
}

static int make_wires(struct engine *engine, const struct link_spec specs[2])
{
    static const struct wires_ops ops = {.arrive = on_arrive, .lost = on_lost};
    struct wires_config config = {
        .ops = &ops,
        .user = engine,
        .timers = &engine->timers,
        .layer = engine->device->layer,
        .seed = engine->seed,
        .specs = {specs[LINK_UPLINK], specs[LINK_DOWNLINK]},
        .comments = engine->capture.pcapng != NULL,
    };
    return wires_new(&config, &engine->wires);
}

struct wires *engine_wires(struct engine *engine)
{
    struct link_spec clear[2];

    link_spec_clear(&clear[LINK_UPLINK]);
    link_spec_clear(&clear[LINK_DOWNLINK]);
    if (!engine->wires)
        (void)make_wires(engine, clear);
    return engine->wires;
}

/* ---- the end ---- */

static bool is_cut_off(const struct engine *engine, const struct flow *flow)
{
    return engine->wires && wires_is_unplugged(engine->wires, flow_peer(flow));
}

bool engine_is_quiet(struct engine *engine)
{
    struct list *node;

    if (engine->wires && !wires_are_idle(engine->wires))
        return false;
    list_each(node, &engine->flows.all)
    {
        if (!is_cut_off(engine, list_entry(node, struct flow, node)))
            return false;
    }
    return true;
}

void engine_reset_flows(struct engine *engine, bool all)
{
    struct list *next;

    for (struct list *node = engine->flows.all.next; node != &engine->flows.all; node = next) {
        struct flow *flow = list_entry(node, struct flow, node);
        next = node->next;
        if (is_cut_off(engine, flow) || flow->state == FLOW_ENDED ||
            (flow->state == FLOW_CLOSING && !all))
            continue;
        if (engine->wires) {
            wires_flush(engine->wires, flow_peer(flow));
            wires_spare(engine->wires);
        }
        flow_reset(flow);
    }
    engine_touch(engine, true);
}

/* No more than there are now: who hears of an end may open another. */
void engine_lose_flows(struct engine *engine)
{
    struct list *node = engine->flows.all.next;

    for (uint64_t left = engine->flows.count; left > 0 && node != &engine->flows.all; left--) {
        struct flow *flow = list_entry(node, struct flow, node);
        node = node->next;
        flow_lose(flow, PEER_END_DEVICE);
    }
    flows_reap(&engine->flows);
}

/* ---- the stack's other calls ---- */

static struct stack_conn *on_accept(void *user, struct stack_listener *listener,
                                    const struct stack_tuple *tuple)
{
    struct engine *engine = user;
    struct flow *flow = engine->accept ? engine->accept(engine->user, listener, tuple) : NULL;

    return flow ? &flow->conn : NULL;
}

static void on_event(void *user, struct stack_conn *conn, unsigned events)
{
    (void)user;
    flows_event(conn, events);
}

static void on_ping(void *user, const struct stack_icmp *icmp)
{
    struct engine *engine = user;

    if (engine->ping)
        engine->ping(engine->user, icmp);
}

static bool on_real_size(void *user, uint64_t peer)
{
    const struct engine *engine = user;

    (void)peer;
    return engine->real_size || engine->wires;
}

/* ---- birth and death ---- */

static int make_stack(struct engine *engine, const struct engine_config *config)
{
    static const struct stack_ops ops = {.output = on_output,
                                         .accept = on_accept,
                                         .event = on_event,
                                         .ping = on_ping,
                                         .real_size = on_real_size};
    struct stack_config stack = {
        .ops = &ops,
        .user = engine,
        .layer = engine->device->layer,
        .mtu = engine->device->mtu,
        .peers = config->peers,
        .first_mac = config->first_mac,
        .local_mac = engine->device->local_mac,
        .broadcast = config->broadcast,
        .any_mac = config->any_mac,
        .frugal = config->frugal,
        .ecn = config->ecn,
        .super_segments = engine->device->offload_tcp && !engine->real_size,
        .udp_segments = engine->device->offload_udp && !engine->real_size,
        .frames = &engine->frames,
        .timers = &engine->timers,
        .seed = config->seed,
        .now_ns = engine->now_ns,
        .utc_ahead_ns = engine->clocked ? engine_clock_ns(CLOCK_REALTIME) - engine->now_ns : 0,
        .max_conns = config->max_flows,
    };
    return stack_new(&stack, &engine->stack);
}

int engine_new(const struct engine_config *config, struct engine **ret_engine)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine) {
        device_free(config->device);
        pcapng_free(config->pcapng);
        return -ENOMEM;
    }
    engine->device = config->device;
    engine->capture.pcapng = config->pcapng;
    engine->real_size = config->real_size;
    engine->accept = config->accept;
    engine->ping = config->ping;
    engine->user = config->user;
    engine->clocked = device_fd(engine->device) >= 0;
    waiter_init(&engine->waiter, device_fd(engine->device));
    engine->now_ns = engine->clocked ? engine_clock_ns(CLOCK_MONOTONIC) : config->now_ns;
    engine->seed = config->seed;
    engine->peers = config->peers;
    frame_pool_init(&engine->frames);
    timers_init(&engine->timers);
    list_init(&engine->flows.all);
    list_init(&engine->flows.dead);

    int status = 0;
    if (!(link_spec_is_clear(&config->links[LINK_UPLINK]) &&
          link_spec_is_clear(&config->links[LINK_DOWNLINK])))
        status = make_wires(engine, config->links);
    if (status == 0)
        status = make_stack(engine, config);
    if (status < 0) {
        engine_free(engine);
        return status;
    }
    flows_init(&engine->flows, engine->stack, &engine->timers);
    engine_set_now(engine, engine->now_ns);
    if (engine->clocked)
        capture_set_wall(&engine->capture, engine->now_ns);
    *ret_engine = engine;
    return 0;
}

void engine_abandon(struct engine *engine)
{
    waiter_done(&engine->waiter);
    pcapng_abandon(engine->capture.pcapng);
    engine->capture = (struct capture){.pcapng = NULL};
}

struct engine *engine_free(struct engine *engine)
{
    if (!engine)
        return NULL;
    /* The last resets go straight: nothing would carry them out of a wire any more. */
    engine->wires = wires_free(engine->wires);
    flows_done(&engine->flows);
    stack_free(engine->stack);
    capture_end(&engine->capture);
    device_free(engine->device);
    timers_done(&engine->timers);
    frame_pool_done(&engine->frames);
    waiter_done(&engine->waiter);
    free(engine->outbox);
    free(engine);
    return NULL;
}

/* ---- the iteration ---- */

static int move_transit(struct engine *engine, int frames)
{
    int moved = engine->transit.move(engine->transit.user);

    return moved < 0 ? moved : frames + moved;
}

static int iterate(struct engine *engine)
{
    int frames = 0;

    if (engine->clocked)
        capture_set_wall(&engine->capture, engine->now_ns);
    for (int round = 0; round < ROUNDS; round++) {
        if (engine->has_secrets)
            capture_begin_round(&engine->capture, engine->now_ns,
                                engine->wires ? SECRETS_LATE_NS : 0);
        frames = receive_frames(engine);
        engine_refresh_now(engine);
        if (engine->transit.move && frames >= 0)
            frames = move_transit(engine, frames);
        int fired = timers_run(&engine->timers, engine->now_ns, TIMERS_AT_ONCE);
        int delivered = stack_deliver(engine->stack);
        engine_send_put_off(engine);
        flows_reap(&engine->flows);
        if (frames < 0)
            return frames;
        if (frames == 0 && fired == 0 && delivered == 0)
            break;
    }
    if (engine->capture.pcapng && frames == 0)
        pcapng_flush(engine->capture.pcapng);
    return 0;
}

int engine_step(struct engine *engine, uint64_t now_ns)
{
    engine_set_now(engine, now_ns);
    return iterate(engine);
}

/* ---- what is watched ---- */

int engine_watch(struct engine *engine, int fd, int (*look)(void *user), void *user)
{
    int status = waiter_watch(&engine->waiter, fd);
    if (status == 0)
        engine->watches[engine->watch_count++] = (struct watch){fd, look, user};
    return status;
}

void engine_unwatch(struct engine *engine, int fd)
{
    waiter_unwatch(&engine->waiter, fd);
    for (int i = 0; i < engine->watch_count; i++) {
        if (engine->watches[i].fd == fd)
            engine->watches[i] = engine->watches[--engine->watch_count];
    }
}

static int look_at_watches(struct engine *engine)
{
    bool others = engine->waiter.epoll_fd >= 0;
    int status = 0;

    engine->waiter.news = false;
    engine->look_ns = engine->now_ns + (others ? LOOK_OTHERS_NS : LOOK_NS);
    for (int i = engine->watch_count - 1; i >= 0; i--) {
        struct pollfd fd = {.fd = engine->watches[i].fd, .events = POLLIN};
        if (poll(&fd, 1, 0) > 0 && status == 0)
            status = engine->watches[i].look(engine->watches[i].user);
    }
    return status;
}

void engine_set_local_mac(struct engine *engine, const struct peer_mac *mac)
{
    engine->device->local_mac = *mac;
    stack_set_local_mac(engine->stack, mac);
}

void engine_set_mtu(struct engine *engine, uint32_t mtu)
{
    engine->device->mtu = mtu;
    stack_set_mtu(engine->stack, mtu);
}

/* When to look next if nothing comes: at the capture's reader too, when something waits for him. */
static uint64_t next_ns(struct engine *engine)
{
    uint64_t timer_ns = timers_next(&engine->timers);
    uint64_t capture_ns = capture_next_ns(&engine->capture, engine->now_ns);

    return MIN(timer_ns, capture_ns);
}

int engine_dispatch(struct engine *engine)
{
    engine->touched = false;
    waiter_clear(&engine->waiter);
    engine_set_now(engine, engine_clock_ns(CLOCK_MONOTONIC));
    int status = 0;
    if (engine->waiter.news || engine->now_ns >= engine->look_ns)
        status = look_at_watches(engine);
    if (status == 0)
        status = iterate(engine);
    waiter_set(&engine->waiter, engine->now_ns, next_ns(engine));
    return status;
}

void engine_touch(struct engine *engine, bool now)
{
    engine->touched |= now || stack_pending(engine->stack);
    waiter_set(&engine->waiter, engine->now_ns, engine->touched ? 0 : next_ns(engine));
}

/* How long there is nothing to do but for what comes from outside. */
static uint64_t idle_ns(struct engine *engine, uint64_t now_ns, uint64_t most_ns)
{
    uint64_t at_ns = next_ns(engine);

    if (engine->touched || at_ns <= now_ns || engine->device->again)
        return 0;
    return at_ns == TIMER_NEVER ? most_ns : MIN(at_ns - now_ns, most_ns);
}

int engine_wait(struct engine *engine, struct pollfd *fds, size_t count, uint64_t timeout_ns)
{
    uint64_t now_ns = engine_clock_ns(CLOCK_MONOTONIC);
    int status =
        waiter_wait(&engine->waiter, fds, count, now_ns, idle_ns(engine, now_ns, timeout_ns));

    return status < 0 ? status : engine_dispatch(engine);
}

int engine_set_transit(struct engine *engine, const struct engine_transit *transit)
{
    static const struct engine_transit none = {.fd = -1};
    const struct engine_transit *next = transit ? transit : &none;
    int status = waiter_set_second(&engine->waiter, next->fd);

    if (status == 0)
        engine->transit = *next;
    return status;
}

int engine_fd(struct engine *engine)
{
    int fd = waiter_fd(&engine->waiter);

    if (fd >= 0)
        engine_touch(engine, false);
    return fd;
}

uint64_t engine_next_ns(struct engine *engine)
{
    return timers_next(&engine->timers);
}

uint64_t engine_now_ns(const struct engine *engine)
{
    return engine->now_ns;
}

uint64_t engine_now_fresh_ns(struct engine *engine)
{
    engine_refresh_now(engine);
    return engine->now_ns;
}

void engine_expect_secrets(struct engine *engine)
{
    engine->has_secrets = true;
}

bool engine_captures(const struct engine *engine)
{
    return engine->capture.pcapng;
}

void engine_note_secret(struct engine *engine, const char *line)
{
    capture_secret(&engine->capture, line);
}

void engine_end_capture(struct engine *engine)
{
    capture_end(&engine->capture);
    if (engine->wires)
        wires_set_comments(engine->wires, false);
}

int engine_capture_fd(const struct engine *engine)
{
    return engine->capture.pcapng ? pcapng_fd(engine->capture.pcapng) : -1;
}

struct pcapng *engine_take_capture(struct engine *engine)
{
    struct pcapng *pcapng = engine->capture.pcapng;

    engine->capture = (struct capture){.pcapng = NULL};
    return pcapng;
}

int engine_wait_too(struct engine *engine, int fd)
{
    return waiter_set_second(&engine->waiter, fd);
}

void engine_set_capture(struct engine *engine, struct pcapng *pcapng)
{
    engine_end_capture(engine);
    engine->capture = (struct capture){.pcapng = pcapng};
    if (engine->wires)
        wires_set_comments(engine->wires, pcapng != NULL);
    if (engine->clocked)
        capture_set_wall(&engine->capture, engine->now_ns);
}

struct stack *engine_stack(struct engine *engine)
{
    return engine->stack;
}

struct flows *engine_flows(struct engine *engine)
{
    return &engine->flows;
}

struct frame_pool *engine_frames(struct engine *engine)
{
    return &engine->frames;
}

struct timers *engine_timers(struct engine *engine)
{
    return &engine->timers;
}

struct device *engine_device(struct engine *engine)
{
    return engine->device;
}

void engine_get_stats(const struct engine *engine, struct engine_stats *ret_stats)
{
    *ret_stats = engine->stats;
    ret_stats->spun_ns = engine->waiter.spun_ns;
    if (engine->wires) {
        ret_stats->links[LINK_UPLINK] = *wires_counters(engine->wires, LINK_UPLINK);
        ret_stats->links[LINK_DOWNLINK] = *wires_counters(engine->wires, LINK_DOWNLINK);
    }
    capture_get_counts(&engine->capture, &ret_stats->pcap_error, &ret_stats->pcap_frames,
                       &ret_stats->pcap_dropped);
}
