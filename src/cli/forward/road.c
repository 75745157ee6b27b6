/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How one connection or one session of datagrams begins, and what became of it, in words: with -v a
 * line for each, else the first failure of each kind, since a crowd may have the same one.
 */
#include "forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One connection. */
struct passage {
    struct door_entry entry;
    struct peer_flow_info flow; /* with -v, while its addresses are known */
};

static struct road *road_of(const struct door_entry *entry)
{
    return entry->user;
}

const char *where_to(const struct way *way, char buf[PLACE_TEXT])
{
    if (way->reverse)
        return place_format(&way->to_place, buf);
    return peer_endpoint_format(&way->to.addr, way->to.port, buf);
}

/* ---- failures ---- */

static void tell(const struct road *road, _Atomic bool *told, const char *what, const char *more)
{
    char where[PLACE_TEXT];

    if (!more && road->forward->options->common.verbose) /* that has a line of its own */
        return;
    if (atomic_exchange(told, true))
        return;
    say("%s: %s%s%s%s; further ones are counted", where_to(road->way, where), what,
        more ? " (" : "", more ? more : "", more ? ")" : "");
}

static void tell_end(struct road *road, enum door_end end, const char *more)
{
    char trace[TRACE_COMMAND];

    if (end == DOOR_TIMEOUT && !road->way->reverse)
        more = trace_command(&road->forward->options->common, &road->way->to, trace);
    tell(road, &road->forward->shared->told[end], door_end_text(end), more);
}

static enum door_end end_of(enum peer_end end)
{
    return end == PEER_END_REFUSED   ? DOOR_REFUSED
           : end == PEER_END_TIMEOUT ? DOOR_TIMEOUT
           : end == PEER_END_RESET   ? DOOR_RESET
                                     : DOOR_UNREACHABLE;
}

/* ---- connections ---- */

static void note_flow(struct door_entry *entry)
{
    struct passage *passage = (struct passage *)(void *)entry;
    const struct common_options *common = &road_of(entry)->forward->options->common;

    if (common->verbose)
        peer_flow_get_info(entry->join.flow, &passage->flow);
    if (common->timeout_ns)
        door_set_deadline(entry, entry->began_ns + common->timeout_ns);
}

static void on_accepted(struct door_entry *entry)
{
    struct road *road = road_of(entry);

    int status = door_connect(entry, &road->to);
    if (status == 0) {
        note_flow(entry);
        return;
    }
    tell_end(road, DOOR_FAILED,
             status == -EADDRINUSE ? "no port of a peer is free" : strerror(-status));
    door_reset(entry, DOOR_FAILED);
}

static void on_failed(struct door_entry *entry, const struct peer_event *event)
{
    struct road *road = road_of(entry);
    enum door_end end = end_of(event->end);
    char icmp[64];

    tell_end(road, end,
             event->end == PEER_END_UNREACHABLE
                 ? icmp_text(event->icmp_from.family, event->icmp_type, event->icmp_code, icmp)
                 : NULL);
    if (road->forward->options->accept_first)
        door_finish(entry, end);
}

/* Nothing came or went for so long? */
static void on_expired(struct door_entry *entry)
{
    struct forward *forward = road_of(entry)->forward;
    uint64_t until_ns = entry->join.state.active_ns + forward->options->common.timeout_ns;

    if (entry->phase == DOOR_CALLING) /* the flow has the same time, and says what is amiss */
        until_ns = loop_now_ns(forward->loop) + forward->options->common.timeout_ns;
    if (until_ns > loop_now_ns(forward->loop))
        door_set_deadline(entry, until_ns);
    else
        door_close(entry, DOOR_EXPIRED);
}

static void say_passage(const struct passage *passage, const struct road *road)
{
    const struct door_entry *entry = &passage->entry;
    const struct peer_flow_info *flow = &passage->flow;
    char client[PLACE_TEXT], peer[PEER_ENDPOINT_TEXT], to[PLACE_TEXT], sent[32], received[32],
        took[32];

    if (road->way->reverse)
        peer_endpoint_format(&flow->to, flow->to_port, client);
    else
        place_format(&entry->client, client);
    say("%s, %s %s, to %s: %s after %s, %s sent, %s received", client,
        road->way->reverse ? "to" : "from",
        flow->from.family ? peer_endpoint_format(&flow->from, flow->from_port, peer) : "no peer",
        where_to(road->way, to), door_end_text(entry->end),
        format_time(loop_now_ns(road->forward->loop) - entry->began_ns, took),
        format_bytes(entry->join.state.sent, sent),
        format_bytes(entry->join.state.received, received));
}

static void on_ended(struct door_entry *entry)
{
    struct road *road = road_of(entry);

    if (road->way->reverse && !entry->join.state.called)
        tell_end(road, entry->end,
                 entry->join.state.error ? strerror(entry->join.state.error) : NULL);
    if (road->forward->options->common.verbose)
        say_passage((const struct passage *)(const void *)entry, road);
}

static const struct door_ops forward_ops = {
    .entry_bytes = sizeof(struct passage),
    .accepted = on_accepted,
    .failed = on_failed,
    .expired = on_expired,
    .ended = on_ended,
};
static const struct door_ops reverse_ops = {
    .entry_bytes = sizeof(struct passage),
    .accepted = note_flow,
    .expired = on_expired,
    .ended = on_ended,
};

