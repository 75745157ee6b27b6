/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Most timers are armed for a time that is well ahead, and many are cancelled or found to be early
 * when it comes: what they cost on the way matters more than their order. So a timer lies in a
 * bucket of a timing wheel, an array without order, until the time comes near; then its whole
 * bucket moves into a heap, which is small and decides exactly. To arm is to append; neither
 * touches the memory of other timers, except that the last of a bucket fills the place of one that
 * was cancelled.
 *
 * Time goes in steps of 2^20 ns, about a millisecond. Level 0 has a bucket for each step of the
 * window of 256 steps that the horizon is in, level 1 one for each of the next 255 windows. What
 * is before the horizon, or beyond the wheel (over a minute), or finds no memory for its bucket, is
 * in the heap at once, which has room for all timers. The horizon is a step ahead of the time of
 * the last run: buckets that it reaches are opened.
 *
 * The heap is 4-ary: half as deep as a binary one, and the four children of a place lie side by
 * side. The children of place i are 4i+1 to 4i+4. Deadlines are often equal, and a run must be
 * repeatable, so ties are broken by the order in which timers were armed. Only ties look at the
 * timers themselves.
 *
 * timer.slot: place in the heap plus one, or IN_WHEEL | level and bucket | place in it.
 */
#include "base/timer.h"

#include "base/macro.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { FANOUT = 4, FIRST_ROOM = 64, BUCKET_ROOM = 8, BUCKET_KEEP = 64, PREFETCH_AHEAD = 16 };
enum { STEP_BITS = 20, BUCKET_BITS = 8, PLACE_BITS = 22 };
#define IN_WHEEL   (UINT32_C(1) << 31)
#define PLACE_MASK ((UINT32_C(1) << PLACE_BITS) - 1)
static_assert(TIMER_BUCKETS == 1 << BUCKET_BITS, "a bucket for each value of the bits");

void timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void timers_done(struct timers *timers)
{
    for (int level = 0; level < TIMER_LEVELS; level++) {
        for (int i = 0; i < TIMER_BUCKETS; i++)
            free(timers->wheel[level][i].entries);
    }
    free(timers->heap);
    *timers = (struct timers){0};
}

/* ---- the heap ---- */

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

