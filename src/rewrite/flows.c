/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flows lie in chunks that never move. Each is in two chains of slots.
 *
 * One is that of its class, which is what goes first when there is no slot left. Flows come to the
 * end of it when they enter the class, so those closing and those never answered go in the order of
 * age. UDP flows with an answer go by second chance: one used lately comes to the end again, and one
 * used within a second does not go at all.
 *
 * The other is a calendar of seconds: the flow is where its time would end if no other packet came.
 * Packets do not move it; when that second comes, it goes to where its time ends by now, or it is
 * over. So a flow is looked at once in its time-out, and only a state with a shorter one moves it.
 * One timer waits for the next second that is not empty. A crowd that is due at once goes by and by, a
 * part each millisecond: packets wait meanwhile.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHANCES = 16, SWEPT_AT_ONCE = 4096, LAG_SECONDS = 600 };
#define LATELY_NS  (10 * NS_PER_S)
#define BUSY_NS    NS_PER_S
#define HUGE_BYTES ((size_t)1 << 21)

static_assert(offsetof(struct rewrite_flow, packets_out) == 64 &&
                  offsetof(struct rewrite_flow, seen) == 128 && sizeof(struct rewrite_flow) == 192,
              "a packet touches two cache lines of its flow");
static_assert(REWRITE_OPEN_NS / NS_PER_S + LAG_SECONDS + 2 < CALENDAR_SECONDS,
              "every time is in the calendar");

/* ---- chains ---- */

static void chain_add(struct rewrite *rewrite, struct chain *chain, int link, uint32_t slot)
{
    struct rewrite_flow *flow = flow_at(rewrite, slot);

    flow->links[link].prev = chain->last;
    flow->links[link].next = SLOT_NONE;
    if (chain->last == SLOT_NONE)
        chain->first = slot;
    else
        flow_at(rewrite, chain->last)->links[link].next = slot;
    chain->last = slot;
}

static void chain_remove(struct rewrite *rewrite, struct chain *chain, int link, uint32_t slot)
{
    const struct rewrite_flow *flow = flow_at(rewrite, slot);
    uint32_t prev = flow->links[link].prev, next = flow->links[link].next;

    if (prev == SLOT_NONE)
        chain->first = next;
    else
        flow_at(rewrite, prev)->links[link].next = next;
    if (next == SLOT_NONE)
        chain->last = prev;
    else
        flow_at(rewrite, next)->links[link].prev = prev;
}

/* ---- states ---- */

static struct chain *class_of(struct rewrite *rewrite, const struct rewrite_flow *flow)
{
    switch (flow->state) {
    case REWRITE_OPENING:
        return &rewrite->classes[CLASS_OPENING];
    case REWRITE_OPEN:
        return &rewrite->classes[flow->protocol == IPPROTO_TCP ? CLASS_OPEN : CLASS_ANSWERED];
    default:
        return &rewrite->classes[CLASS_PAST];
    }
}

static uint64_t timeout_ns(const struct rewrite_flow *flow)
{
    if (flow->state == REWRITE_GONE)
        return REWRITE_GONE_NS;
    if (flow->protocol == IPPROTO_UDP)
        return REWRITE_UDP_NS;
    if (flow->protocol != IPPROTO_TCP)
        return REWRITE_ECHO_NS;
    if (flow->state == REWRITE_OPENING)
        return REWRITE_OPENING_NS;
    return flow->state == REWRITE_OPEN ? REWRITE_OPEN_NS : REWRITE_CLOSING_NS;
}

/* ---- the calendar ---- */

/* TIMER_NEVER: the calendar is empty. */
static uint64_t next_second(const struct rewrite *rewrite)
{
    uint64_t from = rewrite->swept_s + 1;

    for (uint64_t i = 0; i < CALENDAR_SECONDS;) {
        uint64_t bucket = (from + i) % CALENDAR_SECONDS;
        uint64_t word = rewrite->calendar_used[bucket / 64] >> bucket % 64;
        if (word)
            return from + i + (uint64_t)__builtin_ctzll(word);
        i += 64 - bucket % 64;
    }
    return TIMER_NEVER;
}

static void arm(struct rewrite *rewrite, uint64_t deadline_ns)
{
    if (timer_armed(&rewrite->timer) && rewrite->timer.deadline_ns <= deadline_ns)
        return;
    /* Without memory the next flow tries again; until then nothing ages. */
    (void)timer_arm(rewrite->config.timers, &rewrite->timer, deadline_ns);
}

/* Into the second after which its time is over. */
static void calendar_add(struct rewrite *rewrite, struct rewrite_flow *flow)
{
    uint64_t second = (flow->last_ns + timeout_ns(flow)) / NS_PER_S + 1;
    uint16_t bucket = (uint16_t)(second % CALENDAR_SECONDS);

    flow->bucket = bucket;
    chain_add(rewrite, &rewrite->calendar[bucket], LINK_CALENDAR, flow->slot);
    rewrite->calendar_used[bucket / 64] |= UINT64_C(1) << bucket % 64;
    arm(rewrite, second * NS_PER_S);
}

