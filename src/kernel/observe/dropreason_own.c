/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation: the events of our thread are not all of our packet. Softirqs and interrupts
 * run on top of whoever holds the processor, so timers of other namespaces, other people's queues
 * and whole receive paths of other packets show up among them. A packet has an address while it
 * lives: ours is known from the moment the device hands it to the kernel, and an answer's from the
 * moment it is given to a device. Those addresses are held here until the packet is freed, which is
 * heard of (skb:consume_skb, skb:kfree_skb), or is given to somebody else.
 *
 * What holds no such address is another's when it comes from a softirq or an interrupt. When it
 * comes from the write itself it may be a copy of ours, or an answer that has not reached a device
 * yet: that is said to be likely, and whoever judges asks for more.
 */
#include "kernel/observe/dropreason_internal.h"

#include "base/macro.h"

#include <string.h>

static struct custody_packet *find(struct custody *custody, uint64_t address)
{
    for (int i = 0; i < custody->count; i++)
        if (custody->packets[i].address == address)
            return &custody->packets[i];
    return NULL;
}

static void forget(struct custody *custody, struct custody_packet *packet)
{
    if (packet)
        *packet = custody->packets[--custody->count];
}

static void hold(struct custody *custody, uint64_t address, enum dropreason_owner owner)
{
    if (address && custody->count < CUSTODY_PACKETS)
        custody->packets[custody->count++] = (struct custody_packet){address, owner, false};
}

static bool on_device(const struct custody *custody, const struct dropreason_event *event)
{
    return !custody->device[0] || !strcmp(event->device, custody->device);
}

/* The same address again: it was freed unseen, or it is somebody else's by now. */
static bool take_receive(struct custody *custody, struct dropreason_event *event, uint64_t address)
{
    forget(custody, find(custody, address));
    if (event->deferred || !on_device(custody, event))
        return false;
    hold(custody, address, DROPREASON_OURS);
    custody->received = true;
    event->owner = DROPREASON_OURS;
    return true;
}

static bool take_send(struct custody *custody, struct dropreason_event *event, uint64_t address)
{
    struct custody_packet *packet = find(custody, address);

    if (!packet && event->deferred && !on_device(custody, event))
        return false;
    if (!packet && custody->received)
        hold(custody, address, DROPREASON_ANSWER);
    event->owner = packet ? packet->owner : DROPREASON_ANSWER;
    if (packet)
        packet->sent = true;
    return true;
}

static bool take_consume(struct custody *custody, struct dropreason_event *event, uint64_t address)
{
    struct custody_packet *packet = find(custody, address);

    if (!packet)
        return false;
    event->owner = packet->owner;
    forget(custody, packet);
    return true;
}

/* Behind a device it may run through another namespace, whose drops are none of this machine. */
static enum dropreason_owner owner_of_drop(const struct custody *custody,
                                           const struct custody_packet *packet,
                                           const struct dropreason_event *event)
{
    if (packet)
        return packet->sent && event->deferred && packet->owner == DROPREASON_OURS
                   ? DROPREASON_OTHERS
                   : packet->owner;
    if (event->deferred)
        return DROPREASON_OTHERS;
    /* Queues hold packets of everybody, and throw any of them away. */
    if (custody->received &&
        (!strncmp(event->reason, "QDISC", 5) || !strncmp(event->reason, "NEIGH", 5)))
        return DROPREASON_OTHERS;
    return DROPREASON_LIKELY;
}

static bool take_drop(struct custody *custody, struct dropreason_event *event, uint64_t address)
{
    struct custody_packet *packet = find(custody, address);

    event->owner = owner_of_drop(custody, packet, event);
    forget(custody, packet);
    return event->owner != DROPREASON_OTHERS;
}

/* A datagram lies at a socket now, and who reads it frees it, unseen. */
static bool take_notice(struct custody *custody, const struct dropreason_event *event)
{
    if (event->netlink)
        return true;
    for (int i = 0; i < custody->count && !event->deferred && event->datagram; i++)
        if (custody->packets[i].owner == DROPREASON_OURS) {
            forget(custody, &custody->packets[i]);
            break;
        }
    return false;
}

bool custody_take(struct custody *custody, struct dropreason_event *event, uint64_t address)
{
    event->owner = DROPREASON_OTHERS;
    switch (event->kind) {
    case DROPREASON_RECEIVE:
        return take_receive(custody, event, address);
    case DROPREASON_SEND:
        return take_send(custody, event, address);
    case DROPREASON_CONSUME:
        return take_consume(custody, event, address);
    case DROPREASON_DROP:
        return take_drop(custody, event, address);
    case DROPREASON_ROUTE:
        return !event->deferred;
    case DROPREASON_NOTICE:
        return take_notice(custody, event);
    }
    return false;
}

bool dropreason_is_deferred(const char *function)
{
    static const char *const marks[] = {
        "handle_softirqs",      "__do_softirq",     "do_softirq",
        "irq_exit_rcu",         "__irq_exit_rcu",   "irq_exit",
        "run_ksoftirqd",        "net_rx_action",    "net_tx_action",
        "call_timer_fn",        "expire_timers",    "run_timer_softirq",
        "__run_timers",         "tasklet_action",   "rcu_core",
        "rcu_do_batch",         "common_interrupt", "__common_interrupt",
        "asm_common_interrupt", "handle_irq_event", "__handle_irq_event_percpu",
        "el1_interrupt",        "do_IRQ",
    };
    static const char *const beginnings[] = {"sysvec_", "asm_sysvec_", "__sysvec_", "el1h_64_irq"};
    const size_t len = strcspn(function, ".");

    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        if (strlen(marks[i]) == len && !strncmp(marks[i], function, len))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++)
        if (!strncmp(beginnings[i], function, strlen(beginnings[i])))
            return true;
    return false;
}

bool dropreason_copies(const char *function)
{
    static const char *const names[] = {
        "skb_pp_cow_data", "skb_cow_data_for_xdp", "do_xdp_generic", "netif_skb_check_for_xdp",
        "skb_share_check", "skb_expand_head",      "skb_unshare",    "ip_rcv_core"};
    const size_t len = strcspn(function, ".");

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i]) == len && !strncmp(names[i], function, len))
            return true;
    return len == 0; /* the kernel hides its symbols: it may have been */
}
