/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Deadlines in virtual time, first started first fired on ties. The timer is embedded in its owner;
 * a timing wheel holds those that are far ahead, a heap those that are next, both with the deadline
 * beside the pointer so that a comparison need not fetch the timer. Nothing here reads a clock:
 * time is whatever `timers_run` is told. Time is in nanoseconds, absolute.
 */
struct timer {
    uint64_t deadline_ns;
    uint32_t slot;  /* where it is, 0 when not armed: see timer.c */
    uint32_t order; /* start order, for ties; wraps, compared by difference */
    void (*fire)(struct timer *timer, uint64_t now_ns);
};

struct timer_entry {
    uint64_t deadline_ns;
    struct timer *timer;
};

struct timer_bucket {
    struct timer_entry *entries; /* [0..count), in no order */
    uint32_t count, room;
    uint64_t earliest_ns; /* 0: to be found out */
};

enum { TIMER_LEVELS = 2, TIMER_BUCKETS = 256 };

struct timers {
    uint32_t count;           /* armed */
    struct timer_entry *heap; /* heap[0..heap_count) */
    uint32_t heap_count, room;
    uint32_t next_order;
    uint64_t horizon; /* the first step of time that is still in the wheel */
    struct timer_bucket wheel[TIMER_LEVELS][TIMER_BUCKETS];
    uint64_t used[TIMER_LEVELS][TIMER_BUCKETS / 64]; /* a bit for each bucket that is not empty */
};

#define TIMER_NEVER UINT64_MAX

void timers_init(struct timers *timers);
/** Frees the memory; armed timers are forgotten: not fired, not touched, not to be cancelled
 *  after. */
void timers_done(struct timers *timers);

static inline void timer_init(struct timer *timer,
                              void (*fire)(struct timer *timer, uint64_t now_ns))
{
    *timer = (struct timer){.fire = fire};
}
static inline bool timer_armed(const struct timer *timer)
{
    return timer->slot != 0;
}
/**
 * Arms or moves (then it is last among equal deadlines again). Memory grows here: returns 0 or
 * -ENOMEM (then it is not armed; moving never fails).
 */
int timer_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ns);
/** Does nothing when not armed. */
void timer_cancel(struct timers *timers, struct timer *timer);
/** Earliest deadline or TIMER_NEVER. */
uint64_t timers_next(struct timers *timers);
/**
 * Fires all that is due at `now_ns`, each once disarmed. A callback may arm and cancel any timer,
 * itself too; one armed for a time not after `now_ns` fires in the same run, but at most `limit`
 * callbacks run. Returns how many ran.
 */
int timers_run(struct timers *timers, uint64_t now_ns, int limit);

#endif
