/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: whatever happens to an entry is noted in it, and its task queued; the task does
 * the work, a bounded piece in a turn, so that one client with much to say does not keep the others
 * waiting. An entry ends in one place (`end`), and its memory goes when the turn is over.
 *
 * How clients come in is in door_accept.c.
 */
#include "relay/door.h"

#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RESERVED_FDS = 64 }; /* of others: devices, namespaces, standard streams */

static const char *const end_texts[] = {
    [DOOR_OPEN] = "open",
    [DOOR_CLOSED] = "closed",
    [DOOR_REFUSED] = "refused",
    [DOOR_RESET] = "reset by the application",
    [DOOR_CLIENT_RESET] = "reset by the client",
    [DOOR_TIMEOUT] = "timed out",
    [DOOR_UNREACHABLE] = "unreachable",
    [DOOR_FAILED] = "failed here",
    [DOOR_EXPIRED] = "silent for too long",
    [DOOR_TURNED_AWAY] = "turned away",
};

const char *door_end_text(enum door_end end)
{
    return end_texts[end];
}

/* ---- entries ---- */

void door_queue(struct door_entry *entry)
{
    loop_queue(entry->door->loop, &entry->task);
}

static void free_entry(struct loop_task *task)
{
    struct door_entry *entry = container_of(task, struct door_entry, task);

    free(entry->talk);
    free(entry);
}

void door_end(struct door_entry *entry, enum door_end how)
{
    struct door *door = entry->door;

    if (entry->phase == DOOR_OVER)
        return;
    entry->phase = DOOR_OVER;
    if (entry->end == DOOR_OPEN)
        entry->end = how;
    if (entry->ops->ended)
        entry->ops->ended(entry);
    door->stats.ends[entry->end]++;
    door->stats.open--;
    if (door->lobby)
        lobby_left(door->lobby, door->member);
    door->stats.bytes_sent += entry->join.state.sent;
    door->stats.bytes_received += entry->join.state.received;
    loop_cancel_timer(door->loop, &entry->deadline);
    join_done(&entry->join); /* nobody else has the descriptor, so this takes it off the epoll */
    *entry->link = entry->next;
    if (entry->next)
        entry->next->link = entry->link;
    loop_bury(door->loop, &entry->task);
    door_accept_again(door);
}

static enum door_end end_of_flow(enum peer_end end)
{
    static const enum door_end ends[] = {
        [PEER_END_NONE] = DOOR_OPEN,       [PEER_END_CLOSED] = DOOR_CLOSED,
        [PEER_END_REFUSED] = DOOR_REFUSED, [PEER_END_RESET] = DOOR_RESET,
        [PEER_END_TIMEOUT] = DOOR_TIMEOUT, [PEER_END_UNREACHABLE] = DOOR_UNREACHABLE,
        [PEER_END_LOCAL] = DOOR_RESET,     [PEER_END_DEVICE] = DOOR_RESET,
        [PEER_END_TARGET] = DOOR_UNREACHABLE,
    };
    return ends[end];
}

static enum door_end end_of_socket(const struct door_entry *entry, int code)
{
    if (entry->join.state.called)
        return DOOR_CLIENT_RESET;
    switch (code) {
    case ECONNREFUSED:
    case ENOENT:
        return DOOR_REFUSED;
    case ETIMEDOUT:
        return DOOR_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
        return DOOR_UNREACHABLE;
    default:
        return DOOR_FAILED;
    }
}

static void end_of_join(struct door_entry *entry)
{
    const struct join_state *state = &entry->join.state;

    if (state->error)
        door_end(entry, end_of_socket(entry, state->error));
    else
        door_end(entry, state->end == PEER_END_NONE ? DOOR_CLOSED : end_of_flow(state->end));
}

/* ---- events ---- */

static void run(struct loop_task *task)
{
    struct door_entry *entry = container_of(task, struct door_entry, task);

    if (entry->phase == DOOR_TALKING)
        door_talk(entry);
    if (entry->phase == DOOR_OVER)
        return;
    bool more = join_move(&entry->join);
    if (entry->join.state.over) {
        end_of_join(entry);
        return;
    }
    if (more)
        door_queue(entry);
    if (entry->phase == DOOR_JOINED && entry->join.gate && entry->ops->moved)
        entry->ops->moved(entry);
}

