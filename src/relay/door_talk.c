/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A door's client while it is talking, and a joined entry that is guarded: its owner has a say in
 * every byte, so that request may follow request, each to another application perhaps. Bytes of a
 * client that do not pass lie in `talk`, in front of those that are still in its socket.
 */
#include "relay/door.h"

#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- talking ---- */

static bool make_talk(struct door_entry *entry)
{
    return entry->talk || (entry->talk = malloc(DOOR_TALK));
}

/* False: it is not talking any more, or has nothing more to say now. */
static bool hear(struct door_entry *entry)
{
    char *talk = entry->talk;

    size_t taken = entry->talk_len ? entry->ops->bytes(entry, talk, entry->talk_len) : 0;
    if (entry->phase == DOOR_OVER)
        return false;
    entry->talk_len -= taken;
    memmove(talk, talk + taken, entry->talk_len);
    if (entry->phase == DOOR_JOINED) { /* door_go_on: what is left belongs to the request */
        door_pass_talk(entry);
        return false;
    }
    return taken && entry->phase == DOOR_TALKING && !entry->paused && entry->talk_len;
}

static void end_of_talk(struct door_entry *entry, int code)
{
    if (code)
        door_end(entry, DOOR_CLIENT_RESET);
    else if (entry->ops->said_all)
        entry->ops->said_all(entry);
    else
        door_finish(entry, DOOR_CLOSED);
}

void door_talk(struct door_entry *entry)
{
    struct join *join = &entry->join;

    if (!entry->ops->bytes || entry->paused)
        return;
    if (entry->unheard) {
        entry->unheard = false;
        while (hear(entry))
            ;
    }
    if (entry->phase != DOOR_TALKING || entry->paused)
        return;
    if (join->state.client_eof) {
        end_of_talk(entry, 0);
        return;
    }
    if (!join->readable)
        return;
    if (!make_talk(entry)) {
        door_reset(entry, DOOR_FAILED);
        return;
    }
    size_t room = DOOR_TALK - entry->talk_len;
    ssize_t len = room ? recv(join->fd, entry->talk + entry->talk_len, room, MSG_DONTWAIT) : 0;
    if (len > 0) {
        entry->talk_len += (size_t)len;
        join->readable = (size_t)len == room || join->hangup;
        while (hear(entry))
            ;
        if (entry->phase == DOOR_TALKING && join->readable)
            door_queue(entry);
        return;
    }
    if (!room) { /* its owner takes nothing of all that */
        door_reset(entry, DOOR_FAILED);
        return;
    }
    join->readable = false;
    if (len == 0 || (errno != EAGAIN && errno != EINTR))
        end_of_talk(entry, len == 0 ? 0 : errno);
    else if (errno == EINTR)
        door_queue(entry);
}

/* ---- guarded ---- */

static struct door_entry *entry_of(struct join *join)
{
    return (struct door_entry *)(void *)((char *)join - offsetof(struct door_entry, join));
}

/* Of what was read the rest is kept: it is read by DOOR_TALK bytes only while nothing is kept. */
static size_t to_flow(struct join *join, const char *data, size_t len)
{
    struct door_entry *entry = entry_of(join);
    const size_t passes = entry->ops->to_flow(entry, data, len);

    if (passes == len)
        return len;
    if (!make_talk(entry)) {
        join->state.error = ENOMEM;
        return passes;
    }
    memcpy(entry->talk, data + passes, len - passes);
    entry->talk_len = len - passes;
    return passes;
}

static size_t to_client(struct join *join, const char *data, size_t len)
{
    struct door_entry *entry = entry_of(join);
    return entry->ops->to_client(entry, data, len);
}

static void free_talk(struct door_entry *entry)
{
    free(entry->talk);
    entry->talk = NULL;
    entry->talk_len = 0;
}

void door_pass_talk(struct door_entry *entry)
{
    struct join *join = &entry->join;
    const size_t len = entry->talk_len;

    const size_t passes = len && join->gate ? entry->ops->to_flow(entry, entry->talk, len) : len;
    if (door_say(entry, entry->talk, passes) < 0) {
        door_reset(entry, DOOR_FAILED);
        return;
    }
    entry->talk_len = len - passes;
    join->in_closed = passes < len;
    if (!entry->talk_len)
        free_talk(entry);
    else
        memmove(entry->talk, entry->talk + passes, entry->talk_len);
}

void door_guard(struct door_entry *entry, bool guarded)
{
    static const struct join_gate gate = {to_flow, to_client};

    join_set_gate(&entry->join, guarded ? &gate : NULL);
    if (!guarded && entry->phase == DOOR_JOINED)
        door_pass_talk(entry);
    door_queue(entry);
}

bool door_passed(const struct door_entry *entry)
{
    return !entry->join.judged;
}

void door_pass_end(struct door_entry *entry)
{
    const struct join_state *state = &entry->join.state;

    if (state->client_eof && !state->flow_shut && !entry->talk_len && state->end == PEER_END_NONE &&
        !entry->join.to_flow)
        join_shut_flow(&entry->join);
}

bool door_flow_ended(const struct door_entry *entry)
{
    const struct join *join = &entry->join;

    return (join->state.flow_eof || join->state.end != PEER_END_NONE) && !join->judged &&
           (join->out_closed || !join->flow_news);
}

/* What nobody has asked for makes it useless for what comes. */
static bool is_kept(struct door_entry *entry)
{
    struct iovec iov;

    if (!entry->join.flow)
        return false;
    if (!entry->join.state.flow_shut && peer_flow_peek(entry->join.flow, &iov, 1) == 0)
        return true;
    door_let_go(entry);
    return false;
}

bool door_go_on(struct door_entry *entry, const void *data, size_t len)
{
    if (!is_kept(entry))
        return false;
    entry->phase = DOOR_JOINED;
    join_hold(&entry->join, false);
    door_guard(entry, true);
    if (door_say(entry, data, len) < 0)
        door_reset(entry, DOOR_FAILED);
    return true;
}

void door_let_go(struct door_entry *entry)
{
    struct join *join = &entry->join;

    if (join->flow && join->state.end == PEER_END_NONE)
        peer_flow_close(join->flow);
    join->flow = peer_flow_free(join->flow);
    join_set_flow(join, NULL, false);
    join_hold(join, false);
}

void door_look_kept(struct door_entry *entry)
{
    if (entry->join.state.flow_eof || entry->join.state.end != PEER_END_NONE)
        door_let_go(entry);
}

void door_talk_again(struct door_entry *entry)
{
    entry->phase = DOOR_TALKING;
    entry->unheard = entry->talk_len > 0;
    entry->paused = false;
    join_hold(&entry->join, true);
    door_look_kept(entry);
    door_queue(entry);
}
