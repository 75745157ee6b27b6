/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak/schedule.h"

#include "base/macro.h"

#include <errno.h>
#include <string.h>

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

/* ---- requests ---- */

static uint64_t elapsed_ns(const struct schedule *schedule, uint64_t now_ns)
{
    return now_ns > schedule->start_ns ? now_ns - schedule->start_ns : 0;
}

static uint64_t later_ns(uint64_t start_ns, uint64_t offset_ns)
{
    return offset_ns == UINT64_MAX ? UINT64_MAX : start_ns + offset_ns;
}

/* When the next one is, of those that are taken; UINT64_MAX: not before it goes on. */
static uint64_t wanted_ns(const struct schedule *schedule)
{
    const struct arrivals *arrivals = schedule->arrivals;
    uint64_t offset_ns;

    if (arrivals)
        offset_ns = schedule->paused && arrivals->due.passed <= schedule->issued
                        ? UINT64_MAX
                        : arrivals_next_ns(&arrivals->taken);
    else if (schedule->earlier_count)
        offset_ns =
            pace_at_ns(&schedule->earlier[0].pace, schedule->earlier[0].rate, schedule->issued);
    else
        offset_ns = pace_at_ns(&schedule->pace, schedule->rate, schedule->issued);
    return later_ns(schedule->start_ns, offset_ns);
}

/* Those that come at random are counted as they become due. */
static uint64_t random_behind(const struct schedule *schedule, uint64_t until_ns)
{
    struct arrivals *arrivals = schedule->arrivals;
    uint64_t next_ns;

    while (!schedule->paused && (next_ns = arrivals_next_ns(&arrivals->due)) <= until_ns &&
           (!schedule->total || arrivals->counted < schedule->total)) {
        arrivals->counted += schedule->start_ns + next_ns >= schedule->warm_ns;
        arrivals_pass(arrivals, &arrivals->due);
    }
    uint64_t due = arrivals->due.passed;
    return due > schedule->issued ? due - schedule->issued : 0;
}

/* Those that were wanted in the warm-up: they do not count, and come first. */
static uint64_t warm_count(const struct schedule *schedule)
{
    if (schedule->warm_ns <= schedule->start_ns)
        return 0;
    if (schedule->warmed)
        return schedule->warm_count;
    return pace_due(&schedule->pace, schedule->rate, schedule->warm_ns - 1 - schedule->start_ns);
}

uint64_t schedule_behind(const struct schedule *schedule, uint64_t now_ns)
{
    uint64_t until_ns = MIN(now_ns, schedule->end_ns - 1);

    if (schedule->rate <= 0 || until_ns < schedule->start_ns)
        return 0;
    if (schedule->arrivals)
        return random_behind(schedule, until_ns - schedule->start_ns);
    uint64_t due = pace_due(&schedule->pace, schedule->rate, until_ns - schedule->start_ns);
    uint64_t behind = due > schedule->issued ? due - schedule->issued : 0;
    if (!schedule->total)
        return behind;
    uint64_t most = warm_count(schedule) + schedule->total;
    return MIN(behind, most > schedule->issued ? most - schedule->issued : 0);
}

uint64_t schedule_next_ns(const struct schedule *schedule, uint64_t now_ns)
{
    uint64_t next_ns = now_ns;

    if (schedule_exhausted(schedule))
        return UINT64_MAX;
    if (schedule->rate > 0)
        next_ns = wanted_ns(schedule);
    else if (schedule->paused)
        return UINT64_MAX;
    return next_ns < schedule->end_ns ? next_ns : UINT64_MAX;
}

/* The rate at which the next one was wanted is another. */
static void drop_earlier(struct schedule *schedule)
{
    size_t count = 0;

    while (count < schedule->earlier_count) {
        bool last = count + 1 == schedule->earlier_count;
        const struct pace *next = last ? &schedule->pace : &schedule->earlier[count + 1].pace;
        if (schedule->issued < next->first)
            break;
        count++;
    }
    schedule->earlier_count -= count;
    memmove(schedule->earlier, schedule->earlier + count,
            schedule->earlier_count * sizeof(*schedule->earlier));
}

uint64_t schedule_take(struct schedule *schedule, uint64_t now_ns)
{
    uint64_t at_ns = schedule->rate > 0 ? wanted_ns(schedule) : now_ns;

    if (at_ns == UINT64_MAX) /* taken in a pause, for what was lost */
        at_ns = now_ns;
    if (schedule->arrivals)
        arrivals_pass(schedule->arrivals, &schedule->arrivals->taken);
    schedule->issued++;
    if (schedule->earlier_count)
        drop_earlier(schedule);
    schedule->counted += at_ns >= schedule->warm_ns;
    return at_ns;
}

/* ---- connections ---- */

/* How many a second; 0: as many as there is work for. */
static double opening_rate(const struct schedule *schedule)
{
    if (schedule->by_opening)
        return schedule->rate;
    if (schedule->connect_rate > 0 || !schedule->ramp_ns || schedule->opened >= schedule->flows)
        return schedule->connect_rate;
    return (double)schedule->flows * 1e9 / (double)schedule->ramp_ns;
}

