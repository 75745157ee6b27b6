/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events as the caller takes them: results of pings first, then each flow's, one bit at a time in
 * the order in which they make sense.
 */
#include "lib/internal.h"

#include <string.h>

static const struct {
    unsigned bit;
    enum peer_event_type type;
} order[] = {
    {FLOW_CONNECTED, PEER_EVENT_CONNECTED},
    {FLOW_ACCEPTED, PEER_EVENT_ACCEPTED},
    {FLOW_READABLE, PEER_EVENT_READABLE},
    {FLOW_WRITABLE, PEER_EVENT_WRITABLE},
    {FLOW_EOF, PEER_EVENT_EOF},
    {FLOW_UNREACHABLE, PEER_EVENT_UNREACHABLE},
    {FLOW_END, PEER_EVENT_CLOSED},
};

static void fill(struct peer_flow *flow, enum peer_event_type type, struct peer_event *event)
{
    struct stack_tuple tuple;

    *event = (struct peer_event){.type = type, .flow = flow, .listener = flow->listener};
    if (type == PEER_EVENT_CLOSED)
        event->end = flow_end(&flow->flow);
    if (type == PEER_EVENT_UNREACHABLE || event->end == PEER_END_UNREACHABLE) {
        flow_icmp(&flow->flow, &event->icmp_type, &event->icmp_code);
        event->icmp_from = flow->to;
        if (flow_tuple(&flow->flow, &tuple))
            event->icmp_from = tuple.remote;
    }
}

static int flow_pop(struct peer_net *net, struct peer_event *ret_event)
{
    if (list_empty(&net->pending))
        return 0;
    struct peer_flow *flow = list_entry(net->pending.next, struct peer_flow, pending);
    size_t i = 0;

    while (!(flow->events & order[i].bit))
        i++;
    flow->events &= ~order[i].bit;
    if (!flow->events)
        list_remove(&flow->pending);
    fill(flow, order[i].type, ret_event);
    return 1;
}

int peer_net_pop_event(struct peer_net *net, struct peer_event *ret_event)
{
    return ping_pop(net, ret_event) ? 1 : flow_pop(net, ret_event);
}
