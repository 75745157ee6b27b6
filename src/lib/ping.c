/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Echo requests remember when they left, until their answer comes or PENDING_MAX newer ones have
 * been sent.
 */
#include "lib/internal.h"

#include <stdlib.h>

enum { PENDING_MAX = 4096 };

struct sent_ping {
    struct list node;
    struct peer_addr from, to;
    uint16_t id, sequence;
    uint64_t at_ns;
};

struct pong {
    struct list node;
    struct peer_event event;
};

static int refuse(const struct peer_ping_config *config, int code, struct peer_error *error)
{
    char text[PEER_ADDR_TEXT];

    if (code == EADDRNOTAVAIL)
        return error_set(error, PEER_ERROR_USAGE, code, "%s is none of the peers",
                         peer_addr_format(&config->from, text));
    return error_set(error, code == ENOMEM ? PEER_ERROR_MACHINE : PEER_ERROR_USAGE, code,
                     "cannot ping %s with %d bytes: %s",
                     config->to.family ? peer_addr_format(&config->to, text) : "nobody",
                     config->size, error_text(code));
}

static int ping(struct peer_net *net, const struct peer_ping_config *config,
                struct peer_error *error)
{
    struct stack_ping ping = {.to = config->to,
                              .id = config->id,
                              .sequence = config->sequence,
                              .size = config->size,
                              .ttl = config->ttl};
    struct sent_ping *sent = malloc(sizeof(*sent));
    if (!sent)
        return refuse(config, ENOMEM, error);
    ping.from = config->from;
    if (!config->from.family)
        ping.from = addr_set_at(&net->attachment.peers, 0);
    *sent = (struct sent_ping){.from = ping.from,
                               .to = ping.to,
                               .id = ping.id,
                               .sequence = ping.sequence,
                               .at_ns = engine_now_fresh_ns(net->engine)};
    int status = flows_ping(engine_flows(net->engine), &ping);
    if (status < 0) {
        free(sent);
        return refuse(config, -status, error);
    }
    list_add_tail(&net->sent_pings, &sent->node);
    engine_touch(net->engine, false);
    return 0;
}

int peer_ping_sized(struct peer_net *net, const struct peer_ping_config *given, size_t size,
                    struct peer_error *error)
{
    if (!net_is_ours(net))
        return -ECHILD;
    if (net->workers && !net->worker)
        return net_check_alone(net, "pings", error);
    struct peer_ping_config config;

    int status = border_take(&config, sizeof(config), given, size, error);
    return status < 0 ? status : ping(net, &config, error);
}

/* When did the request leave that this answers? 0 when it is not known (any more). Duplicates of an
   answer find nothing. */
static uint64_t take_sent(struct peer_net *net, const struct stack_icmp *icmp)
{
    struct list *node, *after;
    int count = 0;

    list_each_safe(node, after, &net->sent_pings)
    {
        struct sent_ping *sent = list_entry(node, struct sent_ping, node);
        if (sent->id != icmp->id || sent->sequence != icmp->sequence ||
            !peer_addr_equal(&sent->from, &icmp->peer)) {
            count++;
            continue;
        }
        uint64_t at_ns = sent->at_ns;
        list_remove(&sent->node);
        free(sent);
        return at_ns;
    }
    while (count-- > PENDING_MAX)
        free(list_entry(list_pop(&net->sent_pings), struct sent_ping, node));
    return 0;
}

void ping_result(void *user, const struct stack_icmp *icmp)
{
    struct peer_net *net = user;
    uint64_t sent_ns = take_sent(net, icmp);
    struct pong *pong = malloc(sizeof(*pong));
    if (!pong)
        return;
    pong->event = (struct peer_event){
        .type = PEER_EVENT_PING,
        .icmp_from = icmp->from,
        .icmp_type = icmp->type,
        .icmp_code = icmp->code,
        .icmp_ttl = icmp->ttl,
        .icmp_id = icmp->id,
        .icmp_sequence = icmp->sequence,
        .icmp_bytes = icmp->bytes,
        .icmp_rtt_ns = sent_ns ? engine_now_ns(net->engine) - sent_ns : 0,
        .at_ns = engine_now_ns(net->engine),
    };
    list_add_tail(&net->pings, &pong->node);
}

int ping_pop(struct peer_net *net, struct peer_event *ret_event)
{
    struct list *node = list_pop(&net->pings);
    if (!node)
        return 0;
    struct pong *pong = list_entry(node, struct pong, node);
    *ret_event = pong->event;
    free(pong);
    return 1;
}

void ping_done(struct peer_net *net)
{
    struct list *node;

    while ((node = list_pop(&net->pings)))
        free(list_entry(node, struct pong, node));
    while ((node = list_pop(&net->sent_pings)))
        free(list_entry(node, struct sent_ping, node));
}
