/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack as a whole: birth, time, delivery of events, death. See context.c for how lwIP is
 * called, input.c and output.c for the ways of a frame.
 */
#include "stack/internal.h"

#include "base/arena.h"
#include "base/rng.h"

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/stats.h"
#include "lwip/sys.h"

#include <stdlib.h>
#include <string.h>

void *peer_lwip_malloc(size_t size)
{
    return arena_get(size);
}

void *peer_lwip_calloc(size_t count, size_t size)
{
    return arena_get_zeroed(count * size); /* of lwIP's own sizes: no overflow */
}

void peer_lwip_free(void *memory)
{
    arena_put(memory);
}

_Noreturn void peer_lwip_assert(const char *message, const char *file, int line)
{
    fprintf(stderr, "peer: lwIP: %s (%s:%d)\n", message, file, line);
    abort();
}

/* For lwIP's timestamps option: milliseconds, on the clock of the connection at hand. */
u32_t sys_now(void)
{
    const struct stack *stack = stack_singleton;

    return stack ? (u32_t)(stack->now_ns / NS_PER_MS) + stack->ts_offset : 0;
}

static void derive_keys(struct stack *stack, uint64_t seed)
{
    struct rng rng;

    rng_derive(&rng, seed, RNG_STACK);
    for (int i = 0; i < 2; i++) {
        stack->isn_key[i] = rng_next(&rng);
        stack->table_key[i] = rng_next(&rng);
        stack->port_key[i] = rng_next(&rng);
    }
    for (int i = 0; i < 2; i++) {
        stack->answer_key[i] = rng_next(&rng);
        stack->clock_key[i] = rng_next(&rng);
        stack->id_key[i] = rng_next(&rng);
        stack->cookie_key[i] = rng_next(&rng);
    }
}

/* lwIP's counter of timer calls goes on from the stacks before this one; a new control block shows
   it. */
static int learn_timer_calls(struct stack *stack)
{
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb)
        return -ENOMEM;
    stack->timer_calls = pcb->last_timer;
    tcp_abandon(pcb, 0);
    return 0;
}

static int netif_start(struct stack *stack)
{
    static bool initialised; /* lwIP's state is global and has no way back */
    if (!initialised)
        lwip_init();
    initialised = true;

    int status = learn_timer_calls(stack);
    if (status < 0)
        return status;
    if (!netif_add(&stack->netif, NULL, NULL, NULL, stack, output_init, NULL))
        return -EINVAL;
    netif_set_default(&stack->netif);
    netif_set_up(&stack->netif);
    context_identity(stack, 0);
    input_init(stack);
    return 0;
}

int stack_new(const struct stack_config *config, struct stack **ret_stack)
{
    if (stack_singleton)
        return -EBUSY;
    struct stack *stack = calloc(1, sizeof(*stack));
    if (!stack)
        return -ENOMEM;

    stack->ops = config->ops;
    stack->user = config->user;
    stack->layer = config->layer;
    stack->mtu = (uint16_t)MIN(config->mtu, 65535u);
    stack->peers = config->peers;
    stack->first_mac = config->first_mac;
    stack->local_mac = config->local_mac;
    stack->broadcast = config->broadcast;
    stack->any_mac = config->any_mac;
    stack->super_segments = config->super_segments;
    stack->udp_segments = config->udp_segments;
    stack->frugal = config->frugal;
    stack->ecn = config->ecn;
    stack->frames = config->frames;
    stack->timers = config->timers;
    stack->max_conns = config->max_conns ? config->max_conns : UINT64_MAX;
    stack->peer = UINT64_MAX;
    list_init(&stack->listeners);
    list_init(&stack->ready);
    list_init(&stack->time_wait);
    list_init(&stack->ghosts);
    list_init(&stack->pings);
    derive_keys(stack, config->seed);
    stack->utc_ahead_ns = config->utc_ahead_ns;
    stack_set_now(stack, config->now_ns);

    stack_singleton = stack;
    int status = netif_start(stack);
    if (status < 0) {
        stack_free(stack);
        return status;
    }
    *ret_stack = stack;
    return 0;
}

void stack_set_local_mac(struct stack *stack, const struct peer_mac *mac)
{
    stack->local_mac = *mac;
    if (stack->layer == FRAME_ETHERNET)
        etharp_cleanup_netif(&stack->netif); /* IPv4 asks again, whom it sends to next */
}

void stack_set_mtu(struct stack *stack, uint32_t mtu)
{
    stack->mtu = (uint16_t)MIN(mtu, 65535u);
}

static void free_conns(struct stack *stack)
{
    uint64_t buckets = stack->table ? (uint64_t)1 << stack->table_bits : 0;

    for (uint64_t i = 0; i < buckets; i++) {
        while (stack->table[i]) {
            struct stack_conn *conn = stack->table[i];
            if (conn->flags & CONN_TIME_WAIT)
                time_wait_free(stack, conn);
            else
                stack_conn_done(stack, conn);
        }
    }
    free(stack->table);
}

struct stack *stack_free(struct stack *stack)
{
    if (!stack)
        return NULL;
    free_conns(stack);
    struct list *node, *after;
    list_each_safe(node, after, &stack->listeners)
        stack_listener_free(stack, list_entry(node, struct stack_listener, node));
    input_done(stack);
    icmp_done(stack);
    if (stack->netif.state)
        netif_remove(&stack->netif); /* empties the ARP table too */
    stack_singleton = NULL;
    free(stack);
    return NULL;
}

void stack_set_now(struct stack *stack, uint64_t now_ns)
{
    stack->now_ns = now_ns;
    stack->now_tick = (uint32_t)(now_ns / STACK_TICK_NS) + 1; /* 0 means "not timed" to lwIP */
    tcp_ticks = stack->now_tick;
}

uint64_t stack_arrival_ns(const struct stack *stack)
{
    return stack->arrival_ns;
}

static void deliver_one(struct stack *stack, struct stack_conn *conn)
{
    unsigned events = conn->events & ~(unsigned)STACK_HELD;

    conn->events = 0;
    if (events)
        stack->ops->event(stack->user, conn, events);
    if (conn->flags & CONN_ACK_HELD)
        output_held_ack(stack, conn);
}

int stack_deliver(struct stack *stack)
{
    struct list *node;
    int count = 0;

    stack->opened = NULL;
    icmp_deliver(stack, &count);
    while ((node = list_pop(&stack->ready))) {
        deliver_one(stack, list_entry(node, struct stack_conn, ready));
        count++;
    }
    return count;
}

int stack_deliver_opened(struct stack *stack)
{
    struct stack_conn *conn = stack->opened;

    if (!conn)
        return 0;
    stack->opened = NULL;
    list_remove(&conn->ready);
    deliver_one(stack, conn);
    return 1;
}

bool stack_pending(const struct stack *stack)
{
    return !list_empty(&stack->ready);
}

void stack_get_stats(const struct stack *stack, struct stack_stats *ret_stats)
{
    *ret_stats = stack->stats;
    ret_stats->vanished = stack->ghost_count;
    ret_stats->held_bytes = stack->held_bytes;
    ret_stats->queued_bytes = stack->queued_bytes;
    ret_stats->piece_bytes = pieces_bytes(stack);
}

uint64_t stack_pool_used(void)
{
    uint64_t used = 0;

    for (int i = 0; i < MEMP_MAX; i++)
        used += lwip_stats.memp[i]->used;
    return used;
}