uint64_t schedule_connections(const struct schedule *schedule, uint64_t now_ns,
                              uint64_t *ret_next_ns)
{
    double rate = opening_rate(schedule);

    *ret_next_ns = UINT64_MAX;
    if (schedule->by_opening && schedule->arrivals) {
        *ret_next_ns = schedule_next_ns(schedule, now_ns);
        return schedule->opened + schedule_behind(schedule, now_ns);
    }
    if (rate <= 0)
        return UINT64_MAX;
    uint64_t next_ns = later_ns(schedule->start_ns,
                                pace_at_ns(&schedule->opening, rate, schedule->opened));
    if (!schedule->by_opening || next_ns < schedule->end_ns)
        *ret_next_ns = next_ns;
    if (schedule->by_opening && now_ns >= schedule->end_ns)
        now_ns = schedule->end_ns - 1;
    return now_ns < schedule->start_ns
               ? 0
               : pace_due(&schedule->opening, rate, now_ns - schedule->start_ns);
}

void schedule_set_phase(struct schedule *schedule, double phase)
{
    const double opening = opening_rate(schedule);

    if (schedule->rate > 0)
        schedule->pace.since_ns = (uint64_t)(phase * 1e9 / schedule->rate + 0.5);
    if (opening > 0)
        schedule->opening.since_ns = (uint64_t)(phase * 1e9 / opening + 0.5);
}

/* ---- changes on the way ---- */

static void stop_opening(struct schedule *schedule, uint64_t now_ns)
{
    double rate = opening_rate(schedule);

    if (rate > 0)
        pace_stop(&schedule->opening, rate, elapsed_ns(schedule, now_ns), schedule->opened);
}

static void go_on_opening(struct schedule *schedule, uint64_t now_ns)
{
    double rate = opening_rate(schedule);

    if (rate > 0)
        pace_go_on(&schedule->opening, rate, elapsed_ns(schedule, now_ns));
    schedule->opening.stopped = false; /* whatever was limited is no more */
}

/* What is due and not taken stays wanted as it was. */
static int keep_phase(struct schedule *schedule, uint64_t now_ns)
{
    const struct schedule_phase phase = {schedule->rate, schedule->pace};
    uint64_t due = pace_due(&phase.pace, phase.rate, elapsed_ns(schedule, now_ns));

    if (phase.pace.stopped || due <= MAX(schedule->issued, phase.pace.first))
        return 0;
    if (schedule->earlier_count == SCHEDULE_PHASES)
        return -EAGAIN;
    schedule->earlier[schedule->earlier_count++] = phase;
    return 0;
}

static int stop_pace(struct schedule *schedule, uint64_t now_ns)
{
    if (schedule->arrivals) {
        (void)schedule_behind(schedule, now_ns); /* counts what is due */
        return 0;
    }
    if (now_ns >= schedule->warm_ns && !schedule->warmed) {
        schedule->warm_count = warm_count(schedule);
        schedule->warmed = true;
    }
    int status = keep_phase(schedule, now_ns);
    if (status == 0)
        pace_stop(&schedule->pace, schedule->rate, elapsed_ns(schedule, now_ns), schedule->issued);
    return status;
}

static int go_on(struct schedule *schedule, uint64_t now_ns)
{
    uint64_t at_ns = elapsed_ns(schedule, now_ns);

    go_on_opening(schedule, now_ns);
    if (schedule->arrivals)
        return arrivals_turn(schedule->arrivals, schedule->rate, at_ns);
    pace_go_on(&schedule->pace, schedule->rate, at_ns);
    return 0;
}

int schedule_set_rate(struct schedule *schedule, double rate, uint64_t now_ns)
{
    int status = 0;

    if (schedule->rate <= 0) { /* what was asked until now came as it came */
        schedule->pace = (struct pace){.first = schedule->issued, .stopped = true};
        schedule->warmed = now_ns >= schedule->warm_ns;
        schedule->warm_count = schedule->issued - schedule->counted;
    } else if (!schedule->paused) {
        if (schedule->arrivals && arrivals_is_full(schedule->arrivals))
            return -EAGAIN;
        status = stop_pace(schedule, now_ns);
    }
    if (status < 0)
        return status;
    if (schedule->by_opening && !schedule->paused)
        stop_opening(schedule, now_ns);
    schedule->rate = rate;
    return schedule->paused ? 0 : go_on(schedule, now_ns);
}

void schedule_set_connect_rate(struct schedule *schedule, double rate, uint64_t now_ns)
{
    if (opening_rate(schedule) > 0)
        stop_opening(schedule, now_ns);
    else /* there was none, and that leaves nothing to catch up with */
        schedule->opening = (struct pace){.first = schedule->opened, .stopped = true};
    schedule->connect_rate = rate;
    if (!schedule->paused)
        go_on_opening(schedule, now_ns);
}

int schedule_pause(struct schedule *schedule, uint64_t now_ns)
{
    int status = 0;

    if (schedule->paused)
        return 0;
    if (schedule->arrivals && arrivals_is_full(schedule->arrivals))
        return -EAGAIN;
    if (schedule->rate > 0)
        status = stop_pace(schedule, now_ns);
    if (status < 0)
        return status;
    stop_opening(schedule, now_ns);
    schedule->paused = true;
    return 0;
}

void schedule_go_on(struct schedule *schedule, uint64_t now_ns)
{
    if (!schedule->paused)
        return;
    schedule->paused = false;
    if (schedule->rate > 0)
        (void)go_on(schedule, now_ns); /* there was room when it paused */
    else
        go_on_opening(schedule, now_ns);
}