static void both_are_there(struct door_entry *entry)
{
    entry->phase = DOOR_JOINED;
    entry->door->stats.opened++;
    if (entry->ops->connected)
        entry->ops->connected(entry);
    if (entry->phase == DOOR_JOINED)
        door_pass_talk(entry);
}

static void on_fd(struct loop_fd *fd, uint32_t events)
{
    struct door_entry *entry = container_of(fd, struct door_entry, fd);
    bool called = entry->join.state.called;

    join_ready(&entry->join, events);
    if (!called && entry->join.state.called)
        both_are_there(entry);
    if (entry->phase != DOOR_OVER)
        door_queue(entry);
}

static void flow_failed(struct door_entry *entry, const struct peer_event *event)
{
    entry->join.flow = peer_flow_free(entry->join.flow);
    join_set_flow(&entry->join, NULL, false);
    entry->phase = DOOR_TALKING;
    entry->paused = true;
    enum door_end how = end_of_flow(event->end);
    if (entry->ops->failed)
        entry->ops->failed(entry, event);
    if (entry->phase == DOOR_TALKING && entry->paused)
        door_reset(entry, how);
}

static void on_flow(struct loop_flow *flow, const struct peer_event *event)
{
    struct door_entry *entry = container_of(flow, struct door_entry, flow);

    if (entry->phase == DOOR_OVER)
        return;
    if (event->type == PEER_EVENT_CLOSED && entry->phase == DOOR_CALLING &&
        entry->join.state.called) {
        flow_failed(entry, event);
        return;
    }
    join_take(&entry->join, event);
    if (event->type == PEER_EVENT_CONNECTED)
        both_are_there(entry);
    else if (entry->phase == DOOR_TALKING && entry->join.flow)
        door_look_kept(entry);
    if (entry->phase != DOOR_OVER)
        door_queue(entry);
}

static void on_deadline(struct loop_timer *timer)
{
    struct door_entry *entry = container_of(timer, struct door_entry, deadline);

    if (entry->phase == DOOR_LEAVING) {
        entry->join.state.over = true; /* it is closed, not reset */
        door_end(entry, DOOR_CLOSED);
    } else if (entry->ops->expired)
        entry->ops->expired(entry);
    else
        door_reset(entry, DOOR_EXPIRED);
}

/* ---- beginnings ---- */

struct door_entry *door_entry_new(struct door *door, const struct door_ops *ops, void *user)
{
    size_t bytes = ops->entry_bytes ? ops->entry_bytes : sizeof(struct door_entry);
    struct door_entry *entry = calloc(1, bytes);
    if (!entry)
        return NULL;
    entry->door = door;
    entry->ops = ops;
    entry->user = user;
    entry->began_ns = loop_now_ns(door->loop);
    entry->fd.ready = on_fd;
    entry->flow.event = on_flow;
    entry->task.run = run;
    entry->task.free = free_entry;
    entry->deadline.fire = on_deadline;
    entry->next = door->entries;
    entry->link = &door->entries;
    if (entry->next)
        entry->next->link = &entry->next;
    door->entries = entry;
    door->stats.accepted++;
    if (++door->stats.open > door->stats.open_most)
        door->stats.open_most = door->stats.open;
    return entry;
}

void door_set_socket(struct door_entry *entry, int fd, bool called, bool local)
{
    const struct join_config config = {
        .net = loop_net(entry->door->loop),
        .fd = fd,
        .called = called,
        .local = local,
        .scratch = &entry->door->scratch,
    };

    join_init(&entry->join, &config);
    entry->fd.fd = fd;
}

static void call_fails(struct door_entry *entry, int code)
{
    entry->join.state.error = code;
    door_end(entry, end_of_socket(entry, code));
}