/* ---- datagrams ---- */

static void on_session_opened(struct datagram_session *session)
{
    const struct road *road = session->way->user;
    struct forward_shared *shared = road->forward->shared;
    const uint64_t now = atomic_fetch_add(&shared->sessions, 1) + 1;
    uint64_t most = atomic_load(&shared->sessions_most);

    while (now > most && !atomic_compare_exchange_weak(&shared->sessions_most, &most, now))
        ;
}

static void on_session_ended(struct datagram_session *session)
{
    struct road *road = session->way->user;
    char client[PLACE_TEXT], to[PLACE_TEXT], sent[32], received[32], took[32];

    if (session->end == DATAGRAM_UNREACHABLE || session->end == DATAGRAM_FAILED)
        tell(road, &road->forward->shared->told_udp[session->end],
             datagram_end_text(session->end), NULL);
    if (road->forward->is_worker)
        atomic_fetch_sub(&road->forward->shared->sessions, 1);
    if (!road->forward->options->common.verbose)
        return;
    say("%s to %s: %s after %s, %llu datagrams sent, %s, %llu received, %s",
        road->way->reverse ? "a caller" : place_format(&session->client, client),
        where_to(road->way, to), datagram_end_text(session->end),
        format_time(loop_now_ns(road->forward->loop) - session->began_ns, took),
        (unsigned long long)session->sent_count, format_bytes(session->sent, sent),
        (unsigned long long)session->received_count, format_bytes(session->received, received));
}

/* ---- ways ---- */

static void on_caller(struct loop_flow *flow, const struct peer_event *event)
{
    struct road *road = (struct road *)(void *)flow;
    struct forward *forward = road->forward;

    if (event->type != PEER_EVENT_ACCEPTED)
        return;
    if (forward->datagram)
        datagram_call(forward->datagram, event->flow, &road->way->to_place, &road->datagrams);
    else
        door_call(forward->door, event->flow, &road->way->to_place, &reverse_ops, road);
}

int road_say_no_peer(const struct way *way)
{
    char peer[PEER_ADDR_TEXT];

    say("-R %s: %s is none of the peers", way->text, peer_addr_format(&way->peer, peer));
    return STATUS_USAGE;
}

static int refuse_listener(const struct way *way, int status, struct peer_error *error)
{
    char peer[PEER_ADDR_TEXT];

    error->code = -status;
    if (status == -EADDRNOTAVAIL) {
        error->kind = PEER_ERROR_USAGE;
        snprintf(error->text, sizeof(error->text), "-R %s: %s is none of the peers", way->text,
                 peer_addr_format(&way->peer, peer));
    } else {
        error->kind = PEER_ERROR_MACHINE;
        snprintf(error->text, sizeof(error->text), "-R %s: cannot listen at port %u: %s", way->text,
                 way->peer_port, strerror(-status));
    }
    return status;
}

static int open_reverse(struct road *road, struct peer_error *error)
{
    struct forward *forward = road->forward;
    const struct common_options *common = &forward->options->common;
    const struct peer_listen_config config = {
        .udp = common->udp,
        .at = road->way->peer,
        .port = road->way->peer_port,
        .manners = common->manners[0] ? common->manners : NULL,
        .user = &road->flow,
    };
    struct peer_listener *listener;

    int status = peer_listen(forward->net, &config, &listener, NULL);
    if (status == -EADDRNOTAVAIL && forward->is_worker)
        return 0;
    if (status < 0)
        return refuse_listener(road->way, status, error);
    atomic_fetch_add(&forward->shared->listens[road - forward->roads], 1);
    return 0;
}

static int open_places(struct forward *forward, struct way *way, struct road *road,
                       struct peer_error *error)
{
    for (int i = 0; i < way->at_count; i++) {
        const int fd = way->fds[i];
        way->fds[i] = -1;
        int status = forward->datagram
                         ? datagram_listen(forward->datagram, fd, &way->at[i], &road->datagrams)
                         : door_listen(forward->door, fd, &forward_ops, road);
        if (status < 0) {
            *error = (struct peer_error){.kind = PEER_ERROR_MACHINE, .code = -status};
            snprintf(error->text, sizeof(error->text), "cannot listen for \"%s\": %s", way->text,
                     strerror(-status));
            return status;
        }
    }
    return 0;
}

int road_open(struct forward *forward, struct way *way, struct road *ret_road,
              struct peer_error *error)
{
    const struct common_options *common = &forward->options->common;

    *ret_road = (struct road){
        .flow.event = on_caller,
        .forward = forward,
        .way = way,
        .to = {.udp = common->udp,
               .to = way->to.addr,
               .to_port = way->to.port,
               .timeout_ns = common->timeout_ns,
               .manners = common->manners[0] ? common->manners : NULL,
               .proxy_protocol = common->proxy_protocol},
        .datagrams = {.to = &ret_road->to,
                      .opened = forward->is_worker ? on_session_opened : NULL,
                      .ended = on_session_ended,
                      .user = ret_road},
    };
    if (way->reverse)
        return open_reverse(ret_road, error);
    return open_places(forward, way, ret_road, error);
}