static void calendar_remove(struct rewrite *rewrite, struct rewrite_flow *flow)
{
    struct chain *chain = &rewrite->calendar[flow->bucket];

    chain_remove(rewrite, chain, LINK_CALENDAR, flow->slot);
    if (chain->first == SLOT_NONE)
        rewrite->calendar_used[flow->bucket / 64] &= ~(UINT64_C(1) << flow->bucket % 64);
}

/* False: there are more than `*budget` of them. */
static bool sweep_second(struct rewrite *rewrite, uint64_t second, unsigned *budget)
{
    struct chain *chain = &rewrite->calendar[second % CALENDAR_SECONDS];
    uint32_t slot = chain->first, last = chain->last;

    for (; slot != SLOT_NONE && *budget; --*budget) {
        struct rewrite_flow *flow = flow_at(rewrite, slot);
        uint32_t next = slot == last ? SLOT_NONE : flow->links[LINK_CALENDAR].next;
        if (flow->last_ns + timeout_ns(flow) <= rewrite->now_ns) {
            rewrite->stats.aged += flow->state != REWRITE_GONE;
            flow_table_end(rewrite, flow);
        } else {
            calendar_remove(rewrite, flow);
            calendar_add(rewrite, flow);
        }
        slot = next;
    }
    return slot == SLOT_NONE;
}

static void sweep(struct timer *timer, uint64_t now_ns)
{
    struct rewrite *rewrite = list_entry(timer, struct rewrite, timer);

    rewrite->now_ns = MAX(rewrite->now_ns, now_ns);
    uint64_t now_s = rewrite->now_ns / NS_PER_S;
    if (now_s - rewrite->swept_s > CALENDAR_SECONDS)
        rewrite->swept_s = now_s - CALENDAR_SECONDS;
    uint64_t next = next_second(rewrite);
    rewrite->swept_s = MAX(rewrite->swept_s, MIN(now_s, next - 1)); /* nothing is before it */
    /* Far behind, what stays may come to where it was in the calendar: then not by and by. */
    unsigned budget = now_s - rewrite->swept_s > LAG_SECONDS ? UINT_MAX : SWEPT_AT_ONCE;
    while (rewrite->swept_s < now_s && sweep_second(rewrite, rewrite->swept_s + 1, &budget))
        rewrite->swept_s++;
    timer_cancel(rewrite->config.timers, timer); /* was armed for what moved, maybe too early */
    next = next_second(rewrite);
    if (rewrite->swept_s < now_s)
        arm(rewrite, rewrite->now_ns + NS_PER_MS);
    else if (next != TIMER_NEVER)
        arm(rewrite, next * NS_PER_S);
}

/* ---- slots ---- */

int flow_table_init(struct rewrite *rewrite)
{
    uint64_t chunks = (rewrite->config.max_flows + CHUNK_FLOWS - 1) / CHUNK_FLOWS;

    rewrite->free = SLOT_NONE;
    for (int i = 0; i < CLASSES; i++)
        rewrite->classes[i] = (struct chain){SLOT_NONE, SLOT_NONE};
    for (int i = 0; i < CALENDAR_SECONDS; i++)
        rewrite->calendar[i] = (struct chain){SLOT_NONE, SLOT_NONE};
    timer_init(&rewrite->timer, sweep);
    rewrite->chunks = calloc(chunks, sizeof(struct rewrite_flow *));
    return rewrite->chunks ? 0 : -ENOMEM;
}

void flow_table_done(struct rewrite *rewrite)
{
    timer_cancel(rewrite->config.timers, &rewrite->timer);
    for (uint32_t i = 0; rewrite->chunks && i * (uint64_t)CHUNK_FLOWS < rewrite->fresh; i++)
        free(rewrite->chunks[i]);
    free(rewrite->chunks);
}

/* Small ones stay small: of the first chunk the first huge page is none. */
static struct rewrite_flow *new_chunk(bool first)
{
    size_t size = CHUNK_FLOWS * sizeof(struct rewrite_flow), skip = first ? HUGE_BYTES : 0;
    char *chunk = aligned_alloc(HUGE_BYTES, size);

    if (chunk)
        (void)madvise(chunk + skip, size - skip, MADV_HUGEPAGE);
    return (struct rewrite_flow *)(void *)chunk;
}

static struct rewrite_flow *take_fresh(struct rewrite *rewrite)
{
    uint32_t slot = rewrite->fresh;

    if (slot == rewrite->config.max_flows)
        return NULL;
    if (slot % CHUNK_FLOWS == 0) {
        rewrite->chunks[slot / CHUNK_FLOWS] = new_chunk(slot == 0);
        if (!rewrite->chunks[slot / CHUNK_FLOWS])
            return NULL;
    }
    rewrite->fresh++;
    struct rewrite_flow *flow = flow_at(rewrite, slot);
    *flow = (struct rewrite_flow){.slot = slot};
    return flow;
}

