/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a flow's request did, counted: by when it was wanted, see soak.c. The measured time
 * begins at one moment, the end of the warm-up, for the schedule and for the counts. The timer for
 * it fires a little later, so what belongs to the measured time and is earlier begins it itself.
 */
#include "workload/soak.h"

#include "base/macro.h"

#include <string.h>

void soak_begin_measuring(struct soak *soak)
{
    uint64_t start_ns = soak->schedule.warm_ns;

    timer_cancel(soak->flows->timers, &soak->warm);
    if (soak->measured)
        soak->measured(soak->measured_user, true);
    measure_restart(&soak->measure, start_ns);
    memset(soak->first_errors, 0, sizeof(soak->first_errors));
    soak->first_error = NULL;
    soak->open_most = soak->open;
    soak->begun = soak->ends_closed = soak->ends_reset = soak->ends_given_up = 0;
    if (!soak->parent)
        (void)timer_arm(soak->flows->timers, &soak->interval, start_ns + soak->config.interval_ns);
}

void soak_reach(struct soak *soak, uint64_t at_ns)
{
    if (timer_armed(&soak->warm) && at_ns >= soak->schedule.warm_ns)
        soak_begin_measuring(soak);
}

uint64_t soak_take(struct soak *soak)
{
    uint64_t wanted_ns = schedule_take(&soak->schedule, soak_now(soak));

    soak_reach(soak, wanted_ns);
    return wanted_ns;
}

void soak_take_lost(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    if (soak->schedule.by_opening || (soak->schedule.rate > 0 && soak_behind(soak) == 0))
        return;
    flow->intended_ns = schedule_take(&soak->schedule, flow->intended_ns);
    soak_reach(soak, flow->intended_ns);
}

/* What came unasked may have come before. */
static void measure_since(struct soak *soak, enum peer_soak_histogram which, uint64_t from_ns,
                          uint64_t until_ns)
{
    measure_latency(&soak->measure, which, until_ns > from_ns ? until_ns - from_ns : 0);
}

void soak_first_byte(struct soak_flow *flow)
{
    struct soak *soak = flow->soak;

    if (flow->first_byte)
        return;
    flow->first_byte = true;
    if (soak_counts(flow))
        measure_since(soak, PEER_HISTOGRAM_FIRST_BYTE, flow->intended_ns,
                      flow_arrived_ns(&flow->flow));
}

void soak_also(struct soak *soak, uint64_t count)
{
    for (; count; count--) {
        uint64_t wanted_ns = soak_take(soak);
        if (wanted_ns < soak->measure.start_ns)
            continue;
        measure_latency(&soak->measure, PEER_HISTOGRAM_REQUEST, soak_now(soak) - wanted_ns);
        soak->measure.counts.requests++;
        soak->measure.counts.completed++;
    }
}

void soak_done(struct soak_flow *flow, uint64_t at_ns)
{
    struct soak *soak = flow->soak;

    if (!soak_counts(flow)) {
        soak->measure.carried += !soak->measure.closed;
        return;
    }
    soak->measure.counts.completed++;
    measure_since(soak, PEER_HISTOGRAM_REQUEST, flow->intended_ns, at_ns);
}

ssize_t soak_write(struct soak_flow *flow, const void *data, size_t len, int flags)
{
    ssize_t done = flow_write(&flow->flow, data, len, flags);

    if (done > 0)
        flow->soak->measure.counts.bytes_sent += (uint64_t)done;
    return done;
}

uint64_t soak_flow_key(const struct soak_flow *flow)
{
    return flow->soak->seed ^ flow->id * UINT64_C(0xd1342543de82ef95);
}
