/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/pace.h"

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

uint64_t pace_due(const struct pace *pace, double rate, uint64_t elapsed_ns)
{
    if (pace->stopped || elapsed_ns < pace->since_ns)
        return pace->first;
    return pace->first + schedule_count(rate, elapsed_ns - pace->since_ns);
}

uint64_t pace_at_ns(const struct pace *pace, double rate, uint64_t k)
{
    if (pace->stopped)
        return UINT64_MAX;
    return pace->since_ns + (k > pace->first ? schedule_offset_ns(rate, k - pace->first) : 0);
}

void pace_stop(struct pace *pace, double rate, uint64_t elapsed_ns, uint64_t taken)
{
    if (pace->stopped)
        return;
    uint64_t due = MAX(pace_due(pace, rate, elapsed_ns), taken);
    uint64_t next_ns = pace_at_ns(pace, rate, due);

    pace->left = next_ns > elapsed_ns ? (double)(next_ns - elapsed_ns) * rate / 1e9 : 0;
    pace->first = due;
    pace->stopped = true;
}

void pace_go_on(struct pace *pace, double rate, uint64_t elapsed_ns)
{
    if (!pace->stopped)
        return;
    pace->since_ns = elapsed_ns + (uint64_t)(pace->left * 1e9 / rate + 0.5);
    pace->stopped = false;
}