static struct rewrite_flow *take_free(struct rewrite *rewrite)
{
    if (rewrite->free == SLOT_NONE)
        return NULL;
    struct rewrite_flow *flow = flow_at(rewrite, rewrite->free);
    rewrite->free = flow->links[0].next;
    return flow;
}

/* The first of a class, or the one after it when that is the one to keep. */
static struct rewrite_flow *first_of(struct rewrite *rewrite, enum flow_class class,
                                     const struct rewrite_flow *keep)
{
    uint32_t slot = rewrite->classes[class].first;

    if (keep && slot == keep->slot)
        slot = keep->links[LINK_CLASS].next;
    return slot == SLOT_NONE ? NULL : flow_at(rewrite, slot);
}

/* One that nobody has used for a while: of the first ones, or of those of them the idlest. */
static struct rewrite_flow *idle_answered(struct rewrite *rewrite, const struct rewrite_flow *keep)
{
    struct chain *chain = &rewrite->classes[CLASS_ANSWERED];
    struct rewrite_flow *idlest = NULL;

    for (int i = 0; i < CHANCES; i++) {
        struct rewrite_flow *flow = first_of(rewrite, CLASS_ANSWERED, keep);
        if (!flow || flow->last_ns + LATELY_NS <= rewrite->now_ns)
            return flow;
        if (!idlest || flow->last_ns < idlest->last_ns)
            idlest = flow;
        chain_remove(rewrite, chain, LINK_CLASS, flow->slot);
        chain_add(rewrite, chain, LINK_CLASS, flow->slot);
    }
    return idlest && idlest->last_ns + BUSY_NS <= rewrite->now_ns ? idlest : NULL;
}

static bool push_out(struct rewrite *rewrite, const struct rewrite_flow *keep)
{
    struct rewrite_flow *flow = first_of(rewrite, CLASS_PAST, keep);

    if (!flow)
        flow = first_of(rewrite, CLASS_OPENING, keep);
    if (!flow)
        flow = idle_answered(rewrite, keep);
    if (!flow)
        return false;
    rewrite->stats.pushed_out += flow->state != REWRITE_GONE;
    flow_table_end(rewrite, flow);
    return true;
}

struct rewrite_flow *flow_table_take(struct rewrite *rewrite, struct rewrite_flow *keep)
{
    struct rewrite_flow *flow = take_free(rewrite);

    if (!flow)
        flow = take_fresh(rewrite);
    if (!flow && push_out(rewrite, keep))
        flow = take_free(rewrite);
    return flow;
}

/* ---- lives ---- */

void flow_table_add(struct rewrite *rewrite, struct rewrite_flow *flow, bool inside)
{
    if (inside)
        slot_index_put(&rewrite->by[INSIDE], flow->tags[INSIDE], flow->slot);
    slot_index_put(&rewrite->by[OUTSIDE], flow->tags[OUTSIDE], flow->slot);
    chain_add(rewrite, class_of(rewrite, flow), LINK_CLASS, flow->slot);
    if (!timer_armed(&rewrite->timer))
        rewrite->swept_s = rewrite->now_ns / NS_PER_S; /* the calendar is empty */
    calendar_add(rewrite, flow);
    if (flow->state == REWRITE_GONE)
        return;
    rewrite->stats.flows++;
    rewrite->stats.flows_most = MAX(rewrite->stats.flows_most, rewrite->stats.flows);
}

void flow_table_turn(struct rewrite *rewrite, struct rewrite_flow *flow, enum rewrite_state state)
{
    uint64_t before_ns = timeout_ns(flow);

    chain_remove(rewrite, class_of(rewrite, flow), LINK_CLASS, flow->slot);
    flow->state = (uint8_t)state;
    chain_add(rewrite, class_of(rewrite, flow), LINK_CLASS, flow->slot);
    if (timeout_ns(flow) >= before_ns)
        return;
    calendar_remove(rewrite, flow);
    flow->last_ns = rewrite->now_ns;
    calendar_add(rewrite, flow);
}

void flow_table_end(struct rewrite *rewrite, struct rewrite_flow *flow)
{
    bool gone = flow->state == REWRITE_GONE;

    slot_index_remove(&rewrite->by[OUTSIDE], flow->tags[OUTSIDE], flow->slot);
    if (!gone)
        slot_index_remove(&rewrite->by[INSIDE], flow->tags[INSIDE], flow->slot);
    chain_remove(rewrite, class_of(rewrite, flow), LINK_CLASS, flow->slot);
    calendar_remove(rewrite, flow);
    rewrite->stats.flows -= !gone;
    if (!gone && rewrite->config.ended)
        rewrite->config.ended(rewrite->config.user, flow);
    flow->serial++;
    flow->protocol = 0; /* free */
    flow->links[0].next = rewrite->free;
    rewrite->free = flow->slot;
}
