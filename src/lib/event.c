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

/* When the event whose bit is in `events` happened. */
static uint64_t *event_ns(struct peer_flow *flow, unsigned bit)
{
    if (bit & (FLOW_CONNECTED | FLOW_ACCEPTED))
        return &flow->at_ns[EVENT_OPENED];
    if (bit & FLOW_EOF)
        return &flow->at_ns[EVENT_EOF];
    return &flow->at_ns[bit & FLOW_END ? EVENT_END : EVENT_OTHER];
}

void event_note(struct peer_flow *flow, unsigned events, uint64_t now_ns)
{
    for (unsigned left = events & ~flow->events & ~(unsigned)FLOW_READABLE; left; left &= left - 1)
        *event_ns(flow, left & (~left + 1)) = now_ns;
    flow->events |= events;
}

static void fill(struct peer_flow *flow, unsigned bit, enum peer_event_type type,
                 struct peer_event *event)
{
    *event = (struct peer_event){
        .type = type,
        .flow = flow,
        .listener = flow->listener,
        .at_ns = bit == FLOW_READABLE ? flow_arrived_ns(&flow->flow) : *event_ns(flow, bit),
    };
    if (type == PEER_EVENT_CLOSED)
        event->end = flow_end(&flow->flow);
    if (type == PEER_EVENT_UNREACHABLE || event->end == PEER_END_UNREACHABLE) {
        flow_icmp(&flow->flow, &event->icmp_type, &event->icmp_code);
        event->icmp_from = flow->tuple.remote;
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
    fill(flow, order[i].bit, order[i].type, ret_event);
    return 1;
}

int peer_net_pop_event_sized(struct peer_net *net, struct peer_event *ret_event, size_t size)
{
    if (!net_is_ours(net))
        return -ECHILD;
    struct peer_event event;

    if (!ping_pop(net, &event) && !flow_pop(net, &event))
        return 0;
    border_give(ret_event, size, &event, sizeof(event));
    return 1;
}