/* The child of `place` that fires first, or `heap_count` when it has none. */
static uint32_t first_child(const struct timers *timers, uint32_t place)
{
    uint64_t child = (uint64_t)place * FANOUT + 1;

    if (child >= timers->heap_count)
        return timers->heap_count;
    uint32_t best = (uint32_t)child;
    uint32_t end = child + FANOUT < timers->heap_count ? best + FANOUT : timers->heap_count;
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
        if (child == timers->heap_count || !fires_before(&timers->heap[child], &entry))
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

/* Room for one more armed timer, wherever it is: what is in the wheel comes here some day. */
static int make_room(struct timers *timers)
{
    if (timers->count < timers->room)
        return 0;
    if (timers->room >= IN_WHEEL / 2)
        return -ENOMEM;
    uint32_t room = timers->room ? 2 * timers->room : FIRST_ROOM;
    struct timer_entry *heap = reallocarray(timers->heap, room, sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    timers->heap = heap;
    timers->room = room;
    return 0;
}

static void heap_add(struct timers *timers, struct timer_entry entry)
{
    sift_up(timers, timers->heap_count++, entry);
}

static void heap_remove(struct timers *timers, uint32_t place)
{
    struct timer_entry last = timers->heap[--timers->heap_count];

    if (place != timers->heap_count)
        sift(timers, place, last);
}

/* ---- the wheel ---- */

static uint32_t wheel_slot(int level, uint32_t index, uint32_t place)
{
    return IN_WHEEL | ((uint32_t)level << BUCKET_BITS | index) << PLACE_BITS | place;
}

static bool bucket_has_room(struct timer_bucket *bucket)
{
    if (bucket->count < bucket->room)
        return true;
    if (bucket->room > PLACE_MASK / 2)
        return false;
    uint32_t room = bucket->room ? 2 * bucket->room : BUCKET_ROOM;
    struct timer_entry *entries = reallocarray(bucket->entries, room, sizeof(*entries));
    if (!entries)
        return false;
    bucket->entries = entries;
    bucket->room = room;
    return true;
}

static void wheel_mark(struct timers *timers, int level, uint32_t index, bool used)
{
    uint64_t bit = UINT64_C(1) << index % 64;

    if (used)
        timers->used[level][index / 64] |= bit;
    else
        timers->used[level][index / 64] &= ~bit;
}

/* Whether there was a place for it. */
static bool wheel_add(struct timers *timers, struct timer_entry entry)
{
    uint64_t step = entry.deadline_ns >> STEP_BITS;
    uint64_t windows = (step >> BUCKET_BITS) - (timers->horizon >> BUCKET_BITS);

    if (step < timers->horizon || windows >= TIMER_BUCKETS)
        return false;
    int level = windows > 0;
    uint32_t index = (uint32_t)(step >> level * BUCKET_BITS) % TIMER_BUCKETS;
    struct timer_bucket *bucket = &timers->wheel[level][index];
    if (!bucket_has_room(bucket))
        return false;
    entry.timer->slot = wheel_slot(level, index, bucket->count);
    if (bucket->count == 0 || entry.deadline_ns < bucket->earliest_ns)
        bucket->earliest_ns = entry.deadline_ns;
    bucket->entries[bucket->count++] = entry;
    wheel_mark(timers, level, index, true);
    return true;
}

static void wheel_remove(struct timers *timers, struct timer *timer)
{
    uint32_t number = (timer->slot & ~IN_WHEEL) >> PLACE_BITS, place = timer->slot & PLACE_MASK;
    int level = (int)(number >> BUCKET_BITS);
    struct timer_bucket *bucket = &timers->wheel[level][number % TIMER_BUCKETS];

    assert(place < bucket->count && bucket->entries[place].timer == timer);
    struct timer_entry last = bucket->entries[--bucket->count];
    if (place != bucket->count) {
        bucket->entries[place] = last;
        last.timer->slot = timer->slot;
    }
    if (timer->deadline_ns == bucket->earliest_ns)
        bucket->earliest_ns = 0;
    if (bucket->count == 0)
        wheel_mark(timers, level, number % TIMER_BUCKETS, false);
}

/* The first used bucket of a level from `index` on, or TIMER_BUCKETS. */
static uint32_t wheel_find(const struct timers *timers, int level, uint32_t index)
{
    while (index < TIMER_BUCKETS) {
        uint64_t bits = timers->used[level][index / 64] >> index % 64;
        if (bits)
            return index + (uint32_t)__builtin_ctzll(bits);
        index = (index | 63) + 1;
    }
    return TIMER_BUCKETS;
}

/* Empties a bucket: its timers go where they belong by the horizon of now. */
static void wheel_open(struct timers *timers, int level, uint32_t index)
{
    struct timer_bucket bucket = timers->wheel[level][index];

    timers->wheel[level][index] = (struct timer_bucket){0};
    wheel_mark(timers, level, index, false);
    for (uint32_t i = 0; i < bucket.count; i++) {
        if (i + PREFETCH_AHEAD < bucket.count)
            __builtin_prefetch(bucket.entries[i + PREFETCH_AHEAD].timer, 1);
        if (!wheel_add(timers, bucket.entries[i]))
            heap_add(timers, bucket.entries[i]);
    }
    bucket.count = 0;
    if (bucket.room <= BUCKET_KEEP && !timers->wheel[level][index].entries)
        timers->wheel[level][index] = bucket;
    else
        free(bucket.entries);
}

/* The next window that has a bucket; false when there is none. */
static bool next_window(const struct timers *timers, uint64_t *ret_window)
{
    uint64_t next = (timers->horizon >> BUCKET_BITS) + 1;
    uint32_t start = (uint32_t)next % TIMER_BUCKETS;
    uint32_t index = wheel_find(timers, 1, start);

    if (index == TIMER_BUCKETS)
        index = wheel_find(timers, 1, 0); /* the array is a ring */
    if (index == TIMER_BUCKETS)
        return false;
    *ret_window = next + (index - start) % TIMER_BUCKETS;
    return true;
}

/* Opens the next bucket that has steps up to `last`; false when there is none, and the horizon is
   behind `last`. */
static bool wheel_turn(struct timers *timers, uint64_t last)
{
    uint64_t window = timers->horizon >> BUCKET_BITS, next;
    uint32_t index = wheel_find(timers, 0, (uint32_t)timers->horizon % TIMER_BUCKETS);
    uint64_t step = window << BUCKET_BITS | index;

    if (index < TIMER_BUCKETS && step <= last) {
        timers->horizon = step + 1;
        wheel_open(timers, 0, index);
        if (timers->horizon >> BUCKET_BITS != window)
            wheel_open(timers, 1, (uint32_t)(window + 1) % TIMER_BUCKETS);
        return true;
    }
    if (index < TIMER_BUCKETS || !next_window(timers, &next) || next << BUCKET_BITS > last + 1) {
        timers->horizon = last + 1;
        return false;
    }
    timers->horizon = next << BUCKET_BITS;
    wheel_open(timers, 1, (uint32_t)next % TIMER_BUCKETS);
    return true;
}

static uint64_t bucket_earliest(struct timer_bucket *bucket)
{
    if (bucket->earliest_ns == 0) {
        bucket->earliest_ns = TIMER_NEVER;
        for (uint32_t i = 0; i < bucket->count; i++)
            bucket->earliest_ns = MIN(bucket->earliest_ns, bucket->entries[i].deadline_ns);
    }
    return bucket->earliest_ns;
}

static uint64_t wheel_next(struct timers *timers)
{
    uint32_t index = wheel_find(timers, 0, (uint32_t)timers->horizon % TIMER_BUCKETS);
    uint64_t window;

    if (index < TIMER_BUCKETS)
        return bucket_earliest(&timers->wheel[0][index]);
    if (next_window(timers, &window))
        return bucket_earliest(&timers->wheel[1][window % TIMER_BUCKETS]);
    return TIMER_NEVER;
}

/* ---- both ---- */

int timer_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ns)
{
    struct timer_entry entry = {deadline_ns, timer};

    assert(timer->fire);
    timer_cancel(timers, timer);
    int status = make_room(timers);
    if (status < 0)
        return status;
    timers->count++;
    timer->order = timers->next_order++;
    timer->deadline_ns = deadline_ns;
    if (!wheel_add(timers, entry))
        heap_add(timers, entry);
    return 0;
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    if (timer->slot & IN_WHEEL) {
        wheel_remove(timers, timer);
    } else {
        /* One that claims a place it does not have was freed or never set up. */
        assert(timer->slot <= timers->heap_count && timers->heap[timer->slot - 1].timer == timer);
        heap_remove(timers, timer->slot - 1);
    }
    timer->slot = 0;
    timers->count--;
}

uint64_t timers_next(struct timers *timers)
{
    uint64_t next_ns = wheel_next(timers);

    return timers->heap_count ? MIN(timers->heap[0].deadline_ns, next_ns) : next_ns;
}

int timers_run(struct timers *timers, uint64_t now_ns, int limit)
{
    uint64_t step = now_ns >> STEP_BITS;
    int ran = 0;

    while (timers->horizon <= step && wheel_turn(timers, step))
        ;
    while (ran < limit && timers->heap_count && timers->heap[0].deadline_ns <= now_ns) {
        struct timer *timer = timers->heap[0].timer;
        timer_cancel(timers, timer);
        timer->fire(timer, now_ns); /* may free the timer */
        ran++;
    }
    return ran;
}
