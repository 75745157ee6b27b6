/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A 4-ary heap: half as deep as a binary one, and the four children of a place lie side by side, so
 * a level costs one cache line or two. Each timer knows its place, which makes cancelling and
 * moving O(log n) without a search. The children of place i are 4i+1 to 4i+4.
 *
 * Deadlines are often equal (one tick for many flows), and a run must be repeatable, so ties are
 * broken by the order in which timers were armed. Only ties look at the timers themselves.
 */
#include "base/timer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { FANOUT = 4, FIRST_ROOM = 64 };

void timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void timers_done(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}

static bool fires_before(const struct timer_entry *a, const struct timer_entry *b)
{
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return (int32_t)(a->timer->order - b->timer->order) < 0;
}

static void put(struct timers *timers, uint32_t place, struct timer_entry entry)
{
    timers->heap[place] = entry;
    entry.timer->slot = place + 1;
}

/* Puts `entry` at `place`, which is free, or above it. */
static void sift_up(struct timers *timers, uint32_t place, struct timer_entry entry)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / FANOUT;
        if (!fires_before(&entry, &timers->heap[parent]))
            break;
        put(timers, place, timers->heap[parent]);
        place = parent;
    }
    put(timers, place, entry);
}

/* The child of `place` that fires first, or `count` when it has none. */
static uint32_t first_child(const struct timers *timers, uint32_t place)
{
    uint64_t child = (uint64_t)place * FANOUT + 1;

    if (child >= timers->count)
        return timers->count;
    uint32_t best = (uint32_t)child;
    uint32_t end = child + FANOUT < timers->count ? best + FANOUT : timers->count;
    for (uint32_t i = best + 1; i < end; i++)
        if (fires_before(&timers->heap[i], &timers->heap[best]))
            best = i;
    return best;
}

/* Puts `entry` at `place`, which is free, or below it. */
static void sift_down(struct timers *timers, uint32_t place, struct timer_entry entry)
{
    for (;;) {
        uint32_t child = first_child(timers, place);
        if (child == timers->count || !fires_before(&timers->heap[child], &entry))
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, entry);
}

/* Puts `entry` where it belongs, from `place`, which is free. */
static void sift(struct timers *timers, uint32_t place, struct timer_entry entry)
{
    if (place > 0 && fires_before(&entry, &timers->heap[(place - 1) / FANOUT]))
        sift_up(timers, place, entry);
    else
        sift_down(timers, place, entry);
}

static int make_room(struct timers *timers)
{
    if (timers->count < timers->room)
        return 0;
    if (timers->room > UINT32_MAX / 2)
        return -ENOMEM;
    uint32_t room = timers->room ? 2 * timers->room : FIRST_ROOM;
    struct timer_entry *heap = reallocarray(timers->heap, room, sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    timers->heap = heap;
    timers->room = room;
    return 0;
}

/* Its place counted from 0. A timer that claims a place it does not have was freed or never set up.
 */
static uint32_t place_of(const struct timers *timers, const struct timer *timer)
{
    uint32_t place = timer->slot - 1;

    (void)timers; /* under NDEBUG */
    assert(place < timers->count && timers->heap[place].timer == timer);
    return place;
}

int timer_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ns)
{
    struct timer_entry entry = {deadline_ns, timer};

    assert(timer->fire);
    if (!timer_armed(timer)) {
        int status = make_room(timers);
        if (status < 0)
            return status;
        timer->order = timers->next_order++;
        timer->deadline_ns = deadline_ns;
        sift_up(timers, timers->count++, entry);
        return 0;
    }
    timer->order = timers->next_order++;
    timer->deadline_ns = deadline_ns;
    sift(timers, place_of(timers, timer), entry);
    return 0;
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    uint32_t place = place_of(timers, timer);
    timer->slot = 0;
    struct timer_entry last = timers->heap[--timers->count];
    if (place != timers->count)
        sift(timers, place, last);
}

uint64_t timers_next(const struct timers *timers)
{
    return timers->count ? timers->heap[0].deadline_ns : TIMER_NEVER;
}

int timers_run(struct timers *timers, uint64_t now_ns, int limit)
{
    int ran = 0;

    while (ran < limit && timers->count && timers->heap[0].deadline_ns <= now_ns) {
        struct timer *timer = timers->heap[0].timer;
        timer_cancel(timers, timer);
        timer->fire(timer, now_ns); /* may free the timer */
        ran++;
    }
    return ran;
}