void door_call(struct door *door, struct peer_flow *flow, const struct place *to,
               const struct door_ops *ops, void *user)
{
    struct door_entry *entry = door_entry_new(door, ops, user);
    bool called = false;

    if (!entry) {
        peer_flow_free(flow);
        return;
    }
    if (door->lobby)
        lobby_enter(door->lobby, door->member);
    int fd = place_connect(to, false, &called);
    entry->client = *to;
    entry->phase = DOOR_CALLING;
    door_set_socket(entry, fd, called, !to->addr.family);
    peer_flow_set_user(flow, &entry->flow);
    join_set_flow(&entry->join, flow, true);
    if (ops->accepted)
        ops->accepted(entry);
    if (entry->phase == DOOR_OVER)
        return;
    int status = fd < 0 ? fd : loop_add(door->loop, &entry->fd, DOOR_EVENTS);
    if (status < 0) {
        call_fails(entry, -status);
        return;
    }
    if (called)
        both_are_there(entry);
    if (entry->phase != DOOR_OVER)
        door_queue(entry);
}

/* ---- what owners do ---- */

static int connect_flow(struct door_entry *entry, const struct peer_connect_config *config)
{
    struct peer_connect_config own = *config;
    struct peer_flow *flow;

    own.user = &entry->flow;
    int status = peer_connect(loop_net(entry->door->loop), &own, &flow, NULL);
    if (status < 0)
        return status;
    join_set_flow(&entry->join, flow, false);
    entry->phase = DOOR_CALLING;
    door_queue(entry);
    return 0;
}

int door_connect(struct door_entry *entry, const struct peer_connect_config *config)
{
    if (entry->phase != DOOR_TALKING)
        return -EINVAL;
    return connect_flow(entry, config);
}

int door_answer(struct door_entry *entry, const void *data, size_t len)
{
    door_queue(entry);
    return join_put_to_client(&entry->join, data, len);
}

int door_say(struct door_entry *entry, const void *data, size_t len)
{
    return join_put_to_flow(&entry->join, data, len);
}

void door_pause(struct door_entry *entry, bool paused)
{
    entry->paused = paused;
    door_queue(entry);
}

void door_finish(struct door_entry *entry, enum door_end how)
{
    if (entry->phase == DOOR_OVER)
        return;
    entry->join.flow = peer_flow_free(entry->join.flow);
    join_set_flow(&entry->join, NULL, false);
    join_finish(&entry->join);
    entry->phase = DOOR_LEAVING;
    entry->end = how;
    door_set_deadline(entry, loop_now_ns(entry->door->loop) + DOOR_LEAVE_NS);
    door_queue(entry);
}

void door_close(struct door_entry *entry, enum door_end how)
{
    if (entry->phase == DOOR_OVER)
        return;
    join_close(&entry->join);
    door_end(entry, how);
}

void door_reset(struct door_entry *entry, enum door_end how)
{
    if (entry->phase == DOOR_OVER)
        return;
    join_abort(&entry->join);
    door_end(entry, how);
}

void door_set_deadline(struct door_entry *entry, uint64_t at_ns)
{
    struct loop *loop = entry->door->loop;

    if (!at_ns)
        loop_cancel_timer(loop, &entry->deadline);
    else if (loop_set_timer(loop, &entry->deadline, at_ns) < 0)
        door_reset(entry, DOOR_FAILED);
}

/* ---- the door ---- */

int door_new(const struct door_config *config, struct door **ret_door)
{
    struct door *door = calloc(1, sizeof(*door));
    if (!door)
        return -ENOMEM;
    door->loop = config->loop;
    door->most = config->most;
    int status = door_accept_init(door, config);
    if (status < 0)
        free(door);
    else
        *ret_door = door;
    return status;
}

struct door *door_free(struct door *door)
{
    if (!door)
        return NULL;
    door_stop_listening(door);
    while (door->entries)
        door_close(door->entries, DOOR_CLOSED);
    door_accept_done(door);
    loop_turn(door->loop); /* what was buried is freed */
    free(door);
    return NULL;
}

uint64_t door_raise_limit(unsigned each)
{
    struct rlimit limit = {0};

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        const struct rlimit all = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &all) == 0)
            limit = all;
    }
    return limit.rlim_cur > RESERVED_FDS ? (limit.rlim_cur - RESERVED_FDS) / each : 0;
}

void door_get_stats(const struct door *door, struct door_stats *ret_stats)
{
    *ret_stats = door->stats;
    for (const struct door_entry *entry = door->entries; entry; entry = entry->next) {
        ret_stats->bytes_sent += entry->join.state.sent;
        ret_stats->bytes_received += entry->join.state.received;
    }
}
