/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A trace's packet, sent by a peer: a flow of this net, or a ping. Where it goes in the kernel is
 * src/trace.
 */
#include "lib/internal.h"

#include "trace/trace.h"

struct sender {
    struct peer_net *net;
    struct peer_flow *flow; /* NULL: none, or an echo */
    bool is_udp;
};

static uint64_t now_ns(void *user)
{
    const struct sender *sender = user;

    return engine_now_fresh_ns(sender->net->engine);
}

static int send_echo(struct sender *sender, const struct trace_packet *packet)
{
    const struct peer_ping_config config = {
        .from = packet->peer, .to = packet->to, .id = packet->peer_port, .sequence = 1, .size = 56};

    return peer_ping(sender->net, &config, NULL);
}

static int send_packet(void *user, const struct trace_packet *packet)
{
    struct sender *sender = user;
    const struct peer_connect_config config = {
        .udp = packet->protocol == IPPROTO_UDP,
        .from = packet->peer,
        .from_port = packet->peer_port,
        .to = packet->to,
        .to_port = packet->port,
    };

    if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP)
        return send_echo(sender, packet);
    sender->is_udp = config.udp;
    int status = peer_connect(sender->net, &config, &sender->flow, NULL);
    if (status == 0 && config.udp) {
        ssize_t n = peer_flow_write(sender->flow, "peer\n", 5);
        status = n < 0 ? (int)n : 0;
    }
    return status;
}

static int wait_for(void *user, uint64_t timeout_ns)
{
    struct sender *sender = user;

    return timeout_ns ? peer_net_wait(sender->net, timeout_ns) : peer_net_dispatch(sender->net);
}

static enum trace_answer_kind kind_of(const struct peer_event *event)
{
    switch (event->type) {
    case PEER_EVENT_CONNECTED:
        return ANSWER_SYN_ACK;
    case PEER_EVENT_READABLE:
        return ANSWER_DATA;
    case PEER_EVENT_CLOSED:
        return event->end == PEER_END_UNREACHABLE ? ANSWER_ICMP : ANSWER_RST;
    case PEER_EVENT_UNREACHABLE:
        return ANSWER_ICMP;
    case PEER_EVENT_PING:
        return event->icmp_type == (event->icmp_from.family == 6 ? 129 : 0) ? ANSWER_ECHO
                                                                            : ANSWER_ICMP;
    default:
        return ANSWER_NONE;
    }
}

static void hear(void *user, struct trace_answer *answer)
{
    struct sender *sender = user;
    struct peer_event event;

    while (answer->kind == ANSWER_NONE && peer_net_pop_event(sender->net, &event)) {
        if (event.flow && event.flow != sender->flow)
            continue;
        answer->kind = kind_of(&event);
        if (answer->kind == ANSWER_NONE)
            continue;
        answer->icmp_type = event.icmp_type;
        answer->icmp_code = event.icmp_code;
        answer->icmp_from = event.icmp_from;
        answer->at_ns = peer_net_now_ns(sender->net);
    }
}

static void count(void *user, uint64_t *ret_sent, uint64_t *ret_not_taken)
{
    const struct sender *sender = user;
    struct engine_stats stats;

    engine_get_stats(sender->net->engine, &stats);
    *ret_sent = stats.frames_sent;
    *ret_not_taken = engine_device(sender->net->engine)->send_drops;
}

static void end(void *user)
{
    struct sender *sender = user;

    if (!sender->flow)
        return;
    if (!sender->is_udp)
        peer_flow_reset(sender->flow);
    peer_flow_free(sender->flow);
    sender->flow = NULL;
}

static void tell_nobody(void *user, const struct peer_trace_station *station)
{
    (void)user;
    (void)station;
}

int peer_trace_sized(struct peer_net *net, const struct peer_trace_config *given,
                     size_t config_size, struct peer_trace_result *ret_result, size_t result_size,
                     struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (net->workers)
        return net_check_alone(net, "traces", error);
    struct sender sender = {.net = net};
    const struct trace_sender ops = {.user = &sender,
                                     .now_ns = now_ns,
                                     .send = send_packet,
                                     .wait = wait_for,
                                     .hear = hear,
                                     .count = count,
                                     .end = end};
    struct peer_trace_config config;
    struct peer_trace_result result;

    int status = border_take(&config, sizeof(config), given, config_size, error);
    if (status < 0)
        return status;
    const struct trace_job job = {.attachment = &net->attachment,
                                  .sender = &ops,
                                  .config = &config,
                                  .each = config.each ? config.each : tell_nobody,
                                  .user = config.user};
    status = trace_run(&job, &result, error);
    if (status == 0)
        border_give(ret_result, result_size, &result, sizeof(result));
    return status;
}
