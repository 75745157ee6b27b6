/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/schedule.h"

#include "base/macro.h"

/* One rounding to a whole nanosecond: doubles are exact to 0.1 ns for days. */
uint64_t schedule_offset_ns(double rate, uint64_t k)
{
    return (uint64_t)((double)k * 1e9 / rate + 0.5);
}

/* The quotient may be off by one where it is nearly whole; the times themselves decide. */
uint64_t schedule_count(double rate, uint64_t elapsed_ns)
{
    uint64_t count = (uint64_t)((double)elapsed_ns * rate / 1e9) + 1;

    while (count > 1 && schedule_offset_ns(rate, count - 1) > elapsed_ns)
        count--;
    while (schedule_offset_ns(rate, count) <= elapsed_ns)
        count++;
    return count;
}

bool schedule_exhausted(const struct schedule *schedule)
{
    return schedule_left(schedule) == 0;
}

uint64_t schedule_left(const struct schedule *schedule)
{
    if (!schedule->total)
        return UINT64_MAX;
    return schedule->total - MIN(schedule->counted, schedule->total);
}

/* When the next one is, of those that are taken. */
static uint64_t wanted_ns(const struct schedule *schedule)
{
    uint64_t offset_ns = schedule->arrivals ? arrivals_next_ns(&schedule->arrivals->taken)
                                            : schedule_offset_ns(schedule->rate, schedule->issued);

    return schedule->start_ns + offset_ns;
}

/* Those that come at random are counted as they become due. */
static uint64_t random_behind(const struct schedule *schedule, uint64_t elapsed_ns)
{
    struct arrivals *arrivals = schedule->arrivals;
    uint64_t next_ns;

    while ((next_ns = arrivals_next_ns(&arrivals->due)) <= elapsed_ns &&
           (!schedule->total || arrivals->counted < schedule->total)) {
        arrivals->counted += schedule->start_ns + next_ns >= schedule->warm_ns;
        arrivals_pass(arrivals, &arrivals->due);
    }
    uint64_t due = arrivals->due.passed;
    return due > schedule->issued ? due - schedule->issued : 0;
}

uint64_t schedule_behind(const struct schedule *schedule, uint64_t now_ns)
{
    uint64_t until_ns = MIN(now_ns, schedule->end_ns - 1);

    if (schedule->rate <= 0 || until_ns < schedule->start_ns)
        return 0;
    if (schedule->arrivals)
        return random_behind(schedule, until_ns - schedule->start_ns);
    uint64_t due = schedule_count(schedule->rate, until_ns - schedule->start_ns);
    uint64_t behind = due > schedule->issued ? due - schedule->issued : 0;
    if (!schedule->total)
        return behind;
    /* Those of the warm-up do not count, and come first. */
    uint64_t warm = 0;
    if (schedule->warm_ns > schedule->start_ns)
        warm = schedule_count(schedule->rate, schedule->warm_ns - 1 - schedule->start_ns);
    uint64_t most = warm + schedule->total;
    return MIN(behind, most > schedule->issued ? most - schedule->issued : 0);
}

uint64_t schedule_next_ns(const struct schedule *schedule, uint64_t now_ns)
{
    if (schedule_exhausted(schedule))
        return UINT64_MAX;
    uint64_t next_ns = schedule->rate > 0 ? wanted_ns(schedule) : now_ns;
    return next_ns < schedule->end_ns ? next_ns : UINT64_MAX;
}

uint64_t schedule_take(struct schedule *schedule, uint64_t now_ns)
{
    uint64_t at_ns = schedule->rate > 0 ? wanted_ns(schedule) : now_ns;

    if (schedule->arrivals)
        arrivals_pass(schedule->arrivals, &schedule->arrivals->taken);
    schedule->issued++;
    schedule->counted += at_ns >= schedule->warm_ns;
    return at_ns;
}

uint64_t schedule_connections(const struct schedule *schedule, uint64_t now_ns,
                              uint64_t *ret_next_ns)
{
    double rate = schedule->by_opening ? schedule->rate : schedule->connect_rate;

    *ret_next_ns = UINT64_MAX;
    if (schedule->by_opening && schedule->arrivals) {
        *ret_next_ns = schedule_next_ns(schedule, now_ns);
        return schedule->opened + schedule_behind(schedule, now_ns);
    }
    if (rate <= 0 && schedule->ramp_ns && schedule->opened < schedule->flows)
        rate = (double)schedule->flows * 1e9 / (double)schedule->ramp_ns;
    if (rate <= 0)
        return UINT64_MAX;
    uint64_t next_ns = schedule->start_ns + schedule_offset_ns(rate, schedule->opened);
    if (!schedule->by_opening || next_ns < schedule->end_ns)
        *ret_next_ns = next_ns;
    if (schedule->by_opening && now_ns >= schedule->end_ns)
        now_ns = schedule->end_ns - 1;
    return now_ns < schedule->start_ns ? 0 : schedule_count(rate, now_ns - schedule->start_ns);
}
