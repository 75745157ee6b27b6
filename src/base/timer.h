/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Deadlines in virtual time: an intrusive 4-ary heap, first started first fired on ties. The timer
 * is embedded in its owner; the heap holds pointers to it, and the deadlines beside them so that a
 * comparison need not fetch the timer. Nothing here reads a clock: time is whatever `timers_run` is
 * told. Time is in nanoseconds, absolute.
 */
struct timer {
    uint64_t deadline_ns;
    uint32_t slot;  /* 1-based place in the heap, 0 when not armed */
    uint32_t order; /* start order, for ties; wraps, compared by difference */
    void (*fire)(struct timer *timer, uint64_t now_ns);
};

struct timer_entry {
    uint64_t deadline_ns;
    struct timer *timer;
};

struct timers {
    struct timer_entry *heap; /* heap[0..count) */
    uint32_t count, room;
    uint32_t next_order;
};

#define TIMER_NEVER UINT64_MAX

void timers_init(struct timers *timers);
/** Frees the heap; armed timers are forgotten: not fired, not touched, not to be cancelled after.
 */
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
 * Arms or moves (then it is last among equal deadlines again). Memory for the heap grows here:
 * returns 0 or -ENOMEM (then it is not armed; moving never fails).
 */
int timer_arm(struct timers *timers, struct timer *timer, uint64_t deadline_ns);
/** Does nothing when not armed. */
void timer_cancel(struct timers *timers, struct timer *timer);
/** Earliest deadline or TIMER_NEVER. */
uint64_t timers_next(const struct timers *timers);
/**
 * Fires all that is due at `now_ns`, each once disarmed. A callback may arm and cancel any timer,
 * itself too; one armed for a time not after `now_ns` fires in the same run, but at most `limit`
 * callbacks run. Returns how many ran.
 */
int timers_run(struct timers *timers, uint64_t now_ns, int limit);

#endif
